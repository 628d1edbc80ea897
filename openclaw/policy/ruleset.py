"""All Rego files of a folder as one: which rules there are, and what a name in one of them stands for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from pydantic import JsonValue

from openclaw.errors import Diagnostic, Severity
from openclaw.policy.bundle import Module
from openclaw.policy.functions import FUNCTIONS
from openclaw.policy.parser import parse
from openclaw.policy.scoping import Scoping
from openclaw.policy.syntax import Call, File, Place, Ref, Rule, Scalar, Term, Var

RulePath: TypeAlias = tuple[str, ...]
"""The name of a rule or a package without ``data``: ``("openclaw", "policies", "desk", "deny")``."""

Target: TypeAlias = tuple["str | int | None", ...]
"""What a reference leads to, from ``input`` or ``data`` on; None for a part that is computed."""

POLICIES: RulePath = ("openclaw", "policies")
"""The package below which policies lie."""

DECIDING = ("allow", "deny", "ask", "oblige")
"""The rules of a policy that take part in the decision."""


@dataclass(frozen=True)
class Source:
    """One file of a folder, read. ``test``: it is a ``*_test.rego``."""

    module: Module
    file: File

    @classmethod
    def of(cls, module: Module) -> Source:
        """Read a module."""
        return cls(module, parse(module.text))

    @property
    def test(self) -> bool:
        """Whether it holds tests, and takes no part in decisions."""
        return self.module.path.endswith("_test.rego")

    @property
    def package(self) -> RulePath:
        """Its package, empty where it names none."""
        return self.file.package.path if self.file.package else ()

    @property
    def policy(self) -> bool:
        """Whether it is a package that is asked for decisions."""
        return self.package[:2] == POLICIES and len(self.package) == 3 and not self.test

    def finding(
        self, at: Place, message: str, hint: str = "", *, code: str, severity: Severity = "error"
    ) -> Diagnostic:
        """Something to say about a place in it."""
        return Diagnostic(self.module.shown, at.line, at.column, message, hint, severity=severity, code=code)


@dataclass(frozen=True)
class Definition:
    """One definition of a rule, in its file."""

    source: Source
    rule: Rule

    @property
    def path(self) -> RulePath:
        """The whole name of the rule."""
        return (*self.source.package, *self.rule.path)

    @property
    def name(self) -> str:
        """The whole name of the rule, as it is written."""
        return f"data.{'.'.join(self.path)}"


@dataclass(frozen=True)
class Ruleset:
    """The files of a folder and its data. ``data`` is None where the data files cannot be read."""

    sources: tuple[Source, ...]
    data: Mapping[str, JsonValue] | None = None
    _scopings: dict[int, Scoping] = field(default_factory=dict[int, Scoping], repr=False)

    @cached_property
    def definitions(self) -> tuple[Definition, ...]:
        """Every definition of every rule, tests included."""
        return tuple(Definition(source, rule) for source in self.sources for rule in source.file.rules)

    @cached_property
    def rules(self) -> dict[RulePath, tuple[Definition, ...]]:
        """The definitions of each rule by its whole name."""
        found: dict[RulePath, tuple[Definition, ...]] = {}
        for definition in self.definitions:
            found[definition.path] = (*found.get(definition.path, ()), definition)
        return found

    @cached_property
    def below(self) -> dict[RulePath, list[RulePath]]:
        """The rules that lie at a name or below it."""
        found: dict[RulePath, list[RulePath]] = {}
        for path in self.rules:
            for length in range(len(path) + 1):
                found.setdefault(path[:length], []).append(path)
        return found

    @cached_property
    def packages(self) -> frozenset[RulePath]:
        """The names of all packages."""
        return frozenset(source.package for source in self.sources if source.package)

    @cached_property
    def _names(self) -> dict[RulePath, set[str]]:
        names: dict[RulePath, set[str]] = {}
        for definition in self.definitions:
            names.setdefault(definition.source.package, set()).add(definition.rule.path[0])
        return names

    def names(self, package: RulePath) -> set[str]:
        """The first names of the rules of a package."""
        return self._names.get(package, set())

    def scoping(self, definition: Definition) -> Scoping:
        """The variables of a definition."""
        key = id(definition.rule)
        if key not in self._scopings:
            self._scopings[key] = Scoping(
                definition.rule, lambda name: self.meaning(definition.source, name) is not None
            )
        return self._scopings[key]

    def meaning(self, source: Source, name: str) -> Target | None:
        """What a name in a file stands for that nothing there declares; None for a variable."""
        if name in {"input", "data"}:
            return (name,)
        if name in self.names(source.package):
            return ("data", *source.package, name)
        for imported in source.file.imports:
            if imported.name == name and imported.path[0] in {"input", "data"}:
                return imported.path
        return None

    def target(self, definition: Definition, term: Term) -> Target | None:
        """What a name or a path leads to; None where it begins with a variable or something computed."""
        head = term.head if isinstance(term, Ref) else term
        if not isinstance(head, Var) or self.scoping(definition).symbol(head) is not None:
            return None
        meaning = self.meaning(definition.source, head.name)
        if meaning is None:
            return None
        return (*meaning, *(map(key_of, term.parts) if isinstance(term, Ref) else ()))

    def called(self, source: Source, function: Var | Ref) -> tuple[Definition, ...]:
        """The definitions of the function that a call names; none where it is a function of Rego, or nothing."""
        parts = dotted(function).split(".")
        candidates = [(*source.package, *parts)]
        meaning = self.meaning(source, parts[0])
        if meaning is not None and meaning[0] == "data":
            candidates.append(tuple(str(part) for part in (*meaning[1:], *parts[1:])))
        for path in candidates:
            found = tuple(it for it in self.rules.get(path, ()) if it.rule.kind == "function")
            if found:
                return found
        return ()

    def arity(self, definition: Definition, call: Call) -> int | None:
        """How many arguments the function of a call takes; None where there is no such function."""
        found = self.called(definition.source, call.function)
        if found:
            return len(found[0].rule.args)
        function = FUNCTIONS.get(dotted(call.function))
        return function.arity if function else None


def key_of(part: Term) -> str | int | None:
    """The key that a part of a path is, None for one that is computed."""
    if isinstance(part, Scalar) and isinstance(part.value, str | int) and not isinstance(part.value, bool):
        return part.value
    return None


def dotted(function: Var | Ref) -> str:
    """The name of a function as it is written."""
    if isinstance(function, Var):
        return function.name
    parts = [str(key_of(part)) for part in function.parts]
    return ".".join([function.head.name if isinstance(function.head, Var) else "?", *parts])


def read_modules(root: Path, endings: Iterable[str], findings: list[Diagnostic]) -> Iterator[Module]:
    """The files below a folder whose names end so, hidden ones left out. What cannot be read is added to ``findings``."""
    ends = tuple(endings)
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or not name.endswith(ends):
                continue
            path = Path(folder) / name
            try:
                text = path.read_text(encoding="utf-8")
            except OSError as error:
                findings.append(Diagnostic(str(path), 0, 0, f"cannot be read: {error.strerror}"))
            except UnicodeDecodeError:
                findings.append(Diagnostic(str(path), 0, 0, "is not UTF-8", "save it as UTF-8"))
            else:
                yield Module(path=path.relative_to(root).as_posix(), shown=str(path), text=text)
