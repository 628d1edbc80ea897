"""Two answers to one question, compared; and many such comparisons, grouped by tool and agent.

An answer that no policy gave (arguments that did not fit, an engine that failed) is nothing to compare with. What the gate
could not carry out is a deny, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue

from openclaw import delegation
from openclaw.decision import Decision, Effect
from openclaw.duties import read_duties
from openclaw.policy import PolicyEngine

EXAMPLES_MAX = 3
"""Entries that are named for each change."""

FAILURES = frozenset({"bad_input", "engine_error", "engine_crashed", "deadline", "unreachable"})
"""The codes of answers that no policy gave."""

REST = "…"
"""The tool and the agent of what is counted together because there is no room for more groups."""

Verdict: TypeAlias = Literal["same", "undecidable", "unanswered"] | tuple[str, str]
"""What a comparison comes to: one word, or the answers before and after."""


class Frozen(BaseModel):
    """A value of this floor."""

    model_config = ConfigDict(frozen=True)


class Change(Frozen):
    """One way in which answers would change, such as ``allow`` to ``deny``. ``examples`` are entries of the log."""

    before: str
    after: str
    count: int
    examples: tuple[int, ...]


class Group(Frozen):
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


class Grouped(Frozen):
    """Comparisons (``groups``), by tool and agent."""

    groups: tuple[Group, ...] = ()

    @property
    def compared(self) -> int:
        """How many decisions were compared."""
        return sum(group.decisions for group in self.groups)

    @property
    def changed(self) -> int:
        """How many answers would change."""
        return sum(group.changed for group in self.groups)


def verdict(before: Decision, after: Decision, *, kind: str) -> Verdict:
    """How the second answer differs from the first; ``kind`` is that of the input, such as ``tool``."""
    if before.code in FAILURES:
        return "unanswered"
    after = done_by_gate(after, kind)
    if after.code in FAILURES:
        return before.effect.value, f"{after.effect.value}, {after.code}"
    if before.effect is not after.effect:
        return before.effect.value, after.effect.value
    if before.effect is Effect.DENY or _duties(before) == _duties(after):
        return "same"
    return before.effect.value, f"{after.effect.value}, other obligations"


def done_by_gate(decision: Decision, kind: str) -> Decision:
    """What would come of a decision: an obligation that the gate cannot carry out is a deny, whatever the policies say."""
    unmet = read_duties(decision, kind).unmet
    return Decision.deny(unmet, code="obligation") if unmet else decision


def answer_of_gate(engine: PolicyEngine, document: Mapping[str, JsonValue]) -> Decision:
    """The answer that the gate would give to an input."""
    kind = document.get("kind")
    return done_by_gate(delegation.evaluate(engine, document), kind if isinstance(kind, str) else "tool")


class Tally:
    """Counts comparisons. ``groups_max``: what comes after so many groups is counted together; None: there are no bounds."""

    def __init__(self, *, groups_max: int | None = None) -> None:
        self._groups_max = groups_max
        self._counts: dict[tuple[str, str], dict[str, int]] = {}
        self._changes: dict[tuple[str, str], dict[tuple[str, str], tuple[int, tuple[int, ...]]]] = {}

    def add(self, tool: str, agent: str, found: Verdict, seq: int) -> None:
        """Count one comparison, of the decision in entry ``seq``."""
        key = self._key(tool, agent)
        if isinstance(found, str):
            self._counts[key][found] += 1
        else:
            self._add_change(key, found, 1, (seq,))

    def add_groups(self, groups: Iterable[Group]) -> None:
        """Count what was counted elsewhere."""
        for group in groups:
            key = self._key(group.tool, group.agent)
            for word in ("same", "undecidable", "unanswered"):
                self._counts[key][word] += getattr(group, word)
            for change in group.changes:
                self._add_change(key, (change.before, change.after), change.count, change.examples)

    def groups(self) -> tuple[Group, ...]:
        """Everything, by tool and agent."""
        return tuple(
            Group(tool=tool, agent=agent, **count, changes=_changes(self._changes.get((tool, agent), {})))
            for (tool, agent), count in sorted(self._counts.items())
        )

    def _key(self, tool: str, agent: str) -> tuple[str, str]:
        key = (tool, agent)
        if self._groups_max is not None and key not in self._counts and len(self._counts) >= self._groups_max:
            key = (REST, REST)
        self._counts.setdefault(key, {"same": 0, "undecidable": 0, "unanswered": 0})
        return key

    def _add_change(self, key: tuple[str, str], change: tuple[str, str], count: int, examples: tuple[int, ...]) -> None:
        changes = self._changes.setdefault(key, {})
        before, known = changes.get(change, (0, ()))
        changes[change] = (before + count, (*known, *examples)[:EXAMPLES_MAX])


def _duties(decision: Decision) -> list[str]:
    return sorted(duty.model_dump_json() for duty in decision.obligations)


def _changes(found: dict[tuple[str, str], tuple[int, tuple[int, ...]]]) -> tuple[Change, ...]:
    return tuple(
        Change(before=before, after=after, count=count, examples=examples)
        for (before, after), (count, examples) in sorted(found.items())
    )
