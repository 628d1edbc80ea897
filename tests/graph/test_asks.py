"""Asks: a call that a person must answer, across interrupts, restarts, and graphs that others drew."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, RetryPolicy, interrupt

from openclaw.answers import Said
from openclaw.graph import Agent
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.house import house as open_house
from tests.graph.test_agent import answers, assert_valid

THREAD: Any = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": [("user", "go")]}


def two_calls(house: House) -> Agent:
    """An agent that makes a harmless and a risky call side by side."""
    model = ScriptedModel([[("look", {"x": 1}), ("risky", {"x": 2})], "All done."])
    return Agent("solo", model=model, tools=[house.tool("look"), house.tool("risky")])


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("resume", [None, Command(resume="anything")])
def test_an_approved_call_runs_once_and_its_sibling_is_not_run_again(
    house: House, durability: Any, resume: Any
) -> None:
    graph = house.compile(two_calls(house), checkpointer=InMemorySaver())
    parked = graph.invoke(GO, THREAD, durability=durability)
    [interrupt] = parked["__interrupt__"]
    assert interrupt.value["name"] == "risky"
    assert interrupt.value["reasons"] == ["a person looks at this"]
    assert interrupt.value["approval"] == house.pending()[0]
    assert house.did == [("look", 1)]
    house.approve_all()
    messages = graph.invoke(resume, THREAD, durability=durability)["messages"]
    assert messages[-1].content == "All done."
    assert house.did == [("look", 1), ("risky", 2)]
    assert house.decisions("look") == ["allow"]
    assert house.decisions("risky") == ["ask", "allow"]
    assert [outcome["status"] for outcome in house.outcomes("look")] == ["done"]
    assert len({entry.run for entry in house.entries("decision")}) == 1
    assert_valid(messages)


def test_resuming_without_an_answer_waits_on_and_asks_once(house: House) -> None:
    graph = house.compile(two_calls(house), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    for resume in (None, Command(resume=True), Command(resume={"approve": True})):
        assert "__interrupt__" in graph.invoke(resume, THREAD)
    assert len(house.pending()) == 1
    assert house.decisions("risky") == ["ask"]
    assert house.did == [("look", 1)]


def test_a_rejected_call_is_never_run_and_the_agent_hears_why(house: House) -> None:
    graph = house.compile(two_calls(house), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    house.gate.answers.give(house.pending()[0], Said(by="ada", approve=False, reason="not today"))
    messages = graph.invoke(None, THREAD)["messages"]
    assert answers(messages)["scripted-0-1"].content == "Refused by approval: rejected by ada: not today"
    assert house.did == [("look", 1)]
    assert_valid(messages)


def test_two_asks_of_one_step_are_answered_each_for_itself(house: House) -> None:
    model = ScriptedModel([[("risky", {"x": 1}), ("risky", {"x": 2})], "ok"])
    graph = house.compile(Agent("solo", model=model, tools=[house.tool("risky")]), checkpointer=InMemorySaver())
    assert len(graph.invoke(GO, THREAD)["__interrupt__"]) == 2
    by_argument = {
        found.request["input"]["tool"]["args"]["x"]: found.id  # type: ignore[index, call-overload]
        for found in house.approvals.list()
    }
    house.gate.answers.give(by_argument[2], Said(by="ada", approve=True))
    assert len(graph.invoke(None, THREAD)["__interrupt__"]) == 1
    assert house.did == [("risky", 2)]
    house.gate.answers.give(by_argument[1], Said(by="ada", approve=False))
    messages = graph.invoke(None, THREAD)["messages"]
    assert house.did == [("risky", 2)]
    assert_valid(messages)


def test_without_a_checkpointer_an_ask_is_a_refusal_that_says_so(house: House) -> None:
    messages = house.compile(two_calls(house)).invoke(GO)["messages"]
    assert "no checkpointer" in str(answers(messages)["scripted-0-1"].content)
    assert house.did == [("look", 1)]
    assert house.pending() == []


def test_the_same_call_in_a_later_step_is_asked_again(house: House) -> None:
    model = ScriptedModel([("risky", {"x": 2}), ("risky", {"x": 2}), "ok"])
    graph = house.compile(Agent("solo", model=model, tools=[house.tool("risky")]), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    house.approve_all()
    assert "__interrupt__" in graph.invoke(None, THREAD)
    assert house.did == [("risky", 2)]
    house.approve_all()
    graph.invoke(None, THREAD)
    assert house.did == [("risky", 2)] * 2


async def test_asks_on_an_event_loop_with_the_async_sqlite_checkpointer(house: House, tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver:
        graph = house.compile(two_calls(house), checkpointer=saver)
        assert "__interrupt__" in await graph.ainvoke(GO, THREAD)
        house.approve_all()
        messages = (await graph.ainvoke(None, THREAD))["messages"]
    assert house.did == [("look", 1), ("risky", 2)]
    assert house.decisions("look") == ["allow"]
    assert_valid(messages)


def test_a_restart_between_ask_and_answer_loses_nothing(tmp_path: Path) -> None:
    did: list[Any] = []
    for turn in ("ask", "resume"):
        with (
            open_house(tmp_path) as house,
            SqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver,
        ):
            house.did = did
            graph = house.compile(two_calls(house), checkpointer=saver)
            if turn == "ask":
                assert "__interrupt__" in graph.invoke(GO, THREAD)
            else:
                house.approve_all()
                assert graph.invoke(None, THREAD)["messages"][-1].content == "All done."
                assert house.decisions("look") == ["allow"]
    assert did == [("look", 1), ("risky", 2)]


def own_graph(house: House, extra: int = 0) -> StateGraph[Any, Any, Any, Any]:
    """A graph of somebody's own whose single node runs all calls, and so runs again as a whole after an interrupt."""
    calls = [
        {"name": "look", "args": {"x": 1}, "id": "a", "type": "tool_call"},
        {"name": "risky", "args": {"x": 2}, "id": "b", "type": "tool_call"},
    ]
    graph = StateGraph(MessagesState)
    graph.add_node("say", lambda state: {"messages": [AIMessage("", tool_calls=calls)]})
    graph.add_node("act", ToolNode([house.tool("look"), house.tool("risky")]))
    graph.add_edge(START, "say")
    graph.add_edge("say", "act")
    return graph


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_node_that_runs_again_gets_the_stored_result_of_what_had_run(house: House, durability: Any) -> None:
    graph = house.compile(own_graph(house), checkpointer=InMemorySaver(), name="own")
    graph.invoke(GO, THREAD, durability=durability)
    assert house.did == [("look", 1)]
    house.approve_all()
    messages = graph.invoke(None, THREAD, durability=durability)["messages"]
    assert house.did == [("look", 1), ("risky", 2)]
    results = [message for message in messages if isinstance(message, ToolMessage)]
    assert [message.content for message in results] == ["look did 1", "risky did 2"]
    assert house.decisions("look") == ["allow"]
    assert house.decisions("risky") == ["ask", "allow"]


