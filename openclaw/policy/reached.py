"""Which rules take part in a decision: those of a policy that decide, and all that these lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from openclaw.policy.ruleset import DECIDING, Definition, RulePath, Ruleset, Target
from openclaw.policy.syntax import Call, Not, Ref, Term, Var, every_term, heads, statements, terms_of

Sign: TypeAlias = Literal[1, -1]
"""Whether a rule speaks for what it is asked for, or, below a ``not``, against it."""

Use: TypeAlias = tuple[RulePath, Literal["allow", "refuse"], Sign]


class Reached:
    """The rules of a ruleset that take part in its decisions, and which way each of them speaks."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._uses: set[Use] = set()
        self._led: dict[Target | None, tuple[RulePath, ...]] = {}
        waiting: list[Use] = [
            (definition.path, "allow" if definition.rule.path[0] == "allow" else "refuse", 1)
            for definition in ruleset.definitions
            if definition.source.policy and definition.rule.path[0] in DECIDING
        ]
        while waiting:
            use = waiting.pop()
            if use in self._uses:
                continue
            self._uses.add(use)
            path, side, sign = use
            for definition in ruleset.rules[path]:
                for below, turned in self._below(definition):
                    waiting.append((below, side, sign if not turned else 1 if sign == -1 else -1))
        self.paths = frozenset(path for path, _, _ in self._uses)
        self.granting = frozenset(path for path, side, _ in self._uses if side == "allow")

    def silence_is_unsafe(self, path: RulePath) -> bool:
        """Whether a rule that does not hold lets more through: it refuses, or keeps an allow from holding."""
        return (path, "refuse", 1) in self._uses or (path, "allow", -1) in self._uses

    def _below(self, definition: Definition) -> Iterator[tuple[RulePath, bool]]:
        """The rules that a definition names, and whether it does so below a ``not``."""
        for term in (*definition.rule.args, *heads(definition.rule)):
            for path in self._named(definition, term):
                yield path, False
        for statement, _ in statements(definition.rule):
            for term in terms_of(statement):
                for path in self._named(definition, term):
                    yield path, isinstance(statement.what, Not)

    def _named(self, definition: Definition, term: Term) -> Iterator[RulePath]:
        inside: set[int] = set()  # What a path begins with is not named by itself.
        for part in every_term(term):
            if isinstance(part, Call):
                yield from {it.path for it in self._ruleset.called(definition.source, part.function)}
            elif isinstance(part, Var | Ref) and part.at.start not in inside:
                inside.add(part.at.start)
                target = self._ruleset.target(definition, part)
                if target not in self._led:
                    self._led[target] = tuple(led_to(self._ruleset, target))
                yield from self._led[target]


def led_to(ruleset: Ruleset, target: Target | None) -> Iterator[RulePath]:
    """The rules that a path leads to: into, to, or through the packages of which."""
    if target is None or target[0] != "data":
        return
    parts = target[1:]
    written = tuple(part for part in parts if isinstance(part, str))
    if len(written) < len(parts):
        for path in ruleset.rules:
            if all(part is None or part == name for part, name in zip(parts, path, strict=False)):
                yield path
        return
    into = next((written[:length] for length in range(1, len(written)) if written[:length] in ruleset.rules), None)
    yield from ruleset.below.get(written, ()) if into is None else (into,)
