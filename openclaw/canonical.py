"""Canonical bytes and digests for every value that an agent can produce.

``plain`` turns any Python value into a JSON value inside the domain of RFC 8785 (JCS); ``canonical`` gives the bytes.
Values outside that domain get one tagged form, an object with a single key that starts with ``$``:

    {"$int": "9007199254740993"}     an integer beyond ±(2^53 - 1)
    {"$float": "NaN"}                NaN, Infinity, -Infinity, and floats beyond ±(2^53 - 1), such as "1e+300"
    {"$decimal": "1.10"}             Decimal
    {"$bytes": "aGk="}               bytes, bytearray, memoryview: base64
    {"$text": "…"}                   a string with lone surrogates: base64 of its UTF-8 with surrogatepass
    {"$time": "…Z"}                  datetime (UTC), date, time, timedelta: ISO 8601
    {"$set": […]}                    set, frozenset: sorted by canonical bytes
    {"$map": [[k, v], …]}            a mapping whose keys are not all plain strings, sorted by canonical key
    {"$cycle": n}                    a reference to the container n levels up
    {"$deep": "sha256:…"}            what lies below 64 levels, or beyond a million items, by digest of its content
    {"$object": "mod.Name", …}       anything else, by its type and its public state or text

A mapping with a key that starts with ``$`` is itself written as ``$map``, so that no value can pose as another's tag.

Values are foreign code: their ``repr``, their properties and even their ``__class__`` may raise. What cannot be read is
recorded as that; nothing is consumed (an iterator stays as it was), and no value takes more than linear time.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import itertools
import math
import numbers
import re
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel

from openclaw.encoding import CHUNK, chunks, encode, with_room

if TYPE_CHECKING:
    from pydantic import JsonValue

T = TypeVar("T")

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64
MAX_ITEMS = 1_000_000
"""Members of containers, all in all, that are written out. A value with shared parts can have more than fit anywhere."""


def canonical(value: object) -> bytes:
    """The RFC 8785 bytes of ``plain(value)``: equal values give equal bytes, on every machine."""
    return encode(plain(value))


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is known of a value without it. ``digest`` is ``sha256:`` and hex over its canonical bytes, ``size`` their count.

    ``value`` is its plain form; ``small`` says whether it has at most as many bytes as was asked.
    """

    digest: str
    size: int
    value: JsonValue
    small: bool


def fingerprint(value: object, *, small: int = 0) -> Fingerprint:
    """Digest and size of the canonical bytes of ``value``, computed without holding them."""
    quick = _native_fingerprint(value)
    if quick is not None:
        form, hexed, size = quick
        return Fingerprint("sha256:" + hexed, size, form, size <= small)
    form = plain(value)
    digested, size = with_room(_digested, form)
    return Fingerprint("sha256:" + digested, size, form, size <= small)


def _digested(value: JsonValue) -> tuple[str, int]:
    fold, size = hashlib.sha256(), 0
    for piece in chunks(value):
        fold.update(piece)
        size += len(piece)
    return fold.hexdigest(), size


def digest(value: object) -> str:
    """``sha256:`` and the hex digest of the canonical bytes of ``value``."""
    return fingerprint(value).digest


# Any value, as JSON -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Room:
    """How many members may still be written out, and the digests of what is not."""

    left: int = MAX_ITEMS
    known: dict[int, bytes] = dataclasses.field(default_factory=dict[int, bytes])
    held: list[object] = dataclasses.field(default_factory=list[object])  # an identity holds while its object lives


def plain(value: object) -> JsonValue:
    """``value`` as JSON inside the domain of RFC 8785, with the tagged forms above. Never raises."""
    # Most that stand alone are these.
    kind = type(value)
    if value is None or kind is bool or (kind is str and cast("str", value).isascii()):
        return cast("JsonValue", value)
    if kind is int:
        return _integer(cast("int", value))
    quick = _native_plain(value)
    return quick if quick is not None else with_room(_plain_of, value)


