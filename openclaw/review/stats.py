"""What a log comes to over a time: by agent, tool, reason and hour, what was spent, and what had never been seen before.

One pass over the entries that are meant, held as counts. What is new is asked of the rest of the log: of agents and tools
by their indexes, of argument shapes by looking back at the calls of that tool, newest first, as far as ``LOOK_BACK``.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from openclaw.audit import Entry
from openclaw.audit.mask import is_mark
from openclaw.audit.reading import Reader, Selection
from openclaw.review.entries import number, part, reasons, text

LOOK_BACK = 100_000
"""Earlier entries of one tool that are looked through for a shape of its arguments."""

BUCKETS_MAX = 48
_STEPS = (60, 300, 900, 3_600, 21_600, 86_400, 604_800, 2_592_000, 31_536_000)
"""Seconds of one bucket of time: the first of these that needs no more than ``BUCKETS_MAX`` of them."""

Field = Literal["agent", "tool"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Tally(_Frozen):
    """What one agent, tool, or the whole comes to. ``activity`` are its decisions in each bucket of time."""

    name: str
    allowed: int = 0
    asked: int = 0
    denied: int = 0
    failed: int = 0
    tokens: int = 0
    microusd: int = 0
    activity: tuple[int, ...] = ()

    @property
    def decisions(self) -> int:
        """All decisions."""
        return self.allowed + self.asked + self.denied

    @property
    def denial_permille(self) -> int:
        """Denials in a thousand decisions, rounded."""
        return round(1000 * self.denied / self.decisions) if self.decisions else 0


class Reason(_Frozen):
    """How often something was the reason of an ask or a denial; ``last`` is the newest such entry."""

    reason: str
    effect: str
    count: int
    last: int


class New(_Frozen):
    """An agent, a tool, or a shape of a tool's arguments that had not been seen before ``first``, an entry.

    ``bounded``: only the last ``LOOK_BACK`` earlier entries of that tool were looked through.
    """

    what: Literal["agent", "tool", "arguments"]
    name: str
    first: int
    count: int
    bounded: bool = False


class Stats(_Frozen):
    """Counts over the entries from ``began`` to ``ended``; times are of the first and the last of them."""

    entries: int
    began: dt.datetime | None
    ended: dt.datetime | None
    bucket_seconds: int
    whole: Tally
    agents: tuple[Tally, ...]
    tools: tuple[Tally, ...]
    reasons: tuple[Reason, ...]
    hours: tuple[int, ...]
    exceptions: int = 0
    """Exceptions that people have opened, and in ``excepted`` what has passed under them."""
    excepted: int = 0
    new: tuple[New, ...] = ()


@dataclass(slots=True)
class _Sum:
    counts: Counter[str] = field(default_factory=Counter[str])
    minutes: Counter[int] = field(default_factory=Counter[int])


@dataclass(slots=True)
class _Shape:
    first: int
    count: int = 0


class Counting:
    """Counts entries as they are handed to it."""

    def __init__(self) -> None:
        self._entries = 0
        self._first: Entry | None = None
        self._began: dt.datetime | None = None
        self._ended: dt.datetime | None = None
        self._whole = _Sum()
        self._by: dict[Field, dict[str, _Sum]] = {"agent": {}, "tool": {}}
        self._reasons: dict[tuple[str, str], _Shape] = {}
        self._hours: Counter[int] = Counter()
        self._exceptions: Counter[str] = Counter()
        self._seen: dict[tuple[Literal["agent", "tool", "arguments"], str, str], _Shape] = {}

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        self._entries += 1
        self._first = self._first or entry
        self._began = min(self._began or entry.at, entry.at)
        self._ended = max(self._ended or entry.at, entry.at)
        is_result = text(entry.body, "input", "kind") == "result"
        if entry.kind == "outcome":
            self._count(entry, Counter(_spent(entry)))
        elif entry.kind == "decision" and not is_result:
            self._count(entry, Counter({entry.effect: 1}), minute=int(entry.at.timestamp() // 60))
            self._hours[entry.at.astimezone(dt.UTC).hour] += 1
            self._look(entry)
        elif entry.kind == "exception":
            self._exceptions[text(entry.body, "event")] += 1
        if entry.kind == "decision" and entry.effect in ("ask", "deny"):
            for reason in reasons(entry):
                kept = self._reasons.setdefault((reason, entry.effect), _Shape(entry.seq))
                kept.first, kept.count = entry.seq, kept.count + 1

    def _count(self, entry: Entry, counts: Counter[str], *, minute: int | None = None) -> None:
        for one in (
            self._whole,
            self._by["agent"].setdefault(entry.agent, _Sum()),
            self._by["tool"].setdefault(entry.tool, _Sum()),
        ):
            one.counts += counts
            if minute is not None:
                one.minutes[minute] += 1

    def _look(self, entry: Entry) -> None:
        seen: list[tuple[Literal["agent", "tool", "arguments"], str, str]] = [
            ("agent", entry.agent, ""),
            ("tool", entry.tool, ""),
        ]
        if shape := arguments_shape(entry):
            seen.append(("arguments", entry.tool, shape))
        for key in seen:
            self._seen.setdefault(key, _Shape(entry.seq)).count += 1

    def stats(self, reader: Reader | None = None) -> Stats:
        """What was counted; with a reader, also what had not been seen before the first entry."""
        step, first = self._buckets()
        spans = (self._began, self._ended)

        def tally(name: str, one: _Sum) -> Tally:
            counts = one.counts
            return Tally(
                name=name,
                allowed=counts["allow"],
                asked=counts["ask"],
                denied=counts["deny"],
                failed=counts["failed"],
                tokens=counts["tokens"],
                microusd=counts["microusd"],
                activity=_activity(one.minutes, first, step, spans[1]),
            )

        def tallies(name: Field) -> tuple[Tally, ...]:
            found = [tally(name, one) for name, one in self._by[name].items() if name]
            return tuple(sorted(found, key=lambda one: (-one.decisions, one.name)))

        ranked = sorted(self._reasons.items(), key=lambda item: (-item[1].count, item[0]))
        return Stats(
            entries=self._entries,
            began=self._began,
            ended=self._ended,
            bucket_seconds=step,
            whole=tally("", self._whole),
            agents=tallies("agent"),
            tools=tallies("tool"),
            reasons=tuple(Reason(reason=key[0], effect=key[1], count=one.count, last=one.first) for key, one in ranked),
            hours=tuple(self._hours[hour] for hour in range(24)),
            exceptions=self._exceptions["opened"],
            excepted=self._exceptions["used"],
            new=tuple(self._new(reader)) if reader is not None and self._first is not None else (),
        )

    def _buckets(self) -> tuple[int, int]:
        """Seconds of a bucket, and the beginning of the first one in seconds since the epoch."""
        if self._began is None or self._ended is None:
            return _STEPS[0], 0
        began, ended = self._began.timestamp(), self._ended.timestamp()
        step = next((step for step in _STEPS if ended // step - began // step < BUCKETS_MAX), _STEPS[-1])
        return step, int(began // step * step)

    def _new(self, reader: Reader) -> Iterator[New]:
        assert self._first is not None
        before = self._first.seq
        fresh: set[tuple[str, str]] = set()
        for (what, name, _), seen in self._seen.items():
            if what != "arguments" and name and not _had(reader, what, name, before):
                fresh.add((what, name))
                yield New(what=what, name=name, first=seen.first, count=seen.count)
        shapes: dict[str, dict[str, _Shape]] = {}
        for (what, name, shape), seen in self._seen.items():
            # Of a tool that is new itself, every shape is.
            if what == "arguments" and ("tool", name) not in fresh:
                shapes.setdefault(name, {})[shape] = seen
        for name, found in shapes.items():
            bounded = _leave_out_known(reader, name, found, before)
            for shape, seen in found.items():
                yield New(what="arguments", name=f"{name}{shape}", first=seen.first, count=seen.count, bounded=bounded)


def count(entries: Iterable[Entry], reader: Reader | None = None) -> Stats:
    """The statistics of some entries; with the reader of their log, also what is new in them."""
    counting = Counting()
    for entry in entries:
        counting.add(entry)
    return counting.stats(reader)


def arguments_shape(entry: Entry) -> str:
    """The names and types of a call's arguments, as in ``(amount: number, order: text)``; empty where they are not there."""
    args = part(entry.body, "input", "tool", "args")
    if not isinstance(args, dict) or is_mark(args):
        return ""
    return f"({', '.join(f'{name}: {_type(value)}' for name, value in sorted(args.items()))})"


