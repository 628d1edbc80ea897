"""One call of a sealed tool: on its way in, its arguments as the policy sees them, and its request to the gate."""

# LangChain has no public way to what is read here (`_filter_injected_args`, `_parse_input`, `_run`): see tests/bypass/.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError

from openclaw.action import Action, Handoff, Principal, ToolCall
from openclaw.budget import Usage
from openclaw.canonical import digest
from openclaw.errors import Refused
from openclaw.flow import Source
from openclaw.gate import Admission, Amended, Outcome, Permit, Refusal, Replayed, Request, Waiting
from openclaw.graph import scope as scopes
from openclaw.graph.bodies import BODY
from openclaw.graph.kept import earlier, is_unvouched
from openclaw.graph.refusals import refusal_message, waiting
from openclaw.graph.results import entering
from openclaw.graph.scope import Scope, acting_principal
from openclaw.runs import same_call

_CONTROL = frozenset({"run_manager", "callbacks", "config"})


class BadArguments(Exception):
    """Arguments that do not fit: carried from the parsing hook to ``run``, which records and answers it."""

    def __init__(self, cause: Exception, given: object) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.given = given


@dataclass(slots=True)
class Frame:
    """One call on its way into a sealed tool, from ``run`` down to ``_run``."""

    name: str
    call_id: str
    task: scopes.Task
    starting: bool = True
    refused_arguments: BadArguments | None = None
    unvouched: bool = False
    amended: Amended | None = None


FRAME: ContextVar[Frame | None] = ContextVar("openclaw_frame", default=None)


def starting(name: str) -> bool:
    """True exactly once for a sealed tool that is about to start: how the tripwire tells it from a raw one."""
    frame = FRAME.get()
    if frame is None or not frame.starting or frame.name != name:
        return False
    frame.starting = False
    return True


def call_id() -> str:
    """The id of the tool call under way, or the empty string."""
    frame = FRAME.get()
    return frame.call_id if frame is not None else ""


def frame_of(tool: BaseTool, kwargs: Mapping[str, object]) -> Frame:
    """The call that is about to enter ``tool`` with these arguments of ``run``."""
    identity = kwargs.get("tool_call_id")
    # The task is read here, from the ambient configuration: further down, it is whatever the caller passed in.
    return Frame(tool.name, identity if isinstance(identity, str) else "", scopes.task())


def answer(refused: Refused, tool: BaseTool, frame: Frame) -> ToolMessage:
    """A message where somebody waits for one, and the refusal itself where nobody does or raising is asked for."""
    scope = scopes.current()
    if not frame.call_id or scope is None or scope.on_refusal == "raise":
        raise refused
    return refusal_message(refused, name=tool.name, call_id=frame.call_id)


