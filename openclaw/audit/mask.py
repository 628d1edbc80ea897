"""Masking before anything is stored: what is masked becomes a keyed digest, so that equal values can still be matched.

Forms in the log, none of which an agent can write itself (``canonical.plain`` writes a mapping with such a key as ``$map``):

    {"$masked": "hmac-sha256:…"}                     a value of any type
    "… [$masked hmac-sha256:…] …"                    a part of a text
    {"$sealed": {"subject": …, "key": …, …}}         a value under the key of a person (see ``openclaw.audit.subjects``)
    {"$large": {"digest": …, "chars": …, "head": …}} a text too long to be stored, by digest and head
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Sequence

from pydantic import JsonValue

from openclaw.encoding import CHUNK, chunks, encode

MASKED = "$masked"
SEALED = "$sealed"
LARGE = "$large"

_MARKS = tuple(frozenset((mark,)) for mark in (MASKED, SEALED, LARGE))
_IN_TEXT = re.compile(r"\[\$masked (?:hmac-sha256:[0-9a-f]{64}|failed)\]")

FAILED = "[$masked failed]"
"""What stands for a text whose masking failed."""


def keyed_digest(value: JsonValue, key: bytes) -> str:
    """``hmac-sha256:`` and the hex HMAC-SHA-256 of the canonical bytes: numbers and booleans are covered like text."""
    if not isinstance(value, str | list | dict) or (isinstance(value, str) and len(value) <= CHUNK):
        return "hmac-sha256:" + hmac.digest(key, encode(value), "sha256").hex()
    fold = hmac.new(key, digestmod="sha256")
    for piece in chunks(value):
        fold.update(piece)
    return "hmac-sha256:" + fold.hexdigest()


def mark(value: JsonValue, key: bytes) -> JsonValue:
    """``{"$masked": …}`` for a value; one that is hidden already stays as it is."""
    return value if is_mark(value) else {MASKED: keyed_digest(value, key)}


def mark_in_text(text: str, key: bytes) -> str:
    """What stands for ``text`` inside a longer text."""
    return f"[$masked {keyed_digest(text, key)}]"


def is_mark(value: JsonValue) -> bool:
    """Whether a stored value stands for another one that is not there."""
    return isinstance(value, dict) and len(value) == 1 and frozenset(value) in _MARKS


def hides(value: JsonValue) -> bool:
    """Whether anything in a stored value is not what it was: masked, sealed, or too large to be kept."""
    if isinstance(value, str):
        return "[$masked " in value and _IN_TEXT.search(value) is not None
    if isinstance(value, dict):
        return is_mark(value) or any(map(hides, value.values())) or any(map(hides, value))
    return isinstance(value, list) and any(map(hides, value))


def mask(document: dict[str, JsonValue], fields: Iterable[str], key: bytes) -> dict[str, JsonValue]:
    """A copy of ``document`` in which each of ``fields`` is ``{"$masked": "hmac-sha256:…"}``; the original stays as it is.

    Args:
        document: a policy input.
        fields: dotted paths such as ``tool.args.iban``; ``args.iban`` is short for it; ``*`` matches any key or index.
        key: the secret of the digest.

    A path that matches nothing masks nothing: the value is not there to be stored.
    """
    return replace(document, fields, lambda value: mark(value, key))


def replace(
    document: dict[str, JsonValue], fields: Iterable[str], by: Callable[[JsonValue], JsonValue]
) -> dict[str, JsonValue]:
    """A copy of ``document`` in which the value of each of ``fields`` went through ``by``. The paths are those of ``mask``."""
    replaced: JsonValue = document
    for path in fields:
        replaced = _replaced(replaced, steps_of(path), by)
    assert isinstance(replaced, dict)
    return replaced


def steps_of(path: str) -> list[str]:
    """The steps of a path of the policy input; ``args`` is short for ``tool.args``."""
    steps = path.split(".")
    return ["tool", *steps] if steps[0] == "args" else steps


def at(document: JsonValue, path: str) -> JsonValue:
    """What stands at a path without ``*``; None where nothing does."""
    for step in steps_of(path):
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _replaced(value: JsonValue, steps: Sequence[str], by: Callable[[JsonValue], JsonValue]) -> JsonValue:
    if not steps:
        return by(value)
    if is_mark(value):
        return value
    step, *rest = steps
    if isinstance(value, dict):
        return {name: _replaced(item, rest, by) if step in ("*", name) else item for name, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, rest, by) if step in ("*", str(at)) else item for at, item in enumerate(value)]
    return value


__all__ = [
    "FAILED",
    "LARGE",
    "MASKED",
    "SEALED",
    "at",
    "hides",
    "is_mark",
    "keyed_digest",
    "mark",
    "mark_in_text",
    "mask",
    "replace",
    "steps_of",
]
