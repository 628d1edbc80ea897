"""What may stand where in a document: a JSON Schema, gone down step by step as a path of a policy goes down."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

from pydantic import JsonValue

from openclaw.policy.schemas import input_schema

_TYPES = {"integer": "number"}
"""JSON Schema's types that Rego does not tell apart, by its own name for them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be: one of these schemas. Without any of them, nothing is known and everything is possible."""

    options: tuple[Mapping[str, JsonValue], ...] = ()
    whole: Mapping[str, JsonValue] | None = None

    @classmethod
    def of(cls, schema: Mapping[str, JsonValue]) -> Shape:
        """The shape of the documents that a JSON Schema describes."""
        return cls(tuple(_options(schema, schema)), schema)

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.options)

    @property
    def types(self) -> frozenset[str]:
        """The types that it may have, in Rego's words: object, array, string, number, boolean, null; empty if unknown."""
        found = [option.get("type") for option in self.options]
        if not all(isinstance(kind, str) for kind in found):
            return frozenset()
        return frozenset(_TYPES.get(str(kind), str(kind)) for kind in found)

    @property
    def values(self) -> tuple[JsonValue, ...]:
        """All values that it can have, where there is a list of them; else empty."""
        lists = [option.get("enum", [option["const"]] if "const" in option else None) for option in self.options]
        if not lists or not all(isinstance(values, list) for values in lists):
            return ()
        return tuple(value for values in lists for value in cast("list[JsonValue]", values))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its parts, where it is an object that has no others, or nothing that has parts; else empty."""
        options = [option for option in self.options if option.get("type") != "null"]
        if not self.known or any(_is_open(option) for option in options):
            return ()
        return tuple(dict.fromkeys(name for option in options for name in _properties(option)))

    def requires(self, name: str) -> bool:
        """Whether this part is always there."""
        return self.known and all(
            name in cast("list[JsonValue]", option.get("required", [])) for option in self.options
        )

    def part(self, key: str | int | None) -> Shape | None:
        """What stands at a key, None for one that is computed; no shape at all where nothing can stand there."""
        if not self.known:
            return UNKNOWN
        found = [below for option in self.options for below in self._below(option, key)]
        if not found:
            return None
        options = [one for below in found for one in _options(below, self.whole or {})]
        return Shape(tuple(options), self.whole) if all(options) else UNKNOWN

    def _below(self, option: Mapping[str, JsonValue], key: str | int | None) -> Iterator[Mapping[str, JsonValue]]:
        kind = option.get("type")
        if not option or kind is None:
            yield {}
        elif kind == "array":
            if not isinstance(key, str):
                yield _schema(option.get("items", {}))
        elif kind == "set":
            yield {}
        elif kind == "object" and not isinstance(key, int):
            properties = _properties(option)
            more = option.get("additionalProperties", True)
            if key is not None and key in properties:
                yield _schema(properties[key])
            elif key is None and properties:
                yield {}
            elif _is_open(option):
                yield {} if isinstance(more, bool) else _schema(more)

    def near(self, name: str) -> str:
        """The part that a misspelt name may mean, as a path such as ``principal.roles``; empty where there is none."""
        close = difflib.get_close_matches(name, self.names, n=1, cutoff=0.6)
        if close:
            return close[0]
        deeper = [(*path, name) for path, shape in self._inside() if name in shape.names]
        return ".".join(deeper[0]) if deeper else ""

    def _inside(self) -> Iterator[tuple[tuple[str, ...], Shape]]:
        for name in self.names:
            below = self.part(name)
            if below is not None and below.names:
                yield (name,), below


UNKNOWN = Shape()
"""The shape of a value of which nothing is known."""


@cache
def input_shape() -> Shape:
    """The shape of the policy input."""
    return Shape.of(input_schema())


def _options(schema: Mapping[str, JsonValue], whole: Mapping[str, JsonValue]) -> Iterator[Mapping[str, JsonValue]]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        at: JsonValue = cast("dict[str, JsonValue]", whole)
        for part in reference.removeprefix("#/").split("/"):
            at = at[part] if isinstance(at, dict) else {}
        yield from _options(_schema(at), whole)
        return
    choices = schema.get("anyOf")
    if isinstance(choices, list):
        for choice in choices:
            yield from _options(_schema(choice), whole)
        return
    yield schema


def _schema(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _properties(option: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    return _schema(option.get("properties", {}))


def _is_open(option: Mapping[str, JsonValue]) -> bool:
    """Whether an option takes parts that it does not name."""
    return option.get("type") != "object" or option.get("additionalProperties", True) is not False
