"""Compiling: from a description, or from somebody's own graph, to a LangGraph graph that runs inside the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, StateSnapshot

from openclaw.action import DEFAULT_ORG, Principal, Run
from openclaw.budget import Budget
from openclaw.budget.account import label_accounts
from openclaw.delegation import Rights, check_rights
from openclaw.errors import ConfigurationError
from openclaw.flow import Source
from openclaw.graph import recovery, tripwire, walk
from openclaw.graph import scope as scopes
from openclaw.graph.agent import Agent, check_name, identity_of
from openclaw.graph.agent_tool import AgentTool, Government, check_callees
from openclaw.graph.kept import is_unvouched, unpack
from openclaw.graph.loop import Member, draw, member
from openclaw.graph.memory import govern_store
from openclaw.graph.metering import bound_model, seal_model
from openclaw.graph.providers import made_model
from openclaw.graph.results import entered
from openclaw.graph.resuming import answered, gives_answers, names_no_question
from openclaw.graph.scope import OnRefusal, Scope, Shared
from openclaw.graph.seal import bound, seal, trust_of
from openclaw.graph.tally import Tally
from openclaw.graph.workflow import Workflow

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from openclaw.budget import Ledger
    from openclaw.executions import Running
    from openclaw.gate import Gate

ToolT = TypeVar("ToolT", bound=BaseTool)
ModelT = TypeVar("ModelT", bound=BaseChatModel)

_END = object()
_BINDING = "_openclaw_binding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a governed graph knows: who governs it, who acts in it, and the trust that its tools declare. ``drawn`` by others:
    what its state holds besides messages is not known."""

    government: Government
    name: str
    principal: Principal
    trust: Mapping[str, str] = field(default_factory=dict[str, str])
    drawn: bool = False

    @property
    def gate(self) -> Gate:
        """The one door."""
        return self.government.gate


class _Governed(Pregel[Any, Any, Any, Any]):
    """A LangGraph graph like any other, which carries its run to everything that runs inside it.

    Every entry point of LangGraph (``invoke``, ``batch``, events) goes through ``stream`` or ``astream``.
    """

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # type: ignore[override]  # noqa: A002
        """As LangGraph's own ``stream``, inside a governed run."""
        if gives_answers(input):
            state = self.get_state(config or {}) if self._keeps and names_no_question(input) else None
            input = answered(input, self._binding.gate.answers, _waiting(state))  # noqa: A001
        scope = self._open(input, config)
        inner = cast("Generator[Any]", super().stream(input, config, **kwargs))  # pyright: ignore[reportUnknownMemberType]
        try:
            while True:
                # The run is set for one drive of the iterator only: between two, the context is the caller's.
                with scopes.entered(scope):
                    item = next(inner, _END)
                if item is _END:
                    return
                yield item
        finally:
            with scopes.entered(scope):
                inner.close()

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override]  # noqa: A002
        """As LangGraph's own ``astream``, inside a governed run."""
        if gives_answers(input):
            state = await self.aget_state(config or {}) if self._keeps and names_no_question(input) else None
            input = await asyncio.to_thread(answered, input, self._binding.gate.answers, _waiting(state))  # noqa: A001
        scope = await self._aopen(input, config)
        inner = cast("AsyncGenerator[Any]", super().astream(input, config, **kwargs))  # pyright: ignore[reportUnknownMemberType]
        try:
            while True:
                with scopes.entered(scope):
                    item = await anext(inner, _END)
                if item is _END:
                    return
                yield item
        finally:
            with scopes.entered(scope):
                await inner.aclose()

    def copy(self, update: dict[str, Any] | None = None) -> _Governed:
        """A copy (``with_config`` makes one) that is governed alike."""
        own = {key: value for key, value in self.__dict__.items() if key not in {"__orig_class__", _BINDING}}
        twin = type(self)(**{**own, **(update or {})})
        vars(twin)[_BINDING] = self.__dict__[_BINDING]
        return twin

    # --- Runs ---------------------------------------------------------------------------------------------------------

    def _open(self, given: object, config: RunnableConfig | None) -> Scope:
        binding = self._binding
        outer = scopes.current()
        if outer is not None:
            return _within(outer, binding)
        configurable = self._configurable(config)
        labels = scopes.given_labels(configurable)
        thread, resumed = _thread(given, configurable)
        run = binding.gate.open_run(workflow=binding.name, thread=thread, resumed=resumed)
        abandoned = _abandoned(binding, thread)
        if abandoned:
            known = recovery.results(self.get_state(config or {})) if self._keeps else {}
            binding.gate.conclude(abandoned, known)
        scope = _scope(binding, run, binding.gate.earlier_calls(run) if resumed else {}, labels)
        _recall(scope, binding, thread if self._keeps else None)
        return scope

    async def _aopen(self, given: object, config: RunnableConfig | None) -> Scope:
        binding = self._binding
        outer = scopes.current()
        if outer is not None:
            return _within(outer, binding)
        configurable = self._configurable(config)
        labels = scopes.given_labels(configurable)
        thread, resumed = _thread(given, configurable)
        run = await asyncio.to_thread(binding.gate.open_run, workflow=binding.name, thread=thread, resumed=resumed)
        abandoned = await asyncio.to_thread(_abandoned, binding, thread)
        if abandoned:
            known = recovery.results(await self.aget_state(config or {})) if self._keeps else {}
            await asyncio.to_thread(binding.gate.conclude, abandoned, known)
        earlier = await asyncio.to_thread(binding.gate.earlier_calls, run) if resumed else {}
        scope = _scope(binding, run, earlier, labels)
        await asyncio.to_thread(_recall, scope, binding, thread if self._keeps else None)
        return scope

    @property
    def _binding(self) -> Binding:
        return cast("Binding", self.__dict__[_BINDING])

    @property
    def _keeps(self) -> bool:
        """Whether this graph has a checkpointer of its own to ask. A subgraph's is its parent's, which asks it."""
        return isinstance(cast("object", self.checkpointer), BaseCheckpointSaver)  # pyright: ignore[reportUnknownMemberType]

    def _configurable(self, config: RunnableConfig | None) -> dict[str, Any]:
        return {**((self.config or {}).get("configurable") or {}), **((config or {}).get("configurable") or {})}


