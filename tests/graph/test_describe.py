"""Agents as policies will know them: what is told before a run is what the gate then sees."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, ConfigDict, Field

from openclaw import Agent, Workflow
from openclaw.errors import ConfigurationError
from openclaw.graph.describe import describe
from openclaw.policy.situations import calls_of
from openclaw.testing import ScriptedModel
from tests.graph.house import House

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


class Payment(BaseModel):
    amount: int = Field(ge=1, le=500)
    currency: str = "EUR"


@tool(args_schema=Payment)
def pay(amount: int, currency: str) -> str:
    """Pay."""
    return "paid"


def model(*script: Any, name: str = "small") -> ScriptedModel:
    return ScriptedModel(script, model_name=name, metadata={"sites": ["eu"]})


def test_an_agent_is_told_with_its_tools_and_their_schemas() -> None:
    (agent,) = describe(Agent("refunds", model=model(), tools=[pay], roles=["payer"], on_behalf_of="user:ann"))
    assert (agent.name, agent.workflow, agent.roles, agent.on_behalf_of, agent.chain) == (
        "refunds",
        "",
        ("payer",),
        "user:ann",
        ("refunds",),
    )
    (spec,) = agent.tools
    assert spec.validated
    assert spec.parameters["amount"]["minimum"] == 1
    assert spec.required == {"amount"}
    assert agent.models[0].model_dump() == {"name": "small", "provider": "scripted", "sites": ("eu",)}


def test_a_tool_whose_arguments_nobody_validates_says_so() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "title": "T"}
    loose = StructuredTool(name="loose", description="Loose.", args_schema=schema, func=lambda **given: "")

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        a: str

    opened = StructuredTool(name="opened", description="Open.", args_schema=Open, func=lambda **given: "")
    (agent,) = describe(Agent("a", model="openai:gpt-4o", tools=[loose, opened, pay]))
    assert [(spec.name, spec.validated, [*spec.parameters]) for spec in agent.tools] == [
        ("loose", False, ["a"]),
        ("opened", False, ["a"]),
        ("pay", True, ["amount", "currency"]),
    ]
    assert agent.models[0].model_dump() == {"name": "gpt-4o", "provider": "openai", "sites": ()}


def test_what_is_told_is_what_the_gate_sees(house: House) -> None:
    look = house.tool("look")
    look.tags = ["read"]
    triage = Agent("triage", model=model(("transfer_to_refunds", {}), name="one"), tools=[look])
    refunds = Agent("refunds", model=model(("pay", {"amount": 3}), name="two"), tools=[pay], roles=["payer"])
    desk = Workflow("returns", agents=[triage, refunds], org="acme")
    told = {call.name: call.document({}) for agent in describe(desk) for call in calls_of(agent, NOW)}
    house.compile(desk).invoke({"messages": [("user", "Pay 3.")]})
    seen = [entry.body["input"] for entry in house.entries("decision")]
    assert [document["kind"] for document in seen] == ["model", "handoff", "model", "tool", "model"]
    for document in seen:
        name = document["tool"]["name"] if "tool" in document else f"scripted/{document['model']['name']}"
        for part in ("kind", "principal", "model"):
            assert told[name].get(part) == document.get(part)
        assert told[name].keys() == document.keys()
        if "tool" in document:
            assert told[name]["tool"].get("tags") == document["tool"].get("tags")  # type: ignore[union-attr,call-overload]
    (paid,) = (document for document in seen if document["kind"] == "tool")
    assert paid["tool"]["args"].keys() == describe(desk)[1].tools[0].parameters.keys()


def test_a_list_is_told_one_by_one_and_anything_else_is_refused() -> None:
    one, two = Agent("one", model="x"), Agent("two", model="x")
    assert [agent.name for agent in describe([one, Workflow("w", agents=[two])])] == ["one", "two"]
    with pytest.raises(ConfigurationError, match="`int` is not an Agent or a Workflow"):
        describe(3)
