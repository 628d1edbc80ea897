"""Was this value ever passed? Answered by digests, without the value being in the log."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, cast

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Connection

from openclaw.audit.mask import LARGE, MASKED, SEALED, is_mark
from openclaw.audit.subjects import SubjectKey
from openclaw.canonical import digest, plain
from openclaw.store.tables import EntryRow, Table

PAGE = 500
SUBSTRING_MIN = 4
"""Characters of a value that is also looked for inside longer texts; a shorter one must be a whole value."""

_MADE = re.compile(r"(?:hmac-)?sha256:[0-9a-f]{64}|\b[a-z]+-[0-9a-f]{12}-[0-9a-f]{8}\b|(?<=T\d\d:\d\d:\d\d)\.\d{6}Z")
"""Digests, and what the clock gives out, identifiers and microseconds: digits that were made here, not passed by anybody."""

How = Literal["masked", "sealed", "large", "result", "clear"]
_ENTRY: sa.Table = Table.metadata.tables[str(EntryRow.__tablename__)]


class Match(BaseModel):
    """One entry in which the value stands, and how: by which kind of digest, or in the clear."""

    model_config = ConfigDict(frozen=True)

    seq: int
    how: How


def values_of(text: str) -> list[JsonValue]:
    """What a text may stand for: itself, itself without a line end (as a pipe adds one), and what it says as JSON."""
    found: list[JsonValue] = [plain(text)]
    if text.endswith("\n"):
        found.append(plain(text.removesuffix("\n").removesuffix("\r")))
    try:
        said = plain(json.loads(text))
    except (ValueError, RecursionError):
        return found
    return found if isinstance(said, str) and said in found else [*found, said]


def look_up(
    connection: Connection, values: Sequence[JsonValue], *, digests: Collection[str], keys: Mapping[str, SubjectKey]
) -> Iterator[Match]:
    """The entries that hold one of ``values``, in order.

    Args:
        connection: sees one moment of the log.
        values: the forms that the value may have.
        digests: their keyed digests.
        keys: the data keys that are left: what is sealed under them is compared too.
    """
    plain_digests = {digest(value) for value in values}
    sealed = {key.digest(value) for key in keys.values() for value in values}
    needles = [*digests, *plain_digests, *filter(None, map(_as_written, values))]
    if sealed:
        needles.append(f'"{SEALED}"')
    search = _Search(values, frozenset(digests), frozenset(plain_digests), frozenset(sealed))
    after = 0
    while rows := connection.execute(_holding(connection, needles, after)).all():
        for seq, body in rows:
            how = search.how(cast("JsonValue", json.loads(body)))
            if how is not None:
                yield Match(seq=seq, how=how)
        after = rows[-1][0]


def _as_written(value: JsonValue) -> str:
    """A value as it stands in a canonical body; the empty string where too much would look like it."""
    if isinstance(value, str):
        written = json.dumps(value, ensure_ascii=False)
        return written[1:-1] if len(value) >= SUBSTRING_MIN else written if value else ""
    if isinstance(value, dict | list):
        return ""
    written = json.dumps(value)
    return f":{written}" if len(written) > 1 else ""


def _holding(connection: Connection, needles: Sequence[str], after: int) -> sa.Select[int, str]:
    find = sa.func.instr if connection.dialect.name == "sqlite" else sa.func.strpos
    held = sa.or_(*(find(_ENTRY.c.body, needle) > 0 for needle in needles))
    query = sa.select(_ENTRY.c.seq, _ENTRY.c.body).where(_ENTRY.c.seq > after, held)
    return query.order_by(_ENTRY.c.seq).limit(PAGE)


class _Search:
    """The values and digests that are looked for, and how a stored body holds them."""

    def __init__(
        self, values: Sequence[JsonValue], digests: frozenset[str], plain: frozenset[str], sealed: frozenset[str]
    ) -> None:
        self._values = values
        self._parts = [value for value in values if isinstance(value, str) and len(value) >= SUBSTRING_MIN]
        self._digests = digests
        self._plain = plain
        self._sealed = sealed

    def how(self, body: JsonValue) -> How | None:
        """How a body holds one of the values; None where it only looked like it."""
        found = set(self._in(body))
        return next((how for how in ("masked", "sealed", "large", "result", "clear") if how in found), None)

    def _in(self, value: JsonValue) -> Iterator[How]:
        if isinstance(value, dict):
            yield from self._in_object(value)
        elif isinstance(value, list):
            for item in value:
                yield from self._in(item)
        elif isinstance(value, str) and any(digest in value for digest in self._digests):
            yield "masked"
        elif any(type(value) is type(one) and value == one for one in self._values) or (
            isinstance(value, str) and self._is_part(value)
        ):
            yield "clear"

    def _in_object(self, value: dict[str, JsonValue]) -> Iterator[How]:
        if is_mark(value):
            (name, inside), *_ = value.items()
            said = inside.get("digest") if isinstance(inside, dict) else inside
            if said in (self._sealed if name == SEALED else self._digests):
                yield "sealed" if name == SEALED else "masked" if name == MASKED else "large"
            if name == LARGE and isinstance(inside, dict):
                yield from self._in(inside.get("head"))
            return
        if value.get("digest") in self._plain or value.get("digest") in self._digests:
            yield "result"
        for name, item in value.items():
            if self._is_part(name):
                yield "clear"
            yield from self._in(item)

    def _is_part(self, text: str) -> bool:
        """Whether a value stands inside a text, by more than some digits of a digest or of an identifier."""
        parts = [part for part in self._parts if part in text]
        return any(_MADE.search(part) or part in _MADE.sub("\n", text) for part in parts)


__all__ = ["Match", "look_up", "values_of"]