def test_calls_without_ids_in_a_node_of_ones_own_are_told_apart_and_not_repeated(house: House) -> None:
    look, risky = house.tool("look"), house.tool("risky")

    def act(state: MessagesState) -> dict[str, Any]:
        said = [look.invoke({"x": 1}), look.invoke({"x": 1}), risky.invoke({"x": 2})]
        return {"messages": [AIMessage(" ".join(said))]}

    drawn = StateGraph(MessagesState).add_node("act", act).add_edge(START, "act")
    graph = house.compile(drawn, checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    assert house.did == [("look", 1), ("look", 1)]
    house.approve_all()
    messages = graph.invoke(None, THREAD)["messages"]
    assert messages[-1].content == "look did 1 look did 1 risky did 2"
    assert house.did == [("look", 1), ("look", 1), ("risky", 2)]
    assert house.decisions("look") == ["allow", "allow"]


def test_a_tool_that_interrupts_by_itself_is_run_again_and_recorded_each_time(house: House) -> None:
    @tool
    def chat(x: int) -> str:
        """Ask somebody."""
        said = interrupt("your name?")
        house.did.append(("chat", said))
        return f"hello {said}"

    graph = house.compile(
        Agent("solo", model=ScriptedModel([("chat", {"x": 1}), "ok"]), tools=[chat]), checkpointer=InMemorySaver()
    )
    assert graph.invoke(GO, THREAD)["__interrupt__"][0].value == "your name?"
    messages = graph.invoke(Command(resume="ada"), THREAD)["messages"]
    assert answers(messages)["scripted-0-0"].content == "hello ada"
    assert house.did == [("chat", "ada")]
    assert house.decisions("chat") == ["allow", "allow"]
    assert [outcome["status"] for outcome in house.outcomes("chat")] == ["suspended", "done"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_approved_tool_that_interrupts_by_itself_goes_on_under_its_approval(
    house: House, asynchronous: bool
) -> None:
    @tool
    def risky(x: int) -> str:
        """Ask somebody, twice."""
        said = [interrupt("your name?"), interrupt("really?")]
        house.did.append(("risky", said))
        return f"hello {said}"

    graph = house.compile(
        Agent("solo", model=ScriptedModel([("risky", {"x": 1}), "ok"]), tools=[risky]), checkpointer=InMemorySaver()
    )

    async def go(given: Any) -> Any:
        return await graph.ainvoke(given, THREAD) if asynchronous else graph.invoke(given, THREAD)

    assert (await go(GO))["__interrupt__"][0].value["name"] == "risky"
    house.approve_all()
    assert (await go(None))["__interrupt__"][0].value == "your name?"
    assert (await go(Command(resume="ada")))["__interrupt__"][0].value == "really?"
    messages = (await go(Command(resume="yes")))["messages"]
    assert answers(messages)["scripted-0-0"].content == "hello ['ada', 'yes']"
    assert house.did == [("risky", ["ada", "yes"])]
    assert house.decisions("risky") == ["ask", "allow", "allow", "allow"]
    assert [outcome["status"] for outcome in house.outcomes("risky")] == ["suspended", "suspended", "done"]
    assert house.ledger.balance("org/default/agent/solo").posted.calls == 1
    assert_valid(messages)


def test_a_tool_that_waits_for_another_that_it_calls_goes_on_when_that_is_approved(house: House) -> None:
    risky = house.tool("risky")

    @tool
    def outer(x: int) -> str:
        """Call another tool."""
        house.did.append(("outer", x))
        return f"outer: {risky.invoke({'x': x})}"

    graph = house.compile(
        Agent("solo", model=ScriptedModel([("outer", {"x": 7}), "ok"]), tools=[outer]), checkpointer=InMemorySaver()
    )
    assert "__interrupt__" in graph.invoke(GO, THREAD)
    house.approve_all()
    messages = graph.invoke(None, THREAD)["messages"]
    assert answers(messages)["scripted-0-0"].content == "outer: risky did 7"
    assert [name for name, _ in house.did] == ["outer", "outer", "risky"]
    assert [outcome["status"] for outcome in house.outcomes("outer")] == ["suspended", "done"]
    assert [outcome["status"] for outcome in house.outcomes("risky")] == ["done"]


def test_arguments_that_do_not_fit_are_recorded_once_however_often_the_node_runs(house: House) -> None:
    calls = [
        {"name": "look", "args": {"x": "none"}, "id": "a", "type": "tool_call"},
        {"name": "risky", "args": {"x": 2}, "id": "b", "type": "tool_call"},
    ]
    graph = StateGraph(MessagesState)
    graph.add_node("say", lambda state: {"messages": [AIMessage("", tool_calls=calls)]})
    graph.add_node("act", ToolNode([house.tool("look"), house.tool("risky")]))
    graph.add_edge(START, "say")
    graph.add_edge("say", "act")
    compiled = house.compile(graph, checkpointer=InMemorySaver())
    compiled.invoke(GO, THREAD)
    house.approve_all()
    messages = compiled.invoke(None, THREAD)["messages"]
    assert house.decisions("look") == ["deny"]
    assert "the arguments do not fit" in str(answers(messages)["a"].content)


@pytest.mark.parametrize("how", ["invoke", "stream"])
def test_a_model_call_may_wait_for_a_person_too(tmp_path: Path, how: str) -> None:
    policy = 'package openclaw.policies.p\n\nimport rego.v1\n\nask contains "a person reads first" if input.kind == "model"\n'
    with open_house(tmp_path, policy) as house:
        graph = house.compile(Agent("solo", model=ScriptedModel(["hello"])), checkpointer=InMemorySaver())
        mode = "values" if how == "invoke" else "messages"
        list(graph.stream(GO, THREAD, stream_mode=mode))
        assert len(house.pending()) == 1
        house.approve_all()
        list(graph.stream(None, THREAD, stream_mode=mode))
        assert graph.get_state(THREAD).values["messages"][-1].content == "hello"
        assert house.decisions("scripted") == ["ask", "allow"]


class Unkeepable:
    """A result with no lasting form."""

    def __reduce__(self) -> Any:
        raise TypeError("no")


def test_a_result_that_cannot_be_kept_is_not_produced_again(house: House) -> None:
    @tool(response_format="content_and_artifact")
    def look(x: int) -> tuple[str, Any]:
        """Look."""
        house.did.append(("look", x))
        return "seen", Unkeepable()

    risky = house.tool("risky")
    calls = [
        {"name": "look", "args": {"x": 1}, "id": "a", "type": "tool_call"},
        {"name": "risky", "args": {"x": 2}, "id": "b", "type": "tool_call"},
    ]

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(" | ".join(str(item.invoke(call).content) for item, call in todo))]}

    todo: Any = list(zip([look, risky], calls, strict=True))
    graph = house.compile(
        StateGraph(MessagesState).add_node("act", act).add_edge(START, "act"), checkpointer=InMemorySaver()
    )
    graph.invoke(GO, THREAD)
    house.approve_all()
    said = graph.invoke(None, THREAD)["messages"][-1].content
    assert "has already run for this call; its result was not kept" in said
    assert house.did == [("look", 1), ("risky", 2)]


