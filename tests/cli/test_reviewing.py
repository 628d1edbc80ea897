"""``openclaw audit note`` and ``openclaw review``: from the queue to a verdict, through pipes and terminals."""

from __future__ import annotations

import io
import sqlite3
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url

from tests.cli.conftest import Command
from tests.cli.test_audit_list import program
from tests.support.readers import reading_only
from tests.support.sqlite_files import sqlite_file
from tests.support.story import told


def judged(openclaw: Command) -> list[tuple[int, str]]:
    return [
        (one["of"], one["verdict"])
        for one in openclaw("audit", "list", "--kind", "review", "--json", "--columns", "of,verdict").json
    ]


def test_a_note_is_shown_with_its_entry(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "note", "11", "--by", "eva", "--verdict", "agreed", "--flag", "fraud", "--comment", "seen")
    assert (said.code, said.out) == (0, "entry  24: agreed of 11 by eva: #fraud; seen\n")
    assert "reviewed    agreed by eva, entry 24: #fraud; seen\n" in openclaw("audit", "show", "11").out
    assert "agreed" in openclaw("audit", "list", "--agent", "refunds").out
    assert openclaw("audit", "note", "11", "--by", "eva").code == 2
    assert openclaw("audit", "note", "11", "--by", "eva", "--verdict", "fine").code == 2
    assert openclaw("audit", "verify").code == 0


def test_the_queue_is_listed(desk: Path, openclaw: Command) -> None:
    said = openclaw("review")
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == ["11", "12", "18", "21"]
    assert "approved" in said.out.splitlines()[2]
    assert "pending" in said.out.splitlines()[3]
    assert openclaw("review", "--queue", "--by", "eva").out == said.out
    found = openclaw("review", "--json", "--effect", "ask").json
    assert [(one["what"], one["answer"]["state"]) for one in found] == [("ask", "used"), ("ask", "pending")]
    assert openclaw("review", "--limit", "1").err == "the oldest 1; --limit shows more\n"


def test_the_queue_asks_for_the_questions_on_its_page_alone(desk: Path, openclaw: Command) -> None:
    asked: list[str] = []

    def listen(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(asked.append)

    event.listen(sa.Engine, "connect", listen)
    try:
        assert len(openclaw("review", "--limit", "2").out.splitlines()) == 3
        openclaw("approvals", "list")
    finally:
        event.remove(sa.Engine, "connect", listen)
    page, waiting = (one.partition("WHERE")[2] for one in asked if "FROM openclaw_approval" in one)
    assert "openclaw_approval.seq IN (12)" in page
    assert "openclaw_approval.state IN ('pending')" in waiting
    with sqlite_file(desk / "openclaw.db") as database:
        for one in asked:
            if "FROM openclaw_approval" in one:
                plan = database.execute(f"EXPLAIN QUERY PLAN {one}").fetchall()
                assert "USING INDEX openclaw_approval_state" in plan[0][3]


def test_the_queue_is_worked_through(desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("x\na\nas it should be\ns\nf\n\nq\n"))
    said = openclaw("review", "--by", "eva")
    assert said.code == 0
    assert "2 of 4 judged" in said.err
    assert "answered  approved by eva: order checked" in said.out
    assert judged(openclaw) == [(11, "agreed"), (18, "follow-up")]
    monkeypatch.setattr(sys, "stdin", io.StringIO("d\nno"))
    assert "1 of 3 judged" in openclaw("review", "--by", "eva").err  # the input ends
    assert judged(openclaw)[-1] == (12, "disputed")
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\n\na\n\n"))
    openclaw("review", "--by", "eva")
    assert openclaw("review", "--by", "eva").err == "nothing waits for a reviewer\n"


def test_ctrl_c_ends_the_work_and_keeps_what_was_said(desk: Path, openclaw: Command) -> None:
    child = program("review", "--by", "eva")
    child.expect("uit: ")
    child.sendline("d")
    child.expect("empty")
    child.sendline("wrong account")
    child.expect("uit: ")
    child.sendintr()
    rest = child.read()
    child.close()
    assert child.exitstatus == 130
    assert "Traceback" not in rest
    assert judged(openclaw) == [(11, "disputed")]
    assert openclaw("audit", "verify").code == 0


@pytest.mark.parametrize(
    "command", [("audit", "note", "11", "--by", "eva", "--verdict", "agreed"), ("review", "--by", "eva")]
)
def test_without_write_access_it_says_that_it_writes(
    command: tuple[str, ...], store_url: str, tmp_path: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\n\n"))
    with told(store_url, tmp_path):
        pass
    with reading_only(store_url) as reads:
        if make_url(reads).get_backend_name() == "sqlite":
            pytest.importorskip("os").geteuid() or pytest.skip("nothing is read-only for root")
        said = openclaw(*command, "--store", reads, "--key", str(tmp_path / "openclaw.db.key"))
        assert said.code == 2
        assert "error: this command writes, and the database cannot be written: permission denied" in said.err
        assert "[a]greed" not in said.err  # nobody judges first and hears it afterwards
        assert openclaw("review", "--store", reads).code == 0
