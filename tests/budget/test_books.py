"""The ledger checked against itself and the log: it holds after every kind of movement, and each tampering is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from openclaw.budget import Budget
from openclaw.budget.books import BooksReport, check_books
from openclaw.store import Store
from tests.support.story import StillClock, Story, tell_on, told

FLOW = "org/default/workflow/returns"
REFUNDS = f"{FLOW}/agent/refunds"


def settle_all_ways(story: Story) -> None:
    """What the desk leaves out: direct movements, a release, an overdraft, an expiry and a settlement after it."""
    tell_on(story)
    ledger, clock = story.governance.ledger, story.clock
    ledger.settle(ledger.reserve(REFUNDS, tokens=10, key="once"), tokens=4)
    ledger.reserve(REFUNDS, tokens=10, key="once")
    ledger.release(ledger.reserve(FLOW, tokens=7))
    gone = ledger.reserve(f"{FLOW}/agent/triage", tokens=5, ttl_seconds=1)
    kept = ledger.reserve(f"{FLOW}/agent/triage", tokens=6, ttl_seconds=1)
    clock.pass_ms(5000)
    ledger.set_limit("org/default/workflow/small", Budget(tokens=10, window="hour"))
    clock.pass_ms(5)
    over = ledger.reserve("org/default/workflow/small", tokens=10)
    clock.pass_ms(5)
    ledger.settle(over, tokens=25)
    ledger.settle(kept, tokens=3)
    assert gone.state == "pending"


def checked(url: str, folder: Path, *changes: str) -> BooksReport:
    clock = StillClock()
    with told(url, folder, clock=clock) as story:
        settle_all_ways(story)
    store = Store.open(url, clock=clock)
    try:
        with store.engine.begin() as connection:
            for change in changes:
                assert connection.execute(sa.text(change)).rowcount >= 1
        return check_books(store)
    finally:
        store.close()


def test_it_holds_after_every_kind_of_movement(store_url: str, tmp_path: Path) -> None:
    report = checked(store_url, tmp_path)
    assert report.differences == ()
    assert report.holds
    assert (report.reservations > 10, report.admissions > 5, report.pruned) == (True, True, False)


@pytest.mark.parametrize(
    ("change", "check", "says"),
    [
        (
            f"UPDATE openclaw_account SET tokens_pending = tokens_pending + 3 WHERE path = '{REFUNDS}'",
            "pending",
            f"tokens of `{REFUNDS}`: pending is 3, but its pending reservations hold 0",
        ),
        (
            f"UPDATE openclaw_account SET microusd_posted = 1 WHERE path = '{REFUNDS}'",
            "posted",
            f"microusd of `{REFUNDS}`: posted is 1, but its closed reservations used 201",
        ),
        (
            f"UPDATE openclaw_account SET microusd_posted = 1 WHERE path = '{REFUNDS}'",
            "children",
            f"microusd of `{FLOW}`: posted is 364, but the accounts below it and its own reservations have 164",
        ),
        ("UPDATE openclaw_reservation SET used = '{}' WHERE id = 'hold-0001'", "log", "used of reservation"),
        (
            "UPDATE openclaw_reservation SET held = '{}' WHERE id = 'hold-0001'",
            "log",
            'held of reservation `hold-0001` is {} in the ledger and {"tokens": 2002} in entry',
        ),
        (
            f"UPDATE openclaw_reservation SET path = '{REFUNDS}' WHERE id = 'hold-0001'",
            "log",
            f"holds on `{FLOW}/agent/triage`, and reservation `hold-0001` is of `{REFUNDS}`",
        ),
        ("DELETE FROM openclaw_reservation WHERE id = 'hold-0001'", "log", "which the ledger does not have"),
        (
            "INSERT INTO openclaw_reservation SELECT 'forged', '', path, accounts, held, used, state, opened_at,"
            " expires_at, closed_at FROM openclaw_reservation WHERE id = 'hold-0001'",
            "log",
            "no entry of the log says why reservation `forged` was made",
        ),
        ("UPDATE openclaw_reservation SET held = 'x' WHERE id = 'hold-0002'", "malformed", "is not an amount"),
        (
            "UPDATE openclaw_reservation SET accounts = '[]' WHERE id = 'hold-0002'",
            "children",
            "takes nothing from `org/default`",
        ),
    ],
)
def test_what_was_changed_is_named(store_url: str, tmp_path: Path, change: str, check: str, says: str) -> None:
    report = checked(store_url, tmp_path, change)
    assert not report.holds
    assert any(it.check == check and says in it.says for it in report.differences), report.differences


def test_an_admission_above_the_limit_is_named(store_url: str, tmp_path: Path) -> None:
    forged = json.dumps({"tokens": 11})
    change = f"UPDATE openclaw_reservation SET held = '{forged}' WHERE path = 'org/default/workflow/small'"
    report = checked(store_url, tmp_path, change)
    says = "was admitted at 11 of 10"
    found = [it for it in report.differences if it.check == "limit"]
    assert [(it.unit, it.expected, it.found, says in it.says) for it in found] == [("tokens", 10, 11, True)]
