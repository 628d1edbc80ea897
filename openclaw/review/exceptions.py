"""Exceptions as the log tells of them: who opened each, what passed under it, and whether somebody else has looked at that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from openclaw.audit import Entry
from openclaw.audit.reading import Reader, Selection
from openclaw.review.entries import event, text
from openclaw.review.queue import last_of
from openclaw.review.verdicts import Review, reviews


@dataclass(slots=True)
class Watched:
    """One exception: the entries that opened and closed it, those of its uses, and the verdicts that count, by entry."""

    opened: Entry
    uses: list[Entry] = field(default_factory=list[Entry])
    closed: Entry | None = None
    verdicts: dict[int, Review] = field(default_factory=dict[int, Review])

    @property
    def looked_at(self) -> tuple[Entry, ...]:
        """The entries that somebody else than whoever opened it is to judge."""
        return self.opened, *self.uses

    @property
    def waiting(self) -> tuple[int, ...]:
        """Those of them that nobody has judged."""
        done = {seq for seq, review in self.verdicts.items() if review.verdict != "follow-up"}
        return tuple(entry.seq for entry in self.looked_at if entry.seq not in done)

    @property
    def reviewed(self) -> str:
        """In a word or two, how far they are judged."""
        if self.waiting:
            return "waits" if len(self.waiting) == len(self.looked_at) else "waits in part"
        return "by " + ", ".join(dict.fromkeys(review.by for review in self.verdicts.values()))


def watched(reader: Reader, *, after: int = 0) -> dict[str, Watched]:
    """The exceptions that were opened behind entry ``after``, by identifier, oldest first."""
    found: dict[str, Watched] = {}
    for entry in _entries(reader, after):
        name = text(entry.body, "exception")
        match event(entry):
            case "opened":
                found.setdefault(name, Watched(entry))
            case "used" if name in found:
                found[name].uses.append(entry)
            case "closed" if name in found:
                found[name].closed = entry
            case _:
                pass
    if found:
        said: dict[int, list[Review]] = {}
        for review in reviews(reader):
            if review.verdict:
                said.setdefault(review.of, []).append(review)
        for one in found.values():
            verdicts = ((entry.seq, last_of(entry, said.get(entry.seq, ()))) for entry in one.looked_at)
            one.verdicts.update({seq: last for seq, last in verdicts if last is not None})
    return found


def _entries(reader: Reader, after: int) -> Iterator[Entry]:
    for page in reader.entries(Selection(equal={"kind": "exception"}), after=after):
        yield from page


__all__ = ["Watched", "watched"]
