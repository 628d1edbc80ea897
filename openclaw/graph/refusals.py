"""What stands in the place of a result: the interrupt of a call that waits, and the message of one that was refused."""

from __future__ import annotations

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.errors import GraphInterrupt
from langgraph.types import Interrupt

from openclaw.action import Action
from openclaw.errors import RateLimited, Refused
from openclaw.gate import Waiting
from openclaw.graph.scope import MARK


def waiting(admission: Waiting, action: Action) -> GraphInterrupt:
    """The interrupt that parks a graph until a person has answered. It wakes people; it never authorises anything."""
    value = {
        "approval": admission.approval,
        "kind": action.kind,
        "name": action.name,
        "agent": action.principal.agent,
        "reasons": list(admission.reasons),
        "how": f"openclaw approvals approve {admission.approval}",
    }
    return GraphInterrupt((Interrupt(value=value, id=admission.approval),))


def refusal_message(refused: Refused, *, name: str, call_id: str) -> ToolMessage:
    """The answer of a tool that was not run: what was refused, by which part, and why."""
    return ToolMessage(
        content=f"Refused by {refused.source}: {'; '.join(refused.reasons)}",
        name=name,
        tool_call_id=call_id,
        status="error",
        additional_kwargs={MARK: refusal_facts(refused)},
    )


def refusal_answer(refused: Refused) -> AIMessage:
    """What an agent hears instead of its model: no tool calls, so every agent loop ends with a valid transcript."""
    return AIMessage(
        content=f"Stopped by {refused.source}: {'; '.join(refused.reasons)}",
        response_metadata={MARK: refusal_facts(refused), "finish_reason": "stop"},
        usage_metadata=None,
    )


def refusal_facts(refused: Refused) -> dict[str, object]:
    """A refusal as plain data, for programs that read transcripts."""
    facts: dict[str, object] = {
        "refused": True,
        "code": refused.code,
        "source": refused.source,
        "reasons": list(refused.reasons),
        "seq": refused.seq,
    }
    return {**facts, "retry_after": refused.retry_after} if isinstance(refused, RateLimited) else facts
