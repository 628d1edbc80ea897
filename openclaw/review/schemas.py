"""JSON Schemas of what is public: the policy input, a policy's decision, and an entry of the log."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import JsonValue

from openclaw.audit import Entry
from openclaw.policy.schemas import PolicyDecision, PolicyInput, decision_schema, input_schema, schema_of

__all__ = ["SCHEMAS", "PolicyDecision", "PolicyInput", "entry_schema"]


def entry_schema() -> dict[str, JsonValue]:
    """The schema of an entry of the log, as ``--json`` prints it."""
    return schema_of(Entry, "openclaw audit entry")


SCHEMAS: dict[str, Callable[[], dict[str, JsonValue]]] = {
    "input": input_schema,
    "decision": decision_schema,
    "entry": entry_schema,
}
