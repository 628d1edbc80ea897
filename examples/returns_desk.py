"""A returns desk: one agent reads, the other pays, and a person is asked about the larger sums.

python -m examples.returns_desk
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

sys.path.insert(0, str(Path(__file__).parents[1]))  # also as `python examples/returns_desk.py`, from anywhere

from examples.stage import Stage, declared, perform
from openclaw import Workflow
from openclaw.graph import read_workflow

ORDERS = {"17": "coat, 240 EUR, paid, returned", "18": "hat, 30 EUR, paid, returned"}


@declared("read", trust="trusted")  # our own database, in which no customer writes
@tool
def lookup_order(order: str) -> str:
    """Say what is known of an order."""
    return ORDERS.get(order, "no such order")


@declared("write", "money")
@tool
def refund(order: str, amount: int) -> str:
    """Pay money back for an order, in EUR."""
    return f"refunded {amount} EUR for order {order}"


def desk(stage: Stage) -> Workflow:
    """Two agents under one budget, as ``returns_desk.yaml`` describes them; tools and models are given here."""
    triage = [
        ("lookup_order", {"order": "17"}),
        ("refund", {"order": "17", "amount": 240}),  # which is not its business
        ("transfer_to_refunds", {}),
    ]
    refunds = [("refund", {"order": "17", "amount": 240}), "240 EUR are on their way."]
    models = {"triage": stage.model("triage", triage), "refunds": stage.model("refunds", refunds)}
    return read_workflow(Path(__file__).with_suffix(".yaml"), tools=[lookup_order, refund], models=models)


def story(stage: Stage) -> None:
    """A customer returned a coat."""
    graph = stage.gov.compile(desk(stage), checkpointer=InMemorySaver())
    stage.drive(graph, "Please refund my coat, order 17.")


if __name__ == "__main__":
    sys.exit(perform("a returns desk: who reads does not pay, and larger sums are asked about", "returns_desk", story))
