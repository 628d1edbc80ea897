"""Sealed chat models: the same object, of a metered subclass of its own class, which reserves before it calls.

One call: count the input, hold it together with the most that may come out (less of it, where less is left and the model can
be told), cap the output at what is held, call, and settle what the provider reports. Providers that report nothing are
settled by estimate, and so is a stream that is abandoned or cancelled: with what had come out by then. A stream from which
more comes than is held, holds more as long as the accounts carry it, and is cut where they do not. Sealing is in place, for
the reasons given in ``openclaw.graph.seal``.

Tokens are whole numbers as LangChain's ``usage_metadata`` has them: cached input and reasoning output are parts of input
and output there, so the details are never added on top. Money is micro-USD.
"""

# LangChain has no public way to what is overridden and read here (`_run`, `_generate`, …): see the tests in tests/bypass/.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import functools
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.errors import GraphBubbleUp

from openclaw.action import ModelCall
from openclaw.budget import Fit, Reservation, Soft, Unit, Usage
from openclaw.canonical import printable
from openclaw.errors import BudgetExceeded, ConfigurationError, Halted, Misrouted
from openclaw.gate import Admission, Outcome, Permit, Refusal, Replayed, Request, Waiting
from openclaw.graph import degrading as degraded
from openclaw.graph import scope as scopes
from openclaw.graph.counting import (
    DEFAULT_OUTPUT_TOKENS,
    cached_of,
    input_of,
    output_limit,
    output_of,
    provider_tools,
    quarters_of,
    reported_by,
    tellable,
    usage_of,
)
from openclaw.graph.degrading import CHEAPER, degrading
from openclaw.graph.entries import check_model
from openclaw.graph.kept import pack, unpack, whole
from openclaw.graph.refusals import refusal_answer, waiting
from openclaw.graph.scope import AGENT
from openclaw.graph.structured import RaisesRefusals
from openclaw.graph.watch import Watch, watching
from openclaw.passing import NOTHING

if TYPE_CHECKING:
    from openclaw.graph.agent import Identity

ModelT = TypeVar("ModelT", bound=BaseChatModel)

SEALED_MARK = "openclaw_sealed"
"""Key in a sealed model's serialised form, by which the tripwire tells it from a raw one."""

STEP_TOKENS = 64
"""At least so many output tokens more are held where a stream goes on beyond its hold; else a quarter more each time."""

_END = object()
_sealing = threading.Lock()

_INSIDE: ContextVar[BaseChatModel | None] = ContextVar("openclaw_inside", default=None)
"""The sealed model whose admitted call is under way: its own methods may call each other without another admission."""


def sites_of(model: BaseChatModel) -> tuple[str, ...]:
    """Where a model may run, as declared in its ``metadata``; empty where that is not declared, or no list of names."""
    declared = (model.metadata or {}).get("sites")
    names = cast("Sequence[object]", declared) if isinstance(declared, list | tuple) else ()
    return tuple(name for name in names if isinstance(name, str)) if all(isinstance(it, str) for it in names) else ()


def inside_admitted_call() -> bool:
    """True within an admitted model call, where a model may use another one as its implementation."""
    return _INSIDE.get() is not None


class SealedModel(RaisesRefusals):
    """Mixin of every metered model class; ``isinstance(model, SealedModel)`` tells whether a model is sealed."""

    # LangChain prefers this native event hook over `_stream` where a class has it; the metered path is `_stream`.
    _stream_chat_model_events = None
    _astream_chat_model_events = None

    @functools.cached_property
    def _serialized(self) -> dict[str, Any]:
        return {**cast("Any", super())._serialized, SEALED_MARK: True}  # noqa: SLF001


