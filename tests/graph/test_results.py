"""Results on their way to a model: whatever a tool returns or raises, no more of it is seen than the policy lets through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import ParentCommand
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command
from pydantic import BaseModel

from openclaw.errors import Refused
from openclaw.graph import Agent
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.house import house as open_house
from tests.graph.test_agent import answers, assert_valid

POLICY = """
package openclaw.policies.house

import rego.v1

allow if input.kind in {"model", "handoff", "tool"}

ask contains "a person looks" if {
	input.kind == "tool"
	input.tool.name == "risky"
}

oblige contains {"kind": "redact", "fields": ["result.rows.*.iban"]} if input.tool.name == "query"

deny contains "it holds a key" if {
	some text in texts
	contains(text, "AKIA")
}

oblige contains {"kind": "redact", "texts": [found], "replacement": "[pin]"} if {
	some text in texts
	some found in regex.find_n("PIN[0-9]+", text, -1)
}

texts contains text if {
	input.kind == "result"
	walk(input.result, [_, text])
	is_string(text)
}
"""
GO: Any = {"messages": [("user", "go")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}
PIN = "PIN98765432101"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path, POLICY) as house:
        yield house


class Customer(BaseModel):
    name: str
    pin: str


class Odd(BaseModel):
    name: str = "odd"

    def __str__(self) -> str:
        return f"odd {PIN}"


def one(house: House, returned: Callable[[str], object], *, pair: bool = False, name: str = "look") -> ToolMessage:
    """The message that answers one call of a tool that returns this."""

    @tool(name, response_format="content_and_artifact" if pair else "content")
    def look(x: int, call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Look."""
        return returned(call_id)

    model = ScriptedModel([(name, {"x": 1}), "ok"])
    messages = house.compile(Agent("solo", model=model, tools=[look])).invoke(GO)["messages"]
    assert_valid(messages)
    return answers(messages)["scripted-0-0"]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda _: f"the {PIN} is it", "the [pin] is it"),
        (lambda _: {"a": [PIN], "b": 1}, '{"a": ["[pin]"], "b": 1}'),
        (lambda _: f'{{"a": "{PIN}"}}', '{"a": "[pin]"}'),
        (lambda _: f'{{"a": "{PIN}", "a": "x"}}', '{"a": "[pin]", "a": "x"}'),
        (lambda _: [{"type": "text", "text": PIN}], [{"type": "text", "text": "[pin]"}]),
        (lambda _: Customer(name="Eva", pin=PIN), '{"name": "Eva", "pin": "[pin]"}'),
        (lambda _: Odd(), "odd [pin]"),
        (lambda _: {1: PIN, "1": "x"}, "{1: '[pin]', '1': 'x'}"),
        (lambda call: ToolMessage(f"a {PIN}", tool_call_id=call), "a [pin]"),
        (lambda call: Command(update={"messages": [ToolMessage(PIN, tool_call_id=call)]}), "[pin]"),
        (lambda call: [ToolMessage(PIN, tool_call_id=call), Command(update={})], "[pin]"),
        (lambda _: "nothing to see", "nothing to see"),
        (lambda _: {"a": 1}, '{"a": 1}'),
    ],
)
def test_whatever_a_tool_returns_the_texts_are_cut(watched: House, returned: Any, said: object) -> None:
    message = one(watched, returned)
    assert message.content == said
    assert message.status == "success"


def test_fields_are_cut_from_structures_and_from_their_json(watched: House) -> None:
    rows = {"rows": [{"iban": "DE1", "name": "Eva"}]}
    assert one(watched, lambda _: rows, name="query").content == '{"rows": [{"name": "Eva"}]}'
    assert one(watched, lambda _: '{"rows":[{"iban":"DE1"}]}', name="query").content == '{"rows": [{}]}'
    assert one(watched, lambda _: "iban DE1", name="query").content == "[redacted]"
    assert rows == {"rows": [{"iban": "DE1", "name": "Eva"}]}, "what the tool holds stays as it was"


def test_an_artifact_stays_as_it_is(watched: House) -> None:
    message = one(watched, lambda _: (PIN, {"pin": PIN}), pair=True)
    assert (message.content, message.artifact) == ("[pin]", {"pin": PIN})


