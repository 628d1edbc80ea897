"""Sealed tools: the same object, of a governed subclass of its own class, whose body runs only through the gate.

Sealing is in place. A copy would leave the raw original in the hands of whoever holds a reference: tools that call it,
closures, a second graph. In place, every reference is governed at once, so a tool reached by a way that nobody thought
of is still a governed call. The price: outside of any run a sealed tool refuses to run at all.

The policy sits in ``_run`` and ``_arun``, below everything that LangChain does to get there (``invoke``, ``run``,
``batch``, ``with_retry``, executors), where arguments are validated and defaults filled in. Who acts is not part of the
seal but of the scope, so one tool shared by two agents acts as whoever calls it; ``bound`` gives a copy that always acts
as one agent, for graphs that people draw themselves.
"""

# LangChain has no public way to what is overridden and read here (`_run`, `_generate`, …): see the tests in tests/bypass/.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import typing
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast
from weakref import WeakKeyDictionary

from langchain_core.tools import BaseTool, ToolException
from pydantic import ValidationError

from openclaw.errors import ConfigurationError, Refused, StoreError, Ungoverned
from openclaw.gate import Gate, Permit
from openclaw.graph.amended import noted, with_change
from openclaw.graph.bodies import BODY, Body, unvouched
from openclaw.graph.calls import FRAME, BadArguments, Call, answer, arefuse, frame_of, refuse
from openclaw.graph.ending import Ending
from openclaw.graph.entries import check_tool
from openclaw.graph.scope import AGENT
from openclaw.graph.watch import watching

if TYPE_CHECKING:
    from openclaw.graph.agent import Identity

ToolT = TypeVar("ToolT", bound=BaseTool)

_sealing = threading.Lock()
_RAW: WeakKeyDictionary[Callable[..., object], str] = WeakKeyDictionary()
"""The functions behind sealed tools: whoever calls one of them goes round its tool."""


