"""Results as they are kept: for the record, and for a node that runs again."""

from __future__ import annotations

from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

_SERDE = JsonPlusSerializer()


def recorded(response: object) -> object:
    """What the record keeps of a result: of a message its content, of anything else the thing itself."""
    return response.content if isinstance(response, ToolMessage) else response  # pyright: ignore[reportUnknownMemberType]


def pack(response: object, *, unvouched: bool = False) -> bytes:
    """The result as bytes, for a node that runs again; empty for what has no lasting form (a socket, a generator).

    ``unvouched``: its tool does not vouch for it (see ``openclaw.graph.bodies``).
    """
    pair = isinstance(response, tuple)
    try:
        kind, data = _SERDE.dumps_typed(
            {
                "pair": pair,
                "value": list(cast("tuple[object, ...]", response)) if pair else response,
                "unvouched": unvouched,
            }
        )
    except (TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        return b""
    return kind.encode() + b"\0" + data


def unpack(kept: bytes) -> object:
    """What ``pack`` packed, or None where nothing was kept."""
    if not kept:
        return None
    packed = _opened(kept)
    return tuple(packed["value"]) if packed["pair"] else packed["value"]


def is_unvouched(kept: bytes) -> bool:
    """Whether the tool did not vouch for what was kept."""
    return bool(kept) and bool(_opened(kept).get("unvouched"))


def whole(message: AIMessage) -> AIMessage:
    """A message that was streamed as one that was not."""
    if not isinstance(message, AIMessageChunk):
        return message
    return AIMessage(
        content=message.content,
        tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls,
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        id=message.id,
    )


def _opened(kept: bytes) -> dict[str, Any]:
    kind, _, data = kept.partition(b"\0")
    return cast("dict[str, Any]", _SERDE.loads_typed((kind.decode(), data)))


def earlier(kept: bytes, tool: BaseTool) -> object:
    """The result of an execution that has already come to its end."""
    if kept:
        return unpack(kept)
    gone = f"`{tool.name}` has already run for this call; its result was not kept, and it is not run again"
    return (gone, None) if tool.response_format == "content_and_artifact" else gone
