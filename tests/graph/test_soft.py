"""Soft limits: warned of, answered by a cheaper model, shortened, and a last answer kept, before anything is stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import ValidationError

from openclaw.budget import Budget, Soft
from openclaw.budget.books import check_books
from openclaw.errors import BudgetExceeded, ConfigurationError
from openclaw.graph import Agent
from openclaw.softlimits import Reached
from openclaw.testing import ScriptedModel
from tests.graph.house import POLICY, House
from tests.graph.house import house as open_house
from tests.graph.test_agent import assert_valid

ACCOUNT = "org/default/agent/solo"
GO: Any = {"messages": [("user", "go")]}


def spent(house: House, percent: int) -> None:
    """So much of 10,000 tokens is used."""
    house.ledger.set_limit(ACCOUNT, Budget(tokens=10_000))
    house.ledger.settle(house.ledger.reserve(ACCOUNT, tokens=100 * percent), tokens=100 * percent)


def said(house: House, agent: Agent, how: str = "invoke", **kwargs: Any) -> list[Any]:
    graph = house.compile(agent, **kwargs)
    answer = graph.invoke(GO) if how == "invoke" else asyncio.run(graph.ainvoke(GO))
    house.gate.flush()
    return list(answer["messages"])


def softs(house: House) -> list[dict[str, Any]]:
    return [entry.body for entry in house.entries("reservation") if entry.body["event"] == "soft"]


def test_a_warning_is_an_entry_and_a_call_once(house: House) -> None:
    spent(house, 80)
    heard: list[Reached] = []
    house.gate.soft.observer = heard.append
    agent = Agent("solo", model=ScriptedModel([("look", {}), "done"]), tools=[house.tool("look")], soft=Soft(warn=80))
    said(house, agent)
    said(house, agent)
    [body] = softs(house)
    assert (body["stage"], body["unit"], body["percent"], body["limit"]) == ("warn", "tokens", 80, 10_000)
    [reached] = heard
    assert (reached.agent, reached.stage, reached.use.used) == ("solo", "warn", 8_000)
    [entry] = [it for it in house.entries("reservation") if it.body["event"] == "soft"]
    assert reached.seq == entry.seq
    assert check_books(house.store).holds


def test_below_the_threshold_nothing_is_said(house: House) -> None:
    spent(house, 79)
    said(house, Agent("solo", model=ScriptedModel(["done"]), soft=Soft(warn=80)))
    assert softs(house) == []


def test_a_policy_sees_the_stages_that_hold(tmp_path: Any) -> None:
    rule = '\ndeny contains "no looks any more" if {\n\tinput.kind == "tool"\n\t"warn" in input.budget.soft\n}\n'
    with open_house(tmp_path, POLICY + rule) as house:
        agent = Agent(
            "solo", model=ScriptedModel([("look", {}), "done"]), tools=[house.tool("look")], soft=Soft(warn=80)
        )
        spent(house, 10)
        said(house, agent)
        assert house.did == [("look", 0)]
        spent(house, 80)
        messages = said(house, agent)
        assert house.did == [("look", 0)]
        assert "no looks any more" in messages[2].content


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize(("percent", "model"), [(89, "dear"), (90, "cheap")])
def test_a_cheaper_model_answers_from_its_threshold_on(house: House, how: str, percent: int, model: str) -> None:
    spent(house, percent)
    agent = Agent(
        "solo",
        model=ScriptedModel(["x"], model_name="dear", max_tokens=50),
        cheaper=ScriptedModel(["x"], model_name="cheap", max_tokens=50),
        soft=Soft(cheaper=90),
    )
    said(house, agent, how)
    assert [entry.tool for entry in house.entries("decision")] == [model]


@pytest.mark.parametrize(("percent", "words"), [(89, 800), (90, 40)])
def test_answers_are_shortened_from_their_threshold_on(house: House, percent: int, words: int) -> None:
    spent(house, percent)
    model = ScriptedModel(["x" * 4_000], max_tokens=200)
    messages = said(house, Agent("solo", model=model, soft=Soft(shorten=90, shorten_tokens=10)))
    assert len(messages[-1].content) == words


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize("on_refusal", ["message", "raise"])
def test_an_agent_finishes_with_a_last_answer_from_what_is_kept(house: House, how: str, on_refusal: str) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=1_500))
    model = ScriptedModel([*[("look", {"x": n}) for n in range(2)], "what I know"], usage=(300, 10), max_tokens=100)
    agent = Agent("solo", model=model, tools=[house.tool("look")], soft=Soft(reserve_tokens=150))
    messages = said(house, agent, how, on_refusal=on_refusal)
    assert messages[-1].content == "what I know"
    assert house.decisions("scripted")[-2:] == ["deny", "allow"]
    assert house.ledger.balance(ACCOUNT).remaining["tokens"] >= 0
    assert not house.ledger.balance(ACCOUNT).pending.present()
    assert_valid(messages)
    assert check_books(house.store).holds


def test_a_last_answer_that_asks_for_tools_gets_none_and_leaves_no_call_open(house: House) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=1_500))
    model = ScriptedModel([("look", {"x": n}) for n in range(50)], usage=(300, 10), max_tokens=100)
    messages = said(house, Agent("solo", model=model, tools=[house.tool("look")], soft=Soft(reserve_tokens=150)))
    assert isinstance(messages[-1], AIMessage)
    assert "the last answer asked for tools only" in messages[-1].content
    assert_valid(messages)


def test_without_a_reserve_the_refusal_is_the_end(house: House) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=5))
    assert "Stopped by budget" in said(house, Agent("solo", model=ScriptedModel(["x"]), soft=Soft(warn=80)))[-1].content


def test_a_last_answer_that_does_not_fit_either_is_the_refusal_of_the_call_before_it(house: House) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=5))
    agent = Agent("solo", model=ScriptedModel(["x"]), soft=Soft(reserve_tokens=50))
    assert "5 tokens left" in said(house, agent)[-1].content
    with pytest.raises(BudgetExceeded):
        said(house, agent, on_refusal="raise")


@pytest.mark.parametrize("wrong", [{}, {"warn": 0}, {"warn": 101}, {"warn": 1.5}, {"reserve_tokens": -1}, {"loud": 1}])
def test_what_is_no_soft_limit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Soft(**wrong)


def test_a_cheaper_model_must_be_declared() -> None:
    with pytest.raises(ConfigurationError, match="switch to a cheaper model, and it has none"):
        Agent("solo", model=ScriptedModel(), soft=Soft(cheaper=90))
