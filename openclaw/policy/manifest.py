"""The ``.manifest`` of a bundle: its roots, the only places of the policy document in which it may have anything.

The format is that of Open Policy Agent (openpolicyagent.org, "Bundle File Format"): an object with ``revision`` (free
text), ``roots`` (paths such as ``openclaw/policies``; without them, everything), ``rego_version`` and ``metadata``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, cast

from openclaw.errors import Diagnostic, PolicyError
from openclaw.policy.documents import canonical_bytes, parse_json

if TYPE_CHECKING:
    from pydantic import JsonValue

Path = tuple[str, ...]

ROOT: Path = ()
"""The root that holds everything."""


class Manifest(NamedTuple):
    """What a bundle says of itself. ``revision`` is its author's word; what decides is known by ``Bundle.revision``."""

    revision: str = ""
    roots: tuple[Path, ...] = (ROOT,)
    metadata: Mapping[str, JsonValue] = MappingProxyType({})

    def permits(self, path: Sequence[str]) -> bool:
        """Whether ``path`` lies at or below a root."""
        return any(tuple(path[: len(root)]) == root for root in self.roots)

    def outside(self, path: Path, value: JsonValue) -> Iterator[Path]:
        """The places of ``value``, which stands at ``path``, that lie outside of all roots."""
        if self.permits(path):
            return
        # An object above a root may hold that root, and may be empty.
        if isinstance(value, dict) and any(root[: len(path)] == path for root in self.roots):
            for key, below in value.items():
                yield from self.outside((*path, key), below)
            return
        yield path

    @property
    def shown_roots(self) -> tuple[str, ...]:
        """The roots as the manifest writes them."""
        return tuple("/".join(root) for root in self.roots)

    def encode(self) -> bytes:
        """The bytes of the file."""
        fields: dict[str, JsonValue] = {
            "revision": self.revision,
            "roots": [*self.shown_roots],
            "rego_version": 1,
        }
        if self.metadata:
            fields["metadata"] = dict(self.metadata)
        return canonical_bytes(fields)


def read_manifest(content: bytes, shown: str) -> Manifest:
    """The manifest in these bytes; ``shown`` is how people know the file.

    Raises:
        PolicyError: it is none, or is of a bundle that cannot be decided here.
    """

    def wrong(message: str, hint: str = "") -> PolicyError:
        return PolicyError(
            "the manifest of the bundle cannot be used", diagnostics=[Diagnostic(shown, 0, 0, message, hint)]
        )

    try:
        document = parse_json(content.decode())
    except ValueError as error:
        raise wrong(f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise wrong("it is not an object")
    fields = cast("dict[str, JsonValue]", document)
    revision, metadata = fields.get("revision"), fields.get("metadata")
    if not isinstance(revision, str | None) or not isinstance(metadata, dict | None):
        raise wrong("`revision` is a text, and `metadata` an object")
    if fields.get("wasm"):
        raise wrong("it has rules in WebAssembly, which no engine here runs", "build it with `--target rego`")
    files = fields.get("file_rego_versions") or {}
    versions = [fields.get("rego_version"), *(files.values() if isinstance(files, dict) else [files])]
    if any(version not in (None, 1) or isinstance(version, bool) for version in versions):
        raise wrong("its rules are not written in Rego v1", "rewrite them with `opa fmt --v0-v1`, and build it anew")
    try:
        roots = _roots(fields.get("roots"))
    except ValueError as error:
        raise wrong(str(error)) from error
    return Manifest(revision or "", roots, metadata or {})


def _roots(value: JsonValue) -> tuple[Path, ...]:
    if value is None:
        return (ROOT,)
    if not isinstance(value, list) or not all(isinstance(root, str) for root in value):
        raise ValueError('`roots` is a list of paths, such as ["openclaw/policies"]')
    named = [cast("str", root).strip("/") for root in value]
    roots = [tuple(root.split("/")) if root else ROOT for root in named]
    for at, root in enumerate(roots):
        for other in roots[at + 1 :]:
            if root[: len(other)] == other[: len(root)]:
                raise ValueError(f"the roots `{'/'.join(root)}` and `{'/'.join(other)}` overlap")
    return tuple(roots)
