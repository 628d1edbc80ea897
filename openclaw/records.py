"""What is written of an action: its decision, its outcome, and the refusal that its execution keeps."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pydantic import JsonValue

from openclaw.action import Action, Run
from openclaw.audit import AuditLog, Draft
from openclaw.budget import Usage
from openclaw.canonical import encode, plain
from openclaw.decision import Decision
from openclaw.duties import Duties
from openclaw.errors import Misrouted, Refused
from openclaw.executions import Running
from openclaw.passing import Outcome, Permit, Request, Shown

RESULT_BYTES_MAX = 4096
"""Results above this many canonical bytes are kept by digest and size alone, also at audit level ``full``."""


def decision_body(
    log: AuditLog, document: Mapping[str, JsonValue], decision: Decision, duties: Duties
) -> dict[str, JsonValue]:
    """The body of a decision entry: enough to decide again, with nothing in it that the policy wants masked."""
    fields = [*duties.mask]
    if duties.level == "metadata" and "tool" in document:
        fields.append("tool.args")
    return {
        "input": log.masked({**document}, fields) if fields else {**document},
        "decision": _written(log, decision, fields),
        "engine": decision.engine,
        "revision": decision.revision,
    }


def _written(log: AuditLog, decision: Decision, fields: list[str]) -> JsonValue:
    """A decision as it is stored. Obligations may carry the very values that are masked elsewhere, or cut."""
    written = plain(decision.model_dump(mode="json", exclude={"engine", "revision"}))
    assert isinstance(written, dict)
    obligations: list[JsonValue] = []
    for obligation in decision.obligations:
        stored = plain(obligation.model_dump(mode="json"))
        assert isinstance(stored, dict)
        if obligation.kind == "redact":
            stored = log.masked(stored, ["texts.*"])
        elif obligation.kind == "rewrite" and fields:
            stored = log.masked({"tool": stored}, fields)["tool"]
        obligations.append(stored)
    return {**written, "obligations": obligations}


def decision_draft(request: Request, effect: Literal["allow", "ask", "deny"], body: dict[str, JsonValue]) -> Draft:
    """The entry of a decision."""
    return _draft(request.action, request.run, "decision", effect, body)


def outcome_draft(
    log: AuditLog, permit: Permit, outcome: Outcome, used: Usage, ended: dt.datetime, *, late: bool = False
) -> Draft:
    """The entry of an outcome; ``used`` is what was posted for it. ``late``: it was taken for unknown before."""
    body: dict[str, JsonValue] = {
        "decision": permit.seq,
        "status": outcome.status,
        "duration_ms": max(0, round((ended - permit.began).total_seconds() * 1000)),
        "used": {**used.present()},
    }
    if permit.reservation is not None:
        body["reservation"] = permit.reservation.id
    if late:
        body["late"] = True
    if outcome.estimated:
        body["estimated"] = True
    shown = outcome.shown
    duties = shown.duties if shown is not None else permit.duties
    if shown is not None and (shown.changed or shown.refused is not None):
        body["shown"] = "withheld" if shown.refused is not None else "cut"
    if outcome.error:
        body["error"] = _error(outcome, duties)
    if outcome.result is not None:
        body["result"] = _result(log, outcome, duties)
    return _draft(permit.action, permit.run, "outcome", "", body)


def conclusion_draft(running: Running, used: Usage, learned: object | None) -> Draft:
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
        data = encode(plain(learned))
        body["result"] = {"digest": "sha256:" + hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return Draft(
        kind="outcome",
        run=running.run,
        workflow=running.workflow,
        agent=running.agent,
        tool=running.tool,
        call_id=running.call_id,
        body=body,
    )


def result_draft(log: AuditLog, permit: Permit, shown: Shown) -> Draft:
    """The entry of the decision on a result. The result itself is in it only where all of it was shown."""
    assert shown.decision is not None
    duties = shown.duties
    whole = not shown.changed and shown.refused is None
    if not whole or duties.level != "full" or _size(shown) > RESULT_BYTES_MAX:
        duties = replace(duties, mask=(*duties.mask, "result"))
    body = decision_body(log, shown.document, shown.decision, duties)
    body["of"] = permit.seq
    if shown.refused is not None:
        body["refused_by"] = shown.refused.source
        body["reasons"] = [*shown.refused.reasons]
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
    """The refusal in ``kept``, of the execution that entry ``seq`` has decided."""
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


def _error(outcome: Outcome, duties: Duties) -> str:
    """What a call raised, and no more of it than a model was shown; by its type alone where arguments are not kept."""
    shown = outcome.shown
    name = outcome.error.split(":")[0]
    if duties.level == "metadata" or (shown is not None and shown.refused is not None):
        return name
    return f"{name}: {shown.value}" if shown is not None and shown.changed else outcome.error


def _result(log: AuditLog, outcome: Outcome, duties: Duties) -> JsonValue:
    value = plain(outcome.result)
    data = encode(value)
    kept: dict[str, JsonValue] = {"digest": "sha256:" + hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    shown = outcome.shown
    withheld = shown is not None and shown.refused is not None
    if duties.level == "full" and len(data) <= RESULT_BYTES_MAX and not withheld:
        fields = [field for field in duties.mask if field.split(".")[0] == "result"]
        kept |= log.masked({"result": shown.value if shown is not None else value}, fields)
    return kept


def _size(shown: Shown) -> int:
    said = shown.document.get("outcome")
    size = said.get("bytes") if isinstance(said, dict) else None
    return size if isinstance(size, int) else RESULT_BYTES_MAX + 1


__all__ = [
    "conclusion_draft",
    "decision_body",
    "decision_draft",
    "outcome_draft",
    "pack_refusal",
    "result_draft",
    "unpack_refusal",
]
