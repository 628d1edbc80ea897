"""Anything that a tool can take or give is recorded, on each kind of store, and reaches the agent as the very same thing."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import decimal
import fractions
import math
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode
from typing_extensions import TypedDict

from openclaw.canonical import digest
from openclaw.errors import Refused
from openclaw.governance import Governance
from tests.property.test_canonical import (
    VALUES,
    ClassRaises,
    Colour,
    Hostile,
    IntScalar,
    Model,
    Point,
    RealScalar,
    RudeData,
    RudeDict,
    RudeInt,
    RudeMapping,
    RudeModel,
    RudeText,
    weird_name,
)

POLICY = """\
package openclaw.policies.house

import rego.v1

allow if true

oblige contains {"kind": "audit", "level": "full"}
"""


class State(TypedDict, total=False):
    answer: str


@pytest.fixture
def governance(store_url: str, tmp_path: Path) -> Iterator[Governance]:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "house.rego").write_text(POLICY)
    with Governance.open(store_url, policies=folder, key=tmp_path / "log.key") as opened:
        yield opened


def thing() -> Any:
    from tests.support import shelf  # inside, since compiling looks into globals and closures

    return shelf.things[-1]


@tool
def give(value: Any) -> Any:
    """Give a value back."""
    return value


@tool
def make() -> Any:
    """Make a value."""
    return thing()


def passed_through(
    governance: Governance, value: object, *, asynchronous: bool = False, argument: bool = True
) -> object:
    """What an agent gets from a governed tool that returns ``value``, and was given it; called in a node, as people do."""
    from tests.support import shelf

    shelf.things[:] = [value]
    got: list[object] = []

    def node(_: State) -> State:
        got.append(give.invoke({"value": thing()}) if argument else make.invoke({}))
        return {}

    async def anode(_: State) -> State:
        got.append(await give.ainvoke({"value": thing()}) if argument else await make.ainvoke({}))
        return {}

    drawn: Any = StateGraph(State)
    drawn.add_node("act", anode if asynchronous else node)
    drawn.add_edge(START, "act")
    drawn.add_edge("act", END)
    graph = governance.compile(drawn, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    asyncio.run(graph.ainvoke({}, config)) if asynchronous else graph.invoke({}, config)
    (found,) = got
    return found


def loop() -> object:
    value: dict[str, object] = {"a": [1]}
    value["self"] = [value]
    return value


def deep(depth: int) -> object:
    value: object = "core"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@dataclasses.dataclass
class Row:
    size: int
    parent: Any = None


MAKERS: dict[str, Callable[[], object]] = {
    "nan": lambda: [math.nan, math.inf, -math.inf, -0.0, 1e308],
    "beyond 2^53": lambda: [2**53, -(2**63), 10**5000],
    "surrogates": lambda: {"\ud800": "a\udfff", "b": "\ud800\udc00"},
    "nul": lambda: {"a\0": "\0", "text": "x\0y"},
    "bytes": lambda: [b"\0\xff", bytearray(b"a"), memoryview(b"bc")],
    "decimal": lambda: [decimal.Decimal("NaN"), decimal.Decimal("1.10"), fractions.Fraction(1, 3), 1j],
    "times": lambda: [
        dt.datetime.max.replace(tzinfo=dt.UTC),
        dt.datetime.now(dt.UTC),
        dt.date.max,
        dt.time(1),
        dt.timedelta(days=-1),
    ],
    "sets": lambda: [{1, "a", None}, frozenset({(1, 2)})],
    "keys": lambda: {1: "a", None: "b", (1, 2): "c", b"x": "d", 1.5: "e", Colour.RED: "f"},
    "models": lambda: [Model(amount=2**60), RudeModel(), RudeData(3), Row(1, Row(2)), Point(1, 2)],
    "subclasses": lambda: [RudeText("x"), RudeInt(7), RudeDict(a=1)],
    "scalars": lambda: [IntScalar(3), RealScalar(0.5)],
    "cycle": loop,
    "generator": lambda: (number for number in range(3)),
    "rude mapping": RudeMapping,
    "hostile": lambda: {"inside": [Hostile()]},
    "proxy": lambda: {"inside": ClassRaises()},
    "odd name": weird_name,
    "functions": lambda: [len, lambda: None, Hostile, asyncio],
    "ids": lambda: [uuid.uuid4(), Path("/etc"), Colour.RED],
    "deep": lambda: deep(10_000),
    "wide": lambda: list(range(200_000)),
}


NO_ARGUMENTS = frozenset({"beyond 2^53", "deep", "hostile"})
"""Arguments that LangChain itself cannot take: it prints them before anybody else sees them."""


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("what", MAKERS)
def test_a_value_is_recorded_and_reaches_the_agent_as_it_is(
    governance: Governance, what: str, asynchronous: bool
) -> None:
    value, argument = MAKERS[what](), what not in NO_ARGUMENTS
    assert passed_through(governance, value, asynchronous=asynchronous, argument=argument) is value
    name = "give" if argument else "make"
    decision, outcome = (governance.audit.entries(kind=kind, tool=name) for kind in ("decision", "outcome"))  # type: ignore[arg-type]
    assert [entry.effect for entry in decision] == ["allow"]
    assert [entry.body["status"] for entry in outcome] == ["done"]
    assert outcome[0].body["result"]["digest"] == digest(value)  # type: ignore
    assert governance.audit.open_actions() == []
    governance.audit.verify().require()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_any_value_is_recorded_and_reaches_the_agent_as_it_is(governance: Governance, value: object) -> None:
    before = governance.audit.size()
    assert passed_through(governance, value) is value
    governance.gate.flush()
    recorded = governance.audit.entries(after=before)
    assert [entry.kind for entry in recorded if entry.kind not in ("policy", "checkpoint")] == ["decision", "outcome"]
    governance.audit.verify().require()


def test_fifty_megabytes_are_recorded_by_digest_and_head(governance: Governance) -> None:
    value = "0123456789" * 5_000_000
    got: list[object] = []

    @tool
    def read() -> str:
        """Read something large."""
        return value

    def node(_: State) -> State:
        got.append(read.invoke({}))
        return {}

    drawn: Any = StateGraph(State)
    drawn.add_node("act", node)
    drawn.add_edge(START, "act")
    governance.compile(drawn).invoke({})
    assert got[0] is value
    (outcome,) = governance.audit.entries(kind="outcome", tool="read")
    assert outcome.body["result"] == {"digest": digest(value), "bytes": len(value) + 2, "head": value[:1024]}
    with pytest.raises(Refused, match="at most 16,777,216 are decided on"):
        passed_through(governance, value)
    (decision,) = governance.audit.entries(kind="decision", tool="give")
    assert decision.effect == "deny"
    assert decision.body["input"]["tool"]["args"]["value"]["$large"]["chars"] == len(value)  # type: ignore
    governance.audit.verify().require()


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "x" * 1_000_000, "\U0001f600" * 300, "", "\u202e"], ids=ascii)
def test_names_that_no_column_takes_are_recorded(governance: Governance, name: str) -> None:
    """A model makes up tool names and call ids; whoever calls the graph makes up thread ids."""

    def node(_: Any) -> Any:
        calls: Any = [{"name": name, "args": {}, "id": name}, {"name": "give", "args": {"value": 1}, "id": name}]
        return {"messages": [AIMessage("", tool_calls=calls)]}

    from langgraph.graph import MessagesState

    drawn: Any = StateGraph(MessagesState)
    drawn.add_node("think", node)
    drawn.add_node("act", ToolNode([give]))
    drawn.add_edge(START, "think")
    drawn.add_edge("think", "act")
    graph = governance.compile(drawn, checkpointer=InMemorySaver())
    graph.invoke({"messages": []}, {"configurable": {"thread_id": name or "t"}})
    decisions = governance.audit.entries(kind="decision", tool="give")
    readable = "\ud800" not in name  # no engine takes an input that is no Unicode
    assert [entry.effect for entry in decisions] == ["allow" if readable else "deny"]
    assert len(governance.audit.entries(tool="give", kind="outcome")) == readable
    governance.audit.verify().require()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "error",
    [Mute(), ValueError("a\ud800b\0"), ValueError("x" * 5_000_000), KeyError(Hostile())],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_recorded_whatever_it_says(governance: Governance, error: Exception) -> None:
    @tool
    def fail() -> str:
        """Fail."""
        raise error

    def node(_: State) -> State:
        fail.invoke({})
        return {}

    drawn: Any = StateGraph(State)
    drawn.add_node("act", node)
    drawn.add_edge(START, "act")
    with pytest.raises(type(error)):
        governance.compile(drawn).invoke({})
    (outcome,) = governance.audit.entries(kind="outcome", tool="fail")
    assert outcome.body["status"] == "failed"
    assert len(str(outcome.body["error"])) < 10_000
    governance.audit.verify().require()
