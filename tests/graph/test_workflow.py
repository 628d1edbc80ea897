"""Several agents: hand-offs as governed actions, delegation chains, budgets per agent, and descriptions that are wrong."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError

from openclaw.budget import Budget
from openclaw.errors import ConfigurationError
from openclaw.graph import Agent, Workflow
from openclaw.graph.compile import declared_budgets
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.test_agent import answers, assert_valid

THREAD: Any = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": [("user", "go")]}


def desk(house: House, triage: list[Any], refunds: list[Any], **options: Any) -> Workflow:
    @tool
    def pay(amount: int) -> str:
        """Pay."""
        house.did.append(("pay", amount))
        return "paid"

    return Workflow(
        "desk",
        agents=[
            Agent("triage", model=ScriptedModel(triage, model_name="m1"), tools=[house.tool("look")], roles=["reader"]),
            Agent("refunds", model=ScriptedModel(refunds, model_name="m2"), tools=[pay], roles=["payer"]),
            Agent("closed", model=ScriptedModel([], model_name="m3")),
        ],
        **options,
    )


def test_a_hand_off_is_governed_and_the_next_agent_acts_under_its_own_name(house: House) -> None:
    graph = house.compile(desk(house, [("transfer_to_refunds", {})], [("pay", {"amount": 50}), "Refunded."]))
    messages = graph.invoke(GO)["messages"]
    assert messages[-1].content == "Refunded."
    assert [m.name for m in messages if isinstance(m, AIMessage)] == ["triage", "refunds", "refunds"]
    [entry] = [entry for entry in house.entries("decision") if entry.tool == "transfer_to_refunds"]
    assert entry.body["input"]["kind"] == "handoff"
    assert entry.body["input"]["tool"]["args"] == {"agent": "refunds"}
    assert entry.agent == "triage"
    [pay] = [entry for entry in house.entries("decision") if entry.tool == "pay"]
    assert pay.body["input"]["principal"] == {
        "agent": "refunds",
        "workflow": "desk",
        "org": "default",
        "roles": ["payer"],
        "chain": ["triage", "refunds"],
    }
    assert house.did == [("pay", 50)]
    assert [outcome["used"] for outcome in house.outcomes("pay")] == [{"calls": 1}]
    assert [outcome["used"] for outcome in house.outcomes("transfer_to_refunds")] == [{}]
    assert_valid(messages)


async def test_hand_offs_on_an_event_loop(house: House) -> None:
    graph = house.compile(desk(house, [("transfer_to_refunds", {})], [("pay", {"amount": 50}), "Refunded."]))
    assert (await graph.ainvoke(GO))["messages"][-1].content == "Refunded."
    assert house.did == [("pay", 50)]


def test_the_active_agent_goes_on_in_the_next_turn_of_a_thread(house: House) -> None:
    workflow = desk(house, [("transfer_to_refunds", {})], ["Which order?", ("pay", {"amount": 50}), "Done then."])
    graph = house.compile(workflow, checkpointer=InMemorySaver())
    assert graph.invoke(GO, THREAD)["messages"][-1].content == "Which order?"
    messages = graph.invoke({"messages": [("user", "number 7")]}, THREAD)["messages"]
    assert messages[-1].content == "Done then."
    assert house.decisions("transfer_to_refunds") == ["allow"]
    [pay] = [entry for entry in house.entries("decision") if entry.tool == "pay"]
    assert pay.body["input"]["principal"]["chain"] == ["triage", "refunds"]
    other = graph.invoke(GO, {"configurable": {"thread_id": "other"}})["messages"]
    assert other[1].name == "triage"


def test_a_refused_hand_off_leaves_control_where_it_was(house: House) -> None:
    messages = house.compile(desk(house, [("transfer_to_closed", {}), "I stay."], [])).invoke(GO)["messages"]
    assert answers(messages)["m1-0-0"].content == "Refused by policy: this agent receives nobody"
    assert (messages[-1].name, messages[-1].content) == ("triage", "I stay.")
    assert_valid(messages)


def test_a_second_hand_off_in_one_message_is_refused_and_calls_beside_one_are_run(house: House) -> None:
    calls = [("transfer_to_refunds", {}), ("look", {"x": 1}), ("transfer_to_closed", {})]
    messages = house.compile(desk(house, [calls], ["Mine."])).invoke(GO)["messages"]
    assert (messages[-1].name, messages[-1].content) == ("refunds", "Mine.")
    assert house.did == [("look", 1)]
    assert "only one hand-off" in str(answers(messages)["m1-0-2"].content)
    assert house.decisions("transfer_to_closed") == ["deny"]
    assert_valid(messages)


def test_an_agent_cannot_use_the_tools_of_another(house: House) -> None:
    messages = house.compile(desk(house, [("pay", {"amount": 1}), "No."], [])).invoke(GO)["messages"]
    assert "agent `triage` has no tool `pay`" in str(answers(messages)["m1-0-0"].content)
    assert house.did == []


def test_budgets_of_the_description_are_declared_and_hold(house: House) -> None:
    model = ScriptedModel([("look", {"x": n}) for n in range(9)], model_name="m1")
    workflow = Workflow(
        "desk",
        agents=[Agent("triage", model=model, tools=[house.tool("look")], budget=Budget(tokens=90_000))],
        budget=Budget(calls=2),
    )
    assert declared_budgets(workflow) == {
        "org/default/workflow/desk": Budget(calls=2),
        "org/default/workflow/desk/agent/triage": Budget(tokens=90_000),
    }
    messages = house.compile(workflow, ledger=house.ledger).invoke(GO)["messages"]
    assert house.did == [("look", 0), ("look", 1)]
    assert "budget of `org/default/workflow/desk` cannot carry 1 call" in str(answers(messages)["m1-2-0"].content)


def test_parallel_calls_never_exceed_a_budget_of_calls(house: House) -> None:
    house.ledger.set_limit("org/default/agent/solo", Budget(calls=7))
    model = ScriptedModel([[("look", {"x": n}) for n in range(30)], "ok"])
    messages = house.compile(Agent("solo", model=model, tools=[house.tool("look")])).invoke(GO)["messages"]
    assert len(house.did) == 7
    assert sorted(house.decisions("look")) == ["allow"] * 7 + ["deny"] * 23
    assert_valid(messages)


def test_the_recursion_limit_is_langgraphs_own(house: House) -> None:
    agent = Agent("solo", model=ScriptedModel([("look", {"x": n}) for n in range(50)]), tools=[house.tool("look")])
    with pytest.raises(GraphRecursionError):
        house.compile(agent).invoke(GO, {"recursion_limit": 6})
    assert len(house.did) == 3


def test_the_prompt_of_an_agent_comes_first_and_stays_out_of_the_state(house: House) -> None:
    seen: list[Any] = []

    class Watching(ScriptedModel):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append([m.type for m in messages])
            return super()._generate(messages, *args, **kwargs)

    messages = house.compile(Agent("solo", model=Watching(["hi"]), prompt="Be brief.")).invoke(GO)["messages"]
    assert seen == [["system", "human"]]
    assert [m.type for m in messages] == ["human", "ai"]


# --- Descriptions that are wrong ------------------------------------------------------------------------------------


def plain(x: int) -> str:
    """Not a tool."""
    return str(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda look, ok: Agent("a b", model=ok), "agent name `a b` cannot be used"),
        (lambda look, ok: Agent("", model=ok), "agent name `` cannot be used"),
        (lambda look, ok: Agent("a", model=3), "model of agent `a` is int, not a chat model"),
        (lambda look, ok: Agent("a", model=ok.bind(stop=["x"])), "model of agent `a` is _ChatModelBinding"),
        (lambda look, ok: Agent("a", model=ok, tools=[plain]), "tool `plain` of agent `a` is function, not a tool"),
        (lambda look, ok: Agent("a", model=ok, tools=look), "tools of agent `a` are StructuredTool"),
        (lambda look, ok: Agent("a", model=ok, tools=[look, look]), "agent `a` has two tools named `look`"),
        (lambda look, ok: Agent("a", model=ok, roles="payer"), "roles of agent `a` are str"),
        (lambda look, ok: Agent("a", model=ok, budget=5), "budget of agent `a` is int, not Budget"),
        (lambda look, ok: Agent("a", model=ok, prompt=5), "prompt of agent `a` is neither text"),
        (lambda look, ok: Workflow("w", agents=[]), "workflow `w` has no agents"),
        (lambda look, ok: Workflow("w", agents=[3]), "workflow `w` holds int, not an Agent"),
        (lambda look, ok: Workflow("w/x", agents=[Agent("a", model=ok)]), "workflow name `w/x` cannot be used"),
        (lambda look, ok: Workflow("w", agents=[Agent("a", model=ok)] * 2), "two agents named `a`"),
        (lambda look, ok: Workflow("w", agents=[Agent("a", model=ok)], budget={"tokens": 1}), "budget of workflow `w`"),
    ],
)
def test_a_wrong_description_is_refused_with_what_is_wrong(house: House, make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(house.tool("look"), ScriptedModel([]))
    assert message in str(caught.value)
    assert caught.value.hint or "neither" in message


def test_a_tool_cannot_pose_as_a_hand_off(house: House) -> None:
    fake = house.tool("transfer_to_b")
    agents = [Agent("a", model=ScriptedModel([]), tools=[fake]), Agent("b", model=ScriptedModel([]))]
    with pytest.raises(ConfigurationError, match="has the name of a hand-off"):
        Workflow("w", agents=agents)


def test_what_is_no_graph_is_refused(house: House) -> None:
    with pytest.raises(ConfigurationError, match="`dict` cannot be compiled"):
        house.compile({})
    with pytest.raises(ConfigurationError, match="`str` cannot be compiled") as raised:
        house.compile("returns.yaml")
    assert "`read_workflow`" in raised.value.hint
    with pytest.raises(ConfigurationError, match="on_refusal is `ignore`"):
        house.compile(Agent("a", model=ScriptedModel([])), on_refusal="ignore")


def test_a_model_by_name_that_cannot_be_made_is_a_clear_error(house: House) -> None:
    with pytest.raises(ConfigurationError, match="model `nobody:nothing` of agent `a`"):
        house.compile(Agent("a", model="nobody:nothing"))