class SealedTool:
    """Mixin of every governed tool class; ``isinstance(tool, SealedTool)`` tells whether a tool is sealed."""

    def run(self, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As ``BaseTool.run``, with refusals answered as messages."""
        tool = cast("BaseTool", self)
        frame = frame_of(tool, kwargs)
        token = FRAME.set(frame)
        try:
            result = cast("Any", super()).run(tool_input, *args, **kwargs)
        except BadArguments as bad:
            return answer(refuse(tool, frame, bad), tool, frame)
        except Refused as refused:
            return answer(refused, tool, frame)
        except Exception as error:
            noted(error, frame.amended)
            raise
        finally:
            FRAME.reset(token)
        if frame.refused_arguments is not None:
            refuse(tool, frame, frame.refused_arguments)
        result = unvouched(result) if frame.unvouched else result
        return result if frame.amended is None else with_change(result, frame.amended, frame.call_id)

    async def arun(self, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As ``BaseTool.arun``, with refusals answered as messages."""
        tool = cast("BaseTool", self)
        frame = frame_of(tool, kwargs)
        token = FRAME.set(frame)
        try:
            result = await cast("Any", super()).arun(tool_input, *args, **kwargs)
        except BadArguments as bad:
            return answer(await arefuse(tool, frame, bad), tool, frame)
        except Refused as refused:
            return answer(refused, tool, frame)
        except Exception as error:
            noted(error, frame.amended)
            raise
        finally:
            FRAME.reset(token)
        if frame.refused_arguments is not None:
            await arefuse(tool, frame, frame.refused_arguments)
        result = unvouched(result) if frame.unvouched else result
        return result if frame.amended is None else with_change(result, frame.amended, frame.call_id)

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        frame = FRAME.get()
        if frame is not None:
            frame.starting = False
        try:
            return cast("Any", super())._to_args_and_kwargs(tool_input, tool_call_id)  # noqa: SLF001
        except (ValidationError, ValueError, TypeError, ToolException) as error:
            bad = BadArguments(error, tool_input)
            handled = (isinstance(error, ValidationError) and cast("BaseTool", self).handle_validation_error) or (
                isinstance(error, ToolException) and cast("BaseTool", self).handle_tool_error
            )
            if handled and frame is not None:
                frame.refused_arguments = bad  # The tool's author answers in their own words; we still record it.
                raise
            raise bad from error

    def __setattr__(self, name: str, value: Any) -> None:
        if name in {"func", "coroutine"} and callable(value) and not hasattr(value, "__openclaw_guard__"):
            value = _guard(cast("BaseTool", self).name, name, value)
        super().__setattr__(name, value)


def seal(tool: ToolT) -> ToolT:
    """Seal ``tool`` in place and return it. Sealing a sealed tool changes nothing.

    Raises:
        ConfigurationError: it is no LangChain tool, or of a class whose objects cannot change their class, or that does its
            work before the gate.
    """
    if isinstance(tool, SealedTool):
        return tool
    if not isinstance(tool, BaseTool):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise ConfigurationError(
            f"`{_name(tool)}` is not a LangChain tool but {type(tool).__name__}",
            hint="decorate the function with `@tool` from langchain_core.tools",
        )
    with _sealing:
        if not isinstance(
            tool, SealedTool
        ):  # Another thread may have been quicker; a seal on a seal would decide twice.
            _seal(tool)
    return tool


def _seal(tool: BaseTool) -> None:
    check_tool(type(tool), tool.name)
    try:
        object.__setattr__(tool, "__class__", _governed_class(type(tool)))
    except TypeError as error:
        raise ConfigurationError(
            f"tool `{tool.name}` of class `{type(tool).__qualname__}` cannot be sealed: {error}",
            hint="make it a subclass of BaseTool without metaclass or slots of its own",
        ) from error
    for layer in ("func", "coroutine"):
        raw = tool.__dict__.get(layer)
        if callable(raw):
            vars(tool)[layer] = _guard(tool.name, layer, raw)


def bound(tool: ToolT, agent: Identity) -> ToolT:
    """A sealed copy of ``tool`` that always acts as ``agent``; ``tool`` itself is sealed too."""
    copy = seal(tool).model_copy()
    vars(copy)[AGENT] = agent
    return copy


def raw_function(value: object) -> str | None:
    """The name of the sealed tool whose own function ``value`` is, or None."""
    return _RAW.get(value) if inspect.isfunction(value) else None


def inner_functions(tool: BaseTool) -> list[object]:
    """The functions behind a tool, sealed or not: for the walk, which reads what they hold on to."""
    found: list[object] = []
    for layer in ("func", "coroutine"):
        value = tool.__dict__.get(layer)
        if value is not None:
            found.append(getattr(value, "__openclaw_guard__", value))
    if not found:
        kind = type(tool).__bases__[1] if isinstance(tool, SealedTool) else type(tool)
        found += [getattr(kind, layer) for layer in ("_run", "_arun") if hasattr(kind, layer)]
    return found


def trust_of(tool: BaseTool) -> Literal["trusted", "untrusted"]:
    """The declared trust of a tool's results. Undeclared is untrusted."""
    return "trusted" if (tool.metadata or {}).get("trust") == "trusted" else "untrusted"


# --- The class swap ---------------------------------------------------------------------------------------------------


@functools.cache
def _governed_class(base: type[BaseTool]) -> type[BaseTool]:
    """The governed subclass of ``base``, under the same name: traces, provider checks and users see what they know."""
    run = base._run  # noqa: SLF001
    arun = base._arun  # noqa: SLF001
    # BaseTool.arun looks at `_run`'s signature where `_arun` is the inherited default, to know what to pass.
    arun_shape = run if arun is BaseTool._arun else arun  # noqa: SLF001

    @functools.wraps(run)
    def _run(self: BaseTool, *args: object, **kwargs: object) -> object:
        if _enters(self, "_run"):
            return run(self, *args, **kwargs)
        call = Call(self, run, args, kwargs)
        gate = call.scope.gate
        admission = gate.admit(call.request)
        if not isinstance(admission, Permit):
            return call.not_permitted(admission)
        body = Body(self, {"func", "coroutine"})
        token = BODY.set(body)
        ending = Ending(call, admission, body)
        try:
            with ending.running():
                args, kwargs = call.arguments(admission)
                response = run(self, *args, **kwargs)
                ending.returned(response)
            if ending.asks:
                ending.answered(gate.show(admission, ending.outcome, ending.seen))
            return ending.result()
        finally:
            BODY.reset(token)
            call.finish(admission, ending.outcome)
            if ending.suspended:
                _settle(gate)

    @functools.wraps(arun_shape)
    async def _arun(self: BaseTool, *args: object, **kwargs: object) -> object:
        call = Call(self, arun_shape, args, kwargs)
        gate = call.scope.gate
        admission = await gate.aadmit(call.request)
        if not isinstance(admission, Permit):
            return call.not_permitted(admission)
        body = Body(self)
        token = BODY.set(body)
        ending = Ending(call, admission, body)
        try:
            with ending.running(), watching(gate, admission) as watch, watch.driven():
                args, kwargs = call.arguments(admission)
                response = await arun(self, *args, **kwargs)
                ending.returned(response)
            if ending.asks:
                ending.answered(await gate.ashow(admission, ending.outcome, ending.seen))
            return ending.result()
        finally:
            BODY.reset(token)
            call.finish(admission, ending.outcome)
            if ending.suspended:
                await asyncio.to_thread(_settle, gate)

    namespace: dict[str, object] = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "__annotations__": {},
        "_run": _run,
        "_arun": _arun,
    }
    metaclass = cast("Callable[..., type[BaseTool]]", type(base))
    return metaclass(base.__name__, (SealedTool, base), namespace)


