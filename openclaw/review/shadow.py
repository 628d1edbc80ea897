"""A candidate that decides beside the live policies, on live traffic, and changes no answer.

What has been decided and recorded is put into a bounded queue and decided again by the candidate in a thread of its own.
What does not fit into the queue is counted, not waited for. Differences go into the log, as entries of kind ``policy`` whose
body is a ``Compared``: the first of each sort at once, and the counts from time to time, so that any process can add them up.

    INVARIANT: nothing of the candidate reaches the live path: no answer, no failure, no wait.
    INVARIANT: what was decided is compared or counted as dropped.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Literal

from pydantic import JsonValue, ValidationError

from openclaw import delegation
from openclaw.audit import AuditLog, Draft, Entry
from openclaw.decision import Decision
from openclaw.errors import OpenClawError, PolicyUnavailable
from openclaw.passing import Seen
from openclaw.policy import PolicyEngine
from openclaw.review.comparing import Grouped, Tally, verdict

ROOM = 1_024
"""Decisions that may wait to be compared."""

REPORT_EACH = 1_000
REPORT_S = 60.0
"""A report is recorded after so many comparisons, or so many seconds after the last one if there is anything to tell."""

FIRSTS_MAX = 50
"""Sorts of differences that are reported at once; what comes later waits for the next report."""

GROUPS_MAX = 200
"""Tools and agents that are told apart in one report; the rest is counted together."""

NAME_MAX = 200
"""Characters of a name in a report."""

CLOSE_S = 1.0
"""How long ``close`` goes on comparing what is waiting, in seconds; the rest is counted as dropped."""


class Compared(Grouped):
    """One report: what was compared since the one before it.

    Attributes:
        event: always ``shadow``, which tells it from other entries of kind ``policy``.
        candidate: the revision that was asked.
        live: the revision that had decided.
        engine: what has asked it, and its version.
        dropped: how many decisions could not be compared, because the candidate was too slow, or was not there.
    """

    event: Literal["shadow"] = "shadow"
    candidate: str
    live: str
    engine: str
    dropped: int = 0


def read_compared(entry: Entry) -> Compared | None:
    """The report in an entry; None where it is another entry."""
    if entry.kind != "policy" or entry.body.get("event") != "shadow":
        return None
    try:
        return Compared.model_validate(entry.body)
    except ValidationError:
        return None  # Of a version that is not known here.


class Shadow:
    """The candidate, its queue and its thread.

    Args:
        open_candidate: opens it. Where it is unavailable, that is recorded, and tried again.
        log: where differences are recorded.
        room: see ``ROOM``.

    Raises:
        PolicyError: the candidate cannot be used.
    """

    def __init__(self, open_candidate: Callable[[], PolicyEngine], log: AuditLog, *, room: int = ROOM) -> None:
        self._open = open_candidate
        self._log = log
        self._queue: queue.Queue[Seen | None] = queue.Queue(room)
        self._lock = threading.Lock()
        self._dropped = 0
        self._tallies: dict[tuple[str, str, str], Tally] = {}
        self._pending = 0
        self._firsts: set[tuple[str, ...]] = set()
        self._last = time.monotonic()
        self._told = ""
        self._closed = False
        self._thread: threading.Thread | None = None
        self._candidate: PolicyEngine | None = None
        self._try_open()

    @property
    def candidate(self) -> PolicyEngine | None:
        """The engine that is asked; None while it is unavailable."""
        return self._candidate

    # -- the live path -------------------------------------------------------------------------------------------

    def observe(self, seen: Seen) -> None:
        """Take a decision that was recorded. Never waits and never raises."""
        try:
            if not self._closed:
                self._queue.put_nowait(seen)
                return
        except queue.Full:
            pass
        with self._lock:
            self._dropped += 1

    # -- its own thread ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to compare, in one thread that ends with ``close``."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="openclaw-shadow", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while self.step(timeout_s=self._wait_s()):
            pass

    def _wait_s(self) -> float:
        """How long to wait for a decision: to the next report, and not at all once nothing more will come."""
        return 0.0 if self._closed else max(0.0, self._last + REPORT_S - time.monotonic())

    def step(self, *, timeout_s: float = 0.0) -> bool:
        """Compare the next decision, if one comes in time, and report what is due. False once it is told to end."""
        try:
            seen = self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait()
        except queue.Empty:
            self._report_if_due()
            return not self._closed
        try:
            if seen is None:
                return False
            if self._compare(seen) or self._pending >= REPORT_EACH:
                self.report()
            else:
                self._report_if_due()
        finally:
            self._queue.task_done()
        return True

    def flush(self) -> None:
        """Return when all that was observed before is compared, and recorded if the log takes it."""
        if self._thread is not None:
            self._queue.join()
        else:
            while not self._queue.empty():
                self.step()
        self.report()

    def close(self) -> None:
        """Compare what is waiting, as far as time allows, record the last counts, and close the candidate."""
        if self._closed:
            return
        self._closed = True
        until = time.monotonic() + CLOSE_S
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=CLOSE_S)
            self._thread.join(max(0.0, until - time.monotonic()))
        while True:
            try:
                left = self._queue.get_nowait()
            except queue.Empty:
                break
            if left is not None and (self._thread is not None or time.monotonic() > until):
                with self._lock:
                    self._dropped += 1
            elif left is not None:
                self._compare(left)
            self._queue.task_done()
        self.report()
        if self._candidate is not None:
            self._candidate.close()

    # -- comparing -----------------------------------------------------------------------------------------------

    def _compare(self, seen: Seen) -> bool:
        """Ask the candidate; whether that came to a difference that is new and must be told at once."""
        candidate = self._candidate
        if candidate is None:
            with self._lock:
                self._dropped += 1
            return False
        try:
            after = delegation.evaluate(candidate, seen.document)
        except Exception as error:  # noqa: BLE001 - an engine of one's own that breaks its promise ends nothing but its answer
            reason = f"{type(error).__name__}: {error}"
            after = Decision.deny(reason, code="engine_error", revision=candidate.revision, engine=candidate.name)
        kind = seen.document.get("kind")
        found = verdict(seen.decision, after, kind=kind if isinstance(kind, str) else "tool")
        tool, agent = seen.tool[:NAME_MAX], seen.agent[:NAME_MAX]
        with self._lock:
            key = (after.revision, seen.decision.revision, after.engine)
            self._tallies.setdefault(key, Tally(groups_max=GROUPS_MAX)).add(tool, agent, found, seen.seq)
            self._pending += 1
        if isinstance(found, str) or len(self._firsts) >= FIRSTS_MAX:
            return False
        first = (after.revision, tool, agent, *found)
        new = first not in self._firsts
        self._firsts.add(first)
        return new

    # -- recording -----------------------------------------------------------------------------------------------

    def _report_if_due(self) -> None:
        if time.monotonic() - self._last >= REPORT_S:
            if self._candidate is None:
                self._try_open()
            self.report()

    def report(self) -> None:
        """Record what was compared since the last report. What the log does not take now is kept for the next one."""
        self._last = time.monotonic()
        with self._lock:
            tallies, self._tallies = self._tallies, {}
            dropped, self._dropped, self._pending = self._dropped, 0, 0
        if dropped and not tallies:
            candidate = self._candidate
            tallies[candidate.revision if candidate else "", "", candidate.name if candidate else ""] = Tally()
        for at, ((revision, live, engine), tally) in enumerate(tallies.items()):
            said = Compared(
                candidate=revision, live=live, engine=engine, dropped=0 if at else dropped, groups=tally.groups()
            )
            if not self._record({**said.model_dump(mode="json"), "compared": said.compared, "changed": said.changed}):
                self._keep(said)

    def _keep(self, said: Compared) -> None:
        with self._lock:
            self._dropped += said.dropped
            if said.groups:
                key = (said.candidate, said.live, said.engine)
                self._tallies.setdefault(key, Tally(groups_max=GROUPS_MAX)).add_groups(said.groups)

    def _record(self, body: dict[str, JsonValue]) -> bool:
        try:
            self._log.append(Draft(kind="policy", body=body))
        except OpenClawError:
            return False
        return True

    def _try_open(self) -> None:
        try:
            self._candidate = self._open()
        except PolicyUnavailable as error:
            if error.message != self._told and self._record(
                {"event": "unavailable", "shadow": True, "reasons": [str(error)]}
            ):
                self._told = error.message


__all__ = ["Compared", "Shadow", "read_compared"]
