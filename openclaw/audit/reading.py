"""Reading a long log by parts: filters that the database can answer, always along ``seq``, never the whole of it at once.

A page is found behind (or before) a sequence number, so that the thousandth page costs what the first does. Where entries must
be looked into, a query covers a bounded stretch of the log: it can be interrupted, and the first hits come at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from pydantic import JsonValue
from pydantic_core import from_json
from sqlalchemy import Connection, RowMapping

from openclaw.action import utc
from openclaw.audit.entry import Entry
from openclaw.audit.rows import COLUMNS, ENTRY, HEAD, to_entry
from openclaw.canonical import storable
from openclaw.errors import VerificationError
from openclaw.store import Store

PAGE = 500

Seen = Callable[[int, int], None]
"""Called with how many entries have been looked through, and of how many."""

STRETCH_MIN, STRETCH_MAX = 2_000, 50_000
"""Entries that one query covers where they must be looked into; it grows from the one to the other."""

CLOCK_SLACK = dt.timedelta(hours=1)
"""How far the times of a log may run backwards (clocks are corrected) without an entry being missed by its time."""

REFUSALS = ("ask", "deny")
RARE_EXCEPT = ("decision", "outcome")
"""Kinds that are nearly the whole log; the others have an index of their own, as have asks and denials."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the database can tell of an entry.

    Attributes:
        equal: columns and the value of each: ``kind``, ``run``, ``workflow``, ``agent``, ``tool``, ``call_id``, ``effect``.
        body_holds: texts that must stand in the stored body, which is canonical JSON.
        anywhere: a text and its form in JSON; one must stand in a column, or the other in the body.
        since, until: from this time on, and before that.
    """

    equal: Mapping[str, str] = field(default_factory=dict[str, str])
    body_holds: tuple[str, ...] = ()
    anywhere: tuple[str, str] | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    @property
    def looks_inside(self) -> bool:
        """Whether no index answers it alone."""
        return bool(self.body_holds) or self.anywhere is not None


class Line(NamedTuple):
    """What sums over a long log are made of: an entry without its leaf, not validated; ``at`` as it is stored."""

    seq: int
    at: str
    run: str
    workflow: str
    agent: str
    tool: str
    body: JsonValue


_LINE = tuple(ENTRY.c[name] for name in Line._fields)


class Reader:
    """Reads the log in a store; never writes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def size(self) -> int:
        """How many entries the log has, those that were pruned included."""
        with self._store.read() as connection:
            return connection.execute(sa.select(HEAD.c.size)).scalar_one()

    def entries(
        self,
        wanted: Selection,
        *,
        after: int = 0,
        before: int | None = None,
        newest_first: bool = False,
        inside: bool = False,
        page_max: int | None = None,
        seen: Seen | None = None,
    ) -> Iterator[list[Entry]]:
        """Pages of the entries that are wanted, in order of ``seq``, or against it.

        A page may be empty: it says that another stretch of the log has been looked through.

        Args:
            wanted: which.
            after, before: only entries between these numbers, without them.
            newest_first: from the end.
            inside: the caller looks into each entry and leaves most of them out: read by stretches.
            page_max: entries of one page, where the caller wants no more than a few.
            seen: hears how far the reading has come.
        """
        for page in self._walk(
            COLUMNS,
            wanted,
            after=after,
            before=before,
            newest_first=newest_first,
            inside=inside,
            page_max=page_max,
            seen=seen,
        ):
            yield [to_entry(row) for row in page]

    def numbers(self, wanted: Selection, *, after: int = 0) -> Iterator[list[int]]:
        """Pages of the numbers alone of the entries that are wanted, in order: for who knows many of them already."""
        for page in self._walk((ENTRY.c.seq,), wanted, after=after):
            yield [row["seq"] for row in page]

    def numbered(self, seqs: Iterable[int]) -> list[Entry]:
        """The entries of these numbers, in order; of those that are there."""
        query = sa.select(*COLUMNS).where(ENTRY.c.seq.in_(list(seqs))).order_by(ENTRY.c.seq)
        with self._store.read() as connection:
            return [to_entry(row) for row in connection.execute(query).mappings()]

    def lines(self, wanted: Selection, *, seen: Seen | None = None) -> Iterator[list[Line]]:
        """Pages of the entries that are wanted, in order of ``seq``, for half the time of ``entries``.

        Args:
            wanted: which.
            seen: hears how far the reading has come.

        Raises:
            VerificationError: an entry was changed so that it cannot be read.
        """
        low, high = self._bounds(wanted, 0, None)
        whole = high - low + 1
        while low <= high:
            query = sa.select(*_LINE).where(ENTRY.c.seq >= low, ENTRY.c.seq <= high).order_by(ENTRY.c.seq).limit(PAGE)
            with self._store.read() as connection:
                page = connection.execute(query.where(*conditions(wanted, connection))).all()
            yield [Line._make((*row[:-1], _body(row.seq, row.body))) for row in page]
            low = page[-1].seq + 1 if len(page) == PAGE else high + 1
            if seen is not None:
                seen(whole - (high - low + 1), whole)

    def bodies(self, seqs: Iterable[int]) -> dict[int, JsonValue]:
        """The bodies of these entries, by their numbers; of those that are there.

        Raises:
            VerificationError: as ``lines``.
        """
        query = sa.select(ENTRY.c.seq, ENTRY.c.body).where(ENTRY.c.seq.in_(list(seqs)))
        with self._store.read() as connection:
            return {row.seq: _body(row.seq, row.body) for row in connection.execute(query)}

    def _walk(
        self,
        columns: Sequence[sa.ColumnElement[Any]],
        wanted: Selection,
        *,
        after: int = 0,
        before: int | None = None,
        newest_first: bool = False,
        inside: bool = False,
        page_max: int | None = None,
        seen: Seen | None = None,
    ) -> Iterator[Sequence[RowMapping]]:
        """What ``entries`` says, as rows of these columns; ``seq`` is among them."""
        low, high = self._bounds(wanted, after, before)
        whole = high - low + 1
        size = PAGE if page_max is None else max(1, min(page_max, PAGE))
        stretch = STRETCH_MIN if inside or wanted.looks_inside else None
        while low <= high:
            first, last = low, high
            if stretch is not None:
                first, last = (
                    (max(low, high - stretch + 1), high) if newest_first else (low, min(high, low + stretch - 1))
                )
                stretch = min(2 * stretch, STRETCH_MAX)
            page = self._page(columns, wanted, first, last, size, newest_first=newest_first)
            if len(page) == size:
                low, high = (low, page[-1]["seq"] - 1) if newest_first else (page[-1]["seq"] + 1, high)
            elif newest_first:
                high = first - 1
            else:
                low = last + 1
            if seen is not None:
                seen(whole - (high - low + 1), whole)
            yield page

    def _page(
        self,
        columns: Sequence[sa.ColumnElement[Any]],
        wanted: Selection,
        first: int,
        last: int,
        size: int,
        *,
        newest_first: bool,
    ) -> Sequence[RowMapping]:
        query = sa.select(*columns).where(ENTRY.c.seq >= first, ENTRY.c.seq <= last)
        query = query.order_by(ENTRY.c.seq.desc() if newest_first else ENTRY.c.seq).limit(size)
        with self._store.read() as connection:
            return connection.execute(query.where(*conditions(wanted, connection))).mappings().all()

    def _bounds(self, wanted: Selection, after: int, before: int | None) -> tuple[int, int]:
        with self._store.read() as connection:
            size = connection.execute(sa.select(HEAD.c.size)).scalar_one()
            # A log whose tail was cut, or grown by hand, is read as it is.
            newest = connection.execute(sa.select(sa.func.max(ENTRY.c.seq))).scalar_one() or 0
            low, high = after + 1, max(size, newest)
            if before is not None:
                high = min(high, before - 1)
            if wanted.since is not None:
                low = max(low, _first_at(connection, wanted.since - CLOCK_SLACK, high))
            if wanted.until is not None:
                high = min(high, _first_at(connection, wanted.until + CLOCK_SLACK, high + 1))
        return low, high


