"""The look at rules for what they say of results; ``results`` says what it means, and when it is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from openclaw.policy.bundle import Module
from openclaw.policy.reached import Reached
from openclaw.policy.results import PARTS, WORD
from openclaw.policy.ruleset import Definition, Ruleset, Source
from openclaw.policy.syntax import Ref, Rule, Scalar, Statement, Term, every_term, heads, statements

_COMBINING = ("openclaw",)


def speaking(modules: Iterable[Module]) -> tuple[bool, bool]:
    """Whether any rule of these policies speaks of results, and whether one does that allows."""
    sources = (Source.of(module) for module in modules)
    ruleset = Ruleset(tuple(source for source in sources if source.package != _COMBINING and not source.test))
    if not any(_speaks(ruleset, definition) for definition in ruleset.definitions):
        return False, False
    granting = Reached(ruleset).granting
    allows = [definition for definition in ruleset.definitions if definition.path in granting]
    return True, _all_speak(ruleset, allows)


def _speaks(ruleset: Ruleset, definition: Definition) -> bool:
    """Whether a rule names a result, or has the word for one in it, whatever it means there."""
    return _names(ruleset, definition, definition.rule, PARTS) or _says(definition.rule)


def _all_speak(ruleset: Ruleset, rules: list[Definition]) -> bool:
    """Whether rules that work together speak of results: they name one, or compare the kind with the word.

    The word stands beside the kind, or in a rule of its own (`kinds := {"tool", "result"}`) that the kind is compared with.
    """
    if any(_names(ruleset, definition, definition.rule, PARTS) for definition in rules):
        return True
    kinds = {definition.path for definition in rules if _names(ruleset, definition, definition.rule, {"kind"})}
    for definition in rules:
        if definition.path not in kinds and kinds and _says(definition.rule):
            return True
        for item in (*heads(definition.rule), *(statement for statement, _ in statements(definition.rule))):
            if _says(item) and _names(ruleset, definition, item, {"kind"}):
                return True
    return False


def _names(ruleset: Ruleset, definition: Definition, item: Rule | Statement | Term, parts: Collection[str]) -> bool:
    """Whether something in a rule leads to one of these parts of the input."""
    for term in every_term(item):
        target = ruleset.target(definition, term)
        if target is not None and target[0] == "input" and len(target) > 1 and target[1] in parts:
            return True
    return False


def _says(item: Rule | Statement | Term) -> bool:
    """Whether the word stands in something as a value, not as a step of a path."""
    steps: set[int] = set()
    for term in every_term(item):
        if isinstance(term, Ref):
            steps.update(map(id, term.parts))
        elif isinstance(term, Scalar) and term.value == WORD and id(term) not in steps:
            return True
    return False
