"""The graph of our own agents: a model node, one task per tool call, and back.

Two nodes serve all agents of a workflow: which agent is active stands in the state, so that it is settled when a step is
over (a hand-off and other calls run side by side) and the next turn on the same thread goes on with it. Every AI message
carries its agent's name. One ``Send`` per call makes every call its own task: after an interrupt only the waiting one
runs again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NotRequired, TypedDict, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool

# The node type that carries a sync and an async function; LangChain's own agents are built of it.
from langgraph._internal._runnable import RunnableCallable
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send
from pydantic import BaseModel

from openclaw import action
from openclaw.action import Principal
from openclaw.budget import Budget
from openclaw.canonical import printable
from openclaw.errors import Refused
from openclaw.gate import Request
from openclaw.graph import calls, seal
from openclaw.graph import scope as scopes
from openclaw.graph.agent import Agent, Identity
from openclaw.graph.amended import note_of
from openclaw.graph.attempts import answered, attempts, staged
from openclaw.graph.refusals import refusal_message
from openclaw.graph.scope import Scope
from openclaw.graph.unanswered import mended, replacing
from openclaw.graph.workflow import HANDOFF_PREFIX

MODEL = "model"
TOOLS = "tools"


def _last(_: object, new: object) -> object:
    return new


class State(MessagesState):
    """The state of our graphs. Callers see ``messages``; who is active, and by which delegation, is remembered beside."""

    active_agent: NotRequired[Annotated[str, _last]]
    delegation: NotRequired[Annotated[list[str], _last]]


class Task(TypedDict):
    """One tool call on its way to the tools node."""

    agent: str
    delegation: list[str]
    call: ToolCall
    fault: str


class _NoArguments(BaseModel):
    """A hand-off takes no arguments: the conversation is its content."""


class HandoffTool(BaseTool):
    """Passes control to another agent of the workflow; a governed action of kind ``handoff``."""

    target: str
    args_schema: Any = _NoArguments

    def _run(self) -> Command[Any]:
        scope = scopes.require(self.name)
        message = ToolMessage(f"Control passed to {self.target}.", name=self.name, tool_call_id=calls.call_id())
        chain = scopes.delegated(scope.principal.chain[len(scope.origin) :], self.target)
        return Command(update={"messages": [message], "active_agent": self.target, "delegation": list(chain)})


def handoff(target: Agent) -> HandoffTool:
    """The sealed tool ``transfer_to_<agent>``."""
    return seal.seal(
        HandoffTool(
            name=HANDOFF_PREFIX + target.name,
            description=f"Pass control of the conversation to the agent `{target.name}`.",
            target=target.name,
            metadata={"openclaw_handoff": target.name, "trust": "trusted"},
        )
    )


@dataclass(frozen=True, slots=True)
class Member:
    """One agent as the graph runs it: everything sealed. ``runnables`` are its models, in the order of preference."""

    agent: Agent
    tools: tuple[BaseTool, ...]
    runnables: tuple[Runnable[Any, Any], ...]
    node: ToolNode
    cheaper: Runnable[Any, Any] | None = None

    @property
    def prompt(self) -> list[BaseMessage]:
        """The system prompt, as the first message of every call."""
        prompt = self.agent.prompt
        return [] if prompt is None else [prompt if isinstance(prompt, SystemMessage) else SystemMessage(prompt)]


def member(
    agent: Agent, models: Sequence[BaseChatModel], others: Sequence[Agent], *, cheaper: BaseChatModel | None = None
) -> Member:
    """An agent made ready: tools sealed in place, hand-offs added, all bound to each of its (sealed) models."""
    tools = (*(seal.seal(tool) for tool in agent.tools), *(handoff(other) for other in others))

    def bound(model: BaseChatModel) -> Runnable[Any, Any]:
        return model.bind_tools(list(tools)) if tools else model

    node = ToolNode(list(tools), handle_tool_errors=_tell)
    return Member(agent, tools, tuple(map(bound, models)), node, None if cheaper is None else bound(cheaper))


def draw(
    members: Sequence[Member], *, workflow: str, org: str, per_run: Mapping[str, Budget]
) -> StateGraph[Any, Any, Any, Any]:
    """The graph of these agents, the first of which is the entry. ``per_run``: what each run may spend, by account."""
    loop = _Loop({item.agent.name: item for item in members}, members[0].agent.name, workflow, org, per_run)
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(State, input_schema=MessagesState, output_schema=MessagesState)
    graph.add_node(  # pyright: ignore[reportUnknownMemberType]
        MODEL, RunnableCallable(loop.call_model, loop.acall_model, trace=False)
    )
    graph.add_node(  # pyright: ignore[reportUnknownMemberType]
        TOOLS, RunnableCallable(loop.call_tool, loop.acall_tool, trace=False)
    )
    graph.add_edge(START, MODEL)
    graph.add_conditional_edges(MODEL, loop.after_model, [TOOLS, END])
    graph.add_edge(TOOLS, MODEL)
    return graph


@dataclass(frozen=True, slots=True)
class _Loop:
    members: Mapping[str, Member]
    entry: str
    workflow: str
    org: str
    per_run: Mapping[str, Budget]

    # --- The model ----------------------------------------------------------------------------------------------------

    def call_model(self, state: State, config: RunnableConfig) -> dict[str, Any]:
        """One turn of the active agent's model."""
        active = self._active(state)
        if _returns_directly(active, state["messages"]):
            return {}
        scope = staged(self._scope(active.agent, state.get("delegation")))
        whole = mended(state["messages"])
        turns = attempts(active.runnables, active.cheaper, scope, active.prompt + list(whole or state["messages"]))
        turn = next(turns)
        while True:
            try:
                with scopes.entered(turn.scope):
                    said: AIMessage | Refused = turn.runnable.invoke(turn.messages, config)
            except Refused as refused:
                said = refused
            try:
                turn = turns.send(said)
            except StopIteration as over:
                return self._said(active, answered(over.value), state, whole)

    async def acall_model(self, state: State, config: RunnableConfig) -> dict[str, Any]:
        """The same on an event loop."""
        active = self._active(state)
        if _returns_directly(active, state["messages"]):
            return {}
        scope = await asyncio.to_thread(staged, self._scope(active.agent, state.get("delegation")))
        whole = mended(state["messages"])
        turns = attempts(active.runnables, active.cheaper, scope, active.prompt + list(whole or state["messages"]))
        turn = next(turns)
        while True:
            try:
                with scopes.entered(turn.scope):
                    said: AIMessage | Refused = await turn.runnable.ainvoke(turn.messages, config)
            except Refused as refused:
                said = refused
            try:
                turn = turns.send(said)
            except StopIteration as over:
                return self._said(active, answered(over.value), state, whole)

    def _said(
        self, active: Member, answer: AIMessage, state: State, whole: Sequence[BaseMessage] | None
    ) -> dict[str, Any]:
        """What a turn writes: the answer, after the transcript where that had to be mended."""
        name = active.agent.name
        message = _addressable(answer).model_copy(update={"name": answer.name or name})
        messages = [message] if whole is None else replacing([*whole, message])
        return {"messages": messages, "active_agent": name, "delegation": list(state.get("delegation") or [name])}

    def after_model(self, state: State) -> list[Send] | str:
        """One task per tool call, in the order of the model's message; the end where there is none."""
        last = state["messages"][-1]
        if not isinstance(last, AIMessage):
            return END
        tasks = self._tasks(last, self._active(state).agent.name, list(state.get("delegation") or []))
        return [Send(TOOLS, task) for task in tasks] or END

    def _tasks(self, message: AIMessage, agent: str, delegation: list[str]) -> list[Task]:
        tasks: list[Task] = []
        handed_over = False
        for call in message.tool_calls:
            fault = ""
            if call["name"].startswith(HANDOFF_PREFIX) and call["name"] in self.members[agent].node.tools_by_name:
                fault = "only one hand-off per message is possible" if handed_over else ""
                handed_over = True
            tasks.append(Task(agent=agent, delegation=delegation, call=call, fault=fault))
        for bad in message.invalid_tool_calls:
            call = ToolCall(name=bad["name"] or "unknown", args={"text": bad["args"]}, id=bad["id"], type="tool_call")
            fault = f"the arguments are not JSON: {bad['error'] or 'unreadable'}"
            tasks.append(Task(agent=agent, delegation=delegation, call=call, fault=fault))
        return tasks

    # --- One tool call ------------------------------------------------------------------------------------------------

    def call_tool(self, task: Task, config: RunnableConfig) -> object:
        """One tool call, answered with a message whatever happens."""
        active = self.members[task["agent"]]
        with scopes.entered(self._scope(active.agent, task["delegation"])) as scope:
            _feed(scope, active, config)
            fault = _fault(active, task)
            if fault:
                refusal = scope.gate.refuse(_request(scope, task["call"]), reason=fault)
                return _refused(refusal.error, task["call"], scope)
            return active.node.invoke([_typed(task["call"])], config)

    async def acall_tool(self, task: Task, config: RunnableConfig) -> object:
        """The same on an event loop."""
        active = self.members[task["agent"]]
        with scopes.entered(self._scope(active.agent, task["delegation"])) as scope:
            _feed(scope, active, config)
            fault = _fault(active, task)
            if fault:
                refusal = await scope.gate.arefuse(_request(scope, task["call"]), reason=fault)
                return _refused(refusal.error, task["call"], scope)
            return await active.node.ainvoke([_typed(task["call"])], config)

    # --- Who acts -----------------------------------------------------------------------------------------------------

    def _active(self, state: State) -> Member:
        # An agent that a later version of the workflow no longer has: the conversation goes on at the entry.
        return self.members.get(state.get("active_agent") or self.entry) or self.members[self.entry]

    def _scope(self, agent: Agent, delegation: Sequence[str] | None) -> Scope:
        scope = scopes.require(agent.name)
        principal = self._principal(scope, scopes.delegated(delegation or (), agent.name))
        also = scopes.draws_on(scope, principal, agent.labels, self.per_run)
        return replace(scope.acting(principal, agent.soft, also), fed=True)

    def _principal(self, scope: Scope, names: Sequence[str]) -> Principal:
        """The last of these agents, to whom the others have handed over; in a run that may act for others already."""
        delegators = scope.principal.delegators
        acting = self._member(scope, names).model_copy(update={"delegators": delegators} if delegators else {})
        if scope.rights == "own":
            return acting
        by = self._member(scope, names[:1]).model_copy(update={"delegators": delegators})
        for at in range(2, len(names) + 1):
            by = scopes.delegate(self._member(scope, names[:at]), by, scope.rights)
        return by

    def _member(self, scope: Scope, names: Sequence[str]) -> Principal:
        # Of an agent that a later version of the workflow no longer has, the policy hears no roles.
        member = self.members.get(names[-1])
        identity = member.agent.identity if member is not None else Identity(names[-1])
        return identity.principal(workflow=self.workflow, org=self.org, chain=(*scope.origin, *names))


