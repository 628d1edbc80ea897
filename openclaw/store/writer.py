"""The one way to write: units gather, and one thread at a time commits all that have gathered.

A caller that waits for its unit commits by itself, with everything that has gathered by then, unless somebody commits
already: one caller alone pays for no change of threads, and of many each commit carries what came during the one before.
The writer thread commits what nobody waits for in a thread: what is deferred, what event loops wait for, and what is left
when a caller has had its own.

    INVARIANT: units run in the order in which they were submitted, one at a time, and commits of all processes have one
    order (SQLite: ``BEGIN IMMEDIATE``; PostgreSQL: a row lock taken first), so that sequence numbers equal commit order.
    INVARIANT: a unit may be run more than once (its transaction failed, or another unit in it did), but commits once.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from openclaw.errors import OpenClawError, StoreError
from openclaw.store.opening import describe_failure
from openclaw.store.transaction import Transaction

T = TypeVar("T")

DEFER_SECONDS = 0.05
"""How long a deferred unit may wait for a commit to join."""

DEFERRED_MAX = 100_000
"""Deferred units kept while the database fails; beyond that, writing fails at once."""


class Job(Generic[T]):
    """A submitted unit. ``wait`` blocks until it is durable and gives its value, or raises its error."""

    __slots__ = ("_error", "_future", "_turnstile", "_value", "_writer", "deferred", "done", "since", "unit")

    def __init__(self, unit: Callable[[Transaction], T], writer: Writer | None, *, deferred: bool) -> None:
        self.unit = unit
        self.deferred = deferred
        self.since = _monotonic() if deferred else 0.0
        self.done = False
        self._writer = writer
        self._value: T | None = None
        self._error: Exception | None = None
        self._future: Future[T] | None = None
        self._turnstile: threading.Lock | None = None

    @classmethod
    def failed(cls, unit: Callable[[Transaction], T], error: OpenClawError) -> Job[T]:
        """A job that was never taken."""
        job = cls(unit, None, deferred=False)
        job.settle(None, error)
        return job

    @property
    def future(self) -> Future[T]:
        """The same for those who wait in other ways: event loops, and other threads than the one that commits."""
        with _settling:
            if self._future is None:
                self._future = Future()
                # Running from the start: a cancelled waiter goes away, its unit commits all the same.
                self._future.set_running_or_notify_cancel()
                if self.done:
                    self._tell(self._future)
            return self._future

    def wait(self) -> T:
        """The unit's value, once it is durable. Commits in this thread, unless another one does."""
        if not self.done and self._writer is not None:
            self._writer.lead()
        if not self.done:
            self._stand()
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def _stand(self) -> None:
        """Wait until somebody else has settled it: a bare lock, since a ``Future`` takes as long as some of the statements."""
        with _settling:
            if self.done:
                return
            if self._turnstile is None:
                self._turnstile = threading.Lock()
                self._turnstile.acquire()
        with self._turnstile:
            pass

    def settle(self, value: T | None, error: Exception | None) -> None:
        """Say what became of it, once."""
        with _settling:
            if self.done:
                return
            self._value, self._error, self.done = value, error, True
            future = self._future
            if self._turnstile is not None:
                self._turnstile.release()
        if future is not None:
            self._tell(future)

    def _tell(self, future: Future[T]) -> None:
        if self._error is not None:
            future.set_exception(self._error)
        else:
            future.set_result(cast("T", self._value))


_settling = threading.Lock()


@dataclass(slots=True)
class _Try:
    """A transaction under way: what is in it, what its units gave, and whether it was told to commit."""

    batch: list[Job[object]]
    jobs: list[Job[object]]
    transaction: Transaction | None = None
    values: list[object] = field(default_factory=list[object])
    told: bool = False


