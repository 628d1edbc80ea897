"""Which lines and which rules of policies inputs have exercised; by the native engine, as decisions are made.

A line is covered where something on it was evaluated. A rule that decides has held where its body was true of an input: what
was evaluated and never true may still be dead.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypedDict, cast

from pydantic import JsonValue

from openclaw.policy import regorus
from openclaw.policy.bundle import DECISION_FILE, Bundle
from openclaw.policy.cache import canonical_function
from openclaw.policy.engine import encode
from openclaw.policy.parser import parse
from openclaw.policy.probing import DEADLINE_US, NAME, Probe, answers, compiled
from openclaw.policy.reads import reads_of
from openclaw.policy.ruleset import DECIDING, Definition, Ruleset, Source
from openclaw.policy.syntax import statements

if TYPE_CHECKING:
    from openclaw.policy.program import Program

KNOWN_MAX = 10_000
"""Inputs that are remembered, so that one like it need not be evaluated again."""


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """The lines of one policy file that hold something to evaluate: those that were evaluated, and those that were not."""

    file: str
    covered: tuple[int, ...]
    uncovered: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RuleUse:
    """What became of one definition of a rule that decides.

    Attributes:
        name: of the rule, as decisions have it, such as ``policies.desk.deny``.
        file, line: where it begins.
        evaluated: whether anything of its body was evaluated.
        held: for how many inputs its body was true; None where that cannot be asked.
    """

    name: str
    file: str
    line: int
    evaluated: bool
    held: int | None

    @property
    def dead(self) -> bool:
        """It has had no part in any decision."""
        return not self.held if self.held is not None else not self.evaluated


def percent(files: Sequence[FileCoverage]) -> float:
    """The share of lines that were evaluated, from 0 to 100; 100 where there is nothing to evaluate."""
    covered = sum(len(file.covered) for file in files)
    lines = covered + sum(len(file.uncovered) for file in files)
    return 100.0 * covered / lines if lines else 100.0


Lines: TypeAlias = dict[str, tuple[set[int], set[int]]]
"""By module: the lines that were evaluated, and those that hold something to evaluate."""


class _Lines(TypedDict):
    path: str
    covered: list[int]
    not_covered: list[int]


def covered(bundle: Bundle, reports: Iterable[bytes]) -> tuple[FileCoverage, ...]:
    """The lines of the authors' files that these reports of the native engine cover together; empty reports say nothing."""
    lines: Lines = {}
    for report in filter(None, reports):
        _add(lines, report)
    return _files(bundle, lines)


class Meter:
    """Counts what inputs exercise of a bundle.

    Raises:
        PolicyError: the policies do not compile.
        ConfigurationError: the native engine is not installed.
    """

    def __init__(self, bundle: Bundle) -> None:
        regorus.require("coverage needs")
        self._bundle = bundle
        self._engine = regorus.RegorusEngine(bundle, deadline_s=DEADLINE_US / 1_000_000)
        self._key = canonical_function(reads_of(bundle).paths)
        self._lines: Lines = {}
        sources = tuple(Source.of(module) for module in bundle.modules if module.path != DECISION_FILE)
        ruleset = Ruleset(sources, cast("dict[str, JsonValue]", json.loads(bundle.data)))
        self._rules = [
            it for it in ruleset.definitions if it.source.policy and it.rule.path[0] in DECIDING and not it.rule.default
        ]
        self._probes = self._compile(list(range(len(self._rules))))
        self._held: dict[int, int] = {number: 0 for numbers, _ in self._probes for number in numbers}
        self._known: dict[bytes, tuple[int, ...]] = {}

    def add(self, document: Mapping[str, JsonValue]) -> None:
        """Count one input.

        Raises:
            PolicyError: it cannot be decided.
        """
        key = self._key(document)
        holding = None if key is None else self._known.get(key)
        if holding is None:
            _add(self._lines, self._engine.coverage(document))
            holding = tuple(self._holding(encode(document)))
            if key is not None and len(self._known) < KNOWN_MAX:
                self._known[key] = holding
        for number in holding:
            self._held[number] += 1

    def files(self) -> tuple[FileCoverage, ...]:
        """The lines, by file."""
        return _files(self._bundle, self._lines)

    def rules(self) -> tuple[RuleUse, ...]:
        """The rules that decide, in the order of files and lines."""
        return tuple(self._use(number, it) for number, it in enumerate(self._rules))

    def close(self) -> None:
        """Give the engine back."""
        self._engine.close()

    def _use(self, number: int, definition: Definition) -> RuleUse:
        module = definition.source.module
        evaluated, _ = self._lines.get(module.path, (set[int](), set[int]()))
        return RuleUse(
            name=".".join(definition.path[1:]),
            file=module.shown,
            line=definition.rule.at.line,
            evaluated=any(it.at.line in evaluated for it, _ in statements(definition.rule)),
            held=self._held.get(number),
        )

    def _compile(self, numbers: list[int]) -> list[tuple[list[int], Program]]:
        """Programs that say of these rules which ones hold; without those that cannot be asked apart from the others."""
        from openclaw._native import NativeError

        modules = [(module.path, module.text) for module in self._bundle.modules]
        try:
            return [(numbers, compiled(modules, self._bundle.data, [_probe(self._rules[it]) for it in numbers]))]
        except NativeError:
            middle = len(numbers) // 2
            return [*self._compile(numbers[:middle]), *self._compile(numbers[middle:])] if middle else []

    def _holding(self, input_json: bytes) -> Iterable[int]:
        from openclaw._native import NativeError

        for numbers, program in self._probes:
            # A decision that fails is a deny, and no rule has made it.
            with contextlib.suppress(NativeError):
                found = answers(program, input_json, len(numbers))
                yield from (number for number, members in zip(numbers, found, strict=True) if members)


def _probe(definition: Definition) -> Probe:
    """Whether one of the bodies of a rule is true."""
    file = definition.source.file
    bodies = ["\n".join(f"\t{file.of(it.at)}" for it in branch.body) or "\ttrue" for branch in definition.rule.branches]
    rules = "\n\n".join(f"{NAME} contains 1 if {{\n{body}\n}}" for body in bodies)
    return Probe(definition.source.module.path, definition.source.package, rules)


def _add(lines: Lines, report: bytes) -> None:
    for file in cast("dict[str, list[_Lines]]", json.loads(report))["files"]:
        evaluated, known = lines.setdefault(file["path"], (set(), set()))
        evaluated.update(file["covered"])
        known.update(file["covered"], file["not_covered"])


def _files(bundle: Bundle, lines: Lines) -> tuple[FileCoverage, ...]:
    files: list[FileCoverage] = []
    for module in bundle.modules:
        if module.path == DECISION_FILE:
            continue
        evaluated, known = lines.get(module.path, (set[int](), set[int]()))
        if not known:  # Nothing came near it, and the engine reports only what it has visited.
            known = {it.at.line for rule in parse(module.text).rules for it, _ in statements(rule)}
        files.append(FileCoverage(module.shown, tuple(sorted(evaluated)), tuple(sorted(known - evaluated))))
    return tuple(files)
