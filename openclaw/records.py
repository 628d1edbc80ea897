"""What is written of an action: its decision, its outcome, and the refusal that its execution keeps."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Literal

from pydantic import JsonValue

from openclaw.action import Action, Run
from openclaw.audit import AuditLog, Draft
from openclaw.budget import Usage
from openclaw.canonical import encode, plain
from openclaw.decision import Decision
from openclaw.duties import Duties, read_duties
from openclaw.errors import Misrouted, Refused
from openclaw.passing import Outcome, Permit, Request

RESULT_BYTES_MAX = 4096
"""Results above this many canonical bytes are kept by digest and size alone, also at audit level ``full``."""


def decision_body(
    log: AuditLog, document: dict[str, JsonValue], decision: Decision, duties: Duties
) -> dict[str, JsonValue]:
    """The body of a decision entry: enough to decide again, with nothing in it that the policy wants masked."""
    if duties.level == "metadata" and "tool" in document:
        document = log.masked(document, ["tool.args"])
    return {
        "input": log.masked(document, [*duties.mask]) if duties.mask else document,
        "decision": plain(decision.model_dump(mode="json", exclude={"engine", "revision"})),
        "engine": decision.engine,
        "revision": decision.revision,
    }


def decision_draft(request: Request, effect: Literal["allow", "ask", "deny"], body: dict[str, JsonValue]) -> Draft:
    """The entry of a decision."""
    return _draft(request.action, request.run, "decision", effect, body)


def outcome_draft(log: AuditLog, permit: Permit, outcome: Outcome, used: Usage, ended: dt.datetime) -> Draft:
    """The entry of an outcome; ``used`` is what was posted for it."""
    body: dict[str, JsonValue] = {
        "decision": permit.seq,
        "status": outcome.status,
        "duration_ms": max(0, round((ended - permit.began).total_seconds() * 1000)),
        "used": {**used.present()},
    }
    if permit.reservation is not None:
        body["reservation"] = permit.reservation.id
    if outcome.estimated:
        body["estimated"] = True
    if outcome.error:
        body["error"] = outcome.error
    if outcome.result is not None:
        body["result"] = _result(log, outcome.result, permit.decision)
    return _draft(permit.action, permit.run, "outcome", "", body)


def pack_refusal(refused: Refused) -> bytes:
    """A refusal as an execution keeps it."""
    stored = {"message": refused.message, "source": refused.source, "reasons": refused.reasons, "hint": refused.hint}
    if isinstance(refused, Misrouted):
        stored["model"] = refused.model
    return json.dumps(stored).encode()


def unpack_refusal(kept: bytes, seq: int) -> Refused:
    """The refusal in ``kept``, which entry ``seq`` records."""
    stored = json.loads(kept)
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
) -> Draft:
    return Draft(
        kind=kind,
        run=run.id if run else "",
        workflow=action.principal.workflow,
        agent=action.principal.agent,
        tool=action.name,
        call_id=action.call_id,
        effect=effect,
        body=body,
    )


def _result(log: AuditLog, result: object, decision: Decision) -> JsonValue:
    value = plain(result)
    data = encode(value)
    kept: dict[str, JsonValue] = {"digest": "sha256:" + hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    duties = read_duties(decision)
    if duties.level == "full" and len(data) <= RESULT_BYTES_MAX:
        fields = [field for field in duties.mask if field.split(".")[0] == "result"]
        kept |= log.masked({"result": value}, fields)
    return kept


__all__ = ["decision_body", "decision_draft", "outcome_draft", "pack_refusal", "unpack_refusal"]
