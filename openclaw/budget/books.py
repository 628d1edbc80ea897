"""The ledger checked against itself and against the log: does every amount come from movements that are on record?

What is checked, in one moment of the database:

- pending of an account is the sum of what its pending reservations hold, and posted the sum of what its closed ones used
- posted of an account is the posted of the accounts below it, and what was reserved on itself
- at each admission posted + pending ≤ limit, where the log says what the limit was; under a limit of which it does not (it was
  declared by a version that did not record it, or the entry was pruned) admissions are counted as ``unjudged``
- every reservation stands in the log: a permitted action or a ``reserve``, with what it held and of which account, and how it was
  closed, with the same amounts

Entries that were pruned are missed by nobody: reservations that were closed before the oldest entry are not looked for.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from sqlalchemy import Connection

from openclaw.budget.account import levels
from openclaw.budget.amount import UNITS, Unit, Usage
from openclaw.errors import BudgetError
from openclaw.store import Row, Store
from openclaw.store.tables import AccountRow, ActionRow, EntryRow, ReservationRow, Table

PAGE = 500

_ACCOUNT: sa.Table = Table.metadata.tables[str(AccountRow.__tablename__)]
_ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]
_ENTRY: sa.Table = Table.metadata.tables[str(EntryRow.__tablename__)]
_RESERVATION: sa.Table = Table.metadata.tables[str(ReservationRow.__tablename__)]

_Query = sa.Select[*tuple[Any, ...]]

Check = Literal["pending", "posted", "children", "limit", "log", "malformed"]


class Difference(BaseModel):
    """One thing that does not agree. ``expected`` and ``found`` are amounts of ``unit``, where it is about an amount."""

    model_config = ConfigDict(frozen=True)

    check: Check
    says: str
    account: str = ""
    window: str = ""
    reservation: str = ""
    seq: int | None = None
    unit: Unit | None = None
    expected: int | None = None
    found: int | None = None


class BooksReport(BaseModel):
    """What was looked at, and what differs. ``unjudged``: admissions whose limit is not on record."""

    model_config = ConfigDict(frozen=True)

    accounts: int
    reservations: int
    entries: int
    admissions: int
    unjudged: int
    pruned: bool
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Nothing differs."""
        return not self.differences


def check_books(store: Store, *, seen: Callable[[int, int], None] | None = None) -> BooksReport:
    """Check the accounts of a store against its reservations and its log. Changes nothing.

    Memory grows with the accounts, and by an identifier for each reservation; entries are read page by page, and ``seen`` hears
    how many, of how many.
    """
    with store.read() as connection:
        return _Checking(connection, seen).report()


