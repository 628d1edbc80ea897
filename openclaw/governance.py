"""The composition root: policy, store, log, ledger and approvals opened as one thing, and graphs compiled on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from openclaw.action import Action, Run
from openclaw.approvals import Approval, Approvals, State
from openclaw.audit import AuditLog, Draft, Place, SigningKey, Where, key_files, open_key, open_places
from openclaw.budget import Ledger, Price, Prices
from openclaw.clock import Clock
from openclaw.decision import Decision
from openclaw.errors import ConfigurationError
from openclaw.gate import Gate
from openclaw.policy import BundleFile, BundleServer, Policies, PolicyEngine, PolicyFolder, open_engine
from openclaw.policy.live import LivePolicy, Reload, open_live
from openclaw.store import Store

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentMiddleware
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph import StateGraph
    from langgraph.pregel import Pregel
    from langgraph.store.base import BaseStore

    from openclaw.graph import Agent, Workflow
    from openclaw.graph.compile import GovernedGraph

OnRefusal = Literal["message", "raise"]

POLICY_ENTRIES = 100
"""How far back among the entries about policies the one is looked for that says what decided."""


class Desk:
    """The questions to people, as a program sees them; the command line has the same in ``openclaw approvals``."""

    def __init__(self, gate: Gate, approvals: Approvals) -> None:
        self._gate = gate
        self._approvals = approvals

    def list(self, state: State | None = "pending") -> list[Approval]:
        """The questions in one state, or all of them, oldest first."""
        return self._approvals.list(state)

    def get(self, approval: str) -> Approval:
        """One question."""
        return self._approvals.get(approval)

    def approve(self, approval: str, *, by: str, reason: str = "") -> Approval:
        """Say yes, once, in somebody's name; then resume the graph with ``graph.invoke(None, config)``."""
        return self._gate.answer(approval, by=by, approve=True, reason=reason)

    def reject(self, approval: str, *, by: str, reason: str = "") -> Approval:
        """Say no, once, in somebody's name; the agent is told so when the graph is resumed."""
        return self._gate.answer(approval, by=by, approve=False, reason=reason)


