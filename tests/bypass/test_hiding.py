"""More places where nodes keep tools: runnables made of runnables, and what classes hold, found when the graph is compiled."""

from __future__ import annotations

import collections
import functools
import operator
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypedDict

import pytest
from langchain_core.runnables import RunnableBranch, RunnableGenerator, RunnableLambda, RunnableParallel
from langchain_core.runnables import RunnablePassthrough as Passing
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy
from pydantic import BaseModel, PrivateAttr

from openclaw.errors import ConfigurationError
from openclaw.graph.seal import SealedTool
from openclaw.testing import ScriptedModel
from tests.graph.house import House

GO: Any = {"messages": [("user", "go")]}
LOOK: Any = None
"""The tool of the classes here, as a program has it in its module."""


def call(tool: Any) -> dict[str, Any]:
    tool.invoke({"x": 1})
    return {}


class Service:
    """Reaches the tool by its own methods, which no node names."""

    default: Any = None

    def look(self) -> dict[str, Any]:
        return self._look()

    def _look(self) -> dict[str, Any]:
        return call(LOOK)

    def by_attribute(self, state: Any) -> dict[str, Any]:
        return call(self.default)

    @property
    def kept(self) -> Any:
        return LOOK

    @functools.cached_property
    def made(self) -> Any:
        return LOOK

    @staticmethod
    def plainly(state: Any) -> dict[str, Any]:
        return call(LOOK)

    @classmethod
    def by_class(cls, state: Any) -> dict[str, Any]:
        return cls.plainly(state)


class Heir(Service):
    """Inherits how it is called."""

    def __call__(self, state: Any) -> dict[str, Any]:
        return self.look()


class LastHeir(Heir):
    """Has nothing of its own."""


