"""Labels that a run is given in its configuration: whatever it spends, in every shape, counts on their accounts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langgraph.graph import START, MessagesState, StateGraph

from openclaw.budget import Budget
from openclaw.budget.books import check_books
from openclaw.errors import BudgetError, BudgetExceeded, ConfigurationError
from openclaw.graph import Agent, Workflow, govern_model, govern_tools, middleware
from openclaw.testing import ScriptedModel
from tests.graph.house import House

GO: Any = {"messages": [("user", "go")]}
ACME = "org/default/customer/acme"


def given(**labels: str) -> Any:
    return {"configurable": {"thread_id": "t", "openclaw_labels": labels}}


def posted(house: House, account: str) -> tuple[int, int]:
    """Calls and tokens; nothing is pending, and the books are right."""
    house.gate.flush()
    balance = house.ledger.balance(account)
    assert not balance.pending.present()
    assert check_books(house.store).differences == ()
    return balance.posted.calls, balance.posted.tokens


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_what_a_run_spends_counts_on_its_labels(house: House, how: str) -> None:
    model = ScriptedModel([("look", {"x": 1}), "done"], usage=(20, 5))
    graph = house.compile(Agent("solo", model=model, tools=[house.tool("look")]))
    for config in (given(customer="acme", team="payments"), given(customer="other"), {}):
        graph.invoke(GO, config) if how == "invoke" else asyncio.run(graph.ainvoke(GO, config))
    assert posted(house, ACME) == posted(house, "org/default/team/payments") == (1, 50)
    assert posted(house, "org/default") == (3, 150)


def test_a_label_of_a_run_is_a_limit_of_it(house: House) -> None:
    house.ledger.set_limit(ACME, Budget(calls=1))
    script = [[("look", {"x": n}) for n in range(3)], "done"]
    graph = house.compile(Agent("solo", model=ScriptedModel(script), tools=[house.tool("look")]))
    messages = graph.invoke(GO, given(customer="acme"))["messages"]
    assert sorted(it.status for it in messages if isinstance(it, ToolMessage)) == ["error", "error", "success"]
    graph.invoke(GO, given(customer="other"))
    assert posted(house, ACME)[0] == 1
    assert len(house.did) == 4


def test_an_agents_own_label_goes_before_that_of_the_run(house: House) -> None:
    first = Agent("first", model=ScriptedModel([("transfer_to_last", {})], usage=(20, 5), model_name="one"))
    last = Agent("last", model=ScriptedModel(["x"], usage=(7, 3), model_name="two"), labels={"team": "payments"})
    house.compile(Workflow("desk", agents=[first, last])).invoke(GO, given(team="sales"))
    assert posted(house, "org/default/team/sales")[1] == 25
    assert posted(house, "org/default/team/payments")[1] == 10


def test_an_agent_that_is_a_tool_counts_on_the_labels_of_the_run_that_calls_it(house: House) -> None:
    helper = Agent("helper", model=ScriptedModel(["x"], usage=(7, 3), model_name="helper"))
    boss = ScriptedModel([("ask_helper", {"task": "help"}), "done"], usage=(20, 5))
    house.compile(Agent("boss", model=boss, tools=[helper.as_tool()])).invoke(GO, given(customer="acme"))
    assert posted(house, ACME) == posted(house, "org/default") == (1, 60)


@pytest.mark.parametrize("bound", [True, False])
def test_a_graph_of_ones_own_counts_on_the_labels_of_its_run(house: House, bound: bool) -> None:
    look, model = house.tool("look"), ScriptedModel(["x"], usage=(7, 3))
    if bound:
        agent = Agent("clerk", model=model, labels={"team": "payments"})
        [look] = govern_tools([look], agent=agent, gate=house.gate)
        model = govern_model(model, agent=agent, gate=house.gate)

    def act(state: MessagesState) -> Any:
        look.invoke({"x": 1})
        return {"messages": [model.invoke(state["messages"])]}

    inner = StateGraph(MessagesState).add_node("act", act).add_edge(START, "act").compile()
    outer = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner")
    house.compile(outer, name="outer").invoke(GO, given(customer="acme"))
    assert posted(house, ACME) == (1, 10)
    assert posted(house, "org/default/team/payments") == ((1, 10) if bound else (0, 0))


def test_langchains_agent_counts_on_the_labels_of_its_run(house: House) -> None:
    agents = pytest.importorskip("langchain.agents")
    mine = Agent("desk", model=ScriptedModel(), labels={"team": "payments"}, budget=Budget(calls=5))
    model = ScriptedModel([("look", {"x": 1}), "ok"], usage=(7, 3))
    extra = [middleware(agent=mine, gate=house.gate, ledger=house.ledger)]
    agents.create_agent(model, [house.tool("look")], middleware=extra).invoke(GO, given(customer="acme"))
    assert posted(house, ACME) == posted(house, "org/default/team/payments") == (1, 20)
    assert house.ledger.balance("org/default/agent/desk").limits == {"calls": 5}


def test_the_log_says_on_which_accounts_it_was_held(house: House) -> None:
    graph = house.compile(Agent("solo", model=ScriptedModel(["x"])))
    graph.invoke(GO, given(customer="acme"))
    graph.invoke(GO)
    told = [entry.body["reservation"] for entry in house.entries("decision")]
    assert [it.get("also") for it in told] == [[ACME], None]


def test_a_budget_of_each_run_holds_for_tools_that_are_bound_to_an_agent(house: House) -> None:
    agent = Agent("clerk", model=ScriptedModel(), budget=Budget(calls=2, window="run"))
    [look] = govern_tools([house.tool("look")], agent=agent, gate=house.gate)
    calls = [{"type": "tool_call", "name": "look", "id": str(n), "args": {"x": n}} for n in range(4)]

    def act(state: MessagesState) -> Any:
        return {"messages": [("ai", look.invoke(call).status) for call in calls]}

    graph = house.compile(StateGraph(MessagesState).add_node("act", act).add_edge(START, "act"), ledger=house.ledger)
    for _ in range(2):
        said = graph.invoke(GO)["messages"][1:]
        assert [it.content for it in said] == ["success", "success", "error", "error"]
    assert len(house.did) == 4


def test_a_budget_of_an_agent_that_tools_are_bound_to_is_declared_where_they_are_compiled(house: House) -> None:
    agent = Agent("clerk", model=ScriptedModel(), budget=Budget(calls=2))
    [look] = govern_tools([house.tool("look")], agent=agent, gate=house.gate)
    graph = StateGraph(MessagesState).add_node("act", lambda state: look.invoke({"x": 1}) and {}).add_edge(START, "act")
    house.compile(graph, name="own", ledger=house.ledger)
    assert house.ledger.balance("org/default/workflow/own/agent/clerk").limits == {"calls": 2}


def test_a_budget_of_a_bound_agent_holds_also_where_nobody_could_see_what_a_node_would_hold(house: House) -> None:
    agent = Agent("clerk", model=ScriptedModel(), budget=Budget(calls=1))
    hidden = {"look": lambda: govern_tools([house.tool("look")], agent=agent, gate=house.gate)[0]}
    world: dict[str, Any] = {"hidden": hidden}
    exec("def act(state):\n    tool = hidden['look']()\n    tool.invoke({'x': 1})\n    tool.invoke({'x': 2})", world)
    graph = house.compile(StateGraph(MessagesState).add_node("act", world["act"]).add_edge(START, "act"), name="own")
    with pytest.raises(BudgetExceeded, match="0 calls left"):
        graph.invoke(GO)
    assert house.did == [("look", 1)]


@pytest.mark.parametrize("wrong", [["customer"], "customer=acme", 1])
def test_labels_that_are_no_names_and_values_are_refused(house: House, wrong: Any) -> None:
    graph = house.compile(Agent("solo", model=ScriptedModel(["x"])))
    with pytest.raises(ConfigurationError, match="`openclaw_labels` of a run are"):
        graph.invoke(GO, {"configurable": {"openclaw_labels": wrong}})
    assert house.entries("decision") == []


@pytest.mark.parametrize("wrong", [{"agent": "x"}, {"a/b": "x"}, {"team": "a b"}, {"team": ""}, {"team": 7}, {7: "x"}])
@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_what_cannot_be_a_label_is_refused(house: House, wrong: Any, how: str) -> None:
    graph = house.compile(Agent("solo", model=ScriptedModel(["x"])))
    config: Any = {"configurable": {"openclaw_labels": wrong}}
    with pytest.raises(BudgetError, match="is not a label"):
        graph.invoke(GO, config) if how == "invoke" else asyncio.run(graph.ainvoke(GO, config))
    assert house.entries("decision") == []
