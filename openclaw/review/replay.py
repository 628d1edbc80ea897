"""What a candidate would change: the decisions of the log, decided again under other policies.

Policy answers are compared with policy answers: a call that its budget or a person refused was first answered by the policy,
and that answer counts here. An action that was refused before any policy was asked (arguments that do not fit), or whose
engine failed, has no answer to compare. An input in which a value was masked cannot be decided again where a rule of the
candidate may read that very value, which is not known any more; where none does, it makes no difference.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from pydantic import ValidationError

from openclaw import delegation
from openclaw.audit import AuditLog, Entry
from openclaw.audit.mask import hides
from openclaw.audit.reading import Seen
from openclaw.decision import Decision
from openclaw.policy import PolicyEngine
from openclaw.policy.bundle import Bundle
from openclaw.review.comparing import FAILURES, Grouped, Tally, Verdict, verdict
from openclaw.review.decidable import Known
from openclaw.review.entries import entries_of, part, text


class Replay(Grouped):
    """All comparisons, and the revision of the candidate."""

    revision: str


def replay(
    log: AuditLog,
    engine: PolicyEngine,
    *,
    bundle: Bundle | None = None,
    since: dt.datetime | None = None,
    seen: Seen | None = None,
) -> Replay:
    """Decide the recorded decisions again with ``engine``.

    Args:
        log: the log.
        engine: the candidate.
        bundle: what the engine decides by. Without it every input with a masked value is undecidable.
        since: leaves out what was recorded before it.
        seen: hears how far the reading has come.
    """
    return compare(entries_of(log, "decision", since=since, seen=seen), engine, bundle)


def compare(entries: Iterable[Entry], engine: PolicyEngine, bundle: Bundle | None = None) -> Replay:
    """The same for these decision entries."""
    tally, known = Tally(), None if bundle is None else Known(bundle)
    for entry in entries:
        tally.add(entry.tool, entry.agent, _again(entry, engine, known), entry.seq)
    return Replay(revision=engine.revision, groups=tally.groups())


def _again(entry: Entry, engine: PolicyEngine, known: Known | None) -> Verdict:
    document, recorded = part(entry.body, "input"), part(entry.body, "decision")
    try:
        before = Decision.model_validate(recorded)
    except ValidationError:
        return "unanswered"  # Written by hand, or by a version that is not known here.
    if before.code in FAILURES or not isinstance(document, dict):
        return "unanswered"
    if hides(document) if known is None else not known.enough(document):
        return "undecidable"
    return verdict(before, delegation.evaluate(engine, document), kind=text(document, "kind") or "tool")
