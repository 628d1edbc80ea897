"""``openclaw budget audit`` on a real store."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Command
from tests.support.sqlite_files import sqlite_file


def test_the_ledger_holds(desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "audit", "--json")
    assert (said.code, said.json["holds"], said.json["differences"]) == (0, True, [])


def test_what_differs_is_named_and_exit_code_1(desk: Path, openclaw: Command) -> None:
    with sqlite_file(desk / "openclaw.db") as database:
        database.execute("UPDATE openclaw_account SET tokens_posted = 7 WHERE path = 'org/default'")
    said = openclaw("budget", "audit")
    assert said.code == 1
    assert "budget posted: error: tokens of `org/default`: posted is 7, but its closed reservations used 2265" in (
        said.out.replace("\n", " ")
    )
    assert openclaw("budget", "audit", "--json").json["holds"] is False
