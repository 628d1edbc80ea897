"""Redaction: what is cut from a result before a model sees it.

A field is cut by its path: ``result.rows.*.iban`` removes the member ``iban`` of every row, ``result`` is all of it. Where
a text stands in the way of a path, nobody can say whether the field is in it, and the text is cut. A text is cut wherever it
stands, in values and in keys. Which texts these are is the policy's to find, with the regular expressions of its engine,
which take time linear in the text; nothing is matched here but the texts themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

REDACTED = "[redacted]"
"""What stands in the place of a text that was cut, unless the policy says otherwise."""

ROOT = "result"


@dataclass(frozen=True, slots=True)
class Redaction:
    """What to cut: fields by path, and texts with what stands in their place."""

    fields: tuple[str, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.texts)

    def __add__(self, other: Redaction) -> Redaction:
        return Redaction(self.fields + other.fields, self.texts + other.texts)

    def cut(self, value: JsonValue) -> JsonValue:
        """``value`` without what is to be cut; the original stays as it is."""
        for path in self.fields:
            steps = path.split(".")[1:]
            value = _without(value, steps) if steps else REDACTED
        if self.texts:
            # Of two things to stand in one place, the longer text's does: the same whatever the order they came in.
            instead = dict(sorted(self.texts, key=lambda pair: (len(pair[0]), pair)))
            value = _replaced(value, instead)
        return value


def _without(value: JsonValue, steps: Sequence[str]) -> JsonValue:
    step, *rest = steps
    if isinstance(value, dict):
        return {
            key: _without(item, rest) if rest and step in ("*", key) else item
            for key, item in value.items()
            if rest or step not in ("*", key)
        }
    if isinstance(value, list):
        return [
            _without(item, rest) if rest and step in ("*", str(at)) else item
            for at, item in enumerate(value)
            if rest or step not in ("*", str(at))
        ]
    return REDACTED if isinstance(value, str) and value else value


def _replaced(value: JsonValue, instead: Mapping[str, str]) -> JsonValue:
    if isinstance(value, str):
        return _purged(value, instead)
    if isinstance(value, dict):
        return {_purged(key, instead): _replaced(item, instead) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, instead) for item in value]
    return value


def _purged(text: str, instead: Mapping[str, str]) -> str:
    """``text`` without the texts: where some overlap, all that they cover goes."""
    spans = sorted((span for wanted in instead for span in _found(text, wanted)), key=lambda span: (span[0], -span[1]))
    if not spans:
        return text
    parts: list[str] = []
    upto = 0
    for start, end, wanted in spans:
        if start >= upto:
            parts += [text[upto:start], instead[wanted]]
        upto = max(upto, end)
    return "".join((*parts, text[upto:]))


def _found(text: str, wanted: str) -> Iterator[tuple[int, int, str]]:
    at = text.find(wanted)
    while at >= 0:
        yield at, at + len(wanted), wanted
        at = text.find(wanted, at + len(wanted))


__all__ = ["REDACTED", "ROOT", "Redaction"]