def seal_model(model: ModelT) -> ModelT:
    """Seal ``model`` in place and return it. Sealing a sealed model changes nothing.

    LangChain's response cache is switched off for it: an answer from a cache would be recorded nowhere, and a refusal
    would be cached as an answer.

    Raises:
        ConfigurationError: it is no chat model, or of a class whose objects cannot change their class, or that answers before
            the gate.
    """
    if isinstance(model, SealedModel):
        return model
    if not isinstance(model, BaseChatModel):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise ConfigurationError(
            f"`{type(model).__qualname__}` is not a LangChain chat model",
            hint="give a BaseChatModel; a model that is chosen at run time cannot be governed, choose it before",
        )
    with _sealing:
        if not isinstance(
            model, SealedModel
        ):  # Another thread may have been quicker; a seal on a seal would charge twice.
            _seal(model)
    return model


def _seal(model: BaseChatModel) -> None:
    check_model(type(model))
    try:
        object.__setattr__(model, "__class__", _metered_class(type(model)))
    except TypeError as error:
        raise ConfigurationError(f"model of class `{type(model).__qualname__}` cannot be sealed: {error}") from error
    vars(model).pop("_serialized", None)
    vars(model)["cache"] = False


def bound_model(model: ModelT, agent: Identity, *, cheaper: BaseChatModel | None = None) -> ModelT:
    """A sealed copy of ``model`` whose calls are always those of ``agent``; ``model`` itself is sealed too.

    ``cheaper`` is called instead where the agent's soft limits say so.

    Raises:
        ConfigurationError: ``cheaper`` is of another class, so that what is bound to the one does not fit the other.
    """
    copy = seal_model(model).model_copy()
    vars(copy)[AGENT] = agent
    if cheaper is not None:
        if type(seal_model(cheaper)) is not type(copy):
            raise ConfigurationError(
                f"the cheaper model of agent `{agent.name}` is a `{type(cheaper).__name__}`, and its model a"
                f" `{type(copy).__name__}`: tools that are bound to the one do not fit the other",
                hint="use two models of one class, or compile an Agent, which binds its tools to each of its models",
            )
        vars(copy)[CHEAPER] = bound_model(cheaper, agent)
    return copy


# --- The class swap ---------------------------------------------------------------------------------------------------


@functools.cache
def _metered_class(base: type[BaseChatModel]) -> type[BaseChatModel]:
    namespace: dict[str, object] = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "__annotations__": {},
        "_generate": _metered_generate(base._generate),  # noqa: SLF001
        "_agenerate": _metered_agenerate(base._agenerate),  # noqa: SLF001
    }
    # LangChain asks whether a class overrides these to learn whether it streams at all.
    if base._stream is not BaseChatModel._stream:  # noqa: SLF001
        namespace["_stream"] = _metered_stream(base._stream)  # noqa: SLF001
    if base._astream is not BaseChatModel._astream:  # noqa: SLF001
        namespace["_astream"] = _metered_astream(base._astream)  # noqa: SLF001
    metaclass = cast("Callable[..., type[BaseChatModel]]", type(base))
    return metaclass(base.__name__, (SealedModel, base), namespace)