def _chosen() -> tuple[Callable[[object], JsonValue], Callable[[object], tuple[JsonValue, str, int] | None]]:
    """The same by the native extension, where it is built. None for what it leaves to us: all that is not JSON as it stands."""
    try:
        from openclaw._native import fingerprint as native_fingerprint
        from openclaw._native import plain as native_plain
    except ImportError:  # not built, or built before it could do this
        return lambda _: None, lambda _: None
    return native_plain, native_fingerprint


_native_plain, _native_fingerprint = _chosen()


def _plain_of(value: object) -> JsonValue:
    return _plain(value, (), _Room())


def _plain(value: object, above: tuple[int, ...], room: _Room) -> JsonValue:
    # By exact type first: for these no foreign code runs. Everything else is asked with care.
    kind = type(value)
    if kind is str:
        text = cast("str", value)
        return text if text.isascii() else _text(text)
    if value is None or kind is bool:
        return cast("JsonValue", value)
    if kind is int:
        return _integer(cast("int", value))
    if kind is float:
        return _float(cast("float", value))
    if kind is dict:
        return _inside(value, above, room, _mapping)
    if kind is list or kind is tuple:
        return _inside(value, above, room, _sequence)
    try:
        return _foreign(value, above, room)
    except RecursionError:
        raise
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises, the record must not be lost
        return _unreadable(value, error)


def _inside(
    value: object,
    above: tuple[int, ...],
    room: _Room,
    write: Callable[[Any, tuple[int, ...], _Room], JsonValue],
) -> JsonValue:
    """A container, by ``write``, unless it is one that we are in, too deep, or too much."""
    if id(value) in above:
        return {"$cycle": len(above) - above.index(id(value))}
    if len(above) >= MAX_DEPTH or room.left <= 0:
        return _deep(value, room)
    return write(value, (*above, id(value)), room)


