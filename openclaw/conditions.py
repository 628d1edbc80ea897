"""Conditions on the arguments of a call, as people write them: ``amount>100``, ``order=A-17``, ``note~urgent``.

A comparison with what is not there or was masked does not hold, whichever way it is put; nor does an order of unlike values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import JsonValue

from openclaw.audit.mask import is_mark
from openclaw.errors import ConfigurationError

_CONDITION = re.compile(r"([^=!<>~]+)(>=|<=|!=|==|=|>|<|~)(.*)", re.DOTALL)

Operator = Literal["==", "!=", ">", ">=", "<", "<=", "in", "not in"]


@dataclass(frozen=True, slots=True)
class ArgCondition:
    """One condition on an argument of a call: ``name`` may go down with dots; ``~`` asks for a text within it."""

    name: str
    operator: str
    wanted: JsonValue

    @classmethod
    def parse(cls, text: str) -> ArgCondition:
        """``amount>100``, ``order=A-17``, ``note~urgent``. What is JSON is compared as JSON, all else as text, also in ``'…'``.

        Raises:
            ConfigurationError: it is no condition.
        """
        found = _CONDITION.fullmatch(text)
        if found is None or not found.group(1).strip():
            raise ConfigurationError(
                f"`{text}` is no condition on an argument", hint="write NAME>100, NAME=TEXT or NAME~TEXT"
            )
        name, operator, said = found.group(1).strip(), found.group(2), found.group(3).strip()
        swapped = operator == "=" and said[:1] in ("<", ">")
        if swapped or (not said and operator not in ("=", "==", "!=")):
            meant = (
                f"write {name}{said[0]}={said[1:]}"
                if swapped
                else f"say what {name} is compared with: {name}{operator}100"
            )
            raise ConfigurationError(f"`{text}` is no condition on an argument", hint=meant)
        quoted = len(said) > 1 and said[0] == said[-1] == "'"
        wanted: JsonValue = said[1:-1] if quoted else said
        if operator != "~" and not quoted:
            try:
                wanted = json.loads(said)
            except (ValueError, RecursionError):
                wanted = said
        return cls(name, "==" if operator == "=" else operator, wanted)

    @property
    def needle(self) -> str:
        """A text that stands in every stored body that can meet it."""
        return f"{json.dumps(self.name.split('.')[0], ensure_ascii=False)}:"

    def meets(self, found: JsonValue) -> bool:
        """Whether a value of this argument meets it; None where the call has no such argument."""
        wanted = self.wanted
        if self.operator == "~":
            text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
            return found is not None and not is_mark(found) and str(wanted) in text
        # `--arg order=17` means the order "17" too: a shell knows no types.
        if isinstance(found, str) and not isinstance(wanted, str):
            wanted = json.dumps(wanted, ensure_ascii=False)
        return compares(cast("Operator", self.operator), found, wanted)

    def holds(self, args: Mapping[str, JsonValue]) -> bool:
        """Whether the arguments of a call meet it."""
        found: JsonValue = dict(args)
        for step in self.name.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        return self.meets(found)


def compares(operator: Operator, left: JsonValue, right: JsonValue) -> bool:
    """Whether a comparison holds."""
    if left is None or right is None or is_mark(left) or is_mark(right):
        return False  # Nobody knows what was masked: neither that it is something nor that it is not.
    match operator:
        case "==" | "!=":
            return (_equal(left, right)) is (operator == "==")
        case "in" | "not in":
            return _within(left, right) is (operator == "in")
        case _:
            return _ordered(operator, left, right)


def _equal(left: JsonValue, right: JsonValue) -> bool:
    # True is no 1 here.
    return left == right and isinstance(left, bool) is isinstance(right, bool)


def _within(left: JsonValue, right: JsonValue) -> bool:
    if isinstance(right, str):
        return isinstance(left, str) and left in right
    if isinstance(right, dict):
        return isinstance(left, str) and left in right
    return isinstance(right, list) and any(_equal(left, one) for one in right)


def _ordered(operator: Operator, left: JsonValue, right: JsonValue) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        order = (left > right) - (left < right)
    elif _is_number(left) and _is_number(right):
        one, other = cast("float", left), cast("float", right)
        order = (one > other) - (one < other)
    else:
        return False
    return {">": order > 0, ">=": order >= 0, "<": order < 0, "<=": order <= 0}[operator]


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


__all__ = ["ArgCondition", "Operator", "compares"]