class Governance:
    """Policy, log, budgets and approvals over one database. Open it with ``Governance.open``; close it, or use ``with``.

    Attributes:
        audit: the log (``entries``, ``verify``, ``prove``, ``checkpoint``).
        ledger: the budgets (``set_limit``, ``reserve``, ``settle``, ``release``, ``balance``).
        policy: the engine (``evaluate``, ``aevaluate``).
        approvals: the questions to people (``list``, ``approve``, ``reject``).
        gate: the one door, for those who govern something that is no LangGraph graph.
    """

    def __init__(
        self,
        *,
        store: Store,
        policy: PolicyEngine,
        signer: SigningKey,
        checkpoints: Sequence[Place],
        prices: Mapping[str, Price] | None,
        on_refusal: OnRefusal,
    ) -> None:
        self._store = store
        self._on_refusal: OnRefusal = on_refusal
        self.policy = policy
        self.audit = AuditLog(store, signer, outside=checkpoints)
        self.ledger = Ledger(
            store,
            recorder=lambda transaction, effect, body: self.audit.record(
                transaction, Draft(kind="reservation", effect=effect, body=body)
            ),
        )
        approvals = Approvals(store)
        self.gate = Gate(
            store=store,
            log=self.audit,
            ledger=self.ledger,
            approvals=approvals,
            policy=policy,
            clock=store.clock,
            prices=Prices(prices),
        )
        self.approvals = Desk(self.gate, approvals)

    @classmethod
    def open(
        cls,
        store: str,
        *,
        policies: Policies | PolicyEngine,
        on_refusal: OnRefusal = "message",
        key: str | Path | SigningKey | None = None,
        checkpoints: Where | Sequence[Where] | None = None,
        prices: Mapping[str, Price] | None = None,
        clock: Clock | None = None,
        cache: bool | int = True,
    ) -> Governance:
        """Open everything, or nothing.

        Args:
            store: ``sqlite:///openclaw.db`` or ``postgresql+psycopg://user@host/database``; made if empty.
            policies: a folder of Rego files, an ``Opa(url)``, or an engine of one's own. A ``PolicyFolder``, ``BundleFile`` or
                ``BundleServer`` is followed: what changes there is checked and tested, and decides from then on.
            on_refusal: whether a refused call becomes a message to the model, or raises ``Refused``.
            key: what signs checkpoints: a file, made on first use; the key itself as text (``PRIVATE+KEY+…``); or an
                ``ExternalKey`` of a key service. Default: ``OPENCLAW_KEY`` (a file or the key itself), else beside the
                database (SQLite) or in ``~/.openclaw`` (PostgreSQL).
            checkpoints: where each checkpoint is also kept, outside the database: a file, the URL of an object store or of
                a witness, or several of them. Default: ``OPENCLAW_CHECKPOINTS``, else a file beside the key.
            prices: what models cost, by name, where the list price is not yours or none is known.
            clock: time and identifiers, for tests. Default: the database's clock.
            cache: whether decisions of a folder are kept where they cannot have changed, or how many of them at most.

        Raises:
            PolicyError: the policies cannot be loaded; the message has each place.
            StoreError: the database cannot be opened or is not ours.
            AuditError: the signing key cannot be read or made, or is not the log's; or a place for checkpoints is none.
        """
        followed = isinstance(policies, PolicyFolder | BundleFile | BundleServer)
        engine = open_live(policies) if followed else open_engine(policies, cache=cache)
        opened: Store | None = None
        try:
            opened = Store.open(store, clock=clock)
            signer = open_key(opened, key, create=True)
            places = open_places(opened, checkpoints, key=key)
            governance = cls(
                store=opened, policy=engine, signer=signer, checkpoints=places, prices=prices, on_refusal=on_refusal
            )
            governance._record_policy()
            if isinstance(engine, LivePolicy):
                engine.watch(governance._record_reload)
                engine.start()
        except BaseException:
            engine.close()
            if opened is not None:
                opened.close()
            raise
        return governance

    def compile(
        self,
        spec: Agent | Workflow | StateGraph[Any, Any, Any, Any] | Pregel[Any, Any, Any, Any],
        *,
        checkpointer: BaseCheckpointSaver[Any] | bool | None = None,
        store: BaseStore | None = None,
        name: str | None = None,
    ) -> GovernedGraph:
        """A plain LangGraph ``CompiledStateGraph``, every tool call and model call of which passes the gate.

        Args:
            spec: an ``Agent``, a ``Workflow``, one's own ``StateGraph``, or a graph that is compiled already.
            checkpointer: LangGraph's; without one, an ``ask`` is a refusal that says so.
            store: LangGraph's long-term memory.
            name: what policies see as workflow and agent where ``spec`` is one's own graph.

        Raises:
            ConfigurationError: it holds something that cannot be governed; the message names it.
        """
        from openclaw.graph import compile_graph

        return compile_graph(
            spec,
            gate=self.gate,
            ledger=self.ledger,
            checkpointer=checkpointer,
            store=store,
            on_refusal=self._on_refusal,
            name=name,
        )

    def govern(self, tools: Sequence[BaseTool], *, agent: Agent | str, roles: Sequence[str] = ()) -> list[BaseTool]:
        """Sealed copies of ``tools``, which act as ``agent`` in a StateGraph of one's own (compile it with ``compile``)."""
        from openclaw.graph import govern_tools

        return govern_tools(tools, agent=agent, roles=roles, gate=self.gate, on_refusal=self._on_refusal)

    def govern_model(self, model: BaseChatModel, *, agent: Agent | str, roles: Sequence[str] = ()) -> BaseChatModel:
        """A sealed copy of ``model``, whose calls are decided, recorded and charged to ``agent``."""
        from openclaw.graph import govern_model

        return govern_model(model, agent=agent, roles=roles, gate=self.gate, on_refusal=self._on_refusal)

    def middleware(self, *, agent: Agent | str, roles: Sequence[str] = ()) -> AgentMiddleware[Any, Any]:
        """A middleware for LangChain's ``create_agent``, which seals its model and tools and opens its runs."""
        from openclaw.graph import middleware

        return middleware(agent=agent, roles=roles, gate=self.gate, on_refusal=self._on_refusal)

    def decide(self, action: Action, *, run: Run | None = None) -> Decision:
        """Ask the policy without acting: nothing is recorded, nothing reserved."""
        return self.gate.decide(action, run=run)

    def reload(self) -> Reload:
        """Look where the policies come from, now: what has changed is checked, its tests are run, and then it decides.

        What is refused is recorded (kind ``policy``, with the reasons), and what decided before goes on; ``outcome`` of the
        answer says which it is.

        Raises:
            ConfigurationError: the policies are not followed.
            OpenClawError: the change cannot be recorded; then nothing has changed.
        """
        if not isinstance(self.policy, LivePolicy):
            raise ConfigurationError(
                f"the policies of `{self.policy.name}` are not followed",
                hint="open with `policies=PolicyFolder(…)`, `BundleFile(…)` or `BundleServer(…)`",
            )
        return self.policy.reload()

    def close(self) -> None:
        """Make everything durable, sign a last checkpoint, and give back what is open. Closing twice is fine."""
        if self._store.closed:
            return
        try:
            self.gate.close()
            self.audit.checkpoint_if_grown()
        finally:
            self.audit.close()
            try:
                self._store.close()
            finally:
                self.policy.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record_policy(self) -> None:
        """The log says from which entry on which policies decided."""
        body = {"revision": self.policy.revision, "engine": self.policy.name}
        recent = self.audit.entries(kind="policy", limit=POLICY_ENTRIES, newest_first=True)
        # What was refused stands between them, and says nothing of what decides.
        last = next((entry.body for entry in recent if entry.body.get("outcome", "replaced") == "replaced"), None)
        if last is None or {name: last.get(name) for name in body} != body:
            self.audit.append(Draft(kind="policy", body={**body}))

    def _record_reload(self, found: Reload) -> None:
        """The log says what came of each look at policies that are followed."""
        told: dict[str, object] = dataclasses.asdict(found)
        told = {name: value for name, value in told.items() if value not in ("", 0, ())}
        self.audit.append({"kind": "policy", "body": told})


__all__ = ["Desk", "Governance", "key_files"]
