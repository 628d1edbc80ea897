"""A halt reaches what is already running: between two chunks of a stream, and within a second on an event loop. So does the end
of the time that a call holds.

A call on an event loop is cancelled as ``asyncio.timeout`` does it, and only while the call itself is awaited. A call that
blocks a thread cannot be ended from outside: it is let finish, and the next pass of the gate stops its run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from openclaw.errors import BudgetExceeded, Halted
from openclaw.gate import Gate, Permit
from openclaw.halts import WATCH_SECONDS


class Watch:
    """Looks whether a running call has been halted, until it is stopped. Make it with ``watching``, on an event loop."""

    def __init__(self, gate: Gate, permit: Permit) -> None:
        self._gate = gate
        self._permit = permit
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancels = False
        self._over = False
        self._halted: Halted | BudgetExceeded | None = None

    @contextmanager
    def driven(self) -> Generator[None]:
        """The time in which the call is awaited, and may be cut off.

        Raises:
            Halted: it was halted.
            BudgetExceeded: the time that it held is over, and its accounts carry no more.
        """
        if self._halted is not None:
            raise self._halted
        task = asyncio.current_task()
        assert task is not None, "INVARIANT: a coroutine runs in a task"
        before = task.cancelling()
        self._task = task
        try:
            yield
        except asyncio.CancelledError:
            # Somebody else may have cancelled it, too: then it ends as cancelled.
            if self._cancels and task.uncancel() <= before and self._halted is not None:
                self._cancels = False
                raise self._halted from None
            raise
        finally:
            self._task = None

    def start(self) -> None:
        """Look again in a while."""
        if not self._over:
            self._timer = self._loop.call_later(WATCH_SECONDS, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        # Many calls share one look at the store; only the first of them leaves the loop for it.
        if self._gate.halts.fresh and not self._gate.extensions.due(self._permit):
            self._learn(self._gate.halted(self._permit))
            return
        looked = self._loop.run_in_executor(None, self._gate.halted, self._permit)
        looked.add_done_callback(self._looked)

    def _looked(self, look: asyncio.Future[Halted | BudgetExceeded | None]) -> None:
        if not look.cancelled():
            self._learn(look.result())

    def _learn(self, halted: Halted | BudgetExceeded | None) -> None:
        if self._over:
            return
        if halted is None:
            self.start()
            return
        self._halted = halted
        if self._task is not None:
            self._cancels = True
            self._task.cancel()


@contextmanager
def watching(gate: Gate, permit: Permit) -> Generator[Watch]:
    """A watch over a call that is under way."""
    watch = Watch(gate, permit)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


__all__ = ["Watch", "watching"]
