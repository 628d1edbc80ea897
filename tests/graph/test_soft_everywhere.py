"""Soft limits hold in every shape: on accounts of labels and runs, for bound tools and models, and in LangChain's agents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from openclaw.budget import Budget, Soft
from openclaw.budget.books import check_books
from openclaw.errors import BudgetExceeded, ConfigurationError
from openclaw.graph import Agent, govern_model, govern_tools, middleware
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.test_agent import assert_valid
from tests.graph.test_soft import GO, softs

OWN = "org/default/workflow/own/agent/clerk"
DESK = "org/default/agent/desk"
ACME = "org/default/customer/acme"
OF_ACME: Any = {"configurable": {"openclaw_labels": {"customer": "acme"}}}
HOWS = ["invoke", "ainvoke", "stream", "astream"]


def spent(house: House, account: str, percent: int, **labels: str) -> None:
    """So much of 10,000 tokens is used."""
    house.ledger.set_limit(account, Budget(tokens=10_000))
    held = house.ledger.reserve("org/default", tokens=100 * percent, labels=labels) if labels else None
    held = held or house.ledger.reserve(account, tokens=100 * percent)
    house.ledger.settle(held, tokens=100 * percent)


def asked(house: House) -> list[tuple[str, str]]:
    """Every decision: what was asked for, and how it was decided."""
    return [(entry.tool, entry.effect) for entry in house.entries("decision")]


def own_graph(house: House, model: Any, how: str = "invoke", **options: Any) -> Any:
    """A graph of one's own, whose node calls a bound model in one of four ways."""

    def act(state: MessagesState) -> Any:
        match how:
            case "invoke":
                return {"messages": [model.invoke(state["messages"])]}
            case "ainvoke":
                return {"messages": [asyncio.run(model.ainvoke(state["messages"]))]}
            case "stream":
                return {"messages": [joined(list(model.stream(state["messages"])))]}
            case _:
                return {"messages": [joined(asyncio.run(collected(model, state["messages"])))]}

    graph = StateGraph(MessagesState).add_node("act", act).add_edge(START, "act")
    return house.compile(graph, name="own", **options)


async def collected(model: Any, messages: Any) -> list[Any]:
    return [chunk async for chunk in model.astream(messages)]


def joined(chunks: list[Any]) -> AIMessage:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return AIMessage(whole.content, tool_calls=whole.tool_calls, response_metadata=whole.response_metadata)


# --- Accounts of labels and of runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["run", "agent"])
def test_an_account_of_a_label_reaches_a_soft_limit(house: House, where: str) -> None:
    spent(house, ACME, 80, customer="acme")
    labels = {"customer": "acme"} if where == "agent" else {}
    agent = Agent("solo", model=ScriptedModel(["x"]), soft=Soft(warn=80), labels=labels)
    house.compile(agent).invoke(GO, OF_ACME if where == "run" else {})
    assert [(it["stage"], it["account"], it["percent"]) for it in softs(house)] == [("warn", ACME, 80)]


def test_a_budget_of_each_run_reaches_a_soft_limit_within_the_run(house: House) -> None:
    agent = Agent(
        "solo",
        model=ScriptedModel([("look", {}), "x"], usage=(40, 5), model_name="dear", max_tokens=50),
        cheaper=ScriptedModel(["x"], usage=(40, 5), model_name="cheap", max_tokens=50),
        tools=[house.tool("look")],
        budget=Budget(tokens=400, window="run"),
        soft=Soft(warn=10, cheaper=10),
    )
    graph = house.compile(agent, ledger=house.ledger)
    for _ in range(2):
        graph.invoke(GO)
    assert asked(house) == [("dear", "allow"), ("look", "allow"), ("cheap", "allow")] * 2
    told = softs(house)
    assert [it["stage"] for it in told] == ["warn", "cheaper"] * 2
    assert len({it["account"] for it in told}) == 2  # each run has an account of its own
    assert all(it["account"].startswith("org/default/agent/solo/run/") for it in told)


