"""Run limits: what a policy sees of the calls that a run has made, and the shipped rules that end runs in circles."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from openclaw.action import Context, Principal, Run, ToolCall, policy_input
from openclaw.graph import Agent, Workflow
from openclaw.graph.tally import Tally
from openclaw.runs import same_call
from openclaw.testing import FakeClock, ScriptedModel
from tests.graph.house import POLICY, House
from tests.graph.house import house as open_house
from tests.graph.test_agent import answers, assert_valid

THREAD: Any = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": [("user", "go")]}
SHIPPED = Path(__file__).parents[2] / "policies" / "runs"


def solo(script: list[Any], *tools: BaseTool) -> Agent:
    return Agent("solo", model=ScriptedModel(script), tools=list(tools))


def counted(house: House, tool: str) -> list[tuple[int, int]]:
    """`run.calls` and `run.repeats` of each decision on a tool, in order."""
    runs = [entry.body["input"]["run"] for entry in house.entries("decision") if entry.tool == tool]  # type: ignore[index, call-overload]
    return [(run["calls"], run["repeats"]) for run in runs]  # type: ignore[index, call-overload]


def test_equal_calls_are_told_from_others(house: House) -> None:
    script = [("look", {"x": 1}), ("look", {"x": 2}), ("look", {"x": 1}), ("see", {"x": 1}), ("look", {"x": 1}), "ok"]
    house.compile(solo(script, house.tool("look"), house.tool("see"))).invoke(GO)
    assert counted(house, "look") == [(0, 0), (1, 0), (2, 1), (4, 2)]
    assert counted(house, "see") == [(3, 0)]


def test_defaults_that_are_spelt_out_make_no_other_call(house: House) -> None:
    house.compile(solo([("look", {}), ("look", {"x": 0}), "ok"], house.tool("look"))).invoke(GO)
    assert counted(house, "look") == [(0, 0), (1, 1)]


async def test_equal_calls_side_by_side_on_an_event_loop_are_counted_one_after_another(house: House) -> None:
    script = [[("look", {"x": 1})] * 5, "ok"]
    await house.compile(solo(script, house.tool("look"))).ainvoke(GO)
    assert sorted(counted(house, "look")) == [(number, number) for number in range(5)]


def test_a_second_turn_is_a_new_run_and_counts_anew(house: House) -> None:
    graph = house.compile(
        solo([("look", {"x": 1}), "ok", ("look", {"x": 1}), "ok"], house.tool("look")), checkpointer=InMemorySaver()
    )
    graph.invoke(GO, THREAD)
    graph.invoke(GO, THREAD)
    assert counted(house, "look") == [(0, 0), (0, 0)]


def test_a_call_that_waited_counts_once_and_the_run_counts_on_in_another_process(tmp_path: Path) -> None:
    saver = InMemorySaver()
    script = [("look", {"x": 1}), ("risky", {"x": 2}), ("look", {"x": 1}), ("risky", {"x": 2}), "ok"]
    with open_house(tmp_path) as house:
        graph = house.compile(solo(script, house.tool("look"), house.tool("risky")), checkpointer=saver)
        assert "__interrupt__" in graph.invoke(GO, THREAD)
        assert "__interrupt__" in graph.invoke(None, THREAD)
        house.approve_all()
    with open_house(tmp_path) as house:
        graph = house.compile(solo(script, house.tool("look"), house.tool("risky")), checkpointer=saver)
        assert "__interrupt__" in graph.invoke(None, THREAD)
        house.approve_all()
        graph.invoke(None, THREAD)
        assert counted(house, "look") == [(0, 0), (2, 1)]
        assert counted(house, "risky") == [(1, 0), (1, 0), (3, 1), (3, 1)]
        assert len({entry.run for entry in house.entries("decision")}) == 1


def test_a_tool_that_waits_by_itself_counts_once(house: House) -> None:
    @tool
    def choose(x: int) -> str:
        """Ask a person."""
        return str(interrupt("which?"))

    graph = house.compile(
        solo([("choose", {"x": 1}), ("look", {"x": 1}), "ok"], choose, house.tool("look")), checkpointer=InMemorySaver()
    )
    graph.invoke(GO, THREAD)
    graph.invoke(Command(resume="this"), THREAD)
    assert counted(house, "look") == [(1, 0)]


def test_the_seconds_of_a_run_begin_when_it_starts_or_goes_on() -> None:
    start = dt.datetime(2026, 11, 23, 10, tzinfo=dt.UTC)
    action = ToolCall(principal=Principal(agent="a"), name="look", args={})

    def elapsed(run: Run, after_s: float) -> object:
        document = policy_input(action, Context(run=run, now=start + dt.timedelta(seconds=after_s)))
        part = document["run"]
        assert isinstance(part, dict)
        assert "resumed_at" not in part
        return part.get("elapsed_s")

    assert elapsed(Run(id="r", started_at=start), 59.9) == 59
    assert elapsed(Run(id="r", started_at=start), -5) == 0, "a clock that was set back"
    assert elapsed(Run(id="r", started_at=start, resumed_at=start + dt.timedelta(seconds=50)), 60) == 10
    assert elapsed(Run(id="r"), 60) is None


def test_a_tally_takes_back_no_more_than_was_counted_and_forgets_the_oldest_kind() -> None:
    tally = Tally({same_call("a", "1"): 2})
    assert tally.count(same_call("a", "1")) == (2, 2)
    tally.take_back(same_call("b", "1"))
    tally.take_back(same_call("a", "1"))
    tally.take_back(same_call("a", "1"))
    tally.take_back(same_call("a", "1"))
    tally.take_back(same_call("a", "1"))
    assert tally.count(same_call("a", "1")) == (0, 0)
    for number in range(10_001):
        tally.count(same_call("many", str(number)))
    assert tally.count(same_call("a", "1")) == (10_002, 0)


# The shipped rules --------------------------------------------------------------------------------------------------------


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[House]:
    (tmp_path / "policies").mkdir()
    shutil.copytree(SHIPPED, tmp_path / "policies" / "runs")
    (tmp_path / "policies" / "runs" / "data.json").write_text(
        '{"deny": {"repeats": 3, "calls": 5, "steps": 20}, "ask": {"repeats": 2}, "again": ["wait"]}'
    )
    with open_house(tmp_path, POLICY) as opened:
        yield opened


def test_a_loop_of_equal_calls_ends_and_the_model_hears_why(limited: House) -> None:
    (loop,) = [solo([("wait", {"x": 1})] * 8 + ["ok"], limited.tool("wait"))]
    messages = limited.compile(loop).invoke(GO)["messages"]
    assert limited.did == [("wait", 1)] * 5
    assert "a run may have at most 5 calls" in str(answers(messages)["scripted-5-0"].content)
    assert_valid(messages)


def test_the_third_equal_call_asks_and_the_fourth_is_denied(limited: House) -> None:
    graph = limited.compile(solo([("look", {"x": 1})] * 4 + ["ok"], limited.tool("look")), checkpointer=InMemorySaver())
    [asked] = graph.invoke(GO, THREAD)["__interrupt__"]
    assert asked.value["reasons"] == ["after 2 equal calls a person is asked"]
    limited.approve_all()
    messages = graph.invoke(None, THREAD)["messages"]
    assert limited.did == [("look", 1)] * 3
    assert "a run may have at most 3 equal calls" in str(answers(messages)["scripted-3-0"].content)
    assert limited.decisions("look") == ["allow", "allow", "ask", "allow", "deny"]


def test_refused_calls_count_too_so_that_a_model_that_insists_is_stopped(limited: House) -> None:
    messages = limited.compile(solo([("forbidden", {"x": 1})] * 4 + ["ok"], limited.tool("forbidden"))).invoke(GO)[
        "messages"
    ]
    assert counted(limited, "forbidden") == [(number, number) for number in range(4)]
    assert "a run may have at most 3 equal calls" in str(answers(messages)["scripted-3-0"].content)


def shipped(path: Path, settings: dict[str, Any]) -> None:
    """The shipped rules of runs with these settings, for a house at ``path``."""
    (path / "policies").mkdir()
    shutil.copytree(SHIPPED, path / "policies" / "runs")
    (path / "policies" / "runs" / "data.json").write_text(json.dumps(settings))


def test_at_its_last_step_a_run_ends_with_a_valid_transcript(tmp_path: Path) -> None:
    shipped(tmp_path, {"deny": {"steps": 5}})
    with open_house(tmp_path) as house:
        script = [("look", {"x": number}) for number in range(20)]
        messages = house.compile(solo(script, house.tool("look"))).invoke(GO)["messages"]
        steps = [entry.body["input"]["run"]["step"] for entry in house.entries("decision") if entry.effect == "allow"]  # type: ignore[index, call-overload]
        assert steps
        assert max(steps) == 5  # type: ignore[type-var]
        assert messages[-1].content == "Stopped by policy: a run may have at most 5 steps"
        assert_valid(messages)


def test_when_its_time_is_over_a_run_ends_and_a_new_one_has_its_time_again(tmp_path: Path) -> None:
    shipped(tmp_path, {"deny": {"seconds": 60}})
    clock = FakeClock()

    @tool
    def wait(x: int) -> str:
        """Take half a minute."""
        clock.advance(30)
        return "over"

    with open_house(tmp_path, clock=clock) as house:
        graph = house.compile(
            solo([("wait", {"x": number}) for number in range(20)], wait), checkpointer=InMemorySaver()
        )
        messages = graph.invoke(GO, THREAD)["messages"]
        assert house.decisions("wait") == ["allow"] * 3
        assert messages[-1].content == "Stopped by policy: a run may have at most 60 seconds"
        assert_valid(messages)
        graph.invoke(GO, THREAD)
        assert house.decisions("wait") == ["allow"] * 6


def test_agents_that_hand_over_to_each_other_for_ever_are_a_loop(tmp_path: Path) -> None:
    shipped(tmp_path, {"deny": {"repeats": 2}})

    def agent(name: str, to: str) -> Agent:
        return Agent(name, model=ScriptedModel([(f"transfer_to_{to}", {})] * 9, model_name=f"m-{name}"))

    with open_house(tmp_path) as house:
        desk = Workflow("desk", agents=[agent("left", "right"), agent("right", "left")])
        messages = house.compile(desk).invoke(GO, {"recursion_limit": 100})["messages"]
        for name in ("transfer_to_left", "transfer_to_right"):
            assert house.decisions(name).count("allow") == 2
        assert "a run may have at most 2 equal calls" in str(messages)
        assert_valid(messages)
