"""Values to try for an argument: where a rule could change its mind.

They come from the parameter's JSON Schema (``enum``, bounds, ``default``, ``examples``) and from the constants that stand in
the rules which read the argument, and in the data: each number with its neighbours, each text by itself and with something
after it or before it. A parameter of which all values are known is ``finite``: then trying is proving.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TypeAlias, TypeVar, cast

from pydantic import JsonValue

from openclaw.policy.agents import Schema, ToolSpec
from openclaw.policy.bundle import DECISION_FILE, Bundle
from openclaw.policy.reads import InputPath, Reads
from openclaw.policy.scan import Token, tokens_of

SAMPLES_MAX = 200
"""Values that are tried for one argument."""

FINITE_MAX = 64
"""A parameter with more values than these is not tried out."""

DEPTH_MAX = 6
"""Levels of schemas inside of schemas."""

_FORMATS = {
    "date": "2026-11-23",
    "date-time": "2026-11-23T10:00:00Z",
    "email": "ann@example.com",
    "uri": "https://www.example.com/",
    "uuid": "0b6ff0f2-8a4c-4f0e-9a52-6d5e5f3f1c11",
}
_STEP = 0.01
_AROUND_MAX = 12
_HOST = re.compile(r"[a-z0-9.-]+\.[a-z]{2,}", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class Absent:
    """An argument that is not there; there is one of it, ``ABSENT``."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()

Value: TypeAlias = "JsonValue | Absent"


@dataclass(frozen=True, slots=True)
class Samples:
    """Values of one argument, the most ordinary first. ``finite``: it has no others."""

    values: tuple[Value, ...]
    finite: bool


@dataclass(frozen=True, slots=True)
class Constants:
    """Numbers and texts that rules may compare an argument with, the likeliest first."""

    numbers: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(slots=True)
class Mine:
    """The constants of a bundle: those of each block of rules, and those of the data with the keys that lead to them."""

    _blocks: list[tuple[str, range, Constants]] = field(default_factory=list[tuple[str, range, Constants]])
    _data: list[tuple[tuple[str, ...], JsonValue]] = field(default_factory=list[tuple[tuple[str, ...], JsonValue]])

    @classmethod
    def of(cls, bundle: Bundle) -> Mine:
        """Everything that stands in the policies and data of ``bundle``, but for its combining rules."""
        mine = cls()
        for module in bundle.modules:
            if module.path != DECISION_FILE:
                mine._blocks += ((module.shown, *block) for block in _blocks(tokens_of(module.text)))
        mine._data = [*_scalars(cast("JsonValue", json.loads(bundle.data)), ())]
        return mine

    def near(self, reads: Reads, path: InputPath, *words: str) -> Constants:
        """What is worth trying at ``path``: first what stands beside a place that reads it, then what the data has under
        one of ``words``, then the rest."""
        places = {
            (place.file, place.line)
            for place in reads.places
            if all(one == other for one, other in zip(place.path, path, strict=False))
        }
        beside = [
            found for file, lines, found in self._blocks if any(file == name and line in lines for name, line in places)
        ]
        rest = [found for _, _, found in self._blocks]
        named = [value for keys, value in self._data if set(words) & set(keys)]
        data = [*named, *(value for _, value in self._data), *(key for keys, _ in self._data for key in keys[-1:])]
        # By turns: a rule may name what it compares with itself, or find it in the data.
        return Constants(
            numbers=_unique(
                [
                    *_by_turns(chain(*(it.numbers for it in beside)), _numbers(data)),
                    *chain(*(it.numbers for it in rest)),
                ]
            ),
            texts=_unique(
                [*_by_turns(chain(*(it.texts for it in beside)), _texts(data)), *chain(*(it.texts for it in rest))]
            ),
        )


def ordinary_text(name: str) -> str:
    """What stands for all texts that no rule names, as a value of the argument ``name``; another for each argument."""
    return f"some {name}"


def samples_of(tool: ToolSpec, name: str, constants: Constants) -> Samples:
    """Values to try for the parameter ``name`` of ``tool``; also for one that it does not have, where anything may come."""
    schema = tool.parameters.get(name)
    chosen = _Chooser(constants, tool.definitions, ordinary_text(name)).of(schema or {}, DEPTH_MAX)
    values: list[Value] = [*chosen.values] if chosen.finite else [*chosen.values[:SAMPLES_MAX]]
    if not tool.validated:
        strange: list[Value] = [ABSENT, None, "", ordinary_text(name), 0, True, [], {}]
        return Samples(_unique([*([ABSENT] if schema is None else []), *values, *strange]), finite=False)
    # Defaults are filled in before a policy sees the arguments.
    if name not in tool.required and "default" not in (schema or {}):
        values.append(ABSENT)
    return Samples(_unique(values), finite=chosen.finite)


