"""The run that is under way: who acts, through which gate, and what has entered the context so far.

A context variable carries it. The compiled graph sets it around every step (``graph.compile``), so it follows the work
into threads, tasks and subgraphs; where it is missing, nothing governed runs. It holds for exactly one drive of the
graph's iterator: a context variable set inside a generator would leak to whoever drives that generator.
"""

from __future__ import annotations

import hashlib
import heapq
import threading
from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, cast

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.runnables.config import var_child_runnable_config

from openclaw.action import Principal, Run
from openclaw.budget import Also, Budget, Soft, Stage
from openclaw.budget.account import label_accounts
from openclaw.canonical import digest
from openclaw.delegation import DELEGATORS_MAX, Rights
from openclaw.errors import ConfigurationError, Refused, Ungoverned
from openclaw.flow import Flow, Source
from openclaw.graph.bodies import BODY, UNVOUCHED
from openclaw.graph.tally import Tally

if TYPE_CHECKING:
    from pydantic import JsonValue

    from openclaw.gate import Gate, Permit
    from openclaw.graph.agent import Identity

OnRefusal = Literal["message", "raise"]

MARK = "openclaw"
"""Key under which a message that openclaw wrote itself says so."""

AGENT = "_openclaw_agent"
"""Instance attribute of a bound copy: the agent it always acts as."""

LABELS = "openclaw_labels"
"""Key under which the ``configurable`` part of a run's configuration has its labels."""

_ORDINALS_MAX = 10_000
_CHAIN_MAX = 32


Step = tuple[str, int]
"""Where calls are made side by side: the graph within which they run, by its place in the run, and the step of it."""


@dataclass(frozen=True, slots=True)
class _Later:
    """What a call has returned, for those that come after its step."""

    source: Source
    content: object
    args: Mapping[str, object]


@dataclass(slots=True)
class _Numbers:
    """The numbers of equal executions: the next one, and those that were taken back."""

    next: int = 0
    free: list[int] = field(default_factory=list[int])


