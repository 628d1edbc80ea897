"""Calls that nobody answered: the next turn finds a transcript that every provider takes, and says what is not known."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from openclaw.errors import Refused
from openclaw.graph import Agent, middleware
from openclaw.graph.unanswered import SAID, mended
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.test_agent import answers, assert_valid

GO: Any = {"messages": [("user", "go")]}
AGAIN: Any = {"messages": [("user", "something else")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}


class Strict(ScriptedModel):
    """A provider that refuses a transcript with a call that is not answered, as real ones do."""

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        assert_valid(messages)
        return super()._generate(messages, *args, **kwargs)


def two_calls(house: House, second: str) -> Agent:
    model = Strict([[("look", {"x": 1}), (second, {"x": 2})], "On we go."])
    return Agent("solo", model=model, tools=[house.tool("look"), house.tool(second)])


def test_a_turn_after_a_cancelled_one(house: House) -> None:
    async def run() -> Any:
        begun = asyncio.Event()

        @tool
        async def wait() -> str:
            """Wait."""
            begun.set()
            await asyncio.Event().wait()
            return "never"

        agent = Agent("solo", model=Strict([("wait", {}), "On we go."]), tools=[wait])
        graph = house.compile(agent, checkpointer=InMemorySaver())
        running = asyncio.create_task(graph.ainvoke(GO, THREAD))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await graph.ainvoke(AGAIN, THREAD)
        return graph.get_state(THREAD).values["messages"]

    messages = asyncio.run(run())
    assert [message.type for message in messages] == ["human", "ai", "tool", "human", "ai"]
    answer = answers(messages)["scripted-0-0"]
    assert (answer.content, answer.status, answer.name) == (SAID, "error", "wait")
    assert_valid(messages)


def test_a_turn_that_does_not_wait_for_the_person_any_more(house: House) -> None:
    graph = house.compile(two_calls(house, "risky"), checkpointer=InMemorySaver())
    assert "__interrupt__" in graph.invoke(GO, THREAD)
    messages = graph.invoke(AGAIN, THREAD)["messages"]
    assert messages[-1].content == "On we go."
    assert answers(messages)["scripted-0-1"].content == SAID
    assert_valid(messages)
    house.approve_all()
    assert graph.invoke(None, THREAD)["messages"] == messages, "what was given up is not done later"
    assert house.did == [("look", 1)]


def test_a_turn_after_one_that_raised(house: House) -> None:
    graph = house.compile(two_calls(house, "forbidden"), checkpointer=InMemorySaver(), on_refusal="raise")
    with pytest.raises(Refused):
        graph.invoke(GO, THREAD)
    messages = graph.invoke(AGAIN, THREAD)["messages"]
    assert messages[-1].content == "On we go."
    assert_valid(messages)


def test_the_same_under_the_middleware(house: House) -> None:
    mine = middleware(agent="desk", gate=house.gate)
    model = Strict([[("look", {"x": 1}), ("risky", {"x": 2})], "On we go."])
    graph = create_agent(
        model, [house.tool("look"), house.tool("risky")], middleware=[mine], checkpointer=InMemorySaver()
    )
    assert "__interrupt__" in graph.invoke(GO, THREAD)
    messages = graph.invoke(AGAIN, THREAD)["messages"]
    assert messages[-1].content == "On we go."
    assert_valid(messages)


def said(*ids: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": one, "type": "tool_call"} for one in ids])


def test_answers_go_to_their_calls_and_nothing_else_is_touched() -> None:
    human, other = HumanMessage("go"), HumanMessage("and?")
    late, early = ToolMessage("late", tool_call_id="b"), ToolMessage("early", tool_call_id="a")
    calls = said("a", "b", "c")
    whole = mended([human, calls, early, other, late, AIMessage("ok")])
    assert whole is not None
    assert whole[:4] == [human, calls, early, late]
    assert (whole[4].content, whole[4].tool_call_id) == (SAID, "c")  # type: ignore[union-attr]
    assert [message.type for message in whole[5:]] == ["human", "ai"]
    assert_valid(whole)
    assert mended(whole) is None
    assert mended([human, said("a"), early, other]) is None
    assert mended([]) is None
