"""A sealed tool behaves like the raw one: the same results through the same ToolNode, whatever kind of tool it is."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, Tool, ToolException, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, InjectedStore, ToolNode, ToolRuntime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command
from pydantic import BaseModel, Field

from tests.graph.house import House


def plain() -> BaseTool:
    @tool
    def thing(x: int, y: int = 3) -> str:
        """Do."""
        return f"{x} {y}"

    return thing


def asynchronous() -> BaseTool:
    @tool
    async def thing(x: int) -> str:
        """Do."""
        return str(x)

    return thing


def both() -> BaseTool:
    def sync(x: int) -> str:
        """Do."""
        return f"sync {x}"

    async def asyn(x: int) -> str:
        return f"async {x}"

    return StructuredTool.from_function(sync, coroutine=asyn, name="thing")


def artifact() -> BaseTool:
    @tool(response_format="content_and_artifact")
    def thing(x: int) -> tuple[str, dict[str, int]]:
        """Do."""
        return f"did {x}", {"x": x}

    return thing


def command() -> BaseTool:
    @tool
    def thing(x: int, call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Do."""
        return Command(update={"messages": [ToolMessage(f"commanded {x}", tool_call_id=call_id)]})

    return thing


def injected() -> BaseTool:
    @tool
    def thing(
        x: int,
        state: Annotated[dict[str, Any], InjectedState],
        store: Annotated[BaseStore, InjectedStore()],
        config: RunnableConfig,
    ) -> str:
        """Do."""
        store.put(("n",), "k", {"x": x})
        return f"{x} {len(state['messages'])} {config['metadata']['mark']}"

    return thing


def runtime() -> BaseTool:
    @tool
    def thing(x: int, runtime: ToolRuntime) -> str:
        """Do."""
        runtime.stream_writer({"progress": x})
        return f"{x} {runtime.tool_call_id} {len(runtime.state['messages'])}"

    return thing


class Thing(BaseTool):
    name: str = "thing"
    description: str = "do"
    prefix: str = "class"

    def _run(self, x: int, config: RunnableConfig, run_manager: Any = None) -> str:
        return f"{self.prefix} {x} {run_manager is not None} {config['metadata']['mark']}"


class Both(Thing):
    async def _arun(self, x: int, config: RunnableConfig, run_manager: Any = None) -> str:
        return f"async {self._run(x, config, run_manager)}"


class Inner(BaseModel):
    n: int


class Args(BaseModel):
    x: int = Field(alias="x")
    inner: Inner = Inner(n=1)


def nested() -> BaseTool:
    return StructuredTool.from_function(
        lambda x, inner: f"{x} {type(inner).__name__} {inner.n}", name="thing", description="do", args_schema=Args
    )


def by_schema() -> BaseTool:
    async def run(**kwargs: Any) -> tuple[str, dict[str, Any]]:
        return str(sorted(kwargs.items())), kwargs

    return StructuredTool(
        name="thing",
        description="do",
        args_schema={"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
        coroutine=run,
        response_format="content_and_artifact",
    )


def legacy() -> BaseTool:
    return Tool(name="thing", func=lambda text: f"got {text}", description="do")


def handling() -> BaseTool:
    @tool
    def thing(x: int) -> str:
        """Do."""
        raise ToolException("no")

    thing.handle_tool_error = "handled"
    return thing


def several() -> BaseTool:
    @tool
    def thing(x: int, call_id: Annotated[str, InjectedToolCallId]) -> list[Any]:
        """Do."""
        return [Command(update={"messages": [ToolMessage("one", tool_call_id=call_id)]}), Command(update={})]

    return thing


KINDS = [
    plain,
    asynchronous,
    both,
    artifact,
    command,
    injected,
    runtime,
    Thing,
    Both,
    nested,
    by_schema,
    legacy,
    handling,
    several,
]


def graph(thing: BaseTool) -> StateGraph[Any, Any, Any, Any]:
    call = {"name": "thing", "args": {"x": "7"} if thing.response_format == "content" else {"x": 7}, "id": "a"}
    if isinstance(thing, Tool):
        call["args"] = {"__arg1": "7"}
    drawn = StateGraph(MessagesState)
    drawn.add_node("say", lambda state: {"messages": [AIMessage("", tool_calls=[call])]})
    drawn.add_node("act", ToolNode([thing]))
    return drawn.add_edge(START, "say").add_edge("say", "act")


def outcome(compiled: Any, how: str) -> Any:
    given: Any = {"messages": [("user", "go")]}
    config: Any = {"metadata": {"mark": "m"}}

    async def arun() -> list[Any]:
        return [chunk async for chunk in compiled.astream(given, config, stream_mode=["custom", "updates"])]

    try:
        if how == "async":
            chunks = asyncio.run(arun())
        else:
            chunks = list(compiled.stream(given, config, stream_mode=["custom", "updates"]))
    except NotImplementedError as error:
        return type(error), str(error)

    def essence(value: Any) -> Any:
        if isinstance(value, ToolMessage):
            return value.content, value.artifact, value.status, value.name, value.tool_call_id
        if isinstance(value, dict):
            return {key: essence(item) for key, item in value.items()}
        return [essence(item) for item in value] if isinstance(value, list) else value

    return [(mode, essence(value)) for mode, value in chunks if mode == "custom" or "act" in value]


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_sealed_tool_gives_what_the_raw_one_gives(house: House, kind: Any, how: str) -> None:
    raw = outcome(graph(kind()).compile(store=InMemoryStore()), how)
    sealed = outcome(house.compile(graph(kind()), store=InMemoryStore(), name="own"), how)
    assert sealed == raw
    assert raw
    if not isinstance(raw, tuple):
        assert house.decisions("thing") == ["allow"]


@pytest.mark.parametrize("kind", [injected, runtime, command, Thing, Both], ids=lambda kind: kind.__name__)
def test_injected_arguments_are_not_the_policys_business(house: House, kind: Any) -> None:
    outcome(house.compile(graph(kind()), store=InMemoryStore(), name="own"), "sync")
    [entry] = [entry for entry in house.entries("decision") if entry.tool == "thing"]
    assert entry.body["input"]["tool"]["args"] in ({"x": 7}, {"x": "7"})


def test_sealing_leaves_what_a_model_is_shown_unchanged(house: House) -> None:
    from langchain_core.utils.function_calling import convert_to_openai_tool

    from openclaw.graph.seal import seal

    for kind in KINDS:
        shown = convert_to_openai_tool(kind())
        assert convert_to_openai_tool(seal(kind())) == shown
