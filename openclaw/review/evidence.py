"""What an auditor is handed of a time: what was governed and by what, what was refused, who was asked, and the proof of it.

All of it is read from the log up to one entry, the pin: the first checkpoint that covers the last entry of the time. What the log
takes on later changes nothing, so that the same time gives the same evidence for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue

from openclaw.audit import AuditLog, Entry, VerifyReport
from openclaw.audit.notary import noted
from openclaw.audit.note import Verifier
from openclaw.audit.reading import Reader, Seen, Selection
from openclaw.encoding import encode
from openclaw.errors import ConfigurationError
from openclaw.review.entries import number, part, text
from openclaw.review.frameworks import Demand, Shown, demands
from openclaw.review.period import Period
from openclaw.review.query import Query, Search
from openclaw.review.serving import Serving
from openclaw.review.serving import serving as what_serves
from openclaw.review.stats import Counting, Stats
from openclaw.review.verdicts import Review, read_review

LISTED_MAX = 500
"""Denials, asks and other entries that are listed one by one; all are counted."""


@dataclass(frozen=True, slots=True)
class Pin:
    """The checkpoint up to which was read: its entry, the number of entries that it covers, their root (hex), and its time."""

    seq: int
    size: int
    root: str
    at: str


@dataclass(slots=True)
class Listed:
    """The first entries of a kind, and how many there are."""

    count: int = 0
    entries: list[Entry] = field(default_factory=list[Entry])

    def add(self, entry: Entry) -> None:
        """Count an entry, and keep it if there is room."""
        self.count += 1
        if len(self.entries) < LISTED_MAX:
            self.entries.append(entry)


@dataclass(slots=True)
class Evidence:
    """Everything that a report says of one time.

    ``answers`` are by the decision that asked, ``annotated`` the revisions whose policies were at hand to say what they serve.
    """

    period: Period
    origin: str
    verified: VerifyReport
    stats: Stats
    first: int
    last: int
    pin: Pin | None
    workflows: Counter[str]
    revisions: Counter[str]
    policies: list[Entry]
    denials: Listed
    asks: Listed
    halts: Listed
    exceptions: Listed
    answers: dict[int, list[Entry]]
    reviews: list[Review]
    limits: dict[tuple[str, str], Entry]
    refused_by: Counter[str]
    shown: list[tuple[Demand, Shown]]
    annotated: frozenset[str] = frozenset()


def gather(
    log: AuditLog,
    reader: Reader,
    period: Period,
    *,
    verifier: Verifier | None = None,
    serving: Serving | None = None,
    seen: Seen | None = None,
    checked: Seen | None = None,
) -> Evidence:
    """Verify the log, and read what a report of a time says.

    Args:
        log: with its key, unless ``verifier`` is given.
        reader: of the same log.
        period: which time.
        verifier: a public key of the log that is trusted.
        serving: which demands rules serve; by default what is known of the shipped ones by name.
        seen: hears how far the reading has come.
        checked: hears how far verifying has come.

    Raises:
        ConfigurationError: nothing was recorded in that time.
    """
    found = _Gathering(serving or what_serves())
    for entry in Search(Query(since=period.since, until=period.until)).entries(reader, seen=seen):
        found.add(entry)
    if found.first is None:
        raise ConfigurationError(
            f"nothing was recorded in `{period.name}`", hint="see the times of entries with `openclaw audit list`"
        )
    pin = _pin(reader, found.to_cover)
    end = pin.seq if pin is not None else found.last
    return Evidence(
        period=period,
        origin=log.origin,
        verified=log.verify(verifier, seen=checked),
        stats=found.counting.stats(reader),
        first=found.first,
        last=found.last,
        pin=pin,
        workflows=found.workflows,
        revisions=found.revisions,
        policies=[*_policy_before(reader, found.first), *found.policies],
        denials=found.denials,
        asks=found.asks,
        halts=found.halts,
        exceptions=found.exceptions,
        answers=_answers(reader, found.first, end),
        reviews=[review for review in _reviews(reader, found.first, end) if found.first <= review.of <= found.last],
        limits={_limit(one): one for one in _limits(reader, end)},
        refused_by=found.refused_by,
        shown=found.shown,
        annotated=frozenset(found.serving.by_revision),
    )


class _Gathering:
    """What one pass over the time collects."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.counting = Counting()
        self.first: int | None = None
        self.last = 0
        self.to_cover = 1  # a checkpoint needs no other to cover it: it is signed itself
        self.workflows: Counter[str] = Counter()
        self.revisions: Counter[str] = Counter()
        self.refused_by: Counter[str] = Counter()
        self.policies: list[Entry] = []
        self.denials, self.asks, self.halts, self.exceptions = Listed(), Listed(), Listed(), Listed()
        self.shown = [(demand, Shown()) for demand in demands(serving)]

    def add(self, entry: Entry) -> None:
        self.first = self.first or entry.seq
        self.last = entry.seq
        if entry.kind != "checkpoint":
            self.to_cover = entry.seq
        self.counting.add(entry)
        for demand, shown in self.shown:
            if demand.test(entry):
                shown.add(entry.seq)
        match entry.kind:
            case "decision":
                self._decided(entry)
            case "policy" if len(self.policies) < LISTED_MAX:
                self.policies.append(entry)
            case "halt":
                self.halts.add(entry)
            case "exception":
                self.exceptions.add(entry)
            case _:
                pass

    def _decided(self, entry: Entry) -> None:
        if entry.workflow:
            self.workflows[entry.workflow] += 1
        if revision := text(entry.body, "revision"):
            self.revisions[revision] += 1
        if entry.effect == "deny":
            self.denials.add(entry)
            self.refused_by[text(entry.body, "refused_by") or "policy"] += 1
        elif entry.effect == "ask":
            self.asks.add(entry)


