"""Calls in a transcript that nobody has answered: the run that made them was cancelled, was cut off, raised, or waited for a
person and is not resumed. Providers refuse such a transcript, so that the conversation could never go on; here it is mended.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, RemoveMessage, ToolMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from openclaw.graph.scope import MARK

SAID = "No result: the run ended before this call was answered. Whether it was made is not known here."
"""What a model is told of such a call. The log knows more, but not by which call of which transcript."""


def mended(messages: Sequence[BaseMessage]) -> list[BaseMessage] | None:
    """The transcript with an answer to each call, right after it; None where it is so already."""
    if _is_whole(messages):
        return None
    whole: list[BaseMessage] = []
    moved: set[int] = set()
    for at, message in enumerate(messages):
        if id(message) in moved:
            continue
        whole.append(message)
        if isinstance(message, AIMessage):
            found = _answers(message, [it for it in messages[at + 1 :] if id(it) not in moved])
            moved.update(map(id, found))
            whole += found
    return whole


def replacing(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The update of a state that puts these messages in the place of those that are there."""
    return [RemoveMessage(REMOVE_ALL_MESSAGES), *messages]


def _is_whole(messages: Sequence[BaseMessage]) -> bool:
    waiting: set[str] = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            waiting.discard(message.tool_call_id)
        elif waiting:
            return False
        elif isinstance(message, AIMessage):
            waiting = set(_calls(message))
    return not waiting


def _answers(said: AIMessage, after: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The answers to the calls of a message: those that stand anywhere after it, and ours for the others."""
    names = _calls(said)
    found: list[BaseMessage] = []
    for message in after:
        if isinstance(message, ToolMessage) and message.tool_call_id in names:
            del names[message.tool_call_id]
            found.append(message)
    return [*found, *(_answer(name, call_id) for call_id, name in names.items())]


def _calls(said: AIMessage) -> dict[str, str]:
    return {
        call["id"]: call["name"] or "unknown" for call in [*said.tool_calls, *said.invalid_tool_calls] if call["id"]
    }


def _answer(name: str, call_id: str) -> ToolMessage:
    return ToolMessage(
        SAID, name=name, tool_call_id=call_id, status="error", additional_kwargs={MARK: {"unanswered": True}}
    )


__all__ = ["SAID", "mended", "replacing"]