def _foreign(value: object, above: tuple[int, ...], room: _Room) -> JsonValue:
    """Subclasses by the state of their base, which runs none of their code; everything else by asking it."""
    # Enums come before str and int, since some of them are both.
    if isinstance(value, enum.Enum):
        return _plain(value.value, above, room)
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, int):
        return _integer(int.__int__(value))
    if isinstance(value, float):
        return _float(float.__float__(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(bytes(cast("bytes", value))).decode()}
    for kind, write in _CONTAINERS:
        if isinstance(value, kind):
            return _inside(value, above, room, write)
    if isinstance(value, numbers.Integral):  # such as those of numpy
        return _integer(int(value))
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return _float(float(value))
    known = _scalar(value)
    return known if known is not None else _inside(value, above, room, _object)


def _scalar(value: object) -> JsonValue:
    match value:
        case decimal.Decimal():
            return {"$decimal": decimal.Decimal.__str__(value)}
        case dt.datetime():
            return {"$time": _in_utc(value).isoformat().replace("+00:00", "Z")}
        case dt.date() | dt.time():
            return {"$time": value.isoformat()}
        case dt.timedelta():
            return {"$time": f"PT{value.total_seconds()}S"}
        case uuid.UUID() | PurePath():
            return _text(str(value))
        case _:
            return None


def _in_utc(moment: dt.datetime) -> dt.datetime:
    try:
        return moment.astimezone(dt.UTC) if moment.tzinfo else moment
    except OverflowError:  # the first or the last hours of all time, in a zone of their own
        return moment


def _mapping(value: Mapping[object, object], inside: tuple[int, ...], room: _Room) -> JsonValue:
    items = _items(value, room)
    if all(type(key) is str and not key.startswith("$") and (key.isascii() or _encodes(key)) for key, _ in items):
        return {str(key): _plain(item, inside, room) for key, item in items}
    pairs: list[JsonValue] = [[_plain(key, inside, room), _plain(item, inside, room)] for key, item in items]
    return {"$map": sorted(pairs, key=encode)}


def _sequence(value: Sequence[object], inside: tuple[int, ...], room: _Room) -> JsonValue:
    return [_plain(item, inside, room) for item in _members(value, room)]


def _set(value: Set[object], inside: tuple[int, ...], room: _Room) -> JsonValue:
    return {"$set": sorted((_plain(item, inside, room) for item in _members(value, room)), key=encode)}


def _object(value: object, inside: tuple[int, ...], room: _Room) -> JsonValue:
    name, state = _type_name(value), _state(value)
    if state is None:
        return {"$object": name, "text": _text(_repr(value))}
    return {"$object": name, "fields": _mapping(cast("Mapping[object, object]", state), inside, room)}


_CONTAINERS: tuple[tuple[type, Callable[[Any, tuple[int, ...], _Room], JsonValue]], ...] = (
    (Mapping, _mapping),
    (Set, _set),
    (Sequence, _sequence),
)


def _state(value: object) -> dict[str, object] | None:
    """The public state of a model or a dataclass; None for any other object."""
    if isinstance(value, BaseModel):
        state = {field: _attribute(value, field) for field in type(value).model_fields}
        return state | {str(key): item for key, item in (value.model_extra or {}).items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _attribute(value, field.name) for field in dataclasses.fields(value)}
    return None


def _attribute(value: object, name: str) -> object:
    try:
        return getattr(value, name, None)
    except RecursionError:
        raise
    except Exception as error:  # noqa: BLE001 - a property of foreign code
        return f"<unreadable: {type(error).__name__}>"


def _items(value: Any, room: _Room) -> list[tuple[object, object]]:
    """The members of a mapping, copied at once: another thread may go on changing it."""
    pairs: Any = _DICT.items(value) if issubclass(type(value), dict) else itertools.islice(value.items(), room.left + 1)
    items: list[tuple[object, object]] = list(pairs)
    room.left -= len(items)
    return items


def _members(value: Any, room: _Room) -> list[object]:
    """The members of a sequence or set, likewise. One that never ends is as long as there is room."""
    kind = cast("type[object]", type(value))
    own: Any = list if issubclass(kind, list) else tuple if issubclass(kind, tuple) else None
    members: list[object] = list(own.__iter__(value) if own else itertools.islice(value, room.left + 1))
    room.left -= len(members)
    return members


_DICT: Any = dict


def _integer(number: int) -> JsonValue:
    return number if -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER else {"$int": _digits(number)}


def _float(number: float) -> JsonValue:
    # A large whole float would be written as digits, and read back as an integer outside the domain.
    return number if abs(number) <= MAX_SAFE_INTEGER else {"$float": _float_name(number)}


def _text(value: str) -> JsonValue:
    if _encodes(value):
        return value
    return {"$text": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()}


def _encodes(value: str) -> bool:
    try:
        for at in range(0, len(value), CHUNK):
            value[at : at + CHUNK].encode()
    except UnicodeEncodeError:
        return False
    return True


def _digits(number: int) -> str:
    # Python refuses to print integers of more than 4,300 digits in decimal; hexadecimal has no such limit.
    return str(number) if number.bit_length() < 14_000 else hex(number)


def _float_name(number: float) -> str:
    if math.isfinite(number):
        return repr(number)
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _type_name(value: object) -> str:
    kind = type(value)
    return _escaped(f"{kind.__module__}.{kind.__qualname__}")


def _unreadable(value: object, error: Exception) -> JsonValue:
    try:
        name = _type_name(value)
    except Exception:  # noqa: BLE001 - a metaclass can refuse even this
        name = "unknown"
    return {"$object": name, "text": f"<unprintable: {type(error).__name__}>"}


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def _repr(value: object) -> str:
    """``repr`` without memory addresses, which differ from run to run; an object whose ``repr`` fails has none."""
    if type(value).__repr__ is object.__repr__:
        return ""
    try:
        return _ADDRESS.sub(" at 0x…", str.__str__(repr(value)))
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises, the record must not be lost
        return f"<unprintable: {type(error).__name__}>"


def printable(value: object) -> str:
    """``str(value)`` as text that can be stored anywhere, of foreign code too: an exception, say. Never raises."""
    try:
        text = str.__str__(str(value))
    except Exception as error:  # noqa: BLE001 - an exception whose own text fails is still one to record
        return f"<unprintable: {type(error).__name__}>"
    return _escaped(text)


NAME_CHARS = 256
"""Characters of a name that a column and its index take, also where each of them has four bytes."""


def storable(name: str) -> str:
    """A name as any database can store and index it: itself, unless it is very long, or holds NUL or lone surrogates.

    Then its beginning with these written as escapes, and its digest: different names stay different.
    """
    if len(name) <= NAME_CHARS and "\0" not in name and (name.isascii() or _encodes(name)):
        return name
    shown = _escaped(name[: NAME_CHARS // 2]).replace("\0", "\\x00")[: NAME_CHARS // 2]
    return f"{shown}… sha256:{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _escaped(text: str) -> str:
    return text if _encodes(text) else text.encode("utf-8", "backslashreplace").decode()


# What is too deep or too much, by digest ----------------------------------------------------------------------------


def _deep(value: object, room: _Room) -> JsonValue:
    """``$deep``: the digest of a container's content, computed without recursion, once for each container in it.

    A container's digest is that of its kind and its members' digests, so it does not tell shared parts from equal ones.
    """
    if (known := room.known.get(id(value))) is not None:
        return {"$deep": "sha256:" + known.hex()}
    path: set[int] = set()
    stack: list[tuple[object, list[object] | None, str]] = [(value, None, "")]
    ready: list[bytes] = []
    while stack:
        item, members, kind = stack.pop()
        if members is None:
            known = b"cycle" if id(item) in path else room.known.get(id(item))
            if known is None:
                kind, members = ("more", []) if len(room.held) > MAX_ITEMS else _content(item)
                room.held.append(item)
                path.add(id(item))
                stack.append((item, members, kind))
                stack += ((member, None, "") for member in members if not isinstance(member, _Leaf))
            else:
                ready.append(known)
            continue
        path.discard(id(item))
        count = sum(not isinstance(member, _Leaf) for member in members)
        found = ready[len(ready) - count :][::-1]
        del ready[len(ready) - count :]
        below = iter(found)
        parts = [member.digest if isinstance(member, _Leaf) else next(below) for member in members]
        room.known[id(item)] = digested = _combine(kind, parts)
        ready.append(digested)
    return {"$deep": "sha256:" + ready[0].hex()}


@dataclass(frozen=True, slots=True)
class _Leaf:
    digest: bytes


def _combine(kind: str, parts: list[bytes]) -> bytes:
    if kind == "map":
        parts = [part for pair in sorted(zip(parts[::2], parts[1::2], strict=True)) for part in pair]
    elif kind == "set":
        parts.sort()
    return hashlib.sha256(b"".join((kind.encode("utf-8", "surrogatepass"), b"\0", *parts))).digest()


def _content(value: Any) -> tuple[str, list[object]]:
    """The kind of a value and its members, each a container or the digest of a leaf."""
    room = _Room()
    try:
        if isinstance(value, Mapping):
            pairs = _items(cast("Mapping[object, object]", value), room)
            return "map", [_leaf(part) for pair in pairs for part in pair]
        if isinstance(value, Set):
            return "set", [_leaf(item) for item in _members(cast("Set[object]", value), room)]
        if isinstance(value, Sequence):
            return "list", [_leaf(item) for item in _members(cast("Sequence[object]", value), room)]
        state = _state(value)
        if state is not None:
            return _type_name(value), [_leaf(part) for pair in state.items() for part in pair]
        return "text", [_leaf(_repr(value))]
    except Exception as error:  # noqa: BLE001 - foreign code, as above
        return "text", [_leaf(str(_unreadable(cast("object", value), error)))]


def _leaf(value: Any) -> object:
    """A value that holds no others, by its digest; any other as it is."""
    alone = value is None or isinstance(value, _ALONE) or _scalar(value) is not None
    return _Leaf(hashlib.sha256(canonical(cast("object", value))).digest()) if alone else cast("object", value)


_ALONE = (str, int, float, bytes, bytearray, memoryview, enum.Enum)
