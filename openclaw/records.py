"""What is written of an action: its decision, its outcome, and the refusal that its execution keeps."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from pydantic import JsonValue

from openclaw.action import Action, ModelCall, Run
from openclaw.audit import AuditLog, Draft, Line, Veil, take_result
from openclaw.audit.veil import RESULT_BYTES_MAX
from openclaw.budget import Energy, Prices, Usage
from openclaw.canonical import Fingerprint, plain, storable
from openclaw.decision import Decision
from openclaw.duties import Duties
from openclaw.errors import Misrouted, Refused
from openclaw.executions import Running
from openclaw.measures import measured
from openclaw.passing import Outcome, Permit, Request, Shown
from openclaw.store import Transaction


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken of an outcome at the moment it came: the values in it may change, or be gone, when it is written.

    ``kept`` is what a node that runs again gets, sealed; ``factors`` what the amounts of a model call stand on;
    ``used`` what it used, time and energy included.
    """

    status: str
    error: str
    estimated: bool
    result: Fingerprint | None
    shown: Shown | None
    kept: bytes
    ended: dt.datetime
    factors: Mapping[str, JsonValue]
    used: Usage

    @property
    def withheld(self) -> bool:
        """Whether nobody may see what it returned."""
        return self.shown is not None and self.shown.refused is not None


def take(
    log: AuditLog, permit: Permit, outcome: Outcome, ended: dt.datetime, prices: Prices, energy: Energy | None
) -> Taken:
    """Take what is recorded of an outcome, in the thread that knows its values."""
    result = None if outcome.result is None else take_result(outcome.result)
    withheld = outcome.shown is not None and outcome.shown.refused is not None
    kept = b"" if withheld else log.privacy.keep(permit.seq, outcome.replay)
    factors = _factors(permit, outcome, ended, prices, energy)
    used = measured(outcome.usage, permit, ended, factors)
    return Taken(outcome.status, outcome.error, outcome.estimated, result, outcome.shown, kept, ended, factors, used)


def _factors(
    permit: Permit, outcome: Outcome, ended: dt.datetime, prices: Prices, energy: Energy | None
) -> dict[str, JsonValue]:
    """Where the price of a model call is from, what of its input was cached, and what energy it took if that is asked for."""
    action = permit.action
    if not isinstance(action, ModelCall) or outcome.status == "suspended":
        return {}
    factors: dict[str, JsonValue] = {}
    factors["price"] = prices.source(action.name, action.provider) or {"source": "unknown"}
    if any(outcome.cached):
        factors["cached"] = dict(zip(("read", "written"), outcome.cached, strict=True))
    if energy is not None and outcome.usage.output_tokens:
        seconds = max(0.0, (ended - permit.began).total_seconds())
        factors["energy"] = energy.estimate(action.name, action.provider, outcome.usage.output_tokens, seconds)
    return factors


def veil_of(log: AuditLog, transaction: Transaction, document: Mapping[str, JsonValue], duties: Duties) -> Veil:
    """The veil over one action, as the policy demands it."""
    fields = ("tool.args", *duties.mask) if duties.level == "metadata" else duties.mask
    return log.privacy.veil(transaction, document, fields=fields, seals=duties.seals)


def decision_body(veil: Veil, decision: Decision) -> dict[str, JsonValue]:
    """The body of a decision entry: enough to decide again, with nothing in it that must be hidden."""
    answered: dict[str, JsonValue] = {
        "effect": decision.effect.value,
        "reasons": [*map(plain, decision.reasons)],
        "rules": [*map(plain, decision.rules)],
        "obligations": [plain(it.model_dump(mode="json")) for it in decision.obligations]
        if decision.obligations
        else [],
        "code": decision.code,
    }
    return {
        "input": veil.document,
        "decision": veil.decision(answered),
        "engine": decision.engine,
        "revision": decision.revision,
    }


def decision_draft(request: Request, effect: Literal["", "allow", "ask", "deny"], body: dict[str, JsonValue]) -> Line:
    """The entry of a decision."""
    return _draft(request.action, request.run, "decision", effect, body)


def outcome_draft(
    log: AuditLog, transaction: Transaction, permit: Permit, taken: Taken, used: Usage, *, late: bool = False
) -> Line:
    """The entry of an outcome; ``used`` is what was posted for it. ``late``: it was taken for unknown before."""
    body: dict[str, JsonValue] = {
        "decision": permit.seq,
        "status": taken.status,
        "duration_ms": max(0, round((taken.ended - permit.began).total_seconds() * 1000)),
        "used": {**used.present()},
        **taken.factors,
    }
    if permit.reservation is not None:
        body["reservation"] = permit.reservation.id
    if late:
        body["late"] = True
    if taken.estimated:
        body["estimated"] = True
    if taken.shown is not None and (taken.shown.changed or taken.withheld):
        body["shown"] = "withheld" if taken.withheld else "cut"
    if taken.error or taken.result is not None:
        body |= _told(log, transaction, permit, taken)
    return _draft(permit.action, permit.run, "outcome", "", body)


