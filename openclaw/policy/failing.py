"""Why a test rule failed: the first statement of its body that does not hold, with the values of what stands in it."""

from __future__ import annotations

import json
from typing import TypeAlias

from pydantic import JsonValue

from openclaw.policy.bundle import Bundle
from openclaw.policy.probing import Prober
from openclaw.policy.ruleset import Definition, Ruleset
from openclaw.policy.telling import Teller

Values: TypeAlias = tuple[tuple[str, str], ...]
"""What is shown of a failure: an expression or a word for it, and its value as JSON."""

VALUE_MAX = 400
"""Characters of one value; longer ones are cut."""


def values_of_failing(bundle: Bundle, ruleset: Ruleset, definition: Definition) -> tuple[str, Values]:
    """The statement that does not hold, as ``line N: text``, and its values; empty where every statement holds."""
    (told,) = Teller(ruleset, Prober(bundle, b"{}"), 0).tell([definition])
    if told.holds or not told.ways or not told.ways[0].steps:
        return "", ()
    step = told.ways[0].steps[-1]
    message = f"line {step.line} does not hold: {' '.join(step.text.split())}"
    return message, tuple((value.name, _shown(value.found)) for value in step.values)


def _shown(found: tuple[JsonValue, ...]) -> str:
    if not found:
        return "undefined"
    text = " or ".join(json.dumps(value, ensure_ascii=False) for value in found)
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"