def _pin(reader: Reader, last: int) -> Pin | None:
    """The first checkpoint that covers an entry."""
    for entry in _kind(reader, "checkpoint", last - 1, None):
        made = noted(encode(entry.body).decode())
        if made is not None and made.size >= last:
            return Pin(entry.seq, made.size, made.root.hex(), f"{entry.at:%Y-%m-%d %H:%M:%S}Z")
    return None


def _kind(reader: Reader, kind: str, after: int, through: int | None) -> Iterator[Entry]:
    before = None if through is None else through + 1
    for page in reader.entries(Selection(equal={"kind": kind}), after=after, before=before):
        yield from page


def _answers(reader: Reader, after: int, through: int) -> dict[int, list[Entry]]:
    """What people have said, by the decision that asked them; not what was said by somebody whose answer does not count."""
    given: dict[int, list[Entry]] = {}
    for entry in _kind(reader, "approval", after, through):
        if text(entry.body, "answer"):
            given.setdefault(number(entry.body, "decision"), []).append(entry)
    return given


def _reviews(reader: Reader, after: int, through: int) -> Iterator[Review]:
    return map(read_review, _kind(reader, "review", after, through))


def _policy_before(reader: Reader, first: int) -> Iterator[Entry]:
    """The entry that said what decided when the time began."""
    for page in reader.entries(Selection(equal={"kind": "policy"}), before=first, newest_first=True):
        for entry in page:
            if text(entry.body, "event") in ("", "replaced") and part(entry.body, "shadow") is not True:
                yield entry
                return


def _limits(reader: Reader, through: int) -> Iterator[Entry]:
    wanted = Selection(equal={"kind": "reservation"}, body_holds=('"event":"limit"',))
    for page in reader.entries(wanted, before=through + 1):
        yield from (entry for entry in page if text(entry.body, "event") == "limit")


def _limit(entry: Entry) -> tuple[str, str]:
    return text(entry.body, "account"), text(entry.body, "window")


def limits_of(entry: Entry) -> dict[str, JsonValue]:
    """The limits that an entry of the ledger sets, by unit."""
    found = part(entry.body, "limits")
    return found if isinstance(found, dict) else {}


__all__ = ["LISTED_MAX", "Evidence", "Listed", "Pin", "gather", "limits_of"]
