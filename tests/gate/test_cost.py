"""What a governed call costs, counted: commits, and statements in them. Times are for ``benchmarks/``."""

from __future__ import annotations

import cProfile
import pstats
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from openclaw.action import Principal, ToolCall
from openclaw.budget import Budget, Usage
from openclaw.gate import Outcome, Permit, Request
from openclaw.governance import Governance
from openclaw.policy.regorus import available
from openclaw.store import writer
from tests.conftest import require

CALLS_MAX = 560
PAGES_MAX = 14

PRINCIPAL = Principal(agent="clerk", workflow="desk")


class Counting:
    """A cursor that keeps what it is told."""

    def __init__(self, cursor: Any, told: list[str]) -> None:
        self._cursor = cursor
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, sql: str, parameters: Any) -> Any:
        self._told.append(sql)
        return self._cursor.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> Any:
        self._told.append(sql)
        return self._cursor.executemany(sql, parameters)


@pytest.fixture
def told(governance: Governance, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the writer is told, from the first statement after BEGIN to COMMIT. What is deferred waits for the next commit."""
    monkeypatch.setattr(writer, "DEFER_SECONDS", 3600)
    statements: list[str] = []
    begin: Callable[[Any], Any] = governance._store._writer._begin

    def begun(connection: Any) -> Any:
        transaction = begin(connection)
        transaction.cursor = Counting(transaction.cursor, statements)
        return transaction

    monkeypatch.setattr(governance._store._writer, "_begin", begun)
    return statements


def call(governance: Governance) -> None:
    action = ToolCall(principal=PRINCIPAL, name="lookup", args={"order": "17"}, call_id="c")
    permit = governance.gate.admit(Request(action=action, hold=Usage(calls=1)))
    assert isinstance(permit, Permit)
    governance.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1), result="one chair"))


def kinds(statements: Sequence[str]) -> list[str]:
    """Verb and table of each; of one that changes several tables at once (PostgreSQL), of each of them."""
    found: list[str] = []
    for sql in statements:
        if sql.startswith("WITH"):
            changes = re.findall(r"(UPDATE|INSERT) (?:INTO )?(openclaw_\w+)", sql)
            found += [f"{verb} {table}" for verb, table in changes]
        else:
            words = sql.split()
            tables = (word.strip(",)") for word in words if word.startswith("openclaw_") and "." not in word)
            found.append(" ".join([words[0], *dict.fromkeys(tables)][:3]))
    return found


def test_one_call_after_another_is_one_commit_each(governance: Governance, told: list[str]) -> None:
    governance.ledger.set_limit("org/default", Budget(calls=1000))
    call(governance)
    told.clear()
    for _ in range(5):
        call(governance)
    assert told.count("COMMIT") == 5, "the outcome of a call joins the commit of the next decision"
    told.clear()
    call(governance)
    assert kinds(told) == [
        # the outcome of the one before
        "UPDATE openclaw_action",
        "UPDATE openclaw_reservation",
        "UPDATE openclaw_account",
        "SELECT openclaw_halt openclaw_head",
        # the decision
        "UPDATE openclaw_account",
        "INSERT openclaw_reservation",
        "INSERT openclaw_action",
        # both
        "INSERT openclaw_entry",
        "UPDATE openclaw_head",
        "COMMIT",
    ]


def test_what_waits_for_the_next_commit_is_seen_by_who_reads(governance: Governance, told: list[str]) -> None:
    call(governance)
    told.clear()
    assert governance.ledger.balance(PRINCIPAL.account).posted.calls == 1
    assert told.count("COMMIT") == 1
    assert [it.kind for it in governance.audit.entries()][-2:] == ["decision", "outcome"]
    assert told.count("COMMIT") == 1, "nothing was left to be written"


def test_a_reservation_on_accounts_that_are_there_is_two_statements(governance: Governance, told: list[str]) -> None:
    ledger = governance.ledger
    ledger.set_limit("org/default", Budget(tokens=1000))
    ledger.settle(ledger.reserve(PRINCIPAL.account, tokens=10), tokens=10)
    told.clear()
    held = ledger.reserve(PRINCIPAL.account, tokens=10)
    assert [it for it in kinds(told) if "account" in it or "reservation" in it] == [
        "UPDATE openclaw_account",
        "INSERT openclaw_reservation",
    ]
    told.clear()
    ledger.settle(held, tokens=7)
    assert [it for it in kinds(told) if "account" in it or "reservation" in it] == [
        "UPDATE openclaw_reservation",
        "UPDATE openclaw_account",
    ]
    moved = next(sql for sql in told if "UPDATE openclaw_account" in sql)
    assert "tokens_pending" in moved
    assert "calls_pending" not in moved, "what does not move is not written"


def test_a_call_is_few_calls_of_functions_and_few_pages(governance: Governance, tmp_path: Path) -> None:
    """Upper bounds, a little above what was counted: who makes a call dearer shall notice it."""
    require("native", available(), "a Rust toolchain, then `make native`")
    wal = tmp_path / "openclaw.db-wal"
    if not governance._store.engine.url.drivername.startswith("sqlite"):
        pytest.skip("what is counted is the same; only SQLite has pages in a file")
    governance.ledger.set_limit("org/default", Budget(calls=1000))
    for _ in range(20):
        call(governance)
    before, profile = wal.stat().st_size, cProfile.Profile()
    profile.enable()
    for _ in range(100):
        call(governance)
    profile.disable()
    assert pstats.Stats(profile).total_calls / 100 <= CALLS_MAX  # type: ignore[attr-defined]
    pages = (wal.stat().st_size - before) / (4096 + 24)
    assert pages / 100 <= PAGES_MAX