# -- constants -----------------------------------------------------------------------------------------------------------


def _blocks(tokens: tuple[Token, ...]) -> Iterator[tuple[range, Constants]]:
    """Lines that belong together, and what stands in them: each begins with a name at the start of a line."""
    starts = [at for at, it in enumerate(tokens) if it.first and it.kind == "name" and not it.depth]
    for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
        block = tokens[start:end]
        if block[0].text in {"package", "import"}:
            continue
        numbers: list[float] = []
        texts: list[str] = []
        for at, token in enumerate(block):
            if token.kind == "number" and _NUMBER.fullmatch(token.text):
                sign = -1 if at and block[at - 1].text == "-" else 1
                numbers.append(sign * float(token.text))
            elif token.kind == "text" and not (at and block[at - 1].text == "contains" and not token.depth):
                texts += _said(token)  # What follows `contains` in a head is a reason.
        yield range(block[0].line, block[-1].line + 1), Constants(tuple(map(_whole, numbers)), tuple(texts))


def _said(token: Token) -> list[str]:
    if token.text.startswith("`"):
        return [token.text[1:-1]]
    try:
        return [str(json.loads(token.text))] if token.text.startswith('"') else []
    except ValueError:
        return []


def _scalars(value: JsonValue, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], JsonValue]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _scalars(below, (*keys, key))
    elif isinstance(value, list):
        for below in value:
            yield from _scalars(below, keys)
    else:
        yield keys, value


