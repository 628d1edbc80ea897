"""Conditions that stand before everything else in a rule, so that the rest is not even looked at where they fail.

    deny contains sprintf("%v is too much", [input.tool.args.amount]) if {
        input.tool.name == "refund"             a guard of all that follows in the body, and of the head
        input.tool.args.amount > 500
    }

Found is what can be told from the text beyond doubt: comparisons of a path of the input with constants, one after the other
at the start of a body in braces. Engines evaluate them in this order, because no variable is involved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from openclaw.policy.scan import Token

if TYPE_CHECKING:
    from pydantic import JsonValue

_OPENING = {"[": "]", "{": "}"}
# A line that starts with one of these goes on with the statement before it.
_GOES_ON = frozenset({"with", "in", "if", "else", "as", "contains"})


class Guard(NamedTuple):
    """What the input must say at ``path``: one of ``values``, or, where it is a list, all of them (``among``)."""

    path: tuple[str, ...]
    values: frozenset[str]
    among: bool = False

    def holds(self, document: Mapping[str, JsonValue]) -> bool:
        """Whether it holds for an input."""
        value: object = document
        for key in self.path:
            value = value.get(key) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if self.among:
            members = list(value.values()) if isinstance(value, dict) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
            return isinstance(members, list) and all(it in members for it in self.values)
        return isinstance(value, str) and value in self.values


class Guarded(NamedTuple):
    """Tokens that are evaluated only where all ``guards`` hold, by their index."""

    tokens: range
    guards: tuple[Guard, ...]


def guarded(tokens: Sequence[Token]) -> Iterator[Guarded]:
    """The guarded parts of a file. A part of a body is named again for each guard that it stands behind."""
    for at in range(len(tokens) - 1):
        if tokens[at].text != "if" or tokens[at].kind != "name" or (at and tokens[at - 1].text == "."):
            continue
        if tokens[at + 1].text != "{":
            continue
        end = _end(tokens, at + 1)
        found: list[Guard] = []
        start = at + 2
        while (read := _guard(tokens, start, end)) is not None:
            guard, start = read
            found.append(guard)
            yield Guarded(range(start, end), tuple(found))
        if found and (head := _head(tokens, at)) is not None:
            yield Guarded(range(head, at), tuple(found))


def _end(tokens: Sequence[Token], at: int) -> int:
    """The index of the bracket that closes the one at ``at``."""
    depth = tokens[at].depth
    return next((it for it in range(at + 1, len(tokens)) if tokens[it].depth == depth and tokens[it].text in ")]}"), at)


def _guard(tokens: Sequence[Token], at: int, end: int) -> tuple[Guard, int] | None:
    """The guard that starts at ``at``, and where the next statement does."""
    for read in (_path_then_values, _value_then_path):
        found = read(tokens, at, end)
        if found is None:
            continue
        guard, after = found
        if after == end:
            return guard, after
        if tokens[after].text == ";":
            return guard, after + 1
        starts = tokens[after].first and tokens[after].kind != "mark" and tokens[after].text not in _GOES_ON
        return (guard, after) if starts else None
    return None


def _path_then_values(tokens: Sequence[Token], at: int, end: int) -> tuple[Guard, int] | None:
    path, at = _path(tokens, at, end)
    if path is None or at >= end:
        return None
    operator = tokens[at].text
    if operator == "==":
        text = _text(tokens[at + 1]) if at + 1 < end else None
        return (Guard(path, frozenset([text])), at + 2) if text is not None else None
    if operator == "in" and at + 1 < end and tokens[at + 1].text in _OPENING:
        values, at = _values(tokens, at + 1, end)
        return (Guard(path, values), at) if values else None
    return None


def _value_then_path(tokens: Sequence[Token], at: int, end: int) -> tuple[Guard, int] | None:
    text = _text(tokens[at]) if at + 1 < end else None
    if text is None or tokens[at + 1].text not in {"==", "in"}:
        return None
    path, after = _path(tokens, at + 2, end)
    return (Guard(path, frozenset([text]), tokens[at + 1].text == "in"), after) if path is not None else None


def _path(tokens: Sequence[Token], at: int, end: int) -> tuple[tuple[str, ...] | None, int]:
    """``input.tool.name``, written with dots alone."""
    if at >= end or tokens[at].text != "input":
        return None, at
    keys: list[str] = []
    at += 1
    while at + 1 < end and tokens[at].text == "." and not tokens[at].spaced and not tokens[at + 1].spaced:
        keys.append(tokens[at + 1].text)
        at += 2
    return (tuple(keys), at) if keys else (None, at)


def _values(tokens: Sequence[Token], at: int, end: int) -> tuple[frozenset[str], int]:
    """The texts of ``{"a", "b"}`` or ``["a", "b"]``, and the index after it; none where there is anything else in it."""
    close = _end(tokens, at)
    inside = tokens[at + 1 : close]
    texts = [_text(token) for token in inside[::2]]
    plain = tokens[close].text == _OPENING[tokens[at].text] and all(it.text == "," for it in inside[1::2])
    if close > end or not plain or not texts:
        return frozenset(), close + 1
    return frozenset(it for it in texts if it is not None) if None not in texts else frozenset(), close + 1


def _text(token: Token) -> str | None:
    if token.kind != "text" or not token.text.startswith('"') or "\\" in token.text:
        return None
    return str(json.loads(token.text))


def _head(tokens: Sequence[Token], at: int) -> int | None:
    """Where the head of the rule starts whose ``if`` is at ``at``, where nothing else can stand between the two.

    That is so for ``name contains`` and one term: a text, a name with or without brackets after it, or brackets.
    """
    level = tokens[at].depth
    start = next((it for it in range(at - 1, -1, -1) if tokens[it].first and tokens[it].depth == level), None)
    if start is None or tokens[start].kind != "name":
        return None
    after = start + 1
    while after + 1 < at and tokens[after].text == "." and tokens[after + 1].kind == "name":
        after += 2
    if tokens[after].text != "contains":
        return None
    term = after + 1
    if tokens[term].kind == "name":
        while term + 2 < at and tokens[term + 1].text == "." and tokens[term + 2].kind == "name":
            term += 2
        if term + 1 < at and tokens[term + 1].text in "([" and not tokens[term + 1].spaced:
            term = _end(tokens, term + 1)
    elif tokens[term].text in _OPENING:
        term = _end(tokens, term)
    elif tokens[term].kind != "text":
        return None
    return start if term + 1 == at else None