def _type(value: JsonValue) -> str:
    if is_mark(value):
        return "hidden"
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case dict():
            return "object"


def _spent(entry: Entry) -> dict[str, int]:
    failed = text(entry.body, "status") in ("failed", "unknown")
    return {
        "tokens": number(entry.body, "used", "tokens"),
        "microusd": number(entry.body, "used", "microusd"),
        "failed": int(failed),
    }


def _activity(minutes: Counter[int], first: int, step: int, ended: dt.datetime | None) -> tuple[int, ...]:
    if ended is None:
        return ()
    buckets = [0] * (int((ended.timestamp() - first) // step) + 1)
    for minute, found in minutes.items():
        buckets[(minute * 60 - first) // step] += found
    return tuple(buckets)


def _had(reader: Reader, what: str, name: str, before: int) -> bool:
    pages = reader.entries(Selection(equal={what: name}), before=before, page_max=1, newest_first=True)
    return any(pages)


def _leave_out_known(reader: Reader, tool: str, shapes: dict[str, _Shape], before: int) -> bool:
    """Take from ``shapes`` those that an earlier call of the tool had; whether not all earlier calls were looked at."""
    looked = 0
    for page in reader.entries(Selection(equal={"tool": tool}), before=before, newest_first=True):
        for entry in page:
            if entry.kind == "decision":
                shapes.pop(arguments_shape(entry), None)
        looked += len(page)
        if not shapes:
            return False
        if looked >= LOOK_BACK:
            return True
    return False


__all__ = ["LOOK_BACK", "Counting", "New", "Reason", "Stats", "Tally", "arguments_shape", "count"]
