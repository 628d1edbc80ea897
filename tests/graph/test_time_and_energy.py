"""Budgets of wall-clock time and of energy, in graphs: what a call holds, what it is charged, and what stops it."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool

from openclaw.budget import Budget, Energy
from openclaw.budget.books import check_books
from openclaw.graph import Agent
from openclaw.halts import WATCH_SECONDS
from openclaw.testing import FakeClock, ScriptedModel
from tests.graph.house import House
from tests.graph.house import house as open_house

GO: Any = {"messages": [("user", "go")]}
ACCOUNT = "org/default/agent/solo"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def timed(tmp_path: Path, clock: FakeClock) -> Iterator[House]:
    with open_house(tmp_path, clock=clock) as opened:
        yield opened


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path, energy=Energy()) as opened:
        yield opened


def dig(clock: FakeClock, seconds: float) -> BaseTool:
    @tool
    def dig(x: int = 0) -> str:
        """Dig."""
        clock.advance(seconds)
        return "dug"

    return dig


def script(*calls: str) -> ScriptedModel:
    return ScriptedModel([*((name, {}) for name in calls), "done"])


def governed(house: House, agent: Agent) -> Any:
    return house.compile(agent, ledger=house.ledger)


def held(house: House, name: str) -> list[dict[str, int]]:
    return [
        entry.body["reservation"]["held"]  # type: ignore[index,call-overload]
        for entry in house.entries("decision")
        if entry.tool == name and entry.effect == "allow"
    ]


def test_a_call_holds_time_and_is_charged_what_elapsed(timed: House, clock: FakeClock) -> None:
    agent = Agent("solo", model=script("dig"), tools=[dig(clock, 12.3456)], budget=Budget(seconds=600))
    governed(timed, agent).invoke(GO)
    timed.gate.flush()
    assert held(timed, "dig") == [{"calls": 1, "milliseconds": 180_000}]
    [outcome] = timed.outcomes("dig")
    assert outcome["used"] == {"calls": 1, "milliseconds": 12_346}  # rounded up
    balance = timed.ledger.balance(ACCOUNT)
    assert (balance.posted.milliseconds, balance.pending.milliseconds) == (12_346, 0)
    assert check_books(timed.store).holds


def test_a_budget_of_each_run_has_time_held_and_seen_from_the_first_call_on(timed: House, clock: FakeClock) -> None:
    agent = Agent("solo", model=script("dig"), tools=[dig(clock, 1)], budget=Budget(seconds=600, window="run"))
    governed(timed, agent).invoke(GO)
    first = timed.entries("decision")[0].body["input"]
    assert first["budget"]["remaining"] == {"milliseconds": 600_000}  # type: ignore[index,call-overload]
    assert next(it["milliseconds"] for it in held(timed, "scripted")) == 180_000


def test_where_no_budget_limits_time_none_is_held_or_posted(timed: House, clock: FakeClock) -> None:
    governed(timed, Agent("solo", model=script("dig"), tools=[dig(clock, 5)])).invoke(GO)
    assert held(timed, "dig") == [{"calls": 1}]
    assert timed.outcomes("dig")[0]["used"] == {"calls": 1}


def test_policies_see_what_is_left_and_a_call_that_took_too_long_stops_the_next(timed: House, clock: FakeClock) -> None:
    agent = Agent("solo", model=script("dig", "dig"), tools=[dig(clock, 45)], budget=Budget(seconds=40))
    messages = governed(timed, agent).invoke(GO)["messages"]
    assert "overdrawn by 5.000 seconds" in messages[-1].content
    first = timed.entries("decision")[0]
    assert first.body["input"]["budget"] == {"remaining": {"milliseconds": 40_000}}  # type: ignore[index,call-overload]
    assert timed.ledger.balance(ACCOUNT).remaining == {"milliseconds": -5_000}


def test_calls_side_by_side_share_what_is_left_of_time(timed: House, clock: FakeClock) -> None:
    agent = Agent(
        "solo",
        model=ScriptedModel([[("dig", {"x": 1}), ("dig", {"x": 2})], "done"]),
        tools=[dig(clock, 1)],
        budget=Budget(seconds=100),
    )
    governed(timed, agent).invoke(GO)
    assert sorted(it["milliseconds"] for it in held(timed, "dig")) != [100_000, 100_000]
    assert timed.decisions("dig") == ["allow", "allow"]


def test_a_clock_that_is_set_back_during_a_call_charges_no_time(timed: House, clock: FakeClock) -> None:
    @tool
    def back(x: int = 0) -> str:
        """Set the clock back."""
        clock._now -= dt.timedelta(hours=1)
        return "back"

    governed(timed, Agent("solo", model=script("back"), tools=[back], budget=Budget(seconds=600))).invoke(GO)
    assert timed.outcomes("back")[0]["used"] == {"calls": 1}
    assert timed.ledger.balance(ACCOUNT).remaining["milliseconds"] <= 600_000


def test_a_call_on_an_event_loop_is_cut_when_its_time_is_over_and_no_more_is_left(
    timed: House, clock: FakeClock
) -> None:
    @tool
    async def linger(x: int = 0) -> str:
        """Never end."""
        clock.advance(31)
        await asyncio.Event().wait()
        return "never"

    agent = Agent("solo", model=script("linger"), tools=[linger], budget=Budget(seconds=30))
    messages = asyncio.run(governed(timed, agent).ainvoke(GO))["messages"]
    timed.gate.flush()
    assert WATCH_SECONDS < 1
    assert "seconds" in messages[2].content
    [outcome] = timed.outcomes("linger")
    assert outcome["used"]["milliseconds"] == 31_000
    assert timed.ledger.balance(ACCOUNT).pending.milliseconds == 0
    assert check_books(timed.store).holds


def test_a_call_that_goes_on_holds_more_time_where_there_is_some(
    timed: House, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_more = threading.Event()
    kept = timed.gate.extensions._kept

    def seen(answer: Any) -> Any:
        held_more.set()
        return kept(answer)

    monkeypatch.setattr(timed.gate.extensions, "_kept", seen)

    @tool
    async def linger(x: int = 0) -> str:
        """Go on until more time is held."""
        clock.advance(181)
        await asyncio.to_thread(held_more.wait, 60)
        return "done in time"

    agent = Agent("solo", model=script("linger"), tools=[linger], budget=Budget(seconds=1_000))
    asyncio.run(governed(timed, agent).ainvoke(GO))
    timed.gate.flush()
    [entry] = [it for it in timed.entries("reservation") if it.body["event"] == "reserve"]
    [decision] = [it for it in timed.entries("decision") if it.tool == "linger"]
    assert entry.body["held"] == {"milliseconds": 180_000}
    assert entry.body["decision"] == decision.seq
    [released] = [it for it in timed.entries("reservation") if it.body["event"] == "release"]
    assert released.body["decision"] == decision.seq
    balance = timed.ledger.balance(ACCOUNT)
    assert (balance.posted.milliseconds, balance.pending.milliseconds) == (181_000, 0)
    assert check_books(timed.store).holds


def gpt(**kwargs: Any) -> ScriptedModel:
    class OpenAI(ScriptedModel):
        def _get_ls_params(self, stop: list[str] | None = None, **params: Any) -> Any:
            return {**super()._get_ls_params(stop=stop, **params), "ls_provider": "openai"}

    return OpenAI(["word " * 100], model_name="gpt-4o", max_tokens=100, **kwargs)


def test_energy_holds_the_upper_end_for_all_output_and_settles_what_the_record_says(measured: House) -> None:
    governed(measured, Agent("solo", model=gpt(), budget=Budget(mwh=10_000))).invoke(GO)
    measured.gate.flush()
    most = Energy().most_mwh("gpt-4o", "openai", 100)
    assert most is not None
    assert held(measured, "gpt-4o")[0]["mwh"] == most
    [outcome] = measured.outcomes("gpt-4o")
    assert outcome["used"]["mwh"] == outcome["energy"]["mwh"][1] <= most
    assert measured.ledger.balance(ACCOUNT).posted.mwh == outcome["used"]["mwh"]
    assert check_books(measured.store).holds


def test_output_is_lowered_to_what_energy_is_left(measured: House) -> None:
    whole, some = (Energy().most_mwh("gpt-4o", "openai", tokens) for tokens in (100, 40))
    assert whole is not None
    assert some is not None
    governed(measured, Agent("solo", model=gpt(), budget=Budget(mwh=some))).invoke(GO)
    [first] = held(measured, "gpt-4o")
    assert first["mwh"] <= some < whole
    assert 0 < first["output_tokens"] < 100


def test_unknown_energy_is_refused_where_an_energy_budget_applies(measured: House, house_without: House) -> None:
    unknown = Agent("solo", model=ScriptedModel(["hello"]), budget=Budget(mwh=1_000))
    for one in (measured, house_without):
        answer = governed(one, unknown).invoke(GO)["messages"][-1].content
        assert "nobody knows the energy that model `scripted` takes, and an energy budget applies" in answer
        assert one.ledger.balance(ACCOUNT).posted.mwh == 0


@pytest.fixture
def house_without(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("dark")) as opened:
        yield opened
