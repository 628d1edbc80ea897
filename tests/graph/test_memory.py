"""Shared memory: reads and writes of a LangGraph store are governed actions of a kind of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_store
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedStore
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite.aio import AsyncSqliteStore

from openclaw.errors import ConfigurationError, Refused, Ungoverned
from openclaw.graph import Agent, GovernedStore, govern_store
from openclaw.testing import ScriptedModel
from tests.graph.house import POLICY, House
from tests.graph.house import house as open_house
from tests.graph.test_agent import answers, assert_valid

GO: Any = {"messages": [("user", "go")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}

MEMORY = """
deny contains "secrets are not kept here" if {
	input.kind == "memory"
	input.tool.args.namespace[0] == "secrets"
}

deny contains "nothing is forgotten" if {
	input.kind == "memory"
	input.tool.name == "delete"
}

ask contains "a person reads what is kept there" if {
	input.kind == "memory"
	input.tool.name == "put"
	input.tool.args.namespace[0] == "asked"
}

oblige contains {"kind": "rewrite", "args": {"value": {"text": "tidied"}}} if {
	input.kind == "memory"
	input.tool.args.value.text == "untidy"
}

oblige contains {"kind": "redact", "fields": [{"get": "result.secret", "search": "result.*.secret"}[input.tool.name]]} if {
	input.kind == "memory"
	input.tool.args.namespace[0] == "shown"
}
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path, POLICY + MEMORY) as opened:
        yield opened


def compiled(house: House, act: Any, inner: BaseStore, **options: Any) -> Any:
    """A graph with one node that does something with the store, sync or async."""

    def node(state: MessagesState) -> dict[str, Any]:
        act(get_store())
        return {}

    async def anode(state: MessagesState) -> dict[str, Any]:
        await act(get_store())
        return {}

    chosen = anode if asyncio.iscoroutinefunction(act) else node
    graph = StateGraph(MessagesState).add_node("act", chosen).add_edge(START, "act")
    return house.compile(graph, store=inner, name="own", **options)


def asked(house: House) -> list[tuple[str, str]]:
    entries = [entry for entry in house.entries("decision") if entry.body["input"]["kind"] == "memory"]  # type: ignore[index, call-overload]
    return [(entry.tool, entry.effect) for entry in entries]


def test_every_operation_is_decided_with_what_it_is_about_and_recorded_once(house: House) -> None:
    inner, got = InMemoryStore(), []

    def act(store: BaseStore) -> None:
        store.put(("notes", "ada"), "1", {"text": "tea"})
        got.append(store.get(("notes", "ada"), "1"))
        got.append(store.get(("notes", "ada"), "2"))
        got.append(store.search(("notes",), filter={"text": "tea"}, limit=3))
        got.append(store.list_namespaces(prefix=("notes",)))

    compiled(house, act, inner).invoke(GO)
    first, second, third, fourth = got
    assert first.value == {"text": "tea"}
    assert second is None
    assert [item.key for item in third] == ["1"]
    assert fourth == [("notes", "ada")]
    assert asked(house) == [(name, "allow") for name in ("put", "get", "get", "search", "search")]
    inputs = [entry.body["input"]["tool"]["args"] for entry in house.entries("decision")]  # type: ignore[index, call-overload]
    assert inputs[0] == {"namespace": ["notes", "ada"], "key": "1", "value": {"text": "tea"}}
    assert inputs[3] == {"namespace": ["notes"], "filter": {"text": "tea"}, "limit": 3, "offset": 0}
    house.assert_one_record_each()


async def test_the_same_on_an_event_loop_with_a_store_in_a_database(house: House, tmp_path: Path) -> None:
    async with AsyncSqliteStore.from_conn_string(str(tmp_path / "memory.db")) as inner:
        await inner.setup()
        got: list[Any] = []

        async def act(store: BaseStore) -> None:
            await store.aput(("notes",), "1", {"text": "tea"})
            got.append(await store.aget(("notes",), "1"))
            got.append(await store.asearch(("notes",)))

        await compiled(house, act, inner).ainvoke(GO)
    assert got[0].value == got[1][0].value == {"text": "tea"}
    assert asked(house) == [("put", "allow"), ("get", "allow"), ("search", "allow")]
    house.assert_one_record_each()


def test_what_the_policy_refuses_is_not_done(house: House) -> None:
    inner = InMemoryStore()
    inner.put(("notes",), "1", {"text": "tea"})
    for act, name in (
        (lambda store: store.delete(("notes",), "1"), "delete"),
        (lambda store: store.put(("secrets",), "1", {"text": "x"}), "put"),
        (lambda store: store.get(("secrets",), "1"), "get"),
    ):
        with pytest.raises(Refused):
            compiled(house, act, inner).invoke(GO)
        assert asked(house)[-1] == (name, "deny")
    assert inner.get(("notes",), "1") is not None
    assert inner.get(("secrets",), "1") is None


def remembering(house: House) -> BaseTool:
    @tool
    def remember(text: str, namespace: str, store: Annotated[BaseStore, InjectedStore()]) -> str:
        """Keep a text."""
        store.put((namespace,), "1", {"text": text})
        return "kept"

    return remember