def _fault(active: Member, task: Task) -> str:
    name = task["call"]["name"]
    if task["fault"]:
        return task["fault"]
    if name not in active.node.tools_by_name:
        known = ", ".join(f"`{tool.name}`" for tool in active.tools) or "none"
        return f"agent `{active.agent.name}` has no tool `{name}`; it has {known}"
    return ""


def _request(scope: Scope, call: ToolCall) -> Request:
    asked = action.ToolCall(
        principal=scope.principal, name=call["name"], args=dict(call["args"]), call_id=call["id"] or ""
    )
    execution = scopes.execution(scope, scopes.task(), name=asked.name, call_id=asked.call_id, args=asked.args)
    remembers = scope.on_refusal == "message"
    return Request(action=asked, run=scope.moment(), key=execution.key, remembers=remembers)


def _refused(refused: Refused, call: ToolCall, scope: Scope) -> dict[str, Any]:
    if scope.on_refusal == "raise":
        raise refused
    return {"messages": [refusal_message(refused, name=call["name"], call_id=call["id"] or "")]}


def _feed(scope: Scope, active: Member, config: RunnableConfig) -> None:
    """Everything that stands in the conversation, so that labels survive checkpoints and restarts."""
    read = (config.get("configurable") or {}).get("__pregel_read")
    if read is None:
        return
    # LangGraph hands a task started by `Send` its payload only; this is how its own ToolNode gets at the state.
    messages = cast("list[AnyMessage]", read("messages"))
    scopes.see_messages(scope, [*active.prompt, *messages])


