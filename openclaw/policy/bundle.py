"""Policies and data, ready for an engine, with the digest of both.

The shipped combining rules (``decision.rego``) always come along, and nothing in a folder or a bundle can take their place.
Tests (``*_test.rego``) take no part.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, cast

from openclaw.encoding import own_form
from openclaw.errors import Diagnostic, PolicyError
from openclaw.policy.contents import MANIFEST, Contents, is_data, is_rules, is_test, read_folder
from openclaw.policy.documents import BadDocument, canonical_bytes, parse_json
from openclaw.policy.members import NAME
from openclaw.policy.scan import Scan, scan, tokens_of

if TYPE_CHECKING:
    from pydantic import JsonValue

DECISION_FILE = "openclaw/decision.rego"
"""The name under which the combining rules are given to an engine."""

_PACKAGE = ("openclaw", "policies")
_DECIDING = frozenset({"allow", "deny", "ask", "oblige"})


class Module(NamedTuple):
    """One Rego file. ``path`` is relative to its folder; ``shown`` is how people know it."""

    path: str
    shown: str
    text: str


class Bundle(NamedTuple):
    """Policies and data, ready for an engine. ``data`` is canonical JSON; ``revision`` is the digest of all of it."""

    modules: tuple[Module, ...]
    data: bytes
    revision: str

    @classmethod
    def read(cls, folder: str | Path) -> Bundle:
        """Read a policy folder.

        Raises:
            PolicyError: the folder is missing, or as for ``assemble``.
        """
        return cls.assemble(read_folder(folder))

    @classmethod
    def assemble(cls, contents: Contents) -> Bundle:
        """The policies and data among the files of a folder or a bundle.

        Raises:
            PolicyError: there is no policy, or one that cannot be part of a decision. Each diagnostic names its file, line
                and column.
        """
        findings = [
            Diagnostic(contents.shown(path), 0, 0, f"cannot be read: {said}")
            for path, said in sorted(contents.unread.items())
            if not is_test(path)
        ]
        decision = combining_rules()
        modules: list[Module] = []
        data: dict[str, JsonValue] = {}
        # From the top downwards: a folder's place in the data may be a value of a file above it, and that is said there.
        for path, content in sorted(contents.files.items(), key=lambda file: (file[0].count("/"), file[0])):
            if not is_rules(path) and not is_data(path):
                continue
            text = _text(contents.shown(path), content, findings)
            if text is None or (is_rules(path) and text == decision.text):
                continue
            if is_data(path):
                _mount(data, path, contents, text, findings)
                continue
            modules.append(Module(path=path, shown=contents.shown(path), text=text))
        if not modules and not findings:
            raise PolicyError(
                f"{contents.what} holds no .rego file",
                hint="add one, such as `package openclaw.policies.main` with `allow if …`",
            )
        scans = {module: scan(module.text) for module in modules}
        findings += [finding for module, found in scans.items() for finding in misplaced(module, found)]
        findings += _data_conflicts(data, scans)
        findings += _outside_roots(contents, scans)
        if findings:
            raise PolicyError(f"{contents.what} cannot be used", diagnostics=findings)
        return cls.of([decision, *modules], data)

    @classmethod
    def of(cls, modules: list[Module], data: Mapping[str, JsonValue]) -> Bundle:
        """A bundle of these modules and this base document."""
        ordered = tuple(sorted(modules, key=lambda module: module.path))
        return cls(modules=ordered, data=canonical_bytes(data), revision=_revision(ordered, data))

    def shown(self, path: str) -> str:
        """How people know the file that an engine calls ``path``."""
        return next((module.shown for module in self.modules if module.path == path), path)


def _revision(modules: tuple[Module, ...], data: Mapping[str, JsonValue]) -> str:
    """The digest of what decides. The folder that all authors' files lie in is left out: `opa build` adds one."""
    authors = {module.path: module.text for module in modules if module.path != DECISION_FILE}
    folders = [PurePosixPath(path).parent.parts for path in authors]
    shared = 0
    while folders and all(len(parts) > shared and parts[shared] == folders[0][shared] for parts in folders):
        shared += 1
    named = {"/".join(PurePosixPath(path).parts[shared:]): text for path, text in authors.items()}
    decision = [module.text for module in modules if module.path == DECISION_FILE]
    return (
        "sha256:" + hashlib.sha256(canonical_bytes({"decision": decision, "modules": named, "data": data})).hexdigest()
    )


