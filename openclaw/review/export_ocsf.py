"""OCSF 1.9.0: every entry as an API Activity event (class 6003) with the profiles ``ai_operation`` and ``security_control``.

Class, profiles and requirements are those of the published schema of that version; a test validates against it. What has no
place there stands in ``unmapped``: the leaf hash above all (an ``attestation`` is over the event, the leaf is over the entry).
Each entry is one event; a decision and its outcome share ``metadata.correlation_uid``.

A ``delegation`` is what one agent, or a person, lets another agent do in a run. It is named by whoever has watched it come about,
which is the gate: by log, run and the agents that led there, outermost first. No agent can give itself such a name.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
from collections.abc import Sequence

from pydantic import JsonValue

from openclaw.audit import AuditLog, Entry
from openclaw.review.entries import detail, event, number, part, reasons, text
from openclaw.review.export_formats import Plain, lines
from openclaw.review.export_sinks import Parcel

VERSION = "1.9.0"

_CATEGORY = 6  # Application Activity
_CLASS = 6003  # API Activity
_OTHER = 99
_READ, _UPDATE, _DELETE = 2, 3, 4
_MEMORY = {"get": _READ, "search": _READ, "put": _UPDATE, "delete": _DELETE}
_ACTIVITIES = {_READ: "Read", _UPDATE: "Update", _DELETE: "Delete"}
_INFORMATIONAL, _LOW, _MEDIUM = 1, 2, 3
_SEVERITIES = {_INFORMATIONAL: "Informational", _LOW: "Low", _MEDIUM: "Medium"}
_UNKNOWN, _SUCCESS, _FAILURE = 0, 1, 2
_STATUSES = {_UNKNOWN: "Unknown", _SUCCESS: "Success", _FAILURE: "Failure"}
_ALLOWED, _DENIED = 1, 2
_DISPOSITIONS = {
    "allow": (_ALLOWED, "Allowed", 1, "Allowed"),
    "deny": (_DENIED, "Denied", 2, "Blocked"),
    "ask": (_OTHER, "Asked", _OTHER, "Asked"),
}
_TOOL, _AGENT = 3, 4


class Ocsf(Plain):
    """Events of the Open Cybersecurity Schema Framework, one a line."""

    name = "ocsf"

    def begin(self, log: AuditLog, state: dict[str, JsonValue]) -> None:
        """Take the log's name."""
        self._origin = log.origin

    def pack(self, entries: Sequence[Entry], *, text: bool) -> list[Parcel]:
        """The lines, also as the body of a request (application/x-ndjson)."""
        return [Parcel(lines(self.event(entry) for entry in entries))]

    def event(self, entry: Entry) -> dict[str, JsonValue]:
        """One entry as an event."""
        activity, name = _activity(entry)
        severity, status = _severity(entry), _status(entry)
        found: dict[str, JsonValue] = {
            "activity_id": activity,
            "activity_name": name,
            "category_uid": _CATEGORY,
            "category_name": "Application Activity",
            "class_uid": _CLASS,
            "class_name": "API Activity",
            "type_uid": _CLASS * 100 + activity,
            "type_name": f"API Activity: {_ACTIVITIES.get(activity, 'Other')}",
            "severity_id": severity,
            "severity": _SEVERITIES[severity],
            "status_id": status,
            "status": _STATUSES[status],
            "time": _millis(entry.at),
            "message": detail(entry) or event(entry),
            "metadata": self._metadata(entry),
            "actor": _actor(entry),
            "api": _api(entry),
            "src_endpoint": {"name": entry.agent or self._origin, "svc_name": entry.workflow or "openclaw"},
            "message_context": _context(entry),
            "unmapped": {"body": entry.body, "leaf": entry.leaf, "event": event(entry)},
        }
        found |= _answer(entry) | _span(entry) | _agent(entry) | self._delegation(entry)
        if why := "; ".join(reasons(entry)) or text(entry.body, "error"):
            found["status_detail"] = why
        return found

    def _metadata(self, entry: Entry) -> dict[str, JsonValue]:
        return {
            "version": VERSION,
            "profiles": ["ai_operation", "security_control"],
            "product": {
                "name": "OpenClaw",
                "vendor_name": "OpenClaw",
                "version": importlib.metadata.version("openclaw-governance"),
            },
            "log_name": self._origin,
            "uid": f"{self._origin}/{entry.seq}",
            "sequence": entry.seq,
            "event_code": entry.kind,
            "original_time": entry.at.isoformat(),
            "correlation_uid": entry.run or f"{self._origin}/{number(entry.body, 'decision') or entry.seq}",
        }

    def _delegation(self, entry: Entry) -> dict[str, JsonValue]:
        """Under whose authority an agent acts: of who handed over to it, or of the person that it acts for."""
        chain = part(entry.body, "input", "principal", "chain")
        agents = [name for name in chain if isinstance(name, str)] if isinstance(chain, list) else []
        if chain is not None and agents != chain:
            return {}  # the policy hides who they are
        if len(agents) < 2 and not text(entry.body, "input", "principal", "on_behalf_of"):
            return {}
        named = [self._origin, entry.run or entry.workflow or "-", *(agents or [entry.agent])]
        delegation: dict[str, JsonValue] = {"uid": "/".join(named), "issuer_uid": self._origin}
        if len(agents) > 1:
            delegation["parent_uid"] = "/".join(named[:-1])
        return {"delegation": delegation}


