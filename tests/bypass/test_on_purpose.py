"""What docs/bypass.md says code in the same process can still do on purpose: each is tried, so that the page stays true.

A test here that fails is good news: a way round is closed, and its row goes from one table to the other.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import START, MessagesState, StateGraph

from tests.graph.house import House

GO: Any = {"messages": [("user", "go")]}


def in_node(house: House, function: Callable[[], object]) -> Any:
    def act(state: MessagesState) -> dict[str, Any]:
        function()
        return {}

    return house.compile(StateGraph(MessagesState).add_node("act", act).add_edge(START, "act"))


def unwrap_the_guard(house: House, look: Any) -> None:
    vars(look)["func"].__openclaw_guard__(x=1)


def give_the_class_back(house: House, look: Any) -> None:
    raw = vars(look)["func"].__openclaw_guard__
    object.__setattr__(look, "__class__", StructuredTool)
    vars(look)["func"] = raw
    look._run(x=1, config={})


def do_the_work_without_a_tool(house: House, look: Any) -> None:
    house.did.append(("look", 1))


def start_a_process(house: House, look: Any) -> None:
    done = subprocess.run([sys.executable, "-c", "print('look')"], capture_output=True, text=True, check=True)
    house.did.append((done.stdout.strip(), 1))


def call_the_body_of_a_tool_that_is_made_on_the_way(house: House, look: Any) -> None:
    house.tool("look")._run(x=1, config={})


WAYS = [
    unwrap_the_guard,
    give_the_class_back,
    call_the_body_of_a_tool_that_is_made_on_the_way,
    do_the_work_without_a_tool,
    start_a_process,
]


@pytest.mark.parametrize("way", WAYS)
def test_code_that_sets_out_to_get_round_the_gate_can(house: House, way: Callable[[House, BaseTool], None]) -> None:
    look = house.tool("look")
    in_node(house, lambda: way(house, look)).invoke(GO)
    assert house.did == [("look", 1)]
    assert house.decisions("look") == []
