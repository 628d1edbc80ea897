"""What real traffic has exercised of policies: the decisions of the log, decided again to see what they touch.

An input in which a value was masked that a rule may read is not decided again: what it would touch is not known. It counts
for its tool all the same, for what was decided then is known. A decision under ``else`` or ``default`` counts for the rule that
it belongs to.
"""

from __future__ import annotations

import contextlib
import datetime as dt

from pydantic import JsonValue, ValidationError

from openclaw.audit import AuditLog, Entry
from openclaw.audit.reading import Seen
from openclaw.decision import Decision, Effect
from openclaw.errors import PolicyError
from openclaw.policy.bundle import Bundle
from openclaw.policy.coverage import FileCoverage, Meter, RuleUse
from openclaw.review.comparing import FAILURES, Frozen
from openclaw.review.decidable import Known
from openclaw.review.entries import entries_of, part, text


class ToolUse(Frozen):
    """What policies have said of one tool or model. ``denied`` by a rule; ``ungranted``: no rule allowed it."""

    kind: str
    tool: str
    allowed: int = 0
    asked: int = 0
    denied: int = 0
    ungranted: int = 0


class LogCoverage(Frozen):
    """What a log has exercised of policies.

    Attributes:
        revision: of the policies.
        decided: how many decisions were decided again.
        under: how many of them were made by this revision, and not by another one.
        undecidable: how many hold a masked value that a rule may read.
        unanswered: how many no policy had answered.
        files: the lines, by file.
        rules: the rules that decide.
        tools: by kind and name.
    """

    revision: str
    decided: int
    under: int
    undecidable: int
    unanswered: int
    files: tuple[FileCoverage, ...]
    rules: tuple[RuleUse, ...]
    tools: tuple[ToolUse, ...]

    @property
    def dead(self) -> tuple[RuleUse, ...]:
        """The rules that have had no part in any of the decisions that were decided again."""
        return tuple(rule for rule in self.rules if rule.dead)

    @property
    def never_denied(self) -> tuple[ToolUse, ...]:
        """The tools that no rule has ever denied."""
        return tuple(tool for tool in self.tools if not tool.denied)


def cover(log: AuditLog, bundle: Bundle, *, since: dt.datetime | None = None, seen: Seen | None = None) -> LogCoverage:
    """Decide the log's decisions again under ``bundle``, and count what that evaluates; ``seen`` hears how far that has come.

    Raises:
        PolicyError: the policies do not compile.
        ConfigurationError: the native engine is not installed.
    """
    counts = {"decided": 0, "under": 0, "undecidable": 0, "unanswered": 0}
    tools: dict[tuple[str, str], dict[str, int]] = {}
    known = Known(bundle)
    with contextlib.closing(Meter(bundle)) as meter:
        for entry in entries_of(log, "decision", since=since, seen=seen):
            document, decision = part(entry.body, "input"), _decision(entry)
            if decision is None or not isinstance(document, dict):
                counts["unanswered"] += 1
                continue
            _count(tools, str(document.get("kind", "tool")), entry.tool, decision)
            if not known.enough(document):
                counts["undecidable"] += 1
            elif _add(meter, document):
                counts["decided"] += 1
                counts["under"] += text(entry.body, "revision") == bundle.revision
            else:
                counts["unanswered"] += 1
        used = tuple(ToolUse(kind=kind, tool=tool, **count) for (kind, tool), count in sorted(tools.items()))
        return LogCoverage(revision=bundle.revision, files=meter.files(), rules=meter.rules(), tools=used, **counts)


def _add(meter: Meter, document: dict[str, JsonValue]) -> bool:
    try:
        meter.add(document)
    except PolicyError:
        return False
    return True


def _decision(entry: Entry) -> Decision | None:
    """What policies had answered; None where none did."""
    try:
        decision = Decision.model_validate(part(entry.body, "decision"))
    except ValidationError:
        return None  # Written by hand, or by a version that is not known here.
    return None if decision.code in FAILURES else decision


def _count(tools: dict[tuple[str, str], dict[str, int]], kind: str, tool: str, decision: Decision) -> None:
    count = tools.setdefault((kind, tool), {"allowed": 0, "asked": 0, "denied": 0, "ungranted": 0})
    match decision.effect:
        case Effect.ALLOW:
            count["allowed"] += 1
        case Effect.ASK:
            count["asked"] += 1
        case Effect.DENY:
            count["denied" if decision.rules else "ungranted"] += 1
