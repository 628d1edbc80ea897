"""The canonical bytes (RFC 8785) of JSON values that are in its domain, such as ``openclaw.canonical.plain`` returns."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import JsonValue

T = TypeVar("T")

CHUNK = 1 << 16
"""Characters of a long text that are encoded at a time."""

BATCH = 512
"""Members of a large container that are encoded at a time."""


def encode(value: JsonValue) -> bytes:
    """The RFC 8785 bytes of a JSON value that is already in the domain, such as ``plain`` returns."""
    quick = native(value)
    if quick is not None:
        return quick
    # The C encoder writes what RFC 8785 demands, but for the spelling of some numbers and the order of keys beyond the
    # basic plane; where the text might hold either, ``pieces`` writes it. Equal to a reference by a property test.
    text = with_room(_written, value)
    if _OTHER_NUMBERS.search(text) or not (text.isascii() or _in_basic_plane(text)):
        return with_room(_joined, value)
    return text.encode()


def native(value: object) -> bytes | None:
    """The same by the native extension, where it is built. None for what it leaves to us: floats, subclasses, large values."""
    return _native_encode()(value)


def own_form(value: object) -> bytes | None:
    """The same of a value that is its own ``canonical.plain``; None where that takes a closer look."""
    known = native(value)
    # A quote inside of a text has a backslash before it, so what is found is a key, or the text after another one in a list.
    return None if known is None or b'{"$' in known or b',"$' in known else known


@cache
def _native_encode() -> Callable[[object], bytes | None]:
    try:
        from openclaw import _native
    except ImportError:
        return lambda _: None
    return _native.Projection([[]]).canonical  # all of it is "read"


_written = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _joined(value: JsonValue) -> bytes:
    return b"".join(pieces(value))


_OTHER_NUMBERS = re.compile(r"(?:^|\":|[,\[])-?(?:[0-9]{16}|[0-9]+\.0(?:$|[,\]}])|[0-9.]+e)")
"""Integers that may be outside the domain, whole floats, and exponents: as numbers, or as texts that look like them."""


def pieces(value: JsonValue) -> Iterator[bytes]:
    """The bytes of ``encode`` one after another: a long text is never held a second time."""
    match value:
        case str():
            yield from _string(value)
        case dict():
            yield b"{"
            for at, key in enumerate(sorted(value, key=_utf16)):
                yield b"," if at else b""
                yield from _string(key)
                yield b":"
                yield from pieces(value[key])
            yield b"}"
        case list():
            yield b"["
            for at, item in enumerate(value):
                yield b"," if at else b""
                yield from pieces(item)
            yield b"]"
        case None | bool():
            yield b"null" if value is None else b"true" if value else b"false"
        case _:
            import rfc8785  # Where a number has to be spelt, which is not before the first decision.

            yield rfc8785.dumps(value)


def _string(text: str) -> Iterator[bytes]:
    if len(text) <= CHUNK:
        yield json.dumps(text, ensure_ascii=False).encode()
        return
    yield b'"'
    for at in range(0, len(text), CHUNK):
        yield json.dumps(text[at : at + CHUNK], ensure_ascii=False)[1:-1].encode()
    yield b'"'


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _in_basic_plane(text: str) -> bool:
    # Without surrogates, the order by code points is the order by UTF-16 units.
    return len(text.encode("utf-16-le")) == 2 * len(text)


def chunks(value: JsonValue) -> Iterator[bytes]:
    """The bytes of ``encode`` one after another, for a hash: ``pieces`` of what is large, and ``encode`` for what is not."""
    match value:
        case str() if len(value) > CHUNK:
            yield from _string(value)
        case list() if _outgrows(value, CHUNK):
            yield b"["
            for at in range(0, len(value), BATCH):
                yield b"," if at else b""
                yield from _open(value[at : at + BATCH])
            yield b"]"
        case dict() if _outgrows(value, CHUNK):
            keys = sorted(value, key=_utf16)
            yield b"{"
            for at in range(0, len(keys), BATCH):
                yield b"," if at else b""
                yield from _open({key: value[key] for key in keys[at : at + BATCH]})
            yield b"}"
        case _:
            yield encode(value)


def _open(part: list[JsonValue] | dict[str, JsonValue]) -> Iterator[bytes]:
    """Some members of a container, without its brackets."""
    if not _outgrows(part, CHUNK):
        yield encode(part)[1:-1]
        return
    for at, item in enumerate(part):
        yield b"," if at else b""
        if isinstance(part, dict):
            key = str(item)
            yield from _string(key)
            yield b":"
            yield from chunks(part[key])
        else:
            yield from chunks(item)


def _outgrows(value: JsonValue, limit: int) -> bool:
    """Whether a container has more than about ``limit`` characters; looks no further than that."""
    left, stack = limit, [value]
    while stack and left >= 0:
        item = stack.pop()
        if isinstance(item, str):
            left -= len(item)
        elif isinstance(item, list):
            left -= len(item)
            stack += item[: max(left, 0)]
        elif isinstance(item, dict):
            left -= len(item)
            stack += itertools.islice(item.values(), max(left, 0))
            left -= sum(map(len, itertools.islice(item, max(left, 0))))
        else:
            left -= 8
    return left < 0


def with_room(work: Callable[[Any], T], value: object) -> T:
    """Do what needs a few hundred frames of stack. A caller that stands too deep for them has it done by a new thread,
    which begins at the top: the form of a value does not depend on who asks."""
    try:
        return work(value)
    except RecursionError:
        done: list[T] = []
        thread = threading.Thread(target=lambda: done.append(work(value)))
        thread.start()
        thread.join()
        return done.pop()
