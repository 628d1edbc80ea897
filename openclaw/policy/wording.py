"""Answers to single values of one argument, put into words: ``amount ≤ 50``, ``currency is none of "EUR", "USD"``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from openclaw.decision import Effect
from openclaw.policy.samples import Absent, Value

LISTED_MAX = 4
"""Values that are named in one condition; the others are counted."""

VALUE_MAX = 40
"""Characters of one value."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A value of an argument and the answer to it. ``made_up``: it stands for all texts that no rule names."""

    value: Value
    effect: Effect
    made_up: bool = False


_Border: TypeAlias = tuple[Value, Value]
"""The last number on one side of a border, and the first on the other."""


def conditions(name: str, answers: Sequence[Answered], texts: Collection[str] = ()) -> dict[Effect, str]:
    """For each answer, when it is given: of an argument by this name, with all else as it is. ``texts`` stand in rules."""
    numbers = sorted((it for it in answers if _number(it.value) is not None), key=lambda it: _number(it.value) or 0)
    others = [it for it in answers if _number(it.value) is None]
    found: dict[Effect, str] = {}
    for effect in Effect:
        parts = [*_ranges(name, numbers, effect), *_listed(name, others, effect, texts)]
        if parts:
            found[effect] = " or ".join(parts)
    return found


def borders(answers: Sequence[Answered]) -> list[tuple[Answered, Answered]]:
    """Neighbouring numbers that are answered differently."""
    numbers = sorted((it for it in answers if _number(it.value) is not None), key=lambda it: _number(it.value) or 0)
    return [(one, two) for one, two in pairwise(numbers) if one.effect is not two.effect]


def shown(value: Value) -> str:
    """A value as JSON, cut where it is long."""
    text = "absent" if isinstance(value, Absent) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"


def shown_args(args: Mapping[str, Value]) -> str:
    """Several arguments: ``amount = 600, currency = "USD"``."""
    return ", ".join(
        f"{name} is absent" if isinstance(it, Absent) else f"{name} = {shown(it)}" for name, it in args.items()
    )


def _number(value: Value) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _ranges(name: str, numbers: Sequence[Answered], effect: Effect) -> list[str]:
    """The stretches of numbers with this answer. ``numbers`` are sorted."""
    if numbers and all(it.effect is effect for it in numbers):
        return [f"{name} is a number"]
    found: list[str] = []
    at = 0
    while at < len(numbers):
        start = at
        while at + 1 < len(numbers) and numbers[at + 1].effect is numbers[start].effect:
            at += 1
        if numbers[start].effect is effect:
            low = (numbers[start - 1].value, numbers[start].value) if start else None
            high = (numbers[at].value, numbers[at + 1].value) if at + 1 < len(numbers) else None
            found.append(_range(name, low, high, only=numbers[start].value if start == at else None))
        at += 1
    return found


def _range(name: str, low: _Border | None, high: _Border | None, *, only: Value) -> str:
    if low and high and only is not None:
        return f"{name} is {shown(only)}"
    below = (f"{shown(low[0])} <", f"> {shown(low[0])}") if low and _rounder(*low) else None
    above = f"≤ {shown(high[0])}" if high and _rounder(*high) else f"< {shown(high[1])}" if high else ""
    if low and below is None:
        below = (f"{shown(low[1])} ≤", f"≥ {shown(low[1])}")
    if below is None:
        return f"{name} {above}"
    return f"{below[0]} {name} {above}" if above else f"{name} {below[1]}"


def _rounder(one: Value, other: Value) -> bool:
    """Whether a border is better named by its lower side: 100 of 100 and 101, but not 49 of 49 and 50."""
    return _roughness(one) <= _roughness(other)


def _roughness(value: Value) -> tuple[int, int]:
    digits = shown(value).replace(".", "")
    return len(digits.rstrip("0")), -len(digits)


def _listed(name: str, others: Sequence[Answered], effect: Effect, constants: Collection[str]) -> list[str]:
    """What is no number: texts by name, or by what they are not; everything else by name."""
    texts = [it for it in others if isinstance(it.value, str)]
    rest = [it for it in others if not isinstance(it.value, str) and it.effect is effect]
    found = [_texts(name, texts, effect, constants)] if any(it.effect is effect for it in texts) else []
    for kind, words in ((list, "a list"), (dict, "an object")):
        if any(isinstance(it.value, kind) for it in rest) and all(
            it.effect is effect for it in others if isinstance(it.value, kind)
        ):
            found.append(f"{name} is {words}")
            rest = [it for it in rest if not isinstance(it.value, kind)]
    named = [it.value for it in rest if not isinstance(it.value, Absent)]
    if named:
        found.append(f"{name} is {_some(named)}")
    return [*found, f"{name} is absent"] if len(named) < len(rest) else found


def _texts(name: str, texts: Sequence[Answered], effect: Effect, constants: Collection[str]) -> str:
    these = [str(it.value) for it in texts if it.effect is effect]
    rest = [str(it.value) for it in texts if it.effect is not effect]
    if not rest:
        return f"{name} is a text" if any(it.made_up for it in texts) else f"{name} is {_some(these)}"
    if any(it.made_up and it.effect is effect for it in texts):
        if (start := _start(rest, these, constants)) is not None:
            return f"{name} does not start with {shown(start)}"
        return f"{name} is not {_some(rest)}" if len(rest) == 1 else f"{name} is none of {_some(rest, last=', ')}"
    if (start := _start(these, rest, constants)) is not None:
        return f"{name} starts with {shown(start)}"
    return f"{name} is {_some(these)}"


def _start(texts: Sequence[str], others: Sequence[str], constants: Collection[str]) -> str | None:
    """What all of these start with and none of the others, if a rule names it."""
    first, last = min(texts), max(texts)
    differs = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    start = first[: next(differs, len(first))]
    named = start in constants or start.rstrip("/") in constants
    return start if len(texts) > 1 and named and not any(it.startswith(start) for it in others) else None


def _some(values: Sequence[Value], *, last: str = " or ") -> str:
    words = [shown(value) for value in values[:LISTED_MAX]]
    if len(values) > LISTED_MAX:
        return f"{', '.join(words)}, … ({len(values)} values)"
    return last.join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
