"""Ways round the gate that a person could take by accident, each of them closed: tools.

Every test acts on a real list. A route is closed when what ran was recorded, exactly once each, or nothing ran.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import pickle
import threading
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool, Tool, tool
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, ToolRuntime
from langgraph.types import Send

from openclaw.errors import ConfigurationError, Refused, Ungoverned
from openclaw.graph import Agent, govern_tools
from openclaw.graph.seal import seal
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.house import house as open_house

GO: Any = {"messages": [("user", "go")]}


def call(name: str, identity: str = "a", **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": identity, "type": "tool_call"}


def drawn(node: Any) -> StateGraph[Any, Any, Any, Any]:
    """A graph of somebody's own with one node."""
    return StateGraph(MessagesState).add_node("act", node).add_edge(START, "act")


def tool_graph(tools: list[BaseTool], *calls: dict[str, Any], **options: Any) -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(MessagesState)
    graph.add_node("say", lambda state: {"messages": [AIMessage("", tool_calls=list(calls))]})
    graph.add_node("act", ToolNode(tools, **options))
    return graph.add_edge(START, "say").add_edge("say", "act")


def in_node(function: Callable[[], object]) -> StateGraph[Any, Any, Any, Any]:
    def act(state: MessagesState) -> dict[str, Any]:
        function()
        return {}

    return drawn(act)


def assert_governed(house: House, name: str, times: int = 1) -> None:
    """It ran, and each time it was decided and recorded."""
    assert len([did for did in house.did if did[0] == name]) == times
    assert house.decisions(name) == ["allow"] * times
    assert [outcome["status"] for outcome in house.outcomes(name)] == ["done"] * times


# --- Ways to call a tool from a node --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way",
    [
        lambda look: look.invoke({"x": 1}),
        lambda look: look.run({"x": 1}),
        lambda look: look.batch([{"x": 1}]),
        lambda look: list(look.stream({"x": 1})),
        lambda look: look.with_retry().invoke({"x": 1}),
        lambda look: look.with_config(tags=["x"]).invoke({"x": 1}),
        lambda look: look.with_fallbacks([look]).invoke({"x": 1}),
        lambda look: look.bind().invoke({"x": 1}),
        lambda look: look.invoke({"x": 1}, config={"callbacks": [], "configurable": {}}),
        lambda look: (look | RunnableLambda(str)).invoke({"x": 1}),
        lambda look: copy.copy(look).invoke({"x": 1}),
        lambda look: copy.deepcopy(look).invoke({"x": 1}),
        lambda look: look.model_copy(update={"name": "look"}).invoke({"x": 1}),
        lambda look: look._run(x=1, config={}),
        lambda look: asyncio.run(look.ainvoke({"x": 1})),
        lambda look: asyncio.run(look._arun(x=1, config={})),
    ],
)
def test_every_way_of_calling_a_tool_from_a_node_is_governed(house: House, way: Callable[[BaseTool], object]) -> None:
    look = house.tool("look")
    house.compile(in_node(lambda: way(look))).invoke(GO)
    assert_governed(house, "look")


@pytest.mark.parametrize(
    "way",
    [
        lambda look: look.invoke({"x": 1}),
        lambda look: look.run({"x": 1}),
        lambda look: look.batch([{"x": 1}]),
        lambda look: list(look.stream({"x": 1})),
        lambda look: look.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke({"x": 1}),
        lambda look: look.invoke(call("look", x=1)),
        lambda look: look.model_copy().invoke({"x": 1}),
        lambda look: look._run(x=1, config={}),
        lambda look: look.func(x=1),
        lambda look: StructuredTool._run(look, x=1, config={}),
        lambda look: asyncio.run(look.ainvoke({"x": 1})),
    ],
)
def test_outside_of_any_run_a_governed_tool_refuses(house: House, way: Callable[[Any], object]) -> None:
    look = seal(house.tool("look"))
    with pytest.raises(Ungoverned):
        way(look)
    assert house.did == []


