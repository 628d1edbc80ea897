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
    {"$deep": "sha256:…"}            what lies below 64 levels, by digest of its text
    {"$object": "mod.Name", …}       anything else, by its type and its public state or text

A mapping with a key that starts with ``$`` is itself written as ``$map``, so that no value can pose as another's tag.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import json
import math
import re
import uuid
from collections.abc import Mapping, Sequence, Set
from pathlib import PurePath
from typing import cast

import rfc8785
from pydantic import BaseModel, JsonValue

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64


def canonical(value: object) -> bytes:
    """The RFC 8785 bytes of ``plain(value)``: equal values give equal bytes, on every machine."""
    return encode(plain(value))


def encode(value: JsonValue) -> bytes:
    """The RFC 8785 bytes of a JSON value that is already in the domain, such as ``plain`` returns."""
    # The C encoder writes what RFC 8785 demands, but for the spelling of some numbers and the order of keys beyond the
    # basic plane; where the text might hold either, the reference implementation writes it. Equal by a property test.
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if _OTHER_NUMBERS.search(text) or not (text.isascii() or max(text) < "\ud800"):
        return rfc8785.dumps(value)  # pyright: ignore[reportArgumentType]
    return text.encode()


_OTHER_NUMBERS = re.compile(r"(?:^|[:,\[])-?(?:[0-9]{16}|[0-9]+\.0(?:$|[,\]}])|[0-9.]+e)")
"""Integers that may be outside the domain, whole floats, and exponents: as numbers, or as texts that look like them."""


def digest(value: object) -> str:
    """``sha256:`` and the hex digest of the canonical bytes of ``value``."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def plain(value: object) -> JsonValue:
    """``value`` as JSON inside the domain of RFC 8785, with the tagged forms above. Never raises."""
    return _plain(value, ())


def _plain(value: object, above: tuple[int, ...]) -> JsonValue:
    # The order is by frequency; bool comes before int because it is one, enums before str and int likewise.
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, above)
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, int):
        number = int(value)
        return number if -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER else {"$int": _digits(number)}
    if isinstance(value, float):
        number = float(value)
        # A large whole float would be written as digits, and read back as an integer outside the domain.
        return number if abs(number) <= MAX_SAFE_INTEGER else {"$float": _float_name(number)}
    if id(value) in above:
        return {"$cycle": len(above) - above.index(id(value))}
    if len(above) >= MAX_DEPTH:
        return {"$deep": "sha256:" + hashlib.sha256(_repr(value).encode("utf-8", "surrogatepass")).hexdigest()}
    inside = (*above, id(value))
    if isinstance(value, Mapping):
        return _mapping(cast("Mapping[object, object]", value), inside)
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(bytes(cast("bytes", value))).decode()}
    if isinstance(value, Set):
        return {"$set": sorted((_plain(item, inside) for item in cast("Set[object]", value)), key=encode)}
    if isinstance(value, Sequence):
        return [_plain(item, inside) for item in cast("Sequence[object]", value)]
    return _scalar(value) or _object(value, inside)


def _scalar(value: object) -> JsonValue:
    match value:
        case decimal.Decimal():
            return {"$decimal": str(value)}
        case dt.datetime():
            moment = value.astimezone(dt.UTC) if value.tzinfo else value
            return {"$time": moment.isoformat().replace("+00:00", "Z")}
        case dt.date() | dt.time():
            return {"$time": value.isoformat()}
        case dt.timedelta():
            return {"$time": f"PT{value.total_seconds()}S"}
        case uuid.UUID() | PurePath():
            return _text(str(value))
        case _:
            return None


def _object(value: object, inside: tuple[int, ...]) -> JsonValue:
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, BaseModel):
        state: Mapping[str, object] = {field: getattr(value, field, None) for field in type(value).model_fields}
        return {"$object": name, **_members(state | (value.model_extra or {}), inside)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        state = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        return {"$object": name, **_members(state, inside)}
    return {"$object": name, "text": _text(_repr(value))}


def _mapping(value: Mapping[object, object], inside: tuple[int, ...]) -> JsonValue:
    items = list(value.items())
    if all(type(key) is str and _encodes(key) and not key.startswith("$") for key, _ in items):
        return {str(key): _plain(item, inside) for key, item in items}
    pairs: list[JsonValue] = [[_plain(key, inside), _plain(item, inside)] for key, item in items]
    return {"$map": sorted(pairs, key=encode)}


def _members(state: Mapping[str, object], inside: tuple[int, ...]) -> dict[str, JsonValue]:
    return {"fields": {key: _plain(item, inside) for key, item in state.items()}}


def _text(value: str) -> JsonValue:
    if _encodes(value):
        return value
    return {"$text": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()}


def _encodes(value: str) -> bool:
    try:
        value.encode()
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


def _repr(value: object) -> str:
    """``repr`` without memory addresses, which differ from run to run; an object whose ``repr`` fails has none."""
    if type(value).__repr__ is object.__repr__:
        return ""
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises, the record must not be lost
        return f"<unprintable: {type(error).__name__}>"
