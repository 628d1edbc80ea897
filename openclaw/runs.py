"""Runs: one run of a graph, from its first step to its last; a resumed thread goes on with the run that it was in."""

from __future__ import annotations

import collections
import datetime as dt
import hashlib
import json

import sqlalchemy as sa

from openclaw.action import Run, utc
from openclaw.canonical import storable
from openclaw.encoding import encode
from openclaw.store import Statement, Store
from openclaw.store.tables import ActionRow, EntryRow, RunRow, Table

_RUN: sa.Table = Table.metadata.tables[str(RunRow.__tablename__)]
_ENTRY: sa.Table = Table.metadata.tables[str(EntryRow.__tablename__)]
_ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]


def same_call(name: str, args_digest: str) -> str:
    """What two calls have in common that are the same to loop detection: the tool and its arguments."""
    return f"{name}\0{args_digest}"


class Runs:
    """The runs in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, *, workflow: str, thread: str | None) -> Run:
        """A new run. It is written with the next commit."""
        now = self._store.clock.now()
        run = Run(id=self._store.clock.new_id("run"), thread=thread, started_at=now)
        values = {
            "id": run.id,
            "thread": storable(thread or ""),
            "workflow": storable(workflow),
            "started_at": utc(now),
        }
        self._store.defer(lambda transaction: transaction.connection.execute(sa.insert(_RUN), values))
        return run

    def last(self, *, workflow: str, thread: str) -> Run | None:
        """The newest run of a thread."""
        query = sa.select(_RUN).where(_RUN.c.thread == storable(thread), _RUN.c.workflow == storable(workflow))
        with self._store.read() as connection:
            row = connection.execute(query.order_by(_RUN.c.started_at.desc(), _RUN.c.id.desc()).limit(1)).one_or_none()
        if row is None:
            return None
        started, resumed = dt.datetime.fromisoformat(row.started_at), self._store.clock.now()
        return Run(id=row.id, thread=thread, started_at=started, resumed_at=resumed)

    def calls(self, run: str) -> dict[str, int]:
        """How often each call (``same_call``) of tools was decided on in a run, as its log tells.

        Not counted are questions that wait, and calls that wait by themselves: they come again as the same ones. Of a call
        whose arguments the log hides, nobody can tell that it is the same.
        """
        self._store.flush()
        counted: collections.Counter[str] = collections.Counter()
        for row in self._store.fetch(_CALLS, {"of_run": storable(run)}):
            asked = json.loads(str(row["body"])).get("input", {})
            if asked.get("kind") in ("tool", "handoff"):
                args = hashlib.sha256(encode(asked["tool"]["args"])).hexdigest()
                counted[same_call(asked["tool"]["name"], f"sha256:{args}")] += 1
        return dict(counted)


_CALLS = Statement(
    sa.select(_ENTRY.c.body)
    .where(
        _ENTRY.c.run == sa.bindparam("of_run"),
        _ENTRY.c.kind == sa.literal_column("'decision'"),
        _ENTRY.c.effect != sa.literal_column("'ask'"),
        ~sa.exists().where(_ACTION.c.seq == _ENTRY.c.seq, _ACTION.c.state == sa.literal_column("'suspended'")),
    )
    .order_by(_ENTRY.c.seq)
)


__all__ = ["Runs", "same_call"]