# --- Tools and models that are bound to an agent ----------------------------------------------------------------------


def test_a_bound_tool_warns(house: House) -> None:
    spent(house, OWN, 80)
    agent = Agent("clerk", model=ScriptedModel(), soft=Soft(warn=80))
    [look] = govern_tools([house.tool("look")], agent=agent, gate=house.gate)
    graph = StateGraph(MessagesState).add_node("act", lambda state: look.invoke({"x": 1}) and {}).add_edge(START, "act")
    house.compile(graph, name="own").invoke(GO)
    assert [(it["stage"], it["account"]) for it in softs(house)] == [("warn", OWN)]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("percent", "model"), [(89, "dear"), (90, "cheap")])
def test_a_bound_model_gives_way_to_a_cheaper_one(house: House, how: str, percent: int, model: str) -> None:
    spent(house, OWN, percent)
    dear = ScriptedModel(["well then"], model_name="dear", max_tokens=50)
    cheap = ScriptedModel(["well then"], model_name="cheap", max_tokens=50)
    agent = Agent("clerk", model=dear, cheaper=cheap, soft=Soft(cheaper=90))
    bound = govern_model(dear, agent=agent, gate=house.gate)
    messages = own_graph(house, bound, how).invoke(GO)["messages"]
    assert messages[-1].content == "well then"
    assert asked(house) == [(model, "allow")]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("percent", "letters"), [(89, 800), (90, 40)])
def test_a_bound_model_answers_more_shortly(house: House, how: str, percent: int, letters: int) -> None:
    spent(house, OWN, percent)
    model = ScriptedModel(["x" * 4_000], max_tokens=200)
    agent = Agent("clerk", model=model, soft=Soft(shorten=90, shorten_tokens=10))
    messages = own_graph(house, govern_model(model, agent=agent, gate=house.gate), how).invoke(GO)["messages"]
    assert len(messages[-1].content) == letters


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("on_refusal", ["message", "raise"])
@pytest.mark.parametrize("says", ["what I know", ("look", {"x": 1})])
def test_a_bound_model_finishes_with_a_last_answer_from_what_is_kept(
    house: House, how: str, on_refusal: str, says: Any
) -> None:
    house.ledger.set_limit(OWN, Budget(tokens=400))
    model = ScriptedModel([says], usage=(20, 5), max_tokens=300)
    agent = Agent("clerk", model=model, soft=Soft(reserve_tokens=200))
    bound = govern_model(model, agent=agent, gate=house.gate)
    spare = house.ledger.reserve(OWN, tokens=195)  # of 205 that are left, 200 are kept
    messages = own_graph(house, bound, how, on_refusal=on_refusal).invoke(GO)["messages"]
    assert messages[-1].content == says if isinstance(says, str) else "tools only" in messages[-1].content
    assert asked(house) == [("scripted", "deny"), ("scripted", "allow")]
    assert_valid(messages)
    house.ledger.release(spare)
    house.gate.flush()
    assert house.ledger.balance(OWN).posted.tokens == 25
    assert not house.ledger.balance(OWN).pending.present()
    assert check_books(house.store).holds


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("on_refusal", ["message", "raise"])
def test_a_bound_model_whose_last_answer_does_not_fit_either_is_refused(
    house: House, how: str, on_refusal: str
) -> None:
    house.ledger.set_limit(OWN, Budget(tokens=5))
    model = ScriptedModel(["x"])
    agent = Agent("clerk", model=model, soft=Soft(reserve_tokens=50))
    graph = own_graph(house, govern_model(model, agent=agent, gate=house.gate), how, on_refusal=on_refusal)
    if on_refusal == "message":
        assert "5 tokens left" in graph.invoke(GO)["messages"][-1].content
    else:
        with pytest.raises(BudgetExceeded, match="5 tokens left"):
            graph.invoke(GO)


