"""Agents as policies know them, told from the objects that will run: names, roles, tools with their schemas, models."""

# LangChain has no public way to what a model is called: see openclaw/graph/metering.py.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool
from pydantic import BaseModel, JsonValue

from openclaw.action import DEFAULT_ORG
from openclaw.canonical import plain
from openclaw.errors import ConfigurationError
from openclaw.graph.agent import Agent
from openclaw.graph.agent_tool import AgentTool
from openclaw.graph.metering import sites_of
from openclaw.graph.workflow import Workflow
from openclaw.policy.agents import AgentSpec, ModelSpec, ToolSpec


def describe(value: object) -> list[AgentSpec]:
    """What an ``Agent``, a ``Workflow`` or a list of them will be to policies. Nothing is sealed or run.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(value, Agent):
        return _with_callees([_agent(value)], [value], None)
    if isinstance(value, Workflow):
        return _with_callees([_agent(agent, value) for agent in value.agents], value.agents, value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [found for one in cast("Sequence[object]", value) for found in describe(one)]
    raise ConfigurationError(
        f"`{type(value).__name__}` is not an Agent or a Workflow", hint="name one, or a list of them"
    )


def _with_callees(specs: list[AgentSpec], agents: Sequence[Agent], workflow: Workflow | None) -> list[AgentSpec]:
    """And the agents that are tools of these, each once, by the shortest way to it."""
    told = {spec.name: spec for spec in specs}
    pending = list(agents)
    for caller in pending:
        for tool in caller.tools:
            if isinstance(tool, AgentTool) and tool.agent.name not in told:
                chain = (*told[caller.name].chain, tool.agent.name)
                told[tool.agent.name] = _agent(tool.agent, workflow).model_copy(update={"chain": chain, "handoffs": ()})
                pending.append(tool.agent)
    return list(told.values())


def _agent(agent: Agent, workflow: Workflow | None = None) -> AgentSpec:
    return AgentSpec(
        name=agent.name,
        workflow=workflow.name if workflow else "",
        org=workflow.org if workflow else DEFAULT_ORG,
        roles=tuple(agent.roles),
        on_behalf_of=agent.on_behalf_of,
        chain=_chain(agent, workflow),
        tools=tuple(map(_tool, agent.tools)),
        models=tuple(map(_model, agent.models)),
        handoffs=tuple(other.name for other in workflow.agents if other is not agent) if workflow else (),
    )


def _chain(agent: Agent, workflow: Workflow | None) -> tuple[str, ...]:
    """The shortest way to it: the conversation starts with the first agent of a workflow."""
    first = workflow.agents[0].name if workflow else agent.name
    return (first,) if first == agent.name else (first, agent.name)


def _tool(tool: BaseTool) -> ToolSpec:
    # Without the arguments that LangGraph injects, which no policy sees.
    schema = cast("object", tool.tool_call_schema)
    name, tags = tool.name, tuple(tool.tags or ())
    if isinstance(schema, dict):
        # LangChain hands over what the model wrote as it is.
        return ToolSpec(name=name, tags=tags, args=_json(cast("object", schema)), validated=False)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return ToolSpec(name=name, tags=tags, args=_json(schema.model_json_schema()), validated=_is_closed(tool))
    fields = _json(tool.args)  # A model of pydantic v1.
    return ToolSpec(name=name, tags=tags, args=fields, optional=tuple(fields))


def _is_closed(tool: BaseTool) -> bool:
    """Whether arguments that the schema does not name are left out, or refused."""
    schema: object = tool.args_schema
    return not (
        isinstance(schema, type) and issubclass(schema, BaseModel) and schema.model_config.get("extra") == "allow"
    )


def _json(schema: object) -> dict[str, JsonValue]:
    found = plain(schema)
    return found if isinstance(found, dict) else {}


def _model(model: BaseChatModel | str) -> ModelSpec:
    if isinstance(model, str):
        provider, _, name = model.rpartition(":")
        return ModelSpec(name=name, provider=provider)
    # What LangChain would trace it as, which is what the gate calls it.
    params = cast("Mapping[str, object]", model._get_ls_params())  # noqa: SLF001
    name, provider = params.get("ls_model_name") or type(model).__name__, params.get("ls_provider") or ""
    return ModelSpec(name=str(name), provider=str(provider), sites=sites_of(model))
