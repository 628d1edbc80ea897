"""``openclaw audit query`` on a real log."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command

PER_AGENT = "SELECT agent, count(*) AS entries FROM openclaw_entry WHERE run <> '' GROUP BY agent ORDER BY agent"


def test_rows_are_printed_as_a_table_json_and_csv(desk: Path, openclaw: Command) -> None:
    assert openclaw("audit", "query", PER_AGENT).out == "AGENT    ENTRIES\nrefunds       13\ntriage         7\n"
    assert openclaw("audit", "query", PER_AGENT, "--json").json == [
        {"agent": "refunds", "entries": 13},
        {"agent": "triage", "entries": 7},
    ]
    assert openclaw("audit", "query", PER_AGENT, "--csv").out == "agent,entries\r\nrefunds,13\r\ntriage,7\r\n"
    assert openclaw("audit", "query", PER_AGENT, "--csv", "--json").code == 2


def test_a_limit_says_that_there_is_more(desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT seq FROM openclaw_entry ORDER BY seq;"))
    said = openclaw("audit", "query", "-", "--limit", "2")
    assert (said.out, said.err) == ("SEQ\n  1\n  2\n", "the first 2 rows; --limit or --all shows more\n")
    assert len(openclaw("audit", "query", "SELECT seq FROM openclaw_entry", "--all").out.splitlines()) == 24


def test_sql_that_would_write_is_wrong_usage(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "query", "DELETE FROM openclaw_entry")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(
        "error: only questions are asked here: that SQL would do more; write, for example, `SELECT"
    )
    said = openclaw("audit", "query", "SELECT * FROM openclaw_nothing")
    assert said.err.startswith("error: the database does not answer that: no such table: openclaw_nothing")