def _settle(gate: Gate) -> None:
    """Wait for what is finished to be durable. Where it cannot be, it stays queued, and the call waits for a person anyway."""
    with suppress(StoreError):
        gate.flush()


def _enters(tool: BaseTool, layer: str) -> bool:
    """Whether this entry belongs to an execution of the same tool that is already admitted, such as `_arun` → `_run`."""
    admitted = BODY.get()
    return admitted is not None and admitted.tool is tool and admitted.take(layer)


def _guard(name: str, layer: str, raw: Callable[..., object]) -> Callable[..., object]:
    """``raw`` behind a check that it is the admitted tool that calls it."""

    def check() -> None:
        admitted = BODY.get()
        if admitted is None or admitted.tool.__dict__.get(layer) is not guard or not admitted.take(layer):
            raise Ungoverned(
                f"`{name}.{layer}` was called directly, round the gate",
                name=name,
                hint=f"call `{name}.invoke(…)`, which passes the gate",
            )

    if inspect.iscoroutinefunction(raw):

        async def aguard(*args: object, **kwargs: object) -> object:
            check()
            return await raw(*args, **kwargs)

        guard: Callable[..., object] = aguard
    else:

        def sguard(*args: object, **kwargs: object) -> object:
            check()
            return raw(*args, **kwargs)

        guard = sguard
    # LangChain and LangGraph read names, signature and resolved annotations (injected arguments) of a tool's function.
    # `__wrapped__` would give them all of that, and would also hand the raw function to whoever follows it.
    functools.update_wrapper(guard, raw)
    guard.__dict__.pop("__wrapped__", None)
    try:
        guard.__signature__ = inspect.signature(raw)  # type: ignore[attr-defined]
        guard.__annotations__ = typing.get_type_hints(raw, include_extras=True)
    except (NameError, TypeError, ValueError):
        guard.__dict__["__wrapped__"] = raw  # Annotations that only resolve where the function was written.
    guard.__dict__["__openclaw_guard__"] = raw
    if inspect.isfunction(raw):
        _RAW[raw] = name
    return guard


def _name(thing: object) -> str:
    return str(getattr(thing, "name", None) or getattr(thing, "__name__", None) or type(thing).__name__)
