"""``openclaw policy coverage``: what is shown, and what it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw.policy import regorus
from tests.cli.conftest import Command
from tests.support.story import DESK_REGO

pytestmark = pytest.mark.skipif(not regorus.available(), reason="coverage is of the native engine")

DEAD = '\ndeny contains "never" if input.tool.name == "nothing"\n'


@pytest.fixture
def policies(desk: Path) -> Path:
    (desk / "policies").mkdir(exist_ok=True)
    (desk / "policies" / "desk.rego").write_text(DESK_REGO + DEAD)
    return desk / "policies"


def test_dead_rules_and_tools_that_no_rule_denied(policies: Path, openclaw: Command) -> None:
    said = openclaw("policy", "coverage", "--from-log")
    assert said.code == 0, said.err
    line = DESK_REGO.count("\n") + 2
    assert f"policies/desk.rego:{line}" in said.out
    assert "never held" in said.out
    assert [it.split()[0] for it in said.out.splitlines() if " model " in it or " tool " in it] == [
        "small-1",
        "lookup_order",
    ]


def test_json_has_every_rule_and_tool(policies: Path, openclaw: Command) -> None:
    found = openclaw("policy", "coverage", "--from-log", "--policies", str(policies), "--json").json
    assert [rule["dead"] for rule in found["rules"]].count(True) == 1
    assert {tool["tool"] for tool in found["tools"]} == {"lookup_order", "refund", "small-1"}
    assert (found["decided"], found["percent"]) == (12, 100.0)


def test_since_leaves_out_what_is_older(policies: Path, openclaw: Command) -> None:
    found = openclaw("policy", "coverage", "--from-log", "--since", "1s", "--json").json
    assert (found["decided"], found["tools"], found["percent"]) == (0, [], 0.0)
    assert all(rule["dead"] for rule in found["rules"])


def test_it_says_where_the_coverage_of_tests_is(policies: Path, openclaw: Command) -> None:
    said = openclaw("policy", "coverage")
    assert said.code == 2
    assert "--from-log" in said.err
    assert "policy test --coverage" in " ".join(said.err.replace("│", " ").split())
