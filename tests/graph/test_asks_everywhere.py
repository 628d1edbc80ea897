"""Asks where graphs branch, nest and act for others: each question is answered for itself, each call made once."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send

from openclaw.approvers import Approver
from openclaw.graph import Agent, Workflow
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.house import house as open_house
from tests.graph.test_agent import answers

THREAD: Any = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": [("user", "go")]}


class Done(TypedDict):
    """What the branches have done."""

    done: Annotated[list[str], operator.add]


async def drive(graph: Any, given: Any, asynchronous: bool) -> dict[str, Any]:
    return await graph.ainvoke(given, THREAD) if asynchronous else graph.invoke(given, THREAD)


def yes(*questions: str) -> Any:
    return Command(resume={question: {"approve": True, "by": "ada"} for question in questions})


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_branches_by_send_ask_and_go_on_each_for_itself(house: House, asynchronous: bool) -> None:
    risky = house.tool("risky")

    def each(state: Any) -> Any:
        return {"done": [risky.invoke({"x": state["n"]})]}

    graph = StateGraph(Done).add_node("each", each)
    graph.add_conditional_edges(START, lambda _: [Send("each", {"n": n}) for n in range(5)], ["each"])
    governed = house.compile(graph, checkpointer=InMemorySaver(), name="fan")
    asked = [it.id for it in (await drive(governed, {"done": []}, asynchronous))["__interrupt__"]]
    assert len(set(asked)) == 5
    said = await drive(governed, yes(*asked[:3]), asynchronous)
    assert {it.id for it in said["__interrupt__"]} == {*asked[3:]}
    assert len(house.did) == 3
    said = await drive(governed, yes(*asked[3:]), asynchronous)
    assert said["done"] == [f"risky did {n}" for n in range(5)]
    assert sorted(house.did) == [("risky", n) for n in range(5)]
    assert sorted(house.decisions("risky")) == ["allow"] * 5 + ["ask"] * 5
    house.assert_one_record_each()


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_ask_within_a_subgraph_waits_there_and_its_sibling_is_not_made_again(
    house: House, asynchronous: bool
) -> None:
    calls: Any = [
        {"name": "look", "args": {"x": 9}, "id": "c0", "type": "tool_call"},
        {"name": "risky", "args": {"x": 7}, "id": "c1", "type": "tool_call"},
    ]
    inner = StateGraph(MessagesState).add_node("tools", ToolNode([house.tool("look"), house.tool("risky")]))
    outer = StateGraph(MessagesState)
    outer.add_node("plan", lambda _: {"messages": [AIMessage("", tool_calls=calls)]})
    outer.add_node("sub", inner.add_edge(START, "tools").compile())
    outer.add_edge(START, "plan").add_edge("plan", "sub")
    governed = house.compile(outer, checkpointer=InMemorySaver(), name="outer")
    [asked] = (await drive(governed, GO, asynchronous))["__interrupt__"]
    messages = (await drive(governed, yes(asked.id), asynchronous))["messages"]
    assert [it.text for it in messages if isinstance(it, ToolMessage)] == ["look did 9", "risky did 7"]
    assert house.did == [("look", 9), ("risky", 7)]
    assert (house.decisions("look"), house.decisions("risky")) == (["allow"], ["ask", "allow"])
    house.assert_one_record_each()


def test_calls_one_after_another_in_one_node_are_each_asked_about_and_made_once(house: House) -> None:
    risky = house.tool("risky")

    def act(_: Done) -> Any:
        return {"done": [risky.invoke({"x": n}) for n in (1, 2, 2)]}

    graph = house.compile(StateGraph(Done).add_node("act", act).add_edge(START, "act"), checkpointer=InMemorySaver())
    given: Any = {"done": []}
    for _ in range(3):
        [asked] = graph.invoke(given, THREAD)["__interrupt__"]
        given = yes(asked.id)
    assert graph.invoke(given, THREAD)["done"] == ["risky did 1", "risky did 2", "risky did 2"]
    assert house.did == [("risky", 1), ("risky", 2), ("risky", 2)]
    house.assert_one_record_each()


DELEGATED = """
package openclaw.policies.desk

import rego.v1

allow if input.kind in {"model", "handoff"}

allow if input.tool.name == "pay"

ask contains "triage may not pay by itself" if {
	input.tool.name == "pay"
	input.principal.agent == "triage"
}

oblige contains {"kind": "approve", "quorum": 2, "roles": ["finance", "risk"], "distinct": true} if {
	input.tool.name == "pay"
	input.principal.agent == "triage"
}

oblige contains {"kind": "amend", "args": ["amount"]} if input.tool.name == "pay"
"""


def test_what_a_delegator_must_ask_about_is_asked_for_whoever_acts_for_it(tmp_path: Path) -> None:
    with open_house(tmp_path, DELEGATED) as house:

        @tool
        def pay(amount: int) -> str:
            """Pay."""
            house.did.append(("pay", amount))
            return f"paid {amount}"

        for name, role in (("ada", "finance"), ("tom", "risk")):
            house.gate.approvers.enroll(Approver(name=name, roles=(role,)), by="root")
        triage = Agent("triage", model=ScriptedModel([("transfer_to_payer", {})], model_name="one"))
        payer = Agent("payer", model=ScriptedModel([("pay", {"amount": 50}), "Done."], model_name="two"), tools=[pay])
        graph = house.compile(
            Workflow("desk", agents=[triage, payer], rights="shrinking"), checkpointer=InMemorySaver()
        )
        [asked] = graph.invoke(GO, THREAD)["__interrupt__"]
        assert asked.value["agent"] == "payer"
        assert asked.value["reasons"] == ["on behalf of `triage`: triage may not pay by itself"]
        # Quorum and change together: the change begins anew, and each of the two says it.
        first = {"approve": True, "by": "ada", "args": {"amount": 40}}
        assert "__interrupt__" in graph.invoke(Command(resume={asked.id: first}), THREAD)
        assert house.did == []
        said = graph.invoke(Command(resume={asked.id: {**first, "by": "tom"}}), THREAD)
        assert house.did == [("pay", 40)]
        assert "amount = 40" in answers(said["messages"])["two-0-0"].text
        assert house.decisions("pay") == ["ask", "allow"]
