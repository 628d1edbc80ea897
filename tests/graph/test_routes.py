"""Where a model call runs: a policy names places, an agent has alternatives, and each model is decided on by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langgraph.checkpoint.memory import InMemorySaver

from openclaw.action import ModelCall, Principal
from openclaw.budget import Usage
from openclaw.errors import ConfigurationError, Misrouted
from openclaw.gate import Permit, Refusal, Request
from openclaw.graph import Agent
from openclaw.graph.metering import sites_of
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.house import house as open_house

POLICY = """
package openclaw.policies.house

import rego.v1

allow if true

oblige contains {"kind": "route", "sites": ["eu", "on-premises"]} if {
	input.kind == "model"
	input.principal.agent != "free"
}

oblige contains {"kind": "route", "models": ["acme/small", "house/*"]} if input.principal.agent == "listed"

oblige contains {"kind": "route", "providers": ["house"]} if input.principal.agent == "housed"

oblige contains {"kind": "route"} if input.principal.agent == "empty"

ask contains "a person looks" if input.principal.agent == "asked"
"""
GO: Any = {"messages": [("user", "go")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}


@pytest.fixture
def routed(tmp_path: Path) -> Any:
    with open_house(tmp_path, POLICY) as house:
        yield house


def model(name: str, sites: object = None, script: Sequence[Any] = ("hello",)) -> ScriptedModel:
    return ScriptedModel(script, model_name=name, metadata={"sites": sites} if sites is not None else None)


def decided(house: House) -> list[tuple[str, str, str]]:
    return [(entry.tool, entry.effect, str(entry.body.get("refused_by", ""))) for entry in house.entries("decision")]


def test_the_first_model_that_runs_where_it_must_is_called(routed: House) -> None:
    agent = Agent(
        "solo",
        model=model("us", ["us"]),
        alternatives=[model("both", ["eu", "us"]), model("eu", ["eu"]), model("last")],
    )
    messages = routed.compile(agent).invoke(GO)["messages"]
    assert messages[-1].content == "hello"
    assert messages[-1].response_metadata["model_name"] == "eu"
    assert decided(routed) == [("us", "deny", "policy"), ("both", "deny", "policy"), ("eu", "allow", "")]
    assert [outcome["status"] for outcome in routed.outcomes("eu")] == ["done"]
    assert routed.ledger.balance("org/default/agent/solo").pending == Usage()


async def test_the_same_on_an_event_loop(routed: House) -> None:
    agent = Agent("solo", model=model("us", ["us"]), alternatives=[model("eu", ["eu"])])
    messages = (await routed.compile(agent).ainvoke(GO))["messages"]
    assert messages[-1].response_metadata["model_name"] == "eu"


def test_a_stream_says_nothing_of_the_models_that_were_not_called(routed: House) -> None:
    agent = Agent("solo", model=model("us", ["us"]), alternatives=[model("eu", ["eu"], ["hello there"])])
    said = [
        chunk.content
        for chunk, _ in routed.compile(agent).stream(GO, stream_mode="messages")
        if isinstance(chunk, AIMessageChunk)
    ]
    assert "".join(map(str, said)) == "hello there"


@pytest.mark.parametrize("way", ["message", "raise"])
def test_where_no_model_fits_the_last_refusal_is_the_answer(routed: House, way: str) -> None:
    agent = Agent("solo", model=model("us", ["us"]), alternatives=[model("unknown")])
    graph = routed.compile(agent, on_refusal=way)
    said = "it is not known where model `scripted/unknown` runs, and it must run at `eu` or `on-premises`"
    if way == "raise":
        with pytest.raises(Misrouted, match=said):
            graph.invoke(GO)
    else:
        assert graph.invoke(GO)["messages"][-1].content == f"Stopped by policy: {said}"
    assert decided(routed) == [("us", "deny", "policy"), ("unknown", "deny", "policy")]


def test_without_alternatives_the_call_is_refused_and_says_how_to_declare(routed: House) -> None:
    message = routed.compile(Agent("solo", model=model("us", ["us"]))).invoke(GO)["messages"][-1]
    assert message.content.endswith("may run at `us`, and it must run at `eu` or `on-premises`")
    assert message.response_metadata["openclaw"]["code"] == "misrouted"


def test_tools_are_offered_to_whichever_model_is_called_and_a_resume_takes_the_same_one(routed: House) -> None:
    look = routed.tool("look")
    eu = model("eu", ["eu"], [("look", {"x": 1}), "done"])
    agent = Agent("asked", model=model("us", ["us"]), alternatives=[eu], tools=[look])
    graph = routed.compile(agent, checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    while routed.pending():
        routed.approve_all()
        messages = graph.invoke(None, THREAD)["messages"]
    assert messages[-1].content == "done"
    assert routed.did == [("look", 1)]
    assert routed.decisions("eu") == ["ask", "allow"] * 2
    assert routed.decisions("us") == ["deny"] * 2, "a node that runs again hears the refusal that is recorded"


@pytest.mark.parametrize(
    ("agent", "provider", "name", "refusal"),
    [
        ("free", "acme", "large", ""),
        ("listed", "acme", "small", ""),
        ("listed", "house", "any", ""),
        ("listed", "acme", "large", "model `acme/large` is not `acme/small` or `house/*`"),
        ("housed", "acme", "large", "model `acme/large` is not of provider `house`"),
        ("empty", "acme", "large", 'the obligation `route` is malformed: expected "sites", "models" or "providers"'),
    ],
)
def test_places_models_and_providers_can_be_demanded(
    routed: House, agent: str, provider: str, name: str, refusal: str
) -> None:
    action = ModelCall(principal=Principal(agent=agent), name=name, provider=provider, sites=("eu",))
    admission = routed.gate.admit(Request(action=action))
    assert isinstance(admission, Refusal if refusal else Permit)
    if isinstance(admission, Refusal):
        assert admission.error.message == refusal


@pytest.mark.parametrize("declared", ["eu", ["eu", 5], {"eu": 1}, 5, []])
def test_what_is_no_list_of_places_declares_none(declared: object) -> None:
    assert sites_of(model("m", declared)) == ()


def test_alternatives_are_models(routed: House) -> None:
    with pytest.raises(ConfigurationError, match="model of agent `solo` is int"):
        Agent("solo", model=model("m"), alternatives=[5])  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="alternatives of agent `solo` are ScriptedModel"):
        Agent("solo", model=model("m"), alternatives=model("n"))  # type: ignore[arg-type]