def flaky(house: House) -> BaseTool:
    """A tool that fails twice and then goes well."""

    @tool("look")
    def act(x: int) -> str:
        """Look."""
        house.did.append(("look", x))
        if len(house.did) < 3:
            raise ConnectionError("not yet")
        return f"seen at the {len(house.did)}rd try"

    return act


def until_it_goes_well(look: BaseTool) -> str:
    for _ in range(5):
        with suppress(ConnectionError):
            return str(look.invoke({"x": 1}))
    return "never"


TRIES: dict[str, Any] = {
    "retrying runnable": lambda look: look.with_retry(wait_exponential_jitter=False, stop_after_attempt=5).invoke(
        {"x": 1}
    ),
    "loop": until_it_goes_well,
    "node with a policy": lambda look: look.invoke({"x": 1}),
}


@pytest.mark.parametrize("how", TRIES)
def test_a_call_that_went_well_at_a_later_try_is_not_made_again_when_the_node_is_resumed(
    house: House, how: str
) -> None:
    look, risky = flaky(house), house.tool("risky")

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"{TRIES[how](look)}, {risky.invoke({'x': 2})}")]}

    policy = RetryPolicy(max_attempts=5, initial_interval=0.001) if how == "node with a policy" else None
    drawn = StateGraph(MessagesState).add_node("act", act, retry_policy=policy).add_edge(START, "act")
    saver = InMemorySaver()
    house.compile(drawn, checkpointer=saver).invoke(GO, THREAD)
    assert house.did == [("look", 1)] * 3
    house.approve_all()
    messages = house.compile(drawn, checkpointer=saver).invoke(None, THREAD)["messages"]
    assert messages[-1].content == "seen at the 3rd try, risky did 2"
    assert house.did == [*[("look", 1)] * 3, ("risky", 2)]
    assert [outcome["status"] for outcome in house.outcomes("look")] == ["failed", "failed", "done"]
    house.assert_one_record_each()


