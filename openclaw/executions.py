"""Executions: what stands between the decision on an action and its outcome, under the name of that very execution.

running ──▶ done | withheld | failed | cancelled | suspended | unknown          refused

    done, withheld      it returned; withheld: and the policy lets nobody see the result
    failed, cancelled   it raised, or was cut off: the key passes on to the next try
    suspended           it waits for a person by itself, and goes on under its key and its approval
    unknown             its process is gone, and nobody knows what came of it: never made again by itself

    INVARIANT: a key belongs to at most one execution, and at most one execution runs under it at a time.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa

from openclaw.audit import Privacy
from openclaw.canonical import storable
from openclaw.errors import AuditError
from openclaw.store import Row, Statement, Store, Transaction
from openclaw.store.tables import ActionRow, EntryRow, RunRow, Table

RESULTS_MAX = 1_000
"""Results of one thread that are read again when it goes on."""

_ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]
_ENTRY: sa.Table = Table.metadata.tables[str(EntryRow.__tablename__)]
_RUN: sa.Table = Table.metadata.tables[str(RunRow.__tablename__)]


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution: the entry of its decision, how it stands, who runs it, and what it keeps for a node that runs again.

    ``kept`` is empty where nothing was kept, or its time is over.
    """

    seq: int
    state: str
    worker: str
    kept: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running execution as its entry tells of it. ``worker`` runs it, ``hold`` is its reservation."""

    seq: int
    began: dt.datetime
    run: str
    workflow: str
    agent: str
    tool: str
    call_id: str
    worker: str
    hold: str


class Executions:
    """The executions in a store. Methods that take a transaction join it. What they keep is sealed while it is stored."""

    def __init__(self, store: Store, privacy: Privacy) -> None:
        self._store = store
        self._privacy = privacy

    def peek(self, key: str) -> Execution | None:
        """The execution of this key, as far as commits have come."""
        return self._first(self._store.fetch(_BY_KEY, {"key": key}))

    def find(self, transaction: Transaction, key: str) -> Execution | None:
        """The execution of this key."""
        return self._first(transaction.rows(_BY_KEY, {"key": key}))

    def running(self, *, workflow: str, thread: str) -> list[Running]:
        """What runs of a thread, as far as commits have come."""
        rows = self._store.fetch(_OF_THREAD, {"of_workflow": storable(workflow), "of_thread": storable(thread)})
        return [_running(row) for row in rows]

    def results(self, *, workflow: str, thread: str) -> list[tuple[str, bytes]]:
        """The tools that have returned or raised something in a thread, the last ``RESULTS_MAX`` of them, with what is kept."""
        of = {"of_workflow": storable(workflow), "of_thread": storable(thread)}
        found: list[tuple[str, bytes]] = []
        for row in self._store.fetch(_RESULTS, of):
            execution = self._first([row])
            found.append((str(row["tool"]), execution.kept if execution is not None else b""))
        return found[::-1]

    def one_running(self, transaction: Transaction, seq: int) -> Running:
        """A running execution by the entry of its decision."""
        return _running(transaction.rows(_ONE_RUNNING, {"of_seq": seq})[0])

    def begin(self, transaction: Transaction, seq: int, key: str | None, *, worker: str, hold: str) -> None:
        """Begin an execution. The key of an earlier try passes on."""
        self._note(transaction, seq, key, "running", worker=worker, hold=hold)

    def refuse(self, transaction: Transaction, seq: int, key: str, kept: bytes) -> None:
        """Note that an execution was refused, for good."""
        self._note(transaction, seq, key, "refused", kept=kept)

    def _note(
        self,
        transaction: Transaction,
        seq: int,
        key: str | None,
        state: str,
        *,
        worker: str = "",
        hold: str = "",
        kept: bytes = b"",
    ) -> None:
        if key is not None:
            transaction.count(_FREE_KEY, {"of_key": key})
        until = self._privacy.keep_until(transaction.now) if kept else ""
        row = {"seq": seq, "key": key or "", "state": state, "worker": worker, "hold": hold}
        transaction.count(_NOTE, row | {"result": self._privacy.keep(seq, kept), "kept_until": until})

    def end(self, transaction: Transaction, seq: int, state: str, sealed: bytes, *, was: str = "running") -> bool:
        """End an execution with what ``Privacy.keep`` has sealed. False if it does not stand as it is said that it ``was``."""
        until = self._privacy.keep_until(transaction.now) if sealed else ""
        ended = {"of_seq": seq, "was": was, "to": state, "with_result": sealed, "until": until}
        return transaction.count(_END, ended) == 1

    def keep(self, transaction: Transaction, seq: int, kept: bytes) -> None:
        """What an execution keeps for a node that runs again, where that is known only after its end."""
        until = self._privacy.keep_until(transaction.now)
        transaction.count(_KEEP, {"of_seq": seq, "with_result": self._privacy.keep(seq, kept), "until": until})

    def _first(self, rows: list[Row]) -> Execution | None:
        for row in rows:
            seq, sealed = cast("int", row["seq"]), bytes(cast("bytes", row["result"]))
            try:
                kept = self._privacy.kept(seq, sealed)
            except AuditError:
                kept = b""  # The log has another signing key now: as if its time were over. It is not run again.
            return Execution(seq, str(row["state"]), str(row["worker"]), kept)
        return None


_BY_KEY = Statement(
    sa.select(_ACTION.c.seq, _ACTION.c.state, _ACTION.c.worker, _ACTION.c.result).where(
        _ACTION.c.key == sa.bindparam("key")
    )
)
_NOTE = Statement(sa.insert(_ACTION))
_FREE_KEY = Statement(sa.update(_ACTION).where(_ACTION.c.key == sa.bindparam("of_key")).values(key=""))
_END = Statement(
    sa.update(_ACTION)
    .where(_ACTION.c.seq == sa.bindparam("of_seq"), _ACTION.c.state == sa.bindparam("was"))
    .values(state=sa.bindparam("to"), result=sa.bindparam("with_result"), kept_until=sa.bindparam("until"))
)
_KEEP = Statement(
    sa.update(_ACTION)
    .where(_ACTION.c.seq == sa.bindparam("of_seq"))
    .values(result=sa.bindparam("with_result"), kept_until=sa.bindparam("until"))
)
_RUNNING = sa.and_(_ACTION.c.seq == _ENTRY.c.seq, _ACTION.c.state == sa.literal_column("'running'"))
_SHOWN = (
    _ENTRY.c.seq,
    _ENTRY.c.at,
    _ENTRY.c.run,
    _ENTRY.c.workflow,
    _ENTRY.c.agent,
    _ENTRY.c.tool,
    _ENTRY.c.call_id,
    _ACTION.c.worker,
    _ACTION.c.hold,
)
_ONE_RUNNING = Statement(sa.select(*_SHOWN).where(_RUNNING, _ACTION.c.seq == sa.bindparam("of_seq")))
_OF_THREAD = Statement(
    sa.select(*_SHOWN)
    .where(
        _RUNNING,
        _RUN.c.id == _ENTRY.c.run,
        _RUN.c.thread == sa.bindparam("of_thread"),
        _RUN.c.workflow == sa.bindparam("of_workflow"),
    )
    .order_by(_ENTRY.c.seq)
)

_RESULTS = Statement(
    sa.select(_ENTRY.c.seq, _ENTRY.c.tool, _ACTION.c.state, _ACTION.c.worker, _ACTION.c.result)
    .where(
        _ACTION.c.seq == _ENTRY.c.seq,
        sa.or_(_ACTION.c.state == sa.literal_column("'done'"), _ACTION.c.state == sa.literal_column("'failed'")),
        _RUN.c.id == _ENTRY.c.run,
        _RUN.c.thread == sa.bindparam("of_thread"),
        _RUN.c.workflow == sa.bindparam("of_workflow"),
    )
    .order_by(_ENTRY.c.seq.desc())
    .limit(RESULTS_MAX)
)


def _running(row: Row) -> Running:
    texts = {name: str(row[name]) for name in ("run", "workflow", "agent", "tool", "call_id", "worker", "hold")}
    return Running(seq=cast("int", row["seq"]), began=dt.datetime.fromisoformat(str(row["at"])), **texts)


__all__ = ["Execution", "Executions", "Running"]
