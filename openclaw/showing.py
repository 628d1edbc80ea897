"""Results pass the gate too: what of a result a model may see, as the policy says of the call and of the result itself.

The policy is asked about results only where it speaks of them (``openclaw.policy.results``). It sees the input of the call
again with ``kind`` ``result``, the result as ``result`` and how the call ended as ``outcome``: a rule that does not look at
the kind answers as it did before. What no policy has seen, no model sees: of a result that is too large to be asked about
whole, both see the head.

Not the answers of models: they stream to whoever reads before they are whole, and what an answer sets in motion passes the
gate as calls of its own.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import JsonValue

from openclaw.action import utc
from openclaw.decision import Decision, Effect
from openclaw.duties import LEVELS, AuditLevel, Duties, read_duties
from openclaw.encoding import encode
from openclaw.errors import Refused
from openclaw.passing import Permit, Shown
from openclaw.policy.results import Results

ASKED_BYTES_MAX = 256 * 1024
"""A result above this many canonical bytes is asked about, and handed on, by its head."""

HEAD_CHARS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A result as the policy is asked about it."""

    document: dict[str, JsonValue]
    value: JsonValue
    cut_off: int


def inquiry(permit: Permit, value: JsonValue, status: Literal["done", "failed"], now: dt.datetime) -> Inquiry:
    """The policy input for a result."""
    data = encode(value)
    whole = len(data) <= ASKED_BYTES_MAX
    if not whole:
        text = value if isinstance(value, str) else data.decode()
        value = text[:HEAD_CHARS]
    outcome: dict[str, JsonValue] = {"status": status, "bytes": len(data), "whole": whole}
    asked: dict[str, JsonValue] = {
        **permit.document,
        "kind": "result",
        "result": value,
        "outcome": outcome,
        "now": utc(now),
    }
    return Inquiry(asked, value, 0 if whole else len(data))


def unasked(permit: Permit, value: JsonValue) -> Shown:
    """What may be seen where only the call's own decision demands something."""
    cut = permit.duties.redact.cut(value)
    return Shown(value=cut, changed=cut != value, duties=permit.duties)


def answered(permit: Permit, asked: Inquiry, decision: Decision, results: Results) -> Shown:
    """What may be seen after the policy has answered."""
    own = read_duties(decision, "result", met=permit.decision.obligations)
    if own.unmet:
        engine, revision = decision.engine, decision.revision
        decision = Decision.deny(own.unmet, code="obligation", revision=revision, engine=engine)
    duties = replace(
        permit.duties,
        mask=(*permit.duties.mask, *own.mask),
        level=_level(permit.duties, own, decision),
        redact=permit.duties.redact + own.redact,
    )
    why = _against(permit, decision, results)
    if why is not None:
        reasons = ("the call was made, and its result is withheld", *why)
        refused = Refused(f"the result is withheld: {why[0]}", source="policy", reasons=reasons)
        return Shown(value=None, refused=refused, duties=duties, decision=decision, document=asked.document)
    cut = duties.redact.cut(asked.value)
    changed = cut != asked.value or bool(asked.cut_off)
    if asked.cut_off and isinstance(cut, str):
        cut += f"… [the head of {asked.cut_off:,} bytes: a policy reads results, and reads at most {ASKED_BYTES_MAX:,}]"
    return Shown(value=cut, changed=changed, duties=duties, decision=decision, document=asked.document)


def _level(ofcall: Duties, own: Duties, decision: Decision) -> AuditLevel:
    said = bool(own.unmet) or any(obligation.kind == "audit" for obligation in decision.obligations)
    levels: list[AuditLevel] = [ofcall.level, own.level] if said else [ofcall.level]
    return min(levels, key=LEVELS.index)


def _against(permit: Permit, decision: Decision, results: Results) -> tuple[str, ...] | None:
    """Why nothing may be seen; None where something may."""
    if decision.effect is Effect.ALLOW:
        return None
    if decision.code == "no_policy" and results is not Results.GRANTED:
        return None  # no rule that allows speaks of results: the permission of the call covers its result
    if decision.effect is Effect.ASK:
        # Who agreed to the call has agreed to this; a rule that asks without looking at the kind asks again.
        agreed = permit.document.get("approval") is not None
        return None if agreed else (*decision.reasons, "a result cannot wait for a person")
    return decision.reasons or ("denied",)


__all__ = ["ASKED_BYTES_MAX", "Inquiry", "answered", "inquiry", "unasked"]
