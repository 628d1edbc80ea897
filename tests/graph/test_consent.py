"""Answers that change arguments, several people who must agree, and answers that come with the command that resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from openclaw.answers import Said
from openclaw.approvers import Approver
from openclaw.errors import ApprovalError
from openclaw.graph import Agent
from openclaw.graph.amended import AMENDED
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.house import house as open_house
from tests.graph.test_agent import answers, assert_valid

THREAD: Any = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": [("user", "go")]}

POLICY = """
package openclaw.policies.desk

import rego.v1

allow if input.kind == "model"

allow if input.tool.name == "look"

ask contains "a person looks at this" if input.tool.name == "pay"

deny contains "never more than 100" if {
	input.tool.name == "pay"
	input.tool.args.amount > 100
}

oblige contains {"kind": "amend", "args": ["amount", "note"]} if input.tool.name == "pay"

oblige contains {"kind": "approve", "quorum": 2, "roles": ["finance", "risk"], "distinct": true} if {
	input.tool.name == "pay"
	input.tool.args.amount > 60
}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    with open_house(tmp_path, POLICY) as house:
        yield house


def payer(house: House, amount: int = 50) -> Agent:
    @tool
    def pay(amount: int, to: str = "acme", note: str = "") -> str:
        """Pay."""
        house.did.append(("pay", amount, to, note))
        if note == "fail":
            raise RuntimeError("the bank is closed")
        return f"paid {amount}"

    model = ScriptedModel([[("look", {"x": 1}), ("pay", {"amount": amount})], "Done."])
    return Agent("desk", model=model, tools=[house.tool("look"), pay])


def say(house: House, by: str, approve: bool = True, **args: Any) -> Any:
    return house.gate.answers.give(house.approvals.list()[0].id, Said(by=by, approve=approve, args=args))


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_call_runs_with_the_changed_arguments_only_and_the_model_is_told(
    desk: House, asynchronous: bool
) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    say(desk, "ada", amount=40, note="half of it")
    messages = (await graph.ainvoke(None, THREAD) if asynchronous else graph.invoke(None, THREAD))["messages"]
    assert desk.did == [("look", 1), ("pay", 40, "acme", "half of it")]
    told = answers(messages)["scripted-0-1"]
    assert told.content == (
        '[ada approved this call with other arguments, and it ran with these: amount = 40, note = "half of it"]\npaid 40'
    )
    assert told.additional_kwargs[AMENDED] == {"by": "ada", "args": {"amount": 40, "note": "half of it"}}
    assert desk.decisions("pay") == ["ask", "allow"]
    assert_valid(messages)


def test_both_digests_stand_in_the_log_and_the_changed_call_is_what_the_policy_saw(desk: House) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    asked = desk.approvals.list()[0]
    say(desk, "ada", amount=40)
    graph.invoke(None, THREAD)
    [answer] = desk.entries("approval")
    assert answer.body["args_digest"] == asked.args_digest
    assert answer.body["changed"]["args"] == {"amount": 40}  # type: ignore[index, call-overload]
    decision = [entry for entry in desk.entries("decision") if entry.tool == "pay"][-1]
    changed: Any = decision.body["changed"]
    assert (changed["by"], changed["args"], changed["asked_digest"]) == ("ada", ["amount"], asked.args_digest)
    assert changed["args_digest"] != asked.args_digest
    seen: Any = decision.body["input"]
    assert seen["tool"]["args"]["amount"] == 40
    assert seen["approval"]["changed"] == ["amount"]
    assert seen["flow"]["args"]["amount"] == {"seen_in": ["approval"], "trust": "trusted"}


def test_a_changed_call_that_the_policy_denies_does_not_run_and_says_who_changed_it(desk: House) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    say(desk, "ada", amount=400)
    messages = graph.invoke(None, THREAD)["messages"]
    assert desk.did == [("look", 1)]
    assert answers(messages)["scripted-0-1"].content == (
        "Refused by policy: never more than 100; ada has changed amount of it"
    )


def test_one_cannot_change_into_a_call_that_more_people_must_agree_to(desk: House) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    say(desk, "ada", amount=90)
    messages = graph.invoke(None, THREAD)["messages"]
    assert desk.did == [("look", 1)]
    assert "2 people of `finance`, `risk`, each for another role, must agree, and nobody has" in str(
        answers(messages)["scripted-0-1"].content
    )


def test_changed_arguments_that_do_not_fit_the_tool_are_refused(desk: House) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    say(desk, "ada", amount="many")
    messages = graph.invoke(None, THREAD)["messages"]
    assert desk.did == [("look", 1)]
    said = str(answers(messages)["scripted-0-1"].content)
    assert "Refused by approval: the arguments as `ada` changed them cannot be used" in said
    assert "the arguments do not fit the schema of `pay`: `amount`" in said


