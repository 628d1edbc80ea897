"""An approval is not a permit: on resume the call is decided under the policy, the budget and the halts of that moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from openclaw import Agent, Budget, Governance, Workflow
from openclaw.testing import ScriptedModel
from tests.graph.house import House
from tests.graph.test_agent import answers, assert_valid

THREAD: Any = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": [("user", "go")]}
POLICY = """
package openclaw.policies.desk

import rego.v1

allow if true

ask contains "a person looks at this" if input.tool.name == "risky"
"""


def tighter(gov: Governance, policies: Path) -> None:
    (policies / "late.rego").write_text(
        "package openclaw.policies.late\n\nimport rego.v1\n\n"
        'deny contains "no longer" if {\n\tinput.kind == "tool"\n\tinput.approval.by == "ann"\n}\n'
    )
    assert gov.reload().outcome == "replaced"


def poorer(gov: Governance, policies: Path) -> None:
    gov.ledger.set_limit("org/default/workflow/desk", Budget(calls=0))


def stopped(gov: Governance, policies: Path) -> None:
    gov.halt(workflow="desk", by="eva", reason="look first")


@pytest.mark.parametrize(
    ("change", "source", "said"),
    [(tighter, "policy", "no longer"), (poorer, "budget", "cannot carry"), (stopped, "halt", "look first")],
)
def test_what_has_changed_since_the_question_counts(
    tmp_path: Path, change: Callable[[Governance, Path], None], source: str, said: str
) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "desk.rego").write_text(POLICY)
    with Governance.open(f"sqlite:///{tmp_path / 'gov.db'}", policies=policies) as gov:
        house = House(gov.gate, None, gov.audit, gov.ledger, None)  # type: ignore[arg-type]
        agent = Agent("solo", model=ScriptedModel([("risky", {"x": 1}), "ok"]), tools=[house.tool("risky")])
        graph = gov.compile(Workflow("desk", agents=[agent]), checkpointer=InMemorySaver())
        assert "__interrupt__" in graph.invoke(GO, THREAD)
        [question] = gov.approvals.list()
        gov.approvals.approve(question.id, by="ann")
        change(gov, policies)
        messages = graph.invoke(None, THREAD)["messages"]
        assert house.did == []
        refused = str(answers(messages)["scripted-0-0"].content)
        assert refused.startswith(f"Refused by {source}: ")
        assert said in refused
        assert_valid(messages)
        assert [entry.effect for entry in gov.audit.entries(kind="decision") if entry.tool == "risky"] == [
            "ask",
            "deny",
        ]
        assert gov.approvals.list("used") == [], "what was not done has used no approval up"
