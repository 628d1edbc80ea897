"""What a workflow is: several agents that may hand over to each other, under one budget. A frozen description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from openclaw.action import DEFAULT_ORG
from openclaw.budget import Budget
from openclaw.budget.shares import check_priority
from openclaw.delegation import Rights, check_rights
from openclaw.errors import ConfigurationError
from openclaw.graph.agent import Agent, check_kind, check_name

HANDOFF_PREFIX = "transfer_to_"


@dataclass(frozen=True, slots=True)
class Workflow:
    """Agents that share a conversation. The first is the entry; each gets a tool ``transfer_to_<agent>`` per other agent.

    Args:
        name: as for agents; part of the account path of every agent in it.
        agents: at least one, names unique.
        budget: the limits of the workflow's account, which every agent in it draws on.
        org: the organisation, the outermost account.
        rights: ``shrinking``: after a hand-off an agent may do at most what everybody that it acts for may do (see
            ``openclaw.delegation``); ``own``: what the policy lets it do by itself. Default: as the governance has it.
        priority: its part of the organisation's limits, beside those of the other workflows that have one: 1 to 1,000. None: it
            shares with all the others that have none (``openclaw.budget.shares`` has the rule).

    Raises:
        BudgetError: the priority is none.
        ConfigurationError: a part is of the wrong kind, or two agents have the same name.
    """

    name: str
    _: KW_ONLY
    agents: Sequence[Agent]
    budget: Budget | None = None
    org: str = DEFAULT_ORG
    rights: Rights | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        check_name("workflow", self.name)
        check_name("organisation", self.org)
        if not isinstance(self.agents, Sequence) or isinstance(self.agents, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"agents of workflow `{self.name}` are {type(self.agents).__name__}", hint="give a list"
            )
        object.__setattr__(self, "agents", tuple(self.agents))
        check_kind(
            f"budget of workflow `{self.name}`", self.budget, Budget, hint="give a Budget, such as Budget(calls=200)"
        )
        check_rights(f"rights of workflow `{self.name}`", self.rights)
        if self.priority is not None:
            check_priority(self.account, self.priority)
        if not self.agents:
            raise ConfigurationError(f"workflow `{self.name}` has no agents", hint="give at least one Agent")
        names: set[str] = set()
        for agent in self.agents:
            if not isinstance(agent, Agent):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(
                    f"workflow `{self.name}` holds {type(agent).__name__}, not an Agent", hint="give Agent(…) objects"
                )
            if agent.name in names:
                raise ConfigurationError(
                    f"workflow `{self.name}` has two agents named `{agent.name}`", hint="rename one of them"
                )
            names.add(agent.name)
        self._check_handoff_names(names)

    @property
    def account(self) -> str:
        """Its account: ``org/default/workflow/returns``."""
        return f"org/{self.org}/workflow/{self.name}"

    def _check_handoff_names(self, agents: set[str]) -> None:
        taken = {HANDOFF_PREFIX + name for name in agents} if len(agents) > 1 else set[str]()
        for agent in self.agents:
            for tool in agent.tools:
                if tool.name in taken:
                    raise ConfigurationError(
                        f"tool `{tool.name}` of agent `{agent.name}` has the name of a hand-off", hint="rename the tool"
                    )
