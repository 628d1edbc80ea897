"""The rows of accounts, inside a transaction: found or made, rolled over to the window that is open, taken from, moved."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import cast

import sqlalchemy as sa

from openclaw.budget.account import opened
from openclaw.budget.amount import UNITS, Unit, Usage
from openclaw.budget.statements import (
    ACCOUNT,
    FORGET,
    OPEN,
    close_and_move,
    moving,
    named,
    rows_of,
    take,
    take_and_open,
)
from openclaw.store import Row, Transaction

NOTHING = Usage()


def current_rows(
    transaction: Transaction, paths: Sequence[str], *, create: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Row]:
    """The rows of the windows that are open now, ordered by path; made where missing, rolled over where past."""
    found = transaction.rows(rows_of(len(paths)), named("path", paths))
    rows = {(str(row["path"]), str(row["window"])): row for row in found}
    # Earlier only: with a clock that was set back, the window goes on; a past one opened again would spend twice.
    stale = [row for row in found if str(row["opens_at"]) < opened(row, transaction.now)]
    missing = [pair for pair in create if pair not in rows]
    if not stale and not missing:
        return {pair: rows[pair] for pair in sorted(rows)}
    for row in stale:
        transaction.connection.execute(sa.update(ACCOUNT).where(ACCOUNT.c.id == row["id"]).values(current=False))
        limits = {f"{unit}_limit": row[f"{unit}_limit"] for unit in UNITS}
        _insert(transaction, str(row["path"]), str(row["window"]), {**limits, "declared": row["declared"]})
    for path, window in missing:
        _insert(transaction, path, window, {"declared": True})
    return current_rows(transaction, paths, create=())


def _insert(transaction: Transaction, path: str, window: str, values: dict[str, object]) -> None:
    zero = {f"{unit}_{column}": 0 for unit in UNITS for column in ("posted", "pending")}
    row = {"path": path, "window": window, "opens_at": opened({"window": window}, transaction.now), "current": True}
    transaction.connection.execute(sa.insert(ACCOUNT).values(**zero, **row, **values))


class Taken:
    """What one conditional UPDATE has taken. ``all_there``: from every account and window that there must be, each still open.
    ``shared``: from an organisation whose workflows have shares. ``opened``: the reservation is written, too.

    ``opening`` is the row of that reservation, but for its accounts. Where the database can do both in one statement, it does.
    """

    __slots__ = ("_amount", "_opening", "all_there", "ids", "opened", "shared")

    def __init__(
        self, transaction: Transaction, paths: Sequence[str], amount: Usage, opening: Mapping[str, object]
    ) -> None:
        asked = amount.present()
        units = cast("tuple[Unit, ...]", (*asked,))
        values: dict[str, object] = {f"take_{unit}": number for unit, number in asked.items()}
        both = transaction.dialect.name == "postgresql"
        statement = take_and_open(len(paths), units) if both else take(len(paths), units)
        rows = transaction.tuples(statement, {**named("path", paths), **values, **opening})
        self._amount, self._opening = amount, opening
        self.ids = sorted(cast("int", row[0]) for row in rows)
        self.shared = any(row[4] for row in rows)
        totals = sum(row[1] == "total" for row in rows)
        self.all_there = totals == len(paths) and len(rows) == rows[0][3]
        self.opened = both and self.all_there
        if self.all_there and totals < len(rows):
            self.all_there = not any(
                str(begun) < opened({"window": window}, transaction.now) for _, window, begun, *_ in rows
            )

    def make(self, transaction: Transaction, path: str, windows: Collection[str]) -> None:
        """Take the same from windows of an account that is counted in them from now on. What is new limits nothing."""
        if not windows:
            return
        known = current_rows(transaction, [path], create=())
        missing = [(path, window) for window in windows if (path, window) not in known]
        if missing:
            rows = current_rows(transaction, [path], create=missing)
            new = [cast("int", rows[pair]["id"]) for pair in missing]
            move(transaction, new, pending=self._amount, sign=1, posted=NOTHING)
            self.ids = sorted((*self.ids, *new))
            self._forget(transaction)

    def open(self, transaction: Transaction) -> None:
        """Write the reservation, unless that is done."""
        if not self.opened:
            transaction.count(OPEN, {**self._opening, "accounts": f"[{', '.join(map(str, self.ids))}]"})

    def _forget(self, transaction: Transaction) -> None:
        if self.opened:
            transaction.count(FORGET, {"hold": self._opening["id"]})
            self.opened = False

    def undo(self, transaction: Transaction) -> None:
        """Give back all that was taken."""
        self._forget(transaction)
        move(transaction, self.ids, pending=self._amount, sign=-1, posted=NOTHING)


def close(transaction: Transaction, hold: str, used: Usage, *, state: str, held: Usage) -> bool:
    """Close a pending reservation and move what it holds, in one statement where the database can; whether it has done so."""
    if transaction.dialect.name != "postgresql":
        return False
    amounts = _amounts(pending=held, sign=-1, posted=used)
    if not amounts:
        return False
    values = {
        "hold": hold,
        "was": "pending",
        "to": state,
        "used": used.text(),
        "closed_at": transaction.at,
        "held": held.text(),
    }
    more = {f"more_{column}": amount for column, amount in amounts.items()}
    return bool(transaction.tuples(close_and_move((*amounts,)), {**values, **more}))


def move(transaction: Transaction, ids: Sequence[int], *, pending: Usage, sign: int, posted: Usage) -> None:
    """Add ``pending``, with its sign, and ``posted`` to accounts that are named by their row ids."""
    amounts = _amounts(pending=pending, sign=sign, posted=posted)
    if ids and amounts:
        values: dict[str, object] = {f"more_{column}": amount for column, amount in amounts.items()}
        transaction.count(moving(len(ids), (*amounts,)), named("id", ids) | values)


def _amounts(*, pending: Usage, sign: int, posted: Usage) -> dict[str, int]:
    """What is added to which column."""
    amounts = {f"{unit}_pending": sign * amount for unit, amount in pending.present().items()}
    return amounts | {f"{unit}_posted": amount for unit, amount in posted.present().items()}


__all__ = ["NOTHING", "Taken", "close", "current_rows", "move"]