def test_a_graph_that_langgraph_compiled_has_no_run_and_the_refusal_says_what_to_do(house: House) -> None:
    [look] = govern_tools([house.tool("look")], agent="own", gate=house.gate)
    graph = in_node(lambda: look.invoke({"x": 1})).compile()
    with pytest.raises(Ungoverned, match=r"Governance\.compile"):
        graph.invoke(GO)
    assert house.did == []


def test_the_function_of_a_tool_is_guarded(house: House) -> None:
    look: Any = house.tool("look")
    graph = house.compile(in_node(lambda: look.func(x=1)))
    with pytest.raises(Ungoverned, match=r"`look\.func` was called directly"):
        graph.invoke(GO)
    assert house.did == []


def test_the_coroutine_of_a_tool_is_guarded(house: House) -> None:
    @tool
    async def look(x: int) -> str:
        """Look."""
        house.did.append(("look", x))
        return "seen"

    async def act(state: MessagesState) -> dict[str, Any]:
        await look.coroutine(x=1)  # type: ignore[attr-defined]
        return {}

    with pytest.raises(Ungoverned):
        asyncio.run(house.compile(drawn(act)).ainvoke(GO))
    assert house.did == []


def test_a_function_put_into_a_sealed_tool_afterwards_is_governed(house: House) -> None:
    look: Any = seal(house.tool("look"))
    look.func = lambda x: house.did.append(("look", x))
    with pytest.raises(Ungoverned):
        look.func(x=1)
    house.compile(in_node(lambda: look.invoke({"x": 1}))).invoke(GO)
    assert_governed(house, "look")


def test_calling_the_function_behind_a_tool_is_found_when_compiling(house: House) -> None:
    def look(x: int) -> str:
        """Look."""
        house.did.append(("look", x))
        return "seen"

    looking = tool(look)
    with pytest.raises(ConfigurationError, match="node `act` calls the function behind tool `look` directly"):
        house.compile(drawn(lambda state: {"messages": [look(1) + looking.name]}))


def test_a_function_taken_out_of_a_tool_before_sealing_is_found_when_compiling(house: House) -> None:
    look: Any = house.tool("look")
    taken = look.func
    with pytest.raises(ConfigurationError, match="function behind tool `look`"):
        house.compile(drawn(lambda state: {"messages": [taken(1), look.name]}))


# --- ToolNode -------------------------------------------------------------------------------------------------------


def test_a_tool_node_is_governed_in_sync_and_async_runs(house: House) -> None:
    graph = house.compile(tool_graph([house.tool("look")], call("look", x=1)))
    graph.invoke(GO)
    asyncio.run(graph.ainvoke(GO))
    assert_governed(house, "look", times=2)


def test_a_tool_node_with_an_async_wrapper_alone_is_governed_in_a_sync_run(house: House) -> None:
    async def wrapper(request: Any, execute: Any) -> Any:
        return await execute(request)

    graph = tool_graph([house.tool("forbidden")], call("forbidden"), awrap_tool_call=wrapper)
    last = house.compile(graph).invoke(GO)["messages"][-1]
    assert last.status == "error"
    assert house.did == []


def test_a_wrapper_that_changes_arguments_cannot_smuggle_them_past_the_policy(house: House) -> None:
    def wrapper(request: Any, execute: Any) -> Any:
        return execute(request.override(tool_call={**request.tool_call, "args": {"amount": 666}}))

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        house.did.append(("pay", amount))
        return "paid"

    last = house.compile(tool_graph([pay], call("pay", amount=1), wrap_tool_call=wrapper)).invoke(GO)["messages"][-1]
    assert "no more than 100" in last.content
    assert house.did == []


def test_a_wrapper_that_retries_is_decided_each_time(house: House) -> None:
    def wrapper(request: Any, execute: Any) -> Any:
        execute(request)
        return execute(request)

    house.compile(tool_graph([house.tool("look")], call("look", x=1), wrap_tool_call=wrapper)).invoke(GO)
    assert_governed(house, "look", times=2)


