"""What waits for a reviewer: entries of the kinds that somebody should have looked at, and that nobody has judged yet.

An entry leaves the queue by a verdict, ``agreed`` or ``disputed``; ``follow-up`` leaves it there, marked. An exception and each
use of it leave it by the verdict of somebody else than whoever opened it. ``QUEUED`` says which entries are meant: another kind
joins by a line there.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from openclaw.audit import Entry
from openclaw.audit.reading import Reader, Selection
from openclaw.review.entries import part, text
from openclaw.review.query import Query, Search
from openclaw.review.verdicts import Review, counts, reviews


@dataclass(frozen=True, slots=True)
class Queued:
    """A kind of entry that waits for a reviewer.

    Attributes:
        name: what it is called.
        equal: columns and their values, by which the database finds such entries.
        fits: whether an entry that was found so is meant.
    """

    name: str
    equal: dict[str, str]
    fits: Callable[[Entry], bool]


def _is_own_denial(entry: Entry) -> bool:
    """A person's refusal is judged with the question that it answers."""
    return text(entry.body, "refused_by") != "approval"


QUEUED: tuple[Queued, ...] = (
    Queued("denial", {"kind": "decision", "effect": "deny"}, _is_own_denial),
    Queued("ask", {"kind": "decision", "effect": "ask"}, lambda _: True),
    Queued("halt", {"kind": "halt"}, lambda entry: part(entry.body, "event") == "halt"),
    Queued("exception", {"kind": "exception"}, lambda entry: part(entry.body, "event") == "opened"),
    Queued("exception use", {"kind": "exception"}, lambda entry: part(entry.body, "event") == "used"),
)
"""What waits for a reviewer. The database must find each by an index: a refusal's effect, or a rare kind."""


AT_ONCE = 50
"""Entries that are read in one go: a page of the queue."""


@dataclass(frozen=True, slots=True)
class Item:
    """An entry, and the last verdict on it that counts, if there is one."""

    name: str
    entry: Entry
    last: Review | None

    @property
    def waits(self) -> bool:
        """Whether it waits for a verdict, or for another one."""
        return self.last is None or self.last.verdict == "follow-up"


class Queue:
    """What waits for a reviewer, asked for again and again: what was judged before is not read anew."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._heard = 0  # reviews up to this entry are known
        self._done = 0  # up to this entry nothing waits
        # Of what is done with, the numbers alone are held: years of reviews are many. Exceptions are few.
        self._judged: set[int] = set()
        self._followed: dict[int, Review] = {}
        self._exceptions: dict[int, Entry] = {}

    def items(self, query: Query | None = None, *, limit: int | None = None) -> Iterator[Item]:
        """What waits now, oldest first; ``query`` narrows it.

        Raises:
            ConfigurationError: a condition in the query is none.
        """
        search = Search(query or Query())
        self._listen()
        found = heapq.merge(*(self._of(search, queued) for queued in QUEUED), key=lambda item: item[1].seq)
        first = next(found, None)
        if query is None:
            self._done = self._heard if first is None else first[1].seq - 1
        if first is not None:
            for name, entry in itertools.islice(itertools.chain([first], found), limit):
                yield Item(name, entry, self._followed.get(entry.seq))

    def _listen(self) -> None:
        """The last verdicts that count on what has been judged, and on what somebody wants to look at again."""
        size = self._reader.size()
        for page in self._reader.entries(Selection(equal={"kind": "exception"}), after=self._heard):
            self._exceptions |= {entry.seq: entry for entry in page}
        for review in reviews(self._reader, after=self._heard):
            about = self._exceptions.get(review.of)
            if about is not None and not counts(about, review):
                continue
            if review.verdict == "follow-up":
                self._judged.discard(review.of)
                self._followed[review.of] = review
                self._done = min(self._done, review.of - 1)
            elif review.verdict:
                self._judged.add(review.of)
                self._followed.pop(review.of, None)
        self._heard = size

    def _of(self, search: Search, queued: Queued) -> Iterator[tuple[str, Entry]]:
        asked = search.selection.equal
        if any(asked.get(name, value) != value for name, value in queued.equal.items()):
            return
        selection: Selection = replace(search.selection, equal={**asked, **queued.equal})
        for numbers in self._reader.numbers(selection, after=self._done):
            left = [number for number in numbers if number not in self._judged]
            for at in range(0, len(left), AT_ONCE):
                for entry in self._reader.numbered(left[at : at + AT_ONCE]):
                    if queued.fits(entry) and search.fits(entry):
                        yield queued.name, entry


def queue(reader: Reader, query: Query | None = None, *, limit: int | None = None) -> Iterator[Item]:
    """``Queue.items``, asked once."""
    return Queue(reader).items(query, limit=limit)


def last_of(entry: Entry, said: Sequence[Review]) -> Review | None:
    """The last verdict on an entry that counts."""
    return next((review for review in reversed(said) if counts(entry, review)), None)


__all__ = ["QUEUED", "Item", "Queue", "Queued", "last_of", "queue"]
