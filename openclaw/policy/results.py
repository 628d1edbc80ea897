"""Do the policies read results? A static look at their rules, before anything is decided.

A result is asked about only where a rule speaks of results: where it names ``input.result`` or ``input.outcome``, or the kind
``"result"`` in so many words (in the data files that goes for guards too). What it says decides what silence means:

    unread    no rule speaks of results: nobody is asked
    guarded   rules speak of them, and none that allows: the permission of a call covers its result unless a rule denies it
    granted   a rule that allows speaks of them, by itself or through a rule that it uses: as with actions, what nobody
              allows is denied

The look takes too much for speech of results rather than too little; the engine decides what the rules say.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from enum import StrEnum

from pydantic import JsonValue

from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.reached import Reached
from openclaw.policy.ruleset import Definition, Ruleset, Source
from openclaw.policy.syntax import Ref, Rule, Scalar, Statement, Term, every_term, heads, statements

_COMBINING = ("openclaw",)
_WORD = "result"
_PARTS = frozenset({"result", "outcome"})


class Results(StrEnum):
    """What the policies say of results. See the module."""

    UNREAD = "unread"
    GUARDED = "guarded"
    GRANTED = "granted"


def reading(modules: Iterable[Module], data: JsonValue) -> Results:
    """What these policies say of results."""
    sources = (Source.of(module) for module in modules)
    ruleset = Ruleset(tuple(source for source in sources if source.package != _COMBINING and not source.test))
    speaking = [definition for definition in ruleset.definitions if _speaks(ruleset, definition)]
    if not speaking:
        return Results.GUARDED if _holds_word(data) else Results.UNREAD
    granting = Reached(ruleset).granting
    allows = [definition for definition in ruleset.definitions if definition.path in granting]
    return Results.GRANTED if _all_speak(ruleset, allows) else Results.GUARDED


def reading_of(bundle: Bundle) -> Results:
    """What the policies of a bundle say of results."""
    return reading(bundle.modules, json.loads(bundle.data))


def _speaks(ruleset: Ruleset, definition: Definition) -> bool:
    """Whether a rule names a result, or has the word for one in it, whatever it means there."""
    return _names(ruleset, definition, definition.rule, _PARTS) or _says(definition.rule)


def _all_speak(ruleset: Ruleset, rules: list[Definition]) -> bool:
    """Whether rules that work together speak of results: they name one, or compare the kind with the word.

    The word stands beside the kind, or in a rule of its own (`kinds := {"tool", "result"}`) that the kind is compared with.
    """
    if any(_names(ruleset, definition, definition.rule, _PARTS) for definition in rules):
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
        elif isinstance(term, Scalar) and term.value == _WORD and id(term) not in steps:
            return True
    return False


def _holds_word(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return any(key == _WORD or _holds_word(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_holds_word, value))
    return value == _WORD


__all__ = ["Results", "reading", "reading_of"]
