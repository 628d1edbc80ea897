"""For LangChain's ``create_agent``: a middleware that brings the run. What enforces is in the objects that it seals.

A middleware is walked round by whatever another one does after it, so this one decides nothing. It seals the model and
the tools that it is shown and opens the run around their calls; a tool that is reached without passing here finds no run
and refuses. ``compile_graph`` governs the same agent without it, nodes of other middleware included.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NotRequired, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import BaseTool

from openclaw.action import Principal, Run
from openclaw.delegation import Rights, check_rights
from openclaw.errors import ConfigurationError, Refused
from openclaw.graph import scope as scopes
from openclaw.graph import tripwire
from openclaw.graph.agent import Agent, Identity, identity_of
from openclaw.graph.agent_tool import AgentTool, Government
from openclaw.graph.attempts import Attempts, answered, attempts, staged
from openclaw.graph.metering import seal_model
from openclaw.graph.providers import made_model
from openclaw.graph.recovery import results_in
from openclaw.graph.resuming import hear
from openclaw.graph.scope import OnRefusal, Scope, Shared
from openclaw.graph.seal import seal, trust_of
from openclaw.graph.tally import Tally
from openclaw.graph.unanswered import mended, replacing

if TYPE_CHECKING:
    from openclaw.budget import Ledger
    from openclaw.gate import Gate

_RUN = "openclaw_run"
_RUNS_MAX = 1_000


def middleware(
    *,
    agent: Agent | str,
    gate: Gate,
    ledger: Ledger | None = None,
    roles: Sequence[str] = (),
    on_refusal: OnRefusal = "message",
    rights: Rights = "own",
) -> Any:
    """An ``AgentMiddleware`` for ``create_agent(model, tools, middleware=[…])`` that governs its model and tools.

    Put it last, so that it is the innermost: what others change, the policy still sees. Only tools that are objects can
    be governed: a tool that the provider runs is refused.

    Raises:
        ConfigurationError: the ``langchain`` package is not installed.
    """
    try:
        types = importlib.import_module("langchain.agents.middleware")
    except ImportError as error:
        raise ConfigurationError(
            "`middleware` is for LangChain's create_agent, and the `langchain` package is not installed",
            hint="`pip install langchain`, or compile an Agent",
        ) from error
    tripwire.arm()
    check_rights("rights", rights)
    government = Government(gate=gate, ledger=ledger, on_refusal=on_refusal, rights=rights)
    cheaper = None
    if isinstance(agent, Agent) and agent.cheaper is not None:
        cheaper = made_model(agent, agent.cheaper)
    escort = _Escort(identity_of(agent, roles), government, cheaper)

    # LangChain asks the class, not the object, which hooks there are, and reads their signatures.
    class GovernanceMiddleware(types.AgentMiddleware):
        """Brings the governed run to a LangChain agent."""

        state_schema = type(types.AgentState)(
            "GovernedState", (types.AgentState,), {"__annotations__": {_RUN: NotRequired[dict[str, Any]]}}
        )

        def before_agent(self, state: Any, runtime: Any) -> dict[str, Any] | None:
            return escort.open(state)

        def wrap_model_call(self, request: Any, handler: Callable[[Any], object]) -> object:
            return escort.answer(request, handler)

        async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[object]]) -> object:
            return await escort.aanswer(request, handler)

        def wrap_tool_call(self, request: Any, handler: Callable[[Any], object]) -> object:
            with escort.tool(request):
                return handler(request)

        async def awrap_tool_call(self, request: Any, handler: Callable[[Any], Awaitable[object]]) -> object:
            with escort.tool(request):
                return await handler(request)

    return GovernanceMiddleware()


class _Escort:
    """What the hooks do. Each opens its own view of the run: a node that runs again must count from the start."""

    def __init__(self, identity: Identity, government: Government, cheaper: BaseChatModel | None = None) -> None:
        self._identity = identity
        self._cheaper = cheaper
        self._declared: set[str] = set()
        self._government = government
        self._gate = government.gate
        self._trust: dict[str, str] = {}
        self._recovered: OrderedDict[str, None] = OrderedDict()
        self._tallies: OrderedDict[str, Tally] = OrderedDict()

    def open(self, state: Any) -> dict[str, Any] | None:
        """A new turn is a new run, unless a governed graph has opened one; its transcript is one that a model takes."""
        whole = mended(state.get("messages") or ())
        update: dict[str, Any] = {} if whole is None else {"messages": replacing(whole)}
        if scopes.current() is None:
            run = self._gate.open_run(workflow=self._identity.name, thread=scopes.task().thread, resumed=False)
            update[_RUN] = run.model_dump(mode="json")
        return update or None

    def answer(self, request: Any, handler: Callable[[Any], object]) -> object:
        """One turn of the model in its run, with everything sealed that the request shows, and the agent's soft limits."""
        turns = self._turns(request, staged(self._scope(request)))
        turn, response = next(turns), None
        while True:
            try:
                with scopes.entered(turn.scope):
                    response = handler(request.override(model=turn.runnable, messages=turn.messages))
                said: AIMessage | Refused = _said(response)
            except Refused as refused:
                said = refused
            try:
                turn = turns.send(said)
            except StopIteration as over:
                return _response(response, said, over.value)

    async def aanswer(self, request: Any, handler: Callable[[Any], Awaitable[object]]) -> object:
        """The same on an event loop."""
        turns = self._turns(request, await asyncio.to_thread(staged, self._scope(request)))
        turn, response = next(turns), None
        while True:
            try:
                with scopes.entered(turn.scope):
                    response = await handler(request.override(model=turn.runnable, messages=turn.messages))
                said: AIMessage | Refused = _said(response)
            except Refused as refused:
                said = refused
            try:
                turn = turns.send(said)
            except StopIteration as over:
                return _response(response, said, over.value)

    def _turns(self, request: Any, scope: Scope) -> Attempts:
        self._seal_tools(request.tools)
        return attempts([seal_model(request.model)], self._cheaper, scope, list(request.messages))

    def tool(self, request: Any) -> AbstractContextManager[Scope]:
        """The run around a tool call, with everything sealed that the request shows."""
        self._seal_tools([request.tool, *(request.runtime.tools or ())])
        return scopes.entered(self._scope(request))

    def _seal_tools(self, tools: Sequence[object]) -> None:
        for tool in tools:
            if isinstance(tool, BaseTool):
                self._trust[tool.name] = trust_of(seal(tool))
            if isinstance(tool, AgentTool):
                outer = scopes.current()
                place = outer.principal if outer is not None else self._identity.principal()
                tool.prepare(workflow=place.workflow, org=place.org, government=self._government)

    def _recover(self, run: Run, thread: str | None, messages: Sequence[BaseMessage]) -> None:
        """Close what was let through in this run by a process that is gone, once for each run that is seen here."""
        if thread is None or run.id in self._recovered:
            return
        self._recovered[run.id] = None
        while len(self._recovered) > _RUNS_MAX:
            self._recovered.popitem(last=False)
        abandoned = self._gate.abandoned(workflow=self._identity.name, thread=thread)
        if abandoned:
            self._gate.conclude(abandoned, results_in(messages))

    def _tally(self, run: Run) -> Tally:
        """The calls of a run, those from before this process has seen it included."""
        tally = self._tallies.pop(run.id, None) or Tally(self._gate.earlier_calls(run))
        self._tallies[run.id] = tally
        while len(self._tallies) > _RUNS_MAX:
            self._tallies.popitem(last=False)
        return tally

    def _scope(self, request: Any) -> Scope:
        outer = scopes.current()
        if outer is not None:
            chain = scopes.delegated(outer.principal.chain, self._identity.name)
            principal = self._identity.principal(
                workflow=outer.principal.workflow, org=outer.principal.org, chain=chain
            )
            rights = "shrinking" if outer.rights == "shrinking" else self._government.rights
            return self._limited(replace(outer, rights=rights), scopes.delegate(principal, outer.principal, rights))
        messages = cast("Sequence[BaseMessage]", request.state.get("messages") or ())
        system = getattr(request, "system_message", None)
        stored = request.state.get(_RUN)
        thread = scopes.task().thread
        run = (
            Run.model_validate(stored)
            if stored
            else self._gate.open_run(workflow=self._identity.name, thread=thread, resumed=True)
        )
        self._recover(run, thread, messages)
        hear(self._gate.answers, thread)
        scope = Scope(
            gate=self._gate,
            run=run,
            principal=self._identity.principal(),
            on_refusal=self._government.on_refusal,
            rights=self._government.rights,
            trust=dict(self._trust),
            shared=Shared(tally=self._tally(run)),
            labels=scopes.given_labels((var_child_runnable_config.get() or {}).get("configurable") or {}),
            fed=True,
        )
        scopes.see_messages(scope, [*([system] if system is not None else []), *messages])
        return self._limited(scope, scope.principal)

    def _limited(self, scope: Scope, principal: Principal) -> Scope:
        """The run as the agent sees it, with its limits: its budget is declared where it is first seen to act."""
        agent, account = self._identity, principal.account
        if agent.budget is not None and self._government.ledger is not None and account not in self._declared:
            self._government.ledger.declare({account: agent.budget})
            self._declared.add(account)
        return scope.acting(
            principal, agent.soft, scopes.draws_on(scope, principal, agent.labels, agent.per_run(account))
        )


def _said(response: Any) -> AIMessage:
    """What the model has said in a response, which may have the result of a tool for structured output behind it."""
    if isinstance(response, AIMessage):
        return response
    return next(message for message in reversed(response.result) if isinstance(message, AIMessage))


def _response(response: Any, said: AIMessage | Refused, answer: AIMessage | Refused) -> Any:
    """The response, with another answer in it where that is not what the model has said."""
    message = answered(answer)
    if message is said and response is not None:
        return response
    types = importlib.import_module("langchain.agents.middleware")
    return types.ModelResponse(result=[message])
