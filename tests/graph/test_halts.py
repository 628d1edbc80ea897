"""A halt reaches graphs: the next call, a stream between its chunks, and what waits on an event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool

from openclaw import halts
from openclaw.errors import Halted
from openclaw.graph import Agent, watch
from openclaw.halts import Target
from openclaw.testing import ScriptedModel
from tests.graph.halt_worker import governed
from tests.graph.house import House

GO: Any = {"messages": [("user", "go")]}
PROJECT = Path(__file__).parents[2]
HALT_SECONDS_MAX = 1
WATCHED_SECONDS = halts.WATCH_SECONDS
"""How often a stream looks, as it is shipped: the tests here have it look more often."""


class Talker(ScriptedModel):
    """Says one word after another, and has somebody halt everything after the second. Its stream never ends by itself."""

    house: Any = None
    stalls: bool = False

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for count in range(100_000):
            if count == 2:
                self.house.gate.halts.halt(Target(agent="clerk"), by="eva", reason="enough")
            yield ChatGenerationChunk(message=AIMessageChunk(f"word{count} "))
        raise AssertionError("nobody stopped the stream")

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk("word0 "))
        self.house.gate.halts.halt(Target(agent="clerk"), by="eva", reason="enough")
        if self.stalls:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(0)
            yield ChatGenerationChunk(message=AIMessageChunk("and "))

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        self.house.gate.halts.halt(Target(agent="clerk"), by="eva", reason="enough")
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (halts, watch):
        monkeypatch.setattr(module, "WATCH_SECONDS", 0.01)


def outcomes(house: House) -> list[tuple[str, str]]:
    return [(entry.tool, str(entry.body["status"])) for entry in house.entries("outcome")]


def stopped(message: Any) -> bool:
    return "agent `clerk` is halted by eva: enough" in str(message.content)


def test_a_stream_ends_between_two_chunks_and_is_settled_with_what_came(house: House) -> None:
    graph = house.compile(Agent("clerk", model=Talker(house=house)))
    chunks = [chunk for chunk, _ in graph.stream(GO, stream_mode="messages")]
    assert stopped(chunks[-1])
    assert outcomes(house) == [("scripted", "cancelled")]


@pytest.mark.parametrize("stalls", [False, True])
async def test_an_async_stream_ends_even_while_nothing_comes(house: House, stalls: bool) -> None:
    graph = house.compile(Agent("clerk", model=Talker(house=house, stalls=stalls)))
    chunks = [chunk async for chunk, _ in graph.astream(GO, stream_mode="messages")]
    assert stopped(chunks[-1])
    assert outcomes(house) == [("scripted", "cancelled")]


async def test_a_model_call_on_an_event_loop_is_cut_off(house: House) -> None:
    graph = house.compile(Agent("clerk", model=Talker(house=house)))
    state = await graph.ainvoke(GO)
    assert stopped(state["messages"][-1])
    assert outcomes(house) == [("scripted", "cancelled")]


async def test_a_tool_on_an_event_loop_is_cut_off_and_the_transcript_stays_valid(house: House) -> None:
    @tool
    async def wait() -> str:
        """Wait."""
        house.gate.halts.halt(Target(agent="clerk"), by="eva", reason="enough")
        await asyncio.Event().wait()
        return "never"

    graph = house.compile(Agent("clerk", model=ScriptedModel([("wait", {})]), tools=[wait]))
    state = await graph.ainvoke(GO)
    kinds = [type(message) for message in state["messages"][1:]]
    assert kinds == [AIMessage, ToolMessage, AIMessage]
    assert all(stopped(message) for message in state["messages"][2:])
    assert outcomes(house) == [("scripted", "done"), ("wait", "cancelled")]


async def test_a_call_that_its_own_caller_cancels_ends_as_cancelled(house: House) -> None:
    begun = asyncio.Event()

    @tool
    async def wait() -> str:
        """Wait."""
        begun.set()
        await asyncio.Event().wait()
        return "never"

    graph = house.compile(Agent("clerk", model=ScriptedModel([("wait", {})]), tools=[wait]))
    running = asyncio.create_task(graph.ainvoke(GO))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert outcomes(house) == [("scripted", "done"), ("wait", "cancelled")]


def test_a_halted_agent_is_refused_and_says_so(house: House) -> None:
    house.gate.halts.halt(Target(agent="clerk"), by="eva", reason="enough")
    state = house.compile(Agent("clerk", model=ScriptedModel(["hello"]))).invoke(GO)
    assert stopped(state["messages"][-1])
    assert outcomes(house) == []


def test_where_raising_is_asked_for_a_stream_that_is_halted_raises(house: House) -> None:
    graph = house.compile(Agent("clerk", model=Talker(house=house)), on_refusal="raise")
    with pytest.raises(Halted, match="halted by eva: enough"):
        list(graph.stream(GO, stream_mode="messages"))
    assert outcomes(house) == [("scripted", "cancelled")]


def test_streams_of_every_kind_in_other_processes_end(store_url: str, tmp_path: Path) -> None:
    assert WATCHED_SECONDS <= HALT_SECONDS_MAX / 2
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.rego").write_text(
        "package openclaw.policies.all\n\nimport rego.v1\n\nallow if true\n"
    )
    with governed(store_url, str(tmp_path)) as governance:
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.graph.halt_worker", store_url, str(tmp_path), how],
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                text=True,
            )
            for how in ("sync", "async", "stalled")
        ]
        try:
            for worker in workers:
                assert worker.stdout is not None
                assert worker.stdout.readline() == "streaming\n"
            governance.halt(agent="clerk", by="eva", reason="enough")
            said = [worker.communicate(timeout=60)[0] for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        assert said == ["Stopped by halt: agent `clerk` is halted by eva: enough\n"] * 3
        assert [entry.body["status"] for entry in governance.audit.entries(kind="outcome")] == ["cancelled"] * 3
