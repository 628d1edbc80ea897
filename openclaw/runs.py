"""Runs: one run of a graph, from its first step to its last; a resumed thread goes on with the run that it was in."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from openclaw.action import Run, utc
from openclaw.canonical import storable
from openclaw.store import Store
from openclaw.store.tables import RunRow, Table

_RUN: sa.Table = Table.metadata.tables[str(RunRow.__tablename__)]


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
        return Run(id=row.id, thread=thread, started_at=dt.datetime.fromisoformat(row.started_at))


__all__ = ["Runs"]
