"""Soft limits of a model that is bound to an agent (``govern_model``): the cheaper one, and a last answer from what is kept.

An ``Agent`` that is compiled does the same around its whole turn, and so does the middleware (``openclaw.graph.attempts`` is what
they share). Here it is done within the model itself, since nobody knows the graph around it: what calls it gets one answer.
"""

# The metered methods of sealed models (`_generate`, …) are called as LangChain calls them.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from openclaw.errors import Refused
from openclaw.graph import scope as scopes
from openclaw.graph.attempts import EMPTY, Attempt, Attempts, answered, attempts, staged
from openclaw.graph.scope import MARK, Scope

CHEAPER = "_openclaw_cheaper"
"""Instance attribute of a bound copy: the model that is called instead where soft limits say so."""

_CALLING = ("tool_use", "input_json_delta")
"""Blocks of content by which a provider tells of calls."""

_END = object()


def degrading(model: BaseChatModel) -> Scope | None:
    """The run as the agent of a bound model sees it, if that has soft limits and nobody has looked at them for this turn."""
    agent = scopes.bound_to(model)
    if agent is None or agent.soft is None:
        return None
    scope = scopes.acting(model, scopes.require(agent.name))
    return None if scope.staged else scope


def generate(model: BaseChatModel, scope: Scope, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
    """``_generate`` of whichever model soft limits want."""
    turns = _turns(model, staged(scope), messages)
    turn = next(turns)
    while True:
        result: ChatResult | None = None
        try:
            with scopes.entered(turn.scope):
                result = _model(turn)._generate(turn.messages, *args, **kwargs)  # noqa: SLF001
            said: AIMessage | Refused = _said(result)
        except Refused as refused:
            said = refused
        try:
            turn = turns.send(said)
        except StopIteration as over:
            return _result(over.value, said, result)


async def agenerate(
    model: BaseChatModel, scope: Scope, messages: list[BaseMessage], *args: Any, **kwargs: Any
) -> ChatResult:
    """The same on an event loop."""
    turns = _turns(model, await asyncio.to_thread(staged, scope), messages)
    turn = next(turns)
    while True:
        result: ChatResult | None = None
        try:
            with scopes.entered(turn.scope):
                result = await _model(turn)._agenerate(turn.messages, *args, **kwargs)  # noqa: SLF001
            said: AIMessage | Refused = _said(result)
        except Refused as refused:
            said = refused
        try:
            turn = turns.send(said)
        except StopIteration as over:
            return _result(over.value, said, result)


def stream(
    model: BaseChatModel, scope: Scope, messages: list[BaseMessage], *args: Any, **kwargs: Any
) -> Iterator[ChatGenerationChunk]:
    """``_stream`` of whichever model soft limits want. A refusal is one chunk, so nothing was said before it."""
    turns = _turns(model, staged(scope), messages)
    turn = next(turns)
    while True:
        passing = _Passing(turn)
        inner = cast("Generator[ChatGenerationChunk]", _model(turn)._stream(turn.messages, *args, **kwargs))  # noqa: SLF001
        try:
            while True:
                with scopes.entered(turn.scope):
                    chunk = next(inner, _END)
                if not isinstance(chunk, ChatGenerationChunk):
                    break
                yield from passing.through(chunk)
        except Refused as refused:
            passing.refused(refused)
        finally:
            with scopes.entered(turn.scope):
                inner.close()
        yield from passing.rest()
        try:
            turn = turns.send(passing.said)
        except StopIteration as over:
            yield from passing.end(over.value)
            return


async def astream(
    model: BaseChatModel, scope: Scope, messages: list[BaseMessage], *args: Any, **kwargs: Any
) -> AsyncIterator[ChatGenerationChunk]:
    """The same on an event loop."""
    turns = _turns(model, await asyncio.to_thread(staged, scope), messages)
    turn = next(turns)
    while True:
        passing = _Passing(turn)
        inner = cast("AsyncGenerator[ChatGenerationChunk]", _model(turn)._astream(turn.messages, *args, **kwargs))  # noqa: SLF001
        try:
            while True:
                with scopes.entered(turn.scope):
                    chunk = await anext(inner, None)
                if chunk is None:
                    break
                for part in passing.through(chunk):
                    yield part
        except Refused as refused:
            passing.refused(refused)
        finally:
            with scopes.entered(turn.scope):
                await inner.aclose()
        for part in passing.rest():
            yield part
        try:
            turn = turns.send(passing.said)
        except StopIteration as over:
            for part in passing.end(over.value):
                yield part
            return


class _Passing:
    """What comes of one attempt that streams: a refusal is kept back, since another attempt may follow; all else goes through."""

    def __init__(self, turn: Attempt) -> None:
        self._last = turn.scope.last
        self._text = self._began = False
        self.said: AIMessage | Refused = AIMessage("")

    def through(self, chunk: ChatGenerationChunk) -> Iterator[ChatGenerationChunk]:
        """What is handed on of a chunk."""
        message = cast("AIMessageChunk", chunk.message)
        if not self._began and MARK in message.response_metadata:
            self.said = message
            return
        self._began = True
        self._text = self._text or bool(message.text)
        yield _without_calls(chunk) if self._last else chunk

    def refused(self, refused: Refused) -> None:
        """It was refused by raising; after something came, whoever reads the stream must hear of it.

        Raises:
            Refused: something came before.
        """
        if self._began:
            raise refused
        self.said = refused

    def rest(self) -> Iterator[ChatGenerationChunk]:
        """What is to be said at the end of a last answer that has said nothing."""
        if self._last and self._began and not self._text:
            yield ChatGenerationChunk(message=AIMessageChunk(content=EMPTY))

    def end(self, answer: AIMessage | Refused) -> Iterator[ChatGenerationChunk]:
        """The answer, where nothing of it has come yet: a refusal.

        Raises:
            Refused: that is how refusals are told here.
        """
        if self._began:
            return
        message = answered(answer)
        kept = AIMessageChunk(
            content=message.content, response_metadata=message.response_metadata, chunk_position="last"
        )
        yield ChatGenerationChunk(message=kept)


def _turns(model: BaseChatModel, scope: Scope, messages: list[BaseMessage]) -> Attempts:
    cheaper: BaseChatModel | None = vars(model).get(CHEAPER)
    return attempts([model], cheaper, scope, messages)


def _model(turn: Attempt) -> BaseChatModel:
    return cast("BaseChatModel", turn.runnable)


def _said(result: ChatResult) -> AIMessage:
    return cast("AIMessage", result.generations[0].message)


def _result(answer: AIMessage | Refused, said: AIMessage | Refused, result: ChatResult | None) -> ChatResult:
    """What the model gave, unless the answer is another message."""
    message = answered(answer)
    if message is said and result is not None:
        return result
    return ChatResult(generations=[ChatGeneration(message=message)])


def _without_calls(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    """The chunk with no calls in it, which nobody would answer."""
    message = cast("AIMessageChunk", chunk.message)
    content = message.content
    if isinstance(content, list):
        blocks = cast("list[object]", content)
        content = cast("Any", [it for it in blocks if not isinstance(it, dict) or it.get("type") not in _CALLING])  # pyright: ignore[reportUnknownMemberType]
    kept = {name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"}
    none: dict[str, Any] = {"tool_call_chunks": [], "tool_calls": [], "invalid_tool_calls": []}
    silent = message.model_copy(update={"content": content, "additional_kwargs": kept, **none})
    return ChatGenerationChunk(message=silent, generation_info=chunk.generation_info)


__all__ = ["CHEAPER", "agenerate", "astream", "degrading", "generate", "stream"]