class _Checking:
    """One check, over one moment of the database."""

    def __init__(self, connection: Connection, seen: Callable[[int, int], None] | None = None) -> None:
        self._connection = connection
        self._seen = seen
        self._size = connection.execute(sa.select(sa.func.max(_ENTRY.c.seq))).scalar_one() or 0
        self.differences: list[Difference] = []
        self.accounts = {cast("int", row["id"]): row for row in self._rows(sa.select(_ACCOUNT).order_by(_ACCOUNT.c.id))}
        self.posted: dict[int, _Sum] = defaultdict(_Sum)
        self.pending: dict[int, _Sum] = defaultdict(_Sum)
        self.beside: dict[str, _Sum] = defaultdict(_Sum)  # of labels and runs: taken besides the path
        self.own: dict[str, _Sum] = defaultdict(_Sum)
        self.limits: dict[tuple[str, str], list[tuple[str, dict[str, int]]]] = defaultdict(list)
        self.opened: set[str] = set()
        self.closed: set[str] = set()
        self.late: dict[str, tuple[str, Usage]] = {}
        self.entries = self.reservations = self.admissions = self.unjudged = 0
        oldest = connection.execute(sa.select(_ENTRY.c.seq, _ENTRY.c.at).order_by(_ENTRY.c.seq).limit(1)).first()
        self._since = "" if oldest is None or oldest[0] == 1 else str(oldest[1])

    def report(self) -> BooksReport:
        self._read_log()
        self._read_reservations()
        self._compare_sums()
        self._compare_children()
        self._replay()
        return BooksReport(
            accounts=len(self.accounts),
            reservations=self.reservations,
            entries=self.entries,
            admissions=self.admissions,
            unjudged=self.unjudged,
            pruned=bool(self._since),
            differences=tuple(self.differences),
        )

    # -- the log -------------------------------------------------------------------------------------------------

    def _read_log(self) -> None:
        query = (
            sa.select(_ENTRY.c.seq, _ENTRY.c.at, _ENTRY.c.kind, _ENTRY.c.body)
            .where(
                sa.or_(
                    _ENTRY.c.kind.in_(("outcome", "reservation")),
                    sa.and_(_ENTRY.c.kind == "decision", _ENTRY.c.effect == "allow"),
                )
            )
            .order_by(_ENTRY.c.seq)
        )
        for page in self._pages(query):
            bodies = [(row, _object(str(row["body"]))) for row in page]
            names = {name for _, body in bodies if (name := _reservation(body))}
            known = {str(row["id"]): row for row in self._rows(_reserved(names))} if names else {}
            for row, body in bodies:
                self.entries += 1
                self._read_entry(row, body, known)
        actions = (
            sa.select(_ACTION.c.hold)
            .join(_ENTRY, _ENTRY.c.seq == _ACTION.c.seq)
            .where(_ACTION.c.hold != "", _ENTRY.c.kind == "decision", _ENTRY.c.effect == "allow")
        )
        self.opened.update(str(row["hold"]) for row in self._rows(actions))

    def _read_entry(self, row: Row, body: dict[str, JsonValue], known: dict[str, Row]) -> None:
        seq, event = cast("int", row["seq"]), body.get("event")
        if event == "limit":
            limits = body.get("limits")
            if isinstance(limits, dict):
                at = (str(row["at"]), cast("dict[str, int]", limits))
                self.limits[str(body.get("account")), str(body.get("window"))].append(at)
            return
        name = _reservation(body)
        if not name:
            return
        reserved = known.get(name)
        if reserved is None:
            says = f"entry {seq} moves reservation `{name}`, which the ledger does not have"
            self._differs("log", says, reservation=name, seq=seq)
            return
        if row["kind"] == "decision":
            told = cast("dict[str, JsonValue]", body["reservation"])
            self.opened.add(name)
            self._same(seq, name, "held", told.get("held"), str(reserved["held"]))
            if told.get("account") != reserved["path"]:
                says = (
                    f"entry {seq} holds on `{told.get('account')}`, and reservation `{name}` is of `{reserved['path']}`"
                )
                self._differs("log", says, reservation=name, seq=seq)
            return
        if event in ("reserve", "expire"):  # what has expired may be settled later on
            self.opened.update({name} if event == "reserve" else ())
            self._same(seq, name, "held", body.get("held"), str(reserved["held"]))
            return
        if row["kind"] == "outcome":
            self.opened.add(name)
        used = self._usage(json.dumps(body.get("used") or {}), name, seq)
        if body.get("late") is True:
            self.late[name] = (str(row["at"]), used)
            return
        if name in self.closed:
            self._differs("log", f"entry {seq} closes reservation `{name}` again", reservation=name, seq=seq)
        self.closed.add(name)
        self._same(seq, name, "used", body.get("used") or {}, str(reserved["used"] or "{}"))

    def _same(self, seq: int, name: str, what: str, told: JsonValue, stored: str) -> None:
        if told != _object(stored):
            says = f"{what} of reservation `{name}` is {stored} in the ledger and {json.dumps(told)} in entry {seq}"
            self._differs("log", says, reservation=name, seq=seq)

    # -- the reservations ----------------------------------------------------------------------------------------

    def _read_reservations(self) -> None:
        for row in self._rows(sa.select(_RESERVATION).order_by(_RESERVATION.c.id)):
            self.reservations += 1
            name, path, state = str(row["id"]), str(row["path"]), str(row["state"])
            ids = _ids(row)
            held, used = self._usage(str(row["held"]), name), self._used(row)
            for at in ids:
                if state == "pending":
                    self.pending[at].add(held)
                else:
                    self.posted[at].add(used)
            if state != "pending":
                self.own[path].add(used)
                above = set(_levels(path))
                for beside in {str(self.accounts[at]["path"]) for at in ids if at in self.accounts} - above:
                    self.beside[beside].add(used)
            self._covers(name, path, ids)
            if self._since and state != "pending" and str(row["closed_at"]) <= self._since:
                continue
            if name not in self.opened and not (self._since and str(row["opened_at"]) <= self._since):
                says = f"no entry of the log says why reservation `{name}` was made"
                self._differs("log", says, account=path, reservation=name)
            if state in ("settled", "released") and name not in self.closed:
                says = f"no entry of the log says that reservation `{name}` was {state}"
                self._differs("log", says, account=path, reservation=name)

    def _covers(self, name: str, path: str, ids: list[int]) -> None:
        """A reservation takes from every account above it."""
        taken = {str(self.accounts[at]["path"]) for at in ids if at in self.accounts}
        try:
            missing = [level for level in levels(path) if level not in taken]
        except BudgetError as error:
            self._differs("malformed", error.message, account=path, reservation=name)
            return
        for level in missing:
            says = f"reservation `{name}` of `{path}` takes nothing from `{level}`"
            self._differs("children", says, account=level, reservation=name)

    def _used(self, row: Row) -> Usage:
        """What a reservation has posted: when it was closed, and what became known of it later."""
        used = self._usage(str(row["used"] or "{}"), str(row["id"]))
        late = self.late.get(str(row["id"]))
        if late is None:
            return used
        return Usage(**{unit: max(used.amount(unit), late[1].amount(unit)) for unit in UNITS})

    # -- sums ----------------------------------------------------------------------------------------------------

    def _compare_sums(self) -> None:
        for at, row in self.accounts.items():
            for unit in UNITS:
                self._compare("pending", row, unit, self.pending[at].of(unit))
                self._compare("posted", row, unit, self.posted[at].of(unit))

    def _compare(self, column: Literal["pending", "posted"], row: Row, unit: Unit, expected: int) -> None:
        found = cast("int", row[f"{unit}_{column}"])
        # What was learned late of a reservation may stand in an entry that was pruned.
        if found == expected or (self._since and column == "posted" and found > expected):
            return
        whose = "pending reservations hold" if column == "pending" else "closed reservations used"
        self._amount(column, row, unit, expected, f"{column} is {found}, but its {whose} {expected}")

    def _compare_children(self) -> None:
        totals = {str(row["path"]): row for row in self.accounts.values() if row["window"] == "total"}
        below: dict[str, _Sum] = defaultdict(_Sum)
        for path in {level for used in self.own for level in _levels(used)[1:]} & totals.keys():
            for unit in UNITS:
                taken = cast("int", totals[path][f"{unit}_posted"]) - self.beside[path].of(unit)
                below[_above(path)].add_one(unit, taken)
        for path in {level for used in self.own for level in _levels(used)} & totals.keys():
            for unit in UNITS:
                expected = below[path].of(unit) + self.own[path].of(unit)
                found = cast("int", totals[path][f"{unit}_posted"]) - self.beside[path].of(unit)
                if found != expected and not (self._since and found > expected):
                    says = f"posted is {found}, but the accounts below it and its own reservations have {expected}"
                    self._amount("children", totals[path], unit, expected, says)

    # -- admissions ----------------------------------------------------------------------------------------------

    def _replay(self) -> None:
        """All reservations again in the order of time. Of one instant the order is not known: the kindest is taken."""
        spent: dict[int, _Sum] = defaultdict(_Sum)
        for _, event, row in heapq.merge(*self._events(), key=lambda event: event[:2]):
            held, used = self._usage(str(row["held"]), str(row["id"])), Usage()
            if event == _POSTS:
                used = self._used(row)
            for at in _ids(row):
                if event == _RETURNS:
                    spent[at].add(held, sign=-1)
                elif event == _POSTS:
                    spent[at].add(used)
                else:
                    spent[at].add(held)
                    self._judge(at, row, spent[at])

    def _judge(self, at: int, row: Row, spent: _Sum) -> None:
        account = self.accounts.get(at)
        if account is None or all(account[f"{unit}_limit"] is None for unit in UNITS):
            return
        opened = str(row["opened_at"])
        known = self.limits.get((str(account["path"]), str(account["window"])), [])
        in_force = [limits for since, limits in known if since < opened]
        if not in_force or any(since == opened for since, _ in known):
            self.unjudged += 1
            return
        self.admissions += 1
        for unit in UNITS:
            limit, found = in_force[-1].get(unit), spent.of(unit)
            if limit is not None and found > limit:
                says = f"reservation `{row['id']}` was admitted at {found} of {limit}"
                self._amount("limit", account, unit, limit, says, found=found, reservation=str(row["id"]))

    def _events(self) -> list[Iterator[tuple[str, int, Row]]]:
        table = _RESERVATION.c
        returned = sa.case((table.expires_at < table.closed_at, table.expires_at), else_=table.closed_at)
        closed = sa.select(_RESERVATION).where(table.state != "pending")
        streams = (
            (_RETURNS, closed.add_columns(returned.label("moment"))),
            (_OPENS, sa.select(_RESERVATION, table.opened_at.label("moment"))),
            (_POSTS, closed.add_columns(table.closed_at.label("moment"))),
        )
        return [self._stream(event, query.order_by(sa.text("moment"))) for event, query in streams]

    def _stream(self, event: int, query: _Query) -> Iterator[tuple[str, int, Row]]:
        for row in self._rows(query):
            yield str(row["moment"]), event, row

    # -- small parts ---------------------------------------------------------------------------------------------

    def _rows(self, query: _Query) -> Iterator[Row]:
        found = self._connection.execution_options(stream_results=True).execute(query)
        for row in found.mappings().yield_per(PAGE):
            yield {**row}

    def _pages(self, query: _Query) -> Iterator[list[Row]]:
        after = 0
        while page := list(self._rows(query.where(_ENTRY.c.seq > after).limit(PAGE))):
            yield page
            after = cast("int", page[-1]["seq"])
            if self._seen is not None:
                self._seen(after, self._size)

    def _usage(self, text: str, name: str, seq: int | None = None) -> Usage:
        try:
            return Usage.model_validate_json(text)
        except ValidationError:
            says = f"`{text}` of reservation `{name}` is not an amount"
            self._differs("malformed", says, reservation=name, seq=seq)
            return Usage()

    def _differs(
        self, check: Check, says: str, *, account: str = "", reservation: str = "", seq: int | None = None
    ) -> None:
        found = Difference(check=check, says=says, account=account, reservation=reservation, seq=seq)
        if found not in self.differences[-3:]:  # a damaged row is read more than once
            self.differences.append(found)

    def _amount(
        self,
        check: Check,
        row: Row,
        unit: Unit,
        expected: int,
        says: str,
        *,
        found: int | None = None,
        reservation: str = "",
    ) -> None:
        column = "pending" if check == "pending" else "posted"
        self.differences.append(
            Difference(
                check=check,
                says=f"{unit} of `{row['path']}`: {says}",
                account=str(row["path"]),
                window=str(row["window"]),
                reservation=reservation,
                unit=unit,
                expected=expected,
                found=cast("int", row[f"{unit}_{column}"]) if found is None else found,
            )
        )


