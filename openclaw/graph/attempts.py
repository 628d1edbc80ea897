"""One turn of an agent's model as one or more attempts: another model where the policy wants one, a cheaper one where soft limits
say so, and a last answer from what they keep where the budget carries no other call.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable

from openclaw.errors import BudgetExceeded, Misrouted, Refused
from openclaw.graph.scope import MARK, Scope

LAST_WORDS = "The budget carries one more answer and no tool calls. Answer now, briefly, and say what is missing."
"""What a model is told before its last answer; it does not stay in the transcript."""

EMPTY = "Stopped by budget: the last answer asked for tools only, and none can be called any more"
"""What an agent says in its last answer where the model had nothing but calls to say."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to make: of which model, in which scope, with which messages."""

    scope: Scope
    runnable: Runnable[Any, Any]
    messages: list[BaseMessage]


Attempts = Generator[Attempt, AIMessage | Refused, AIMessage | Refused]


def staged(scope: Scope) -> Scope:
    """The scope with the stages of its soft limits that hold now. Reads the ledger where there are any."""
    reached = scope.gate.soft.reached(scope.principal, scope.soft, scope.also)
    return replace(scope, stages=tuple(it.stage for it in reached), staged=True)


def attempts(
    models: Sequence[Runnable[Any, Any]], cheaper: Runnable[Any, Any] | None, scope: Scope, messages: list[BaseMessage]
) -> Attempts:
    """The calls to make, one after another: send what came of each, and get the answer in the end."""
    candidates = [cheaper, *models] if cheaper is not None and "cheaper" in scope.stages else list(models)
    said: AIMessage | Refused | None = None
    runnable = candidates[0]
    for at, runnable in enumerate(candidates, start=1):
        said = yield Attempt(replace(scope, reroutes=at < len(candidates)), runnable, messages)
        if not isinstance(said, Misrouted):
            break
    assert said is not None, "INVARIANT: there is at least one model"
    if scope.soft is None or not scope.soft.reserve_tokens or not _unaffordable(said):
        return said
    last = yield Attempt(replace(scope, last=True), runnable, [*messages, HumanMessage(LAST_WORDS)])
    # Where the last answer is not to be had either, the agent hears why the call before it was refused.
    return said if isinstance(last, Refused) or MARK in last.response_metadata else _without_calls(last)


def answered(said: AIMessage | Refused) -> AIMessage:
    """The answer; or the refusal, raised."""
    if isinstance(said, Refused):
        raise said
    return said


def _unaffordable(said: AIMessage | Refused) -> bool:
    """Whether a call was refused by its budget before it was made: a stream that was cut has no entry of a refusal."""
    if isinstance(said, BudgetExceeded):
        return said.seq is not None
    if isinstance(said, Refused):
        return False
    facts = cast("dict[str, object]", said.response_metadata.get(MARK) or {})
    return facts.get("code") == BudgetExceeded.code and facts.get("seq") is not None


def _without_calls(message: AIMessage) -> AIMessage:
    """The message with no calls in it, which nobody would answer."""
    content = message.content
    if isinstance(content, list):
        blocks = cast("list[object]", content)
        content = cast("Any", [it for it in blocks if not isinstance(it, dict) or it.get("type") != "tool_use"])  # pyright: ignore[reportUnknownMemberType]
    if not message.tool_calls and not message.invalid_tool_calls:
        return message
    kept = {name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"}
    return message.model_copy(
        update={"content": content or EMPTY, "tool_calls": [], "invalid_tool_calls": [], "additional_kwargs": kept}
    )


__all__ = ["EMPTY", "LAST_WORDS", "Attempt", "Attempts", "answered", "attempts", "staged"]
