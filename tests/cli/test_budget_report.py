"""``openclaw budget report`` on a real store, for people and for programs."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from pathlib import Path

import pytest

from openclaw.budget import Usage
from openclaw.cli import books
from openclaw.governance import Governance
from tests.cli.conftest import Command
from tests.review.test_costs import think
from tests.support.story import DeskPolicy, StillClock, Story


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
    "wrong",
    [
        ("--by", "frog"),
        ("--by", "a/frog"),
        ("--since", "then"),
        ("--until", "soon"),
        ("--json", "--csv"),
        ("--csv", "--focus"),
        ("--zone", "Europe/Atlantis"),
        ("--zone", "Europe/Berlin", "--focus"),
    ],
)
def test_wrong_usage_is_one_clear_error(wrong: tuple[str, ...], desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "report", *wrong)
    assert said.code == 2
    assert said.err.startswith("error: ")


@pytest.fixture
def labelled(desk: Path) -> Path:
    """The desk, where two teams have worked late in the evening, too."""
    clock = StillClock(dt.datetime(2026, 11, 24, 23, 30, tzinfo=dt.UTC))
    clock.made = dict(books.CLOCK.made)
    key = desk / "openclaw.db.key"
    with Governance.open("sqlite:///openclaw.db", policies=DeskPolicy(), key=key, clock=clock) as governance:
        story = Story(governance, clock)
        story.new_run("night")
        think(story, "small-1", Usage(tokens=1_000, microusd=150), team="payments", customer="acme")
        think(story, "small-1", Usage(tokens=3_000, microusd=450), team="support")
    return desk


@pytest.mark.parametrize("width", ["80", "200"])
def test_groups_are_made_by_any_label(
    width: str, labelled: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    lines = openclaw("budget", "report", "--by", "team", "--since", "2026-11-24").out.splitlines()
    assert max(map(len, lines)) <= int(width)
    assert [line.split()[0] for line in lines[:4]] == ["TEAM", "support", "payments", "total"]


def test_a_label_that_nothing_has_is_a_word_that_was_mistyped(labelled: Path, openclaw: Command) -> None:
    said = openclaw("budget", "report", "--by", "taem")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: nothing has a label `taem`; ")
    assert "labels are customer, team" in said.err
    # One that there is, though not in that time, is none.
    said = openclaw("budget", "report", "--by", "team", "--until", "2026-11-24", "--json")
    assert [group["name"] for group in said.json["groups"]] == ["(none)"]


def test_days_and_their_bounds_are_of_a_time_zone(labelled: Path, openclaw: Command) -> None:
    berlin = ("budget", "report", "--by", "day", "--zone", "Europe/Berlin")
    said = openclaw(*berlin, "--since", "2026-11-25", "--json").json
    assert (said["zone"], [group["name"] for group in said["groups"]]) == ("Europe/Berlin", ["2026-11-25"])
    assert said["since"] == "2026-11-25T00:00:00+01:00"
    assert openclaw("budget", "report", "--since", "2026-11-25").out == ""
    assert "each day as the calendar of Europe/Berlin has it" in openclaw(*berlin).err


def test_focus_rows_have_labels_for_tags(labelled: Path, openclaw: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(openclaw("budget", "report", "--focus", "--since", "2026-11-24").out)))
    tags = [json.loads(row["Tags"]) for row in rows]
    assert {"agent": "writer", "workflow": "returns", "team": "payments", "customer": "acme"} in tags
    assert len(tags) == 2


def test_focus_rows_do_not_follow_by_and_say_so(desk: Path, openclaw: Command) -> None:
    plain, said = (openclaw("budget", "report", "--focus", *more) for more in ((), ("--by", "month")))
    assert said.out == plain.out
    assert "rows of FOCUS are by day, agent, model and labels, whatever --by says" in said.err
    assert plain.err == ""


def test_focus_rows_are_csv(desk: Path, openclaw: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(openclaw("budget", "report", "--focus").out)))
    assert [(row["SubAccountName"], row["BilledCost"], row["ChargeClass"]) for row in rows] == [
        ("refunds", "0.000201", ""),
        ("triage", "0.000163", ""),
    ]
