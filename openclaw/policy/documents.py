"""JSON as policies know it: no key twice, and nothing that is not JSON. YAML has a module of its own, imported where needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from openclaw.encoding import own_form


class BadDocument(ValueError):
    """What is wrong with a text, and where: 0 where that is not known."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class _Literal(float):
    """A number that is remembered as it was written."""

    text: str


def parse_json(text: str, *, literal: bool = False) -> object:
    """The value of a JSON text.

    Args:
        literal: numbers stay as they are written, for ``number_text``.

    Raises:
        ValueError: it is no JSON, names a key of an object twice, or is nested too deep.
    """

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError("an object names the same key twice")
        return fields

    def never(name: str) -> object:
        raise ValueError(f"`{name}` is not JSON")

    number: Callable[[str], object] | None = _literal if literal else None
    try:
        return json.loads(
            text,
            object_pairs_hook=once,
            parse_constant=never,
            parse_int=number,
            parse_float=number,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def number_text(value: object) -> str | None:
    """A number as it was written, where ``parse_json`` was told to remember; else None."""
    return value.text if isinstance(value, _Literal) else None


def _literal(text: str) -> _Literal:
    number = _Literal(0.0)  # Its text is all that is asked of it, and it may be larger than any float.
    number.text = text
    return number


def canonical_bytes(value: Mapping[str, object]) -> bytes:
    """``openclaw.canonical.canonical`` of an object that is JSON already, as nearly all here are: that takes long to import."""
    known = own_form(value)
    if known is not None:
        return known
    from openclaw.canonical import canonical

    return canonical(value)
