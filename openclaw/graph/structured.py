"""Structured output of a model that was refused: an object is expected, and LangChain's parsers would make ``None`` of the
message that says so. There the refusal is raised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any, cast

from langchain_core.messages import BaseMessage

from openclaw.errors import Refused
from openclaw.graph.scope import MARK

_STRUCTURED = "ls_structured_output_format"
"""The argument by which ``with_structured_output`` tells tracers of the form; it comes with every such call."""


class RaisesRefusals:
    """Mixin of metered model classes: whoever asks for structured output has a refusal raised."""

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """As LangChain's own."""
        structured = _STRUCTURED in kwargs
        result = cast("Any", super()).generate(*args, **kwargs)
        return _checked(result) if structured else result

    async def agenerate(self, *args: Any, **kwargs: Any) -> Any:
        """As LangChain's own."""
        structured = _STRUCTURED in kwargs
        result = await cast("Any", super()).agenerate(*args, **kwargs)
        return _checked(result) if structured else result

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As LangChain's own."""
        structured = _STRUCTURED in kwargs
        with closing(cast("Any", super()).stream(*args, **kwargs)) as chunks:
            for chunk in chunks:
                yield _accepted(chunk) if structured else chunk

    async def astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """As LangChain's own."""
        structured = _STRUCTURED in kwargs
        async with aclosing(cast("Any", super()).astream(*args, **kwargs)) as chunks:
            async for chunk in chunks:
                yield _accepted(chunk) if structured else chunk


def _checked(result: Any) -> Any:
    for generations in result.generations:
        for generation in generations:
            _accepted(generation.message)
    return result


def _accepted(message: BaseMessage) -> BaseMessage:
    facts = cast("dict[str, Any] | None", message.response_metadata.get(MARK))
    if facts is None:
        return message
    reasons = cast("list[str]", facts["reasons"])
    raise Refused("; ".join(reasons), source=facts["source"], reasons=reasons, seq=facts["seq"])


__all__ = ["RaisesRefusals"]