class Call:
    """One call of a sealed tool: its scope, its arguments as the policy sees them, and the request to the gate."""

    def __init__(
        self, tool: BaseTool, signature: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        self.tool = tool
        self.scope = scopes.acting(tool, scopes.require(tool.name))
        self._args = args
        self._kwargs = kwargs
        self._hidden = _hidden(tool, kwargs)
        self._positional = _parameters(signature)[: len(args)] if args else []
        visible = dict(zip(self._positional, args, strict=False))
        visible.update({key: value for key, value in kwargs.items() if key not in self._hidden})
        frame = FRAME.get()
        own = frame if frame is not None and frame.name == tool.name else None
        self._frame = own
        where = own.task if own is not None else scopes.task()
        identity = own.call_id if own is not None else ""
        self._visible = visible
        self._outer = BODY.get()
        args_digest = digest(visible)
        self.execution = scopes.execution(
            self.scope, where, name=tool.name, call_id=identity, args=visible, args_digest=args_digest
        )
        self._same = same_call(tool.name, args_digest)
        calls, repeats = self.scope.shared.tally.count(self._same)
        self.action = _action(tool, visible, self.scope.principal, identity)
        moment = self.scope.moment(calls=calls, repeats=repeats)
        # A call with an identifier is one of several that a message asked for; code that calls a tool awaits each result.
        self._step = (where.graph, moment.step) if identity and self._outer is None else None
        self.request = Request(
            action=self.action,
            run=moment,
            hold=Usage(calls=1) if isinstance(self.action, ToolCall) else Usage(),
            flow=self.scope.shared.describe(visible, step=self._step),
            key=self.execution.key,
            can_wait=where.checkpointed,
            remembers=self.scope.on_refusal == "message",
            soft=self.scope.soft,
            also=self.scope.also,
            fits=self._fitting,
        )

    def comes_again(self) -> None:
        """It waits, and will be made again as the same execution, which counts once."""
        self.scope.shared.comes_again(self.execution)
        self.scope.shared.tally.take_back(self._same)

    def finish(self, permit: Permit, outcome: Outcome) -> None:
        """It has ended."""
        self.scope.gate.finish(permit, outcome)
        self.scope.shared.ended(self.execution, outcome.status, permit)

    def came_in(self, content: object, *, vouched: bool = True) -> None:
        """What it returned has been read, whoever gets it. ``vouched``: as its tool declares it."""
        if isinstance(self.action, Handoff) or (self.scope.fed and self._step is not None):
            return
        name = self.tool.name
        declared = {str((self.tool.metadata or {}).get("trust")), self.scope.trust.get(name, "trusted")}
        source = Source(kind="tool", name=name, trust="trusted" if vouched and declared == {"trusted"} else "untrusted")
        self.scope.shared.returned(source, content, self._visible, step=self._step)
        if source.trust == "untrusted" and self._outer is not None:
            self._outer.tainted = True

    def unvouched(self) -> None:
        """Its tool does not vouch for what it has returned."""
        if self._frame is not None:
            self._frame.unvouched = True

    def arguments(self, permit: Permit) -> tuple[tuple[object, ...], dict[str, object]]:
        """The arguments to run with: the permit's, which an approver may have changed and an obligation rewritten.

        Raises:
            ValueError: those that a policy wrote do not fit the tool.
        """
        self._changed_by(permit.amended)
        asked, granted = _arguments(self.action), _arguments(permit.action)
        # By identity: what nobody rewrote is the same object, and comparing values would run their code.
        changed = {key: value for key, value in granted.items() if key not in asked or value is not asked[key]}
        removed = asked.keys() - granted.keys()
        if not changed and not removed:
            return self._args, self._kwargs
        # What a policy or a person wrote is data, not yet what the tool's function takes: it is validated like a model's call.
        changed = {key: value for key, value in self._validated(granted).items() if key in changed}
        args = tuple(changed.get(name, value) for name, value in zip(self._positional, self._args, strict=False))
        named = {key: value for key, value in changed.items() if key not in self._positional}
        others = {key: value for key, value in self._kwargs.items() if key not in removed}
        return args, others | named

    def _fitting(self, args: Mapping[str, object]) -> Mapping[str, object]:
        """Arguments that an approver has changed, as the tool takes them.

        Raises:
            ValueError: they do not fit it.
        """
        foreign = sorted(args.keys() - _fields(self.tool) - set(self._positional)) if _fields(self.tool) else []
        if foreign:
            raise ValueError(f"`{self.tool.name}` has no argument `{foreign[0]}`")
        try:
            return self._validated(args)
        except (ValueError, TypeError) as error:
            raise ValueError(_reason(self.tool, error)) from error

    def _validated(self, args: Mapping[str, object]) -> dict[str, object]:
        schema = self.tool.args_schema
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            return dict(args)
        injected = {
            key: value for key, value in self._kwargs.items() if key in self._hidden and key in _fields(self.tool)
        }
        parsed = cast("dict[str, object]", self.tool._parse_input({**injected, **args}, call_id() or None))  # noqa: SLF001
        return {key: parsed[key] for key in args if key in parsed}

    def _changed_by(self, amended: Amended | None) -> None:
        """Whoever waits for the result is told what an approver has changed."""
        frame = FRAME.get()
        if frame is not None and frame.name == self.tool.name:
            frame.amended = amended

    def not_permitted(self, admission: Admission) -> object:
        """What a call gives back that is not run: an earlier result, or one of three ways of stopping."""
        match admission:
            case Replayed(result=stored, amended=amended):
                self._changed_by(amended)
                self.scope.shared.tally.take_back(self._same)
                if is_unvouched(stored):
                    self.unvouched()
                again = earlier(stored, self.tool)
                self.came_in(entering(again, self.tool), vouched=not is_unvouched(stored))
                return again
            case Waiting():
                self.comes_again()
                raise waiting(admission, self.action)
            case Refusal(error=refused):
                raise refused
            case _:
                raise TypeError(f"the gate answered with {type(admission).__name__}")


def refuse(tool: BaseTool, frame: Frame, bad: BadArguments) -> Refused:
    """Record that the arguments do not fit."""
    scope = scopes.require(tool.name)
    return scope.gate.refuse(_bad_request(tool, frame, bad, scope), reason=_reason(tool, bad.cause)).error


async def arefuse(tool: BaseTool, frame: Frame, bad: BadArguments) -> Refused:
    """``refuse`` for an event loop."""
    scope = scopes.require(tool.name)
    refusal = await scope.gate.arefuse(_bad_request(tool, frame, bad, scope), reason=_reason(tool, bad.cause))
    return refusal.error


def _bad_request(tool: BaseTool, frame: Frame, bad: BadArguments, scope: Scope) -> Request:
    given = {"input": bad.given} if isinstance(bad.given, str) else cast("Mapping[str, object]", bad.given)
    visible = {key: value for key, value in given.items() if key not in _hidden(tool, given)}
    execution = scopes.execution(scope, frame.task, name=tool.name, call_id=frame.call_id, args=visible)
    return Request(
        action=_action(tool, visible, acting_principal(tool, scope), frame.call_id),
        run=scope.moment(),
        key=execution.key,
        remembers=scope.on_refusal == "message",
    )


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
