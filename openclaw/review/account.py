"""One decision accounted for: what was recorded of it, what the policies at hand say of it now, and what else might have been."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from openclaw.audit import AuditLog, Entry
from openclaw.decision import Decision, Effect
from openclaw.errors import AuditError
from openclaw.policy.bundle import Bundle
from openclaw.policy.explain import Explanation, explain
from openclaw.policy.source import read_policies
from openclaw.review.comparing import answer_of_gate
from openclaw.review.decidable import Known
from openclaw.review.entries import number, part, reasons, text, texts
from openclaw.review.otherwise import Difference, differences

Again = Literal["same", "other", "undecidable", "no policies"]


class Recorded(BaseModel):
    """What the log says of a decision. ``decided_by`` is who had the last word: policy, budget, approval, audit or gate."""

    model_config = ConfigDict(frozen=True)

    seq: int
    asked_of: int
    effect: str
    decided_by: str
    reasons: tuple[str, ...]
    rules: tuple[str, ...]
    code: str
    policy_effect: str
    engine: str
    revision: str


class Account(BaseModel):
    """A decision accounted for.

    Attributes:
        recorded: what the log says.
        again: what came of deciding again: the ``same`` effect, an ``other`` one, ``undecidable`` (a value of the input is
            masked), or ``no policies`` at hand.
        same_policy: whether the policies at hand are those of the record, by their revision.
        revision: of the policies at hand.
        explanation: how they decide.
        differences: what would have led to another answer under them.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    entry: Entry
    recorded: Recorded
    again: Again
    same_policy: bool = False
    revision: str = ""
    decision: Decision | None = None
    explanation: Explanation | None = None
    differences: tuple[Difference, ...] = ()


def decision_of(log: AuditLog, seq: int) -> Entry:
    """The decision that an entry is, or that it is about.

    Raises:
        AuditError: there is no such entry, or it is about no decision.
    """
    entry = log.entry(seq)
    if entry.kind != "decision" and (about := number(entry.body, "decision")):
        entry = log.entry(about)
    if entry.kind != "decision":
        raise AuditError(f"entry {seq} is a {entry.kind}, and about no decision", hint="see it with `audit show`")
    return entry


def recorded(entry: Entry, asked_of: int) -> Recorded:
    """What the log says of a decision; ``asked_of`` is the entry that somebody asked about."""
    refused_by = text(entry.body, "refused_by")
    return Recorded(
        seq=entry.seq,
        asked_of=asked_of,
        effect=entry.effect,
        decided_by=refused_by or "policy",
        reasons=reasons(entry),
        rules=texts(entry.body, "decision", "rules"),
        code=text(entry.body, "decision", "code"),
        policy_effect=text(entry.body, "decision", "effect"),
        engine=text(entry.body, "engine"),
        revision=text(entry.body, "revision"),
    )


def account(log: AuditLog, seq: int, policies: Path | None = None, *, depth: int = 1) -> Account:
    """Account for the decision that entry ``seq`` is, or is about.

    Args:
        log: the log.
        seq: the entry.
        policies: a folder or bundle to decide again with; it should be the recorded one.
        depth: how many levels of rules that rules use are told.

    Raises:
        AuditError: there is no such entry, or it is about no decision.
        PolicyError: the policies cannot be used.
        ConfigurationError: the native engine is not installed.
    """
    entry = decision_of(log, seq)
    said = recorded(entry, seq)
    if policies is None:
        return Account(entry=entry, recorded=said, again="no policies")
    bundle = Bundle.assemble(read_policies(policies))
    known: dict[str, object] = {"entry": entry, "recorded": said, "revision": bundle.revision}
    known["same_policy"] = bundle.revision == said.revision
    document = part(entry.body, "input")
    if not isinstance(document, dict) or not Known(bundle).enough(document):
        return Account.model_validate({**known, "again": "undecidable"})
    return Account.model_validate({**known, **_again(bundle, document, said, depth)})


def _again(bundle: Bundle, document: dict[str, JsonValue], said: Recorded, depth: int) -> dict[str, object]:
    from openclaw.policy.regorus import RegorusEngine

    with contextlib.closing(RegorusEngine(bundle)) as engine:
        decision = answer_of_gate(engine, document)
        # An allow is told by its own rules; what would have forbidden it is what the others say.
        allowed = decision.effect is Effect.ALLOW
        wider = explain(bundle, document, every=allowed, depth=depth)
        explanation = replace(wider, others=()) if allowed else wider
        found = differences(engine, document, wider)
    return {
        "again": "same" if decision.effect.value == said.policy_effect else "other",
        "decision": decision,
        "explanation": explanation,
        "differences": found,
    }


__all__ = ["Account", "Recorded", "account", "decision_of"]
