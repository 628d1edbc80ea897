"""Descriptions of agents: what is read of them, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw.errors import ConfigurationError
from openclaw.policy.agents import AgentSpec, ToolSpec, choose_agent, read_agents

DESK = """\
agents:
  - name: refunds
    workflow: returns
    roles: payer
    tools:
      - {name: refund, tags: [money], args: {order: {type: string}, amount: {type: integer}}, optional: [amount]}
      - name: ping
    models: [{provider: acme, name: small-1, sites: [eu]}]
    handoffs: [orders]
"""


def read(folder: Path, text: str, name: str = "desk.yaml") -> list[AgentSpec]:
    (folder / name).write_text(text)
    return read_agents(folder / name)


def test_a_description_is_read(tmp_path: Path) -> None:
    (agent,) = read(tmp_path, DESK)
    refund, ping = agent.tools
    assert (agent.name, agent.workflow, agent.org, agent.roles) == ("refunds", "returns", "default", ("payer",))
    assert refund.parameters == {"order": {"type": "string"}, "amount": {"type": "integer"}}
    assert refund.required == {"order"}
    assert ping.parameters == {}
    assert agent.models[0].sites == ("eu",)


@pytest.mark.parametrize(
    "text",
    [
        "name: a\n",
        "- name: a\n",
        "agents: [{name: a}]\n",
        '{"name": "a"}',
        '[{"name": "a"}]',
        '{"agents": [{"name": "a"}]}',
    ],
)
def test_one_agent_or_a_list_of_them_in_yaml_or_json(tmp_path: Path, text: str) -> None:
    assert [agent.name for agent in read(tmp_path, text)] == ["a"]


def test_a_whole_schema_says_what_is_required() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": True},
        "required": ["a"],
        "$defs": {"A": {"type": "string"}},
    }
    tool = ToolSpec(name="t", args=schema)  # type: ignore[arg-type]
    assert tool.parameters == {"a": {"$ref": "#/$defs/A"}, "b": {}}
    assert tool.required == {"a"}
    assert tool.definitions == {"A": {"type": "string"}}
    assert ToolSpec(name="t", args={"type": "object"}).parameters == {}


def test_a_parameter_may_be_called_type() -> None:
    assert ToolSpec(name="t", args={"type": {"type": "string"}}).parameters == {"type": {"type": "string"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agents: [{nam: a}]", "is wrong at `agents.0.name`: Field required"),
        ("agents: [{name: a, tool: []}]", "is wrong at `agents.0.tool`: Extra inputs are not permitted"),
        ("agents: [{name: a, tools: [{name: t, args: 1}]}]", "is wrong at `agents.0.tools.0.args`"),
        ("agents: 1", "is wrong at `agents`"),
        ("", "is wrong at `agents`"),
        ("a: [", "is neither YAML nor JSON"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_agents(tmp_path / "none.yaml")


def test_an_agent_is_chosen_by_name_and_by_workflow() -> None:
    agents = [AgentSpec(name="a", workflow="x"), AgentSpec(name="a", workflow="y"), AgentSpec(name="b")]
    assert choose_agent(agents, "b").name == "b"
    assert choose_agent(agents, "y/a").workflow == "y"
    with pytest.raises(ConfigurationError, match="more than one agent is called `a`; say which: x/a, y/a, b"):
        choose_agent(agents, "a")
    with pytest.raises(ConfigurationError, match="no agent is called `c`; described are x/a"):
        choose_agent(agents, "c")
