"""LangChain's create_agent with the middleware alone, and its agents compiled like any other graph."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from openclaw.errors import ApprovalError, ConfigurationError, Ungoverned
from openclaw.graph import middleware
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.test_agent import answers, assert_valid

agents = pytest.importorskip("langchain.agents")
types = pytest.importorskip("langchain.agents.middleware")

GO: Any = {"messages": [("user", "go")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}


def agent(house: House, script: list[Any], *names: str, **options: Any) -> Any:
    mine = middleware(agent="desk", roles=["payer"], gate=house.gate)
    tools = [house.tool(name) for name in names]
    return agents.create_agent(ScriptedModel(script), tools, middleware=[*options.pop("before", []), mine], **options)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_an_agent_of_langchain_is_governed_by_the_middleware_alone(house: House, how: str) -> None:
    graph = agent(house, [[("look", {"x": 1}), ("forbidden", {})], "ok"], "look", "forbidden")
    result = graph.invoke(GO) if how == "sync" else asyncio.run(graph.ainvoke(GO))
    assert house.did == [("look", 1)]
    assert house.decisions("look") == ["allow"]
    assert house.decisions("forbidden") == ["deny"]
    assert house.decisions("scripted") == ["allow", "allow"]
    assert "never allowed" in str(answers(result["messages"])["scripted-0-1"].content)
    [entry] = [entry for entry in house.entries("decision") if entry.tool == "look"]
    assert entry.body["input"]["principal"] == {
        "agent": "desk",
        "org": "default",
        "roles": ["payer"],
        "chain": ["desk"],
    }
    assert len({entry.run for entry in house.entries("decision")}) == 1
    assert_valid(result["messages"])


def test_asks_wait_and_resume(house: House) -> None:
    script = [[("look", {"x": 1}), ("risky", {"x": 2})], "ok"]
    graph = agent(house, script, "look", "risky", checkpointer=InMemorySaver())
    assert "__interrupt__" in graph.invoke(GO, THREAD)
    house.approve_all()
    assert_valid(graph.invoke(None, THREAD)["messages"])
    assert house.did == [("look", 1), ("risky", 2)]
    assert house.decisions("look") == ["allow"]
    assert len({entry.run for entry in house.entries("decision")}) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("named", [False, True])
async def test_a_command_answers_where_no_governed_graph_takes_it(
    house: House, named: bool, asynchronous: bool
) -> None:
    graph = agent(
        house, [[("look", {"x": 1}), ("risky", {"x": 2})], "ok"], "look", "risky", checkpointer=InMemorySaver()
    )
    [asked] = (await graph.ainvoke(GO, THREAD) if asynchronous else graph.invoke(GO, THREAD))["__interrupt__"]
    answer = {"approve": True, "by": "ada"}
    command: Any = Command(resume={asked.id: answer} if named else answer)
    for _ in range(2):
        messages = (await graph.ainvoke(command, THREAD) if asynchronous else graph.invoke(command, THREAD))["messages"]
    assert_valid(messages)
    assert messages[-1].content == "ok"
    assert house.did == [("look", 1), ("risky", 2)]
    assert [entry.body["by"] for entry in house.entries("approval")] == ["ada"]


def test_a_command_whose_answer_is_none_leaves_the_question_where_it_is(house: House) -> None:
    graph = agent(house, [("risky", {"x": 2}), "ok"], "risky", checkpointer=InMemorySaver())
    [asked] = graph.invoke(GO, THREAD)["__interrupt__"]
    with pytest.raises(ApprovalError, match="lets no approver change `x`"):
        graph.invoke(Command(resume={"approve": True, "by": "ada", "args": {"x": 3}}), THREAD)
    assert house.pending() == [asked.id]
    messages = graph.invoke(Command(resume={"approve": False, "by": "ada", "reason": "not now"}), THREAD)["messages"]
    assert answers(messages)["scripted-0-0"].content == "Refused by approval: rejected by ada: not now"
    assert house.did == []


def test_an_answer_to_the_gate_is_none_to_the_tool_that_waits_by_itself(house: House) -> None:
    @tool
    def risky(x: int) -> str:
        """Act, and ask for oneself."""
        return f"heard {interrupt('really?')}"

    mine = middleware(agent="desk", gate=house.gate)
    model = ScriptedModel([("risky", {"x": 2}), "ok"])
    graph = agents.create_agent(model, [risky], middleware=[mine], checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    [own] = graph.invoke(Command(resume={"approve": True, "by": "ada"}), THREAD)["__interrupt__"]
    assert own.value == "really?"
    messages = graph.invoke(Command(resume="yes"), THREAD)["messages"]
    assert answers(messages)["scripted-0-0"].content == "heard yes"


def test_a_middleware_that_calls_a_tool_outside_of_the_run_is_refused(house: House) -> None:
    class Eager(types.AgentMiddleware):  # type: ignore[misc, name-defined]
        def after_model(self, state: Any, runtime: Any) -> None:
            look.invoke({"x": 9})

    mine = middleware(agent="desk", gate=house.gate)
    look = house.tool("look")
    graph = agents.create_agent(ScriptedModel([("look", {"x": 1}), "ok"]), [look], middleware=[Eager(), mine])
    with pytest.raises(Ungoverned):
        graph.invoke(GO)
    assert house.did == []


def test_a_middleware_that_changes_arguments_is_seen_through(house: House) -> None:
    class Changing(types.AgentMiddleware):  # type: ignore[misc, name-defined]
        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(tool_call={**request.tool_call, "name": "forbidden"}))

    for before in ([Changing()], []):
        graph = agent(house, [("forbidden", {}), "ok"], "forbidden", before=before)
        graph.invoke(GO)
    assert house.did == []
    assert house.decisions("forbidden") == ["deny", "deny"]


def test_inside_a_governed_graph_the_middleware_names_the_agent(house: House) -> None:
    house.compile(agent(house, [("look", {"x": 1}), "ok"], "look"), name="outer").invoke(GO)
    [entry] = [entry for entry in house.entries("decision") if entry.tool == "look"]
    assert entry.body["input"]["principal"]["chain"] == ["outer", "desk"]
    assert house.did == [("look", 1)]


def test_without_langchain_the_error_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "langchain.agents.middleware", None)
    with pytest.raises(ConfigurationError, match="`langchain` package is not installed"):
        middleware(agent="desk", gate=house.gate)
