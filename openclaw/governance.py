"""The composition root: policy, store, log, ledger and approvals opened as one thing, and graphs compiled on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import JsonValue

from openclaw.action import Action, Run
from openclaw.answers import Answers, Said
from openclaw.approvals import Approval, Approvals, State
from openclaw.approvers import Approver, Approvers
from openclaw.audit import AuditLog, Draft, Entry, Place, SigningKey, Where, key_files, open_key, open_places
from openclaw.budget import Energy, Ledger, Price, Prices
from openclaw.clock import Clock
from openclaw.decision import Decision
from openclaw.delegation import Rights, check_rights
from openclaw.errors import ConfigurationError
from openclaw.gate import Gate
from openclaw.halts import Halt, Target
from openclaw.policy import Policies, PolicyEngine
from openclaw.policy.live import LivePolicy, Reload, open_live
from openclaw.softlimits import Reached
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
    from openclaw.review.shadow import Shadow

OnRefusal = Literal["message", "raise"]

RECENT = 20
"""Entries of kind ``policy`` that are looked through for the last one that says what decides."""


class Desk:
    """The questions to people, as a program sees them; the command line has the same in ``openclaw approvals``.

    Who has a key or a token answers with it: ``signed`` is the ``statement`` as ``openclaw.approvers.sign`` signs it.
    """

    def __init__(self, answers: Answers, approvals: Approvals, approvers: Approvers) -> None:
        self._answers = answers
        self._approvals = approvals
        self._approvers = approvers

    def list(self, state: State | None = "pending") -> list[Approval]:
        """The questions in one state, or all of them, oldest first."""
        return self._approvals.list(state)

    def get(self, approval: str) -> Approval:
        """One question."""
        return self._approvals.get(approval)

    def approve(
        self,
        approval: str,
        *,
        by: str,
        reason: str = "",
        args: Mapping[str, object] | None = None,
        signed: str = "",
        token: str = "",
    ) -> Approval:
        """Say yes, once, in somebody's name; then resume the graph with ``graph.invoke(None, config)``.

        Args:
            approval: the question.
            by: who.
            reason: why; recorded.
            args: arguments to change, where the policy lets approvers change them: yes is to the call with these.
            signed: their signed statement.
            token: their token.

        Raises:
            ApprovalError: there is no such question, it has been answered, its time is over, or this answer does not count.
        """
        said = Said(by=by, approve=True, reason=reason, args=args or {}, signed=signed, token=token)
        return self._answers.give(approval, said)

    def reject(self, approval: str, *, by: str, reason: str = "", signed: str = "", token: str = "") -> Approval:
        """Say no, once, in somebody's name; the agent is told so when the graph is resumed.

        Raises:
            ApprovalError: as ``approve``.
        """
        return self._answers.give(approval, Said(by=by, approve=False, reason=reason, signed=signed, token=token))

    def statement(
        self, approval: str, *, by: str, approve: bool = True, args: Mapping[str, object] | None = None
    ) -> str:
        """What ``by`` states with an answer: the text that their key signs."""
        return self._answers.statement(approval, by=by, approve=approve, args=args)

    def enroll(self, approver: Approver, *, by: str) -> None:
        """Enrol a person who may answer, or change what is known of them; recorded."""
        self._approvers.enroll(approver, by=by)

    def withdraw(self, name: str, *, by: str) -> Approver:
        """Take a person off the list of approvers; recorded.

        Raises:
            ApprovalError: nobody of that name is enrolled.
        """
        return self._approvers.withdraw(name, by=by)

    def approvers(self) -> list[Approver]:
        """Everybody who is enrolled, by name."""
        return self._approvers.list()


class Governance:
    """Policy, log, budgets and approvals over one database. Open it with ``Governance.open``; close it, or use ``with``.

    Attributes:
        audit: the log (``entries``, ``verify``, ``prove``, ``checkpoint``).
        ledger: the budgets (``set_limit``, ``reserve``, ``settle``, ``release``, ``balance``).
        policy: the engine (``evaluate``, ``aevaluate``).
        approvals: the questions to people (``list``, ``approve``, ``reject``).
        exceptions: break-glass (``open``, ``list``, ``close``): what people have lifted for a time.
        gate: the one door, for those who govern something that is no LangGraph graph.
        shadow: the candidate that decides beside the policy, where one was given.
    """

    def __init__(
        self,
        *,
        store: Store,
        policy: PolicyEngine,
        signer: SigningKey,
        checkpoints: Sequence[Place],
        prices: Mapping[str, Price] | None,
        energy: Energy | None,
        on_refusal: OnRefusal,
        rights: Rights = "own",
    ) -> None:
        self._store = store
        self._on_refusal: OnRefusal = on_refusal
        check_rights("rights of the governance", rights)
        self._rights: Rights = rights
        self._receives = False
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
            energy=energy,
        )
        self.approvals = Desk(self.gate.answers, approvals, self.gate.approvers)
        self.exceptions = self.gate.exceptions
        self.shadow: Shadow | None = None

    @classmethod
    def open(
        cls,
        store: str,
        *,
        policies: Policies | PolicyEngine,
        shadow: Policies | PolicyEngine | None = None,
        on_refusal: OnRefusal = "message",
        rights: Rights = "own",
        outside_runs: Agent | str | None = None,
        key: str | Path | SigningKey | None = None,
        checkpoints: Where | Sequence[Where] | None = None,
        prices: Mapping[str, Price] | None = None,
        energy: Energy | None = None,
        clock: Clock | None = None,
        cache: bool | int = True,
        on_soft_limit: Callable[[Reached], None] | None = None,
        approvers: Sequence[Approver] = (),
        authenticated: bool = False,
    ) -> Governance:
        """Open everything, or nothing.

        Args:
            store: ``sqlite:///openclaw.db`` or ``postgresql+psycopg://user@host/database``; made if empty.
            policies: a folder of Rego files, a bundle (a .tar.gz, ``BundleFile`` or ``BundleServer``), an ``Opa(url)``, or an
                engine of one's own.
            shadow: a candidate that decides beside them and changes no answer; differences are recorded, and shown by
                ``openclaw policy shadow``. A candidate that cannot be reached is recorded, and tried again.
            on_refusal: whether a refused call becomes a message to the model, or raises ``Refused``.
            rights: of agents that work is handed down to, where a workflow or an agent's tool does not say otherwise:
                ``shrinking``: at most those of everybody that they act for; ``own``: what the policy gives them.
            outside_runs: as whom what governed things do outside of any run is decided and recorded. Default: it is refused.
            key: what signs checkpoints: a file, made on first use; the key itself as text (``PRIVATE+KEY+…``); or an
                ``ExternalKey`` of a key service. Default: ``OPENCLAW_KEY`` (a file or the key itself), else beside the
                database (SQLite) or in ``~/.openclaw`` (PostgreSQL).
            checkpoints: where each checkpoint is also kept, outside the database: a file, the URL of an object store or of
                a witness, or several of them. Default: ``OPENCLAW_CHECKPOINTS``, else a file beside the key.
            prices: what models cost, by name or ``provider/name``, where the list price is not yours or none is known.
            energy: estimates energy and CO2e of every model call, for the record. Default: nobody does.
            clock: time and identifiers, for tests. Default: the database's clock.
            on_soft_limit: told of each soft limit that an agent reaches, once its entry is durable, on the thread that writes;
                it must not raise.
            approvers: people who may answer questions, with their roles and keys: enrolled, and for this process those of
                these names are as they are here. The store's list (``openclaw approvals enroll``) has the others.
            authenticated: whether every answer and every exception must prove whose it is, also where no policy demands it.
            cache: whether decisions of a folder or a bundle are kept where they cannot have changed, or how many at most.

        Raises:
            PolicyError: the policies cannot be loaded; the message has each place.
            StoreError: the database cannot be opened or is not ours.
            AuditError: the signing key cannot be read or made, or is not the log's; or a place for checkpoints is none.
            ConfigurationError: there are no such rights.
        """
        engine = open_live(policies, cache=cache)
        opened: Store | None = None
        governance: Governance | None = None
        try:
            opened = Store.open(store, clock=clock)
            governance = cls(
                store=opened,
                policy=engine,
                signer=open_key(opened, key, create=True),
                checkpoints=open_places(opened, checkpoints, key=key),
                prices=prices,
                energy=energy,
                on_refusal=on_refusal,
                rights=rights,
            )
            governance.gate.soft.observer = on_soft_limit
            governance.gate.approvers.declare(approvers)
            governance.gate.consents.authenticated = governance.gate.exceptions.authenticated = authenticated
            governance._begin(engine, shadow, outside_runs)
        except BaseException:
            if governance is not None:
                governance._give_back()
            else:
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
        on_refusal: OnRefusal | None = None,
    ) -> GovernedGraph:
        """A plain LangGraph ``CompiledStateGraph``, every tool call and model call of which passes the gate.

        Args:
            spec: an ``Agent``, a ``Workflow``, one's own ``StateGraph``, or a graph that is compiled already.
            checkpointer: LangGraph's; without one, an ``ask`` is a refusal that says so.
            store: LangGraph's long-term memory; its reads and writes are actions of kind ``memory`` (``govern_store``).
            name: what policies see as workflow and agent where ``spec`` is one's own graph.
            on_refusal: what becomes of a refused call in this graph, where it is not what ``open`` was told.

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
            on_refusal=self._on_refusal if on_refusal is None else on_refusal,
            name=name,
            rights=self._rights,
        )

    def govern(self, tools: Sequence[BaseTool], *, agent: Agent | str, roles: Sequence[str] = ()) -> list[BaseTool]:
        """Sealed copies of ``tools``, which act as ``agent`` in a StateGraph of one's own (compile it with ``compile``).

        Of an ``Agent``, its budget, soft limits and labels hold for them, too.
        """
        from openclaw.graph import govern_tools

        return govern_tools(tools, agent=agent, roles=roles, gate=self.gate, on_refusal=self._on_refusal)

    def govern_model(self, model: BaseChatModel, *, agent: Agent | str, roles: Sequence[str] = ()) -> BaseChatModel:
        """A sealed copy of ``model``, whose calls are decided, recorded and charged to ``agent``.

        Of an ``Agent``, its budget, soft limits and labels hold, too; its ``cheaper`` model must be of the class of ``model``.
        """
        from openclaw.graph import govern_model

        return govern_model(model, agent=agent, roles=roles, gate=self.gate, on_refusal=self._on_refusal)

    def govern_store(self, store: BaseStore, *, trust: Literal["trusted", "untrusted"] = "untrusted") -> BaseStore:
        """A LangGraph store in which every read and write is decided and recorded, inside the runs of governed graphs.

        ``compile`` does this to the store that it is given. Vouch with ``trust="trusted"`` for one in which no outsider's text is
        kept; otherwise what is read from it counts as untrusted.

        Raises:
            ConfigurationError: it is no LangGraph store.
        """
        from openclaw.graph import govern_store

        return govern_store(store, trust=trust)

    def middleware(self, *, agent: Agent | str, roles: Sequence[str] = ()) -> AgentMiddleware[Any, Any]:
        """A middleware for LangChain's ``create_agent``, which seals its model and tools and opens its runs.

        Of an ``Agent``, its budget, soft limits, labels and ``cheaper`` model hold, too.
        """
        from openclaw.graph import middleware

        return middleware(
            agent=agent,
            roles=roles,
            gate=self.gate,
            ledger=self.ledger,
            on_refusal=self._on_refusal,
            rights=self._rights,
        )

    def decide(self, action: Action, *, run: Run | None = None) -> Decision:
        """Ask the policy without acting: nothing is recorded, nothing reserved."""
        return self.gate.decide(action, run=run)

    def halt(self, *, workflow: str = "", agent: str = "", run: str = "", by: str, reason: str = "") -> Halt:
        """Stop an agent, a workflow, a run, or everything where none is named, in every process that shares the store.

        From the next pass of the gate on, their calls are refused (``Halted``); streams and calls on an event loop end within
        a second. Several names together mean what fits all of them. It holds until ``resume``, and is recorded.

        Raises:
            ConfigurationError: nobody is named in ``by``.
            StoreError: the database cannot be written.
        """
        return self.gate.halts.halt(Target(workflow=workflow, agent=agent, run=run), by=by, reason=reason)

    def resume(self, *, workflow: str = "", agent: str = "", run: str = "", by: str, reason: str = "") -> Halt:
        """Lift the halt that was laid with exactly these names.

        Raises:
            ConfigurationError: nobody is named in ``by``, or there is no such halt.
        """
        return self.gate.halts.resume(Target(workflow=workflow, agent=agent, run=run), by=by, reason=reason)

    def halts(self) -> list[Halt]:
        """The halts that stand, oldest first."""
        return self.gate.halts.list()

    def reload(self) -> Reload:
        """Look for changed policies now; what is found is checked and tested, and decides from now on if it is good.

        Calls that are going on end under the policies that they began with. What it comes to is recorded. The candidate of
        ``shadow`` is looked for too.

        Raises:
            ConfigurationError: these policies do not come from a place that can be looked at again.
            StoreError: it could not be recorded, and nothing has changed.
        """
        if self.shadow is not None and isinstance(self.shadow.candidate, LivePolicy):
            self.shadow.candidate.reload()
        if not isinstance(self.policy, LivePolicy):
            raise ConfigurationError(
                f"the policies of `{self.policy.name}` are not loaded from here",
                hint="an OPA server follows its own bundles; give `Opa(…, policies=…)`, a folder or a bundle to reload them",
            )
        return self.policy.reload()

    def close(self) -> None:
        """Make everything durable, sign a last checkpoint, and give back what is open. Closing twice is fine."""
        if self._store.closed:
            return
        try:
            if self.shadow is not None:
                self.shadow.close()
            self.gate.close()
            self.audit.checkpoint_if_grown()
        finally:
            self._give_back()

    def _begin(
        self, engine: PolicyEngine, shadow: Policies | PolicyEngine | None, outside_runs: Agent | str | None
    ) -> None:
        """Say what decides from now on, and look and listen for what comes by itself."""
        self._record_policy()
        if shadow is not None:
            self._open_shadow(shadow)
        self._follow(engine)
        self._receive(outside_runs)

    def _receive(self, agent: Agent | str | None) -> None:
        """Take what is done outside of any run for what this agent does; nobody: leave it refused."""
        if agent is None:
            return
        from openclaw.graph import scope
        from openclaw.graph.agent import identity_of
        from openclaw.graph.compile import declared_budgets

        if not isinstance(agent, str):
            self.ledger.declare(declared_budgets(agent))
        scope.receive(self.gate, identity_of(agent))
        self._receives = True

    def _give_back(self) -> None:
        """Close what is open, from the top down: the log may be signing, with a connection of its own."""
        if self._receives:
            from openclaw.graph import scope

            scope.withdraw(self.gate)
        try:
            if self.shadow is not None:
                self.shadow.close()
            self.audit.close()
        finally:
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
        body: dict[str, JsonValue] = {"revision": self.policy.revision, "engine": self.policy.name}
        for limit in (1, RECENT):  # It is nearly always the last one, and looking for more reads more of the log.
            recent = self.audit.entries(kind="policy", limit=limit, newest_first=True)
            last = next((entry.body for entry in recent if _says_what_decides(entry)), None)
            if last is not None:
                break
        else:
            last = {}
        if {key: last.get(key) for key in body} != body:
            self.audit.append(Draft(kind="policy", body=body))

    def _follow(self, engine: PolicyEngine, *, shadow: bool = False) -> None:
        """Record what becomes of policies that change, and let them look by themselves if they are to."""
        if isinstance(engine, LivePolicy):
            engine.watch(lambda found: self._record_reload(found, shadow=shadow))
            engine.start()

    def _record_reload(self, found: Reload, *, shadow: bool) -> None:
        body: dict[str, JsonValue] = {"event": found.outcome, "where": found.where, "revision": found.revision}
        body |= {"engine": found.engine}
        if shadow:
            body["shadow"] = True
        if found.outcome == "replaced":
            body |= {"previous": found.previous, "tests": found.tests}
        else:
            body |= {"reasons": [*found.reasons]}
        body |= {key: value for key in ("candidate", "named", "signed") if (value := getattr(found, key))}
        self.audit.append(Draft(kind="policy", body=body))

    def _open_shadow(self, policies: Policies | PolicyEngine) -> None:
        from openclaw.review.shadow import Shadow

        def open_candidate() -> PolicyEngine:
            engine = open_live(policies)
            self._follow(engine, shadow=True)
            return engine

        self.shadow = Shadow(open_candidate, self.audit)
        self.gate.observer = self.shadow.observe
        self.shadow.start()


def _says_what_decides(entry: Entry) -> bool:
    return entry.body.get("event", "replaced") == "replaced" and not entry.body.get("shadow")


__all__ = ["Desk", "Governance", "key_files"]
