"""``openclaw halt``, ``resume`` and ``halts`` on a real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.support.sqlite_files import sqlite_file


def test_a_halt_is_laid_listed_and_lifted_without_the_log_s_key(desk: Path, openclaw: Command) -> None:
    for file in desk.glob("*.key"):
        file.unlink()
    said = openclaw("halt", "--agent", "refunds", "--workflow", "returns", "--by", "eva", "--reason", "odd")
    assert (said.code, said.out) == (0, "halted  workflow returns, agent refunds, by eva: odd\n")
    [halt] = openclaw("halts", "--json").json
    assert halt["target"] == {"workflow": "returns", "agent": "refunds", "run": ""}
    assert (halt["by"], halt["reason"]) == ("eva", "odd")
    said = openclaw("resume", "--agent", "refunds", "--workflow", "returns", "--by", "tom", "--json")
    assert said.code == 0
    assert openclaw("halts").err == "nothing is halted\n"
    said = openclaw("audit", "list", "--kind", "halt")
    assert "resume" in said.out
    assert "workflow returns, agent refunds by eva: odd" in said.out


def test_a_database_from_before_there_were_halts_is_one_clear_error_and_a_halt_mends_it(
    desk: Path, openclaw: Command
) -> None:
    with sqlite_file(desk / "openclaw.db") as connection:
        connection.execute("DROP TABLE openclaw_halt")
    said = openclaw("halts")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "error: the database was written by an older openclaw and has no table `openclaw_halt` yet; open it once with a"
        " Governance, or a command that writes: that adds what it lacks and changes nothing else\n"
    )
    assert openclaw("halt", "--all", "--by", "eva").code == 0
    assert openclaw("halts").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["halt", "--by", "eva"], "error: nothing is named; say what: `--agent`, `--workflow`, `--run` or `--all`\n"),
        (
            ["halt", "--all", "--run", "r", "--by", "eva"],
            "error: everything is meant, and something is named; say what:",
        ),
        (["halt", "--all", "--by", " "], "error: a halt needs a name; say who does it"),
        (["resume", "--all", "--by", "eva"], "error: everything is not halted; halted: nothing\n"),
        (["resume", "--by", "eva"], "error: nothing is named"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(desk: Path, openclaw: Command, arguments: list[str], message: str) -> None:
    said = openclaw(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(message)
    assert openclaw("halts", "--json").json == []