def _is_plain(value: Mapping[str, JsonValue]) -> bool:
    if own_form(value) is not None:
        return True
    from openclaw.canonical import plain

    return plain(value) == value


@functools.cache
def combining_rules() -> Module:
    """The shipped ``decision.rego``: beside the package in a wheel, in ``policies/`` of a source tree.

    Read once in a process: they belong to the code that runs, and an upgrade or a checkout may be writing the file just now.

    Raises:
        PolicyError: it is not there, which means that the installation is broken.
    """
    package = Path(__file__).resolve().parent.parent
    for path in (package / "rego" / "decision.rego", package.parent / "policies" / "decision.rego"):
        try:
            return Module(path=DECISION_FILE, shown=str(path), text=path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
    raise PolicyError(
        "the shipped combining rules `decision.rego` are not installed",
        hint="reinstall openclaw-governance",
    )


def _text(shown: str, content: bytes, findings: list[Diagnostic]) -> str | None:
    if b"\0" in content:
        # To a C library the file would end here, and the rules after it would be gone.
        line = content[: content.index(b"\0")].count(b"\n") + 1
        findings.append(Diagnostic(shown, line, 1, "holds a NUL byte", "remove it"))
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        message = f"byte 0x{content[error.start]:02x} is not UTF-8"
        findings.append(Diagnostic(shown, line, column, message, "save it as UTF-8"))
        return None


def misplaced(module: Module, found: Scan) -> Iterator[Diagnostic]:
    """What would be loaded and yet never take part in the decision, or would take the decision over."""
    package = found.package
    if module.path == DECISION_FILE:
        yield Diagnostic(
            module.shown,
            1,
            1,
            "this is not the combining rules that ship with this version of openclaw, and nothing else may have their name",
            "leave it out: they always come along",
        )
        return
    if NAME in module.text:
        for token in tokens_of(module.text):
            if token.text == NAME:
                yield Diagnostic(
                    module.shown, token.line, token.column, f"the name `{NAME}` is reserved", "use another one"
                )
                break
    if package is None:
        return  # The engine reports the missing package with its own position.
    name = ".".join(package.path)

    def diagnostic(message: str, hint: str) -> Diagnostic:
        return Diagnostic(module.shown, package.line, package.column, message, hint)

    if package.path[:1] != ("openclaw",):
        return
    if package.path[:2] != _PACKAGE:
        yield diagnostic(
            f"package `{name}` is reserved",
            "write policies in `openclaw.policies.<name>` and helpers in any package outside `openclaw`",
        )
    elif len(package.path) == len(_PACKAGE):
        yield diagnostic(f"package `{name}` has no name of its own", "write `package openclaw.policies.<name>`")
    elif len(package.path) > len(_PACKAGE) + 1:
        flat = "_".join(package.path[2:])
        yield diagnostic(
            f"package `{name}` lies deeper than `openclaw.policies.<name>`, where its rules would not be asked",
            f"write `package openclaw.policies.{flat}`",
        )
    else:
        for rule in found.rules:
            if rule.function and rule.path[0] in _DECIDING and len(rule.path) == 1:
                yield Diagnostic(
                    module.shown,
                    rule.line,
                    rule.column,
                    f"`{rule.path[0]}` is a function here, which nothing calls",
                    f"write `{rule.path[0]} if …` or `{rule.path[0]} contains … if …`, or give the function another name",
                )


def _data_conflicts(data: Mapping[str, JsonValue], scans: Mapping[Module, Scan]) -> Iterator[Diagnostic]:
    """Rules and data at one path: engines disagree about which of them wins."""
    if "openclaw" in data:
        yield Diagnostic(
            "data", 0, 0, "data at `data.openclaw` is reserved for rules", "keep data in a folder of another name"
        )
    for module, found in scans.items():
        package = found.package
        if package is None:
            continue
        for rule in found.rules:
            path = (*package.path, *rule.path)
            if _occupied(data, path):
                yield Diagnostic(
                    module.shown,
                    rule.line,
                    rule.column,
                    f"rule `data.{'.'.join(path)}` and a data file define the same value",
                    "rename one of them",
                )


def _occupied(data: object, path: tuple[str, ...]) -> bool:
    for depth, part in enumerate(path):
        if not isinstance(data, dict):
            return True  # A scalar stands where the package would be.
        fields = cast("dict[str, object]", data)
        if part not in fields:
            return False
        data = fields[part]
        if depth == len(path) - 1:
            return True
    return False


def _yaml(text: str) -> object:
    from openclaw.policy.yaml_documents import (
        read_yaml,  # Late: hardly any data is YAML, and importing that takes its time.
    )

    return read_yaml(text)


def _mount(data: dict[str, JsonValue], path: str, contents: Contents, text: str, findings: list[Diagnostic]) -> None:
    def finding(message: str, hint: str = "", line: int = 0, column: int = 0) -> None:
        findings.append(Diagnostic(contents.shown(path), line, column, message, hint))

    try:
        document = parse_json(text) if path.endswith(".json") else _yaml(text)
    except json.JSONDecodeError as error:
        finding(error.msg.lower(), line=error.lineno, column=error.colno)
        return
    except BadDocument as error:
        finding(str(error), line=error.line, column=error.column)
        return
    except ValueError as error:
        finding(str(error).splitlines()[0])
        return
    if not isinstance(document, dict):
        finding("data must be an object", "write `{…}` at the top")
        return
    document = cast("dict[str, JsonValue]", document)
    if not _is_plain(document):
        finding(
            "data holds a value outside JSON's safe domain (RFC 8785), such as an integer beyond ±(2^53 - 1)",
            "write such a value as a string",
        )
        return
    parts = PurePosixPath(path).parent.parts
    for place in contents.manifest.outside(parts, document):
        finding(f"data at `{'/'.join(place) or '/'}` is outside the roots of the manifest", _roots(contents))
    below = data
    for part in parts:
        found = below.setdefault(part, {})
        if not isinstance(found, dict):
            finding(f"its folder `{part}` is also a value in a data file above", "rename one of them")
            return
        below = found
    for key in _merge(below, document):
        finding(f"`{key}` is defined by another data file too", "keep it in one of them")


def _outside_roots(contents: Contents, scans: Mapping[Module, Scan]) -> Iterator[Diagnostic]:
    """Packages that the manifest does not permit, those of tests included, as OPA refuses them."""
    shown = {module.shown: found for module, found in scans.items()}
    for path, content in sorted(contents.files.items()):
        if is_test(path) and path.endswith(".rego"):
            shown[contents.shown(path)] = scan(content.decode("utf-8", "replace"))
    for name, found in shown.items():
        package = found.package
        if package is not None and not contents.manifest.permits(package.path):
            said = f"package `{package.dotted}` is outside the roots of the manifest"
            yield Diagnostic(name, package.line, package.column, said, _roots(contents))


def _roots(contents: Contents) -> str:
    named = ", ".join(f"`{root}`" for root in contents.manifest.shown_roots) or "none"
    return f"its `{MANIFEST}` permits {named}"


def _merge(place: dict[str, JsonValue], document: dict[str, JsonValue]) -> Iterator[str]:
    """Add ``document`` to ``place``; yields the keys that were there already, which stay as they were."""
    for key, value in document.items():
        present = place.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            yield from _merge(present, value)
        elif key in place:
            yield key
        else:
            place[key] = value
