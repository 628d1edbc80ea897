"""Asks with the PostgreSQL checkpointer, the store of the governance in the same database: a deployment of many workers."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from openclaw.answers import Said
from openclaw.governance import Governance
from openclaw.graph import Agent
from openclaw.testing import ScriptedModel
from tests.graph.checkpoint_worker import GO, POLICY, THREAD, agent, conninfo, governed, noting, turn
from tests.graph.test_agent import assert_valid

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "desk.rego").write_text(POLICY)
    return str(tmp_path)


@contextmanager
def saving(url: str) -> Iterator[PostgresSaver]:
    with PostgresSaver.from_conn_string(conninfo(url)) as saver:
        saver.setup()
        yield saver


def effects(folder: str) -> list[str]:
    file = Path(folder) / "effects"
    return file.read_text().splitlines() if file.exists() else []


def approve_all(url: str, folder: str) -> None:
    with governed(url, folder) as governance:
        for asked in governance.approvals.list():
            governance.gate.answers.give(asked.id, Said(by="ada", approve=True))


def decided(governance: Governance, tool: str) -> list[str]:
    return [entry.effect for entry in governance.audit.entries(kind="decision", tool=tool)]


def assert_one_record_each(url: str, folder: str) -> None:
    """Every permitted action has one outcome, none is open, and the log holds."""
    with governed(url, folder) as governance:
        permitted = [entry.seq for entry in governance.audit.entries(kind="decision") if entry.effect == "allow"]
        ended = [entry.body["decision"] for entry in governance.audit.entries(kind="outcome")]
        assert sorted(permitted) == sorted(ended)  # type: ignore[type-var]
        assert governance.audit.open_actions() == []
        assert decided(governance, "look") == ["allow"]
        assert decided(governance, "risky") == ["ask", "allow"]
        governance.audit.verify().require()


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_an_approved_call_runs_once_and_its_sibling_is_not_run_again(
    postgres_url: str, folder: str, durability: Any
) -> None:
    with governed(postgres_url, folder) as governance, saving(postgres_url) as saver:
        graph = governance.compile(agent(folder), checkpointer=saver)
        assert graph.invoke(GO, THREAD, durability=durability)["__interrupt__"][0].value["name"] == "risky"
        assert effects(folder) == ["look 1"]
        assert "__interrupt__" in graph.invoke(None, THREAD, durability=durability), "nobody has answered"
        approve_all(postgres_url, folder)
        messages = graph.invoke(None, THREAD, durability=durability)["messages"]
    assert effects(folder) == ["look 1", "risky 2"]
    assert messages[-1].content == "All done."
    assert_valid(messages)
    assert_one_record_each(postgres_url, folder)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_the_same_on_an_event_loop(postgres_url: str, folder: str, durability: Any) -> None:
    async def run() -> Any:
        async with AsyncPostgresSaver.from_conn_string(conninfo(postgres_url)) as saver:
            await saver.setup()
            graph = governance.compile(agent(folder), checkpointer=saver)
            parked = await graph.ainvoke(GO, THREAD, durability=durability)
            assert parked["__interrupt__"][0].value["name"] == "risky"
            await asyncio.to_thread(approve_all, postgres_url, folder)
            return (await graph.ainvoke(None, THREAD, durability=durability))["messages"]

    with governed(postgres_url, folder) as governance:
        messages = asyncio.run(run())
    assert effects(folder) == ["look 1", "risky 2"]
    assert_valid(messages)
    assert_one_record_each(postgres_url, folder)


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_process_that_ends_between_ask_and_answer_loses_nothing(
    postgres_url: str, folder: str, how: str, end: str
) -> None:
    def worker(when: str) -> str:
        command = [sys.executable, "-m", "tests.graph.checkpoint_worker", postgres_url, folder, how, when, end]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == (-signal.SIGKILL if end == "kill" else 0), done.stderr
        return done.stdout.strip()

    assert worker("ask") == "risky"
    assert worker("resume") == "risky", "it waits on"
    approve_all(postgres_url, folder)
    # A third process, on the other kind of checkpointer: both keep the same checkpoints.
    messages = turn(postgres_url, folder, "async" if how == "sync" else "sync", None)["messages"]
    assert effects(folder) == ["look 1", "risky 2"]
    assert_valid(messages)
    assert_one_record_each(postgres_url, folder)


def test_many_workers_that_resume_one_thread_at_once_run_the_call_once(postgres_url: str, folder: str) -> None:
    workers = 6
    turn(postgres_url, folder, "sync", GO)
    approve_all(postgres_url, folder)
    together = threading.Barrier(workers)

    def resume(_: int) -> Any:
        with governed(postgres_url, folder) as governance, saving(postgres_url) as saver:
            graph = governance.compile(agent(folder), checkpointer=saver)
            together.wait()
            return graph.invoke(None, THREAD)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(resume, range(workers)))
    assert effects(folder) == ["look 1", "risky 2"]
    with governed(postgres_url, folder) as governance:
        assert decided(governance, "look") == ["allow"]
        assert decided(governance, "risky").count("allow") == 1
        assert governance.audit.open_actions() == []


def test_an_answer_by_the_command_that_resumes_with_a_pool_of_connections(postgres_url: str, folder: str) -> None:
    options: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    with (
        governed(postgres_url, folder) as governance,
        ConnectionPool(conninfo(postgres_url), min_size=1, max_size=4, kwargs=options) as pool,
    ):
        saver = PostgresSaver(pool)  # type: ignore[arg-type]
        saver.setup()
        graph = governance.compile(agent(folder), checkpointer=saver)
        [asked] = graph.invoke(GO, THREAD)["__interrupt__"]
        answer = {asked.id: {"approve": True, "by": "ada", "reason": "fine"}}
        assert graph.invoke(Command(resume=answer), THREAD)["messages"][-1].content == "All done."
    assert effects(folder) == ["look 1", "risky 2"]
    assert_one_record_each(postgres_url, folder)


def test_a_node_of_ones_own_that_runs_again_gets_what_its_first_call_returned(postgres_url: str, folder: str) -> None:
    calls = [
        {"name": "look", "args": {"x": 1}, "id": "a", "type": "tool_call"},
        {"name": "risky", "args": {"x": 2}, "id": "b", "type": "tool_call"},
    ]
    drawn = StateGraph(MessagesState)
    drawn.add_node("say", lambda state: {"messages": [AIMessage("", tool_calls=calls)]})
    drawn.add_node("act", ToolNode([noting(folder, "look"), noting(folder, "risky")]))
    drawn.add_edge(START, "say").add_edge("say", "act")
    with governed(postgres_url, folder) as governance, saving(postgres_url) as saver:
        graph = governance.compile(drawn, name="own", checkpointer=saver)
        assert "__interrupt__" in graph.invoke(GO, THREAD)
        approve_all(postgres_url, folder)
        messages = graph.invoke(None, THREAD)["messages"]
    results = [message.content for message in messages if isinstance(message, ToolMessage)]
    assert results == ["look did 1", "risky did 2"]
    assert effects(folder) == ["look 1", "risky 2"]
    assert_one_record_each(postgres_url, folder)


def test_an_ask_inside_of_an_agent_that_is_a_tool_waits_there(postgres_url: str, folder: str) -> None:
    lead = Agent("lead", model=ScriptedModel([("ask_solo", {"task": "look"}), "ok"], model_name="lead"), tools=[])
    lead = Agent("lead", model=lead.model, tools=[agent(folder).as_tool()])
    with governed(postgres_url, folder) as governance, saving(postgres_url) as saver:
        graph = governance.compile(lead, checkpointer=saver)
        assert graph.invoke(GO, THREAD)["__interrupt__"][0].value["name"] == "risky"
        approve_all(postgres_url, folder)
        messages = graph.invoke(None, THREAD)["messages"]
        assert decided(governance, "ask_solo") == ["allow", "allow"]
        statuses = [entry.body["status"] for entry in governance.audit.entries(kind="outcome", tool="ask_solo")]
        assert statuses == ["suspended", "done"]
    assert messages[-1].content == "ok"
    assert effects(folder) == ["look 1", "risky 2"]
    assert_valid(messages)
    assert_one_record_each(postgres_url, folder)
