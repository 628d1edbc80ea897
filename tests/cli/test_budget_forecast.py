"""``openclaw budget forecast`` on a real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_little_data_is_said_to_be_little(desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "forecast")
    assert said.code == 0
    assert "too little data" in said.out
    assert "now: nothing is left" in said.out
    assert "docs/economics.md" in said.err


def test_json_states_the_method(desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "forecast", "org/default/workflow/returns/agent/refunds", "--json").json
    assert said["method"].startswith("a straight line")
    assert [(it["unit"], it["verdict"]) for it in said["limits"]] == [("calls", "over")]


def test_an_account_without_limits_says_so(desk: Path, openclaw: Command) -> None:
    assert openclaw("budget", "forecast", "org/other").err == "nothing is limited there\n"


@pytest.mark.parametrize("over", ["soon", "2027-01-01", "5s"])
def test_no_time_to_look_back_on_is_wrong_usage(over: str, desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "forecast", "--over", over)
    assert (said.code, said.err.startswith("error: ")) == (2, True)
