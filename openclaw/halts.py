"""Halts: what a person has stopped, for every process that shares the store, until a person lets it go on.

A halt is a row, and an entry of kind ``halt`` in the commit that makes it. The gate reads the rows in the transaction of each
admission, and commits have one order, so a halt holds from its own commit on. What runs already in a stream or on an event
loop looks every ``WATCH_SECONDS`` (``Watch``).

    INVARIANT: no action is permitted in a commit after that of a halt which covers it, by any process, until it is lifted.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Literal, cast

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, JsonValue

from openclaw.action import Principal, Run
from openclaw.audit import AuditLog, Draft
from openclaw.canonical import storable
from openclaw.errors import ConfigurationError, Halted, StoreError
from openclaw.store import Row, Statement, Store, Transaction
from openclaw.store.tables import HaltRow, Table
from openclaw.store.transaction import HALTS_NOTE

WATCH_SECONDS = 0.25
"""How often what is running already looks whether it has been halted."""

Scope = Literal["everything", "workflow", "agent", "run"]

_HALT: sa.Table = Table.metadata.tables[str(HaltRow.__tablename__)]


class Target(BaseModel):
    """What is stopped: what all of the given names fit; everything where none is given.

    An agent covers whoever works in its delegation, too: whom it has handed over to in this run, and what it uses as a tool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: str = ""
    agent: str = ""
    run: str = ""

    @property
    def scope(self) -> Scope:
        """The narrowest of the names."""
        if self.run:
            return "run"
        return "agent" if self.agent else "workflow" if self.workflow else "everything"

    def __str__(self) -> str:
        named = [f"{name} `{value}`" for name, value in self.names().items()]
        return " in ".join(reversed(named)) or "everything"

    def names(self) -> dict[str, str]:
        """The names that are given."""
        return {name: value for name in ("workflow", "agent", "run") if (value := cast("str", getattr(self, name)))}

    def covers(self, principal: Principal, run: Run | None) -> bool:
        """Whether an action of this principal in this run is stopped."""
        if self.workflow and storable(principal.workflow) != self.workflow:
            return False
        if self.agent and self.agent not in map(storable, (principal.agent, *principal.chain)):
            return False
        return not self.run or (run is not None and storable(run.id) == self.run)


class Halt(BaseModel):
    """One halt that stands: of what, by whom and why. ``seq`` is the entry that records it."""

    model_config = ConfigDict(frozen=True)

    target: Target
    seq: int
    by: str
    reason: str
    at: dt.datetime

    def refusal(self) -> Halted:
        """The refusal of an action that it stops."""
        why = f": {self.reason}" if self.reason else ""
        return Halted(f"{self.target} is halted by {self.by}{why}", by=self.by, halt=self.seq)


