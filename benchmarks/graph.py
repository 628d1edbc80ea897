"""What governing costs in a graph: the same graph, ungoverned and governed; a wide fan-out; and how soon a halt is felt.

    python -m benchmarks.graph [--count 100] [--width 1000]

The graph is a node that asks for one tool call after another, without a model, and LangGraph's ToolNode; the store is
SQLite on this disk. A governed call is decided, recorded and settled (``benchmarks.gate`` says what that costs without a
graph). The fan-out leaves LangGraph's own limit on what runs at once as it is, which for an event loop is none.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import operator
import resource
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

sys.path.insert(0, str(Path(__file__).parents[1]))

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send

from openclaw.governance import Governance

POLICY = 'package openclaw.policies.desk\n\nimport rego.v1\n\nallow if input.kind in {"tool", "model"}\n'
ROUNDS = 3


def make_tool() -> Any:
    """A tool that does nothing; sealing is in place, so each graph gets one of its own."""

    @tool
    def lookup(order: int) -> str:
        """Look an order up."""
        return f"order {order}"

    return lookup


def loop(count: int) -> StateGraph[Any, Any, Any, Any]:
    """One tool call after another, ``count`` of them."""

    def think(state: MessagesState) -> dict[str, Any]:
        done = sum(isinstance(message, ToolMessage) for message in state["messages"])
        call = {"name": "lookup", "args": {"order": done}, "id": f"c{done}", "type": "tool_call"}
        return {"messages": [AIMessage("", tool_calls=[call] if done < count else [])]}

    def onward(state: MessagesState) -> str:
        return "tools" if state["messages"][-1].tool_calls else END  # type: ignore[union-attr]

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([make_tool()]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", onward, ["tools", END])
    graph.add_edge("tools", "think")
    return graph


class Wide(TypedDict):
    """The state of the fan-out."""

    done: Annotated[list[str], operator.add]


def fan(width: int) -> StateGraph[Any, Any, Any, Any]:
    """``width`` tool calls side by side, one task each."""
    lookup = make_tool()

    def each(state: Any) -> dict[str, Any]:
        return {"done": [lookup.invoke({"order": state["order"]})]}

    async def aeach(state: Any) -> dict[str, Any]:
        return {"done": [await lookup.ainvoke({"order": state["order"]})]}

    graph = StateGraph(Wide)
    graph.add_node("each", RunnableLambda(each, afunc=aeach))
    graph.add_conditional_edges(START, lambda _: [Send("each", {"order": at}) for at in range(width)], ["each"])
    return graph


def timed(graph: Any, *, asynchronous: bool, keeps: bool, count: int, rounds: int = ROUNDS) -> float:
    """Seconds of a run: the best of some, since others share the machine."""
    best = float("inf")
    for turn in range(rounds):
        config: Any = {"recursion_limit": 4 * count + 10}
        if keeps:
            config["configurable"] = {"thread_id": f"{id(graph)}-{turn}"}
        given: Any = {"messages": [("user", "go")]}
        began = time.perf_counter()
        if asynchronous:
            asyncio.run(graph.ainvoke(given, config))
        else:
            graph.invoke(given, config)
        best = min(best, time.perf_counter() - began)
    return best


def per_call(gov: Governance, count: int) -> None:
    """Governance's own share of a tool call, four ways of running the graph."""
    print(f"{'':32}{'ungoverned':>12}{'governed':>12}{'own share':>12}{'ratio':>8}")
    for asynchronous in (False, True):
        for keeps in (False, True):
            raw = loop(count).compile(checkpointer=InMemorySaver() if keeps else None)
            governed = gov.compile(loop(count), checkpointer=InMemorySaver() if keeps else None, name="loop")
            before = timed(raw, asynchronous=asynchronous, keeps=keeps, count=count) / count
            after = timed(governed, asynchronous=asynchronous, keeps=keeps, count=count) / count
            said = f"a call, {'async' if asynchronous else 'sync'}, {'checkpointer' if keeps else 'none kept'}"
            milliseconds = [f"{1000 * value:9.2f} ms" for value in (before, after, after - before)]
            print(f"{said:32}{''.join(milliseconds)}{after / before:8.2f}")


