"""deepagents, as it is: files and subagents, governed by compiling its graph.

It is no part of the test extra: 0.7.32 asks for langchain-google-genai 4, whose google-genai is older than the one that agentdojo
brings. Where it is installed (``pip install --no-deps deepagents wcmatch bracex langchain-anthropic``), this runs.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.test_agent import answers

deepagents = pytest.importorskip("deepagents")

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