def conditions(wanted: Selection, connection: Connection) -> list[sa.ColumnElement[bool]]:
    """A selection as SQL, with every value bound."""
    found: list[sa.ColumnElement[bool]] = [
        ENTRY.c[name] == storable(value) for name, value in sorted(wanted.equal.items())
    ]
    # Said in the very words of the partial indexes: neither planner would draw the conclusion.
    if wanted.equal.get("effect") in REFUSALS:
        found.append(_as_written("effect IN ('ask', 'deny')"))
    if "kind" in wanted.equal and wanted.equal["kind"] not in RARE_EXCEPT:
        found.append(_as_written("kind NOT IN ('decision', 'outcome')"))
    if wanted.since is not None:
        found.append(ENTRY.c.at >= utc(wanted.since))
    if wanted.until is not None:
        found.append(ENTRY.c.at < utc(wanted.until))
    find = sa.func.instr if connection.dialect.name == "sqlite" else sa.func.strpos
    found += [find(ENTRY.c.body, text) > 0 for text in wanted.body_holds]
    if wanted.anywhere is not None:
        plain, written = wanted.anywhere
        columns = ("agent", "tool", "run", "workflow", "call_id")
        found.append(
            sa.or_(find(ENTRY.c.body, written) > 0, *(find(ENTRY.c[name], storable(plain)) > 0 for name in columns))
        )
    return found


def _body(seq: int, text: str) -> JsonValue:
    try:
        return from_json(text)
    except (ValueError, TypeError) as error:
        raise VerificationError(
            f"entry {seq} cannot be read: it was changed", seq=seq, hint="run `openclaw audit verify`"
        ) from error


def _as_written(condition: str) -> sa.ColumnElement[bool]:
    return cast("sa.ColumnElement[bool]", sa.text(condition))


def _first_at(connection: Connection, moment: dt.datetime, end: int) -> int:
    """Near the first entry at or after a moment, by halving; ``end`` where there is none. Times mostly grow with ``seq``."""
    wanted, low = utc(moment), 1
    while low < end:
        middle = (low + end) // 2
        query = sa.select(ENTRY.c.seq, ENTRY.c.at).where(ENTRY.c.seq >= middle, ENTRY.c.seq < end)
        row = connection.execute(query.order_by(ENTRY.c.seq).limit(1)).one_or_none()  # a part may have been pruned
        if row is None or row.at >= wanted:
            end = middle
        else:
            low = row.seq + 1
    return low


__all__ = ["PAGE", "Line", "Reader", "Seen", "Selection", "conditions"]
