"""What a candidate would change: the decisions of the log, decided again under other policies.

Policy answers are compared with policy answers: a call that its budget or a person refused was first answered by the policy,
and that answer counts here. An action that was refused before any policy was asked (arguments that do not fit), or whose
engine failed, has no answer to compare. An input in which a value was masked cannot be decided again, whatever the
candidate says of the mask: a rule may ask about the very value that is not known any more.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from openclaw.audit import AuditLog, Entry
from openclaw.audit.mask import hides
from openclaw.decision import Decision, Effect
from openclaw.duties import read_duties
from openclaw.errors import ConfigurationError
from openclaw.policy import PolicyEngine
from openclaw.review.entries import part, text

PAGE = 500
EXAMPLES_MAX = 3
"""Entries that are named for each change."""

_FAILURES = frozenset({"bad_input", "engine_error", "engine_crashed", "deadline", "unreachable"})
_SPAN = re.compile(r"(\d+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Change(_Frozen):
    """One way in which answers would change, such as ``allow`` to ``deny``. ``examples`` are entries of the log."""

    before: str
    after: str
    count: int
    examples: tuple[int, ...]


class Group(_Frozen):
    """The decisions about one tool or model that one agent asked for.

    ``undecidable`` are those with a masked value, ``unanswered`` those that no policy had answered.
    """

    tool: str
    agent: str
    same: int = 0
    undecidable: int = 0
    unanswered: int = 0
    changes: tuple[Change, ...] = ()

    @property
    def changed(self) -> int:
        """How many answers would change."""
        return sum(change.count for change in self.changes)

    @property
    def decisions(self) -> int:
        """All of them."""
        return self.same + self.undecidable + self.unanswered + self.changed


class Replay(_Frozen):
    """All groups, by tool and agent, and the revision of the candidate."""

    revision: str
    groups: tuple[Group, ...]

    @property
    def changed(self) -> int:
        """How many answers would change."""
        return sum(group.changed for group in self.groups)


def moment_since(text: str, now: dt.datetime) -> dt.datetime:
    """The moment that ``text`` means: a span before ``now`` (``90s``, ``30m``, ``2h``, ``7d``, ``1w``), or a date or time.

    A date or time without a zone is UTC.

    Raises:
        ConfigurationError: it is neither.
    """
    if span := _SPAN.fullmatch(text):
        try:
            return now - dt.timedelta(**{_UNITS[span.group(2)]: int(span.group(1))})
        except OverflowError as error:
            raise ConfigurationError(f"`{text}` is longer than time goes back") from error
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"`{text}` is neither a span nor a time", hint="write 2h, 7d, 2026-11-23 or 2026-11-23T10:00:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def replay(log: AuditLog, engine: PolicyEngine, *, since: dt.datetime | None = None) -> Replay:
    """Decide the recorded decisions again with ``engine``; ``since`` leaves out what was recorded before it."""
    return compare((entry for entry in _decisions(log) if since is None or entry.at >= since), engine)


def compare(entries: Iterable[Entry], engine: PolicyEngine) -> Replay:
    """The same for these decision entries."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    changes: dict[tuple[str, str], dict[tuple[str, str], list[int]]] = {}
    for entry in entries:
        key = (entry.tool, entry.agent)
        count = counts.setdefault(key, {"same": 0, "undecidable": 0, "unanswered": 0})
        found = _again(entry, engine)
        if isinstance(found, str):
            count[found] += 1
        else:
            changes.setdefault(key, {}).setdefault(found, []).append(entry.seq)
    groups = [
        Group(tool=tool, agent=agent, **count, changes=_changes(changes.get((tool, agent), {})))
        for (tool, agent), count in sorted(counts.items())
    ]
    return Replay(revision=engine.revision, groups=tuple(groups))


def _decisions(log: AuditLog) -> Iterator[Entry]:
    after = 0
    while page := log.entries(kind="decision", after=after, limit=PAGE):
        yield from page
        after = page[-1].seq


def _again(entry: Entry, engine: PolicyEngine) -> Literal["same", "undecidable", "unanswered"] | tuple[str, str]:
    """What comes of deciding again: one word, or the answers before and after."""
    document, recorded = part(entry.body, "input"), part(entry.body, "decision")
    try:
        before = Decision.model_validate(recorded)
    except ValidationError:
        return "unanswered"  # Written by hand, or by a version that is not known here.
    if before.code in _FAILURES or not isinstance(document, dict):
        return "unanswered"
    if hides(document):
        return "undecidable"
    after = answer_of_gate(engine, document)
    if before.effect is after.effect and after.code not in _FAILURES:
        if before.effect is Effect.DENY or _duties(before) == _duties(after):
            return "same"
        return before.effect.value, f"{after.effect.value}, other obligations"
    return before.effect.value, f"{after.effect.value}, {after.code}" if after.code in _FAILURES else after.effect.value


def answer_of_gate(engine: PolicyEngine, document: dict[str, JsonValue]) -> Decision:
    """What would come of a decision: an obligation that the gate cannot carry out is a deny, whatever the policies say."""
    decision = engine.evaluate(document)
    duties = read_duties(decision, text(document, "kind") or "tool")
    return Decision.deny(duties.unmet, code="obligation") if duties.unmet else decision


def _duties(decision: Decision) -> list[str]:
    return sorted(duty.model_dump_json() for duty in decision.obligations)


def _changes(found: dict[tuple[str, str], list[int]]) -> tuple[Change, ...]:
    return tuple(
        Change(before=before, after=after, count=len(seqs), examples=tuple(seqs[:EXAMPLES_MAX]))
        for (before, after), seqs in sorted(found.items())
    )
