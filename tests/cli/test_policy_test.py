"""``openclaw policy test``: exit codes, and what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openclaw.policy.regorus import available
from tests.cli.conftest import Command
from tests.conftest import require
from tests.support.story import DESK_CASES, DESK_REGO, DESK_TEST_REGO


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    require("native", available(), "a Rust toolchain, then `make native`")
    for name, text in (("desk.rego", DESK_REGO), ("desk_test.rego", DESK_TEST_REGO), ("desk_cases.yaml", DESK_CASES)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_failing_test_is_exit_code_1_and_names_its_place(policies: Path, openclaw: Command) -> None:
    said = openclaw("policy", "test", str(policies))
    assert said.code == 1
    assert f"{policies / 'desk_test.rego'}:18: data.desk_test.test_the_largest_refund_is_denied" in said.out
    assert re.search(r'desk\.deny +\["the account is not the customer\'s own"\]', said.out)
    assert re.search(r'refund\(9000, "ACME-1"\) +\{"kind": "tool", "tool": \{"args"', said.out)
    assert "3 passed, 2 failed" in said.out


def test_passing_tests_are_exit_code_0(policies: Path, openclaw: Command) -> None:
    said = openclaw("policy", "test", str(policies), "--run", "large_refund|large refund", "--json")
    assert (said.code, said.json["passed"], len(said.json["tests"])) == (0, True, 2)


def test_too_little_coverage_is_exit_code_1(policies: Path, openclaw: Command) -> None:
    arguments = ("policy", "test", str(policies), "--run", "small_refunds", "--json", "--threshold")
    enough, short = openclaw(*arguments, "10"), openclaw(*arguments, "100")
    assert (enough.code, short.code) == (0, 1)
    assert short.json["passed"] is True
    assert short.json["coverage"]["enough"] is False
    assert short.json["coverage"]["files"][0]["uncovered"]


def test_a_folder_without_tests_is_wrong_usage(policies: Path, openclaw: Command) -> None:
    said = openclaw("policy", "test", str(policies), "--run", "nothing of the kind")
    assert (said.code, said.out) == (2, "")