def test_the_state_that_a_command_writes_is_cut_too(watched: House) -> None:
    @tool
    def look(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Look."""
        update = {"messages": [ToolMessage("ok", tool_call_id=call_id)], "note": PIN}
        return Command(update=update)

    class Noted(MessagesState):
        note: str

    calls = [{"name": "look", "args": {}, "id": "a", "type": "tool_call"}]
    graph = StateGraph(Noted)
    graph.add_node("say", lambda state: {"messages": [AIMessage("", tool_calls=calls)]})
    graph.add_node("act", ToolNode([look]))
    graph.add_edge(START, "say").add_edge("say", "act")
    assert watched.compile(graph).invoke(GO)["note"] == "[pin]"


def test_a_denied_result_is_a_refusal_and_the_call_stays_done(watched: House) -> None:
    message = one(watched, lambda _: "the key is AKIA1")
    assert message.status == "error"
    assert message.content == ("Refused by policy: the call was made, and its result is withheld; it holds a key")
    assert [outcome["status"] for outcome in watched.outcomes("look")] == ["done"]
    assert watched.decisions("look") == ["allow", "deny"]
    assert message.additional_kwargs["openclaw"]["seq"] == watched.entries("decision", tool="look")[-1].seq


async def test_the_same_on_an_event_loop(watched: House) -> None:
    @tool
    async def look(x: int) -> str:
        """Look."""
        return ["the key is AKIA1", f"a {PIN}", "fine"][x]

    model = ScriptedModel([[("look", {"x": 0}), ("look", {"x": 1}), ("look", {"x": 2})], "ok"])
    graph = watched.compile(Agent("solo", model=model, tools=[look]))
    messages = (await graph.ainvoke(GO))["messages"]
    said = [str(message.content) for message in messages if isinstance(message, ToolMessage)]
    assert said[0].startswith("Refused by policy: the call was made")
    assert said[1:] == ["a [pin]", "fine"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(f"no {PIN}"), "The tool failed: ValueError: no [pin]"),
        (ValueError("AKIA1"), "Refused by policy: the call was made, and its result is withheld; it holds a key"),
        (KeyError(PIN), "The tool failed: ToolException: '[pin]'"),
        (ValueError("plain"), "The tool failed: ValueError: plain"),
    ],
)
def test_what_an_error_says_is_cut_too(watched: House, error: Exception, said: str) -> None:
    def fail(_: str) -> object:
        raise error

    message = one(watched, fail)
    assert message.content == said
    assert [outcome["status"] for outcome in watched.outcomes("look")] == ["failed"]
    everything = "".join(entry.model_dump_json() for entry in watched.entries("outcome"))
    assert PIN not in everything
    assert "AKIA" not in everything


def test_an_error_that_the_tool_handles_itself_is_handled_cut(watched: House) -> None:
    def fail(x: int) -> str:
        """Fail."""
        raise ToolException(f"no {PIN}")

    failing = tool("fail")(fail)
    failing.handle_tool_error = lambda error: f"handled: {error}"
    model = ScriptedModel([("fail", {"x": 1}), "ok"])
    messages = watched.compile(Agent("solo", model=model, tools=[failing])).invoke(GO)["messages"]
    assert answers(messages)["scripted-0-0"].content == "handled: no [pin]"


def test_a_caller_that_is_no_model_gets_the_cut_result_or_the_refusal(watched: House) -> None:
    @tool
    def look(x: str) -> dict[str, str]:
        """Look."""
        return {"a": x}

    found: list[object] = []

    def act(state: MessagesState) -> dict[str, Any]:
        found.append(look.invoke({"x": PIN}))
        with pytest.raises(Refused, match="the result is withheld: it holds a key"):
            look.invoke({"x": "AKIA1"})
        return {}

    watched.compile(StateGraph(MessagesState).add_node("act", act).add_edge(START, "act")).invoke(GO)
    assert found == [{"a": "[pin]"}]


def test_a_result_that_cannot_be_cut_is_withheld(watched: House) -> None:
    message = one(watched, lambda _: Command(update=[("messages", [HumanMessage(PIN)])]))
    assert "Refused by gate: the result is withheld: a command of this form cannot be cut" in str(message.content)
    assert watched.decisions("look") == ["allow", "deny"]


def test_a_node_that_runs_again_gets_what_was_seen_and_no_more_is_kept(watched: House, tmp_path: Path) -> None:
    @tool
    def look(x: str) -> str:
        """Look."""
        watched.did.append(("look", x))
        return x

    calls = [
        {"name": "look", "args": {"x": PIN}, "id": "a", "type": "tool_call"},
        {"name": "look", "args": {"x": "AKIA1"}, "id": "b", "type": "tool_call"},
        {"name": "risky", "args": {"x": 2}, "id": "c", "type": "tool_call"},
    ]
    graph = StateGraph(MessagesState)
    graph.add_node("say", lambda state: {"messages": [AIMessage("", tool_calls=calls)]})
    graph.add_node("act", ToolNode([look, watched.tool("risky")]))
    graph.add_edge(START, "say").add_edge("say", "act")
    compiled = watched.compile(graph, checkpointer=InMemorySaver())
    compiled.invoke(GO, THREAD)
    assert len(watched.did) == 2
    watched.approve_all()
    messages = compiled.invoke(None, THREAD)["messages"]
    said = answers(messages)
    assert said["a"].content == "[pin]"
    assert said["b"].content == "Refused by policy: the call was made, and its result is withheld; it holds a key"
    assert len(watched.did) == 3, "nothing ran twice"
    with watched.store.read() as connection:
        kept = connection.exec_driver_sql("SELECT result FROM openclaw_action").scalars().all()
    assert not any(PIN.encode() in bytes(result) or b"AKIA" in bytes(result) for result in kept)


def test_what_a_tool_hands_to_a_parent_graph_is_cut_too(watched: House) -> None:
    @tool
    def leave(x: str) -> str:
        """Leave this graph."""
        raise ParentCommand(Command(graph=Command.PARENT, update={"note": x}))

    class Noted(MessagesState):
        note: str

    def act(state: MessagesState) -> dict[str, Any]:
        leave.invoke({"x": PIN})
        return {}

    inner = StateGraph(MessagesState).add_node("act", act).add_edge(START, "act").compile()
    graph = StateGraph(Noted).add_node("inner", inner).add_edge(START, "inner")
    assert watched.compile(graph).invoke(GO)["note"] == "[pin]"
    assert [outcome["status"] for outcome in watched.outcomes("leave")] == ["done"]
