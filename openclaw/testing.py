"""For tests, ours and yours: a model that follows a script, a clock that stands still, and a store that fails on demand."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SkipValidation
from sqlalchemy.exc import OperationalError

if TYPE_CHECKING:
    from openclaw.governance import Governance
    from openclaw.store.transaction import Transaction

Line = AIMessage | str | tuple[str, dict[str, Any]] | list[tuple[str, dict[str, Any]]]
"""One turn of a script: a message, a text, one tool call, or several tool calls side by side."""

OVER = "Done."
"""What a scripted model says when its script is over."""

_CHARS_PER_TOKEN = 4


class ScriptedModel(BaseChatModel):
    """A chat model that plays a script, one line per turn, and reports usage like a provider.

    Which line comes next is read off the transcript that it is given: as many lines are behind as it finds messages of its
    own, which it knows by ``model_name``. So it holds no state, survives resumes and restarts, and may be shared by
    threads. Models that share a transcript need different names.

    Args:
        script: the lines, in order; afterwards it says ``Done.``.
        model_name: its name for policies, prices and for itself.
        usage: (input, output) tokens that it reports per turn, unless the line brings its own ``usage_metadata``. Counted
            approximately by default. No more output than it is told to write at most.
        reports_usage: False for a provider that reports none.
        max_tokens: the most output, as for real models; longer texts are cut.
    """

    script: Annotated[Sequence[Line], SkipValidation] = ()
    model_name: str = "scripted"
    usage: tuple[int, int] | None = None
    reports_usage: bool = True
    max_tokens: int | None = None

    def __init__(self, script: Sequence[Line] = (), **kwargs: Any) -> None:
        values: dict[str, Any] = {"script": list(script), **kwargs}
        super().__init__(**values)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {
            **super()._get_ls_params(stop=stop, **kwargs),
            "ls_provider": "scripted",
            "ls_model_name": self.model_name,
        }

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools. The script decides what is called."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages, kwargs))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        whole = self._next(messages, kwargs)
        words = whole.content.split(" ") if isinstance(whole.content, str) and whole.content else []
        for index, word in enumerate(words):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word if not index else f" {word}"))
            if run_manager:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk
        calls = [
            {"name": call["name"], "args": json.dumps(call["args"]), "id": call["id"], "index": index}
            for index, call in enumerate(whole.tool_calls)
        ]
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="" if words or isinstance(whole.content, str) else whole.content,
                tool_call_chunks=cast("Any", calls),
                usage_metadata=whole.usage_metadata,
                response_metadata=whole.response_metadata,
                chunk_position="last",
            )
        )

    def _next(self, messages: Sequence[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        said = sum(
            isinstance(message, AIMessage) and message.response_metadata.get("model_name") == self.model_name
            for message in messages
        )
        message = self._line(self.script[said] if said < len(self.script) else OVER, said)
        limit = kwargs.get("max_tokens") or self.max_tokens
        if isinstance(limit, int) and isinstance(message.content, str):
            message.content = message.content[: limit * _CHARS_PER_TOKEN]
        message.response_metadata = {**message.response_metadata, "model_name": self.model_name}
        if self.reports_usage and message.usage_metadata is None:
            message.usage_metadata = self._usage(messages, message, kwargs)
        return message

    def _line(self, line: Line, turn: int) -> AIMessage:
        match line:
            case AIMessage():
                return line.model_copy(deep=True)
            case str():
                return AIMessage(line)
            case tuple():
                return self._calls([line], turn)
            case _:
                return self._calls(line, turn)

    def _calls(self, calls: Sequence[tuple[str, dict[str, Any]]], turn: int) -> AIMessage:
        made = [
            ToolCall(name=name, args=args, id=f"{self.model_name}-{turn}-{index}", type="tool_call")
            for index, (name, args) in enumerate(calls)
        ]
        return AIMessage("", tool_calls=made)

    def _usage(self, messages: Sequence[BaseMessage], message: AIMessage, kwargs: dict[str, Any]) -> UsageMetadata:
        if self.usage is not None:
            given, produced = self.usage
            limit = kwargs.get("max_tokens") or self.max_tokens
            produced = min(produced, limit) if isinstance(limit, int) else produced
        else:
            given = count_tokens_approximately(list(messages), tools=kwargs.get("tools"))
            produced = count_tokens_approximately([message])
        return UsageMetadata(input_tokens=given, output_tokens=produced, total_tokens=given + produced)


class FakeClock:
    """A clock that stands still until it is moved, and numbers identifiers in order. Safe to use from threads."""

    def __init__(self, now: dt.datetime = dt.datetime(2026, 11, 23, 10, tzinfo=dt.UTC)) -> None:
        self._now = now
        self._ids = 0
        self._lock = threading.Lock()

    def now(self) -> dt.datetime:
        """The moment at which the clock stands, in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        if seconds < 0:
            raise ValueError("a clock does not go backwards")
        self._now += dt.timedelta(seconds=seconds)

    def new_id(self, prefix: str) -> str:
        """``prefix-000001``, ``prefix-000002``, …"""
        with self._lock:
            self._ids += 1
            return f"{prefix}-{self._ids:06d}"


@contextlib.contextmanager
def failing_store(
    governance: Governance, *, after: int = 0, reason: str = "database or disk is full"
) -> Generator[None]:
    """Inside of this, the database takes no writes: what must be recorded before it happens is refused, in every thread.

    The transactions are real, and rolled back where they would commit; reading goes on. Afterwards the store works again, and
    outcomes that had to wait are written.

    Args:
        governance: whose store it is. Other processes that share the database are not affected.
        after: commits that still go through: with 1, a tool runs whose outcome then cannot be written.
        reason: what the database's driver says.
    """
    if after < 0:
        raise ValueError(f"after={after}: commits are counted from 0")
    left = after
    counting = threading.Lock()

    def fail(_: Transaction) -> None:
        nonlocal left
        with counting:
            if left:
                left -= 1
                return
        raise OperationalError("COMMIT", {}, Exception(reason))

    hooks = governance._store.hooks  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    hooks.append(fail)
    try:
        yield
    finally:
        hooks.remove(fail)