def memory_mib() -> float:
    """Memory of this process that is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    if pages:
        return pages * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@dataclass(frozen=True)
class Spread:
    """What a wide fan-out took: seconds, MiB more than before, and the most threads that it had at once, its caller's among
    them: those that others had before are not counted."""

    seconds: float
    mib: float
    threads: int


def spread(graph: Any, width: int, *, asynchronous: bool) -> Spread:
    """Run a fan-out, and watch its memory and threads while it runs."""
    gc.collect()
    before, over = memory_mib(), threading.Event()
    others = {*threading.enumerate()} - {threading.current_thread()}
    most = [before], [1]

    def watch() -> None:
        while not over.wait(0.002):
            most[0].append(max(most[0].pop(), memory_mib()))
            most[1].append(max(most[1].pop(), len({*threading.enumerate()} - others) - 1))  # not counting this one

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    try:
        state = asyncio.run(graph.ainvoke({"done": []})) if asynchronous else graph.invoke({"done": []})
        took = time.perf_counter() - began
    finally:
        over.set()
        watcher.join()
    assert len(state["done"]) == width
    return Spread(took, max(most[0][0], memory_mib()) - before, most[1][0])


def wide(gov: Governance, width: int) -> None:
    """How much memory and how many threads a wide fan-out takes, and its time beside the ungoverned one."""
    print(f"\n{f'{width:,} calls side by side':32}{'time':>12}{'memory':>12}{'threads':>12}")
    for said, graph in (("ungoverned", fan(width).compile()), ("governed", gov.compile(fan(width), name="fan"))):
        for asynchronous in (False, True):
            found = spread(graph, width, asynchronous=asynchronous)
            how = f"{said}, {'async' if asynchronous else 'sync'}"
            print(f"{how:32}{found.seconds:10.2f} s{found.mib:+8.1f} MiB{found.threads:12}")


class Endless(BaseChatModel):
    """A model that never stops talking."""

    @property
    def _llm_type(self) -> str:
        return "endless"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("never"))])

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        while True:
            time.sleep(0.01)
            yield ChatGenerationChunk(message=AIMessageChunk("on "))

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        while True:
            await asyncio.sleep(0.01)
            yield ChatGenerationChunk(message=AIMessageChunk("on "))


def halted(gov: Governance, *, asynchronous: bool) -> float:
    """Seconds from a halt by another thread to the end of a stream that was under way."""
    from openclaw.graph import Agent

    graph = gov.compile(Agent(f"talker-{'a' if asynchronous else 's'}", model=Endless()))
    given: Any = {"messages": [("user", "talk")]}
    laid: list[float] = []

    def lay() -> None:
        time.sleep(0.5)
        laid.append(time.perf_counter())
        gov.halt(agent=graph.name, by="eva")

    laying = threading.Thread(target=lay)
    laying.start()

    async def listen() -> None:
        async for _ in graph.astream(given, stream_mode="messages"):
            pass

    if asynchronous:
        asyncio.run(listen())
    else:
        for _ in graph.stream(given, stream_mode="messages"):
            pass
    ended = time.perf_counter()
    laying.join()
    gov.resume(agent=graph.name, by="eva")
    return ended - laid[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="tool calls of a run")
    parser.add_argument("--width", type=int, default=1000, help="calls side by side")
    parser.add_argument("--halts", type=int, default=5, help="halts of each kind")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        policies = Path(folder) / "policies"
        policies.mkdir()
        (policies / "desk.rego").write_text(POLICY)
        with Governance.open(f"sqlite:///{folder}/bench.db", policies=policies) as gov:
            per_call(gov, given.count)
            wide(gov, given.width)
            print()
            for asynchronous in (False, True):
                worst = max(halted(gov, asynchronous=asynchronous) for _ in range(given.halts))
                how = f"a halt is felt, {'async' if asynchronous else 'sync'} stream"
                print(f"{how:32}{worst:10.2f} s at worst of {given.halts}")


if __name__ == "__main__":
    main()
