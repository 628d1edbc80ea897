"""The body of a sealed tool while it runs: what of it may still be entered, and what was read within.

What a tool's body says to a model or to another agent is its own composition, whatever it has put together: it is no prompt. And
where something untrusted was read in it from memory, or by an agent, its result does not vouch for what it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool
from langgraph.types import Command

UNVOUCHED = "openclaw_unvouched"
"""Key under which a result says that its tool does not vouch for it, whatever trust is declared on the tool."""


@dataclass(slots=True)
class Body:
    """One admitted execution: which layers of the tool it may still enter, each once. ``tainted``: outsiders were read in it."""

    tool: BaseTool
    layers: set[str] = field(default_factory=lambda: {"_run", "func", "coroutine"})
    tainted: bool = False

    def take(self, layer: str) -> bool:
        """Enter a layer, if it has not been entered yet."""
        if layer not in self.layers:
            return False
        self.layers.discard(layer)
        return True


BODY: ContextVar[Body | None] = ContextVar("openclaw_body", default=None)
"""The innermost body under way; it is that of an agent's tool all through the agent's run."""


def taint() -> None:
    """Something untrusted has been read; if that was in a tool's body, the tool does not vouch for what it returns."""
    body = BODY.get()
    if body is not None:
        body.tainted = True


def unvouched(response: object) -> object:
    """A result that says of itself that its tool does not vouch for it."""
    match response:
        case BaseMessage():
            response.additional_kwargs[UNVOUCHED] = True
        case Command():
            unvouched(cast("Command[Any]", response).update)
        case Mapping():
            for value in cast("Mapping[object, object]", response).values():
                unvouched(value)
        case list() | tuple():
            for value in cast("Sequence[object]", response):
                unvouched(value)
        case _:
            pass
    return cast("object", response)


__all__ = ["BODY", "UNVOUCHED", "Body", "taint", "unvouched"]