def test_a_wrapper_that_brings_a_raw_tool_along_trips(house: House) -> None:
    def wrapper(request: Any, execute: Any) -> Any:
        return execute(request.override(tool=house.tool("look")))

    graph = house.compile(tool_graph([house.tool("other")], call("look", x=1), wrap_tool_call=wrapper))
    with pytest.raises(Ungoverned, match="raw tool `look`"):
        graph.invoke(GO)
    assert house.did == []


def test_the_siblings_that_a_tool_gets_from_its_runtime_are_governed(house: House) -> None:
    @tool
    def outer(runtime: ToolRuntime) -> str:
        """Use a sibling."""
        return next(item for item in runtime.tools if item.name == "look").invoke({"x": 1})

    house.compile(tool_graph([outer, house.tool("look")], call("outer"))).invoke(GO)
    assert_governed(house, "look")
    assert house.decisions("outer") == ["allow"]


# --- Tools that use tools -------------------------------------------------------------------------------------------


def test_a_tool_that_calls_a_tool_is_two_governed_calls(house: House) -> None:
    look, forbidden = house.tool("look"), house.tool("forbidden")

    @tool
    def outer(x: int) -> str:
        """Use others."""
        look.invoke({"x": x})
        return forbidden.invoke({"x": x})

    agent = Agent("solo", model=ScriptedModel([("outer", {"x": 1}), "ok"]), tools=[outer])
    messages = house.compile(agent).invoke(GO)["messages"]
    assert_governed(house, "look")
    assert house.did == [("look", 1)]
    assert "never allowed" in next(m.content for m in messages if isinstance(m, ToolMessage))
    assert [outcome["status"] for outcome in house.outcomes("outer")] == ["failed"]


def test_a_raw_tool_made_inside_a_governed_one_trips_also_under_its_name(house: House) -> None:
    for name in ("inner", "outer"):

        @tool("outer")
        def outer(name: str) -> str:
            """Make a tool and use it."""
            return house.tool(name).invoke({"x": 1})

        agent = Agent("solo", model=ScriptedModel([("outer", {"name": name}), "ok"]), tools=[outer])
        messages = house.compile(agent).invoke(GO)["messages"]
        assert f"raw tool `{name}`" in messages[-2].content
    assert house.did == []


def test_a_tool_that_calls_itself_is_decided_each_time(house: House) -> None:
    @tool
    def down(x: int) -> str:
        """Count down."""
        house.did.append(("down", x))
        return "0" if x == 0 else down.invoke({"x": x - 1})

    house.compile(in_node(lambda: down.invoke({"x": 2}))).invoke(GO)
    assert_governed(house, "down", times=3)


def test_a_tool_cannot_use_its_own_permit_twice(house: House) -> None:
    @tool
    def greedy(x: int) -> str:
        """Run the own function again."""
        house.did.append(("greedy", x))
        return greedy.func(x=x + 1) if x == 1 else "twice"  # type: ignore[attr-defined]

    with pytest.raises(Ungoverned):
        house.compile(in_node(lambda: greedy.invoke({"x": 1}))).invoke(GO)
    assert house.did == [("greedy", 1)]


# --- Where tools hide -----------------------------------------------------------------------------------------------


class Desk:
    """Somebody's class that keeps a tool."""

    def __init__(self, look: BaseTool) -> None:
        self.look = look

    def act(self, state: MessagesState) -> dict[str, Any]:
        self.look.invoke({"x": 1})
        return {}

    def __call__(self, state: MessagesState) -> dict[str, Any]:
        return self.act(state)


def _node_with(look: BaseTool, state: MessagesState) -> dict[str, Any]:
    look.invoke({"x": 1})
    return {}


module = types.ModuleType("somebodys_tools")
GLOBAL: dict[str, Any] = {}


def _node_by_global(state: MessagesState) -> dict[str, Any]:
    GLOBAL["look"].invoke({"x": 1})
    return {}


def _node_by_module(state: MessagesState) -> dict[str, Any]:
    module.look.invoke({"x": 1})  # type: ignore[attr-defined]
    return {}


def _by_default(look: BaseTool) -> Any:
    def act(state: MessagesState, look: BaseTool = look) -> dict[str, Any]:
        look.invoke({"x": 1})
        return {}

    return act