class Writer:
    """Commits for one store.

    Args:
        connect: opens the connection that is written with, and opens it again after a failure.
        begin: begins a transaction on it.
        hooks: the functions that run in each transaction after its units.
        errors: what the database's driver raises.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], Connection],
        begin: Callable[[Connection], Transaction],
        hooks: Callable[[], Sequence[Callable[[Transaction], None]]],
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._connect = connect
        self._begin = begin
        self._hooks = hooks
        self._errors = errors
        self._connection: Connection | None = None
        self._turn = threading.Lock()
        self._leader = 0
        self._try: _Try | None = None
        self._queue: collections.deque[Job[object]] = collections.deque()
        self._wake = threading.Condition()
        self._dozing = False
        self._failure: StoreError | None = None
        self._lost: collections.deque[Exception] = collections.deque(maxlen=DEFERRED_MAX)
        self._thread: threading.Thread | None = None
        self.closing = False

    # -- handing in ----------------------------------------------------------------------------------------------

    def submit(self, unit: Callable[[Transaction], T], *, deferred: bool = False, awaited: bool = False) -> Job[T]:
        """Queue ``unit``.

        Args:
            deferred: it may wait for another one's commit, ``DEFER_SECONDS`` at most, and stays queued where one fails.
            awaited: the caller is about to ``wait`` for it in this very thread.
        """
        job = Job(unit, self, deferred=deferred)
        with self._wake:
            if self.closing:
                raise StoreError("the store is closed", hint="open a new Governance")
            if len(self._queue) >= DEFERRED_MAX:
                raise StoreError(
                    f"the database takes no writes: {self._failure}", hint="mend it; nothing runs until then"
                )
            if self._thread is None:
                self._start()
            self._queue.append(cast("Job[object]", job))
            if self._dozing if deferred else not awaited:
                self._wake.notify()
        return job

    @property
    def behind(self) -> bool:
        """Whether anything handed in so far may not be durable yet."""
        return bool(self._queue) or self._turn.locked() or self._failure is not None

    @property
    def here(self) -> bool:
        """Whether this very thread is in the middle of a commit."""
        return self._leader == threading.get_ident()

    @property
    def started(self) -> bool:
        """Whether anything was ever handed in."""
        return self._thread is not None

    def close(self) -> None:
        """Make everything durable and stop.

        Raises:
            StoreError: the database does not take it, or something that was deferred could not be written since it was opened.
        """
        with self._wake:
            self.closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
            atexit.unregister(self._at_exit)
        lost = len(self._queue)
        if lost:
            raise StoreError(
                f"the database was closed with {lost} writes that it did not take: {self._failure}",
                hint="their actions are listed by `openclaw audit open` once the database works again",
            )
        if self._lost:
            raise StoreError(
                f"{len(self._lost)} writes that nobody waited for were given up, the first because: {self._lost[0]}",
                hint="outcomes among them are missing: their actions are listed by `openclaw audit open`",
            )

    # -- whose turn it is ----------------------------------------------------------------------------------------

    def lead(self) -> None:
        """Commit all that has gathered, in this thread, unless another thread is committing: it sees to the rest."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._lead()
        finally:
            self._turn.release()
        # Who came meanwhile could not lead, and waits.
        if self._queue:
            with self._wake:
                if self._urgent():
                    self._wake.notify()

    def _lead(self) -> None:
        self._leader = threading.get_ident()
        try:
            self._recover()
            with self._wake:
                batch = list(self._queue)
                self._queue.clear()
                self._try = _Try(batch, list(batch)) if batch else None
            if self._try is not None:
                self._commit_or_fail(self._try)
                self._try = None
        except BaseException:  # an interrupt, in the thread of a caller
            self._recover()
            raise
        finally:
            self._leader = 0

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="openclaw-writer", daemon=True)
        # A daemon, so that a forgotten close() does not hang the interpreter's exit; what is deferred is written there.
        reference = weakref.ref(self)

        def at_exit() -> None:
            writer = reference()
            if writer is not None:
                writer.close()

        self._at_exit = at_exit
        atexit.register(at_exit)
        self._thread.start()

    def _work(self) -> None:
        """The writer thread."""
        while self._due():
            with self._turn:
                self._lead()
        with self._turn:
            self._abandon()

    def _due(self) -> bool:
        """Wait until something must be written that nobody else writes; false when closing and nothing more can be."""
        with self._wake:
            while True:
                urgent = self._urgent()
                if self.closing:
                    return bool(self._queue) and (urgent or self._failure is None)
                delay = self._queue[0].since + DEFER_SECONDS - _monotonic() if self._queue else None
                if urgent or (delay is not None and delay <= 0):
                    return True
                self._dozing = delay is None
                self._wake.wait(delay)
                self._dozing = False

    def _urgent(self) -> bool:
        return any(not job.deferred for job in self._queue)

    # -- committing ----------------------------------------------------------------------------------------------

    def _commit_or_fail(self, attempt: _Try) -> None:
        try:
            self._commit(attempt)
        except self._errors as error:
            self._abandon()
            self._fail(attempt.batch, describe_failure(error, "write"))
        except StoreError as error:
            self._abandon()
            self._fail(attempt.batch, error)

    def _open(self) -> Transaction:
        """A transaction; on a new connection where the one that was kept has ended since: nothing was under way on it."""
        if self._connection is not None:
            try:
                return self._begin(self._connection)
            except self._errors:
                if not _has_ended(self._connection):
                    raise
            self._abandon()
        self._connection = self._connect()
        return self._begin(self._connection)

    def _commit(self, attempt: _Try) -> None:
        """Run the units in one transaction. A unit that raises is left out and the rest begins again."""
        jobs = attempt.jobs
        while jobs:
            values = attempt.values = []
            transaction = attempt.transaction = self._open()
            try:
                for job in jobs:
                    values.append(job.unit(transaction))  # noqa: PERF401 - the position of a failure is needed below
                for hook in self._hooks():
                    hook(transaction)
            except self._errors:
                raise
            except Exception as error:  # handed to whoever submitted the unit
                transaction.cursor.execute("ROLLBACK", {})
                culprit = jobs.pop(len(values)) if len(values) < len(jobs) else None
                if culprit is None:  # a hook failed: nothing in this transaction can be recorded
                    raise StoreError(f"the transaction could not be completed: {error}") from error
                culprit.settle(None, error)
                if culprit.deferred:  # nobody waits for it who could hear of it
                    self._lost.append(error)
                continue
            attempt.told = True
            transaction.cursor.execute("COMMIT", {})
            self._done(attempt)
            return

    def _done(self, attempt: _Try) -> None:
        """The commit is durable: tell everybody. Telling twice tells once."""
        self._failure = None
        assert attempt.transaction is not None
        while attempt.transaction.after:
            attempt.transaction.after.pop(0)()
        for job, value in zip(attempt.jobs, attempt.values, strict=True):
            job.settle(value, None)

    def _recover(self) -> None:
        """Settle what an interrupt has left half done: it was committed, and nobody was told; or it was not, and is queued again.

        An interrupt (Ctrl-C) may come between any two steps of a caller that commits in its own thread. The driver knows
        whether the transaction is still open.
        """
        attempt = self._try
        if attempt is None:
            return
        if attempt.told and self._connection is not None and not _in_transaction(self._connection):
            self._done(attempt)
        else:
            self._abandon()
            with self._wake:
                back = [job for job in attempt.batch if not job.done and job not in self._queue]
                self._queue.extendleft(reversed(back))
                self._wake.notify()
        self._try = None

    def _abandon(self) -> None:
        connection, self._connection = self._connection, None
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
            kept = [job for job in batch if job.deferred and not job.done]
            for job in kept:
                job.since = _monotonic()
            self._queue.extendleft(reversed(kept))
            self._wake.notify()
        for job in batch:
            if not job.deferred:
                job.settle(None, _fresh(error))


def _in_transaction(connection: Connection) -> bool:
    """Whether the driver has a transaction open (sqlite3: ``in_transaction``; psycopg: any status but idle)."""
    driver = cast("Any", connection.connection.dbapi_connection)
    if hasattr(driver, "in_transaction"):
        return bool(driver.in_transaction)
    return bool(driver.info.transaction_status)


def _has_ended(connection: Connection) -> bool:
    """Whether the driver knows that the other side is gone (psycopg: ``closed``; a file of SQLite cannot go)."""
    return bool(getattr(connection.connection.dbapi_connection, "closed", False))


def _fresh(error: StoreError) -> OpenClawError:
    """A copy for one waiter: an exception object that several threads raise would mix their tracebacks."""
    copy = StoreError(error.message, hint=error.hint)
    copy.__cause__ = error.__cause__
    return copy


def _monotonic() -> float:
    # Durations, not dates: the injected clock tells dates and may stand still.
    return time.monotonic()


__all__ = ["DEFERRED_MAX", "DEFER_SECONDS", "Job", "Writer"]