def test_what_the_policy_does_not_name_cannot_be_changed(desk: House) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    with pytest.raises(ApprovalError) as raised:
        say(desk, "ada", to="mallory")
    assert raised.value.message == "the policy lets no approver change `to` of `pay`"
    assert raised.value.hint == "it lets them change `amount`, `note`"
    assert desk.pending()


def test_a_tool_that_fails_says_so_with_what_was_changed(desk: House) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    say(desk, "ada", note="fail")
    told = answers(graph.invoke(None, THREAD)["messages"])["scripted-0-1"]
    assert str(told.content).startswith("[ada approved this call with other arguments")
    assert "RuntimeError: the bank is closed" in str(told.content)


def test_a_node_that_runs_again_tells_of_the_change_again_and_runs_nothing_twice(desk: House) -> None:
    [_, pay] = payer(desk).tools
    calls = [
        {"name": "pay", "args": {"amount": 50}, "id": "a", "type": "tool_call"},
        {"name": "pay", "args": {"amount": 51}, "id": "b", "type": "tool_call"},
    ]
    graph = StateGraph(MessagesState)
    graph.add_node("say", lambda state: {"messages": [ScriptedAnswer(calls)]})
    graph.add_node("act", ToolNode([pay]))
    graph.add_edge(START, "say")
    graph.add_edge("say", "act")
    compiled = desk.compile(graph, checkpointer=InMemorySaver(), name="own")
    compiled.invoke(GO, THREAD)
    for _ in range(2):
        for question in desk.approvals.list():
            desk.gate.answers.give(question.id, Said(by="ada", approve=True, args={"amount": 7}))
            break
        messages = compiled.invoke(None, THREAD)["messages"]
    assert sorted(desk.did) == [("pay", 7, "acme", "")] * 2
    told = [str(message.content) for message in messages if message.type == "tool"]
    assert told == ["[ada approved this call with other arguments, and it ran with these: amount = 7]\npaid 7"] * 2


def ScriptedAnswer(calls: list[Any]) -> Any:  # noqa: N802 - reads as the message that it makes
    from langchain_core.messages import AIMessage

    return AIMessage("", tool_calls=calls)


def test_two_people_of_two_roles_across_a_restart(tmp_path: Path) -> None:
    did: list[Any] = []
    for turn in ("ask", "first", "second"):
        with open_house(tmp_path, POLICY) as house, SqliteSaver.from_conn_string(str(tmp_path / "graph.db")) as saver:
            house.did = did
            graph = house.compile(payer(house, 80), checkpointer=saver)
            if turn == "ask":
                for name, role in (("ada", "finance"), ("eva", "risk"), ("tom", "risk")):
                    house.gate.approvers.enroll(Approver(name=name, roles=(role,)), by="root")
                assert "__interrupt__" in graph.invoke(GO, THREAD)
            elif turn == "first":
                assert say(house, "tom").state == "pending"
                assert say(house, "eva").state == "pending"  # two of one role are one
                assert "__interrupt__" in graph.invoke(None, THREAD)
            else:
                assert say(house, "ada").state == "approved"
                assert graph.invoke(None, THREAD)["messages"][-1].content == "Done."
                assert house.decisions("pay") == ["ask", "allow"]
                assert house.decisions("look") == ["allow"]
                assert len(house.outcomes("pay")) == len(house.outcomes("look")) == 1
    assert did == [("look", 1), ("pay", 80, "acme", "")]


def test_who_is_taken_off_the_list_before_the_call_runs_does_not_count(desk: House) -> None:
    for name, role in (("ada", "finance"), ("eva", "risk")):
        desk.gate.approvers.enroll(Approver(name=name, roles=(role,)), by="root")
    graph = desk.compile(payer(desk, 80), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    say(desk, "ada")
    assert say(desk, "eva").state == "approved"
    desk.gate.approvers.withdraw("eva", by="root")
    messages = graph.invoke(None, THREAD)["messages"]
    assert "must agree, and 1 has" in str(answers(messages)["scripted-0-1"].content)
    assert desk.did == [("look", 1)]


# --- Answers that come with the command --------------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_command_answers_by_the_name_of_the_interrupt_and_sent_again_gives_nothing_twice(
    desk: House, asynchronous: bool
) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    [interrupt] = graph.invoke(GO, THREAD)["__interrupt__"]
    command: Any = Command(resume={interrupt.id: {"approve": True, "by": "ada", "reason": "ok", "args": {"amount": 5}}})
    for _ in range(2):
        if asynchronous:
            messages = (await graph.ainvoke(command, THREAD))["messages"]
        else:
            messages = graph.invoke(command, THREAD)["messages"]
    assert messages[-1].content == "Done."
    assert desk.did == [("look", 1), ("pay", 5, "acme", "")]
    assert len(desk.entries("approval")) == 1
    assert desk.decisions("pay") == ["ask", "allow"]


