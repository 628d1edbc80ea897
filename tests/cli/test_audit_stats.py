"""``openclaw audit stats`` and ``diff`` on a real log, in narrow and wide terminals."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw.cli.audit_stats import sparkline
from tests.cli.conftest import Command


def test_sparklines_show_what_is_more_than_nothing() -> None:
    assert sparkline([0, 1, 50, 100]) == " ▁▄█"
    assert sparkline([0, 0]) == ""
    assert sparkline([]) == ""


def test_stats_tell_of_agents_tools_reasons_and_what_is_new(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "stats")
    assert said.code == 0
    assert "decisions      12: 8 allowed, 2 asked, 2 denied (16.7 %)" in said.out
    assert "refunds          8      2       2       25.0 %       0" in said.out
    assert "    2  ask       18  a refund above 50 needs a person" in said.out
    found = openclaw("audit", "stats", "--json", "--agent", "triage").json
    assert found["whole"]["allowed"] == 4
    assert openclaw("audit", "stats", "--top", "1").out.count(": 1 of ") == 5


def test_stats_of_no_time_say_so(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "stats", "--since", "1s")
    assert (said.code, said.out) == (0, "")
    assert said.err == "no entries since 1s: --since reaches further back\n"


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("command", [("stats",), ("diff", "run-0001", "run-0002"), ("diff", "1h..2m", "2m..")])
def test_every_table_fits_the_terminal(
    width: int, command: tuple[str, ...], desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(map(len, openclaw("audit", *command).out.splitlines())) <= width


def test_runs_that_are_the_same_do_not_differ(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "diff", "run-0001", "run-0001")
    assert (said.code, said.err) == (0, "`run-0001` and `run-0001` do not differ\n")
    said = openclaw("audit", "diff", "run-0001", "run-0002")
    assert said.code == 1
    assert "-  3      triage   done     model acme/small-1\n" in said.out


def test_times_are_compared_and_a_run_with_a_time_is_not(desk: Path, openclaw: Command) -> None:
    found = openclaw("audit", "diff", "1h..2m", "2m..", "--json")
    assert found.code == 1
    assert {"of": "whole", "name": "", "figure": "asked", "before": 1, "after": 1} not in found.json["changes"]
    assert openclaw("audit", "diff", "2m..", "2m..").code == 0
    assert openclaw("audit", "diff", "run-0001", "2m..").code == 2
    assert openclaw("audit", "diff", "run-0001", "run-7").code == 2
    assert openclaw("audit", "diff", "soon..", "2m..").code == 2
