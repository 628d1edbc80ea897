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

import functools
import inspect
import threading
import typing
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast
from weakref import WeakKeyDictionary

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Interrupt
from pydantic import BaseModel, ValidationError

from openclaw.action import Action, Handoff, Principal, ToolCall
from openclaw.budget import Usage
from openclaw.errors import ConfigurationError, Refused, Ungoverned
from openclaw.gate import Admission, Outcome, Permit, Refusal, Replayed, Request, Waiting
from openclaw.graph import scope as scopes
from openclaw.graph.scope import MARK, Scope

if TYPE_CHECKING:
    from openclaw.graph.agent import Identity

ToolT = TypeVar("ToolT", bound=BaseTool)

AGENT = "_openclaw_agent"
"""Instance attribute of a bound copy: the agent it always acts as."""

_sealing = threading.Lock()
_CONTROL = frozenset({"run_manager", "callbacks", "config"})
_SERDE = JsonPlusSerializer()
_RAW: WeakKeyDictionary[Callable[..., object], str] = WeakKeyDictionary()
"""The functions behind sealed tools: whoever calls one of them goes round its tool."""


class _BadArguments(Exception):
    """Arguments that do not fit: carried from the parsing hook to ``run``, which records and answers it."""

    def __init__(self, cause: Exception, given: object) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.given = given


@dataclass(slots=True)
class _Frame:
    """One call on its way into a sealed tool, from ``run`` down to ``_run``."""

    name: str
    call_id: str
    task: scopes.Task
    starting: bool = True
    refused_arguments: _BadArguments | None = None


@dataclass(slots=True)
class _Pass:
    """One admitted execution: which layers of the tool it may still enter, each once."""

    tool: BaseTool
    layers: set[str] = field(default_factory=lambda: {"_run", "func", "coroutine"})

    def take(self, layer: str) -> bool:
        if layer not in self.layers:
            return False
        self.layers.discard(layer)
        return True


_FRAME: ContextVar[_Frame | None] = ContextVar("openclaw_frame", default=None)
_PASS: ContextVar[_Pass | None] = ContextVar("openclaw_pass", default=None)


def starting(name: str) -> bool:
    """True exactly once for a sealed tool that is about to start: how the tripwire tells it from a raw one."""
    frame = _FRAME.get()
    if frame is None or not frame.starting or frame.name != name:
        return False
    frame.starting = False
    return True


def call_id() -> str:
    """The id of the tool call under way, or the empty string."""
    frame = _FRAME.get()
    return frame.call_id if frame is not None else ""