def _activity(entry: Entry) -> tuple[int, str]:
    kind = text(entry.body, "input", "kind")
    if kind == "memory" and entry.tool in _MEMORY:
        activity = _MEMORY[entry.tool]
        return activity, _ACTIVITIES[activity]
    names = {
        "tool": "Tool call",
        "model": "Model call",
        "handoff": "Hand-off",
        "memory": "Memory access",
        "result": "Result",
    }
    return _OTHER, names.get(kind) or entry.kind.capitalize()


def _severity(entry: Entry) -> int:
    if entry.effect == "deny" or entry.kind == "exception" or event(entry) in ("rejected", "halt", "erasure"):
        return _MEDIUM
    return _LOW if event(entry) in ("ask", "failed", "cancelled") else _INFORMATIONAL


def _status(entry: Entry) -> int:
    said = event(entry)
    if said in ("done", "approved", "allow", "opened", "used", "closed"):
        return _SUCCESS
    if entry.kind in ("checkpoint", "policy", "erasure", "review"):
        return _SUCCESS
    return _FAILURE if said in ("deny", "failed", "cancelled", "rejected", "refused") else _UNKNOWN


def _answer(entry: Entry) -> dict[str, JsonValue]:
    if entry.kind != "decision" or entry.effect not in _DISPOSITIONS:
        return {}
    action, name, disposition, said = _DISPOSITIONS[entry.effect]
    return {"action_id": action, "action": name, "disposition_id": disposition, "disposition": said}


def _span(entry: Entry) -> dict[str, JsonValue]:
    if entry.kind != "outcome":
        return {}
    took = number(entry.body, "duration_ms")
    return {"duration": took, "start_time": _millis(entry.at) - took, "end_time": _millis(entry.at)}


def _actor(entry: Entry) -> dict[str, JsonValue]:
    actor: dict[str, JsonValue] = {"application": {"name": entry.agent or "openclaw"}}
    who = text(entry.body, "input", "principal", "on_behalf_of") or text(entry.body, "by")
    if who:
        actor["user"] = {"name": who, "uid": who}
    if entry.run:
        actor["session"] = {"uid": entry.run}
    return actor


def _api(entry: Entry) -> dict[str, JsonValue]:
    service = text(entry.body, "input", "model", "provider") or entry.workflow or "openclaw"
    api: dict[str, JsonValue] = {
        "operation": entry.tool or f"audit.{entry.kind}",
        "service": {"name": service},
        "request": {"uid": entry.call_id or str(number(entry.body, "decision") or entry.seq)},
    }
    if entry.kind == "outcome":
        response: dict[str, JsonValue] = {"message": event(entry)}
        if error := text(entry.body, "error"):
            response |= {"error": error.partition(":")[0], "error_message": error}
        api["response"] = response
    return api


def _context(entry: Entry) -> dict[str, JsonValue]:
    # What an outcome is of, its tokens tell: only a model call uses any.
    model = text(entry.body, "input", "kind") == "model" or bool(number(entry.body, "used", "tokens"))
    context: dict[str, JsonValue] = {
        "ai_role_id": _AGENT if model or not entry.tool else _TOOL,
        "ai_role": "Agent" if model or not entry.tool else "Tool",
        "application": {"name": entry.agent or "openclaw"},
    }
    if thread := text(entry.body, "input", "run", "thread"):
        context |= {"uid": thread, "name": thread}
    used = part(entry.body, "used")
    for name, unit in (
        ("prompt_tokens", "input_tokens"),
        ("completion_tokens", "output_tokens"),
        ("total_tokens", "tokens"),
    ):
        if number(used, unit):
            context[name] = number(used, unit)
    return context


def _agent(entry: Entry) -> dict[str, JsonValue]:
    """Who did it, with the model behind it; the model alone where no agent is named."""
    name = text(entry.body, "input", "model", "name")
    provider = text(entry.body, "input", "model", "provider") or "unknown"
    model: dict[str, JsonValue] = {"ai_model": {"name": name, "ai_provider": provider}} if name else {}
    if not entry.agent:
        return model
    agent: dict[str, JsonValue] = {
        "uid": f"{entry.workflow}/{entry.agent}" if entry.workflow else entry.agent,
        "name": entry.agent,
    }
    if entry.run:
        agent["instance_uid"] = entry.run
    return {"ai_agent": {**agent, **model}}


def _millis(at: dt.datetime) -> int:
    return round(at.timestamp() * 1000)


__all__ = ["VERSION", "Ocsf"]
