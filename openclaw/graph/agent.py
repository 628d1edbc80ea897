"""What an agent is: a name, a model, tools, roles, perhaps a budget. A frozen description; nothing runs here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from types import MappingProxyType
from typing import Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import SystemMessage
from langchain_core.tools import BaseTool

from openclaw.action import DEFAULT_ORG, Principal
from openclaw.budget import Budget, Soft
from openclaw.budget.account import label_accounts
from openclaw.delegation import Rights, check_rights
from openclaw.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who acts, without saying how: the part of an agent that policies and budgets know.

    ``soft``, ``labels`` and ``budget`` are those of its description, where there is one.
    """

    name: str
    roles: tuple[str, ...] = ()
    on_behalf_of: str | None = None
    soft: Soft | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    budget: Budget | None = None

    def principal(self, *, workflow: str = "", org: str = DEFAULT_ORG, chain: Sequence[str] = ()) -> Principal:
        """This identity inside a workflow, at the end of a delegation chain."""
        return Principal(
            agent=self.name,
            workflow=workflow,
            org=org,
            roles=self.roles,
            on_behalf_of=self.on_behalf_of,
            chain=tuple(chain) or (self.name,),
        )

    def per_run(self, account: str) -> dict[str, Budget]:
        """Its budget of each run, if it has one, by its account."""
        return {account: self.budget} if self.budget is not None and self.budget.window == "run" else {}


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent: a model that may call tools, under a name that policies and budgets refer to.

    Args:
        name: letters, digits, ``_`` and ``-``, at most 50; unique in its workflow.
        model: a LangChain chat model, or ``"provider:name"`` where the ``langchain`` package is installed. Where it runs is
            declared as ``metadata={"sites": ["eu"]}`` on the model; without that nobody knows.
        tools: LangChain tools. Compiling seals them, and the model, in place (see ``openclaw.graph.seal``).
        roles: what policies see in ``principal.roles``.
        budget: the limits of this agent's own account.
        prompt: the system prompt.
        on_behalf_of: the person for whom the agent acts, such as ``user:ada``.
        alternatives: models to call instead, in this order, where a policy (obligation ``route``) does not let one be
            called; each is decided on and recorded by itself.
        soft: how the agent degrades before its budgets stop it: warnings, a cheaper model, shorter answers, a last answer.
        labels: such as ``{"team": "payments"}``: what it spends counts on ``org/<org>/team/payments``, too. They go before
            labels of the same name that a run is given.
        cheaper: the model that is called instead where ``soft`` says so.

    Raises:
        ConfigurationError: a part is of the wrong kind, or two tools have the same name.
        BudgetError: a label cannot be one.
    """

    name: str
    _: KW_ONLY
    model: BaseChatModel | str
    tools: Sequence[BaseTool] = ()
    roles: Sequence[str] = ()
    budget: Budget | None = None
    prompt: str | SystemMessage | None = None
    on_behalf_of: str | None = None
    alternatives: Sequence[BaseChatModel | str] = ()
    soft: Soft | None = None
    cheaper: BaseChatModel | str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def __post_init__(self) -> None:
        check_name("agent", self.name)
        object.__setattr__(self, "tools", tuple(_items(self, "tools", self.tools)))
        object.__setattr__(self, "roles", tuple(_items(self, "roles", self.roles)))
        object.__setattr__(self, "alternatives", tuple(_items(self, "alternatives", self.alternatives)))
        for model in (*self.models, *(() if self.cheaper is None else (self.cheaper,))):
            _check_model(self, model)
        _check_tools(self)
        check_kind(
            f"budget of agent `{self.name}`", self.budget, Budget, hint="give a Budget, such as Budget(tokens=20_000)"
        )
        check_kind(f"soft limits of agent `{self.name}`", self.soft, Soft, hint="give a Soft, such as Soft(warn=80)")
        if self.soft is not None and self.soft.cheaper is not None and self.cheaper is None:
            raise ConfigurationError(
                f"soft limits of agent `{self.name}` switch to a cheaper model, and it has none",
                hint="give it one: Agent(…, cheaper=model)",
            )
        check_kind(
            f"labels of agent `{self.name}`",
            self.labels,
            Mapping,
            hint='give names and values, such as {"team": "payments"}',
        )
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))
        label_accounts("org/any", self.labels)
        if any(not isinstance(role, str) or not role for role in self.roles):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"roles of agent `{self.name}` are not all names", hint='give ["payer", …]')
        if self.prompt is not None and not isinstance(self.prompt, str | SystemMessage):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"prompt of agent `{self.name}` is neither text nor a SystemMessage")

    @property
    def models(self) -> tuple[BaseChatModel | str, ...]:
        """The model and its alternatives, in the order in which they are tried."""
        return self.model, *self.alternatives

    @property
    def identity(self) -> Identity:
        """The part of this agent that policies and budgets know."""
        return Identity(self.name, tuple(self.roles), self.on_behalf_of, self.soft, self.labels, self.budget)

    def as_tool(
        self,
        *,
        name: str = "",
        description: str = "",
        tags: Sequence[str] = (),
        trust: Literal["trusted", "untrusted"] = "untrusted",
        rights: Rights = "shrinking",
        depth_max: int | None = None,
    ) -> BaseTool:
        """This agent as a tool of others: it takes a ``task`` and answers with a text. See ``openclaw.graph.agent_tool``.

        Args:
            name: the tool's name; by default ``ask_<agent>``.
            description: what the calling model reads of it.
            tags: what policies see in ``tool.tags``.
            trust: ``trusted`` vouches for its answers, in runs in which nothing untrusted was read.
            rights: ``shrinking``: the agent, and everything below it, may do at most what everybody may do that it acts for;
                ``own``: what the policy lets it do by itself.
            depth_max: agents that may be under way within each other's calls, at most, this one included; by default 3.

        Raises:
            ConfigurationError: a part is of the wrong kind.
        """
        from openclaw.graph.agent_tool import DEPTH_MAX, AgentTool

        check_rights(f"rights of agent `{self.name}` as a tool", rights)
        if trust not in {"trusted", "untrusted"}:
            raise ConfigurationError(f"trust of agent `{self.name}` is `{trust}`", hint='use "trusted" or "untrusted"')
        known_as = name or f"ask_{self.name}"
        check_name("tool", known_as)
        return AgentTool(
            name=known_as,
            description=description or f"Give the agent `{self.name}` a task, and get its answer.",
            tags=list(tags),
            metadata={"trust": trust},
            agent=self,
            rights=rights,
            depth_max=DEPTH_MAX if depth_max is None else depth_max,
        )


def identity_of(agent: Agent | str, roles: Sequence[str] = ()) -> Identity:
    """The identity of an agent that is described, or only named (then with these roles)."""
    if isinstance(agent, Agent):
        return agent.identity
    check_name("agent", agent)
    return Identity(agent, tuple(roles))


def check_name(what: str, name: object) -> None:
    """Raise ConfigurationError unless ``name`` can stand in tool names and account paths."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{what} name `{name}` cannot be used",
            hint="use letters, digits, `_` and `-`, starting with a letter or digit, at most 50",
        )


