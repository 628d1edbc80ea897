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


def queue(reader: Reader, query: Query | None = None, *, limit: int | None = None) -> Iterator[Item]:
    """What waits for a reviewer, oldest first; ``query`` narrows it.

    Raises:
        ConfigurationError: a condition in the query is none.
    """
    search = Search(query or Query())
    judged, followed = _said(reader)
    found = heapq.merge(*(_of(reader, search, queued) for queued in QUEUED), key=lambda item: item[1].seq)
    waiting = (Item(name, entry, followed.get(entry.seq)) for name, entry in found if entry.seq not in judged)
    yield from itertools.islice(waiting, limit)


def last_of(entry: Entry, said: Sequence[Review]) -> Review | None:
    """The last verdict on an entry that counts."""
    return next((review for review in reversed(said) if counts(entry, review)), None)


def _said(reader: Reader) -> tuple[set[int], dict[int, Review]]:
    """The entries that have been judged, and those that somebody wants to look at again: the last verdict that counts.

    Of what is done with, the numbers alone are held: years of reviews are many. Exceptions are few.
    """
    judged: set[int] = set()
    followed: dict[int, Review] = {}
    exceptions = {entry.seq: entry for page in reader.entries(Selection(equal={"kind": "exception"})) for entry in page}
    for review in reviews(reader):
        about = exceptions.get(review.of)
        if about is not None and not counts(about, review):
            continue
        if review.verdict == "follow-up":
            judged.discard(review.of)
            followed[review.of] = review
        elif review.verdict:
            judged.add(review.of)
            followed.pop(review.of, None)
    return judged, followed


def _of(reader: Reader, search: Search, queued: Queued) -> Iterator[tuple[str, Entry]]:
    asked = search.selection.equal
    if any(asked.get(name, value) != value for name, value in queued.equal.items()):
        return
    selection: Selection = replace(search.selection, equal={**asked, **queued.equal})
    for page in reader.entries(selection):
        for entry in page:
            if queued.fits(entry) and search.fits(entry):
                yield queued.name, entry


__all__ = ["QUEUED", "Item", "Queued", "last_of", "queue"]
