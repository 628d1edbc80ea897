"""Hands checkpoints to the places outside the database: a thread for each place, so that none of them holds up a writer,
or another place. What a place does not take is counted, told, and tried again until it takes it.

INVARIANT: a checkpoint that was handed over is either kept, or pending and told; nothing is dropped. (Past
``PENDING_MAX`` the oldest pending ones make room: the log itself holds them, and each later one covers them.)
"""

from __future__ import annotations

import atexit
import collections
import threading
import time
import weakref
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from openclaw.audit.note import Checkpoint
from openclaw.audit.places import Place
from openclaw.errors import OpenClawError

FLUSH_SECONDS = 20.0
"""How long an explicit checkpoint waits for the places. A place that hangs for longer is told of, and goes on by itself."""

CLOSE_SECONDS = 5.0
"""How long closing a log waits for them: an explicit checkpoint has waited before."""

EXIT_SECONDS = 3.0
RETRY_SECONDS = 1.0
RETRY_SECONDS_MAX = 60.0
PENDING_MAX = 10_000


class PlaceState(BaseModel):
    """How one place stands, in this process.

    Attributes:
        place: which one.
        kept: checkpoints that it took.
        pending: checkpoints that it has not taken yet.
        skipped: checkpoints that made room for newer ones while it took none.
        failures: tries that failed.
        error: what the last failure said, while it lasts.
    """

    model_config = ConfigDict(frozen=True)

    place: str
    kept: int
    pending: int
    skipped: int
    failures: int
    error: str


class Keeper:
    """The places of one log. Safe to use from many threads; ``hand`` never blocks."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = tuple(places)
        self._workers = [_Worker(place) for place in self.places]
        reference = weakref.ref(self)

        def at_exit() -> None:
            keeper = reference()
            if keeper is not None:
                keeper.close(EXIT_SECONDS)

        self._at_exit = at_exit
        if self.places:
            atexit.register(at_exit)

    def hand(self, *checkpoints: Checkpoint) -> None:
        """Hand checkpoints over, oldest first. Returns at once."""
        for worker in self._workers:
            worker.hand(checkpoints)

    def flush(self, seconds: float = FLUSH_SECONDS) -> list[str]:
        """Wait until every place has taken what was handed over, or has failed to; what is wrong, a line for each place."""
        deadline = time.monotonic() + seconds
        return [said for worker in self._workers if (said := worker.flush(deadline))]

    def states(self) -> tuple[PlaceState, ...]:
        """How each place stands."""
        return tuple(worker.state() for worker in self._workers)

    def close(self, seconds: float = FLUSH_SECONDS) -> list[str]:
        """Flush for the last time and stop the threads; a place that hangs is left behind. Closing twice is fine."""
        atexit.unregister(self._at_exit)
        said = self.flush(seconds)
        for worker in self._workers:
            worker.stop()
        return said


class _Worker:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._wake = threading.Condition()
        self._pending: collections.deque[Checkpoint] = collections.deque()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._hurry = False
        self._trying = 0  # checkpoints in the try that is under way
        self._begun = self._ended = 0  # tries, successful or not
        self._kept = self._failures = self._skipped = 0
        self._error = ""

    def hand(self, checkpoints: Sequence[Checkpoint]) -> None:
        with self._wake:
            self._pending.extend(checkpoints)
            while len(self._pending) > PENDING_MAX:
                self._pending.popleft()
                self._skipped += 1
            self._hurry = True
            if self._thread is None and self._pending and not self._stopping:
                self._thread = threading.Thread(
                    target=self._work, name=f"openclaw-keeper-{self._place.label}", daemon=True
                )
                self._thread.start()
            self._wake.notify_all()

    def flush(self, deadline: float) -> str:
        with self._wake:
            # A try that is under way may have begun before the last checkpoint was handed over: then the next one counts.
            covered = self._begun > self._ended and self._trying == len(self._pending)
            wanted, self._hurry = self._begun + (0 if covered else 1), True
            self._wake.notify_all()
            while self._pending and self._thread is not None and self._ended < wanted:
                left = deadline - time.monotonic()
                if left <= 0:
                    return f"`{self._place}` has not answered in time; {len(self._pending)} checkpoints wait for it"
                self._wake.wait(left)
            return self._error if self._pending else ""

    def state(self) -> PlaceState:
        with self._wake:
            return PlaceState(
                place=str(self._place),
                kept=self._kept,
                pending=len(self._pending),
                skipped=self._skipped,
                failures=self._failures,
                error=self._error,
            )

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    def _work(self) -> None:
        pause = RETRY_SECONDS
        while True:
            with self._wake:
                if self._error and not self._hurry and not self._stopping:
                    self._wake.wait(pause)
                while not self._pending and not self._stopping:
                    self._wake.wait()
                if self._stopping:
                    return
                batch, self._hurry = list(self._pending), False
                self._begun, self._trying = self._begun + 1, len(batch)
            error = self._try(batch)
            with self._wake:
                self._ended = self._begun
                self._error = error
                if error:
                    self._failures += 1
                    pause = min(pause * 2, RETRY_SECONDS_MAX)
                else:
                    taken = set(map(id, batch))
                    self._pending = collections.deque(one for one in self._pending if id(one) not in taken)
                    self._kept += len(batch)
                    pause = RETRY_SECONDS
                self._wake.notify_all()

    def _try(self, batch: Sequence[Checkpoint]) -> str:
        try:
            self._place.keep(batch)
        except OpenClawError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - foreign file systems raise what they like; it is counted and told
            return f"the checkpoint cannot be kept in `{self._place}`: {type(error).__name__}: {error}"
        return ""


__all__ = ["Keeper", "PlaceState"]
