"""Shares of an organisation's limits, by declared priority: what is kept for a workflow, what of it is lent and borrowed.

The rule, for one limit of an organisation in one window. Each workflow with a priority has a *share*: limit × priority / sum of
priorities, rounded down. All that has no priority (other workflows, agents outside of any) has one share together, of
priority ``REST``. Of a share is *kept* for its owner what the owner has not taken of it, and at most the part of it that the rest
of the window stands for: half-way through the day, no more than half of the share. What time has taken from what is kept is
*lent*: it is free for everybody, first come, first served, and does not come back in this window. A ``total`` has no end, so its
shares are kept whole. A call is admitted where it fits into what is left of the limit, less what is kept for the others. It takes
from what is free first, then from its own share; what it gives back of a hold counts for the share first.

    INVARIANT: what is left of the limit covers all that is kept, unless a call has used more than it held, or limits or
    priorities were changed within the window. So whoever has something kept gets it, whatever the others do.

All of it is read and written in the transaction of the reservation. Transactions that write come one after another on both
stores (SQLite's own lock; on PostgreSQL that of ``openclaw_meta``), so that none judges by what another one is about to change.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from openclaw.budget.account import levels, limits_of, opened
from openclaw.budget.amount import Unit, Usage, Window, closes_at, parts_of
from openclaw.budget.statements import ACCOUNT, named
from openclaw.errors import BudgetError
from openclaw.store import Row, Statement, Transaction
from openclaw.store.tables import ShareRow, Table

PRIORITY_MAX = 1_000
REST = 1
"""The priority of all that has none of its own, together."""

_SHARE: sa.Table = Table.metadata.tables[str(ShareRow.__tablename__)]
_OF = Statement(sa.select(_SHARE).where(_SHARE.c.org == sa.bindparam("of_org")).order_by(_SHARE.c.path))
_KEEP = Statement(
    sa.update(_SHARE).where(_SHARE.c.path == sa.bindparam("of_path")).values(state=sa.bindparam("now_state"))
)

_NOTHING: tuple[Sequence[int], Usage] = ((), Usage())

Read = Callable[[Statement, Mapping[str, object]], Sequence[Row]]
"""How rows are read: in a transaction, or beside any."""


class Share(BaseModel):
    """The share of one workflow (or of the rest: ``account`` is the organisation's) in one limit of its organisation.

    ``used`` is posted and held in this window. ``kept`` is what the others may not touch, ``lent`` what time has taken from it,
    ``borrowed`` what was used beyond the share. All are amounts of ``unit``.
    """

    model_config = ConfigDict(frozen=True)

    org: str
    account: str
    priority: int
    window: Window
    zone: str
    unit: Unit
    limit: int
    share: int
    used: int
    kept: int
    lent: int

    @property
    def borrowed(self) -> int:
        """What was used beyond the share."""
        return max(0, self.used - self.share)


@dataclass(slots=True)
class _Part:
    """One share of one limit, as it stands: ``free`` of what is used was taken from what nobody was kept."""

    path: str
    priority: int
    share: int
    used: int
    lent: int
    free: int

    @property
    def kept(self) -> int:
        return max(0, self.share - self.lent - max(0, self.used - self.free))

    def age(self, part: int, whole: int) -> None:
        """Lend what ``part`` of ``whole`` of the window has taken from what is kept."""
        self.free = min(self.free, self.used)  # what was given back beyond the share
        taken = max(0, self.used - self.free)
        self.lent = max(self.lent, self.share * part // whole - taken) if whole else self.lent


@dataclass(slots=True)
class _Limit:
    """One limit that is shared."""

    row: Row
    unit: Unit
    limit: int
    used: int
    parts: dict[str, _Part]

    def room(self, path: str) -> int:
        """What ``path`` may take: what is left, less what is kept for the others."""
        return self.limit - self.used - self.kept(path)

    def kept(self, path: str) -> int:
        """What is kept for the others."""
        return sum(part.kept for part in self.parts.values() if part.path != path)

    @property
    def free(self) -> int:
        """What is kept for nobody."""
        return max(0, self.limit - self.used - sum(part.kept for part in self.parts.values()))


def check_priority(account: str, priority: object) -> int:
    """A priority that can be declared for an account; 0 takes it away.

    Raises:
        BudgetError: it is no whole number from 0 to ``PRIORITY_MAX``, or the account is not that of a workflow.
    """
    parts = levels(account)[-1].split("/")
    if len(parts) != 4 or parts[2] != "workflow":
        raise BudgetError(
            f"`{account}` cannot have a priority: workflows of an organisation have",
            hint="name one, such as `org/default/workflow/returns`",
        )
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= PRIORITY_MAX:
        raise BudgetError(
            f"`{priority}` is no priority", hint=f"give a whole number from 1 to {PRIORITY_MAX}; 0 for none"
        )
    return priority


def set_priority(transaction: Transaction, account: str, priority: int, *, declared: bool) -> bool:
    """Give a workflow its priority; whether that changes anything. What an operator has set, programs do not change."""
    org = levels(account)[0]
    known = {str(row["path"]): row for row in transaction.rows(_OF, {"of_org": org})}
    was = known.get(account)
    if was is not None and declared and not was["declared"]:
        return False
    if was is not None and (was["priority"], was["declared"]) == (priority, declared):
        return False
    if was is None and declared and not priority:
        return False
    if org not in known:
        rest = {"path": org, "org": org, "priority": REST, "declared": True, "state": "{}"}
        transaction.connection.execute(sa.insert(_SHARE).values(**rest))
    values = {"priority": priority, "declared": declared}
    if was is None:
        transaction.connection.execute(sa.insert(_SHARE).values(path=account, org=org, state="{}", **values))
    else:
        transaction.connection.execute(sa.update(_SHARE).where(_SHARE.c.path == account).values(**values))
    others = any(row["priority"] for path, row in known.items() if path not in (org, account))
    transaction.connection.execute(
        sa.update(ACCOUNT).where(ACCOUNT.c.path == org).values(shared=bool(priority) or others)
    )
    return True


def owner(account: str) -> str:
    """The workflow's account of a path, which may have a share; the organisation's where there is none."""
    path = levels(account)
    return path[1] if len(path) > 1 and path[1].split("/")[2] == "workflow" else path[0]


class Shares:
    """The shares of one organisation at one moment, as far as its limits are shared."""

    def __init__(
        self, read: Read, org: str, rows: Iterable[Row], now: dt.datetime, but: tuple[Sequence[int], Usage] = _NOTHING
    ) -> None:
        """``rows`` are the organisation's own, in their present windows. ``but``: what was taken from accounts just now, by row
        ids, to be left out."""
        self._org = org
        self._but = but
        limited = [row for row in rows if row["path"] == org and limits_of(row)]
        self._members = (
            {str(row["path"]): row for row in read(_OF, {"of_org": org}) if row["priority"]} if limited else {}
        )
        self._states = {path: _state(row) for path, row in self._members.items()}
        self._limits: list[_Limit] = []
        self._spent: Mapping[tuple[str, str], Row] = {}
        if self._members:
            self._spent = _spent(read, [path for path in self._members if path != org])
            for row in limited:
                self._limits += self._of(row, self._spent, now)

    def uncounted(self, path: str) -> set[str]:
        """The shared windows, as accounts are stored, that a workflow is not counted in yet, as far as is known here."""
        if path == self._org:
            return set()
        return {window for limit in self._limits if (path, window := str(limit.row["window"])) not in self._spent}

    def room(self, account: str) -> dict[Unit, int]:
        """What an account may take of each shared unit."""
        least: dict[Unit, int] = {}
        for limit in self._limits:
            room = limit.room(self._member(account))
            least[limit.unit] = min(room, least.get(limit.unit, room))
        return least

    def short(self, account: str, asked: Usage) -> tuple[Row, Unit, int, int] | None:
        """The limit that has less for ``account`` than it asks for: its row, the unit, what there is, what is kept for others."""
        path = self._member(account)
        for limit in self._limits:
            if 0 < asked.amount(limit.unit) > limit.room(path):
                return limit.row, limit.unit, limit.room(path), limit.kept(path)
        return None

    def take(self, transaction: Transaction, account: str, held: Usage) -> None:
        """Note what was taken: first of what is free, then of the own share."""
        path = self._member(account)
        for limit in self._limits:
            part, free = limit.parts[path], limit.free
            part.used += held.amount(limit.unit)
            part.free += min(held.amount(limit.unit), free)
            window, at = str(limit.row["window"]), str(limit.row["opens_at"])
            for each in limit.parts.values():
                state = self._states[each.path].setdefault(window, {})
                if state.get("opens_at") != at:
                    state.clear()
                state["opens_at"] = at
                state[limit.unit] = [each.lent, each.free]
        for member, row in self._members.items():
            text = json.dumps(self._states[member], sort_keys=True)
            if text != row["state"]:
                transaction.count(_KEEP, {"of_path": member, "now_state": text})

    def all(self) -> list[Share]:
        """All of them, for people."""
        return [
            Share(
                org=self._org,
                account=part.path,
                priority=part.priority,
                window=parts_of(str(limit.row["window"]))[0],
                zone=parts_of(str(limit.row["window"]))[1],
                unit=limit.unit,
                limit=limit.limit,
                share=part.share,
                used=part.used,
                kept=part.kept,
                lent=part.lent,
            )
            for limit in self._limits
            for part in limit.parts.values()
        ]

    def _member(self, account: str) -> str:
        path = owner(account)
        return path if path in self._members else self._org

    def _amount(self, row: Row, unit: Unit) -> int:
        ids, mine = self._but
        used = cast("int", row[f"{unit}_posted"]) + cast("int", row[f"{unit}_pending"])
        return used - mine.amount(unit) if row["id"] in ids else used

    def _of(self, row: Row, spent: Mapping[tuple[str, str], Row], now: dt.datetime) -> list[_Limit]:
        opens = opened(row, now)
        window, fresh = str(row["window"]), str(row["opens_at"]) < opens
        at = opens if fresh else str(row["opens_at"])
        part, whole = _progress(window, at, now)
        weight = sum(cast("int", it["priority"]) for it in self._members.values())
        found: list[_Limit] = []
        for unit, limit in limits_of(row).items():
            used = 0 if fresh else self._amount(row, unit)
            parts: dict[str, _Part] = {}
            for path, member in self._members.items():
                own = spent.get((path, window))
                state = self._states[path].get(window, {})
                known = state.get(unit) if state.get("opens_at") == at else None
                lent, free = cast("list[int]", known or [0, 0])
                priority = cast("int", member["priority"])
                taken = self._amount(own, unit) if own is not None and own["opens_at"] == at else 0
                parts[path] = _Part(path, priority, limit * priority // weight, taken, lent, free)
            parts[self._org].used = max(0, used - sum(it.used for it in parts.values()))
            for it in parts.values():
                it.age(part, whole)
            found.append(_Limit({**row, "opens_at": at}, unit, limit, used, parts))
        return found


def shares_of(
    read: Read,
    rows: Iterable[Row],
    account: str,
    now: dt.datetime,
    *,
    but: tuple[Sequence[int], Usage] = _NOTHING,
) -> Shares | None:
    """The shares that a reservation of ``account`` must leave to others; None where there are none. ``but``: as ``Shares``."""
    org, found = levels(account)[0], list(rows)
    return Shares(read, org, found, now, but) if any(row["shared"] and row["path"] == org for row in found) else None


def room_of(shares: Shares | None, account: str, left: Mapping[Unit, int]) -> dict[Unit, int]:
    """What is left of each shared unit, less what is kept for others than ``account``."""
    room = {} if shares is None else shares.room(account)
    return {unit: min(amount, left[unit]) for unit, amount in room.items()}


def _spent(read: Read, paths: Sequence[str]) -> dict[tuple[str, str], Row]:
    rows: Sequence[Row] = read(_accounts(len(paths)), named("path", paths)) if paths else ()
    return {(str(row["path"]), str(row["window"])): row for row in rows}


@cache
def _accounts(count: int) -> Statement:
    paths = [sa.bindparam(f"path_{at}", type_=sa.String) for at in range(count)]
    return Statement(sa.select(ACCOUNT).where(ACCOUNT.c.path.in_(paths), ACCOUNT.c.current))


def _state(row: Row) -> dict[str, dict[str, object]]:
    return cast("dict[str, dict[str, object]]", json.loads(str(row["state"])))


def _progress(calendar: str, at: str, now: dt.datetime) -> tuple[int, int]:
    """How much of a window is over, and how long it is, in microseconds; nothing of nothing for one that has no end."""
    window, zone = parts_of(calendar)
    if not at:
        return 0, 0
    began = dt.datetime.fromisoformat(at)
    ends = closes_at(window, began, zone)
    micro = dt.timedelta(microseconds=1)
    whole = (ends - began) // micro
    return min(max((now - began) // micro, 0), whole), whole


__all__ = ["PRIORITY_MAX", "REST", "Share", "Shares", "check_priority", "owner", "room_of", "set_priority", "shares_of"]