def _numbers(values: Iterable[JsonValue]) -> list[float]:
    return [_whole(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def _texts(values: Iterable[JsonValue]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


_V = TypeVar("_V")


def _by_turns(*several: Iterable[_V]) -> Iterator[_V]:
    for turn in zip_longest(*several):
        yield from (value for value in turn if value is not None)


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


def _unique(values: Iterable[_V]) -> tuple[_V, ...]:
    """Each value once, in order; ``True`` and ``1`` are two."""
    return tuple({"" if isinstance(value, Absent) else json.dumps(value): value for value in values}.values())


# -- schemas -------------------------------------------------------------------------------------------------------------


class _Chooser:
    """Chooses values that fit a schema."""

    def __init__(self, constants: Constants, definitions: Schema, ordinary: str) -> None:
        self._constants = constants
        self._ordinary = ordinary
        self._definitions = definitions

    def of(self, schema: Schema, depth: int) -> Samples:
        """Values of this schema; none where ``depth`` is used up."""
        schema = self._resolved(schema)
        first: list[JsonValue] = [schema["default"]] if "default" in schema else []
        examples = schema.get("examples")
        first += examples if isinstance(examples, list) else []
        if "const" in schema:
            return Samples((schema["const"],), finite=True)
        enum = schema.get("enum")
        if isinstance(enum, list):
            return Samples(_unique([*(it for it in first if it in enum), *enum]), finite=True)
        parts = [self._of_kind(kind, schema, depth) for kind in _kinds(schema)]
        for word in ("anyOf", "oneOf", "allOf"):
            branches = schema.get(word)
            if isinstance(branches, list):
                parts = [
                    self.of(it, depth - 1) if isinstance(it, dict) and depth else Samples((), finite=False)
                    for it in branches
                ]
        values: list[Value] = [*first, *chain(*(part.values for part in parts))]
        return Samples(_unique(values), finite=all(part.finite for part in parts))

    def _resolved(self, schema: Schema) -> Schema:
        named = schema.get("$ref")
        found = self._definitions.get(named.rsplit("/", 1)[-1]) if isinstance(named, str) else None
        return (
            {**found, **{key: it for key, it in schema.items() if key != "$ref"}} if isinstance(found, dict) else schema
        )

    def _of_kind(self, kind: str, schema: Schema, depth: int) -> Samples:
        match kind:
            case "null":
                return Samples((None,), finite=True)
            case "boolean":
                return Samples((False, True), finite=True)
            case "integer" | "number":
                return self._numbers(schema, whole=kind == "integer")
            case "string":
                return self._texts(schema)
            case "array":
                return self._arrays(schema, depth)
            case _:
                return self._objects(schema, depth)

    def _numbers(self, schema: Schema, *, whole: bool) -> Samples:
        low, high = _bound(schema, "minimum", 1, whole=whole), _bound(schema, "maximum", -1, whole=whole)
        if whole and low is not None and high is not None and 0 <= high - low < FINITE_MAX:
            return Samples(tuple(range(int(low), int(high) + 1)), finite=True)
        near = [1] if whole else [1, _STEP]
        found: list[float] = [1, *(it for it in (low, high) if it is not None), 0, -1]
        for number in self._constants.numbers:
            found += [number, *(number + step for step in near), *(number - step for step in near)]
        found += [1_000_000_000]
        fitting = (
            _whole(round(it, 6))
            for it in found
            if (low is None or it >= low) and (high is None or it <= high) and (not whole or it == int(it))
        )
        return Samples(_unique(fitting), finite=False)

    def _texts(self, schema: Schema) -> Samples:
        said, constants = schema.get("format"), self._constants.texts
        found = [*([_FORMATS[said]] if isinstance(said, str) and said in _FORMATS else []), self._ordinary]
        found += [it for text in constants for it in (text, *_inside(text))]
        found += [it for text in constants[:_AROUND_MAX] for it in _around(text)]
        found += [""]
        fitting = [text for text in found if _fits(text, schema)]
        return Samples(_unique(fitting or found[:1]), finite=False)

    def _arrays(self, schema: Schema, depth: int) -> Samples:
        items = schema.get("items")
        inner = self.of(items if isinstance(items, dict) else {}, depth - 1).values if depth else ()
        members = [cast("JsonValue", it) for it in inner]
        found: list[JsonValue] = [[it] for it in members]
        found[1:1] = [[], members[:2]] if len(members) > 1 else [[]]
        least = schema.get("minItems")
        return Samples(
            _unique(
                [it for it in found if len(cast("list[JsonValue]", it)) >= (least if isinstance(least, int) else 0)]
            ),
            finite=False,
        )

    def _objects(self, schema: Schema, depth: int) -> Samples:
        fields = schema.get("properties")
        if not depth or not isinstance(fields, dict):
            return Samples(({},), finite=False)
        parts = {name: self.of(it, depth - 1).values for name, it in fields.items() if isinstance(it, dict)}
        base = {name: cast("JsonValue", values[0]) for name, values in parts.items() if values}
        found: list[JsonValue] = [base]
        for name, values in parts.items():
            found += [{**base, name: cast("JsonValue", value)} for value in values[1:]]
        required = schema.get("required")
        named = cast("list[object]", required) if isinstance(required, list) else []
        found += [{key: it for key, it in base.items() if key != name} for name in base if name not in named]
        return Samples(_unique(found), finite=False)


def _inside(text: str) -> list[str]:
    """What lies inside of a folder, or at a host."""
    if _HOST.fullmatch(text):
        return [f"https://{text.lstrip('.')}/x"]
    return [f"{text.rstrip('/')}/x"] if text.startswith("/") else []


def _around(text: str) -> list[str]:
    """Texts near one: what starts or ends with it, or holds it as a word, and other ways of writing it."""
    return [f"{text}x", f"{text} x", f"x{text}", text.upper(), text.lower()]


def _kinds(schema: Schema) -> list[str]:
    """The types of a schema; where it names none, those that an argument is likely to have."""
    said = schema.get("type")
    if isinstance(said, list):
        return [str(it) for it in said]
    if isinstance(said, str):
        return [said]
    return ["object"] if "properties" in schema else ["string", "integer", "boolean", "null", "array", "object"]


def _bound(schema: Schema, word: str, towards: int, *, whole: bool) -> float | None:
    """A bound of a number; an exclusive one as the next number inside of it."""
    plain, exclusive = schema.get(word), schema.get(f"exclusive{word.capitalize()}")
    if isinstance(exclusive, int | float) and not isinstance(exclusive, bool):
        return _whole(exclusive) + towards * (1 if whole else _STEP)
    return _whole(plain) if isinstance(plain, int | float) and not isinstance(plain, bool) else None


def _fits(text: str, schema: Schema) -> bool:
    least, most, pattern = (schema.get(word) for word in ("minLength", "maxLength", "pattern"))
    if (isinstance(least, int) and len(text) < least) or (isinstance(most, int) and len(text) > most):
        return False
    try:
        return not isinstance(pattern, str) or re.search(pattern, text) is not None
    except re.error:  # ECMA's patterns are not quite Python's.
        return True
