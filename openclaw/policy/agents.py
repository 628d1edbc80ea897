"""What an agent is to a policy, before it ever runs: who it is and which calls it could make. A description, no code.

    agents:
      - name: refunds
        workflow: returns
        roles: [payer]
        tools:
          - name: refund
            tags: [write, money]
            args:                                 # the parameters as JSON Schema; others than these do not exist
              order: {type: string}
              amount: {type: integer, minimum: 1}
            optional: [amount]                    # may be left out
        models: [{provider: acme, name: small-1, sites: [eu]}]
        handoffs: [orders]

``args`` may also be a whole JSON Schema of an object (with ``properties`` and ``required``), as a tool has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from openclaw.errors import ConfigurationError

Schema = dict[str, JsonValue]
"""A JSON Schema, or a part of one."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolSpec(_Frozen):
    """A tool with the JSON Schema of its parameters.

    Attributes:
        name: as policies see it.
        tags: as policies see them.
        args: the schema of each parameter, or the schema of all of them as an object.
        optional: parameters that may be left out, where ``args`` is no schema with ``required``.
        validated: only arguments that fit the schema reach the policy, as with a LangChain tool whose schema is a pydantic
            model. False: anything may reach it.
    """

    name: str
    tags: tuple[str, ...] = ()
    args: Schema = Field(default_factory=dict)
    optional: tuple[str, ...] = ()
    validated: bool = True

    @property
    def parameters(self) -> dict[str, Schema]:
        """The schema of each parameter."""
        found = self.args.get("properties") if self._whole else self.args
        fields = found if isinstance(found, dict) else {}
        return {name: schema if isinstance(schema, dict) else {} for name, schema in fields.items()}

    @property
    def required(self) -> frozenset[str]:
        """The parameters that are always there."""
        if not self._whole:
            return frozenset(self.parameters) - set(self.optional)
        said = self.args.get("required")
        return frozenset(map(str, said)) if isinstance(said, list) else frozenset()

    @property
    def definitions(self) -> Schema:
        """What ``$ref`` can name."""
        found = self.args.get("$defs") if self._whole else None
        return found if isinstance(found, dict) else {}

    @property
    def _whole(self) -> bool:
        return self.args.get("type") == "object" and isinstance(self.args.get("properties", {}), dict)


class ModelSpec(_Frozen):
    """A chat model that the agent calls, and where it may run."""

    name: str
    provider: str = ""
    sites: tuple[str, ...] = ()


def _one_or_more(value: object) -> object:
    return [cast("object", value)] if isinstance(value, str | dict) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]


class AgentSpec(_Frozen):
    """An agent: who it is, and what it has.

    Attributes:
        chain: the delegation path that leads to it, itself last; only itself where nothing is said.
        handoffs: agents that it can hand over to.
    """

    name: str
    workflow: str = ""
    org: str = "default"
    roles: Names = ()
    on_behalf_of: str | None = None
    chain: Names = ()
    tools: tuple[ToolSpec, ...] = ()
    models: tuple[ModelSpec, ...] = ()
    handoffs: Names = ()


class _Document(_Frozen):
    agents: tuple[AgentSpec, ...]


def read_agents(path: str | Path) -> list[AgentSpec]:
    """The agents that a YAML or JSON file describes: ``agents: […]``, a list of them, or a single one.

    Raises:
        ConfigurationError: the file cannot be read, or describes no agent; the message names the place.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        document = cast("object", yaml.safe_load(text))
    except OSError as error:
        raise ConfigurationError(f"the description `{path}` cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise ConfigurationError(f"the description `{path}` is neither YAML nor JSON: {said}") from error
    try:
        named = isinstance(document, dict) and "agents" in document
        whole: object = cast("object", document) if named else {"agents": _one_or_more(cast("object", document))}
        found = _Document.model_validate(whole).agents
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "agents"
        raise ConfigurationError(
            f"the description `{path}` is wrong at `{where}`: {first['msg']}",
            hint="an agent has name, workflow, roles, tools (name, tags, args), models and handoffs",
        ) from error
    return list(found)


def choose_agent(agents: Sequence[AgentSpec], name: str) -> AgentSpec:
    """The agent of this name, or ``workflow/name`` where several have it.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    found = [agent for agent in agents if name in {agent.name, f"{agent.workflow}/{agent.name}"}]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{agent.workflow}/{agent.name}" if agent.workflow else agent.name for agent in agents)
    if found:
        raise ConfigurationError(f"more than one agent is called `{name}`", hint=f"say which: {known}")
    raise ConfigurationError(f"no agent is called `{name}`", hint=f"described are {known or 'none'}")