def test_what_is_bound_to_a_model_stays_with_the_cheaper_one(house: House) -> None:
    spent(house, OWN, 95)
    dear = ScriptedModel([("look", {"x": 1})], model_name="dear")
    cheap = ScriptedModel([("look", {"x": 1})], model_name="cheap")
    agent = Agent("clerk", model=dear, cheaper=cheap, soft=Soft(cheaper=90))
    [look] = govern_tools([house.tool("look")], agent=agent, gate=house.gate)
    bound = govern_model(dear, agent=agent, gate=house.gate).bind_tools([look])
    messages = own_graph(house, bound).invoke(GO)["messages"]
    assert [call["name"] for call in messages[-1].tool_calls] == ["look"]
    assert asked(house) == [("cheap", "allow")]


def test_a_cheaper_model_of_another_class_is_refused_with_the_way_out(house: House) -> None:
    agent = Agent(
        "clerk", model=ScriptedModel(), cheaper=FakeListChatModel(responses=["x"]), soft=Soft(warn=50, cheaper=90)
    )
    with pytest.raises(ConfigurationError, match="`FakeListChatModel`, and its model a `ScriptedModel`") as refused:
        govern_model(ScriptedModel(), agent=agent, gate=house.gate)
    assert "two models of one class" in (refused.value.hint or "")


# --- LangChain's agents -----------------------------------------------------------------------------------------------


def langchain_agent(house: House, model: Any, *names: str, **limits: Any) -> Any:
    agents = pytest.importorskip("langchain.agents")
    on_refusal = limits.pop("on_refusal", "message")
    mine = Agent("desk", model=model, **limits)
    extra = [middleware(agent=mine, gate=house.gate, on_refusal=on_refusal)]
    return agents.create_agent(model, [house.tool(name) for name in names], middleware=extra)


def went(graph: Any, how: str) -> list[Any]:
    return list((graph.invoke(GO) if how == "invoke" else asyncio.run(graph.ainvoke(GO)))["messages"])


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_langchains_agent_warns_shortens_and_gives_way_to_a_cheaper_model(house: House, how: str) -> None:
    spent(house, DESK, 90)
    dear = ScriptedModel([("look", {"x": 1}), "x" * 4_000], model_name="dear", max_tokens=200)
    cheap = ScriptedModel([("look", {"x": 1}), "x" * 4_000], model_name="cheap", max_tokens=200)
    soft = Soft(warn=80, cheaper=85, shorten=90, shorten_tokens=10)
    messages = went(langchain_agent(house, dear, "look", cheaper=cheap, soft=soft), how)
    assert asked(house) == [("cheap", "allow"), ("look", "allow"), ("cheap", "allow")]
    assert len(messages[-1].content) == 40
    assert [it["stage"] for it in softs(house)] == ["warn", "cheaper", "shorten"]


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize("on_refusal", ["message", "raise"])
def test_langchains_agent_finishes_with_a_last_answer(house: House, how: str, on_refusal: str) -> None:
    house.ledger.set_limit(DESK, Budget(tokens=1_500))
    model = ScriptedModel([("look", {"x": n}) for n in range(50)], usage=(300, 10), max_tokens=100)
    graph = langchain_agent(house, model, "look", soft=Soft(reserve_tokens=150), on_refusal=on_refusal)
    messages = went(graph, how)
    assert "tools only" in messages[-1].content
    assert house.decisions("scripted")[-2:] == ["deny", "allow"]
    assert_valid(messages)
    assert house.ledger.balance(DESK).remaining["tokens"] >= 0
    assert check_books(house.store).holds


def test_langchains_agent_within_a_governed_graph_has_its_limits_there(house: House) -> None:
    spent(house, "org/default/workflow/outer/agent/desk", 80)
    graph = langchain_agent(house, ScriptedModel(["x"]), soft=Soft(warn=80))
    house.compile(graph, name="outer").invoke(GO)
    assert [it["account"] for it in softs(house)] == ["org/default/workflow/outer/agent/desk"]
