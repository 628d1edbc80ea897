"""A budget holds in every shape of work: not a call more than it carries, no call left open, and it goes on once it is raised."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send

from openclaw.budget import CALL_SECONDS, Budget
from openclaw.budget.books import check_books
from openclaw.errors import BudgetExceeded
from openclaw.graph import Agent, Workflow
from openclaw.testing import FakeClock, ScriptedModel
from tests.graph.house import House
from tests.graph.house import house as open_house
from tests.graph.test_agent import assert_valid

ORG = "org/default"
GO: Any = {"messages": [("user", "go")]}


def calls_of(house: House, account: str = ORG) -> int:
    """Tool calls posted to an account; nothing of it is pending, and the books are right."""
    house.gate.flush()
    balance = house.ledger.balance(account)
    assert not balance.pending.present()
    assert check_books(house.store).differences == ()
    return balance.posted.calls


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_parallel_tool_calls(house: House, how: str) -> None:
    house.ledger.set_limit(ORG, Budget(calls=4))
    model = ScriptedModel([[("look", {"x": n}) for n in range(10)], "done"])
    graph = house.compile(Agent("solo", model=model, tools=[house.tool("look")]))
    messages = (graph.invoke(GO) if how == "invoke" else asyncio.run(graph.ainvoke(GO)))["messages"]
    assert len(house.did) == calls_of(house) == 4
    answers = Counter(it.status for it in messages if isinstance(it, ToolMessage))
    assert answers == {"success": 4, "error": 6}
    assert_valid(messages)


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_a_fan_out_of_a_thousand(house: House, how: str) -> None:
    house.ledger.set_limit("org/default/workflow/fan", Budget(calls=300))
    look = house.tool("look")
    refused: list[int] = []

    def act(state: dict[str, Any]) -> dict[str, Any]:
        try:
            look.invoke({"x": state["x"]})
        except BudgetExceeded:
            refused.append(state["x"])
        return {}

    fan = StateGraph(MessagesState).add_node("act", act)
    fan.add_conditional_edges(START, lambda _: [Send("act", {"x": n}) for n in range(1_000)], ["act"])
    graph = house.compile(fan, name="fan", on_refusal="raise")
    (graph.invoke(GO) if how == "invoke" else asyncio.run(graph.ainvoke(GO)))
    assert len(house.did) == calls_of(house) == 300
    assert len(refused) == 700
    assert {n for _, n in house.did}.isdisjoint(refused)


def test_a_subgraph_draws_on_the_graph_above_it(house: House) -> None:
    house.ledger.set_limit("org/default/workflow/outer", Budget(calls=3))
    look = house.tool("look")

    def act(state: MessagesState) -> dict[str, Any]:
        said = [look.invoke({"type": "tool_call", "name": "look", "id": str(n), "args": {"x": n}}) for n in range(2)]
        return {"messages": [AIMessage(str(it.status)) for it in said]}

    inner = StateGraph(MessagesState).add_node("act", act).add_edge(START, "act").compile()
    outer = StateGraph(MessagesState).add_node("inner", inner).add_node("again", act)
    outer.add_edge(START, "inner").add_edge("inner", "again")
    messages = house.compile(outer, name="outer").invoke(GO)["messages"]
    assert [it.content for it in messages[1:]] == ["success", "success", "success", "error"]
    assert len(house.did) == calls_of(house) == 3


def test_a_supervisor_and_its_workers_share_their_workflow(house: House) -> None:
    house.ledger.set_limit("org/default/workflow/team", Budget(calls=2))
    boss = Agent("boss", model=ScriptedModel([("transfer_to_hand", {})], model_name="boss"))
    script = [("look", {"x": n}) for n in range(5)]
    hand = Agent("hand", model=ScriptedModel(script, model_name="hand"), tools=[house.tool("look")])
    messages = house.compile(Workflow("team", agents=[boss, hand])).invoke(GO)["messages"]
    assert len(house.did) == calls_of(house) == 2
    assert_valid(messages)


def test_an_agent_that_spawns_agents_cannot_leave_its_organisation(house: House) -> None:
    house.ledger.set_limit(ORG, Budget(calls=5))

    @tool
    def spawn(x: int) -> str:
        """Let another agent do it."""
        script = [("look", {"x": n}) for n in range(3)]
        child = Agent(f"child-{x}", model=ScriptedModel(script, model_name=f"c{x}"), tools=[house.tool("look")])
        return str(house.compile(child).invoke(GO)["messages"][-1].content)

    parent = Agent("parent", model=ScriptedModel([("spawn", {"x": n}) for n in range(4)]), tools=[spawn])
    messages = house.compile(parent).invoke(GO)["messages"]
    assert calls_of(house) == 5
    assert len(house.did) == 3  # two of the five are calls of `spawn`, and the second child had none left
    assert_valid(messages)


def test_a_batch(house: House) -> None:
    house.ledger.set_limit(ORG, Budget(calls=7))
    graph = house.compile(Agent("solo", model=ScriptedModel([("look", {"x": 1})]), tools=[house.tool("look")]))
    for answer in graph.batch([GO] * 12):
        assert_valid(answer["messages"])
    assert len(house.did) == calls_of(house) == 7


def test_a_retry_is_a_call_of_its_own_and_a_refusal_is_not_retried_into_the_budget(house: House) -> None:
    house.ledger.set_limit("org/default/workflow/own", Budget(input_tokens=60))
    tried: list[int] = []

    class Broken(ScriptedModel):
        def _next(self, messages: Sequence[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
            tried.append(1)
            raise ConnectionError("down")

    model = Broken(max_tokens=10)

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.with_retry(wait_exponential_jitter=False, stop_after_attempt=50).invoke("go")]}

    graph = house.compile(StateGraph(MessagesState).add_node("act", act).add_edge(START, "act"), name="own")
    assert "Stopped by budget" in graph.invoke(GO)["messages"][-1].content
    house.gate.flush()
    balance = house.ledger.balance("org/default/workflow/own")
    assert 1 < len(tried) < 20
    assert 0 <= balance.remaining["input_tokens"] < 20
    assert not balance.pending.present()


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_what_was_stopped_goes_on_once_the_budget_is_raised_and_repeats_nothing(house: House, how: str) -> None:
    house.ledger.set_limit(ORG, Budget(calls=4))
    model = ScriptedModel([[("look", {"x": n}) for n in range(10)], "done"])
    agent = Agent("solo", model=model, tools=[house.tool("look")])
    graph = house.compile(agent, checkpointer=InMemorySaver(), on_refusal="raise")
    config: Any = {"configurable": {"thread_id": "t"}}

    def go(given: Any) -> Any:
        return graph.invoke(given, config) if how == "invoke" else asyncio.run(graph.ainvoke(given, config))

    with pytest.raises(BudgetExceeded, match="0 calls left"):
        go(GO)
    assert len(house.did) == calls_of(house) == 4
    house.ledger.set_limit(ORG, Budget(calls=10))
    messages = go(None)["messages"]
    assert sorted(n for _, n in house.did) == list(range(10))
    assert calls_of(house) == 10
    assert messages[-1].content == "done"
    assert_valid(messages)


@pytest.mark.parametrize("where", ["agent", "workflow"])
def test_a_budget_of_each_run(house: House, where: str) -> None:
    budget = Budget(calls=2, window="run")
    model = ScriptedModel([("look", {"x": n}) for n in range(5)])
    hand = Agent("hand", model=model, tools=[house.tool("look")], budget=budget if where == "agent" else None)
    team = Workflow("team", agents=[hand], budget=budget if where == "workflow" else None)
    graph = house.compile(team, ledger=house.ledger)
    for _ in range(2):
        messages = graph.invoke(GO)["messages"]
        assert [it.status for it in messages if isinstance(it, ToolMessage)] == ["success"] * 2 + ["error"] * 3
    assert len(house.did) == calls_of(house) == 4
    runs = [it for it in house.ledger.accounts() if "/run/" in it.account]
    assert [(it.limits, it.posted.calls) for it in runs] == [({"calls": 2}, 2)] * 2


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize("lives", [True, False])
def test_what_a_call_holds_lasts_as_long_as_it_runs_and_no_longer(tmp_path: Path, how: str, lives: bool) -> None:
    clock = FakeClock()
    with open_house(tmp_path, clock=clock) as house:
        house.ledger.set_limit(ORG, Budget(calls=1))
        taken: list[bool] = []

        @tool
        def slow(x: int) -> str:
            """Take longer than any hold lasts."""
            for _ in range(4):
                clock.advance(CALL_SECONDS * 0.9)
                if lives:  # what a thread of each governance does every 20 seconds
                    house.gate._worker.beat()
            try:
                house.ledger.release(house.ledger.reserve(ORG, calls=1))  # somebody else, meanwhile
            except BudgetExceeded:
                taken.append(False)
            else:
                taken.append(True)
            return "done"

        graph = house.compile(Agent("solo", model=ScriptedModel([("slow", {"x": 1}), "ok"]), tools=[slow]))
        (graph.invoke(GO) if how == "invoke" else asyncio.run(graph.ainvoke(GO)))
        assert taken == [not lives]
        assert calls_of(house) == 1  # it is charged either way


def test_an_agent_spends_from_the_accounts_of_its_labels(house: House) -> None:
    house.ledger.set_limit("org/default/team/payments", Budget(calls=3))
    script = [("look", {"x": n}) for n in range(2)]
    for name in ("one", "two"):
        agent = Agent(name, model=ScriptedModel(script), tools=[house.tool("look")], labels={"team": "payments"})
        assert_valid(house.compile(agent).invoke(GO)["messages"])
    assert len(house.did) == calls_of(house) == calls_of(house, "org/default/team/payments") == 3


def test_a_huge_max_tokens_does_not_starve_the_rest(house: House) -> None:
    house.ledger.set_limit(ORG, Budget(tokens=20_000))
    beside: list[int] = []

    class Asking(ScriptedModel):
        def _next(self, messages: Sequence[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
            held = house.ledger.reserve("org/default/agent/other", tokens=5_000)  # somebody else, at the same time
            beside.append(held.held.tokens)
            house.ledger.release(held)
            return super()._next(messages, kwargs)

    model = Asking(["well"], max_tokens=2**30)
    assert house.compile(Agent("solo", model=model)).invoke(GO)["messages"][-1].content == "well"
    assert beside == [5_000]