class GovernedPregel(_Governed):
    """A graph of the functional API (``@entrypoint``), governed."""


class GovernedGraph(_Governed, CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled StateGraph, governed. A ``CompiledStateGraph`` to everybody who asks."""


def compile_graph(
    spec: Agent | Workflow | StateGraph[Any, Any, Any, Any] | Pregel[Any, Any, Any, Any],
    *,
    gate: Gate,
    ledger: Ledger | None = None,
    checkpointer: BaseCheckpointSaver[Any] | bool | None = None,
    store: BaseStore | None = None,
    on_refusal: OnRefusal = "message",
    name: str | None = None,
    rights: Rights = "own",
) -> GovernedGraph:
    """A graph whose every tool call and model call passes ``gate``.

    Args:
        spec: an Agent, a Workflow, one's own StateGraph, or a compiled graph (which keeps its checkpointer and store).
        gate: the one door.
        ledger: where the budgets of the description are declared; without one they are not.
        checkpointer: LangGraph's. Without one nothing can wait: an ``ask`` is a refusal that says so.
        store: LangGraph's store, for tools that take one.
        on_refusal: ``message`` answers a refused call with a message, ``raise`` raises ``Refused`` through the graph.
        name: what policies see as workflow and agent where ``spec`` is somebody's own graph; by default the graph's name.
        rights: of those that work is handed down to, where a workflow does not say so itself; see ``openclaw.delegation``.

    Raises:
        ConfigurationError: the graph holds something that cannot be governed. It names the node and what stands there.
    """
    if on_refusal not in {"message", "raise"}:
        raise ConfigurationError(f"on_refusal is `{on_refusal}`", hint='use "message" or "raise"')
    check_rights("rights", rights)
    tripwire.arm()
    government = Government(gate=gate, ledger=ledger, on_refusal=on_refusal, rights=rights)
    match spec:
        case Agent():
            return _of_agents([spec], _Place(spec.name, "", DEFAULT_ORG), government, spec, checkpointer, store)
        case Workflow():
            place, own = _Place(spec.name, spec.name, spec.org), replace(government, rights=spec.rights or rights)
            return _of_agents(spec.agents, place, own, spec, checkpointer, store)
        case StateGraph():
            compiled = spec.compile(checkpointer=checkpointer, store=store, name=name)  # pyright: ignore[reportUnknownMemberType]
            return _govern(compiled, government, name)
        case Pregel():
            update: dict[str, Any] = {"checkpointer": checkpointer} if checkpointer is not None else {}
            update |= {"store": store} if store is not None else {}
            return _govern(spec.copy(update), government, name)
        case _:
            raise ConfigurationError(
                f"`{type(spec).__qualname__}` cannot be compiled",
                hint="give an Agent, a Workflow, a StateGraph or a compiled graph",
            )


def govern_tools(
    tools: Sequence[ToolT],
    *,
    agent: Agent | str,
    gate: Gate,
    roles: Sequence[str] = (),
    on_refusal: OnRefusal = "message",
) -> list[ToolT]:
    """Sealed copies of ``tools`` that always act as ``agent``, for a graph of one's own; the originals are sealed too.

    They run inside graphs that ``compile_graph`` returned, and nowhere else. Of an ``Agent``, its soft limits, labels and budget
    hold, too; the budget is declared by the graph that they are compiled in, where the agent's account is.
    """
    del gate, on_refusal  # The run brings both; they are asked for so that nobody governs without having a gate.
    tripwire.arm()
    identity = identity_of(agent, roles)
    return [bound(tool, identity) for tool in tools]


def govern_model(
    model: ModelT,
    *,
    agent: Agent | str,
    gate: Gate,
    roles: Sequence[str] = (),
    on_refusal: OnRefusal = "message",
) -> ModelT:
    """A sealed copy of ``model`` whose calls are always those of ``agent``; the original is sealed too.

    Of an ``Agent``, its soft limits, labels and budget hold, too, and its ``cheaper`` model is called where they say so.

    Raises:
        ConfigurationError: the cheaper model is of another class than ``model``.
    """
    del gate, on_refusal
    tripwire.arm()
    cheaper = made_model(agent, agent.cheaper) if isinstance(agent, Agent) and agent.cheaper is not None else None
    return bound_model(model, identity_of(agent, roles), cheaper=cheaper)


def declared_budgets(spec: Agent | Workflow, workflow: str = "", org: str = DEFAULT_ORG) -> dict[str, Budget]:
    """The budgets that a description declares, by account. An agent's stands under that workflow and organisation."""
    if isinstance(spec, Agent):
        account = spec.identity.principal(workflow=workflow, org=org).account
        return {} if spec.budget is None else {account: spec.budget}
    budgets = {
        agent.identity.principal(workflow=spec.name, org=spec.org).account: agent.budget
        for agent in spec.agents
        if agent.budget is not None
    }
    return budgets if spec.budget is None else {f"org/{spec.org}/workflow/{spec.name}": spec.budget, **budgets}


# --- Putting together -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a graph of agents stands: its name, and the workflow and organisation that its accounts lie under."""

    name: str
    workflow: str
    org: str


def _of_agents(
    agents: Sequence[Agent],
    place: _Place,
    government: Government,
    spec: Agent | Workflow,
    checkpointer: BaseCheckpointSaver[Any] | bool | None = None,
    store: BaseStore | None = None,
) -> GovernedGraph:
    """The graph of these agents, the first of which is the entry, with the budgets and the priority that ``spec`` declares."""
    check_callees({agent.name: agent for agent in agents})
    declared = declared_budgets(spec, place.workflow, place.org)
    per_run = {account: budget for account, budget in declared.items() if budget.window == "run"}
    if government.ledger is not None:
        government.ledger.declare(declared)
    if government.ledger is not None and isinstance(spec, Workflow) and spec.priority is not None:
        government.ledger.declare_priority(spec.account, spec.priority)
    members: list[Member] = [
        member(
            agent,
            [made_model(agent, model) for model in agent.models],
            [other for other in agents if other is not agent],
            cheaper=None if agent.cheaper is None else made_model(agent, agent.cheaper),
        )
        for agent in agents
    ]
    drawn = draw(members, workflow=place.workflow, org=place.org, per_run=per_run)
    graph = drawn.compile(checkpointer=checkpointer, store=store, name=place.name)  # pyright: ignore[reportUnknownMemberType]
    principal = agents[0].identity.principal(workflow=place.workflow, org=place.org)
    return _bind(graph, name=place.name, principal=principal, government=government)


def agent_graph(agent: Agent, *, workflow: str, org: str, government: Government) -> GovernedGraph:
    """The graph of an agent that is the tool of others, its account under their workflow."""
    return _of_agents([agent], _Place(agent.name, workflow, org), government, agent)


def _govern(graph: Pregel[Any, Any, Any, Any], government: Government, name: str | None) -> GovernedGraph:
    known_as = name or (graph.name if graph.name and graph.name != "LangGraph" else "graph")
    check_name("graph", known_as)
    principal = Principal(agent=known_as, workflow=known_as, chain=(known_as,))
    return _bind(graph, name=known_as, principal=principal, government=government, drawn=True)


def _bind(
    graph: Pregel[Any, Any, Any, Any],
    *,
    name: str,
    principal: Principal,
    government: Government,
    drawn: bool = False,
) -> GovernedGraph:
    found = walk.find(graph)
    for tool in found.tools:
        seal(tool)
    for model in found.models:
        seal_model(model)
    for part in found.graphs:
        if part.store is not None:
            part.store = govern_store(part.store)
    if government.ledger is not None:
        declared = _declared_of([*found.tools, *found.models], principal)
        government.ledger.declare(declared)
    trust: dict[str, str] = {}
    for tool in found.tools:
        # Two tools of one name and different trust: the worse one counts, since results are known by name.
        trust[tool.name] = trust_of(tool) if trust.get(tool.name) != "untrusted" else "untrusted"
        if isinstance(tool, AgentTool):
            tool.prepare(workflow=principal.workflow, org=principal.org, government=government)
    binding = Binding(government=government, name=name, principal=principal, trust=trust, drawn=drawn)
    graph.__class__ = _governed_class(type(graph))
    vars(graph)[_BINDING] = binding
    return cast("GovernedGraph", graph)


def _declared_of(things: Sequence[object], principal: Principal) -> dict[str, Budget]:
    """The budgets of the agents that tools and models of a graph are bound to, by account."""
    declared: dict[str, Budget] = {}
    for thing in things:
        agent = scopes.bound_to(thing)
        if agent is not None and agent.budget is not None:
            declared[agent.principal(workflow=principal.workflow, org=principal.org).account] = agent.budget
    return declared


def _governed_class(base: type[Pregel[Any, Any, Any, Any]]) -> type[Any]:
    if issubclass(base, GovernedGraph):
        return base
    if base is CompiledStateGraph:
        return GovernedGraph
    if base is Pregel:
        return GovernedPregel
    raise ConfigurationError(
        f"a graph of class `{base.__qualname__}` cannot be governed", hint="compile a StateGraph or an `@entrypoint`"
    )


# --- Runs -------------------------------------------------------------------------------------------------------------


def _thread(given: object, configurable: Mapping[str, Any]) -> tuple[str | None, bool]:
    """The thread that is meant, and whether what is given resumes it."""
    thread = configurable.get("thread_id")
    resumed = given is None or (isinstance(given, Command) and given.resume is not None)
    return None if thread is None else str(thread), resumed and thread is not None


def _waiting(state: StateSnapshot | None) -> list[str]:
    """The interrupts that a thread waits at, by name."""
    return [] if state is None else [interrupt.id for interrupt in state.interrupts]


def _abandoned(binding: Binding, thread: str | None) -> list[Running]:
    """What was let through in this thread before, by a process that is gone."""
    return [] if thread is None else binding.gate.abandoned(workflow=binding.name, thread=thread)


def _scope(binding: Binding, run: Run, earlier: Mapping[str, int], labels: Mapping[str, str]) -> Scope:
    also: dict[str, Budget | None] = dict.fromkeys(label_accounts(binding.principal.account, labels))
    return Scope(
        gate=binding.gate,
        run=run,
        principal=binding.principal,
        on_refusal=binding.government.on_refusal,
        rights=binding.government.rights,
        trust=binding.trust,
        shared=Shared(tally=Tally(earlier)),
        labels=labels,
        also=also,
    )


def _recall(scope: Scope, binding: Binding, thread: str | None) -> None:
    """What outsiders have said in a thread, wherever its state holds it now. Of what is kept no more, only that it was read."""
    if thread is None or not binding.drawn:
        return
    for tool, kept in binding.gate.earlier_results(workflow=binding.name, thread=thread):
        if tool not in binding.trust or (binding.trust[tool] == "trusted" and not is_unvouched(kept)):
            continue
        source = Source(kind="tool", name=tool, trust="untrusted")
        scope.shared.returned(source, entered(unpack(kept)) if kept else "", {}, step=None)


def _within(outer: Scope, binding: Binding) -> Scope:
    """A governed graph inside a governed run: the same run, one link further down the delegation chain."""
    if outer.gate is not binding.gate:
        raise ConfigurationError(
            f"graph `{binding.name}` is governed by another Governance than the run it was started in",
            hint="compile both with the same Governance",
        )
    chain = scopes.delegated(outer.principal.chain, binding.principal.agent)
    # Where rights shrink, they shrink for all that is below.
    rights = "shrinking" if outer.rights == "shrinking" else binding.government.rights
    principal = binding.principal.model_copy(update={"chain": chain})
    return Scope(
        gate=outer.gate,
        run=outer.run,
        principal=scopes.delegate(principal, outer.principal, rights),
        origin=outer.principal.chain,
        on_refusal=binding.government.on_refusal,
        rights=rights,
        labels=outer.labels,
        also=scopes.draws_on(outer, principal),
        trust={**outer.trust, **binding.trust},
        shared=outer.shared,
    )
