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
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from openclaw.policy.bundle import DECISION_FILE, Bundle, Module

if TYPE_CHECKING:
    from pydantic import JsonValue

WORD = "result"
PARTS = frozenset({"result", "outcome"})
_SAYING = (*PARTS, "\\u")
"""A text without any of these cannot speak of results: the last one may write any letter of the others."""


class Results(StrEnum):
    """What the policies say of results. See the module."""

    UNREAD = "unread"
    GUARDED = "guarded"
    GRANTED = "granted"


def reading(modules: Iterable[Module], data: JsonValue) -> Results:
    """What these policies say of results."""
    theirs = [module for module in modules if module.path != DECISION_FILE]
    any_rule = allowing = False
    if any(word in module.text for module in theirs for word in _SAYING):
        from openclaw.policy.speech import speaking  # Late: reading rules takes more time than deciding.

        any_rule, allowing = speaking(theirs)
    if not any_rule:
        return Results.GUARDED if _holds_word(data) else Results.UNREAD
    return Results.GRANTED if allowing else Results.GUARDED


def reading_of(bundle: Bundle) -> Results:
    """What the policies of a bundle say of results."""
    return reading(bundle.modules, json.loads(bundle.data))


def _holds_word(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return any(key == WORD or _holds_word(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_holds_word, value))
    return value == WORD


__all__ = ["Results", "reading", "reading_of"]
