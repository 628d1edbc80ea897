"""One SQL database under the log, the ledger and the approvals, and the one way to write to it.

All writes of a process go through one writer thread, which puts what has gathered into one transaction (group commit).
A write is a *unit*: a function of the transaction that computes and executes statements. It returns when it is durable.

    INVARIANT: units run in the order in which they were submitted, one at a time, and commits of all processes have one
    order (SQLite: ``BEGIN IMMEDIATE``; PostgreSQL: a row lock taken first), so that sequence numbers equal commit order.
    INVARIANT: a unit may be run more than once (its transaction failed, or another unit in it did), but commits once.
"""

from __future__ import annotations

import asyncio
import atexit
import collections
import contextlib
import datetime as dt
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from openclaw.clock import Clock, SystemClock
from openclaw.errors import OpenClawError, StoreError
from openclaw.store.opening import UNREADABLE, connect, describe_failure, driver_error, prepare
from openclaw.store.statement import Cursor, Row, Statement
from openclaw.store.tables import Meta, Table

T = TypeVar("T")

DEFER_SECONDS = 0.05
"""How long a deferred unit may wait for a commit to join."""

DEFERRED_MAX = 100_000
"""Deferred units kept while the database fails; beyond that, writing fails at once."""


@dataclass(slots=True)
class Transaction:
    """An open write transaction. ``now`` is the database's clock, read once when the transaction began.

    ``notes`` is memory that lives as long as the transaction does; the log keeps its growing right edge there. What stands
    in ``after`` is called by the writer once the commit is durable; it must not raise.
    """

    connection: Connection
    cursor: Cursor
    now: dt.datetime
    notes: dict[str, object] = field(default_factory=dict[str, object])
    after: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def rows(self, statement: Statement, parameters: Mapping[str, object]) -> list[Row]:
        """Run a prepared statement and give what it returned."""
        return statement.rows(self.cursor, self.connection.dialect, parameters)

    def count(self, statement: Statement, parameters: Mapping[str, object]) -> int:
        """Run a prepared statement; how many rows it touched."""
        statement.run(self.cursor, self.connection.dialect, parameters)
        return self.cursor.rowcount

    def many(self, statement: Statement, parameters: Sequence[Mapping[str, object]]) -> None:
        """Run a prepared statement once for each set of parameters."""
        statement.run_many(self.cursor, self.connection.dialect, parameters)

    @contextlib.contextmanager
    def attempt(self) -> Generator[Attempt]:
        """A part of the transaction that can be taken back as a whole; ``notes`` and ``after`` are not part of it."""
        self.cursor.execute("SAVEPOINT attempt", {})
        attempt = Attempt()
        yield attempt
        if attempt.given_up:
            self.cursor.execute("ROLLBACK TO SAVEPOINT attempt", {})
        self.cursor.execute("RELEASE SAVEPOINT attempt", {})


@dataclass(slots=True)
class Attempt:
    """Whether what is under way in ``Transaction.attempt`` shall be taken back."""

    given_up: bool = False


class Job(Generic[T]):
    """A submitted unit. ``wait`` blocks until it is durable and gives its value, or raises its error."""

    __slots__ = ("deferred", "future", "since", "unit")

    def __init__(self, unit: Callable[[Transaction], T], *, deferred: bool, since: float) -> None:
        self.unit = unit
        self.deferred = deferred
        self.since = since
        self.future: Future[T] = Future()
        # Running from the start: a cancelled waiter goes away, its unit commits all the same.
        self.future.set_running_or_notify_cancel()

    def wait(self) -> T:
        """The unit's value, once it is durable."""
        return self.future.result()