_RETURNS, _OPENS, _POSTS = range(3)


class _Sum:
    """Amounts that add up; plain integers, since a sum of damaged rows may be anything."""

    def __init__(self) -> None:
        self._amounts: dict[Unit, int] = dict.fromkeys(UNITS, 0)

    def add(self, usage: Usage, *, sign: int = 1) -> None:
        for unit in UNITS:
            self.add_one(unit, sign * usage.amount(unit))

    def add_one(self, unit: Unit, amount: int) -> None:
        self._amounts[unit] += amount

    def of(self, unit: Unit) -> int:
        return self._amounts[unit]


def _reservation(body: dict[str, JsonValue]) -> str:
    """The reservation that an entry is about: its name, or in a decision the name, account and amount of what was held."""
    told = body.get("reservation")
    name = told.get("id") if isinstance(told, dict) else told
    return name if isinstance(name, str) else ""


def _reserved(names: set[str]) -> _Query:
    return sa.select(_RESERVATION).where(_RESERVATION.c.id.in_(sorted(names)))


def _object(text: str) -> dict[str, JsonValue]:
    """A JSON object; empty where it is damaged, which the log's own verification tells."""
    try:
        found: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _ids(row: Row) -> list[int]:
    try:
        found = json.loads(str(row["accounts"]))
    except (ValueError, RecursionError):
        return []
    return [at for at in cast("list[object]", found) if isinstance(at, int)] if isinstance(found, list) else []


def _levels(path: str) -> list[str]:
    try:
        return levels(path)
    except BudgetError:  # told where its reservation is read
        return []


def _above(path: str) -> str:
    return path.rsplit("/", 2)[0]


__all__ = ["BooksReport", "Difference", "check_books"]
