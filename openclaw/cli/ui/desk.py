"""What the screens show, read from the store in one go, off the event loop; and the answers that they give."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from rich.text import Text

from openclaw.approvals import Approval
from openclaw.audit import Entry
from openclaw.audit.reading import Reader, Selection
from openclaw.audit.standing import standing
from openclaw.budget import Balance
from openclaw.cli.audit import entry_pairs
from openclaw.cli.audit_explain import account_pairs, told_change
from openclaw.cli.books import Books
from openclaw.cli.credentials import prover_of, said
from openclaw.cli.reviewing import state_of
from openclaw.errors import OpenClawError
from openclaw.review.account import account
from openclaw.review.asks import progress
from openclaw.review.entries import text
from openclaw.review.query import Query, Search
from openclaw.review.queue import Item, Queue
from openclaw.review.signatures import signature_of
from openclaw.review.timeline import Timeline, timeline
from openclaw.review.verdicts import Review, Verdict, add_review, reviews

LOOK_BACK = 2_000
"""Entries from the end of the log in which runs are looked for."""

RUNS_MAX = 50
LOG_MAX = 200
REVIEWS_MAX = 100

Opener = Callable[[], contextlib.AbstractContextManager[Books]]
Pairs = list[tuple[str, str | Text]]


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run among the last entries of the log, in a line."""

    run: str
    workflow: str
    began: str
    decisions: int
    denied: int
    asked: int
    open: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the screens show, at one moment.

    ``reviews`` are the oldest entries that wait for a reviewer, each with how it stands, in a word. ``agreed`` says of the
    questions that several people must agree to how many have. ``wrong`` says what is wrong with the search, if anything is.
    """

    size: int
    runs: tuple[RunLine, ...]
    asks: tuple[Approval, ...]
    agreed: dict[str, str]
    budgets: tuple[Balance, ...]
    entries: tuple[Entry, ...]
    reviews: tuple[tuple[Item, str], ...] = ()
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Detail:
    """One entry: what it says and how it stands, and what explains it. ``explained`` is empty where nothing was decided."""

    entry: Entry
    pairs: Pairs
    explained: Pairs


class Desk:
    """Reads and answers for the screens.

    Args:
        reading: opens the books for reading; they stay open.
        writing: opens them for one answer.
        policies: a folder or bundle with which decisions are explained.
    """

    def __init__(self, reading: Books, writing: Opener, policies: Path | None) -> None:
        self.books = reading
        self._writing = writing
        self._policies = policies
        self._reader = Reader(reading.store)
        self._queue = Queue(self._reader)

    def look(self, asked: str) -> Snapshot:
        """What there is now; ``asked`` is the search of the log.

        Raises:
            StoreError: the database cannot be read.
        """
        entries, wrong = self._search(asked)
        asks = self.books.approvals.list("pending")
        return Snapshot(
            size=self._reader.size(),
            runs=tuple(self._runs()),
            asks=tuple(asks),
            agreed={one.id: progress(self.books.answers, one) for one in asks if one.demand.people > 1},
            budgets=tuple(self.books.ledger.accounts()),
            entries=entries,
            reviews=tuple(self._reviews()),
            wrong=wrong,
        )

    def detail(self, seq: int) -> Detail:
        """One entry whole.

        Raises:
            AuditError: there is none of that number.
        """
        entry = self.books.log.entry(seq)
        stands = standing(self.books.store, self.books.log, seq)
        signed = signature_of(self.books.log, entry)
        pairs = entry_pairs(entry, stands, [*reviews(self._reader, entry)], signed)
        return Detail(entry, pairs, self._explained(entry))

    def run(self, run: str) -> Timeline:
        """One run as a tree.

        Raises:
            AuditError: there is no such run.
        """
        return timeline(self.books.log, run)

    def answer(
        self, question: str, *, by: str, approve: bool, reason: str, args: Mapping[str, JsonValue] | None = None
    ) -> Approval:
        """Answer a question, recorded as the command line does it, with the key or the token that the environment has.

        Raises:
            ApprovalError: it has been answered, its time is over, or this answer does not count.
            StoreError: the database cannot be written.
        """
        with self._writing() as books:
            saying = said(books, question, by=by, approve=approve, reason=reason, args=args)
            return books.answers.give(question, saying)

    def judge(self, seq: int, *, by: str, verdict: Verdict, comment: str) -> Review:
        """Say what a reviewer thinks of an entry, recorded as ``openclaw review`` does it, with the same key or token.

        Raises:
            ApprovalError: it is not proved who reviews an exception.
            AuditError: there is no such entry, or the log's key is not here.
            StoreError: the database cannot be written.
        """
        with self._writing() as books:
            return add_review(books.log, seq, by=by, verdict=verdict, comment=comment, prover=prover_of(books))

    def _reviews(self) -> Generator[tuple[Item, str]]:
        items = [*self._queue.items(limit=REVIEWS_MAX)]
        answers = self.books.approvals.of({item.entry.seq: item.entry.at for item in items if item.name == "ask"})
        yield from ((item, state_of(item, answers)) for item in items)

    def _search(self, asked: str) -> tuple[tuple[Entry, ...], str]:
        said = asked.strip()
        query = Query(where=said[1:].strip()) if said.startswith("=") and said[1:].strip() else Query(text=said or None)
        try:
            search = Search(query)
        except OpenClawError as error:
            return (), str(error)
        # What is looked into is bounded: a search on a screen must not read a log of millions to its first entry.
        low = max(0, self._reader.size() - 100 * LOOK_BACK) if search.looks_inside else 0
        found = search.entries(self._reader, after=low, newest_first=True, limit=LOG_MAX)
        wrong = f"looked through the last {100 * LOOK_BACK:,} entries" if low else ""
        return tuple(found), wrong

    def _runs(self) -> Generator[RunLine]:
        by_run: dict[str, list[Entry]] = {}
        after = max(0, self._reader.size() - LOOK_BACK)
        for page in self._reader.entries(Selection(), after=after):
            for entry in page:
                if entry.run and entry.kind != "review":
                    by_run.setdefault(entry.run, []).append(entry)
        newest = sorted(by_run.items(), key=lambda item: -item[1][-1].seq)[:RUNS_MAX]
        running = {entry.seq for entry in self.books.log.open_actions()}
        for run, entries in newest:
            decisions = [
                one for one in entries if one.kind == "decision" and text(one.body, "input", "kind") != "result"
            ]
            yield RunLine(
                run=run,
                workflow=next((one.workflow for one in entries if one.workflow), ""),
                began=f"{entries[0].at:%m-%d %H:%M:%S}",
                decisions=len(decisions),
                denied=sum(one.effect == "deny" for one in decisions),
                asked=sum(one.effect == "ask" for one in decisions),
                open=sum(one.seq in running for one in decisions),
            )

    def _explained(self, entry: Entry) -> Pairs:
        if entry.kind not in ("decision", "outcome", "approval"):
            return []
        try:
            found = account(self.books.log, entry.seq, self._policies)
        except OpenClawError as error:
            return [("explanation", str(error))]
        changes: Pairs = [
            (one.effect, told_change(one) + (f"  {'; '.join(one.reasons)}" if one.reasons else ""))
            for one in found.differences
        ]
        return [*account_pairs(found), *changes]


__all__ = ["Desk", "Detail", "RunLine", "Snapshot"]