def test_a_no_by_command_reaches_the_model(desk: House) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    [interrupt] = graph.invoke(GO, THREAD)["__interrupt__"]
    no: Any = Command(resume={interrupt.id: {"approve": False, "by": "ada", "reason": "not today"}})
    messages = graph.invoke(no, THREAD)["messages"]
    assert answers(messages)["scripted-0-1"].content == "Refused by approval: rejected by ada: not today"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("yes", "is str"),
        ({"approve": True}, "an answer needs a name"),
        ({"approve": "yes", "by": "ada"}, "is malformed"),
        ({"approve": True, "by": "ada", "roles": ["finance"]}, "has a `roles`"),
        ({"approve": True, "by": "ada", "args": {"to": "mallory"}}, "lets no approver change `to`"),
    ],
)
def test_an_answer_that_is_none_resumes_nothing(desk: House, answer: Any, says: str) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    [interrupt] = graph.invoke(GO, THREAD)["__interrupt__"]
    with pytest.raises(ApprovalError, match=says):
        graph.invoke(Command(resume={interrupt.id: answer}), THREAD)
    assert desk.pending() == [interrupt.id]
    assert desk.did == [("look", 1)]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_answer_needs_no_name_where_one_question_waits(desk: House, asynchronous: bool) -> None:
    graph = desk.compile(payer(desk), checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    command: Any = Command(resume={"approve": True, "by": "ada", "args": {"amount": 5}})
    for _ in range(2):
        messages = (await graph.ainvoke(command, THREAD) if asynchronous else graph.invoke(command, THREAD))["messages"]
    assert messages[-1].content == "Done."
    assert desk.did == [("look", 1), ("pay", 5, "acme", "")]
    assert len(desk.entries("approval")) == 1


def test_an_answer_without_a_name_resumes_nothing_where_several_wait(desk: House) -> None:
    pay = payer(desk).tools[1]
    model = ScriptedModel([[("pay", {"amount": 1}), ("pay", {"amount": 2})], "Done."])
    graph = desk.compile(Agent("desk", model=model, tools=[pay]), checkpointer=InMemorySaver())
    asked = {interrupt.id for interrupt in graph.invoke(GO, THREAD)["__interrupt__"]}
    with pytest.raises(ApprovalError, match="2 interrupts wait") as caught:
        graph.invoke(Command(resume={"approve": True, "by": "ada"}), THREAD)
    assert all(name in caught.value.message for name in asked)
    assert {*desk.pending()} == asked
    assert desk.did == []


def test_an_answer_to_a_nodes_own_interrupt_goes_to_it(desk: House) -> None:
    def own(state: MessagesState) -> Any:
        return {"messages": [("ai", str(interrupt("may I?")))]}

    graph = desk.compile(
        StateGraph(MessagesState).add_node("own", own).add_edge(START, "own"), checkpointer=InMemorySaver()
    )
    graph.invoke(GO, THREAD)
    messages = graph.invoke(Command(resume={"approve": True, "by": "ada"}), THREAD)["messages"]
    assert messages[-1].content == "{'approve': True, 'by': 'ada'}"


def test_an_approval_is_to_the_arguments_that_were_asked_about(desk: House) -> None:
    amount, pay = [10], payer(desk).tools[1]

    def act(state: MessagesState) -> Any:
        return {"messages": [("ai", pay.invoke({"amount": amount[0]}))]}  # type: ignore[union-attr]

    graph = desk.compile(
        StateGraph(MessagesState).add_node("act", act).add_edge(START, "act"), checkpointer=InMemorySaver()
    )
    [first] = graph.invoke(GO, THREAD)["__interrupt__"]
    say(desk, "ada")
    amount[0] = 11  # the node is resumed, and asks for another call in the place of the one that was approved
    [second] = graph.invoke(None, THREAD)["__interrupt__"]
    assert second.id != first.id
    assert desk.did == []
    assert desk.approvals.get(first.id).state == "approved"
    assert desk.approvals.get(first.id).args_digest != desk.approvals.get(second.id).args_digest
    amount[0] = 10
    assert graph.invoke(None, THREAD)["messages"][-1].content == "paid 10"
    assert desk.did == [("pay", 10, "acme", "")]
