"""Ways round the gate by accident, each of them closed: by what tools return, what they are given, and what they are part of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, tool
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, InjectedStore, ToolNode, ToolRuntime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, Send
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

from openclaw.errors import ConfigurationError, Refused, Ungoverned
from openclaw.graph import Agent, GovernedStore
from openclaw.testing import ScriptedModel
from tests.bypass.test_tools import GO, assert_governed, call, in_node, tool_graph
from tests.graph.house import House


class Carrying(MessagesState):
    """A state in which somebody has put a tool."""

    held: Any


def drive(graph: Any, how: str, given: Any = GO) -> Any:
    return graph.invoke(given) if how == "sync" else asyncio.run(graph.ainvoke(given))


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_call_that_a_command_writes_into_the_state_is_decided_as_its_own(house: House, how: str) -> None:
    @tool
    def plan(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Plan."""
        said = AIMessage("", tool_calls=[call("look", "b", x=1), call("forbidden", "c", x=2)])
        return Command(update={"messages": [ToolMessage("planned", tool_call_id=call_id), said]}, goto="more")

    graph = tool_graph([plan], call("plan"))
    graph.add_node("more", ToolNode([house.tool("look"), house.tool("forbidden")]))
    messages = drive(house.compile(graph), how)["messages"]
    assert_governed(house, "look")
    assert house.decisions("forbidden") == ["deny"]
    assert messages[-1].status == "error"


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_command_that_sends_elsewhere_leads_to_governed_calls(house: House, how: str) -> None:
    look, forbidden = house.tool("look"), house.tool("forbidden")

    @tool
    def go(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Go."""
        update = {"messages": [ToolMessage("gone", tool_call_id=call_id)]}
        return Command(update=update, goto=[Send("there", {"x": x}) for x in (1, 2)])

    def there(state: Any) -> dict[str, Any]:
        look.invoke({"x": state["x"]})
        with pytest.raises(Refused):
            forbidden.invoke({"x": state["x"]})
        return {}

    drive(house.compile(tool_graph([go], call("go")).add_node("there", there)), how)
    assert_governed(house, "look", times=2)
    assert house.decisions("forbidden") == ["deny", "deny"]


def carrying(house: House, act: BaseTool, held: Any) -> Any:
    graph = StateGraph(Carrying)
    graph.add_node("say", lambda state: {"messages": [AIMessage("", tool_calls=[call(act.name)])], "held": held()})
    graph.add_node("act", ToolNode([act], handle_tool_errors=False)).add_edge(START, "say").add_edge("say", "act")
    return house.compile(graph)


@tool
def calling(state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Call what stands in the state."""
    return str(state["held"].invoke({"x": 1}))


@tool("calling")
def by_runtime(runtime: ToolRuntime) -> str:
    """Call what stands in the state of the runtime."""
    return str(runtime.state["held"].invoke({"x": 1}))


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("way", ["state", "runtime"])
def test_a_tool_that_stands_in_the_state_is_governed_or_trips(house: House, way: str, how: str) -> None:
    act = calling if way == "state" else by_runtime
    governed = house.tool("look")
    drive(carrying(house, act, lambda: governed), how)
    assert_governed(house, "look")
    told = drive(carrying(house, act, lambda: house.tool("raw")), how)["messages"][-1]
    assert told.status == "error"
    assert "`raw`" in str(told.content)
    assert [name for name, _ in house.did] == ["look"]


@tool
def keeping(store: Annotated[BaseStore, InjectedStore()]) -> str:
    """Keep something."""
    store.put(("notes",), "1", {"text": "x"})
    return type(store).__name__


@tool("keeping")
def keeping_by_runtime(runtime: ToolRuntime) -> str:
    """Keep something."""
    assert runtime.store is not None
    runtime.store.put(("notes",), "1", {"text": "x"})
    return type(runtime.store).__name__


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("act", [keeping, keeping_by_runtime], ids=["injected", "runtime"])
def test_the_store_that_a_tool_is_given_is_the_governed_one(house: House, act: BaseTool, how: str) -> None:
    graph = house.compile(tool_graph([act], call("keeping")), store=InMemoryStore())
    messages = drive(graph, how)["messages"]
    assert messages[-1].content == GovernedStore.__name__
    assert house.decisions("put") == ["allow"]
    assert [outcome["status"] for outcome in house.outcomes("put")] == ["done"]


def test_a_raw_tool_that_comes_as_an_artifact_trips_where_it_is_called(house: House) -> None:
    @tool(response_format="content_and_artifact")
    def make() -> tuple[str, Any]:
        """Make a tool."""
        return "made", house.tool("raw")

    def use(state: MessagesState) -> dict[str, Any]:
        last = state["messages"][-1]
        assert isinstance(last, ToolMessage)
        last.artifact.invoke({"x": 1})
        return {}

    graph = tool_graph([make], call("make")).add_node("use", use).add_edge("act", "use")
    with pytest.raises(Ungoverned, match="raw"):
        house.compile(graph).invoke(GO)
    assert house.did == []
    assert house.decisions("make") == ["allow"]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_tool_that_returns_directly_is_decided_and_a_refused_one_does_not_end_the_conversation(
    house: House, how: str
) -> None:
    for name, said in (("look", "look did 1"), ("forbidden", "never mind")):
        agent = Agent(
            "solo", model=ScriptedModel([(name, {"x": 1}), "never mind"]), tools=[house.tool(name, return_direct=True)]
        )
        assert drive(house.compile(agent), how)["messages"][-1].content == said
    assert_governed(house, "look")
    assert house.decisions("forbidden") == ["deny"]


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("name", ["look", "forbidden"])
def test_a_tool_that_streams_says_nothing_before_it_is_decided(house: House, name: str, how: str) -> None:
    @tool(name)
    def act(x: int) -> str:
        """Act."""
        write = get_stream_writer()
        for part in range(3):
            write({"part": part, "decided": house.decisions(name)})
        house.did.append((name, x))
        return "done"

    graph = house.compile(tool_graph([act], call(name, x=1)))

    async def arun() -> list[Any]:
        return [chunk async for chunk in graph.astream(GO, stream_mode="custom")]

    said = list(graph.stream(GO, stream_mode="custom")) if how == "sync" else asyncio.run(arun())
    allowed = name == "look"
    assert said == [{"part": part, "decided": ["allow"]} for part in range(3) if allowed]
    assert house.decisions(name) == ["allow" if allowed else "deny"]
    assert house.did == ([("look", 1)] if allowed else [])


def test_a_tool_that_is_a_generator_does_nothing_before_it_is_decided(house: House) -> None:
    def lines(name: str) -> BaseTool:
        @tool(name)
        def act(x: int) -> Iterator[int]:
            """Act."""
            house.did.append((name, x))
            yield x

        return act

    look, forbidden = lines("look"), lines("forbidden")

    def use() -> None:
        assert list(look.invoke({"x": 1})) == [1]
        with pytest.raises(Refused):
            list(forbidden.invoke({"x": 1}))
        assert list(look.stream({"x": 2})) != []

    house.compile(in_node(use)).invoke(GO)
    assert house.decisions("look") == ["allow", "allow"]
    assert house.decisions("forbidden") == ["deny"]
    assert house.did == [("look", 1)]


def worker(house: House, *more: BaseTool) -> Any:
    from langchain.agents import create_agent

    script = [[("look", {"x": 1}), ("forbidden", {"x": 1})], "I looked."]
    model = ScriptedModel(script, model_name="worker-model")
    return create_agent(model, [house.tool("look"), house.tool("forbidden"), *more], name="worker")


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("shape", ["supervisor", "swarm"])
def test_the_tools_of_a_team_are_governed_and_without_compiling_it_they_refuse(
    house: House, shape: str, how: str
) -> None:
    from langchain.agents import create_agent

    lead = ScriptedModel([("transfer_to_worker", {}), "done"])
    if shape == "supervisor":
        team = create_supervisor([worker(house)], model=lead)
    else:
        entry = create_agent(lead, [create_handoff_tool(agent_name="worker")], name="lead")
        team = create_swarm([entry, worker(house)], default_active_agent="lead")
    drive(house.compile(team, name="team"), how)
    assert_governed(house, "look")
    assert house.decisions("forbidden") == ["deny"]
    assert house.decisions("transfer_to_worker") == ["allow"]
    with pytest.raises(Ungoverned, match="outside of any run"):
        drive(team.compile(), how)
    assert house.did == [("look", 1)]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_what_an_agent_that_is_a_tool_holds_is_found_and_governed(house: House, how: str) -> None:
    look, forbidden = house.tool("look"), house.tool("forbidden")

    @tool
    def outer(x: int) -> str:
        """Call what it closes over."""
        with pytest.raises(Refused):
            forbidden.invoke({"x": x})
        return str(look.invoke({"x": x}))

    inner = Agent("inner", model=ScriptedModel([("outer", {"x": 1}), "ok"], model_name="m2"), tools=[outer])
    lead = Agent("lead", model=ScriptedModel([("ask_inner", {"task": "t"}), "done"]), tools=[inner.as_tool()])
    drive(house.compile(lead), how)
    assert_governed(house, "look")
    assert house.decisions("forbidden") == ["deny"]
    assert house.decisions("outer") == ["allow"]
    with pytest.raises(Ungoverned):
        look.invoke({"x": 2})


class WorkingInInvoke(BaseTool):
    """A tool that does its work in a way in, and not behind it."""

    name: str = "look"
    description: str = "Look."

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        return "looked"

    def _run(self, x: int = 0) -> str:
        raise NotImplementedError


class Logging(BaseTool):
    """A tool that logs how it is called, and hands the call on."""

    name: str = "look"
    description: str = "Look."
    seen: list[Any] = []  # noqa: RUF012 - a pydantic field

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(args)
        return super().invoke(*args, **kwargs)

    def _run(self, x: int = 0) -> str:
        return f"looked at {x}"


class AnsweringInInvoke(ScriptedModel):
    """A model that answers in a way in."""

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        return AIMessage("hi")


def test_a_class_that_does_its_work_in_a_way_in_is_refused_when_compiling(house: House) -> None:
    tool, model = WorkingInInvoke(), AnsweringInInvoke([])
    for held, said in (
        (tool, "tool `look` of class `WorkingInInvoke` does its work in `invoke`, before the gate"),
        (model, "model of class `AnsweringInInvoke` does its work in `invoke`, before the gate"),
    ):
        graph = (
            StateGraph(MessagesState).add_node("act", lambda state, held=held: held.invoke("x")).add_edge(START, "act")
        )
        with pytest.raises(ConfigurationError, match=said) as caught:
            house.compile(graph)
        assert "super().invoke(" in caught.value.hint
    with pytest.raises(ConfigurationError, match="before the gate"):
        house.compile(Agent("solo", model=ScriptedModel([]), tools=[tool]))


def test_a_class_that_hands_a_way_in_on_is_governed(house: House) -> None:
    look = Logging()
    house.compile(Agent("solo", model=ScriptedModel([("look", {"x": 4}), "ok"]), tools=[look])).invoke(
        {"messages": [("user", "go")]}
    )
    assert len(look.seen) == 1
    assert house.decisions("look") == ["allow"]
    assert house.entries("decision")[1].body["input"]["tool"]["args"] == {"x": 4}  # type: ignore[index, call-overload]