class Shared:
    """What all steps of one run share: the flow of values, the tally of calls, and ordinals. Safe to use from threads."""

    def __init__(self, *, tally: Tally | None = None) -> None:
        self._lock = threading.Lock()
        self.tally = tally or Tally()
        self._flow = Flow()
        self._seen: set[str] = set()
        self._fed: tuple[int, str] = (0, "")
        self._later: dict[Step, list[_Later]] = {}
        self._ordinals: OrderedDict[str, _Numbers] = OrderedDict()

    def ordinal(self, identity: str) -> int:
        """How many equal executions this one follows, so that a deliberate second call is not taken for a re-run."""
        with self._lock:
            numbers = self._ordinals.pop(identity, None) or _Numbers()
            self._ordinals[identity] = numbers
            while len(self._ordinals) > _ORDINALS_MAX:
                self._ordinals.popitem(last=False)
            if numbers.free:
                return heapq.heappop(numbers.free)
            numbers.next += 1
            return numbers.next - 1

    def ended(self, execution: Execution, status: str, permit: Permit) -> None:
        """One that came to nothing may be tried again, under its name: a node that is resumed then finds what came of the last
        try, and not of the first one. What a person has agreed to is used up by one try: another one is asked anew."""
        if status in {"failed", "cancelled"} and permit.document.get("approval") is None:
            self.comes_again(execution)

    def comes_again(self, execution: Execution) -> None:
        """Take an ordinal back: an equal execution is going to be the same one."""
        with self._lock:
            numbers = self._ordinals.get(execution.identity)
            if numbers is not None:
                heapq.heappush(numbers.free, execution.ordinal)

    def see(
        self, source: Source, content: object, *, key: str | None = None, args: Mapping[str, object] | None = None
    ) -> None:
        """Feed one value into the flow, with the arguments of the call that returned it; one ``key`` is fed once."""
        with self._lock:
            if key is not None:
                if key in self._seen:
                    return
                self._seen.add(key)
            self._flow.see(source, content, args=args)

    def returned(self, source: Source, content: object, args: Mapping[str, object], *, step: Step | None) -> None:
        """Feed what a call of ``step`` has returned: at once, or, where others are made side by side with it, to whoever comes
        after them. So what they hear of each other does not depend on which of them is quicker."""
        with self._lock:
            if step is None:
                self._flow.see(source, content, args=args)
            else:
                self._later.setdefault(step, []).append(_Later(source, content, args))

    def unseen(self, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
        """The messages after those of the transcript's beginning that were fed before: a transcript mostly grows."""
        count, last = self._fed
        return messages[count:] if last and len(messages) >= count and messages[count - 1].id == last else messages

    def fed(self, messages: Sequence[BaseMessage]) -> None:
        """Say that all of these are fed. Only afterwards: a call beside this one must not be judged without them."""
        if messages and messages[-1].id:
            self._fed = (len(messages), messages[-1].id)

    @property
    def untrusted(self) -> bool:
        """Has anything untrusted been read in this run?"""
        with self._lock:
            return self._flow.untrusted

    def describe(self, args: Mapping[str, object], *, step: Step | None = None) -> dict[str, JsonValue] | None:
        """The ``flow`` part of the policy input for these arguments of a call of ``step``; None where nothing is known."""
        with self._lock:
            for over in [other for other in self._later if other != step]:
                for one in self._later.pop(over):
                    self._flow.see(one.source, one.content, args=one.args)
            return self._flow.describe(args)


class _Unknown(Shared):
    """What is shared outside of any run: nothing, and nobody knows what was read before."""

    def describe(self, args: Mapping[str, object], *, step: Step | None = None) -> dict[str, JsonValue] | None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One run as one step of it sees it.

    ``origin`` is the delegation chain that led into this graph. ``rights``: what those get that work is handed down to.
    ``reroutes``: another model stands by, so that a model which
    the policy does not want here says so by raising ``Misrouted``, and says nothing to whoever reads the stream. ``stages`` of
    ``soft`` hold, as far as ``staged`` says that somebody has looked. ``last``: an agent's last answer is under way, which may
    use what ``soft`` keeps for it. ``labels`` are those that the run was given, ``also`` the accounts besides its own that it
    draws on. ``fed``: what calls return comes into the flow by the transcript, which is fed before each step.
    """

    gate: Gate
    run: Run
    principal: Principal
    origin: tuple[str, ...] = ()
    on_refusal: OnRefusal = "message"
    rights: Rights = "own"
    trust: Mapping[str, str] = field(default_factory=dict[str, str])
    shared: Shared = field(default_factory=Shared)
    reroutes: bool = False
    soft: Soft | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    also: Also = field(default_factory=dict[str, Budget | None])
    stages: tuple[Stage, ...] = ()
    staged: bool = False
    last: bool = False
    fed: bool = False

    def acting(self, principal: Principal, soft: Soft | None = None, also: Also | None = None) -> Scope:
        """This run with another principal, whose delegation chain goes on from the one that holds now; its soft limits; and
        the accounts besides its own that it draws on."""
        return replace(self, principal=principal, soft=soft, also=also or {}, stages=(), staged=False, last=False)

    def moment(self, *, calls: int | None = None, repeats: int = 0) -> Run:
        """The run as the policy sees it at this very step: ``calls`` before this one, ``repeats`` of them equal to it."""
        step = (var_child_runnable_config.get() or {}).get("metadata", {}).get("langgraph_step")
        counted = {"calls": self.shared.tally.calls if calls is None else calls, "repeats": repeats}
        return self.run.model_copy(update={"step": step if isinstance(step, int) else self.run.step, **counted})


_CURRENT: ContextVar[Scope | None] = ContextVar("openclaw_scope", default=None)


def current() -> Scope | None:
    """The run under way, or None."""
    return _CURRENT.get()


def require(name: str) -> Scope:
    """The run under way; or that of whoever receives what comes from outside of any run.

    Raises:
        Ungoverned: there is none, so nothing governed may start. ``name`` is what tried.
    """
    scope = _CURRENT.get()
    if scope is not None:
        return scope
    with _receiving:
        if len(_RECEIVERS) == 1:
            (receiver,) = _RECEIVERS.values()
            return replace(receiver, shared=_Unknown())
        several = len(_RECEIVERS)
    raise Ungoverned(
        f"`{name}` is governed and was reached outside of any run"
        + (f", and {several} governances would receive it" if several else ""),
        name=name,
        hint="run it from a graph that `Governance.compile` returned; it takes your own StateGraph too",
    )


_RECEIVERS: dict[int, Scope] = {}
_receiving = threading.Lock()


def receive(gate: Gate, identity: Identity) -> None:
    """From now on, what is reached outside of any run is decided on and recorded by ``gate``, as done by ``identity``.

    All of it is one run. What was read before is not known, and so the policy hears nothing of it. Where several gates receive,
    none does.
    """
    run = gate.open_run(workflow=identity.name, thread=None, resumed=False)
    with _receiving:
        scope = Scope(gate=gate, run=run, principal=identity.principal())
        also = draws_on(scope, scope.principal, identity.labels, identity.per_run(scope.principal.account))
        _RECEIVERS[id(gate)] = scope.acting(scope.principal, identity.soft, also)


def withdraw(gate: Gate) -> None:
    """``gate`` receives nothing any more."""
    with _receiving:
        _RECEIVERS.pop(id(gate), None)


@contextmanager
def entered(scope: Scope) -> Generator[Scope]:
    """Make ``scope`` the run under way. For plain functions, never around a ``yield`` of a generator."""
    token = _CURRENT.set(scope)
    try:
        yield scope
    finally:
        _CURRENT.reset(token)


def delegated(chain: Sequence[str], agent: str) -> tuple[str, ...]:
    """The delegation chain after control passes to ``agent``: the origin always stays, the middle of a very long one goes."""
    longer = (*chain, agent) if not chain or chain[-1] != agent else tuple(chain)
    return longer if len(longer) <= _CHAIN_MAX else (longer[0], *longer[-(_CHAIN_MAX - 1) :])


def delegate(principal: Principal, by: Principal, rights: Rights) -> Principal:
    """``principal`` as somebody that ``by`` hands work down to: for all that ``by`` acts for, and for itself where rights shrink.

    Where they are more than can be asked for, those go that differ from another one in nothing but the chain, the newest first.

    Raises:
        Refused: more different principals than can be asked for.
    """
    delegators = by.delegators
    if rights == "shrinking" and _who(by) != _who(principal):
        delegators = (*delegators, by.model_copy(update={"delegators": ()}))
    if len(delegators) > DELEGATORS_MAX:
        first: dict[Principal, Principal] = {}
        for one in delegators:
            first.setdefault(_who(one), one)
        repeated = [one for one in delegators if one not in first.values()]
        delegators = tuple(one for one in delegators if one not in repeated[DELEGATORS_MAX - len(first) :])
    if len(delegators) > DELEGATORS_MAX:
        raise Refused(
            f"`{principal.agent}` would act for more than {DELEGATORS_MAX} others, and not all of them can be asked for",
            source="gate",
            hint="hand work down by fewer steps",
        )
    return principal if delegators == principal.delegators else principal.model_copy(update={"delegators": delegators})


def _who(principal: Principal) -> Principal:
    """A principal but for how it came to act."""
    return principal.model_copy(update={"chain": (), "delegators": ()})


def of_run(also: Also, principal: Principal, run: str) -> dict[str, Budget | None]:
    """Of the accounts that somebody draws on, those of the run that lie above ``principal``, too: it spends within them."""
    end = f"/run/{run}"
    return {
        account: budget
        for account, budget in also.items()
        if account.endswith(end) and f"{principal.account}/".startswith(f"{account.removesuffix(end)}/")
    }


def draws_on(
    scope: Scope,
    principal: Principal,
    labels: Mapping[str, str] = MappingProxyType({}),
    per_run: Mapping[str, Budget] = MappingProxyType({}),
) -> dict[str, Budget | None]:
    """The accounts besides its own that ``principal`` draws on in this run, with the limits of those that are new.

    They are those of its own ``labels``, which go before labels of the same name that the run was given; and of the run, above
    it and its own. ``per_run``: what each run may spend, by the account that it belongs to.
    """
    also: dict[str, Budget | None] = dict.fromkeys(label_accounts(principal.account, {**scope.labels, **labels}))
    also |= of_run(scope.also, principal, scope.run.id)
    for account, budget in per_run.items():
        if f"{principal.account}/".startswith(f"{account}/"):
            also[f"{account}/run/{scope.run.id}"] = budget
    return also


def given_labels(configurable: Mapping[str, object]) -> Mapping[str, str]:
    """The labels that a run was given in its configuration, ``{"configurable": {"openclaw_labels": {"customer": "acme"}}}``.

    Raises:
        ConfigurationError: they are no names and values.
        BudgetError: one of them cannot be a label.
    """
    labels = configurable.get(LABELS)
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        raise ConfigurationError(
            f"`{LABELS}` of a run are {type(labels).__name__}, not names and values",
            hint=f'give {{"configurable": {{"{LABELS}": {{"customer": "acme"}}}}}}',
        )
    given = dict(cast("Mapping[str, str]", labels))
    label_accounts("org/any", given)
    return given


def acting(thing: object, scope: Scope) -> Scope:
    """The run as ``thing`` sees it, with the limits of the agent that it is bound to, if it is bound to one."""
    agent = bound_to(thing)
    if agent is None:
        return scope
    principal = acting_principal(thing, scope)
    if scope.staged and principal is scope.principal:
        return scope
    if agent.budget is not None:  # its graph has declared it, unless nobody could see what a node would hold
        scope.gate.declare(principal.account, agent.budget)
    same = agent.name == scope.principal.agent
    also = draws_on(scope, principal, agent.labels, agent.per_run(principal.account))
    return scope.acting(
        principal, agent.soft or (scope.soft if same else None), {**scope.also, **also} if same else also
    )


def bound_to(thing: object) -> Identity | None:
    """The agent that a tool or model always acts as, if it does."""
    return getattr(thing, "__dict__", {}).get(AGENT)


def acting_principal(thing: object, scope: Scope) -> Principal:
    """Who acts when ``thing`` runs in ``scope``: the agent it is bound to, or else the scope's principal.

    A graph that has the name of the agent says nothing of its roles: they are those that the binding gives, if it gives any.
    """
    agent, now = bound_to(thing), scope.principal
    if agent is None:
        return now
    if agent.name != now.agent:
        chain = delegated(now.chain, agent.name)
        own = agent.principal(workflow=now.workflow, org=now.org, chain=chain)
    else:
        given = {"roles": agent.roles or now.roles, "on_behalf_of": agent.on_behalf_of or now.on_behalf_of}
        if given == {"roles": now.roles, "on_behalf_of": now.on_behalf_of}:
            return now
        own = now.model_copy(update=given)
    return delegate(own, now, scope.rights)


@dataclass(frozen=True, slots=True)
class Task:
    """Where LangGraph runs us: the thread, and the task of it, which is the same again when a node is re-run. ``graph``: the
    place of the graph that the task is of."""

    thread: str | None
    identity: str
    checkpointed: bool
    graph: str = ""


def task() -> Task:
    """The LangGraph task under way; outside of one, a task that cannot be re-run and cannot wait."""
    configurable: Mapping[str, object] = (var_child_runnable_config.get() or {}).get("configurable") or {}
    thread = configurable.get("thread_id")
    place = str(configurable.get("checkpoint_ns") or "")
    identity = f"{place}#{configurable.get('__pregel_task_id') or ''}"
    # LangGraph hands its checkpointer to tasks under this key; there is no public way to ask a running task for it.
    checkpointed = bool(configurable.get("__pregel_checkpointer")) and identity != "#"
    return Task(
        thread=None if thread is None else str(thread),
        identity=identity,
        checkpointed=checkpointed,
        graph=place.rpartition("|")[0],
    )


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution: what it is a run of, its number among equal ones, and the key that names it; None: nothing can run again."""

    identity: str
    ordinal: int
    key: str | None


def execution(
    scope: Scope, where: Task, *, name: str, call_id: str, args: Mapping[str, object], args_digest: str = ""
) -> Execution:
    """Name this very execution. ``args_digest`` is the digest of ``args`` where it is known.

    The same name after an interrupt, a crash or a failure (same thread, task, call, tool and arguments), another one for an equal
    call that follows one which has been answered: that is a new execution, and is decided and recorded as one.
    """
    if not where.checkpointed:
        return Execution("", 0, None)
    identity = f"{where.thread}\0{where.identity}\0{call_id}\0{name}\0{args_digest or digest(args)}"
    ordinal = scope.shared.ordinal(identity)
    key = hashlib.sha256(f"{identity}\0{ordinal}".encode("utf-8", "surrogatepass")).hexdigest()
    return Execution(identity, ordinal, key)


def see_messages(scope: Scope, messages: Sequence[BaseMessage]) -> None:
    """Feed the flow from a transcript: what people and the graph's author wrote, and what tools returned.

    Inside of a tool, what stands for a person's message is the tool's composition, and no source; nor is what a model wrote: its
    values came from somewhere else, or from nowhere. A tool that declares no trust is untrusted.
    """
    for message in scope.shared.unseen(messages):
        if isinstance(message, AIMessage):
            continue
        if MARK in message.additional_kwargs:
            continue  # A refusal of ours: the tool was not run, nothing of its came in.
        key = f"{message.type}:{message.id or digest(message.content)}"
        if isinstance(message, ToolMessage):
            call = _call_of(messages, message.tool_call_id)
            # The name in the call, not the one in the result, which the tool itself may have written.
            name, args = (call["name"], call["args"]) if call else (message.name or "unknown", {})
            vouches = call is not None and message.status != "error" and scope.trust.get(name) == "trusted"
            vouches = vouches and UNVOUCHED not in message.additional_kwargs
            source = Source(kind="tool", name=name, trust="trusted" if vouches else "untrusted")
            scope.shared.see(source, cast("object", message.content), key=key, args=args)
        elif BODY.get() is None or isinstance(message, SystemMessage):
            source = Source(kind="prompt", name="prompt", trust="trusted")
            scope.shared.see(source, cast("object", message.content), key=key)
    scope.shared.fed(messages)


def _call_of(messages: Sequence[BaseMessage], call_id: str) -> ToolCall | None:
    """The call that a result answers, from the message that made it."""
    for message in messages:
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                if call["id"] == call_id:
                    return call
    return None
