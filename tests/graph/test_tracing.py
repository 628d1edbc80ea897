"""LangSmith's tracing is for watching: off, or on and with nobody there, the same is decided and recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from openclaw import Agent, Governance
from openclaw.testing import ScriptedModel

ran = []

@tool
def pay(amount: int) -> str:
    "Pay."
    ran.append(amount)
    return f"paid {amount}"

calls = [{"name": "pay", "args": {"amount": amount}, "id": f"c{amount}"} for amount in (7, 700)]
model = ScriptedModel([AIMessage("", tool_calls=calls), AIMessage("done")])
with Governance.open(f"sqlite:///{sys.argv[1]}/a.db", policies=sys.argv[1]) as gov:
    graph = gov.compile(Agent("desk", model=model, tools=[pay]))
    answer = graph.invoke({"messages": [("user", "pay")]})
    assert ran == [7], ran
    print([(m.type, getattr(m, "status", "")) for m in answer["messages"]])
    print([(entry.kind, entry.tool, entry.effect) for entry in gov.audit.entries()])
    assert gov.audit.verify().ok
"""

POLICY = """package openclaw.policies.desk

import rego.v1

allow if true

deny contains "no more than 100" if input.tool.args.amount > 100
"""

NOWHERE = {"LANGSMITH_API_KEY": "none", "LANGSMITH_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "tracing",
    [{}, {"LANGSMITH_TRACING": "false"}, {"LANGSMITH_TRACING": "true", **NOWHERE}],
    ids=["unset", "off", "nobody there"],
)
def test_tracing_changes_nothing(tracing: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "desk.rego").write_text(POLICY)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], env=clean | tracing, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    messages, entries = done.stdout.splitlines()
    assert messages.count("'tool', 'success'") == messages.count("'tool', 'error'") == 1
    assert entries.count("'decision', 'pay', 'allow'") == entries.count("'decision', 'pay', 'deny'") == 1
    assert entries.count("'outcome', 'pay'") == 1