class Halts:
    """The halts in a store. Safe to use from many threads."""

    def __init__(self, store: Store, log: AuditLog) -> None:
        self._store = store
        self._log = log
        self._lock = threading.Lock()
        self._known: tuple[Halt, ...] = ()
        self._looked: float | None = None

    def list(self) -> list[Halt]:
        """The halts that stand, oldest first."""
        return list(_halts(self._store.fetch(_ALL, {})))

    def halt(self, target: Target, *, by: str, reason: str = "") -> Halt:
        """Stop what is meant, from this commit on. What is halted already stays so, as it was recorded first.

        Raises:
            ConfigurationError: nobody is named.
        """
        target, reason = _checked(target, by), self._log.text(reason)

        def unit(transaction: Transaction) -> Halt:
            known = next((halt for halt in standing(transaction) if halt.target == target), None)
            if known is not None:
                return known
            seq = self._record(transaction, "halt", target, by=by, reason=reason)
            row = {**target.model_dump(), "seq": seq, "by": by, "reason": reason, "at": transaction.at}
            transaction.count(_ADD, row)
            transaction.notes.pop(HALTS_NOTE, None)
            return Halt(target=target, seq=seq, by=by, reason=reason, at=transaction.now)

        return self._store.run(unit)

    def resume(self, target: Target, *, by: str, reason: str = "") -> Halt:
        """Lift the halt of exactly this target. Narrower and wider ones stay.

        Raises:
            ConfigurationError: nobody is named, or this is not halted; the hint names what is.
        """
        target, reason = _checked(target, by), self._log.text(reason)

        def unit(transaction: Transaction) -> Halt | None:
            known = next((halt for halt in standing(transaction) if halt.target == target), None)
            if known is not None:
                self._record(transaction, "resume", target, by=by, reason=reason, halt=known.seq)
                transaction.count(_LIFT, {f"of_{name}": value for name, value in target.model_dump().items()})
                transaction.notes.pop(HALTS_NOTE, None)
            return known

        lifted = self._store.run(unit)
        if lifted is None:
            others = ", ".join(str(halt.target) for halt in self.list()) or "nothing"
            raise ConfigurationError(f"{target} is not halted", hint=f"halted: {others}")
        return lifted

    def watched(self, principal: Principal, run: Run | None) -> Halted | None:
        """Why a running action must stop, if it must: as of ``WATCH_SECONDS`` ago at most.

        A store that cannot be read stops nothing that runs already; nothing new is let through meanwhile.
        """
        with self._lock:
            if not self.fresh:
                try:
                    self._known = tuple(self.list())
                except StoreError:
                    return None
                self._looked = time.monotonic()
            known = self._known
        return against(known, principal, run)

    @property
    def fresh(self) -> bool:
        """Whether ``watched`` answers without a look at the store."""
        return self._looked is not None and time.monotonic() - self._looked < WATCH_SECONDS

    def _record(self, transaction: Transaction, event: str, target: Target, **said: JsonValue) -> int:
        body: dict[str, JsonValue] = {"event": event, "scope": target.scope, **target.names(), **said}
        draft = Draft(kind="halt", workflow=target.workflow, agent=target.agent, run=target.run, body=body)
        return self._log.record(transaction, draft)


def standing(transaction: Transaction) -> tuple[Halt, ...]:
    """The halts that stand in a transaction; read once in each, since its commit may hold many admissions."""
    known = transaction.notes.get(HALTS_NOTE)
    if known is None:
        known = transaction.notes[HALTS_NOTE] = _halts(transaction.rows(_ALL, {}))
    return cast("tuple[Halt, ...]", known)


def against(halts: Iterable[Halt], principal: Principal, run: Run | None) -> Halted | None:
    """The refusal of an action of this principal in this run, by the oldest of the halts that stop it."""
    return next((halt.refusal() for halt in halts if halt.target.covers(principal, run)), None)


def _checked(target: Target, by: str) -> Target:
    if not by.strip():
        raise ConfigurationError("a halt needs a name", hint="say who does it: `by=`, or `--by NAME`")
    return Target(**{name: storable(value) for name, value in target.names().items()})


def _halts(rows: Iterable[Mapping[str, object] | Row]) -> tuple[Halt, ...]:
    return tuple(
        Halt(
            target=Target(**{name: str(row[name]) for name in ("workflow", "agent", "run")}),
            seq=cast("int", row["seq"]),
            by=str(row["by"]),
            reason=str(row["reason"]),
            at=dt.datetime.fromisoformat(str(row["at"])),
        )
        for row in rows
    )


_ALL = Statement(
    sa.select(
        _HALT.c.workflow, _HALT.c.agent, _HALT.c.run, _HALT.c.seq, _HALT.c.by, _HALT.c.reason, _HALT.c.at
    ).order_by(_HALT.c.seq)
)
_ADD = Statement(sa.insert(_HALT))
_LIFT = Statement(
    sa.delete(_HALT).where(
        _HALT.c.workflow == sa.bindparam("of_workflow"),
        _HALT.c.agent == sa.bindparam("of_agent"),
        _HALT.c.run == sa.bindparam("of_run"),
    )
)


__all__ = ["WATCH_SECONDS", "Halt", "Halts", "Target", "against", "standing"]
