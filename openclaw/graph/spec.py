"""Agents and workflows described in a YAML file, so that those who answer for them can review them without reading Python.

    name: returns
    rights: shrinking                   # or `own`; see openclaw.delegation
    budget: {tokens: 100000, usd: "1.50", calls: 200, window: day}
    agents:
      - name: triage
        model: small                    # a name in `models=`, or `provider:name`
        tools: [lookup_order]           # names of the tools that are given in `tools=`
        roles: [reader]
        prompt: Find the order, then hand over.
      - name: refunds
        model: openai:gpt-4o
        alternatives: [small]
        tools: [refund]
        roles: [payer]
        on_behalf_of: user:ada
        budget: {tokens: 20000}
        labels: {team: payments}
        soft: {warn: 80, cheaper: 90}
        cheaper: small

The file names tools and models; it never names code. What is unknown, missing, misspelt or written twice is refused with its
place.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openclaw.action import DEFAULT_ORG
from openclaw.budget import Budget, Soft
from openclaw.delegation import Rights
from openclaw.errors import ConfigurationError, OpenClawError
from openclaw.graph.agent import Agent
from openclaw.graph.workflow import Workflow
from openclaw.policy.documents import BadDocument
from openclaw.policy.yaml_documents import read_yaml


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AgentFile(_Described):
    """One agent of the file; see ``Agent`` for what each part means."""

    name: str
    model: str
    tools: list[str] = Field(default_factory=list[str])
    roles: list[str] = Field(default_factory=list[str])
    budget: Budget | None = None
    prompt: str | None = None
    on_behalf_of: str | None = None
    alternatives: list[str] = Field(default_factory=list[str])
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    soft: Soft | None = None
    cheaper: str | None = None


class WorkflowFile(_Described):
    """The file; see ``Workflow``. The first agent is the entry."""

    name: str
    agents: list[AgentFile] = Field(min_length=1)
    budget: Budget | None = None
    org: str = DEFAULT_ORG
    rights: Rights | None = None
    priority: int | None = None


def read_workflow(
    path: str | Path, *, tools: Sequence[BaseTool] = (), models: Mapping[str, BaseChatModel] | None = None
) -> Workflow:
    """The workflow that a YAML (or JSON) file describes, made of these tools and models.

    Args:
        path: the file; see the module for its form.
        tools: every tool that an agent may name. One that no agent names is in nobody's hands.
        models: models by the names that the file uses; any other name is a ``provider:name`` of LangChain's ``init_chat_model``.

    Raises:
        ConfigurationError: the file cannot be read, or is wrong; the message has the place, the hint the way out.
    """
    described = _read(Path(path))
    known = {tool.name: tool for tool in tools}
    if len(known) != len(tools):
        twice = next(name for name in known if sum(tool.name == name for tool in tools) > 1)
        raise ConfigurationError(f"two of the given tools are named `{twice}`", hint="rename one of them")
    agents = [_agent(path, at, agent, known, models or {}) for at, agent in enumerate(described.agents)]
    with _at(path, ""):
        return Workflow(
            described.name,
            agents=agents,
            budget=described.budget,
            org=described.org,
            rights=described.rights,
            priority=described.priority,
        )


@contextmanager
def _at(path: str | Path, place: str) -> Generator[None]:
    """Say where in the file stands what is wrong."""
    try:
        yield
    except OpenClawError as error:
        where = f" at `{place}`" if place else ""
        raise ConfigurationError(f"the workflow `{path}` is wrong{where}: {error.message}", hint=error.hint) from error


def _read(path: Path) -> WorkflowFile:
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the workflow `{path}` cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the workflow `{path}` is not UTF-8") from error
    except BadDocument as error:
        raise ConfigurationError(f"the workflow `{path}` is no YAML: {error}") from error
    if not isinstance(document, dict):
        held = "empty" if document is None else "a list" if isinstance(document, list) else "a single value"
        raise ConfigurationError(f"the workflow `{path}` is {held}, and no workflow", hint=_PARTS)
    try:
        return WorkflowFile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = _SAID.get(first["type"], first["msg"].removeprefix("Value error, "))
        raise ConfigurationError(
            f"the workflow `{path}` is wrong at `{where}`: {said}",
            hint=_hint(str(first["type"]), first["loc"]),
        ) from error


_SAID = {"extra_forbidden": "there is no such part", "missing": "it is missing"}
_PARTS = (
    "a workflow has name, agents, budget, org, rights and priority; "
    "an agent name, model, tools, roles, budget, prompt, on_behalf_of, alternatives, labels, soft and cheaper"
)


def _hint(kind: str, place: tuple[int | str, ...]) -> str:
    if kind == "extra_forbidden" and place:
        agent = [*AgentFile.model_fields, *Budget.model_fields, *Soft.model_fields]
        fields = agent if "agents" in place else list(WorkflowFile.model_fields)
        close = difflib.get_close_matches(str(place[-1]), fields, n=1)
        if close:
            return f"did you mean `{close[0]}`?"
    return _PARTS


def _agent(
    path: str | Path, at: int, agent: AgentFile, tools: Mapping[str, BaseTool], models: Mapping[str, BaseChatModel]
) -> Agent:
    for name in agent.tools:
        if name not in tools:
            raise ConfigurationError(
                f"the workflow `{path}` is wrong at `agents.{at}.tools`: there is no tool `{name}`",
                hint=f"given are {', '.join(tools) or 'none'}: give it in `tools=`",
            )
    named = [
        ("model", agent.model),
        *(("alternatives", name) for name in agent.alternatives),
        ("cheaper", agent.cheaper),
    ]
    for place, name in named:
        if name is not None and name not in models and ":" not in name:
            raise ConfigurationError(
                f"the workflow `{path}` is wrong at `agents.{at}.{place}`: there is no model `{name}`",
                hint=f"given are {', '.join(models) or 'none'}: give it in `models=`, or write `provider:name`",
            )
    with _at(path, f"agents.{at}"):
        return Agent(
            agent.name,
            model=models.get(agent.model, agent.model),
            tools=[tools[name] for name in agent.tools],
            roles=agent.roles,
            budget=agent.budget,
            prompt=agent.prompt,
            on_behalf_of=agent.on_behalf_of,
            alternatives=[models.get(name, name) for name in agent.alternatives],
            labels=agent.labels,
            soft=agent.soft,
            cheaper=None if agent.cheaper is None else models.get(agent.cheaper, agent.cheaper),
        )


__all__ = ["AgentFile", "WorkflowFile", "read_workflow"]