class Store:
    """The database of one governance. Open it with ``Store.open``; safe to use from many threads and event loops.

    ``hooks`` run inside each transaction, after its units and before its commit, in the order of registration.
    """

    def __init__(self, engine: Engine, *, clock: Clock | None, origin: str, readonly: bool) -> None:
        self.engine = engine
        self.origin = origin
        self.readonly = readonly
        self.clock: Clock = clock or SystemClock()
        self.hooks: list[Callable[[Transaction], None]] = []
        # PostgreSQL may run on another machine: its clock judges. SQLite's clock is this machine's.
        self._asks_database = clock is None and engine.dialect.name == "postgresql"
        self._driver_error = driver_error(engine)
        self._pid = os.getpid()
        self._queue: collections.deque[Job[object]] = collections.deque()
        self._wake = threading.Condition()
        self._committing = False
        self._closing = False
        self._failure: StoreError | None = None
        self._writer: threading.Thread | None = None

    @classmethod
    def open(cls, url: str, *, clock: Clock | None = None, create: bool = True, readonly: bool = False) -> Store:
        """Open the database at ``url``, making its tables if it is empty and ``create`` is true.

        Args:
            url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql+psycopg://user@host/name``.
            clock: time and identifiers; None means the database's clock.
            create: false where a missing database is an error, as for reviewing commands.
            readonly: open without the right to write.

        Raises:
            StoreError: it cannot be opened, belongs to another program, or is of another schema version.
        """
        engine = connect(url, create=create, readonly=readonly)
        try:
            origin = prepare(engine, clock=clock or SystemClock(), create=create and not readonly, readonly=readonly)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, clock=clock, origin=origin, readonly=readonly)

    # -- reading -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def read(self) -> Generator[Connection]:
        """A connection that sees one moment of the database, with everything deferred so far in it."""
        self.flush()
        with self.peek() as connection:
            begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if self._is_postgres else "BEGIN"
            connection.exec_driver_sql(begin)
            try:
                yield connection
            finally:
                with contextlib.suppress(SQLAlchemyError):  # the connection may be gone, and its snapshot with it
                    connection.exec_driver_sql("ROLLBACK")

    @contextlib.contextmanager
    def peek(self) -> Generator[Connection]:
        """A connection for single statements, without waiting for what is deferred."""
        self._check_process()
        try:
            with self.engine.connect() as connection:
                yield connection
        except UNREADABLE as error:
            raise describe_failure(error, "read") from error

    def fetch(self, statement: Statement, parameters: Mapping[str, object]) -> list[Row]:
        """Run one prepared query, without waiting for what is deferred."""
        self._check_process()
        try:
            connection = self.engine.raw_connection()
            try:
                return statement.rows(connection.cursor(), self.engine.dialect, parameters)
            finally:
                connection.close()
        except (*UNREADABLE, self._driver_error) as error:
            raise describe_failure(error, "read") from error

    # -- writing -------------------------------------------------------------------------------------------------

    def submit(self, unit: Callable[[Transaction], T]) -> Job[T]:
        """Queue ``unit`` for the next commit."""
        return self._enqueue(unit, deferred=False)

    def run(self, unit: Callable[[Transaction], T]) -> T:
        """Run ``unit`` in the next commit and return its value when that commit is durable."""
        return self.submit(unit).wait()

    async def arun(self, unit: Callable[[Transaction], T]) -> T:
        """``run`` without blocking the event loop."""
        return await asyncio.wrap_future(self.submit(unit).future)

    def defer(self, unit: Callable[[Transaction], object]) -> None:
        """Let ``unit`` join the next commit, at most ``DEFER_SECONDS`` from now. Tried again while the database fails."""
        self._enqueue(unit, deferred=True)

    def flush(self) -> None:
        """Return when everything deferred so far is durable.

        Raises:
            StoreError: it cannot be made durable now; it stays queued.
        """
        if self.readonly or self._writer is None or threading.current_thread() is self._writer:
            return
        with self._wake:
            waiting = bool(self._queue) or self._committing
        if waiting or self._failure is not None:
            self.run(lambda _: None)

    @property
    def closed(self) -> bool:
        """Whether ``close`` has been called."""
        return self._closing

    def close(self) -> None:
        """Make everything durable, stop the writer and close the connections. Closing twice is fine."""
        with self._wake:
            if self._closing:
                return
            self._closing = True
            self._wake.notify_all()
        if self._writer is not None:
            self._writer.join()
            atexit.unregister(self._at_exit)
        self.engine.dispose()
        lost = len(self._queue)
        if lost:
            raise StoreError(
                f"the database was closed with {lost} writes that it did not take: {self._failure}",
                hint="their actions are listed by `openclaw audit open` once the database works again",
            )

    @property
    def _is_postgres(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise StoreError(
                "the store was opened before this process was forked",
                hint="open a Governance of its own in each process",
            )

    def _enqueue(self, unit: Callable[[Transaction], T], *, deferred: bool) -> Job[T]:
        self._check_process()
        if self.readonly:
            raise StoreError("the database is open for reading only", hint="open it without `readonly` to write")
        job = Job(unit, deferred=deferred, since=_monotonic())
        with self._wake:
            if self._closing:
                raise StoreError("the store is closed", hint="open a new Governance")
            if len(self._queue) >= DEFERRED_MAX:
                raise StoreError(
                    f"the database takes no writes: {self._failure}", hint="mend it; nothing runs until then"
                )
            if self._writer is None:
                self._start_writer()
            self._queue.append(job)  # pyright: ignore[reportArgumentType]
            if not deferred or len(self._queue) == 1:
                self._wake.notify_all()
        return job

    def _start_writer(self) -> None:
        self._writer = threading.Thread(target=self._write_forever, name="openclaw-writer", daemon=True)
        # A daemon, so that a forgotten close() does not hang the interpreter's exit; what is deferred is written there.
        reference = weakref.ref(self)

        def at_exit() -> None:
            store = reference()
            if store is not None:
                store.close()

        self._at_exit = at_exit
        atexit.register(at_exit)
        self._writer.start()

    def _write_forever(self) -> None:
        connection: Connection | None = None
        while True:
            batch = self._gather()
            if not batch:
                break
            try:
                connection = connection or self.engine.connect()
                self._commit(connection, batch)
            except (SQLAlchemyError, self._driver_error) as error:
                connection = self._abandon(connection)
                self._fail(batch, describe_failure(error, "write"))
            except StoreError as error:
                connection = self._abandon(connection)
                self._fail(batch, error)
            self._committing = False
        self._abandon(connection)

    def _gather(self) -> list[Job[object]]:
        """Everything queued, as soon as something must be written; an empty list when closing and nothing is left."""
        with self._wake:
            while True:
                urgent = any(not job.deferred for job in self._queue)
                due = self._queue[0].since + DEFER_SECONDS - _monotonic() if self._queue else None
                if urgent or self._closing or (due is not None and due <= 0):
                    if self._closing and self._failure is not None and not urgent:
                        return []  # the last try failed too; close() says what is lost
                    batch = list(self._queue)
                    self._queue.clear()
                    self._committing = True
                    return batch
                self._wake.wait(due)

    def _commit(self, connection: Connection, batch: list[Job[object]]) -> None:
        """Run the units of ``batch`` in one transaction. A unit that raises is left out and the rest begins again."""
        jobs = list(batch)
        while jobs:
            values: list[object] = []
            transaction = self._begin(connection)
            try:
                for job in jobs:
                    values.append(job.unit(transaction))  # noqa: PERF401 - the position of a failure is needed below
                for hook in self.hooks:
                    hook(transaction)
            except (SQLAlchemyError, self._driver_error):
                raise
            except Exception as error:  # handed to whoever submitted the unit
                transaction.cursor.execute("ROLLBACK", {})
                culprit = jobs.pop(len(values)) if len(values) < len(jobs) else None
                if culprit is None:  # a hook failed: nothing in this transaction can be recorded
                    raise StoreError(f"the transaction could not be completed: {error}") from error
                culprit.future.set_exception(error)
                continue
            transaction.cursor.execute("COMMIT", {})
            self._failure = None
            for call in transaction.after:
                call()
            for job, value in zip(jobs, values, strict=True):
                job.future.set_result(value)
            return

    def _begin(self, connection: Connection) -> Transaction:
        cursor: Cursor = connection.connection.cursor()
        if not self._is_postgres:
            cursor.execute("BEGIN IMMEDIATE", {})
            return Transaction(connection, cursor, self.clock.now())
        cursor.execute("BEGIN", {})
        now = _LOCK.rows(cursor, connection.dialect, {})[0]["now"]
        assert isinstance(now, dt.datetime)
        return Transaction(connection, cursor, now if self._asks_database else self.clock.now())

    def _abandon(self, connection: Connection | None) -> None:
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):  # it may be gone already
                connection.exec_driver_sql("ROLLBACK")
            with contextlib.suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()

    def _fail(self, batch: list[Job[object]], error: StoreError) -> None:
        """Tell everyone who waits; keep what is deferred for a later try, in its order."""
        with self._wake:
            self._failure = error
            kept = [job for job in batch if job.deferred and not job.future.done()]
            for job in kept:
                job.since = _monotonic()
            self._queue.extendleft(reversed(kept))
        for job in batch:
            if not job.deferred and not job.future.done():
                job.future.set_exception(_fresh(error))


_META: sa.Table = Table.metadata.tables[str(Meta.__tablename__)]
_LOCK = Statement(
    sa.select(sa.func.clock_timestamp(type_=sa.DateTime(timezone=True)).label("now"))
    .where(_META.c.id == 1)
    .with_for_update()
)


def _fresh(error: StoreError) -> OpenClawError:
    """A copy for one waiter: an exception object that several threads raise would mix their tracebacks."""
    copy = StoreError(error.message, hint=error.hint)
    copy.__cause__ = error.__cause__
    return copy


def _monotonic() -> float:
    # Durations, not dates: the injected clock tells dates and may stand still.
    return time.monotonic()
