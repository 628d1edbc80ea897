"""A StateGraph that was there before, governed: nodes, routes and tools stay as they are, and compiling changes hands.

python -m examples.own_graph
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

sys.path.insert(0, str(Path(__file__).parents[1]))  # also as `python examples/own_graph.py`, from anywhere

from examples.stage import Stage, declared, perform


@declared("read")
@tool
def read_ticket(ticket: str) -> str:
    """Read a ticket."""
    return f"{ticket}: the printer on floor 3 is out of paper"


@declared("write")
@tool
def close_ticket(ticket: str, note: str) -> str:
    """Close a ticket."""
    return f"{ticket} closed: {note}"


@declared("write")
@tool
def page_engineer(text: str) -> str:
    """Wake the engineer on duty."""
    return f"the engineer is awake and reads: {text}"


TOOLS = [read_ticket, close_ticket, page_engineer]
SCRIPT = [
    ("read_ticket", {"ticket": "T-9"}),
    [("page_engineer", {"text": "paper!"}), ("close_ticket", {"ticket": "T-9", "note": "paper refilled"})],
    "T-9 is closed; nobody was woken.",
]


def existing(model: BaseChatModel) -> StateGraph[Any, Any, Any, Any]:
    """The graph as somebody drew it, who had never heard of governance."""
    bound = model.bind_tools(TOOLS)

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode(TOOLS))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return graph


def story(stage: Stage) -> None:
    """`graph.compile(…)` becomes `gov.compile(graph, …)`."""
    drawn = existing(stage.model("helpdesk", SCRIPT))
    graph = stage.gov.compile(drawn, name="helpdesk", checkpointer=InMemorySaver())
    stage.drive(graph, "Please look after T-9.")


if __name__ == "__main__":
    sys.exit(perform("a StateGraph that was there before", "own_graph", story))
