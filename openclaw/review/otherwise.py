"""What would have had to differ for another answer: single changes of an input, each one tried out by deciding again.

Where a value is looked at by the rules that made a decision (or, where no rule allowed it, by those that could have), it is
replaced by what the rules and their data speak of: the numbers at a limit and beside it, other texts (also one that no rule
speaks of), one member more or less. What is reported has been decided by the engine; what is not found may exist all the same.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict, JsonValue

from openclaw.policy import PolicyEngine
from openclaw.policy.explain import Explanation
from openclaw.policy.telling import Told
from openclaw.review.comparing import answer_of_gate

TRIES_MAX = 400
"""How many changes are tried."""

FOUND_MAX = 6

ANOTHER = "another text"
"""Stands for a text that no rule speaks of, where one is tried."""

_PATH = re.compile(r'input((?:\.[A-Za-z_]\w*|\["[^"\\]+"\])+)')
_STEP = re.compile(r'\.([A-Za-z_]\w*)|\["([^"\\]+)"\]')
_NUMBER = re.compile(r"(?<![\w.\"])-?\d+(?:\.\d+)?(?![\w.\"])")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')

# Who would ask about another kind of action asks about another action.
_LEFT_ALONE = frozenset({("kind",), ("now",), ("tool", "name"), ("tool", "call_id")})

Path = tuple[str, ...]


class Difference(BaseModel):
    """One change of the input after which the policies answer otherwise.

    ``before`` is a list of none or one value, as is ``after``: what is absent is not null.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    before: tuple[JsonValue, ...]
    after: tuple[JsonValue, ...]
    effect: str
    reasons: tuple[str, ...]


def differences(engine: PolicyEngine, document: dict[str, JsonValue], found: Explanation) -> tuple[Difference, ...]:
    """Changes that would have led to another effect: for each value and effect the nearest one that was found."""
    told = [*found.rules, *found.others]
    constants, paths = _constants(told), _paths(told)
    nearest: dict[tuple[str, str], Difference] = {}
    tries = 0
    for path in paths:
        before = _get(document, path)
        for after in _others(before, constants):
            if tries == TRIES_MAX:
                break
            tries += 1
            decision = answer_of_gate(engine, _with(document, path, after))
            effect = decision.effect.value
            name = ".".join(path)
            if decision.effect is found.decision.effect or (name, effect) in nearest:
                continue
            nearest[name, effect] = Difference(
                path=name, before=before, after=after, effect=effect, reasons=decision.reasons
            )
    order = {"allow": 0, "ask": 1, "deny": 2}
    return tuple(sorted(nearest.values(), key=lambda one: (order[one.effect], one.path))[:FOUND_MAX])


def _paths(told: Sequence[Told]) -> list[Path]:
    """Where the rules looked into the input, in their order."""
    found: dict[Path, None] = {}
    for text in _texts(told):
        for match in _PATH.finditer(text):
            path = tuple(dotted or quoted for dotted, quoted in _STEP.findall(match.group(1)))
            if path not in _LEFT_ALONE:
                found[path] = None
    return list(found)


def _texts(told: Sequence[Told], *, heads: bool = True) -> Iterator[str]:
    """What is written in rules, and the names of what they looked at."""
    for one in told:
        if heads:
            yield one.text
        for way in one.ways:
            for step in way.steps:
                yield step.text
                yield from (value.name for value in step.values)
                yield from _texts(step.because, heads=heads)


def _constants(told: Sequence[Told]) -> list[JsonValue]:
    """The numbers and texts that rules speak of, and those of the data that they read."""
    found: dict[str, JsonValue] = {}

    def add(value: JsonValue) -> None:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            found.setdefault(json.dumps(value), value)
        elif isinstance(value, list):
            for one in value[:20]:
                add(one)

    def walk(rules: Sequence[Told]) -> None:
        for one in rules:
            for way in one.ways:
                for step in way.steps:
                    for value in step.values:
                        if not value.name.startswith("input"):
                            for member in value.found:
                                add(member)
                    walk(step.because)

    walk(told)
    for text in _texts(told, heads=False):  # what a head says is a reason, and compared with nothing
        for literal in (*_NUMBER.findall(_TEXT.sub("", text)), *_TEXT.findall(text)):
            add(json.loads(literal))
    return list(found.values())


def _others(before: tuple[JsonValue, ...], constants: Sequence[JsonValue]) -> Iterator[tuple[JsonValue, ...]]:
    """What could stand instead, the nearest first."""
    numbers: list[int | float] = [one for one in constants if isinstance(one, int | float)]
    texts = [one for one in constants if isinstance(one, str)]
    lists: list[JsonValue] = [[text] for text in texts]
    if not before:
        yield from ((one,) for one in [*numbers, *texts, True, *lists])
        return
    match before[0]:
        case bool(value):
            yield (not value,)
        case int(value) | float(value):
            beside = {near for one in numbers for near in (one - 1, one, one + 1)} - {value}
            yield from ((one,) for one in sorted(beside, key=lambda one: abs(one - value)))
        case str(value):
            yield from ((one,) for one in texts if one != value)
            yield (ANOTHER,)
        case list(members):
            yield from (([*members, one],) for one in texts if one not in members)
            yield from (([one for one in members if one != gone],) for gone in members)
        case _:
            pass
    yield ()


def _get(document: JsonValue, path: Path) -> tuple[JsonValue, ...]:
    for step in path:
        if not isinstance(document, dict) or step not in document:
            return ()
        document = document[step]
    return (document,)


def _with(document: dict[str, JsonValue], path: Path, after: tuple[JsonValue, ...]) -> dict[str, JsonValue]:
    changed = copy.deepcopy(document)
    inner = changed
    for step in path[:-1]:
        below = inner.get(step)
        if not isinstance(below, dict):
            below = inner[step] = {}
        inner = below
    if after:
        inner[path[-1]] = after[0]
    else:
        inner.pop(path[-1], None)
    return changed


__all__ = ["ANOTHER", "Difference", "differences"]
