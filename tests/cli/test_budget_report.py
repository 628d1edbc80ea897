"""``openclaw budget report`` on a real store, for people and for programs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.cli.conftest import Command


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_table_fits_and_its_bars_show_the_shares(
    width: int, desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    said = openclaw("budget", "report")
    lines = said.out.splitlines()
    assert said.code == 0
    assert max(map(len, lines)) <= width
    bars = [line.split()[-1] for line in lines[1:3]]
    assert [set(bar[:-1]) for bar in bars] == [{"█"}, {"█"}]
    assert 1.1 < len(bars[0]) / len(bars[1]) < 1.4  # 201 to 163 micro-USD


def test_json_has_all_figures(desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "report", "--by", "tool", "--json").json
    assert [group["name"] for group in said["groups"]] == ["refund", "lookup_order"]
    assert said["total"]["microusd_per_completed_run"] == 364
    assert {group["name"] for group in said["outcomes"]} == {"done", "failed"}


def test_csv_is_for_spreadsheets(desk: Path, openclaw: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(openclaw("budget", "report", "--csv").out)))
    assert [(row["agent"], row["usd"]) for row in rows] == [("refunds", "0.000201"), ("triage", "0.000163")]


def test_a_time_in_which_nothing_ended_says_so(desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "report", "--since", "2027-01-01")
    assert (said.code, said.out, said.err) == (0, "", "nothing has ended in that time\n")


@pytest.mark.parametrize(
    "wrong", [("--by", "frog"), ("--since", "then"), ("--until", "soon"), ("--json", "--csv"), ("--csv", "--focus")]
)
def test_wrong_usage_is_one_clear_error(wrong: tuple[str, ...], desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "report", *wrong)
    assert said.code == 2
    assert said.err.startswith("error: ")


def test_focus_rows_are_csv(desk: Path, openclaw: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(openclaw("budget", "report", "--focus").out)))
    assert [(row["SubAccountName"], row["BilledCost"], row["ChargeClass"]) for row in rows] == [
        ("refunds", "0.000201", ""),
        ("triage", "0.000163", ""),
    ]
