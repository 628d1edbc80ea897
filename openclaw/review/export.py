"""Export: the log sent elsewhere, in order, each entry at least once.

An export reads a page of entries in a short transaction of its own, packs it in a format, hands it to a sink, and only then
moves its cursor on. A sink that fails or hangs is tried again, and counted; what it has not taken is never passed over. A
cursor that is kept in a file survives the process: the next export goes on behind the last entry that was taken. Entries
that were taken just before a crash come again: every format carries what tells an entry from all others.

    from openclaw.review.export import Exporter, JsonLines, open_sink

    report = Exporter(governance.audit, JsonLines(), open_sink("audit.jsonl")).run()
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from openclaw.audit import AuditLog, Entry, EntryKind
from openclaw.clock import Clock, SystemClock
from openclaw.encoding import encode
from openclaw.errors import ExportError
from openclaw.review.export_cursor import Cursor, Position
from openclaw.review.export_formats import CloudEvents, Format, JsonLines
from openclaw.review.export_ocsf import Ocsf
from openclaw.review.export_sinks import Parcel, Sink, SinkFailed, open_sink

PAGE = 500
PARCEL_BYTES = 2 << 20
"""Entries are handed over in parcels of about so many bytes, or one by one where they are larger."""

ATTEMPTS = 5
PAUSE_SECONDS = 0.5
PAUSE_SECONDS_MAX = 30.0
"""Between two attempts: at first, and at most; each pause is twice the one before."""


@dataclass(slots=True)
class Report:
    """What an export did.

    Attributes:
        exported: entries that the sink has taken.
        after: the last entry that was taken or left out; the cursor.
        failures: attempts that failed, ``cut_off`` those among them that hung until their time was over.
        rejected: what the sink said that it left out of what it took (OTLP partial success).
        missing: entries that are not in the log any more (pruned), and were never exported.
        notes: one line for each kind of trouble, the last of its kind.
    """

    exported: int = 0
    after: int = 0
    failures: int = 0
    cut_off: int = 0
    rejected: int = 0
    missing: int = 0
    notes: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for has been taken."""
        return not (self.rejected or self.missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries are exported. The default is all of them; leaving out is asked for, never done silently."""

    kinds: Collection[EntryKind] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def holds(self, entry: Entry) -> bool:
        """Whether an entry is wanted."""
        return (
            (not self.kinds or entry.kind in self.kinds)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
        )


class Exporter:
    """One export: a log, a format, a sink, and perhaps a cursor. Not to be shared between threads; ``stop`` may be called
    from any.

    Args:
        log: what is exported.
        form: how: ``JsonLines()``, ``CloudEvents()``, ``Ocsf()``, ``OtelGenAi(…)``.
        sink: where to: see ``open_sink``.
        cursor: where the export goes on, and keeps how far it came. None: it begins at the first entry.
        wanted: which entries.
        attempts: how often a parcel is tried before ``run`` gives up; ``follow`` never does.
        progress: told how many entries have been passed and how many there are.
        clock: tells ``follow`` when a turn of an agent has come to rest.
    """

    def __init__(
        self,
        log: AuditLog,
        form: Format,
        sink: Sink,
        *,
        cursor: Cursor | None = None,
        wanted: Wanted | None = None,
        attempts: int = ATTEMPTS,
        progress: Callable[[int, int], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._log = log
        self._form = form
        self._sink = sink
        self._cursor = cursor
        self._wanted = wanted or Wanted()
        self._attempts = attempts
        self._progress = progress
        self._clock = clock or SystemClock()
        self._stopped = threading.Event()
        position = cursor.load() if cursor is not None else Position()
        form.begin(log, position.state)
        self.report = Report(after=position.after)

    def stop(self) -> None:
        """Let ``run`` or ``follow`` return after the parcel under way."""
        self._stopped.set()

    def run(self) -> Report:
        """Export up to the present end of the log.

        Raises:
            ExportError: the sink does not take it; the report says how far it came, and the cursor stays there.
        """
        size = self._log.size()
        self._pass_on(size, attempts=self._attempts)
        if not self._stopped.is_set():
            self._deliver(self._form.rest(None, text=self._sink.text), 0, attempts=self._attempts)
            self._keep()
        return self.report

    def follow(self, *, every_seconds: float = 1.0) -> Report:
        """Export, and go on with what comes, until ``stop`` is called. A sink that fails is tried until it takes again.

        Raises:
            ExportError: the sink refuses for good (a wrong address, rights, or form), or the log cannot be read.
        """
        while not self._stopped.is_set():
            self._pass_on(self._log.size(), attempts=None)
            if self._deliver(self._form.rest(self._clock.now(), text=self._sink.text), 0, attempts=None):
                self._keep()
            self._stopped.wait(every_seconds)
        return self.report

    # -- one page after another ----------------------------------------------------------------------------------

    def _pass_on(self, size: int, *, attempts: int | None) -> None:
        while self.report.after < size and not self._stopped.is_set():
            page = self._log.entries(after=self.report.after, limit=min(PAGE, size - self.report.after))
            if not page:
                self._miss(size)
                self._keep()
                return
            for group in _groups(page):
                if self._stopped.is_set():
                    return
                self._miss(group[0].seq - 1)
                wanted = [entry for entry in group if self._wanted.holds(entry)]
                parcels = self._form.pack(wanted, text=self._sink.text) if wanted else []
                if not self._deliver(parcels, len(wanted), attempts=attempts) and parcels:
                    return
                self.report.after = group[-1].seq
                self._keep()
                if self._progress is not None:
                    self._progress(self.report.after, size)

    def _miss(self, last: int) -> None:
        """Entries up to ``last`` that come after the cursor and are not there any more."""
        gone = last - self.report.after
        if gone > 0:
            self.report.missing += gone
            self.report.notes["missing"] = (
                f"entries {self.report.after + 1} to {last} are not in the log any more and were not exported"
            )
            self.report.after = last

    def _keep(self) -> None:
        if self._cursor is not None:
            self._cursor.save(Position(self.report.after, self._form.state()))

    # -- one parcel ----------------------------------------------------------------------------------------------

    def _deliver(self, parcels: Sequence[Parcel], entries: int, *, attempts: int | None) -> bool:
        """Hand parcels over, each until it is taken. False if ``stop`` came in between."""
        for parcel in parcels:
            if not self._hand_over(parcel, attempts):
                return False
        self.report.exported += entries
        return True

    def _hand_over(self, parcel: Parcel, attempts: int | None) -> bool:
        tried, pause = 0, PAUSE_SECONDS
        while True:
            try:
                said = self._sink.deliver(parcel)
            except SinkFailed as failure:
                tried += 1
                self.report.failures += 1
                self.report.cut_off += failure.hung
                self.report.notes["failed"] = failure.message
                if failure.final or (attempts is not None and tried >= attempts):
                    raise ExportError(
                        f"the sink does not take entry {self.report.after + 1}: {failure.message}",
                        hint=failure.hint or "nothing is lost: export again once it does",
                    ) from failure
                if self._stopped.wait(max(pause, failure.after)):
                    return False
                pause = min(2 * pause, PAUSE_SECONDS_MAX)
                continue
            self.report.rejected += said.rejected
            if said.rejected:
                self.report.notes["rejected"] = f"the sink left out {said.rejected} of what it took: {said.message}"
            return True


def _groups(page: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Entries in groups of about ``PARCEL_BYTES``, without a gap in any."""
    group, size = list[Entry](), 0
    for entry in page:
        length = len(encode(entry.body))
        if group and (size + length > PARCEL_BYTES or entry.seq != group[-1].seq + 1):
            yield group
            group, size = [], 0
        group.append(entry)
        size += length
    if group:
        yield group


__all__ = [
    "CloudEvents",
    "Cursor",
    "Exporter",
    "Format",
    "JsonLines",
    "Ocsf",
    "Parcel",
    "Position",
    "Report",
    "Sink",
    "SinkFailed",
    "Wanted",
    "open_sink",
]
