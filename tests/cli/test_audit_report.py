"""``openclaw audit report``: the same time gives the same bytes, whatever comes after; and a broken log is no secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import reportlab

from openclaw.audit import AuditLog, Draft, open_key
from openclaw.policy.bundle import Bundle
from openclaw.policy.source import read_policies
from openclaw.review.frameworks import demands
from openclaw.review.serving import serving
from openclaw.store import Store
from tests.cli.conftest import Command
from tests.support.readers import reading_only
from tests.support.sqlite_files import sqlite_file
from tests.support.story import DESK_REGO, StillClock, tell_on, told

DAY = ("audit", "report", "--period", "2026-11-23")


@pytest.mark.parametrize("form", ["html", "md", "pdf"])
def test_the_same_time_gives_the_same_bytes_also_when_the_log_has_grown(
    form: str, store_url: str, tmp_path: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clock, key = StillClock(), str(tmp_path / "openclaw.db.key")
    with told(store_url, tmp_path, clock=clock) as story:
        tell_on(story)
    first, second = tmp_path / f"first.{form}", tmp_path / f"second.{form}"
    with reading_only(store_url) as reads:
        said = openclaw(*DAY, "--out", str(first), "--store", reads, "--key", key)
    assert (said.code, said.out.splitlines()[2]) == (0, "covered by  checkpoint 23, of 22 entries")
    clock.pass_ms(5 * 24 * 3_600_000)
    store = Store.open(store_url, clock=clock)
    log = AuditLog(store, open_key(store, key))
    log.append(Draft(kind="halt", body={"event": "halt", "by": "eva"}))
    log.checkpoint()
    log.close()
    store.close()
    assert openclaw(*DAY, "--out", str(second), "--store", store_url, "--key", key).code == 0
    assert first.read_bytes() == second.read_bytes()


def test_the_place_of_the_machine_and_its_language_change_no_byte(desk: Path, openclaw: Command) -> None:
    assert openclaw("audit", "checkpoint").code == 0
    places = [
        {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1", "COLUMNS": "80"},
        {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2", "COLUMNS": "200"},
        {"TZ": "America/Los_Angeles", "LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "3", "NO_COLOR": "1"},
    ]
    for form in ("html", "md", "pdf"):
        made: set[bytes] = set()
        for place in places:
            command = [sys.executable, "-m", "openclaw", *DAY, "--out", f"report.{form}"]
            kept = {name: value for name, value in os.environ.items() if name not in {"LC_ALL", "LANG", "COLUMNS"}}
            subprocess.run(command, cwd=desk, env={**kept, **place}, check=True, capture_output=True)
            made.add((desk / f"report.{form}").read_bytes())
            (desk / f"report.{form}").unlink()
        assert len(made) == 1, form


def test_a_report_tells_of_everything(desk: Path, openclaw: Command) -> None:
    openclaw("audit", "note", "11", "--by", "ann", "--verdict", "agreed", "--comment", "not theirs")
    openclaw("audit", "checkpoint")
    said = openclaw(*DAY, "--out", "report.md", "--json").json
    assert (said["verdict"], said["checkpoint"]["seq"]) == ("holds", 25)
    text = (desk / "report.md").read_text()
    for line in (
        "| Decisions | 12: 8 allowed, 2 asked of people, 2 denied (16.7 %) |",
        "Denied: 2 (1 by budget, 1 by policy).",
        'refund(account="DE-77", amount=120, order="A-18") | approved | eva | order checked | 13 |',
        "| org/default/workflow/returns | total | 10 calls, \\$0.50, 20,000 tokens | 2 |",
        "| 11 | agreed | ann |  | not theirs | 24 |",
        "| EU AI Act Art. 14 | Human oversight | questions to people, answers, exceptions, halts | 3 | 12, 13, 18 |",
    ):
        assert line in text
    for demand in demands(serving()):
        assert f"{demand.framework} {demand.number}" in text


ANNOTATED = """# METADATA
# title: Desk
# custom:
#   owasp: [ASI03]
package openclaw.policies.desk
"""


def test_the_policies_that_decided_say_which_demands_their_rules_serve(
    tmp_path: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("policies", "roles"):
        (tmp_path / folder).mkdir()
    (tmp_path / "policies" / "desk.rego").write_text(ANNOTATED + DESK_REGO.split("\n", 1)[1])
    (tmp_path / "roles" / "desk.rego").write_text(DESK_REGO)  # another revision, which has decided nothing
    with told("sqlite:///openclaw.db", tmp_path, policies=tmp_path / "policies", clock=StillClock()) as story:
        tell_on(story)
    revision = Bundle.assemble(read_policies(tmp_path / "policies")).revision
    row = "| OWASP Agentic ASI03 | Identity and Privilege Abuse | refusals by rules on roles, grants and delegation |"
    openclaw(*DAY, "--out", "alone.md")
    alone = (tmp_path / "alone.md").read_text()
    assert f"{row} 0 |" in alone
    assert f"by the names of shipped rule packages alone for {revision}: those policies were not at hand" in alone
    openclaw(*DAY, "--out", "other.md", "--policies", "roles")
    assert (tmp_path / "other.md").read_text() == alone
    openclaw(*DAY, "--out", "known.md", "--policies", "roles", "--policies", "policies")
    known = (tmp_path / "known.md").read_text()
    assert f"{row} 3 | 11, 12, 18 |" in known
    assert f"from the annotations of the policies that decided ({revision})." in known


def test_a_log_that_was_changed_is_reported_as_broken(desk: Path, openclaw: Command) -> None:
    with sqlite_file(desk / "openclaw.db") as database:
        database.execute("UPDATE openclaw_entry SET effect = 'allow' WHERE seq = 11")
    said = openclaw(*DAY, "--out", "report.html")
    assert said.code == 1
    assert "Nothing below can be relied upon" in (desk / "report.html").read_text()


def test_what_an_agent_wrote_is_no_markup(desk: Path, openclaw: Command) -> None:
    with sqlite_file(desk / "openclaw.db") as database:
        database.execute("UPDATE openclaw_entry SET agent = '<script>alert(1)</script>'")
    openclaw(*DAY, "--out", "report.html")
    page = (desk / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_what_cannot_be_reported_is_said(desk: Path, openclaw: Command) -> None:
    assert openclaw(*DAY, "--out", "report.docx").code == 2
    said = openclaw("audit", "report", "--period", "2025", "--out", "report.md")
    assert said.err.startswith("error: nothing was recorded in `2025`")
    assert not (desk / "report.md").exists()
    (desk / "openclaw.db.key").unlink()
    said = openclaw(*DAY, "--out", "report.md")
    assert said.code == 2
    key = "openclaw-0001+cfd56b6c+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    assert openclaw(*DAY, "--out", "report.md", "--public-key", key, "--inside-only").code == 0


def test_a_font_is_for_a_pdf_and_is_looked_at_before_the_log_is(desk: Path, openclaw: Command) -> None:
    vera = str(Path(reportlab.__file__).parent / "fonts" / "Vera.ttf")
    with sqlite_file(
        desk / "openclaw.db"
    ) as connection:  # a broken log is reported too, and soonest shows other letters
        connection.execute("UPDATE openclaw_entry SET agent = 'Pawe\u0142' WHERE seq = 11")
    for name in ("with.pdf", "again.pdf"):
        assert openclaw(*DAY, "--out", name, "--font", vera).code == 1
    assert openclaw(*DAY, "--out", "without.pdf").code == 1
    made = (desk / "with.pdf").read_bytes()
    assert b"BitstreamVeraSans" in made
    assert made == (desk / "again.pdf").read_bytes()
    assert b"BitstreamVeraSans" not in (desk / "without.pdf").read_bytes()
    assert "a font is for a PDF" in openclaw(*DAY, "--out", "report.md", "--font", vera).err
    said = openclaw(*DAY, "--out", "none.pdf", "--font", "absent.ttf")
    assert (said.code, (desk / "none.pdf").exists()) == (2, False)
    assert "the font `absent.ttf` cannot be used" in said.err
