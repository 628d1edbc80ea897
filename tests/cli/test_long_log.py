"""A million entries: the first page of everything comes by an index, and nothing ever holds the whole log. Nothing is timed."""

from __future__ import annotations

import itertools
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from openclaw.audit.reading import PAGE, STRETCH_MAX, STRETCH_MIN, Reader
from openclaw.review.query import Query, Search
from openclaw.store import Store
from tests.cli.conftest import Command
from tests.support.longlog import fill
from tests.support.terminal import program, seen

ENTRIES = 1_000_000
ROOM_KB = 80_000
"""How much more than of a log of fifty entries a command may take; the log of a million has 540,000 KB."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BY_KEY = "USING INTEGER PRIMARY KEY"
FIRST_PAGES = [
    ((), BY_KEY, 1_000_001),
    (("--before", "500000"), BY_KEY, 499_999),
    (("--after", "500000"), BY_KEY, 500_050),
    (("--agent", "agent-7"), "openclaw_entry_agent", 999_519),
    (("--agent", "rare"), "openclaw_entry_agent", 900_027),
    (("--tool", "tool-7"), "openclaw_entry_tool", 999_914),
    (("--run", "run-11"), "openclaw_entry_run", 479),
    (("--workflow", "closed"), "openclaw_entry_workflow", 5_100),
    (("--effect", "deny"), "openclaw_entry_refused", 999_999),
    (("--effect", "ask", "--agent", "agent-7"), "openclaw_entry_", 999_495),
    (("--effect", "allow"), BY_KEY, 999_997),
    (("--kind", "approval"), "openclaw_entry_rare", 990_693),
    (("--kind", "checkpoint"), "openclaw_entry_rare", 1_000_001),
    (("--kind", "outcome"), BY_KEY, 1_000_000),
    (("--since", "2026-01-02", "--until", "2026-01-02T01:00:00"), BY_KEY, 359_999),
    (("--until", "2026-01-02", "--effect", "ask"), "openclaw_entry_refused", 345_189),
    (("--reason", "number 77"), BY_KEY, 779_999),
    (("--arg", "amount>900"), BY_KEY, 999_999),
    (("--text", "A-99"), BY_KEY, 999_999),
    (("--where", 'effect == "deny" and args.amount > 100'), "openclaw_entry_refused", 999_999),
    (("--where", "duration_ms > 2"), BY_KEY, 1_000_000),
]

FEWER = {
    ("--agent", "rare"): 9,
    ("--run", "run-11"): 40,
    ("--effect", "ask", "--agent", "agent-7"): 49,
    ("--kind", "checkpoint"): 1,
}
"""Filters that fewer entries pass than a page has."""


@pytest.fixture(scope="module")
def long_log() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder) / "openclaw.db", ENTRIES)
        yield Path(folder)


@pytest.fixture
def folder(long_log: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(long_log)
    return long_log


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """Every statement that a database is given while the test lasts, with its values in it."""
    found: list[str] = []

    def listen(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(found.append)

    event.listen(sa.Engine, "connect", listen)
    yield found
    event.remove(sa.Engine, "connect", listen)


def plans(folder: Path, statements: list[str]) -> list[str]:
    """How the database carries out each question to the log, a line for each step."""
    database = sqlite3.connect(f"file:{folder / 'openclaw.db'}?mode=ro", uri=True)
    try:
        questions = dict.fromkeys(one for one in statements if re.search(r"\bFROM openclaw_(entry|node)\b", one))
        return [str(step[3]) for one in questions for step in database.execute(f"EXPLAIN QUERY PLAN {one}")]
    finally:
        database.close()


def whole_reads(steps: list[str]) -> list[str]:
    """The steps that go through the whole log, or sort what they have found. There are few checkpoints."""
    few = r"(?! USING (COVERING )?INDEX openclaw_entry_checkpoint)"
    return [step for step in steps if re.search(rf"SCAN openclaw_(entry|node)\b{few}|USE TEMP B-TREE", step)]


@pytest.mark.parametrize(
    ("filters", "index", "last"), FIRST_PAGES, ids=lambda it: " ".join(it) if isinstance(it, tuple) else ""
)
def test_the_first_page_of_every_filter_comes_by_an_index(
    filters: tuple[str, ...], index: str, last: int, folder: Path, openclaw: Command, asked: list[str]
) -> None:
    said = openclaw("audit", "list", *filters, "--columns", "seq", "--csv")
    steps = plans(folder, asked)
    assert whole_reads(steps) == []
    assert any(index in step for step in steps), steps
    found = [int(line) for line in said.out.split()[1:]]
    assert (found[-1], found) == (last, sorted(found))
    assert len(found) == FEWER.get(filters, 50)


@pytest.mark.parametrize(
    "command",
    [
        ("audit", "tail"),
        ("audit", "tail", "--effect", "deny"),
        ("audit", "show", "500001"),
        ("audit", "explain", "500001"),
        ("audit", "timeline"),
        ("audit", "timeline", "run-11"),
        ("audit", "diff", "run-11", "run-12"),
        ("audit", "stats", "--since", "2026-01-02", "--until", "2026-01-02T00:10:00"),
        ("review",),
        ("approvals", "list"),
        ("halts",),
        ("budget", "list"),
    ],
    ids=" ".join,
)
def test_what_concerns_a_few_entries_reads_a_few(
    command: tuple[str, ...], folder: Path, openclaw: Command, asked: list[str]
) -> None:
    assert openclaw(*command).code in (0, 1)
    assert whole_reads(plans(folder, asked)) == []


@pytest.mark.parametrize("query", [Query(text="A-99"), Query(args=("amount>900",)), Query(where="args.amount > 900")])
def test_a_page_that_must_be_looked_for_looks_no_further_than_it_is(query: Query, folder: Path) -> None:
    store = Store.open(f"sqlite:///{folder / 'openclaw.db'}", create=False, readonly=True)
    heard: list[int] = []
    try:
        search = Search(query)
        page = [*search.entries(Reader(store), newest_first=True, limit=50, seen=lambda done, _: heard.append(done))]
        assert len(page) == 50
        assert heard[-1] <= STRETCH_MIN + 2 * PAGE
        nowhere: list[int] = []
        missing = Search(Query(text="nowhere", until=page[0].at)).entries(
            Reader(store), newest_first=True, limit=50, seen=lambda done, _: nowhere.append(done)
        )
        assert list(missing) == []
        assert max(later - earlier for earlier, later in itertools.pairwise(nowhere)) <= STRETCH_MAX
        assert nowhere[-1] >= ENTRIES - PAGE
    finally:
        store.close()


def peak_kb(folder: Path, *command: str) -> int:
    """The most memory that a command has had, in KB."""
    with (folder / "out.txt").open("w") as out:
        child = subprocess.Popen([sys.executable, "-m", "openclaw", *command], cwd=folder, stdout=out)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode in (0, 1)
    return used.ru_maxrss // (1024 if sys.platform == "darwin" else 1)


@pytest.mark.parametrize(
    "command",
    [
        ("audit", "verify"),
        ("audit", "list", "--all", "--csv", "--until", "2026-01-01T08:00:00"),
        ("audit", "list", "--text", "nowhere"),
        ("audit", "stats", "--since", "2026-01-02", "--until", "2026-01-02T08:00:00"),
        ("audit", "export", "--until", "2026-01-01T08:00:00"),
        ("audit", "timeline"),
        ("review", "--limit", "100000", "--json"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_no_command_holds_the_whole_log(command: tuple[str, ...], folder: Path, tmp_path: Path) -> None:
    fill(tmp_path / "openclaw.db", 50)
    few = peak_kb(tmp_path, *command)
    assert peak_kb(folder, *command) - few < ROOM_KB


def test_verify_reads_a_million_entries_with_a_bar(folder: Path) -> None:
    child = program("audit", "verify", cwd=str(folder))
    child.timeout = 300
    written = child.read()
    child.close()
    assert "verifying" in written
    assert f"/{ENTRIES + 1}" in written
    left = seen(written)
    assert child.exitstatus == 0
    assert "entries      1,000,001" in left
    assert "verdict      holds" in left