class Desk:
    """Has a service, which has the tool."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def by_service(self, state: Any) -> dict[str, Any]:
        return self.service.look()

    def by_property(self, state: Any) -> dict[str, Any]:
        return call(self.service.kept)

    def by_cached_property(self, state: Any) -> dict[str, Any]:
        return call(self.service.made)


SERVICE = Service()


def by_global_object(state: Any) -> dict[str, Any]:
    return SERVICE.look()


def by_class_attribute(state: Any) -> dict[str, Any]:
    return call(Service.default)


@dataclass(frozen=True, slots=True)
class Slotted:
    tool: Any

    def __call__(self, state: Any) -> dict[str, Any]:
        return call(self.tool)


class Named(NamedTuple):
    tool: Any

    def __call__(self, state: Any) -> dict[str, Any]:
        return call(self.tool)


class Private(BaseModel):
    _tool: Any = PrivateAttr(None)

    def __call__(self, state: Any) -> dict[str, Any]:
        return call(self._tool)


def private(tool: Any) -> Private:
    made = Private()
    made._tool = tool
    return made


def wrapped(tool: Any) -> Any:
    @functools.wraps(lambda state: call(tool))
    def outer(*args: Any) -> Any:
        return outer.__wrapped__(*args)  # type: ignore[attr-defined]

    return outer


def cached(tool: Any) -> Any:
    @functools.cache
    def get() -> Any:
        return tool

    return lambda state: call(get())


def referred(tool: Any) -> Any:
    box = weakref.ref(tool)
    return lambda state: call(box())


def dispatched(tool: Any) -> Any:
    @functools.singledispatch
    def act(state: Any) -> Any:
        return {}

    act.register(dict, lambda state: call(tool))
    return lambda state: act(state)


def generating(tool: Any) -> Any:
    def act(given: Iterator[Any]) -> Iterator[Any]:
        for _ in given:
            yield call(tool)

    return RunnableGenerator(act)


def chained(tool: Any) -> Any:
    return RunnableLambda(lambda state: {"x": 1}) | tool | RunnableLambda(lambda _: {})


PLACES: dict[str, Callable[[Any], Any]] = {
    "parallel": lambda tool: RunnableParallel(a=chained(tool)) | RunnableLambda(lambda _: {}),
    "branch": lambda tool: RunnableBranch((lambda state: True, lambda state: call(tool)), lambda state: {}),
    "assign": lambda tool: Passing.assign(z=chained(tool)) | RunnableLambda(lambda _: {}),
    "generator": generating,
    "mapped": lambda tool: RunnableLambda(lambda _: [{"x": 1}]) | tool.map() | RunnableLambda(lambda _: {}),
    "with retry, fallbacks and configuration": lambda tool: (
        chained(tool).with_retry().with_config(tags=["t"]).with_fallbacks([chained(tool)])
    ),
    "bound method of the tool": lambda tool: lambda state, invoke=tool.invoke: (invoke({"x": 1}), {})[1],
    "method caller": lambda tool: lambda state: (operator.methodcaller("invoke", {"x": 1})(tool), {})[1],
    "wrapped function": wrapped,
    "cached function": cached,
    "dispatched function": dispatched,
    "callable object by inheritance": lambda tool: LastHeir(),
    "method of a class": lambda tool: Service.by_class,
    "static method": lambda tool: Service.plainly,
    "attribute of a class, by an object": lambda tool: SERVICE.by_attribute,
    "attribute of a class, by its name": lambda tool: by_class_attribute,
    "object in a global": lambda tool: by_global_object,
    "object of an object": lambda tool: Desk(Service()).by_service,
    "property": lambda tool: Desk(Service()).by_property,
    "cached property": lambda tool: Desk(Service()).by_cached_property,
    "dataclass with slots": Slotted,
    "named tuple": Named,
    "private attribute of a pydantic model": private,
    "deque": lambda tool: lambda state, box=collections.deque([tool]): call(box[0]),
    "user dict": lambda tool: lambda state, box=collections.UserDict(a=tool): call(box["a"]),
    "chain map": lambda tool: lambda state, box=collections.ChainMap({"a": tool}): call(box["a"]),
    "weak reference": referred,
}


@pytest.fixture
def look(house: House, monkeypatch: pytest.MonkeyPatch) -> BaseTool:
    made = house.tool("look")
    monkeypatch.setattr(f"{__name__}.LOOK", made)
    monkeypatch.setattr(Service, "default", made)
    return made


def of_one_node(node: Any, **options: Any) -> StateGraph[Any, Any, Any, Any]:
    return StateGraph(MessagesState).add_node("act", node, **options).add_edge(START, "act")


@pytest.mark.parametrize("place", PLACES)
def test_a_tool_in_more_places_is_found_when_compiling_and_governed(house: House, look: BaseTool, place: str) -> None:
    graph = house.compile(of_one_node(PLACES[place](look)))
    assert isinstance(look, SealedTool), "found before anything runs"
    graph.invoke(GO)
    assert house.did == [("look", 1)]
    house.assert_one_record_each()


@pytest.mark.parametrize("hidden", [lambda model: model, lambda model: model.with_retry(), lambda model: model.bind()])
def test_a_model_that_a_method_of_a_class_names_is_found_and_metered(house: House, hidden: Any) -> None:
    class Speaker:
        model = hidden(ScriptedModel(["hi"]))

        def __call__(self, state: Any) -> Any:
            return self._say(state)

        def _say(self, state: Any) -> Any:
            return {"messages": [self.model.invoke("hi")]}

    assert house.compile(of_one_node(Speaker())).invoke(GO)["messages"][-1].content == "hi"
    assert house.decisions("scripted") == ["allow"]


def test_the_function_behind_a_tool_is_found_where_a_method_calls_it(house: House) -> None:
    class Payer:
        @staticmethod
        def pay(amount: int) -> str:
            """Pay."""
            house.did.append(("pay", amount))
            return "paid"

        def __init__(self) -> None:
            self.tools = [StructuredTool.from_function(self.pay)]

        def honestly(self, state: Any) -> Any:
            self.tools[0].invoke({"amount": 1})
            return {}

        def behind(self, state: Any) -> Any:
            return self._behind()

        def _behind(self) -> Any:
            self.pay(1)
            return {}

    house.compile(of_one_node(Payer().honestly)).invoke(GO)
    assert house.decisions("pay") == ["allow"]
    with pytest.raises(ConfigurationError, match="node `act` calls the function behind tool `pay` directly"):
        house.compile(of_one_node(Payer().behind))


def test_what_merges_the_state_and_what_decides_on_retries_are_looked_through(house: House) -> None:
    merging, deciding = house.tool("look"), house.tool("see")

    def merge(old: list[int], new: list[int]) -> list[int]:
        merging.invoke({"x": len(new)})
        return old + new

    # By function: an annotation of a class would be a text here, which LangGraph cannot resolve.
    state = TypedDict("State", {"numbers": Annotated[list[int], merge]})  # noqa: UP013

    def again(error: Exception) -> bool:
        deciding.invoke({"x": 1})
        return False

    def fail(given: Any) -> Any:
        raise RuntimeError("no")

    drawn = (
        StateGraph(state)
        .add_node("act", lambda state: {"numbers": [1]})
        .add_node("fail", fail, retry_policy=RetryPolicy(retry_on=again))
    )
    graph = house.compile(drawn.add_edge(START, "act").add_edge("act", "fail"))
    assert isinstance(merging, SealedTool)
    assert isinstance(deciding, SealedTool)
    with pytest.raises(RuntimeError, match="no"):
        graph.invoke({"numbers": []})
    assert set(house.did) >= {("look", 1), ("see", 1)}
    house.assert_one_record_each()