def check_kind(what: str, value: object, kind: type[object], *, hint: str) -> None:
    """Raise ConfigurationError unless ``value`` is None or of ``kind``."""
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(f"{what} is {type(value).__name__}, not {kind.__name__}", hint=hint)


def _items(agent: Agent, field: str, value: object) -> Sequence[object]:
    if isinstance(value, str | BaseTool | BaseChatModel) or not isinstance(value, Sequence | set | frozenset):
        raise ConfigurationError(f"{field} of agent `{agent.name}` are {type(value).__name__}", hint="give a list")
    return list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _check_model(agent: Agent, model: object) -> None:
    if isinstance(model, BaseChatModel) or (isinstance(model, str) and model):
        return
    raise ConfigurationError(
        f"model of agent `{agent.name}` is {type(model).__name__}, not a chat model",
        hint='give a LangChain chat model before any `bind`, or "provider:name"',
    )


def _check_tools(agent: Agent) -> None:
    names: set[str] = set()
    for tool in agent.tools:
        if not isinstance(tool, BaseTool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"tool `{getattr(tool, '__name__', tool)}` of agent `{agent.name}` is {type(tool).__name__}, not a tool",
                hint="decorate the function with `@tool` from langchain_core.tools",
            )
        if tool.name in names:
            raise ConfigurationError(
                f"agent `{agent.name}` has two tools named `{tool.name}`", hint="rename one of them"
            )
        names.add(tool.name)
