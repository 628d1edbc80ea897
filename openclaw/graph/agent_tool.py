"""An agent as another's tool: called with a task, it answers with a text. Made by ``Agent.as_tool``.

Its calls are its own: decided, recorded and charged under its name, its account under the workflow of whoever calls it, the
delegation chain one link longer. The call itself is a tool call of the caller, and its answer a result like any other's: it
passes the gate, and is untrusted unless somebody vouches for it and nothing untrusted was read in the run. The task is the
caller's composition, no prompt: a value in it is trusted where it has been seen in what is trusted, and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field, InstanceOf, PrivateAttr

from openclaw.delegation import Rights
from openclaw.errors import ConfigurationError
from openclaw.graph import scope as scopes
from openclaw.graph.agent import Agent
from openclaw.graph.bodies import taint
from openclaw.graph.scope import MARK, OnRefusal, Scope

if TYPE_CHECKING:
    from openclaw.budget import Ledger
    from openclaw.gate import Gate
    from openclaw.graph.compile import GovernedGraph

DEPTH_MAX = 3
"""Agents that may be under way within each other's calls, at most, where nothing else is said."""

_UNDER_WAY: ContextVar[tuple[str, ...]] = ContextVar("openclaw_agents", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Government:
    """What governs a graph. Without a ledger, the budgets of descriptions are not declared."""

    gate: Gate
    ledger: Ledger | None = None
    on_refusal: OnRefusal = "message"
    rights: Rights = "own"


class _Task(BaseModel):
    task: str = Field(description="What to do, with everything that must be known for it.")


class AgentTool(BaseTool):
    """The tool that an agent is to others. It runs in governed graphs that were compiled with it."""

    agent: InstanceOf[Agent]
    rights: Rights = "shrinking"
    depth_max: int = DEPTH_MAX
    args_schema: Any = _Task
    _graphs: dict[tuple[Gate, str, str], GovernedGraph | None] = PrivateAttr(default_factory=dict[Any, Any])
    _preparing: Any = PrivateAttr(default_factory=threading.RLock)

    def prepare(self, *, workflow: str, org: str, government: Government) -> None:
        """Compile the agent for callers in this workflow, and declare its budget there. Doing it twice changes nothing.

        Raises:
            ConfigurationError: it cannot be governed.
        """
        from openclaw.graph.compile import agent_graph

        key = (government.gate, workflow, org)
        with self._preparing:
            if key in self._graphs:
                return
            self._graphs[key] = None  # An agent that is reached from itself is prepared once.
            own = Government(
                gate=government.gate, ledger=government.ledger, on_refusal=government.on_refusal, rights=self.rights
            )
            try:
                self._graphs[key] = agent_graph(self.agent, workflow=workflow, org=org, government=own)
            except BaseException:
                del self._graphs[key]
                raise

    def _run(self, task: str) -> str:
        scope, under_way = self._entering()
        token = _UNDER_WAY.set(under_way)
        try:
            with scopes.entered(scope):
                state = self._graph(scope).invoke(_given(task))  # pyright: ignore[reportUnknownMemberType]
                return self._answer(state, scope)
        finally:
            _UNDER_WAY.reset(token)

    async def _arun(self, task: str) -> str:
        scope, under_way = self._entering()
        token = _UNDER_WAY.set(under_way)
        try:
            with scopes.entered(scope):
                state = await self._graph(scope).ainvoke(_given(task))  # pyright: ignore[reportUnknownMemberType]
                return self._answer(state, scope)
        finally:
            _UNDER_WAY.reset(token)

    def _entering(self) -> tuple[Scope, tuple[str, ...]]:
        """The run as whoever calls sees it, and the agents that are under way within each other's calls, this one included."""
        scope = scopes.require(self.name)
        under_way = (*_UNDER_WAY.get(), self.agent.name)
        if len(under_way) > self.depth_max:
            shown = " → ".join(under_way)
            raise ToolException(f"agents call agents too deep: {shown} ({len(under_way)}; at most {self.depth_max})")
        return scope.acting(scopes.acting_principal(self, scope), scope.soft, scope.also), under_way

    def _graph(self, scope: Scope) -> GovernedGraph:
        graph = self._graphs.get((scope.gate, scope.principal.workflow, scope.principal.org))
        if graph is None:
            raise ConfigurationError(
                f"`{self.name}` is an agent that was not compiled for workflow `{scope.principal.workflow}`",
                hint="give it to an Agent, or to a graph that `Governance.compile` compiles",
            )
        return graph

    def _answer(self, state: Mapping[str, Any], scope: Scope) -> str:
        """The agent's last words. What stopped it is an error of the call."""
        if scope.shared.untrusted:
            taint()
        last = cast("AnyMessage", state["messages"][-1])
        text = str(last.text)
        if isinstance(last, AIMessage) and MARK in last.response_metadata:
            raise ToolException(f"agent `{self.agent.name}` was stopped: {text}")
        return text


def _given(task: str) -> dict[str, list[AnyMessage]]:
    return {"messages": [HumanMessage(task)]}


def check_callees(agents: Mapping[str, Agent]) -> None:
    """Raise ConfigurationError if an agent that is a tool of these has the name of another one: both would have one account."""
    known, pending = dict(agents), list(agents.values())
    while pending:
        for tool in pending.pop().tools:
            if not isinstance(tool, AgentTool):
                continue
            if tool.agent.name not in known:
                known[tool.agent.name] = tool.agent
                pending.append(tool.agent)
            elif known[tool.agent.name] is not tool.agent:
                raise ConfigurationError(
                    f"tool `{tool.name}` is an agent named `{tool.agent.name}`, and so is another one here",
                    hint="rename one of them, or use the same Agent object",
                )


__all__ = ["DEPTH_MAX", "AgentTool", "Government", "check_callees"]
