"""``openclaw policy shadow``: exit codes, and what is shown of a log that another process has written."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw.policy import regorus
from tests.cli.conftest import Command
from tests.conftest import require
from tests.policy.support import HOW_NATIVE
from tests.support.story import DESK_REGO, StillClock, tell_on, told


@pytest.fixture
def trial(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A log on each kind of store, of a desk whose candidate asks from 30 on."""
    require("native", regorus.available(), HOW_NATIVE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENCLAW_KEY", str(tmp_path / "openclaw.db.key"))
    for name, text in (("live", DESK_REGO), ("next", DESK_REGO.replace("> 50", "> 30"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "desk.rego").write_text(text)
    shadow = {"policies": tmp_path / "live", "shadow": tmp_path / "next"}
    with told(store_url, tmp_path, clock=StillClock(), **shadow) as story:
        tell_on(story)
    return store_url


def test_differences_are_exit_code_1_with_entries_to_look_at(trial: str, openclaw: Command, tmp_path: Path) -> None:
    said = openclaw("policy", "shadow", "--store", trial)
    assert said.code == 1
    line = next(line for line in said.out.splitlines() if line.startswith("refund "))
    assert "allow → ask × 1 (entry " in line
    report = openclaw("policy", "shadow", "--store", trial, "--json")
    assert (report.code, report.json["changed"], report.json["dropped"]) == (1, 1, 0)
    (group,) = (group for group in report.json["groups"] if group["changes"])
    seq = group["changes"][0]["examples"][0]
    entry = openclaw("audit", "show", str(seq), "--json", "--store", trial, "--key", str(tmp_path / "openclaw.db.key"))
    assert entry.json["body"]["input"]["tool"]["args"]["amount"] == 40
    assert report.json["compared"] == sum(group["decisions"] for group in report.json["groups"])


def test_a_candidate_is_named_by_how_its_revision_begins(trial: str, openclaw: Command) -> None:
    revision = openclaw("policy", "shadow", "--store", trial, "--json").json["candidate"]
    assert openclaw("policy", "shadow", "--store", trial, "--candidate", revision[:20]).code == 1
    said = openclaw("policy", "shadow", "--store", trial, "--candidate", "sha256:nothing")
    assert (said.code, said.out) == (2, "")
    assert "the log knows no candidate whose revision begins with" in said.err


def test_where_nothing_was_compared_there_is_nothing_to_say(desk: Path, openclaw: Command) -> None:
    said = openclaw("policy", "shadow")
    assert (said.code, "candidate  none" in said.out) == (0, True)
    assert "no candidate has decided beside the policies of this log" in said.err
    assert openclaw("policy", "shadow", "--since", "yesterday").code == 2


def test_the_log_lists_reports_by_what_they_say(trial: str, openclaw: Command) -> None:
    said = openclaw("audit", "list", "--kind", "policy", "--store", trial)
    assert said.code == 0
    lines = said.out.splitlines()
    assert any("shadow" in line and "changed by candidate sha256:" in line for line in lines[1:]), said.out