def _by_nested_closure(look: BaseTool) -> Any:
    def helper() -> None:
        [item.invoke({"x": 1}) for item in [look]]

    return lambda state: {"messages": [str(helper())]}


@pytest.mark.parametrize(
    "hide",
    [
        lambda look: Desk(look).act,
        lambda look: Desk(look),
        lambda look: functools.partial(_node_with, look),
        lambda look: (GLOBAL.update(look=look), _node_by_global)[1],
        lambda look: (setattr(module, "look", look), _node_by_module)[1],
        _by_default,
        _by_nested_closure,
        lambda look: RunnableLambda(Desk(look).act) | RunnableLambda(lambda _: {}),
        lambda look: RunnableLambda(lambda state: {"x": 1}) | look | RunnableLambda(lambda _: {}),
        lambda look: lambda state: RunnableLambda(lambda _: {"x": 1}) | look | RunnableLambda(lambda _: {}),
    ],
    ids=[
        "bound method",
        "callable object",
        "partial",
        "global container",
        "module attribute",
        "default argument",
        "nested closure",
        "method in a sequence",
        "tool in a sequence",
        "returned runnable",
    ],
)
def test_a_tool_is_found_and_governed_wherever_a_node_keeps_it(house: House, hide: Callable[[BaseTool], Any]) -> None:
    house.compile(drawn(hide(house.tool("look")))).invoke(GO)
    assert_governed(house, "look")


class Touchy:
    """Raises whatever is asked of it, like a proxy of something that is not there."""

    def __init__(self, look: BaseTool) -> None:
        object.__setattr__(self, "_look", look)

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no `{name}` outside of a request")