def _metered_generate(generate: Callable[..., ChatResult]) -> Callable[..., ChatResult]:
    @functools.wraps(generate)
    def _generate(self: BaseChatModel, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        if _INSIDE.get() is self:
            return generate(self, messages, *args, **kwargs)
        if (soft := degrading(self)) is not None:
            return degraded.generate(self, soft, messages, *args, **kwargs)
        call = _Call(self, messages, kwargs)
        admission = call.scope.gate.admit(call.request) if not call.foreign else call.refuse()
        if not isinstance(admission, Permit):
            return ChatResult(generations=[ChatGeneration(message=call.instead(admission))])
        token = _INSIDE.set(self)
        try:
            result = generate(self, messages, *args, **call.capped(admission, kwargs))
            call.complete(result)
        except Exception as error:
            call.fail(error)
            raise
        else:
            return result
        finally:
            _INSIDE.reset(token)
            call.finish(admission)

    return _generate


def _metered_agenerate(agenerate: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(agenerate)
    async def _agenerate(self: BaseChatModel, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        if _INSIDE.get() is self:
            return await agenerate(self, messages, *args, **kwargs)
        if (soft := degrading(self)) is not None:
            return await degraded.agenerate(self, soft, messages, *args, **kwargs)
        call = _Call(self, messages, kwargs)
        admission = await (call.scope.gate.aadmit(call.request) if not call.foreign else call.arefuse())
        if not isinstance(admission, Permit):
            return ChatResult(generations=[ChatGeneration(message=call.instead(admission))])
        token = _INSIDE.set(self)
        try:
            with watching(call.scope.gate, admission) as watch, watch.driven():
                result = await agenerate(self, messages, *args, **call.capped(admission, kwargs))
            call.complete(result)
        except (Halted, BudgetExceeded) as halted:
            return ChatResult(generations=[ChatGeneration(message=call.stopped(halted))])
        except Exception as error:
            call.fail(error)
            raise
        else:
            return result
        finally:
            _INSIDE.reset(token)
            call.finish(admission)

    return _agenerate


def _metered_stream(stream: Callable[..., Iterator[ChatGenerationChunk]]) -> Callable[..., Any]:
    @functools.wraps(stream)
    def _stream(
        self: BaseChatModel, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        if _INSIDE.get() is self:
            yield from stream(self, messages, *args, **kwargs)
            return
        if (soft := degrading(self)) is not None:
            yield from degraded.stream(self, soft, messages, *args, **kwargs)
            return
        call = _Call(self, messages, kwargs, streams=True)
        admission = call.scope.gate.admit(call.request) if not call.foreign else call.refuse()
        if not isinstance(admission, Permit):
            yield _as_chunk(call.instead(admission))
            return
        inner: Iterator[ChatGenerationChunk] | None = None
        try:
            while True:
                # Set for one drive only: between two chunks, the context belongs to whoever reads the stream.
                token = _INSIDE.set(self)
                try:
                    if inner is None:  # A `_stream` that is no generator asks the provider here, and may fail here.
                        inner = stream(self, messages, *args, **call.capped(admission, kwargs))
                    chunk = next(inner, _END)
                finally:
                    _INSIDE.reset(token)
                if not isinstance(chunk, ChatGenerationChunk):
                    call.complete()
                    return
                call.add(chunk)
                halted = call.scope.gate.halted(admission)
                if halted is None:
                    yield chunk  # what came out is paid for, also where it is the last
                    halted = call.hold_more(admission)
                if halted is not None:
                    yield _as_chunk(call.stopped(halted))
                    return
        except Exception as error:
            call.fail(error)
            raise
        finally:
            # An abandoned stream arrives here by GeneratorExit and is settled with what had come out by then.
            call.finish(admission)
            close = getattr(inner, "close", None)
            if close is not None:
                close()

    return _stream


def _metered_astream(astream: Callable[..., AsyncIterator[ChatGenerationChunk]]) -> Callable[..., Any]:
    @functools.wraps(astream)
    async def _astream(
        self: BaseChatModel, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        if _INSIDE.get() is self:
            async for chunk in astream(self, messages, *args, **kwargs):
                yield chunk
            return
        if (soft := degrading(self)) is not None:
            async for chunk in degraded.astream(self, soft, messages, *args, **kwargs):
                yield chunk
            return
        call = _Call(self, messages, kwargs, streams=True)
        admission = await (call.scope.gate.aadmit(call.request) if not call.foreign else call.arefuse())
        if not isinstance(admission, Permit):
            yield _as_chunk(call.instead(admission))
            return
        inner: AsyncIterator[ChatGenerationChunk] | None = None
        watch = Watch(call.scope.gate, admission)
        watch.start()
        try:
            while True:
                token = _INSIDE.set(self)
                try:
                    with watch.driven():
                        if inner is None:  # The same.
                            inner = astream(self, messages, *args, **call.capped(admission, kwargs))
                        chunk = await anext(inner, None)
                finally:
                    _INSIDE.reset(token)
                if chunk is None:
                    call.complete()
                    return
                call.add(chunk)
                yield chunk
                exceeded = await call.ahold_more(admission)
                if exceeded is not None:
                    yield _as_chunk(call.stopped(exceeded))
                    return
        except (Halted, BudgetExceeded) as halted:
            yield _as_chunk(call.stopped(halted))
        except Exception as error:
            call.fail(error)
            raise
        finally:
            watch.stop()
            call.finish(admission)
            close = getattr(inner, "aclose", None)
            if close is not None:
                await close()

    return _astream


# --- One call ---------------------------------------------------------------------------------------------------------


class _Call:
    """One call of a sealed model, from the count of its input to what is settled."""

    def __init__(
        self,
        model: BaseChatModel,
        messages: Sequence[BaseMessage],
        kwargs: Mapping[str, object],
        *,
        streams: bool = False,
    ) -> None:
        params = cast("Mapping[str, object]", model._get_ls_params(**_named(kwargs)))  # noqa: SLF001
        self.provider = str(params.get("ls_provider") or "")
        self.name = str(params.get("ls_model_name") or type(model).__name__)
        self.scope = scopes.acting(model, scopes.require(self.name))
        self._status = "cancelled"
        self._error = ""
        self._seen: AIMessage | None = None
        self._produced = self._last = 0
        self._streams = streams
        self._extra: list[Reservation] = []
        self._exact: tuple[int, int] | None = None
        scopes.see_messages(self.scope, messages)
        self.foreign = provider_tools(kwargs.get("tools"))
        self._input = input_of(model, messages, kwargs.get("tools"))
        self._cap, self._told = output_limit(model, kwargs)
        self._tellable = tellable(model, kwargs)
        soft = self.scope.soft
        if soft is not None and "shorten" in self.scope.stages and self._tellable and soft.shorten_tokens < self._cap:
            self._cap, self._told = soft.shorten_tokens, self._tellable
        where = scopes.task()
        self.action = ModelCall(
            principal=self.scope.principal, name=self.name, provider=self.provider, sites=sites_of(model)
        )
        fingerprint = {"messages": [_essence(message) for message in messages]} if where.checkpointed else {}
        self.execution = scopes.execution(self.scope, where, name=f"model {self.name}", call_id="", args=fingerprint)
        self.request = Request(
            action=self.action,
            run=self.scope.moment(),
            hold=self._usage(self._input.held, self._cap),
            fit=self._fit if self._tellable else None,
            flow=self.scope.shared.describe({}),
            key=self.execution.key,
            can_wait=where.checkpointed,
            unmeasured=self._mwh(1) is None,
            unpriced=self.scope.gate.prices.cost_microusd(self.name, self.provider, 1, 1) is None,
            remembers=self.scope.on_refusal == "message",
            soft=soft,
            also=self.scope.also,
            spare=self._spare(soft) if soft is not None and soft.reserve_tokens and not self.scope.last else NOTHING,
        )

    def _spare(self, soft: Soft) -> Usage:
        """What is kept for a last answer: the input of this call once more, and what the agent keeps."""
        return self._usage(self._input.held, soft.reserve_tokens)

    def refuse(self) -> Refusal:
        """Refuse a call that carries tools which would run at the provider, out of the gate's sight."""
        return self.scope.gate.refuse(self.request, reason=self._foreign_reason())

    async def arefuse(self) -> Refusal:
        """The same for an event loop."""
        return await self.scope.gate.arefuse(self.request, reason=self._foreign_reason())

    def _foreign_reason(self) -> str:
        return f"tool `{self.foreign}` would run at the provider, where no gate can see it"

    def capped(self, permit: Permit, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The call's own arguments, with the output capped at what is held where the model takes such an argument."""
        held = _held_output(permit)
        told = self._told if held == self._cap else self._tellable
        return {**kwargs, told: held} if told else dict(kwargs)

    def _fit(self, left: Mapping[Unit, int]) -> Usage | None:
        """What the call holds where what it asks for is not left: half of what is, so that it does not starve the others; yet
        all that is left, up to as much as a call holds that asks for nothing."""
        fitting = self._fitting(left, given=self._input.held, least=1, most=self._cap)
        if fitting is None or fitting.output_tokens <= DEFAULT_OUTPUT_TOKENS:
            return fitting
        return self._usage(self._input.held, max(fitting.output_tokens // 2, DEFAULT_OUTPUT_TOKENS))

    def _fitting(self, left: Mapping[Unit, int], *, given: int, least: int, most: int) -> Usage | None:
        """``given`` tokens of input and as many of output, from ``least`` to ``most``, as fit into what is left."""

        def fits(produced: int) -> bool:
            asked = self._usage(given, produced)
            return all(asked.amount(unit) <= amount for unit, amount in left.items())

        if not fits(least):
            return None
        low, high = least, most + 1  # It fits `low`, and is not to have `high`.
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return self._usage(given, low)

    def instead(self, admission: Admission) -> AIMessage:
        """The message of a call that is not made: an earlier answer, or a refusal that ends an agent's loop."""
        match admission:
            case Replayed(result=kept):
                earlier = unpack(kept)
                if isinstance(earlier, AIMessage):
                    return earlier
                return AIMessage(f"`{self.name}` has already answered here; the answer was not kept")
            case Waiting():
                self.scope.shared.comes_again(self.execution)
                raise waiting(admission, self.action)
            case Refusal(error=refused):
                if self.scope.on_refusal == "raise" or (self.scope.reroutes and isinstance(refused, Misrouted)):
                    raise refused
                return refusal_answer(refused)
            case _:
                raise TypeError(f"the gate answered with {type(admission).__name__}")

    def add(self, chunk: ChatGenerationChunk) -> None:
        """Count one chunk of a stream."""
        message = cast("AIMessageChunk", chunk.message)
        self._seen = message if self._seen is None else cast("AIMessage", cast("AIMessageChunk", self._seen) + message)
        self._last = quarters_of(message)
        self._produced += self._last

    def hold_more(self, permit: Permit) -> BudgetExceeded | None:
        """Hold more where more has come out of a stream than was held for it; why the stream must end, if it must."""
        more = self._missing(permit)
        return self._extend(self.scope.gate.extensions.more(permit, *more, self.scope.also)) if more else None

    async def ahold_more(self, permit: Permit) -> BudgetExceeded | None:
        """The same without blocking the event loop."""
        more = self._missing(permit)
        return self._extend(await self.scope.gate.extensions.amore(permit, *more, self.scope.also)) if more else None

    def _missing(self, permit: Permit) -> tuple[Usage, Fit] | None:
        held = _held_output(permit) + sum(extra.held.output_tokens for extra in self._extra)
        # Another chunk as long as the last one is to fit, too: what has come out is charged, wherever it is cut.
        missing = -(-(self._produced + min(self._last, STEP_TOKENS)) // 4) - held
        if missing <= 0:
            return None
        step = max(missing, held // 4, STEP_TOKENS)
        return self._usage(0, step), partial(self._fitting, given=0, least=missing, most=step)

    def _extend(self, answer: Reservation | BudgetExceeded) -> BudgetExceeded | None:
        if isinstance(answer, BudgetExceeded):
            return answer
        self._extra.append(answer)
        return None

    def complete(self, result: ChatResult | None = None) -> None:
        """The provider is done; what it reports, if it does, is exact."""
        self._status = "done"
        reported = reported_by(result) if result is not None else usage_of(self._seen)
        if result is not None and result.generations:
            first = result.generations[0].message
            self._seen = first if isinstance(first, AIMessage) else None
        self._exact = reported

    def stopped(self, why: Halted | BudgetExceeded) -> AIMessage:
        """The end of a call that a person has halted, or that no budget carries further: what was said until then, and this."""
        self.fail(why)
        return self.instead(Refusal(why))

    def fail(self, error: Exception) -> None:
        """The provider, or the way to it, failed. A pause of the graph is not a failure, and neither is a halt."""
        self._status = "cancelled" if isinstance(error, GraphBubbleUp | Halted | BudgetExceeded) else "failed"
        self._error = f"{type(error).__name__}: {printable(error)}"

    def finish(self, permit: Permit) -> None:
        """It has ended."""
        self.scope.gate.finish(permit, self.outcome(permit))
        self.scope.shared.ended(self.execution, self._status, permit)

    def outcome(self, permit: Permit) -> Outcome:
        """What is settled: the provider's own count, or an estimate that says it is one."""
        told = self._exact or usage_of(self._seen) or (0, 0)
        exact = self._exact is not None and told[0] > 0  # Some streams tell of no input: it was sent all the same.
        cached = cached_of(self._seen) if exact else (0, 0)
        usage = self._usage(*told, *cached)
        if not exact:
            written = -(-self._produced // 4) if self._streams else output_of(self._seen)
            produced = told[1] if self._exact is not None else max(written, told[1])
            if self._status == "cancelled" and self._seen is None and not self._streams:
                produced = _held_output(permit)  # Nobody knows what the provider wrote before, or after, it was let go.
            usage = self._usage(max(self._input.tokens, told[0]), produced)
        keep = self._status == "done" and permit.key is not None and self._seen is not None
        return Outcome(
            status=cast("Any", self._status),
            usage=usage,
            result=_essence(self._seen) if self._seen is not None else None,
            error=self._error,
            replay=pack(whole(self._seen)) if keep and self._seen is not None else b"",
            estimated=not exact,
            extra=tuple(self._extra),
            cached=cached,
        )

    def _usage(self, given: int, produced: int, cached: int = 0, written: int = 0) -> Usage:
        cost = self.scope.gate.prices.cost_microusd(
            self.name, self.provider, given, produced, cached_tokens=cached, written_tokens=written
        )
        return Usage(
            tokens=given + produced,
            input_tokens=given,
            output_tokens=produced,
            microusd=cost or 0,
            mwh=self._mwh(produced) or 0,
        )

    def _mwh(self, produced: int) -> int | None:
        energy = self.scope.gate.energy
        return None if energy is None else energy.most_mwh(self.name, self.provider, produced)


def _held_output(permit: Permit) -> int:
    """What is held for the output of a model call, apart from what a policy charges on top."""
    assert permit.reservation is not None, "INVARIANT: what the gate lets through holds something"
    return permit.reservation.held.output_tokens - permit.duties.charge.output_tokens


# --- Messages ---------------------------------------------------------------------------------------------------------


def _essence(message: BaseMessage) -> dict[str, object]:
    """What identifies a message: no ids, which differ when a prompt is built again."""
    essence: dict[str, object] = {"type": message.type, "content": message.content}
    calls = getattr(message, "tool_calls", None)
    return {**essence, "tool_calls": calls} if calls else essence


def _as_chunk(message: AIMessage) -> ChatGenerationChunk:
    calls = [
        {
            "name": call["name"],
            "args": json.dumps(call["args"]),
            "id": call["id"],
            "index": index,
            "type": "tool_call_chunk",
        }
        for index, call in enumerate(message.tool_calls)
    ]
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content=message.content,
            tool_call_chunks=cast("Any", calls),
            response_metadata=message.response_metadata,
            chunk_position="last",
        )
    )


def _named(kwargs: Mapping[str, object]) -> dict[str, Any]:
    return {key: kwargs[key] for key in ("model", "stop") if key in kwargs}
