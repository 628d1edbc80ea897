"""What a movement costs, counted in statements. Times are for ``benchmarks/budget.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openclaw.budget import Budget, Ledger
from openclaw.errors import BudgetExceeded
from openclaw.testing import FakeClock
from tests.gate.test_cost import Counting, kinds

ORG = "org/default"
AGENT = f"{ORG}/workflow/high/agent/one"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the writer is told, from the first statement after BEGIN to COMMIT."""
    statements: list[str] = []
    begin: Callable[[Any], Any] = ledger._store._writer._begin

    def begun(connection: Any) -> Any:
        transaction = begin(connection)
        transaction.cursor = Counting(transaction.cursor, statements)
        return transaction

    monkeypatch.setattr(ledger._store._writer, "_begin", begun)
    return statements


def test_a_reservation_is_one_conditional_update_and_a_settlement_is_one(ledger: Ledger, told: list[str]) -> None:
    ledger.set_limit(ORG, Budget(tokens=100))
    ledger.settle(ledger.reserve(AGENT, tokens=1), tokens=1)
    told.clear()
    held = ledger.reserve(AGENT, tokens=1)
    # PostgreSQL takes and opens, or closes and moves, in one statement: each is a round trip.
    statements = 2 if ledger._store.engine.dialect.name == "postgresql" else 3
    assert kinds(told) == ["UPDATE openclaw_account", "INSERT openclaw_reservation", "COMMIT"]
    assert len(told) == statements
    told.clear()
    ledger.settle(held, tokens=1)
    assert kinds(told) == ["UPDATE openclaw_reservation", "UPDATE openclaw_account", "COMMIT"]
    assert len(told) == statements


def test_with_shares_it_is_one_update_too_and_only_a_refusal_gives_back(ledger: Ledger, told: list[str]) -> None:
    ledger.set_limit(ORG, Budget(tokens=1_000))
    ledger.set_priority(f"{ORG}/workflow/high", 1)
    ledger.settle(ledger.reserve(AGENT, tokens=1), tokens=1)
    told.clear()
    held = ledger.reserve(AGENT, tokens=10)
    reading = [  # of the organisation, and of the workflows that have shares
        "SELECT openclaw_account",
        "SELECT openclaw_share",
        "SELECT openclaw_account",
    ]
    changes = ["UPDATE openclaw_account", "INSERT openclaw_reservation"]
    assert [it for it in kinds(told) if it not in reading] == [*changes, "COMMIT"]
    assert [it for it in kinds(told) if it in reading] == reading
    ledger.settle(held, tokens=10)
    told.clear()
    with pytest.raises(BudgetExceeded, match="kept for other shares"):
        ledger.reserve(AGENT, tokens=900)
    assert "".join(told).count("UPDATE openclaw_account") == 2
    assert ledger.balance(ORG).pending.tokens == 0