def test_an_approval_covers_one_try(house: House) -> None:
    @tool
    def risky(x: int) -> str:
        """Act."""
        house.did.append(("risky", x))
        if len(house.did) < 2:
            raise ConnectionError("not yet")
        return "done"

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(risky.invoke({"x": 2}))]}

    policy = RetryPolicy(max_attempts=5, initial_interval=0.001)
    drawn = StateGraph(MessagesState).add_node("act", act, retry_policy=policy).add_edge(START, "act")
    graph = house.compile(drawn, checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    house.approve_all()
    assert "__interrupt__" in graph.invoke(None, THREAD), "the second try is asked about anew"
    assert house.did == [("risky", 2)]
    assert house.decisions("risky") == ["ask", "allow", "ask"]


async def test_equal_calls_side_by_side_of_which_one_fails_are_told_apart(house: House) -> None:
    look, risky = flaky(house), house.tool("risky")

    async def act(state: MessagesState) -> dict[str, Any]:
        said = await look.with_retry(wait_exponential_jitter=False, stop_after_attempt=5).abatch([{"x": 1}] * 4)
        return {"messages": [AIMessage(f"{len(said)} {await risky.ainvoke({'x': 2})}")]}

    graph = house.compile(
        StateGraph(MessagesState).add_node("act", act).add_edge(START, "act"), checkpointer=InMemorySaver()
    )
    await graph.ainvoke(GO, THREAD)
    assert len(house.did) == 6, "four went well, two failed before"
    house.approve_all()
    await graph.ainvoke(None, THREAD)
    assert house.did == [*[("look", 1)] * 6, ("risky", 2)]
    house.assert_one_record_each()
