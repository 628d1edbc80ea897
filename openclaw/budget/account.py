"""Accounts: what a row of one says, and the paths that name them.

An account is a path of pairs, such as ``org/default/workflow/returns/agent/refunds``; labels and runs have accounts beside it.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict

from openclaw.action import utc
from openclaw.budget.amount import UNITS, UTC, Unit, Usage, Window, opens_at, parts_of
from openclaw.errors import BudgetError, BudgetExceeded
from openclaw.store import Row

_LEVELS = ("org", "workflow", "agent", "run")
"""What the pairs of a path are called that is no label's."""

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}")


class Reservation(BaseModel):
    """A hold on a path of accounts. ``state`` is what it was when this value was made."""

    model_config = ConfigDict(frozen=True)

    id: str
    account: str
    held: Usage
    state: Literal["pending", "settled", "released", "expired"] = "pending"
    key: str = ""
    expires_at: dt.datetime


class Balance(BaseModel):
    """One account in one window: what it may spend, what it has spent (posted) and what is held (pending)."""

    model_config = ConfigDict(frozen=True)

    account: str
    window: Window
    zone: str = UTC
    opens_at: dt.datetime | None
    limits: dict[Unit, int]
    posted: Usage
    pending: Usage

    @property
    def remaining(self) -> dict[Unit, int]:
        """Limit − posted − pending of every limited unit; negative where more was used than allowed."""
        return {
            unit: limit - self.posted.amount(unit) - self.pending.amount(unit) for unit, limit in self.limits.items()
        }


def label_accounts(account: str, labels: Mapping[str, str]) -> list[str]:
    """The accounts of labels in the organisation of ``account``: ``org/default/team/payments``.

    Raises:
        BudgetError: a label or its value cannot stand in a path, or the label means a level of the path.
    """
    top = levels(account)[0]
    for name, value in labels.items():
        if name in _LEVELS or not all(
            isinstance(it, str) and _LABEL.fullmatch(it)  # pyright: ignore[reportUnnecessaryIsInstance]
            for it in (name, value)
        ):
            raise BudgetError(
                f"`{name}={value}` is not a label",
                hint="use letters, digits, `_`, `.` and `-`, at most 50, and other names than org, workflow, agent and run",
            )
    return [f"{top}/{name}/{value}" for name, value in sorted(labels.items())]


def labels_of(accounts: Iterable[str]) -> dict[str, str]:
    """The labels whose accounts are among these: ``org/default/team/payments`` is ``team: payments``."""
    parts = (account.split("/") for account in accounts)
    return {it[2]: it[3] for it in parts if len(it) == 4 and it[2] not in _LEVELS}


def levels(account: str) -> list[str]:
    """The accounts of a path from the top: ``org/a``, ``org/a/workflow/b``, …

    Raises:
        BudgetError: it is not a path of pairs.
    """
    return [*_levels(account)]


@lru_cache(maxsize=1000)
def _levels(account: str) -> tuple[str, ...]:
    parts = account.split("/")
    if len(parts) % 2 or not all(parts) or parts[0] != "org":
        raise BudgetError(
            f"`{account}` is not an account", hint="expected pairs such as `org/default/workflow/returns/agent/refunds`"
        )
    return tuple("/".join(parts[:end]) for end in range(2, len(parts) + 1, 2))


def left_of(rows: Iterable[Row], now: dt.datetime) -> dict[Unit, int]:
    """What is left of each limited unit: the least over these accounts and windows."""
    least: dict[Unit, int] = {}
    for row in rows:
        fresh = str(row["opens_at"]) < opened(row, now)  # its window is over; the next movement opens a new one
        for unit, limit in limits_of(row).items():
            spent = 0 if fresh else cast("int", row[f"{unit}_posted"]) + cast("int", row[f"{unit}_pending"])
            least[unit] = min(limit - spent, least.get(unit, limit - spent))
    return least


def opened(row: Row, now: dt.datetime) -> str:
    """When the window of a row that ``now`` lies in began, as it is stored; the empty string where no calendar begins it."""
    if row["window"] == "total":
        return ""
    window, zone = parts_of(str(row["window"]))
    began = opens_at(window, now, zone)
    return "" if began is None else utc(began)


def refusal_of(rows: Sequence[Row], held: Usage) -> BudgetExceeded:
    """The refusal that names the unit which is shortest, on the account that is shortest of it."""
    worst: BudgetExceeded | None = None
    for row in rows:
        balance = balance_of(row)
        for unit, left in balance.remaining.items():
            asked = held.amount(unit)
            if asked > left and (worst is None or left - asked < worst.remaining - worst.requested):
                worst = BudgetExceeded(
                    account=balance.account, unit=unit, requested=asked, remaining=left, window=balance.window
                )
    assert worst is not None, "INVARIANT: a row that the conditional update left out lacks some unit"
    return worst


def reservation_of(row: Row) -> Reservation:
    """A reservation's row as a frozen value."""
    return Reservation.model_validate(
        {
            "id": row["id"],
            "account": row["path"],
            "held": json.loads(str(row["held"])),
            "state": row["state"],
            "key": row["key"],
            "expires_at": row["expires_at"],
        }
    )


def opening_of(reservation: Reservation, opened_at: str) -> dict[str, object]:
    """The row of a reservation that is opened, but for its accounts."""
    return {
        "id": reservation.id,
        "key": reservation.key,
        "path": reservation.account,
        "held": reservation.held.text(),
        "used": "",
        "state": reservation.state,
        "opened_at": opened_at,
        "expires_at": utc(reservation.expires_at),
        "closed_at": "",
    }


def kept_of(account: str, row: Row, unit: Unit, asked: int, room: int, kept: int) -> BudgetExceeded:
    """The refusal of a call that would take what is kept for others."""
    window = parts_of(str(row["window"]))[0]
    return BudgetExceeded(
        account=str(row["path"]),
        unit=unit,
        requested=asked,
        remaining=room,
        window=window,
        kept=kept,
        kept_from=account,
    )


def balance_of(row: Row) -> Balance:
    """A row as a frozen value."""
    return Balance.model_validate(
        {
            "account": row["path"],
            "window": parts_of(str(row["window"]))[0],
            "zone": parts_of(str(row["window"]))[1],
            "opens_at": row["opens_at"] or None,
            "limits": limits_of(row),
            "posted": {unit: row[f"{unit}_posted"] for unit in UNITS},
            "pending": {unit: row[f"{unit}_pending"] for unit in UNITS},
        }
    )


def limits_of(row: Row) -> dict[Unit, int]:
    """The limits of a row, by unit."""
    return {unit: cast("int", row[column]) for unit, column in _LIMITS if row[column] is not None}


_LIMITS: tuple[tuple[Unit, str], ...] = tuple((unit, f"{unit}_limit") for unit in UNITS)


__all__ = [
    "Balance",
    "Reservation",
    "balance_of",
    "kept_of",
    "label_accounts",
    "labels_of",
    "left_of",
    "levels",
    "limits_of",
    "opened",
    "opening_of",
    "refusal_of",
    "reservation_of",
]