class SealedTool:
    """Mixin of every governed tool class; ``isinstance(tool, SealedTool)`` tells whether a tool is sealed."""

    def run(self, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As ``BaseTool.run``, with refusals answered as messages."""
        tool = cast("BaseTool", self)
        frame = _frame(tool, kwargs)
        token = _FRAME.set(frame)
        try:
            result = cast("Any", super()).run(tool_input, *args, **kwargs)
        except _BadArguments as bad:
            return _answer(_refuse(tool, frame, bad), tool, frame)
        except Refused as refused:
            return _answer(refused, tool, frame)
        finally:
            _FRAME.reset(token)
        if frame.refused_arguments is not None:
            _refuse(tool, frame, frame.refused_arguments)
        return result

    async def arun(self, tool_input: str | dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As ``BaseTool.arun``, with refusals answered as messages."""
        tool = cast("BaseTool", self)
        frame = _frame(tool, kwargs)
        token = _FRAME.set(frame)
        try:
            result = await cast("Any", super()).arun(tool_input, *args, **kwargs)
        except _BadArguments as bad:
            return _answer(await _arefuse(tool, frame, bad), tool, frame)
        except Refused as refused:
            return _answer(refused, tool, frame)
        finally:
            _FRAME.reset(token)
        if frame.refused_arguments is not None:
            await _arefuse(tool, frame, frame.refused_arguments)
        return result

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        frame = _FRAME.get()
        if frame is not None:
            frame.starting = False
        try:
            return cast("Any", super())._to_args_and_kwargs(tool_input, tool_call_id)  # noqa: SLF001
        except (ValidationError, ValueError, TypeError, ToolException) as error:
            bad = _BadArguments(error, tool_input)
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
        ConfigurationError: it is no LangChain tool, or of a class whose objects cannot change their class.
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
        found += [getattr(type(tool), layer) for layer in ("_run", "_arun") if hasattr(type(tool), layer)]
    return found


def trust_of(tool: BaseTool) -> Literal["trusted", "untrusted"]:
    """The declared trust of a tool's results. Undeclared is untrusted."""
    return "trusted" if (tool.metadata or {}).get("trust") == "trusted" else "untrusted"


def acting_principal(thing: object, scope: Scope) -> Principal:
    """Who acts when ``thing`` runs in ``scope``: the agent it is bound to, or else the scope's principal."""
    agent: Identity | None = getattr(thing, "__dict__", {}).get(AGENT)
    if agent is None or agent.name == scope.principal.agent:
        return scope.principal
    return agent.principal(
        workflow=scope.principal.workflow,
        org=scope.principal.org,
        chain=scopes.delegated(scope.principal.chain, agent.name),
    )


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
        call = _Call(self, run, args, kwargs)
        admission = call.scope.gate.admit(call.request)
        if not isinstance(admission, Permit):
            return call.not_permitted(admission)
        args, kwargs = call.arguments(admission)
        token = _PASS.set(_Pass(self, {"func", "coroutine"}))
        outcome = Outcome(status="cancelled", usage=call.request.hold)
        try:
            response = run(self, *args, **kwargs)
            outcome = _done(response, call.request.hold, keep=admission.key is not None)
        except Exception as error:
            outcome = _failed(error, call.request.hold)
            raise
        else:
            return response
        finally:
            _PASS.reset(token)
            call.scope.gate.finish(admission, outcome)

    @functools.wraps(arun_shape)
    async def _arun(self: BaseTool, *args: object, **kwargs: object) -> object:
        call = _Call(self, arun_shape, args, kwargs)
        admission = await call.scope.gate.aadmit(call.request)
        if not isinstance(admission, Permit):
            return call.not_permitted(admission)
        args, kwargs = call.arguments(admission)
        token = _PASS.set(_Pass(self))
        outcome = Outcome(status="cancelled", usage=call.request.hold)
        try:
            response = await arun(self, *args, **kwargs)
            outcome = _done(response, call.request.hold, keep=admission.key is not None)
        except Exception as error:
            outcome = _failed(error, call.request.hold)
            raise
        else:
            return response
        finally:
            _PASS.reset(token)
            call.scope.gate.finish(admission, outcome)

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


def _enters(tool: BaseTool, layer: str) -> bool:
    """Whether this entry belongs to an execution of the same tool that is already admitted, such as `_arun` → `_run`."""
    admitted = _PASS.get()
    return admitted is not None and admitted.tool is tool and admitted.take(layer)


def _guard(name: str, layer: str, raw: Callable[..., object]) -> Callable[..., object]:
    """``raw`` behind a check that it is the admitted tool that calls it."""

    def check() -> None:
        admitted = _PASS.get()
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


# --- One call ---------------------------------------------------------------------------------------------------------


class _Call:
    """One call of a sealed tool: its scope, its arguments as the policy sees them, and the request to the gate."""

    def __init__(
        self, tool: BaseTool, signature: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        self.tool = tool
        self.scope = scopes.require(tool.name)
        self._args = args
        self._kwargs = kwargs
        self._hidden = _hidden(tool, kwargs)
        self._positional = _parameters(signature)[: len(args)] if args else []
        visible = dict(zip(self._positional, args, strict=False))
        visible.update({key: value for key, value in kwargs.items() if key not in self._hidden})
        frame = _FRAME.get()
        own = frame if frame is not None and frame.name == tool.name else None
        where = own.task if own is not None else scopes.task()
        identity = own.call_id if own is not None else ""
        self.execution = scopes.execution(self.scope, where, name=tool.name, call_id=identity, args=visible)
        self.action = _action(tool, visible, acting_principal(tool, self.scope), identity)
        self.request = Request(
            action=self.action,
            run=self.scope.moment(),
            hold=Usage(calls=1) if isinstance(self.action, ToolCall) else Usage(),
            flow=self.scope.shared.describe(visible),
            key=self.execution.key,
            can_wait=where.checkpointed,
            remembers=self.scope.on_refusal == "message",
        )
        self.scope.shared.count_call()

    def arguments(self, permit: Permit) -> tuple[tuple[object, ...], dict[str, object]]:
        """The arguments to run with: the permit's, which an obligation may have rewritten."""
        asked, granted = _arguments(self.action), _arguments(permit.action)
        changed = {key: value for key, value in granted.items() if key not in asked or value != asked[key]}
        removed = asked.keys() - granted.keys()
        if not changed and not removed:
            return self._args, self._kwargs
        args = tuple(changed.get(name, value) for name, value in zip(self._positional, self._args, strict=False))
        named = {key: value for key, value in changed.items() if key not in self._positional}
        kept = {key: value for key, value in self._kwargs.items() if key not in removed}
        schema = self.tool.args_schema
        if named and isinstance(schema, type) and issubclass(schema, BaseModel):
            # What a policy wrote is data, not yet what the tool's function takes: it is validated like a model's call.
            given = {key: value for key, value in kept.items() if key not in self._hidden} | named
            named = cast("dict[str, object]", self.tool._parse_input(given, call_id() or None))  # noqa: SLF001
        return args, kept | named

    def not_permitted(self, admission: Admission) -> object:
        """What a call gives back that is not run: an earlier result, or one of three ways of stopping."""
        match admission:
            case Replayed(result=kept):
                return _earlier(kept, self.tool)
            case Waiting():
                self.scope.shared.waits(self.execution.identity)
                raise waiting(admission, self.action)
            case Refusal(error=refused):
                raise refused
            case _:
                raise TypeError(f"the gate answered with {type(admission).__name__}")


def waiting(admission: Waiting, action: Action) -> GraphInterrupt:
    """The interrupt that parks a graph until a person has answered. It wakes people; it never authorises anything."""
    value = {
        "approval": admission.approval,
        "kind": action.kind,
        "name": action.name,
        "agent": action.principal.agent,
        "reasons": list(admission.reasons),
        "how": f"openclaw approvals approve {admission.approval}",
    }
    return GraphInterrupt((Interrupt(value=value, id=admission.approval),))


def refusal_message(refused: Refused, *, name: str, call_id: str) -> ToolMessage:
    """The answer of a tool that was not run: what was refused, by which part, and why."""
    return ToolMessage(
        content=f"Refused by {refused.source}: {'; '.join(refused.reasons)}",
        name=name,
        tool_call_id=call_id,
        status="error",
        additional_kwargs={MARK: refusal_facts(refused)},
    )


def refusal_facts(refused: Refused) -> dict[str, object]:
    """A refusal as plain data, for programs that read transcripts."""
    return {
        "refused": True,
        "code": refused.code,
        "source": refused.source,
        "reasons": list(refused.reasons),
        "seq": refused.seq,
    }


def _frame(tool: BaseTool, kwargs: Mapping[str, object]) -> _Frame:
    identity = kwargs.get("tool_call_id")
    # The task is read here, from the ambient configuration: further down, it is whatever the caller passed in.
    return _Frame(tool.name, identity if isinstance(identity, str) else "", scopes.task())


def _answer(refused: Refused, tool: BaseTool, frame: _Frame) -> ToolMessage:
    """A message where somebody waits for one, and the refusal itself where nobody does or raising is asked for."""
    scope = scopes.current()
    if not frame.call_id or scope is None or scope.on_refusal == "raise":
        raise refused
    return refusal_message(refused, name=tool.name, call_id=frame.call_id)


def _refuse(tool: BaseTool, frame: _Frame, bad: _BadArguments) -> Refused:
    scope = scopes.require(tool.name)
    return scope.gate.refuse(_bad_request(tool, frame, bad, scope), reason=_reason(tool, bad.cause)).error


async def _arefuse(tool: BaseTool, frame: _Frame, bad: _BadArguments) -> Refused:
    scope = scopes.require(tool.name)
    refusal = await scope.gate.arefuse(_bad_request(tool, frame, bad, scope), reason=_reason(tool, bad.cause))
    return refusal.error


def _bad_request(tool: BaseTool, frame: _Frame, bad: _BadArguments, scope: Scope) -> Request:
    given = {"input": bad.given} if isinstance(bad.given, str) else cast("Mapping[str, object]", bad.given)
    visible = {key: value for key, value in given.items() if key not in _hidden(tool, given)}
    return Request(action=_action(tool, visible, acting_principal(tool, scope), frame.call_id), run=scope.moment())


def _reason(tool: BaseTool, cause: Exception) -> str:
    if isinstance(cause, ValidationError):
        problems = [f"`{'.'.join(map(str, item['loc']))}`: {item['msg']}" for item in cause.errors()[:5]]
        return f"the arguments do not fit the schema of `{tool.name}`: {'; '.join(problems)}"
    return f"the arguments do not fit `{tool.name}`: {cause}"


def _action(tool: BaseTool, args: Mapping[str, object], principal: Principal, identity: str) -> ToolCall | Handoff:
    target = (tool.metadata or {}).get("openclaw_handoff")
    if isinstance(target, str):
        return Handoff(principal=principal, name=tool.name, args={"agent": target, **args}, call_id=identity)
    return ToolCall(principal=principal, name=tool.name, args=dict(args), tags=tuple(tool.tags or ()), call_id=identity)


def _arguments(action: Action) -> Mapping[str, object]:
    return action.args if isinstance(action, ToolCall) else {}


def _hidden(tool: BaseTool, given: Mapping[str, object]) -> frozenset[str]:
    """The arguments that LangGraph injects or LangChain passes for itself: not the model's, so not the policy's."""
    shown = tool._filter_injected_args(dict(given))  # noqa: SLF001
    fields = _fields(tool)
    hidden = set(given.keys() - shown.keys())
    hidden |= {key for key in shown if key in _CONTROL and key not in fields}
    hidden |= {key for key in shown if isinstance(shown[key], dict) and key not in fields and _is_config(tool, key)}
    return frozenset(hidden)


def _fields(tool: BaseTool) -> frozenset[str]:
    schema = tool.args_schema
    if isinstance(schema, dict):
        return frozenset(cast("dict[str, object]", schema.get("properties", {})))
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return frozenset(schema.model_fields)
    return frozenset(getattr(schema, "__fields__", {}))  # a model of pydantic v1, or no schema at all


def _is_config(tool: BaseTool, key: str) -> bool:
    hints = getattr(type(tool)._run, "__annotations__", {})  # noqa: SLF001
    return hints.get(key) is RunnableConfig or hints.get(key) == "RunnableConfig"


def _parameters(function: Callable[..., object]) -> list[str]:
    """Names for positional arguments: those of the signature, without ``self``; a variadic one becomes ``input``."""
    names: list[str] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind in {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}:
            names.append(parameter.name)
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            names += ["input", *(f"input_{number}" for number in range(2, 20))]
    return names


# --- Outcomes ---------------------------------------------------------------------------------------------------------


def _done(response: object, usage: Usage, *, keep: bool) -> Outcome:
    return Outcome(status="done", usage=usage, result=_shown(response), replay=pack(response) if keep else b"")


def _failed(error: Exception, usage: Usage) -> Outcome:
    if isinstance(error, GraphBubbleUp):
        # The tool's own interrupt: LangGraph parks the node and runs it again, so this execution came to no end.
        return Outcome(status="cancelled", usage=usage, error=f"interrupted: {type(error).__name__}")
    return Outcome(status="failed", usage=usage, error=f"{type(error).__name__}: {error}")


def _shown(response: object) -> object:
    """What the record keeps of a result: of a message its content, of anything else the thing itself."""
    return response.content if isinstance(response, ToolMessage) else response


def pack(response: object) -> bytes:
    """The result as bytes, for a node that runs again; empty for what has no lasting form (a socket, a generator)."""
    pair = isinstance(response, tuple)
    try:
        kind, data = _SERDE.dumps_typed(
            {"pair": pair, "value": list(cast("tuple[object, ...]", response)) if pair else response}
        )
    except (TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        return b""
    return kind.encode() + b"\0" + data


def unpack(kept: bytes) -> object:
    """What ``pack`` packed, or None where nothing was kept."""
    if not kept:
        return None
    kind, _, data = kept.partition(b"\0")
    packed = cast("dict[str, Any]", _SERDE.loads_typed((kind.decode(), data)))
    return tuple(packed["value"]) if packed["pair"] else packed["value"]


def _earlier(kept: bytes, tool: BaseTool) -> object:
    """The result of an execution that has already come to its end."""
    if kept:
        return unpack(kept)
    gone = f"`{tool.name}` has already run for this call; its result was not kept, and it is not run again"
    return (gone, None) if tool.response_format == "content_and_artifact" else gone


def _name(thing: object) -> str:
    return str(getattr(thing, "name", None) or getattr(thing, "__name__", None) or type(thing).__name__)
