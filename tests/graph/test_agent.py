"""One agent: its loop, its refusals, its transcript."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver

from openclaw.budget import Budget
from openclaw.errors import Refused
from openclaw.graph import Agent
from openclaw.testing import ScriptedModel
from tests.graph.house import House


def run(graph: Any, text: str = "go", **configurable: Any) -> list[Any]:
    return graph.invoke({"messages": [("user", text)]}, {"configurable": configurable})["messages"]


def answers(messages: list[Any]) -> dict[str, ToolMessage]:
    return {message.tool_call_id: message for message in messages if isinstance(message, ToolMessage)}


def assert_valid(messages: list[Any]) -> None:
    """Every tool call has exactly one answer, after it."""
    open_calls: list[str] = []
    for message in messages:
        if isinstance(message, AIMessage):
            assert not open_calls
            open_calls = [str(call["id"]) for call in [*message.tool_calls, *message.invalid_tool_calls]]
        elif isinstance(message, ToolMessage):
            open_calls.remove(message.tool_call_id)
        else:
            assert isinstance(message, HumanMessage)
    assert not open_calls


def test_an_allowed_call_runs_once_and_is_recorded_once(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("look", {"x": 1}), "That is all."]), tools=[house.tool("look")])
    messages = run(house.compile(agent))
    assert house.did == [("look", 1)]
    assert [m.content for m in messages] == ["go", "", "look did 1", "That is all."]
    assert house.decisions("look") == ["allow"]
    assert house.decisions("scripted") == ["allow", "allow"]
    assert [outcome["status"] for outcome in house.outcomes("look")] == ["done"]
    assert_valid(messages)


async def test_the_same_on_an_event_loop(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("look", {"x": 1}), "That is all."]), tools=[house.tool("look")])
    result = await house.compile(agent).ainvoke({"messages": [("user", "go")]})
    assert house.did == [("look", 1)]
    assert result["messages"][-1].content == "That is all."
    assert house.decisions("look") == ["allow"]


def test_a_refused_call_is_answered_with_its_reason_and_the_agent_goes_on(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("forbidden", {}), "Then not."]), tools=[house.tool("forbidden")])
    messages = run(house.compile(agent))
    answer = answers(messages)["scripted-0-0"]
    assert answer.status == "error"
    assert answer.content == "Refused by policy: `forbidden` is never allowed"
    assert messages[-1].content == "Then not."
    assert house.did == []
    assert house.decisions("forbidden") == ["deny"]


def test_what_no_policy_allows_is_refused(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("unlisted", {})]), tools=[house.tool("unlisted")])
    assert answers(run(house.compile(agent)))["scripted-0-0"].content == "Refused by policy: no policy allows this"
    assert house.did == []


def test_on_refusal_raise_raises(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("forbidden", {})]), tools=[house.tool("forbidden")])
    with pytest.raises(Refused, match="never allowed"):
        run(house.compile(agent, on_refusal="raise"))
    assert house.did == []


def test_arguments_that_do_not_fit_are_a_recorded_refusal(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("look", {"x": "many"}), "Oh."]), tools=[house.tool("look")])
    messages = run(house.compile(agent))
    answer = answers(messages)["scripted-0-0"]
    assert answer.status == "error"
    assert "do not fit the schema of `look`: `x`:" in str(answer.content)
    [entry] = [entry for entry in house.entries("decision") if entry.tool == "look"]
    assert entry.effect == "deny"
    assert entry.body["decision"]["code"] == "bad_input"
    assert entry.body["input"]["tool"]["args"] == {"x": "many"}
    assert house.did == []
    assert_valid(messages)


async def test_arguments_that_do_not_fit_are_refused_on_an_event_loop_too(house: House) -> None:
    @tool
    async def alook(x: int) -> str:
        """Look."""
        house.did.append(x)
        return "seen"

    agent = Agent("solo", model=ScriptedModel([("alook", {"x": "many"}), "Oh."]), tools=[alook])
    result = await house.compile(agent).ainvoke({"messages": [("user", "go")]})
    assert "do not fit the schema of `alook`" in str(answers(result["messages"])["scripted-0-0"].content)
    assert house.decisions("alook") == ["deny"]
    assert house.did == []


def test_an_unknown_tool_is_a_recorded_refusal(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("lok", {"x": 1}), "Oh."]), tools=[house.tool("look")])
    messages = run(house.compile(agent))
    assert "agent `solo` has no tool `lok`; it has `look`" in str(answers(messages)["scripted-0-0"].content)
    assert house.decisions("lok") == ["deny"]
    assert_valid(messages)


def test_calls_that_are_not_json_or_share_an_id_are_all_answered(house: House) -> None:
    message = AIMessage(
        "",
        tool_calls=[{"name": "look", "args": {"x": n}, "id": "same", "type": "tool_call"} for n in (1, 2)],
        invalid_tool_calls=[
            {"name": "look", "args": '{"x": ', "id": "broken", "error": "cut off", "type": "invalid_tool_call"}
        ],
    )
    messages = run(house.compile(Agent("solo", model=ScriptedModel([message, "Oh."]), tools=[house.tool("look")])))
    assert_valid(messages)
    assert sorted(house.did) == [("look", 1), ("look", 2)]
    assert "the arguments are not JSON: cut off" in str(answers(messages)["broken"].content)
    assert sorted(house.decisions("look")) == ["allow", "allow", "deny"]


@pytest.mark.parametrize("error", [ValueError("no such account"), ToolException("no such account")])
def test_a_tool_that_raises_is_an_outcome_and_an_answer(house: House, error: Exception) -> None:
    @tool
    def fails(x: int = 0) -> str:
        """Fail."""
        raise error

    agent = Agent("solo", model=ScriptedModel([("fails", {}), "Oh."]), tools=[fails])
    messages = run(house.compile(agent))
    assert answers(messages)["scripted-0-0"].status == "error"
    assert "no such account" in str(answers(messages)["scripted-0-0"].content)
    [outcome] = house.outcomes("fails")
    assert outcome["status"] == "failed"
    assert outcome["error"] == f"{type(error).__name__}: no such account"
    assert_valid(messages)


def test_the_policy_sees_validated_arguments_with_defaults_and_the_tool_gets_what_it_granted(house: House) -> None:
    @tool
    def capped(amount: int, note: str = "none") -> str:
        """Pay."""
        house.did.append((amount, note))
        return "paid"

    capped.tags = ["money"]
    agent = Agent("solo", model=ScriptedModel([("capped", {"amount": "900"}), "ok"]), tools=[capped])
    run(house.compile(agent))
    [entry] = [entry for entry in house.entries("decision") if entry.tool == "capped"]
    assert entry.body["input"]["tool"]["args"] == {"amount": 900, "note": "none"}
    assert entry.body["input"]["tool"]["tags"] == ["money"]
    assert house.did == [(5, "none")]


def test_a_budget_stop_ends_the_agent_with_a_valid_transcript(house: House) -> None:
    house.ledger.set_limit("org/default/agent/solo", Budget(tokens=1_500))
    model = ScriptedModel([("look", {"x": n}) for n in range(50)], max_tokens=200)
    messages = run(house.compile(Agent("solo", model=model, tools=[house.tool("look")])))
    last = messages[-1]
    assert isinstance(last, AIMessage)
    assert not last.tool_calls
    assert last.response_metadata["openclaw"]["refused"] is True
    assert last.response_metadata["openclaw"]["source"] == "budget"
    assert "budget of `org/default/agent/solo`" in str(last.content)
    assert house.ledger.balance("org/default/agent/solo").posted.tokens <= 1_500
    assert_valid(messages)


def test_input_that_the_provider_counts_higher_than_we_do_is_an_overdraft_of_one_call(house: House) -> None:
    """What an estimate is short by, margin and all, is recorded in full, once, and stops the agent."""
    house.ledger.set_limit("org/default/agent/solo", Budget(tokens=1_500))
    model = ScriptedModel([("look", {"x": n}) for n in range(50)], usage=(1_600, 10), max_tokens=200)
    messages = run(house.compile(Agent("solo", model=model, tools=[house.tool("look")])))
    assert "is overdrawn by 110 tokens" in str(messages[-1].content)
    assert house.ledger.balance("org/default/agent/solo").posted.tokens == 1_610
    assert_valid(messages)


def test_what_the_provider_counted_is_held_for_the_next_call(house: House) -> None:
    """A provider that counts more than we estimate is believed: no overdraft, though it counts thrice our estimate."""
    house.ledger.set_limit("org/default/agent/solo", Budget(tokens=1_500))
    model = ScriptedModel([("look", {"x": n}) for n in range(50)], usage=(300, 10), max_tokens=200)
    messages = run(house.compile(Agent("solo", model=model, tools=[house.tool("look")])))
    assert "260 tokens left" in str(messages[-1].content)
    assert house.ledger.balance("org/default/agent/solo").posted.tokens == 4 * 310
    assert_valid(messages)


def test_return_direct_ends_the_loop_with_the_tools_own_answer(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("look", {"x": 1})]), tools=[house.tool("look", return_direct=True)])
    messages = run(house.compile(agent))
    assert messages[-1].content == "look did 1"
    assert house.decisions("scripted") == ["allow"]


def test_every_stream_mode_works_and_the_run_does_not_leak_to_the_reader(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("look", {"x": 1}), "one two"]), tools=[house.tool("look")])
    graph = house.compile(agent)
    from openclaw.graph import scope

    for mode in ("values", "updates", "messages", "custom", "debug", "tasks"):
        for _ in graph.stream({"messages": [("user", "go")]}, stream_mode=mode):
            assert scope.current() is None
    words = [c.content for c, meta in graph.stream({"messages": [("user", "go")]}, stream_mode="messages")]
    assert "one" in words
    assert " two" in words


async def test_events_and_async_streams_work(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("look", {"x": 1}), "one two"]), tools=[house.tool("look")])
    graph = house.compile(agent)
    names = [event["event"] async for event in graph.astream_events({"messages": [("user", "go")]}, version="v2")]
    assert "on_tool_end" in names
    assert "on_chat_model_stream" in names
    async for _ in graph.astream({"messages": [("user", "go")]}, stream_mode=["values", "messages"]):
        pass
    assert house.did == [("look", 1)] * 2


MODES: list[Any] = ["values", "updates", "messages", "custom", "checkpoints", "tasks", "debug", ["updates", "custom"]]


@pytest.mark.parametrize("mode", MODES, ids=str)
async def test_in_every_mode_of_streaming_a_call_is_made_and_recorded_once(house: House, mode: Any) -> None:
    agent = Agent("solo", model=ScriptedModel([("look", {"x": 1}), "one two"]), tools=[house.tool("look")])
    graph = house.compile(agent, checkpointer=InMemorySaver())
    given: Any = {"messages": [("user", "go")]}
    for _ in graph.stream(given, {"configurable": {"thread_id": "sync"}}, stream_mode=mode, subgraphs=True):
        pass
    assert house.did == [("look", 1)]
    async for _ in graph.astream(given, {"configurable": {"thread_id": "async"}}, stream_mode=mode):
        pass
    assert house.did == [("look", 1)] * 2
    house.assert_one_record_each()


async def test_batches_on_an_event_loop_leave_one_record_of_each_call(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("look", {"x": 1}), "one two"]), tools=[house.tool("look")])
    graph = house.compile(agent)
    given: Any = [{"messages": [("user", "go")]}] * 3
    assert len(await graph.abatch(given)) == 3
    assert len([one async for one in graph.abatch_as_completed(given)]) == 3
    assert len(list(graph.batch_as_completed(given))) == 3
    assert house.did == [("look", 1)] * 9
    house.assert_one_record_each()


def test_batch_and_a_configured_copy_are_governed_too(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("forbidden", {}), "no"]), tools=[house.tool("forbidden")])
    graph = house.compile(agent).with_config(tags=["copy"])
    results = graph.batch([{"messages": [("user", "go")]}] * 3)
    assert [result["messages"][-1].content for result in results] == ["no"] * 3
    assert house.decisions("forbidden") == ["deny"] * 3
    assert house.did == []
