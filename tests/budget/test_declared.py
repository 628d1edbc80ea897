"""What a program declares is on record when it changes, so that the audit of the ledger can judge by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw.budget import Budget, Ledger
from openclaw.budget.books import check_books
from openclaw.governance import Governance
from tests.support.story import DeskPolicy, StillClock

ACCOUNT = "org/default/workflow/returns"


@pytest.fixture
def governance(store_url: str, tmp_path: Path) -> Iterator[Governance]:
    with Governance.open(store_url, policies=DeskPolicy(), key=tmp_path / "key", clock=StillClock()) as opened:
        yield opened


def recorded(governance: Governance) -> list[dict[str, object]]:
    return [entry.body for entry in governance.audit.entries(kind="reservation") if entry.body["event"] == "limit"]


def test_declared_limits_are_recorded_once_and_when_they_change(governance: Governance) -> None:
    for tokens in (100, 100, 200):  # by one program after another
        Ledger(governance.gate._store, recorder=governance.ledger._recorder).declare({ACCOUNT: Budget(tokens=tokens)})
    declared = {"event": "limit", "account": ACCOUNT, "window": "total", "declared": True}
    assert recorded(governance) == [{**declared, "limits": {"tokens": tokens}} for tokens in (100, 200)]


def test_what_an_operator_has_set_stays_and_nothing_is_recorded(governance: Governance) -> None:
    governance.ledger.set_limit(ACCOUNT, Budget(tokens=50))
    governance.ledger.declare({ACCOUNT: Budget(tokens=100)})
    assert [body["limits"] for body in recorded(governance)] == [{"tokens": 50}]


def test_admissions_under_declared_limits_are_judged(governance: Governance) -> None:
    clock = governance.gate._clock
    assert isinstance(clock, StillClock)
    governance.ledger.declare({ACCOUNT: Budget(tokens=100)})
    clock.pass_ms(5)
    governance.ledger.settle(governance.ledger.reserve(f"{ACCOUNT}/agent/one", tokens=60), tokens=60)
    report = check_books(governance.gate._store)
    assert (report.holds, report.unjudged, report.admissions > 0) == (True, 0, True)