def conclusion_draft(
    log: AuditLog, transaction: Transaction, running: Running, used: Usage, learned: object | None
) -> Draft:
    """The entry of an outcome that nobody was there to see: unknown, or what was learned of it since."""
    body: dict[str, JsonValue] = {
        "decision": running.seq,
        "status": "unknown" if learned is None else "done",
        "used": {**used.present()},
        "estimated": True,
        "concluded": True,
    }
    if running.hold:
        body["reservation"] = running.hold
    if learned is not None:
        body["result"] = log.privacy.veil(transaction, {}).result(take_result(learned), full=False)
    return Draft(
        kind="outcome",
        run=running.run,
        workflow=running.workflow,
        agent=running.agent,
        tool=running.tool,
        call_id=running.call_id,
        body=body,
    )


def result_draft(log: AuditLog, transaction: Transaction, permit: Permit, shown: Shown) -> Line:
    """The entry of the decision on a result. The result itself is in it only where all of it was shown."""
    assert shown.decision is not None
    duties = shown.duties
    whole = not shown.changed and shown.refused is None
    if not whole or duties.level != "full" or _size(shown) > RESULT_BYTES_MAX:
        duties = replace(duties, mask=(*duties.mask, "result"))
    veil = veil_of(log, transaction, shown.document, duties)
    body = decision_body(veil, shown.decision)
    body["of"] = permit.seq
    if shown.refused is not None:
        body["refused_by"] = shown.refused.source
        body["reasons"] = veil.texts(shown.refused.reasons)
    elif shown.decision.code == "no_policy":
        body["covered"] = True  # by the permission of the call
    return _draft(permit.action, permit.run, "decision", "allow" if shown.refused is None else "deny", body)


def pack_refusal(refused: Refused) -> bytes:
    """A refusal as an execution keeps it."""
    stored: dict[str, object] = {"message": refused.message, "source": refused.source, "hint": refused.hint}
    stored |= {"reasons": refused.reasons, "seq": refused.seq}
    if isinstance(refused, Misrouted):
        stored["model"] = refused.model
    return json.dumps(stored).encode()


def unpack_refusal(kept: bytes, seq: int) -> Refused:
    """The refusal in ``kept``, of the execution that entry ``seq`` has decided; without its reasons where they are not kept."""
    if not kept:
        return Refused(f"this call was refused before: entry {seq} says why", source="gate", seq=seq)
    stored = json.loads(kept)
    seq = stored["seq"] or seq
    if "model" in stored:  # who asks again must hear again that another model may do
        return Misrouted(stored["message"], model=stored["model"], seq=seq, hint=stored["hint"])
    reasons = tuple(stored["reasons"])
    return Refused(stored["message"], source=stored["source"], reasons=reasons, seq=seq, hint=stored["hint"])


def _draft(
    action: Action,
    run: Run | None,
    kind: Literal["decision", "outcome"],
    effect: Literal["", "allow", "ask", "deny"],
    body: dict[str, JsonValue],
) -> Line:
    who = action.principal  # whose names are short: see ``Principal``
    return Line(
        kind,
        storable(run.id) if run else "",
        _storable(who.workflow),
        _storable(who.agent),
        storable(action.name),
        storable(action.call_id),
        effect,
        body,
    )


_storable = lru_cache(maxsize=1000)(storable)


def _told(log: AuditLog, transaction: Transaction, permit: Permit, taken: Taken) -> dict[str, JsonValue]:
    """Error and result, under the veil of the action: both may repeat what its arguments hold."""
    shown = taken.shown
    duties = shown.duties if shown is not None else permit.duties
    full = duties.level == "full" and not taken.withheld
    veil = veil_of(log, transaction, permit.document if taken.error or full or duties.seals else {}, duties)
    told: dict[str, JsonValue] = {"error": veil.text(_error(taken, duties))} if taken.error else {}
    if taken.result is None:
        return told
    if shown is None or not (shown.changed or taken.withheld):
        return told | {"result": veil.result(taken.result, full=full)}
    # Nothing stored is less masked than what was shown; and a plain digest would let anybody try what was cut.
    digest = log.privacy.keyed(taken.result.digest)
    seen = veil.result(take_result(shown.value), full=full)
    assert isinstance(seen, dict)
    kept: JsonValue = {**seen, "digest": digest, "bytes": taken.result.size}
    return told | {"result": kept}


def _error(taken: Taken, duties: Duties) -> str:
    """What a call raised, and no more of it than a model was shown; by its type alone where arguments are not kept."""
    shown = taken.shown
    name = taken.error.split(":")[0]
    if duties.level == "metadata" or taken.withheld:
        return name
    return f"{name}: {shown.value}" if shown is not None and shown.changed else taken.error


def _size(shown: Shown) -> int:
    said = shown.document.get("outcome")
    size = said.get("bytes") if isinstance(said, dict) else None
    return size if isinstance(size, int) else RESULT_BYTES_MAX + 1


__all__ = [
    "Taken",
    "conclusion_draft",
    "decision_body",
    "decision_draft",
    "outcome_draft",
    "pack_refusal",
    "result_draft",
    "take",
    "unpack_refusal",
    "veil_of",
]
