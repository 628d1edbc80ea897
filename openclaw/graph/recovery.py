"""What a checkpoint knows of calls whose process is gone: the result, where LangGraph has kept it and we could not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from langchain_core.messages import ToolMessage
from pydantic import BaseModel

from openclaw.graph.kept import recorded
from openclaw.graph.scope import MARK

if TYPE_CHECKING:
    from langgraph.types import StateSnapshot

_DEPTH_MAX = 4
"""How deep in a state messages are looked for: in it, in a member of it, in a list there."""


def results(snapshot: StateSnapshot) -> dict[str, object]:
    """The results of tools in a state, and in the steps of it that have ended, by the id of the call."""
    return results_in([cast("object", snapshot.values), *(cast("object", task.result) for task in snapshot.tasks)])


def results_in(values: Sequence[object]) -> dict[str, object]:
    """The results of tools in these values, by the id of the call. Refusals of ours are none, nor are errors."""
    found: dict[str, object] = {}
    for message in _messages(values, 0):
        if message.status != "error" and MARK not in message.additional_kwargs:
            found[message.tool_call_id] = recorded(message)
    return found


def _messages(value: object, depth: int) -> Iterator[ToolMessage]:
    if isinstance(value, ToolMessage):
        yield value
        return
    if depth >= _DEPTH_MAX or isinstance(value, str | bytes):
        return
    inside: Sequence[object] = ()
    if isinstance(value, Mapping):
        inside = list(cast("Mapping[object, object]", value).values())
    elif isinstance(value, BaseModel) or hasattr(value, "__dataclass_fields__"):
        inside = list(vars(value).values())
    elif isinstance(value, list | tuple):
        inside = cast("Sequence[object]", value)
    for item in inside:
        yield from _messages(item, depth + 1)


__all__ = ["results", "results_in"]
