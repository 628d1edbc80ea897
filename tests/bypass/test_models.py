"""Ways round the gate that a person could take by accident, each of them closed: models and whole graphs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph

from openclaw.budget import Budget
from openclaw.errors import BudgetExceeded, ConfigurationError, Ungoverned
from openclaw.graph import Agent
from openclaw.testing import ScriptedModel
from tests.graph.house import House

GO: Any = {"messages": [("user", "go")]}


class Counting(ScriptedModel):
    """A model that notes that it was really called."""

    calls: list[int] = []  # noqa: RUF012 - a pydantic field

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(1)
        return super()._generate(*args, **kwargs)

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(1)
        yield from super()._stream(*args, **kwargs)


def drawn(node: Any) -> StateGraph[Any, Any, Any, Any]:
    return StateGraph(MessagesState).add_node("act", node).add_edge(START, "act")


def in_node(function: Callable[[], object]) -> StateGraph[Any, Any, Any, Any]:
    def act(state: MessagesState) -> dict[str, Any]:
        function()
        return {}

    return drawn(act)


@pytest.mark.parametrize(
    "way",
    [
        lambda model: model.invoke("hi"),
        lambda model: list(model.stream("hi")),
        lambda model: model.batch(["hi"]),
        lambda model: model.generate([[HumanMessage("hi")]]),
        lambda model: asyncio.run(model.ainvoke("hi")),
        lambda model: model.invoke("hi", config={"callbacks": []}),
        lambda model: model.bind_tools([]).invoke("hi"),
    ],
)
def test_a_raw_model_made_while_the_graph_runs_trips(house: House, way: Callable[[BaseChatModel], object]) -> None:
    calls: list[int] = []
    with pytest.raises(Ungoverned, match="raw model"):
        house.compile(in_node(lambda: way(Counting(["ok"], calls=calls)))).invoke(GO)
    assert calls == []


def test_a_model_that_a_node_keeps_is_found_and_metered(house: House) -> None:
    model = ScriptedModel(["ok"])
    chain = model.bind_tools([house.tool("look")])
    house.compile(in_node(lambda: chain.invoke("hi"))).invoke(GO)
    assert house.decisions("scripted") == ["allow"]


def test_a_model_that_a_tool_uses_is_metered_too(house: House) -> None:
    inner = ScriptedModel(["a summary"], model_name="inner")

    @tool
    def summarise(text: str) -> str:
        """Summarise."""
        return str(inner.invoke(text).content)

    agent = Agent("solo", model=ScriptedModel([("summarise", {"text": "long"}), "ok"]), tools=[summarise])
    house.compile(agent).invoke(GO)
    assert house.decisions("inner") == ["allow"]


def test_a_raw_fallback_does_not_step_in_for_a_refused_model(house: House) -> None:
    house.ledger.set_limit("org/default", Budget(tokens=1))
    main = ScriptedModel(["ok"])
    calls: list[int] = []

    def act(state: MessagesState) -> dict[str, Any]:
        chain = main.with_fallbacks([Counting(["ok"], calls=calls, model_name="fallback")])
        return {"messages": [chain.invoke("hi")]}

    with pytest.raises(BudgetExceeded):
        house.compile(drawn(act), on_refusal="raise").invoke(GO)
    assert house.compile(drawn(act)).invoke(GO)["messages"][-1].response_metadata["openclaw"]["refused"]
    assert calls == []


def test_a_text_model_is_refused_when_compiling(house: House) -> None:
    llm = FakeListLLM(responses=["ok"])
    with pytest.raises(ConfigurationError, match="node `act` holds a text model that cannot be governed"):
        house.compile(in_node(lambda: llm.invoke("hi")))


def test_a_text_model_made_while_the_graph_runs_trips(house: House) -> None:
    with pytest.raises(Ungoverned, match="raw model"):
        house.compile(in_node(lambda: FakeListLLM(responses=["ok"]).invoke("hi"))).invoke(GO)


def test_a_remote_graph_is_refused_when_compiling(house: House) -> None:
    with pytest.raises(ConfigurationError, match="node `act` holds a remote graph that cannot be governed: `far`"):
        house.compile(drawn(RemoteGraph("far", url="http://localhost:1")))


def test_a_model_that_is_chosen_at_run_time_is_refused_when_compiling(house: House) -> None:
    chat_models = pytest.importorskip("langchain.chat_models")
    model = chat_models.init_chat_model(configurable_fields=("model",))
    with pytest.raises(ConfigurationError, match="model that cannot be governed: `chosen at run time`"):
        house.compile(in_node(lambda: model.invoke("hi")))


def test_the_agent_of_another_library_is_governed_as_it_is(house: House) -> None:
    agents = pytest.importorskip("langchain.agents")
    model = ScriptedModel([[("look", {"x": 1}), ("forbidden", {"x": 2})], "ok"])
    graph = agents.create_agent(model, [house.tool("look"), house.tool("forbidden")])
    for result in (
        house.compile(graph, name="theirs").invoke(GO),
        asyncio.run(house.compile(graph, name="theirs").ainvoke(GO)),
    ):
        assert result["messages"][-1].content == "ok"
    assert house.did == [("look", 1)] * 2
    assert house.decisions("look") == ["allow"] * 2
    assert house.decisions("forbidden") == ["deny"] * 2


def test_the_original_of_a_compiled_graph_has_no_run(house: House) -> None:
    look = house.tool("look")
    original = in_node(lambda: look.invoke({"x": 1})).compile()
    house.compile(original).invoke(GO)
    with pytest.raises(Ungoverned):
        original.invoke(GO)
    assert house.did == [("look", 1)]