def _addressable(message: AIMessage) -> AIMessage:
    """A message whose calls can all be answered: providers demand exactly one answer per id."""
    taken: set[str] = set()
    calls: list[Any] = []
    for index, call in enumerate([*message.tool_calls, *message.invalid_tool_calls]):
        identity = call["id"]
        if not identity or identity in taken:
            identity = f"{identity or message.id or 'call'}-{index}"
            call = {**call, "id": identity}
        taken.add(identity)
        calls.append(call)
    split = len(message.tool_calls)
    if calls == [*message.tool_calls, *message.invalid_tool_calls]:
        return message
    return message.model_copy(update={"tool_calls": calls[:split], "invalid_tool_calls": calls[split:]})


def _returns_directly(active: Member, messages: Sequence[BaseMessage]) -> bool:
    """Whether the last step's results are the answer: all of them from tools with ``return_direct``, none an error."""
    direct = {tool.name for tool in active.tools if tool.return_direct}
    if not direct:
        return False
    results: list[ToolMessage] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        results.append(message)
    return bool(results) and all(item.name in direct and item.status != "error" for item in results)


def _typed(call: ToolCall) -> ToolCall:
    return ToolCall(name=call["name"], args=call["args"], id=call["id"], type="tool_call")


def _tell(error: Exception) -> str:
    """What the model hears of a tool that raised. A refusal goes on where raising was asked for."""
    if isinstance(error, Refused):
        raise error
    said = printable(error)
    return f"{note_of(error)}The tool failed: {type(error).__name__}{f': {said}' if said else ''}"
