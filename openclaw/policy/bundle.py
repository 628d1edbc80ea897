"""A policy folder, read: Rego modules, data documents, and the digest of both.

The folder is read as OPA reads a bundle: every ``*.rego`` file except ``*_test.rego``, and every ``data.json`` or
``data.yaml`` mounted at the path of the folder that it lies in. Names that start with a dot are skipped. The shipped
combining rules (``decision.rego``) always come along, and nothing in a folder can take their place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import yaml
from pydantic import JsonValue

from openclaw.canonical import canonical, digest, plain
from openclaw.errors import Diagnostic, PolicyError
from openclaw.policy.scan import Scan, scan

DECISION_FILE = "openclaw/decision.rego"
"""The name under which the combining rules are given to an engine."""

_PACKAGE = ("openclaw", "policies")
_DECIDING = frozenset({"allow", "deny", "ask", "oblige"})


@dataclass(frozen=True, slots=True)
class Module:
    """One Rego file. ``path`` is relative to its folder; ``shown`` is how people know it."""

    path: str
    shown: str
    text: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """Policies and data, ready for an engine. ``data`` is canonical JSON; ``revision`` is the digest of all of it."""

    modules: tuple[Module, ...]
    data: bytes
    revision: str

    @classmethod
    def read(cls, folder: str | Path) -> Bundle:
        """Read a policy folder.

        Raises:
            PolicyError: the folder is missing, holds no policy, or holds one that cannot be part of a decision. Each
                diagnostic names its file, line and column.
        """
        root = Path(folder)
        if not root.is_dir():
            what = "is not a folder" if root.exists() else "does not exist"
            raise PolicyError(
                f"policy folder `{root}` {what}",
                hint="give the folder that holds the .rego files",
            )
        findings: list[Diagnostic] = []
        decision = combining_rules()
        modules: list[Module] = []
        data: dict[str, JsonValue] = {}
        for path in _files(root, findings):
            text = _text(path, findings)
            if text is None or (path.suffix == ".rego" and text == decision.text):
                continue
            name = path.relative_to(root).as_posix()
            if path.suffix == ".rego":
                modules.append(Module(path=name, shown=str(path), text=text))
            else:
                _mount(data, PurePosixPath(name).parent.parts, path, text, findings)
        if not modules and not findings:
            raise PolicyError(
                f"policy folder `{root}` holds no .rego file",
                hint="add one, such as `package openclaw.policies.main` with `allow if …`",
            )
        scans = {module: scan(module.text) for module in modules}
        findings += [finding for module, found in scans.items() for finding in misplaced(module, found)]
        findings += _data_conflicts(data, scans)
        if findings:
            raise PolicyError(f"policy folder `{root}` cannot be used", diagnostics=findings)
        return cls.of([decision, *modules], data)

    @classmethod
    def of(cls, modules: list[Module], data: Mapping[str, JsonValue]) -> Bundle:
        """A bundle of these modules and this base document."""
        ordered = tuple(sorted(modules, key=lambda module: module.path))
        revision = digest({"modules": {module.path: module.text for module in ordered}, "data": data})
        return cls(modules=ordered, data=canonical(data), revision=revision)

    def shown(self, path: str) -> str:
        """How people know the file that an engine calls ``path``."""
        return next((module.shown for module in self.modules if module.path == path), path)


def combining_rules() -> Module:
    """The shipped ``decision.rego``: beside the package in a wheel, in ``policies/`` of a source tree.

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


def _files(root: Path, findings: list[Diagnostic]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        findings.append(Diagnostic(str(error.filename), 0, 0, f"cannot be read: {error.strerror}"))

    for folder, below, names in os.walk(root, onerror=unreadable):
        # A mounted Kubernetes ConfigMap keeps its versions in dotted folders and links to the files of one of them.
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            policy = name.endswith(".rego") and not name.endswith("_test.rego") and not name.startswith(".")
            if policy or name in {"data.json", "data.yaml", "data.yml"}:
                yield Path(folder) / name


def _text(path: Path, findings: list[Diagnostic]) -> str | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        findings.append(Diagnostic(str(path), 0, 0, f"cannot be read: {error.strerror}"))
        return None
    if b"\0" in content:
        # To a C library the file would end here, and the rules after it would be gone.
        line = content[: content.index(b"\0")].count(b"\n") + 1
        findings.append(Diagnostic(str(path), line, 1, "holds a NUL byte", "remove it"))
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        findings.append(
            Diagnostic(str(path), line, column, f"byte 0x{content[error.start]:02x} is not UTF-8", "save it as UTF-8")
        )
        return None


def misplaced(module: Module, found: Scan) -> Iterator[Diagnostic]:
    """What would be loaded and yet never take part in the decision, or would take the decision over."""
    package = found.package
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


def _mount(
    data: dict[str, JsonValue], parts: tuple[str, ...], path: Path, text: str, findings: list[Diagnostic]
) -> None:
    def finding(message: str, hint: str = "", line: int = 0, column: int = 0) -> None:
        findings.append(Diagnostic(str(path), line, column, message, hint))

    try:
        document = _json(text) if path.suffix == ".json" else _yaml(text)
    except json.JSONDecodeError as error:
        finding(error.msg.lower(), line=error.lineno, column=error.colno)
        return
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        finding(error.problem or "not YAML", line=mark.line + 1 if mark else 0, column=mark.column + 1 if mark else 0)
        return
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        finding(str(error).splitlines()[0])
        return
    if not isinstance(document, dict):
        finding("data must be an object", "write `{…}` at the top")
        return
    document = cast("dict[str, JsonValue]", document)
    if plain(document) != document:
        finding(
            "data holds a value outside JSON's safe domain (RFC 8785), such as an integer beyond ±(2^53 - 1)",
            "write such a value as a string",
        )
        return
    place = data
    for part in parts:
        below = place.setdefault(part, {})
        if not isinstance(below, dict):
            finding(f"its folder `{part}` is also a value in a data file above", "rename one of them")
            return
        place = below
    for key in _merge(place, document):
        finding(f"`{key}` is defined by another data file too", "keep it in one of them")


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


def _json(text: str) -> object:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError("an object names the same key twice")
        return fields

    def never(name: str) -> object:
        raise ValueError(f"`{name}` is not JSON")

    return json.loads(text, object_pairs_hook=once, parse_constant=never)


class _JsonYaml(yaml.SafeLoader):
    """YAML as JSON: no dates, which OPA reads as text."""


_JsonYaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _yaml(text: str) -> object:
    return yaml.load(text, Loader=_JsonYaml)  # noqa: S506 - a SafeLoader with fewer types
