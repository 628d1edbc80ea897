"""``openclaw policy reach``: from a description or from Python, for people and for programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command

REGO = """\
package openclaw.policies.desk

import rego.v1

allow if input.kind == "model"

allow if {
	input.tool.name == "refund"
	input.tool.args.amount <= 500
}

ask contains "a person has to look" if {
	input.tool.name == "refund"
	input.tool.args.amount > 50
}
"""

DESK = """\
agents:
  - name: refunds
    workflow: returns
    roles: [payer]
    tools:
      - {name: refund, args: {amount: {type: integer, minimum: 1}}}
      - {name: shred}
    models: [{provider: acme, name: small-1}]
"""

PYTHON = """\
from langchain_core.tools import tool

from openclaw import Agent, Workflow


@tool
def refund(amount: int) -> str:
    "Pay an amount back."
    return "refunded"


desk = Workflow("returns", agents=[Agent("refunds", model="acme:small-1", tools=[refund]), Agent("triage", model="acme:small-1")])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "desk.rego").write_text(REGO)
    (tmp_path / "desk.yaml").write_text(DESK)
    (tmp_path / "desk_of_python.py").write_text(PYTHON)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "desk_of_python", raising=False)
    return tmp_path


def test_calls_answers_and_what_they_are_worth(folder: Path, openclaw: Command) -> None:
    said = openclaw("policy", "reach", "refunds", "--policies", "policies", "--agents", "desk.yaml")
    assert said.code == 0, said.err
    lines = [line.split(maxsplit=2) for line in said.out.splitlines() if line]
    words = " ".join(said.out.split())
    assert ["acme/small-1", "allow", "always"] in lines
    assert ["acme/small-1", "proven", "it has no arguments (1 decided)"] in lines
    assert "ask amount > 50 50 → allow, 51 → ask; a person has to look" in words
    assert "shred deny always no policy allows this" in words
    assert "agent refunds of returns, roles payer held fixed rules read nothing but the call" in words


def test_json_has_it_all(folder: Path, openclaw: Command) -> None:
    found = openclaw(
        "policy", "reach", "returns/refunds", "--policies", "policies", "--agents", "desk.yaml", "--json"
    ).json
    assert isinstance(found, dict)
    refund = next(call for call in found["calls"] if call["name"] == "refund")
    assert (refund["kind"], refund["proven"]) == ("tool", False)
    assert [(it["effect"], it["when"]) for it in refund["findings"]] == [
        ("allow", "amount ≤ 50"),
        ("ask", "amount > 50"),
    ]
    assert refund["findings"][1]["trials"] == [
        {"args": {"amount": 50}, "effect": "allow", "reasons": []},
        {"args": {"amount": 51}, "effect": "ask", "reasons": ["a person has to look"]},
    ]
    assert found["revision"].startswith("sha256:")


def test_an_agent_in_python_needs_no_description(folder: Path, openclaw: Command) -> None:
    path = [*sys.path]
    said = openclaw("policy", "reach", "refunds", "--policies", "policies", "--agents", "desk_of_python:desk", "--json")
    assert said.code == 0, said.err
    names = [(call["kind"], call["name"]) for call in said.json["calls"]]  # type: ignore[index,call-overload]
    assert names == [("model", "acme/small-1"), ("handoff", "transfer_to_triage"), ("tool", "refund")]
    assert sys.path == path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("refund", "--agents", "desk.yaml"), "no agent is called `refund`"),
        (("refunds", "--agents", "none.yaml"), "cannot be read"),
        (("refunds", "--agents", "no_such_module:desk"), "`no_such_module:desk` cannot be imported"),
        (("refunds", "--agents", "desk_of_python:nothing"), "cannot be imported"),
        (("refunds", "--agents", "desk_of_python:refund"), "is not an Agent or a Workflow"),
        (("refunds", "--agents", "desk.yaml", "--now", "soon"), "`soon` is no time"),
    ],
)
def test_what_cannot_be_looked_at_is_wrong_usage(
    folder: Path, openclaw: Command, arguments: tuple[str, ...], message: str
) -> None:
    said = openclaw("policy", "reach", "--policies", "policies", *arguments)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
