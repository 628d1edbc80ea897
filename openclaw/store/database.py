"""One SQL database under the log, the ledger and the approvals: read by everyone, written through one ``Writer``.

A write is a *unit*: a function of the transaction that computes and executes statements. It returns when it is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError

from openclaw.clock import Clock, SystemClock
from openclaw.errors import StoreError
from openclaw.store.opening import UNREADABLE, connect, describe_failure, driver_error, prepare
from openclaw.store.statement import Cursor, Row, Statement
from openclaw.store.tables import Meta
from openclaw.store.transaction import Transaction
from openclaw.store.writer import Job, Writer

T = TypeVar("T")

READERS_MAX = 8
"""Connections for prepared queries that are kept open between them."""


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
        self._is_postgres = engine.dialect.name == "postgresql"
        self._asks_database = clock is None and self._is_postgres
        self._writing: tuple[Connection, Cursor] | None = None
        self._driver_error = driver_error(engine)
        self._pid = os.getpid()
        self._readers: list[DBAPIConnection] = []
        self._writer = Writer(
            connect=engine.connect,
            begin=self._begin,
            hooks=lambda: self.hooks,
            errors=(SQLAlchemyError, self._driver_error),
        )

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
        self._check_open()
        try:
            with self.engine.connect() as connection:
                yield connection
        except UNREADABLE as error:
            raise describe_failure(error, "read") from error

    def fetch(self, statement: Statement, parameters: Mapping[str, object]) -> list[Row]:
        """Run one prepared query, without waiting for what is deferred."""
        self._check_process()
        self._check_open()
        kept = self._kept_reader()
        if kept is not None:
            # It may have been kept for too long: the server has gone, and perhaps come back.
            with contextlib.suppress(self._driver_error):
                return self._fetch(kept, statement, parameters)
        try:
            return self._fetch(self._new_reader(), statement, parameters)
        except (*UNREADABLE, self._driver_error) as error:
            raise describe_failure(error, "read") from error

    def _fetch(self, connection: DBAPIConnection, statement: Statement, parameters: Mapping[str, object]) -> list[Row]:
        try:
            rows = statement.rows(connection.cursor(), self.engine.dialect, parameters)
        except BaseException:
            connection.close()
            raise
        if len(self._readers) < READERS_MAX and not self._writer.closing:
            self._readers.append(connection)
        else:
            connection.close()
        return rows

    def _kept_reader(self) -> DBAPIConnection | None:
        try:
            return self._readers.pop()
        except IndexError:
            return None

    def _new_reader(self) -> DBAPIConnection:
        """A connection of the driver's own: the pool's bookkeeping takes longer than a prepared query."""
        pooled = self.engine.raw_connection()
        pooled.detach()
        assert pooled.dbapi_connection is not None
        return pooled.dbapi_connection

    # -- writing -------------------------------------------------------------------------------------------------

    def submit(self, unit: Callable[[Transaction], T], *, awaited: bool = False) -> Job[T]:
        """Queue ``unit`` for the next commit; ``awaited`` where this thread is about to wait for it."""
        self._check_process()
        self._check_writable()
        return self._writer.submit(unit, awaited=awaited)

    def run(self, unit: Callable[[Transaction], T]) -> T:
        """Run ``unit`` in the next commit and return its value when that commit is durable."""
        return self.submit(unit, awaited=True).wait()

    async def arun(self, unit: Callable[[Transaction], T]) -> T:
        """``run`` without blocking the event loop."""
        return await asyncio.wrap_future(self.submit(unit).future)

    def defer(self, unit: Callable[[Transaction], object]) -> None:
        """Let ``unit`` join the next commit, soon. It is tried again while the database fails."""
        self._check_process()
        self._check_writable()
        self._writer.submit(unit, deferred=True)

    def flush(self) -> None:
        """Return when everything deferred so far is durable.

        Raises:
            StoreError: it cannot be made durable now; it stays queued.
        """
        if self.readonly or not self._writer.started or self._writer.here:
            return
        if self._writer.behind:
            self.run(lambda _: None)

    @property
    def closed(self) -> bool:
        """Whether ``close`` has been called."""
        return self._writer.closing

    def close(self) -> None:
        """Make everything durable, stop writing and close the connections. Closing twice is fine."""
        if self._writer.closing:
            return
        try:
            self._writer.close()
        finally:
            self._writing = None
            while self._readers:
                self._readers.pop().close()
            self.engine.dispose()

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise StoreError(
                "the store was opened before this process was forked",
                hint="open a Governance of its own in each process",
            )

    def _check_open(self) -> None:
        if self._writer.closing and not self._writer.here:  # what is still written may have to read
            raise StoreError("the store is closed", hint="open a new Governance")

    def _check_writable(self) -> None:
        if self.readonly:
            raise StoreError("the database is open for reading only", hint="open it without `readonly` to write")

    def _begin(self, connection: Connection) -> Transaction:
        writing = self._writing
        if writing is None or writing[0] is not connection:
            writing = self._writing = connection, cast("Cursor", connection.connection.cursor())
        cursor, dialect = writing[1], connection.dialect
        if not self._is_postgres:
            cursor.execute("BEGIN IMMEDIATE", {})
            return Transaction(connection, cursor, dialect, self.clock.now())
        # Both in one message to the server: every one that is saved is a round trip of every transaction.
        postgres = cast("Any", cursor)
        postgres.execute(_BEGIN_LOCKED, prepare=False)
        while postgres.nextset():
            pass
        [[now]] = cursor.fetchall()
        assert isinstance(now, dt.datetime)
        return Transaction(connection, cursor, dialect, now if self._asks_database else self.clock.now())


_BEGIN_LOCKED = f"BEGIN; LOCK TABLE {Meta.__tablename__} IN EXCLUSIVE MODE; SELECT clock_timestamp()"
"""Transactions that write come one after another, in the order in which they came: each waits for the lock, and reads the
clock when it has it. The mode lets everybody read, and keeps out those who lock the table's row, as earlier versions do. To
lock a row would write to it, and take the planner's time, in every transaction."""


__all__ = ["Job", "Store", "Transaction"]
