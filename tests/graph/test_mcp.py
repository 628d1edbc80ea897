"""Tools of a real MCP server, a process of its own that talks over stdio, through langchain-mcp-adapters."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from openclaw.errors import Ungoverned
from openclaw.graph import Agent, middleware
from openclaw.halts import Target
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.test_agent import answers, assert_valid

client = pytest.importorskip("langchain_mcp_adapters.client")
agents = pytest.importorskip("langchain.agents")

SERVER = Path(__file__).with_name("mcp_server.py")
GO: Any = {"messages": [("user", "go")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}
SCRIPT = [
    [("stock", {"item": "shoe"}), ("forbidden", {"item": "shoe"})],
    ("risky", {"item": "shoe", "amount": 2}),
    ("broken", {"item": "hat"}),
    "ok",
]


def servers(path: Path, **options: Any) -> Any:
    connection = {"transport": "stdio", "command": sys.executable, "args": [str(SERVER), str(path)]}
    return client.MultiServerMCPClient({"shop": connection}, **options)


def did(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def assert_governed(house: House, path: Path, messages: list[Any]) -> None:
    assert did(path) == ["stock shoe", "risky shoe 2", "broken hat"]
    assert house.decisions("stock") == ["allow"]
    assert house.decisions("forbidden") == ["deny"]
    assert house.decisions("risky") == ["ask", "allow"]
    assert house.decisions("broken") == ["allow"]
    assert [outcome["status"] for outcome in house.outcomes("broken")] == ["failed"]
    assert "never allowed" in str(answers(messages)["scripted-0-1"].content)
    assert answers(messages)["scripted-2-0"].status == "error"
    assert "7 of shoe" in str(answers(messages)["scripted-0-0"].content)
    assert_valid(messages)
    house.assert_one_record_each()


async def test_an_agent_of_ours_with_the_tools_of_a_server(house: House, tmp_path: Path) -> None:
    path = tmp_path / "did"
    tools = await servers(path).get_tools()
    agent = Agent("solo", model=ScriptedModel(SCRIPT), tools=tools)
    graph = house.compile(agent, checkpointer=InMemorySaver())
    assert "__interrupt__" in await graph.ainvoke(GO, THREAD)
    assert did(path) == ["stock shoe"]
    house.approve_all()
    assert_governed(house, path, (await graph.ainvoke(None, THREAD))["messages"])


async def test_an_agent_of_langchain_with_the_middleware_alone(house: House, tmp_path: Path) -> None:
    path = tmp_path / "did"
    tools = await servers(path).get_tools()
    mine = middleware(agent="desk", gate=house.gate)
    graph = agents.create_agent(ScriptedModel(SCRIPT), tools, middleware=[mine], checkpointer=InMemorySaver())
    assert "__interrupt__" in await graph.ainvoke(GO, THREAD)
    house.approve_all()
    assert_governed(house, path, (await graph.ainvoke(None, THREAD))["messages"])


async def test_one_session_for_several_calls(house: House, tmp_path: Path) -> None:
    tools_of = pytest.importorskip("langchain_mcp_adapters.tools")
    path = tmp_path / "did"
    async with servers(path).session("shop") as session:
        tools = await tools_of.load_mcp_tools(session)
        agent = Agent(
            "solo", model=ScriptedModel([[("stock", {"item": "a"}), ("stock", {"item": "b"})], "ok"]), tools=tools
        )
        await house.compile(agent).ainvoke(GO)
    assert sorted(did(path)) == ["stock a", "stock b"]
    assert house.decisions("stock") == ["allow", "allow"]
    house.assert_one_record_each()


async def test_arguments_that_the_server_does_not_know_are_seen_by_the_policy(house: House, tmp_path: Path) -> None:
    path = tmp_path / "did"
    tools = await servers(path).get_tools()
    agent = Agent("solo", model=ScriptedModel([("stock", {"item": "a", "more": "b"}), "ok"]), tools=tools)
    await house.compile(agent).ainvoke(GO)
    [entry] = [entry for entry in house.entries("decision") if entry.tool == "stock"]
    assert entry.body["input"]["tool"]["args"] == {"item": "a", "more": "b"}
    house.assert_one_record_each()


async def test_outside_of_a_run_the_server_is_never_reached(house: House, tmp_path: Path) -> None:
    path = tmp_path / "did"
    tools = await servers(path).get_tools()
    house.compile(Agent("solo", model=ScriptedModel([]), tools=tools))
    [stock] = [tool for tool in tools if tool.name == "stock"]
    with pytest.raises(Ungoverned):
        await stock.ainvoke({"item": "a"})
    with pytest.raises(Ungoverned):
        await stock.coroutine(item="a")
    assert did(path) == []


async def test_what_the_server_says_is_untrusted(house: House, tmp_path: Path) -> None:
    tools = await servers(tmp_path / "did").get_tools()
    script = [("stock", {"item": "shoe"}), ("risky", {"item": "7 of shoe"}), "ok"]
    await house.compile(Agent("solo", model=ScriptedModel(script), tools=tools)).ainvoke(GO)
    [entry] = [entry for entry in house.entries("decision") if entry.tool == "risky"]
    assert entry.body["input"]["flow"]["args"]["item"]["trust"] == "untrusted"


async def test_without_an_event_loop_a_tool_of_a_server_fails_as_it_does_ungoverned(
    house: House, tmp_path: Path
) -> None:
    tools = await servers(tmp_path / "did").get_tools()
    agent = Agent("solo", model=ScriptedModel([("stock", {"item": "a"}), "ok"]), tools=tools)
    messages = house.compile(agent).invoke(GO)["messages"]
    answer = answers(messages)["scripted-0-0"]
    assert isinstance(answer, ToolMessage)
    assert answer.status == "error"
    house.assert_one_record_each()


@pytest.mark.parametrize("shared", [False, True])
async def test_a_server_that_dies_in_a_call_fails_it_and_the_agent_goes_on(
    house: House, tmp_path: Path, shared: bool
) -> None:
    tools_of = pytest.importorskip("langchain_mcp_adapters.tools")
    path = tmp_path / "did"
    mcp = servers(path)
    script = [("die", {"item": "a"}), ("stock", {"item": "b"}), "ok"]

    async def run(tools: list[Any]) -> list[Any]:
        graph = house.compile(Agent("solo", model=ScriptedModel(script), tools=tools), checkpointer=InMemorySaver())
        return (await graph.ainvoke(GO, THREAD))["messages"]

    if shared:
        async with mcp.session("shop") as session:
            messages = await run(await tools_of.load_mcp_tools(session))
    else:
        messages = await run(await mcp.get_tools())
    assert answers(messages)["scripted-0-0"].status == "error"
    assert "The tool failed: McpError: Connection closed" in str(answers(messages)["scripted-0-0"].content)
    # A session of one's own for each call starts the server anew; one that is shared is gone, and says so.
    assert did(path) == (["die a"] if shared else ["die a", "stock b"])
    assert answers(messages)["scripted-1-0"].status == ("error" if shared else "success")
    assert [outcome["status"] for outcome in house.outcomes("die")] == ["failed"]
    assert [outcome["status"] for outcome in house.outcomes("stock")] == ["failed" if shared else "done"]
    assert messages[-1].content == "ok"
    assert_valid(messages)
    house.assert_one_record_each()


async def test_a_call_that_the_server_never_answers_ends_with_the_time_of_its_session(
    house: House, tmp_path: Path
) -> None:
    tools_of = pytest.importorskip("langchain_mcp_adapters.tools")
    path = tmp_path / "did"
    async with servers(path).session("shop") as session:
        tools = await tools_of.load_mcp_tools(session)
        # Only now: the server starts as slowly as the machine wants.
        session._session_read_timeout_seconds = dt.timedelta(seconds=1)
        agent = Agent("solo", model=ScriptedModel([("hang", {"item": "a"}), "ok"]), tools=tools)
        messages = (await house.compile(agent).ainvoke(GO))["messages"]
    assert "Timed out while waiting for response" in str(answers(messages)["scripted-0-0"].content)
    assert answers(messages)["scripted-0-0"].status == "error"
    assert [outcome["status"] for outcome in house.outcomes("hang")] == ["failed"]
    assert_valid(messages)
    house.assert_one_record_each()


@pytest.mark.parametrize("how", ["cancelled", "halted"])
async def test_a_call_that_hangs_is_cut_off_and_recorded_so(house: House, tmp_path: Path, how: str) -> None:
    path = tmp_path / "did"
    agent = Agent("solo", model=ScriptedModel([("hang", {"item": "a"}), "ok"]), tools=await servers(path).get_tools())
    running = asyncio.create_task(house.compile(agent).ainvoke(GO))
    while not did(path):  # noqa: ASYNC110 - another process says so
        await asyncio.sleep(0.01)
    if how == "cancelled":
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        house.gate.halts.halt(Target(agent="solo"), by="eva", reason="enough")
        messages = (await running)["messages"]
        assert "agent `solo` is halted by eva: enough" in str(answers(messages)["scripted-0-0"].content)
        assert_valid(messages)
    assert [outcome["status"] for outcome in house.outcomes("hang")] == ["cancelled"]
    house.assert_one_record_each()
