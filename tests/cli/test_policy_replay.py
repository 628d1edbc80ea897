"""``openclaw policy replay``: exit codes, and what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.support.story import DESK_REGO


@pytest.fixture
def candidate(desk: Path) -> Path:
    (desk / "candidate").mkdir()
    (desk / "candidate" / "desk.rego").write_text(DESK_REGO)
    return desk / "candidate"


def test_a_candidate_that_changes_nothing_is_exit_code_0(candidate: Path, openclaw: Command) -> None:
    said = openclaw("policy", "replay", "--policies", str(candidate), "--json")
    assert (said.code, said.json["changed"]) == (0, 0), said.err
    assert said.json["decisions"] > 5


def test_a_candidate_that_changes_an_answer_is_exit_code_1(candidate: Path, openclaw: Command) -> None:
    (candidate / "desk.rego").write_text(DESK_REGO.replace("amount > 50", "amount > 10"))
    said = openclaw("policy", "replay", "--policies", str(candidate))
    assert said.code == 1
    line = next(line for line in said.out.splitlines() if line.startswith("refund "))
    assert "allow → ask × " in line
    found = openclaw("policy", "replay", "--policies", str(candidate), "--json").json
    (group,) = (group for group in found["groups"] if group["changes"])
    seq = group["changes"][0]["examples"][0]
    assert found["examples"][0]["call"].startswith("refund(")
    assert found["examples"][0]["entry"] == seq
    assert found["examples"][0]["call"] in said.out
    assert openclaw("audit", "show", str(seq), "--json").json["tool"] == "refund"


def test_since_narrows_what_is_decided_again(candidate: Path, openclaw: Command) -> None:
    said = openclaw("policy", "replay", "--policies", str(candidate), "--since", "1s", "--json")
    assert (said.code, said.json["decisions"]) == (0, 0)


def test_policies_that_do_not_load_are_wrong_usage(candidate: Path, openclaw: Command) -> None:
    (candidate / "desk.rego").write_text("package openclaw.policies.desk\n\nallow if {\n")
    said = openclaw("policy", "replay", "--policies", str(candidate))
    assert (said.code, said.out) == (2, "")
