"""Graphs that others draw: langgraph-supervisor and langgraph-swarm, run as they are, governed by compiling them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from openclaw.graph import middleware
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.test_agent import assert_valid

agents = pytest.importorskip("langchain.agents")
supervising = pytest.importorskip("langgraph_supervisor")
swarming = pytest.importorskip("langgraph_swarm")

# langgraph-supervisor 0.0.31 makes its supervisor by a way that LangGraph warns of.
pytestmark = pytest.mark.filterwarnings("ignore:create_react_agent has been moved")

GO: Any = {"messages": [("user", "go")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}


def worker(house: House, name: str, script: list[Any], *tools: Any) -> Any:
    """An agent of LangChain with a model of its own."""
    model = ScriptedModel(script, model_name=f"{name}-model")
    return agents.create_agent(
        model, [tool if not isinstance(tool, str) else house.tool(tool) for tool in tools], name=name
    )


def drive(graph: Any, how: str, given: Any, config: Any = None) -> Any:
    return graph.invoke(given, config) if how == "sync" else asyncio.run(graph.ainvoke(given, config))


def supervised(house: House, **options: Any) -> Any:
    research = worker(
        house, "research", [[("look", {"x": 1}), ("forbidden", {"x": 1})], "It is 1."], "look", "forbidden"
    )
    payments = worker(house, "payments", [("risky", {"x": 2}), "Paid."], "risky")
    boss = ScriptedModel(
        [("transfer_to_research", {}), ("transfer_to_payments", {}), "All done."], model_name="boss-model"
    )
    team = supervising.create_supervisor([research, payments], model=boss, **options)
    return house.compile(team, name="team", checkpointer=InMemorySaver())


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("mode", ["last_message", "full_history"])
def test_a_supervisor_and_its_workers_leave_one_record_of_each_execution(house: House, how: str, mode: Any) -> None:
    graph = supervised(house, output_mode=mode)
    assert "__interrupt__" in drive(graph, how, GO, THREAD)
    house.approve_all()
    messages = drive(graph, how, None, THREAD)["messages"]
    assert messages[-1].content == "All done."
    assert house.did == [("look", 1), ("risky", 2)]
    assert house.decisions("look") == ["allow"]
    assert house.decisions("forbidden") == ["deny"]
    assert house.decisions("risky") == ["ask", "allow"]
    assert house.decisions("transfer_to_research") == ["allow"]
    assert house.decisions("transfer_to_payments") == ["allow"]
    assert house.decisions("boss-model") == ["allow"] * 3
    assert house.decisions("research-model") == ["allow"] * 2
    assert house.decisions("payments-model") == ["allow"] * 2
    house.assert_one_record_each()


class Forgetful(ScriptedModel):
    """Goes by what its workers said: of side by side hand-offs, langgraph-supervisor keeps no message of the supervisor."""

    def _next(self, messages: Any, kwargs: Any) -> Any:
        said = [message for message in messages if message.content in ("One.", "Two.")]
        mine = AIMessage("", response_metadata={"model_name": self.model_name})
        return super()._next([mine] if said else [], kwargs)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_two_hand_offs_of_one_message_are_two_records(house: House, how: str) -> None:
    one = worker(house, "one", [("look", {"x": 1}), "One."], "look")
    two = worker(house, "two", [("see", {"x": 2}), "Two."], "see")
    boss = Forgetful([[("transfer_to_one", {}), ("transfer_to_two", {})], "Both."], model_name="boss-model")
    graph = house.compile(supervising.create_supervisor([one, two], model=boss, parallel_tool_calls=True), name="team")
    drive(graph, how, GO)
    # One of them takes place, ungoverned too: LangGraph's tasks for the two calls each leave for the graph above.
    assert house.did in ([("look", 1)], [("see", 2)])
    assert house.decisions("transfer_to_one") == house.decisions("transfer_to_two") == ["allow"]
    house.assert_one_record_each()


def test_a_hand_off_that_the_policy_refuses_leads_nowhere(house: House) -> None:
    one = worker(house, "one", [("look", {"x": 1}), "One."], "look")
    boss = ScriptedModel([("forbidden", {}), "Then not."], model_name="boss-model")
    hand_off = supervising.create_handoff_tool(agent_name="one", name="forbidden")
    graph = house.compile(supervising.create_supervisor([one], model=boss, tools=[hand_off]), name="team")
    messages = graph.invoke(GO)["messages"]
    assert messages[-1].content == "Then not."
    assert house.did == []
    assert house.decisions("one-model") == []
    house.assert_one_record_each()


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_swarm_goes_on_with_the_agent_that_was_active(house: House, how: str) -> None:
    to_bob = swarming.create_handoff_tool(agent_name="bob")
    to_alice = swarming.create_handoff_tool(agent_name="alice")
    alice = worker(house, "alice", [("look", {"x": 1}), ("transfer_to_bob", {})], "look", to_bob)
    bob = worker(house, "bob", [("risky", {"x": 2}), "Bob is here.", "Still Bob."], "risky", to_alice)
    swarm = swarming.create_swarm([alice, bob], default_active_agent="alice")
    graph = house.compile(swarm, name="swarm", checkpointer=InMemorySaver())
    assert "__interrupt__" in drive(graph, how, GO, THREAD)
    house.approve_all()
    assert drive(graph, how, None, THREAD)["messages"][-1].content == "Bob is here."
    messages = drive(graph, how, {"messages": [("user", "who is there?")]}, THREAD)["messages"]
    assert messages[-1].content == "Still Bob."
    assert_valid(messages)
    assert house.did == [("look", 1), ("risky", 2)]
    assert house.decisions("transfer_to_bob") == ["allow"]
    assert house.decisions("risky") == ["ask", "allow"]
    assert house.decisions("alice-model") == ["allow"] * 2
    assert house.decisions("bob-model") == ["allow"] * 3
    house.assert_one_record_each()


def test_with_the_middleware_each_call_of_a_swarm_names_the_agent_that_made_it(house: House) -> None:
    def member(name: str, script: list[Any], *tools: Any) -> Any:
        mine = middleware(agent=name, gate=house.gate)
        model = ScriptedModel(script, model_name=f"{name}-model")
        return agents.create_agent(model, list(tools), name=name, middleware=[mine])

    alice = member("alice", [("transfer_to_bob", {})], swarming.create_handoff_tool(agent_name="bob"))
    bob = member("bob", [("look", {"x": 2}), "ok"], house.tool("look"))
    house.compile(swarming.create_swarm([alice, bob], default_active_agent="alice"), name="swarm").invoke(GO)
    chains = {entry.tool: entry.body["input"]["principal"]["chain"] for entry in house.entries("decision")}  # type: ignore[index, call-overload]
    assert chains["look"] == ["swarm", "bob"]
    assert chains["transfer_to_bob"] == ["swarm", "alice"]
    house.assert_one_record_each()