class Pretending:
    """Raises when asked what it is."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("nothing is here")


TOUCHY: list[Any] = []


def _node_by_touchy_global(state: MessagesState) -> dict[str, Any]:
    TOUCHY[0].act()
    return {}


def _by_touchy_closure(thing: Any) -> Any:
    return lambda state: {"messages": [str(thing)]}


@pytest.mark.parametrize("make", [Touchy, lambda look: Pretending()])
@pytest.mark.parametrize(
    "hide",
    [_by_touchy_closure, lambda thing: (TOUCHY.append(thing), _node_by_touchy_global)[1]],
    ids=["closure", "global"],
)
def test_an_object_that_raises_when_it_is_looked_into_is_one_clear_refusal(
    house: House, make: Callable[[BaseTool], Any], hide: Callable[[Any], Any]
) -> None:
    TOUCHY.clear()
    with pytest.raises(
        ConfigurationError, match=r"node `act` holds an object of class `.*` that cannot be looked into"
    ) as raised:
        house.compile(drawn(hide(make(house.tool("look")))))
    assert "RuntimeError" in raised.value.message
    assert raised.value.hint


def test_a_tool_in_a_conditional_edge_is_governed(house: House) -> None:
    look = house.tool("look")

    def route(state: MessagesState) -> str:
        look.invoke({"x": 1})
        return END

    graph = StateGraph(MessagesState).add_node("act", lambda state: {}).add_edge(START, "act")
    house.compile(graph.add_conditional_edges("act", route, [END])).invoke(GO)
    assert_governed(house, "look")


def test_a_tool_made_while_the_graph_runs_trips(house: House) -> None:
    with pytest.raises(Ungoverned, match="raw tool `look`"):
        house.compile(in_node(lambda: house.tool("look").invoke({"x": 1}, config={"callbacks": []}))).invoke(GO)
    assert house.did == []


def test_a_legacy_single_input_tool_and_a_tool_class_are_governed(house: House) -> None:
    class Looking(BaseTool):
        name: str = "look"
        description: str = "look"

        def _run(self, x: int) -> str:
            house.did.append(("look", x))
            return "seen"

    legacy = Tool(name="look", func=lambda text: house.did.append(("look", text)) or "seen", description="look")
    house.compile(in_node(lambda: (Looking().invoke, legacy.invoke("1")))).invoke(GO)
    assert_governed(house, "look")
    looking = Looking()
    asyncio.run(house.compile(drawn(functools.partial(_anode, looking))).ainvoke(GO))
    assert_governed(house, "look", times=2)


async def _anode(look: BaseTool, state: MessagesState) -> dict[str, Any]:
    await look.ainvoke({"x": 1})
    return {}


# --- Subgraphs, fan-out, the functional API -------------------------------------------------------------------------


def test_a_subgraph_with_its_own_tool_node_is_governed(house: House) -> None:
    inner = tool_graph([house.tool("look")], call("look", x=1)).compile()
    house.compile(drawn(inner)).invoke(GO)
    assert_governed(house, "look")


def test_a_subgraph_that_a_node_invokes_under_its_own_configuration_is_governed(house: House) -> None:
    inner = tool_graph([house.tool("look")], call("look", x=1)).compile()
    house.compile(in_node(lambda: inner.invoke(GO, {"configurable": {"thread_id": "other"}}))).invoke(GO)
    assert_governed(house, "look")


def test_an_agent_inside_a_tool_is_governed_under_its_own_name(house: House) -> None:
    inner = house.compile(
        Agent("inner", model=ScriptedModel([("look", {"x": 1}), "ok"], model_name="m2"), tools=[house.tool("look")])
    )

    @tool
    def delegate(x: int) -> str:
        """Ask another agent."""
        return str(inner.invoke(GO)["messages"][-1].content)

    outer = Agent("outer", model=ScriptedModel([("delegate", {"x": 1}), "done"]), tools=[delegate])
    house.compile(outer).invoke(GO)
    assert_governed(house, "look")
    [entry] = [entry for entry in house.entries("decision") if entry.tool == "look"]
    assert entry.agent == "inner"
    assert entry.body["input"]["principal"]["chain"] == ["outer", "inner"]
    assert len({entry.run for entry in house.entries("decision")}) == 1


def test_a_graph_of_another_governance_is_refused_inside_a_run(house: House, tmp_path: Any) -> None:
    (tmp_path / "other").mkdir()
    with open_house(tmp_path / "other") as other:
        inner = other.compile(in_node(lambda: other.tool("look").invoke({"x": 1})))
        with pytest.raises(ConfigurationError, match="another Governance"):
            house.compile(in_node(lambda: inner.invoke(GO))).invoke(GO)
    assert other.did == []


def test_fifty_sends_are_fifty_governed_calls(house: House) -> None:
    look = house.tool("look")

    def act(state: Any) -> dict[str, Any]:
        look.invoke({"x": state["x"]})
        return {}

    graph = StateGraph(MessagesState).add_node("plan", lambda state: {}).add_node("act", act).add_edge(START, "plan")
    graph.add_conditional_edges("plan", lambda state: [Send("act", {"x": n}) for n in range(50)], ["act"])
    house.compile(graph).invoke(GO)
    assert_governed(house, "look", times=50)


def test_the_functional_api_is_governed(house: House) -> None:
    look = house.tool("look")

    @task
    def step(x: int) -> str:
        return look.invoke({"x": x})

    @entrypoint()
    def flow(x: int) -> str:
        return step(x).result() + look.invoke({"x": x})

    assert house.compile(flow, name="flow").invoke(1) == "look did 1look did 1"
    assert_governed(house, "look", times=2)


# --- Threads and tasks ----------------------------------------------------------------------------------------------


async def test_tasks_and_threads_of_the_event_loop_carry_the_run(house: House) -> None:
    look = house.tool("look")

    async def act(state: MessagesState) -> dict[str, Any]:
        await asyncio.create_task(look.ainvoke({"x": 1}))
        await asyncio.to_thread(look.invoke, {"x": 2})
        return {}

    await house.compile(drawn(act)).ainvoke(GO)
    assert_governed(house, "look", times=2)


def test_threads_of_ones_own_do_not_carry_the_run_and_are_refused(house: House) -> None:
    look = house.tool("look")
    refusals: list[BaseException] = []

    def attempt() -> None:
        try:
            look.invoke({"x": 1})
        except Refused as error:
            refusals.append(error)

    def spread() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(attempt).result()
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    house.compile(in_node(spread)).invoke(GO)
    assert [type(error) for error in refusals] == [Ungoverned, Ungoverned]
    assert house.did == []


def test_after_the_run_a_tool_refuses_again(house: House) -> None:
    look = house.tool("look")
    house.compile(in_node(lambda: look.invoke({"x": 1}))).invoke(GO)
    with pytest.raises(Ungoverned):
        look.invoke({"x": 2})
    assert house.did == [("look", 1)]


# --- The seal itself ------------------------------------------------------------------------------------------------


def test_a_sealed_tool_is_still_of_its_class_and_sealing_twice_changes_nothing(house: House) -> None:
    look = house.tool("look")
    schema = look.tool_call_schema.model_json_schema()  # type: ignore[union-attr]
    assert seal(look) is look
    sealed = type(look)
    assert type(seal(look)) is sealed
    assert isinstance(look, StructuredTool)
    assert sealed.__name__ == "StructuredTool"
    assert look.tool_call_schema.model_json_schema() == schema  # type: ignore[union-attr]


def test_a_sealed_tool_cannot_be_pickled_into_a_raw_one(house: House) -> None:
    look = seal(house.tool("look"))
    with pytest.raises((pickle.PicklingError, TypeError, AttributeError)):
        pickle.dumps(look)


def test_a_tool_shared_by_two_agents_acts_as_whoever_calls_it(house: House) -> None:
    look = house.tool("look")
    for name in ("one", "two"):
        agent = Agent(name, model=ScriptedModel([("look", {"x": 1}), "ok"], model_name=name), tools=[look])
        house.compile(agent).invoke(GO)
    assert [entry.agent for entry in house.entries("decision") if entry.tool == "look"] == ["one", "two"]


def test_bound_copies_of_one_tool_act_as_their_agents(house: House) -> None:
    look = house.tool("look")
    [one] = govern_tools([look], agent="one", roles=["reader"], gate=house.gate)
    [two] = govern_tools([look], agent="two", gate=house.gate)
    house.compile(
        in_node(lambda: (one.invoke({"x": 1}), two.invoke({"x": 2}), look.invoke({"x": 3}))), name="own"
    ).invoke(GO)
    principals = [e.body["input"]["principal"] for e in house.entries("decision") if e.tool == "look"]
    assert [p["agent"] for p in principals] == ["one", "two", "own"]
    assert principals[0]["roles"] == ["reader"]
    assert principals[0]["chain"] == ["own", "one"]
    assert {p["workflow"] for p in principals} == {"own"}


# --- Functions of tools that other functions hold ---------------------------------------------------------------------


def _helping(house: House) -> tuple[BaseTool, Callable[[int], str]]:
    """A tool, and a helper of it that holds the tool's own function, as deepagents' `task` has one."""

    def again(x: int) -> str:
        return work(x - 1)

    def work(x: int) -> str:
        """Work."""
        house.did.append(("work", x))
        return again(x) if x else "done"

    return StructuredTool.from_function(work, name="work"), again


def test_a_tool_whose_function_calls_itself_by_a_helper_is_one_call(house: House) -> None:
    work, _ = _helping(house)
    house.compile(in_node(lambda: work.invoke({"x": 1}))).invoke(GO)
    assert house.did == [("work", 1), ("work", 0)]
    assert house.decisions("work") == ["allow"]


@pytest.mark.parametrize("first", ["helper", "tool"])
def test_a_node_that_holds_the_helper_of_a_tool_is_refused(house: House, first: str) -> None:
    work, again = _helping(house)
    both: list[Any] = [again, work] if first == "helper" else [work, again]

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [str(both)]}

    with pytest.raises(ConfigurationError, match="calls the function behind tool `work` directly"):
        house.compile(drawn(act))


def test_a_tool_that_holds_the_helper_of_another_is_refused(house: House) -> None:
    work, again = _helping(house)

    @tool
    def sly(x: int) -> str:
        """Go round the other tool."""
        return again(x)

    for tools in ([work, sly], [sly, work]):
        with pytest.raises(ConfigurationError, match="calls the function behind tool `work` directly"):
            house.compile(drawn(ToolNode(tools)))