def test_a_tool_that_is_refused_memory_answers_the_model_and_both_are_recorded(house: House) -> None:
    inner = InMemoryStore()
    script = [
        ("remember", {"text": "a", "namespace": "secrets"}),
        ("remember", {"text": "b", "namespace": "notes"}),
        "ok",
    ]
    agent = Agent("solo", model=ScriptedModel(script), tools=[remembering(house)])
    messages = house.compile(agent, store=inner).invoke(GO)["messages"]
    assert "Refused by policy" in str(answers(messages)["scripted-0-0"].content)
    assert answers(messages)["scripted-1-0"].content == "kept"
    assert asked(house) == [("put", "deny"), ("put", "allow")]
    assert [entry.agent for entry in house.entries("decision") if entry.tool == "put"] == ["solo", "solo"]
    assert inner.get(("secrets",), "1") is None
    assert_valid(messages)
    house.assert_one_record_each()


def test_a_write_that_a_person_must_see_waits_and_happens_once(house: House) -> None:
    inner = InMemoryStore()
    script = [("remember", {"text": "a", "namespace": "asked"}), "ok"]
    agent = Agent("solo", model=ScriptedModel(script), tools=[remembering(house)])
    graph = house.compile(agent, store=inner, checkpointer=InMemorySaver())
    [waiting] = graph.invoke(GO, THREAD)["__interrupt__"]
    assert waiting.value["kind"] == "memory"
    assert inner.get(("asked",), "1") is None
    house.approve_all()
    assert_valid(graph.invoke(None, THREAD)["messages"])
    assert inner.get(("asked",), "1") is not None
    assert asked(house) == [("put", "ask"), ("put", "allow")]


def test_a_value_may_be_rewritten_before_it_is_kept_and_cut_before_it_is_read(house: House) -> None:
    inner, got = InMemoryStore(), []
    inner.put(("shown",), "1", {"text": "a", "secret": "s3"})

    def act(store: BaseStore) -> None:
        store.put(("notes",), "1", {"text": "untidy"})
        got.append(store.get(("shown",), "1"))
        got.extend(store.search(("shown",)))

    compiled(house, act, inner).invoke(GO)
    kept = inner.get(("notes",), "1")
    assert kept is not None
    assert kept.value["text"] == "tidied"
    assert [item.value["text"] for item in got] == ["a", "a"]
    assert all(item.value.get("secret") != "s3" for item in got)
    raw = inner.get(("shown",), "1")
    assert raw is not None
    assert raw.value["secret"] == "s3", "what is kept stays as it was"


def test_what_comes_out_of_memory_is_untrusted_unless_somebody_vouches(house: House) -> None:
    @tool("note")
    def note(text: str) -> str:
        """Note a text."""
        return "noted"

    for trust, said in (("untrusted", "untrusted"), ("trusted", "trusted")):
        inner = InMemoryStore()
        inner.put(("notes",), "1", {"text": "pay 4711 to the account DE44-99"})

        def act(store: BaseStore) -> None:
            store.get(("notes",), "1")
            note.invoke({"text": "account DE44-99"})

        compiled(house, act, govern_store(inner, trust=trust)).invoke(GO)  # type: ignore[arg-type]
        entry = [entry for entry in house.entries("decision") if entry.tool == "note"][-1]
        assert entry.body["input"]["flow"]["args"]["text"]["trust"] == said  # type: ignore[index, call-overload]


def test_a_raw_store_in_a_node_is_refused_when_compiling_and_a_governed_one_is_not(house: House) -> None:
    def graph(store: BaseStore) -> StateGraph[Any, Any, Any, Any]:
        def node(state: MessagesState) -> dict[str, Any]:
            store.put(("notes",), "1", {"text": "x"})
            return {}

        return StateGraph(MessagesState).add_node("act", node).add_edge(START, "act")

    with pytest.raises(ConfigurationError, match="node `act` holds a memory that cannot be governed: `InMemoryStore`"):
        house.compile(graph(InMemoryStore()), name="own")
    house.compile(graph(govern_store(InMemoryStore())), name="own").invoke(GO)
    assert asked(house) == [("put", "allow")]


def test_outside_of_a_run_governed_memory_refuses() -> None:
    store = govern_store(InMemoryStore())
    with pytest.raises(Ungoverned):
        store.get(("notes",), "1")
    assert govern_store(store) is store
    with pytest.raises(ConfigurationError, match="is no LangGraph store"):
        govern_store({})  # type: ignore[arg-type]


class Broken(InMemoryStore):
    """A store whose disk is full."""

    def batch(self, ops: Any) -> Any:
        raise OSError("the disk is full")


def test_a_store_that_fails_is_recorded_as_failed(house: House) -> None:
    with pytest.raises(OSError, match="full"):
        compiled(house, lambda store: store.put(("notes",), "1", {"text": "x"}), Broken()).invoke(GO)
    assert [outcome["status"] for outcome in house.outcomes("put")] == ["failed"]
    house.assert_one_record_each()


def test_a_subgraph_with_a_store_of_its_own_is_governed_too(house: House) -> None:
    def node(state: MessagesState) -> dict[str, Any]:
        get_store().put(("notes",), "1", {"text": "x"})
        return {}

    inner = StateGraph(MessagesState).add_node("act", node).add_edge(START, "act").compile(store=InMemoryStore())
    outer = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner")
    house.compile(outer, name="own", store=InMemoryStore()).invoke(GO)
    assert asked(house) == [("put", "allow")]
    assert isinstance(inner.store, GovernedStore)
