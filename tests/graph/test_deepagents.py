"""deepagents, as it is: files and subagents, governed by compiling its graph."""

from __future__ import annotations

import asyncio
from typing import Any

import deepagents
import pytest
from deepagents.backends import StoreBackend
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

from openclaw.errors import ConfigurationError
from openclaw.graph import middleware
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.test_agent import answers, assert_valid

GO: Any = {"messages": [("user", "go")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}


def drive(graph: Any, how: str, given: Any) -> Any:
    return graph.invoke(given, THREAD) if how == "sync" else asyncio.run(graph.ainvoke(given, THREAD))


@pytest.mark.parametrize("how", ["sync", "async"])
def test_files_and_subagents_leave_one_record_of_each_execution(house: House, how: str) -> None:
    helper = {
        "name": "helper",
        "description": "looks",
        "system_prompt": "Look.",
        "tools": [house.tool("look"), house.tool("forbidden"), house.tool("risky")],
        "model": ScriptedModel(
            [[("look", {"x": 1}), ("forbidden", {"x": 1})], ("risky", {"x": 2}), "It is 1."], model_name="helper-model"
        ),
    }
    script = [
        ("write_file", {"file_path": "/notes.txt", "content": "tea"}),
        ("read_file", {"file_path": "/notes.txt"}),
        ("task", {"description": "look", "subagent_type": "helper"}),
        "All done.",
    ]
    deep = deepagents.create_deep_agent(ScriptedModel(script), tools=[house.tool("see")], subagents=[helper])
    graph = house.compile(deep, name="deep", checkpointer=InMemorySaver())
    assert "__interrupt__" in drive(graph, how, GO)
    house.approve_all()
    messages = drive(graph, how, None)["messages"]
    assert messages[-1].content == "All done."
    assert house.did == [("look", 1), ("risky", 2)]
    assert house.decisions("forbidden") == ["deny"]
    assert house.decisions("risky") == ["ask", "allow"]
    for name in ("write_file", "read_file", "look"):
        assert house.decisions(name) == ["allow"], name
    assert "tea" in str(answers(messages)["scripted-1-0"].content)
    assert house.decisions("scripted") == ["allow"] * 4
    assert house.decisions("helper-model") == ["allow"] * 3
    assert [outcome["status"] for outcome in house.outcomes("task")] == ["suspended", "done"]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_files_in_shared_memory_are_tool_calls_and_accesses_to_memory(house: House, how: str) -> None:
    script = [("write_file", {"file_path": "/a.txt", "content": "tea"}), ("ls", {"path": "/"}), "Kept."]
    kept = StoreBackend(namespace=lambda runtime: ("notes",))
    deep = deepagents.create_deep_agent(ScriptedModel(script), backend=kept)
    memory = InMemoryStore()
    graph = house.compile(deep, name="deep", checkpointer=InMemorySaver(), store=memory)
    assert drive(graph, how, GO)["messages"][-1].content == "Kept."
    assert memory.get(("notes",), "/a.txt") is not None
    assert house.decisions("write_file") == house.decisions("ls") == ["allow"]
    assert house.decisions("put") == ["allow"]
    house.assert_one_record_each()


def test_a_store_that_a_backend_holds_by_itself_is_refused_when_compiling(house: House) -> None:
    own = StoreBackend(namespace=lambda runtime: ("notes",), store=InMemoryStore())
    with pytest.raises(ConfigurationError, match="holds a memory that cannot be governed: `InMemoryStore`"):
        house.compile(deepagents.create_deep_agent(ScriptedModel(["hi"]), backend=own), name="deep")


@pytest.mark.parametrize("how", ["sync", "async"])
def test_its_own_review_beside_an_ask_of_ours(house: House, how: str) -> None:
    model = ScriptedModel([[("see", {"x": 1}), ("risky", {"x": 2})], "All done."])
    tools = [house.tool("see"), house.tool("risky")]
    deep = deepagents.create_deep_agent(model, tools=tools, interrupt_on={"see": True})
    graph = house.compile(deep, name="deep", checkpointer=InMemorySaver())
    assert "action_requests" in drive(graph, how, GO)["__interrupt__"][0].value
    waiting = drive(graph, how, Command(resume={"decisions": [{"type": "approve"}]}))
    assert waiting["__interrupt__"][0].value["name"] == "risky"
    house.approve_all()
    messages = drive(graph, how, None)["messages"]
    assert messages[-1].content == "All done."
    assert house.did == [("see", 1), ("risky", 2)]
    assert house.decisions("see") == ["allow"]
    assert house.decisions("risky") == ["ask", "allow"]
    assert_valid(messages)
    house.assert_one_record_each()


@pytest.mark.parametrize("how", ["sync", "async"])
def test_the_middleware_alone_governs_its_general_purpose_subagent_too(house: House, how: str) -> None:
    # The script goes by what was said in each conversation: the subagent begins at its first line again.
    model = ScriptedModel(
        [("see", {"x": 1}), ("task", {"description": "go", "subagent_type": "general-purpose"}), "ok"]
    )
    helper = {
        "name": "general-purpose",
        "description": "does anything",
        "system_prompt": "Do.",
        "tools": [house.tool("look"), house.tool("forbidden")],
        "model": ScriptedModel([[("look", {"x": 2}), ("forbidden", {"x": 3})], "did"], model_name="helper-model"),
        "middleware": [middleware(agent="helper", gate=house.gate)],
    }
    mine = middleware(agent="desk", gate=house.gate)
    graph = deepagents.create_deep_agent(
        model, tools=[house.tool("see")], subagents=[helper], middleware=[mine], checkpointer=InMemorySaver()
    )
    messages = drive(graph, how, GO)["messages"]
    assert messages[-1].content == "ok"
    assert house.did == [("see", 1), ("look", 2)]
    chains = {entry.tool: entry.body["input"]["principal"]["chain"] for entry in house.entries("decision")}  # type: ignore[index, call-overload]
    assert chains["see"] == ["desk"]
    assert chains["look"] == chains["forbidden"] == ["desk", "helper"]
    assert_valid(messages)
    house.assert_one_record_each()
