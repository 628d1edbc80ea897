"""Shares by priority, on both stores: what is kept for a workflow, what is lent, and what a refusal says of it."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from openclaw.budget import Budget, Ledger
from openclaw.errors import BudgetError, BudgetExceeded
from openclaw.testing import FakeClock

ORG = "org/default"
HIGH, LOW, NONE = (f"{ORG}/workflow/{name}" for name in ("high", "low", "none"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(dt.datetime(2026, 11, 23, tzinfo=dt.UTC))


def shared(ledger: Ledger, limit: int = 1_000, **window: str) -> None:
    """Priorities 6 and 3, and 1 for all the rest: shares of 600, 300 and 100."""
    ledger.set_limit(ORG, Budget.model_validate({"tokens": limit, **window}))
    ledger.set_priority(HIGH, 6)
    ledger.set_priority(LOW, 3)


def spend(ledger: Ledger, account: str, tokens: int) -> None:
    ledger.settle(ledger.reserve(account, tokens=tokens), tokens=tokens)


def greedy(ledger: Ledger, account: str, step: int = 1) -> int:
    """How much an account gets that takes all it can."""
    got = 0
    while True:
        try:
            spend(ledger, account, step)
        except BudgetExceeded:
            return got
        got += step


def test_a_workflow_of_higher_priority_keeps_its_share_when_the_window_runs_short(ledger: Ledger) -> None:
    shared(ledger, window="day")
    assert greedy(ledger, f"{LOW}/agent/one", 50) == 300
    assert greedy(ledger, NONE, 50) == 100
    spend(ledger, f"{HIGH}/agent/one", 600)
    assert ledger.balance(ORG, "day").remaining == {"tokens": 0}


def test_a_refusal_says_what_is_left_and_what_is_kept_for_whom_it_is_not(ledger: Ledger) -> None:
    shared(ledger, window="day")
    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve(f"{LOW}/agent/one", tokens=301)
    refused = caught.value
    assert refused.message == (
        "the budget of `org/default` cannot carry 301 tokens for `org/default/workflow/low/agent/one`: 300 tokens left in "
        "this day besides 700 tokens that are kept for other shares"
    )
    assert (refused.account, refused.unit, refused.requested, refused.remaining, refused.kept) == (
        ORG,
        "tokens",
        301,
        300,
        700,
    )
    assert ledger.balance(ORG, "day").pending.tokens == 0
    assert ledger.remaining(f"{LOW}/agent/one") == {"tokens": 300}
    assert ledger.remaining(f"{HIGH}/agent/one") == {"tokens": 600}
    assert ledger.remaining(f"{NONE}/agent/one") == ledger.remaining(f"{ORG}/agent/solo") == {"tokens": 100}


def test_what_nobody_uses_is_lent_as_the_window_passes(ledger: Ledger, clock: FakeClock) -> None:
    shared(ledger, window="day")
    clock.advance(12 * 3600)
    assert greedy(ledger, LOW, 10) == 300 + 300 + 50  # its own, and half of the shares of the others
    by_account = {it.account: it for it in ledger.shares(ORG)}
    assert (by_account[LOW].share, by_account[LOW].used, by_account[LOW].borrowed) == (300, 650, 350)
    assert (by_account[HIGH].share, by_account[HIGH].kept, by_account[HIGH].lent) == (600, 300, 300)
    assert (by_account[ORG].share, by_account[ORG].kept, by_account[ORG].lent) == (100, 50, 50)
    spend(ledger, HIGH, 300)  # what was kept for it is there
    with pytest.raises(BudgetExceeded):
        ledger.reserve(HIGH, tokens=1)
    spend(ledger, NONE, 50)


def test_each_window_begins_with_whole_shares(ledger: Ledger, clock: FakeClock) -> None:
    shared(ledger, window="day", zone="Europe/Berlin")
    clock.advance(20 * 3600)
    assert greedy(ledger, LOW, 100) > 300
    clock.advance(4 * 3600)
    assert [(it.share, it.kept, it.used) for it in ledger.shares(ORG)] == [(100, 96, 0), (600, 575, 0), (300, 288, 0)]
    assert greedy(ledger, LOW, 1) == 300 + 4 + 25


def test_shares_of_a_total_are_kept_whole(ledger: Ledger, clock: FakeClock) -> None:
    shared(ledger)
    clock.advance(365 * 24 * 3600)
    assert greedy(ledger, LOW, 50) == 300
    assert [it.lent for it in ledger.shares(ORG)] == [0, 0, 0]


def test_what_is_given_back_of_a_hold_is_there_again_for_its_share(ledger: Ledger) -> None:
    shared(ledger, window="day")
    held = ledger.reserve(LOW, tokens=300)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(LOW, tokens=1)
    ledger.settle(held, tokens=10)
    assert greedy(ledger, NONE, 10) == 100
    assert greedy(ledger, LOW, 10) == 290


def test_more_than_is_there_for_it_is_fitted_to_its_share(ledger: Ledger) -> None:
    from openclaw.budget import Usage

    shared(ledger, window="day")
    seen: list[dict[str, int]] = []

    def fit(left: object) -> Usage:
        seen.append(dict(left))  # type: ignore[call-overload]
        return Usage(tokens=250)

    answer = ledger._store.run(lambda transaction: ledger.hold(transaction, LOW, Usage(tokens=900), fit=fit))
    assert not isinstance(answer, BudgetExceeded)
    assert (seen, answer.held.tokens) == ([{"tokens": 300}], 250)


def test_many_at_once_take_no_more_than_there_is_for_them(ledger: Ledger) -> None:
    shared(ledger, window="day")
    barrier = threading.Barrier(12)

    def one(number: int) -> int:
        barrier.wait(60)
        return greedy(ledger, (LOW, NONE, HIGH)[number % 3], 20)

    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(one, range(12)))
    assert [sum(got[at::3]) for at in range(3)] == [300, 100, 600]


def test_where_nobody_has_a_priority_there_are_no_shares(ledger: Ledger) -> None:
    shared(ledger, window="day")
    for account in (HIGH, LOW):
        ledger.set_priority(account, 0)
    assert ledger.shares(ORG) == []
    assert greedy(ledger, LOW, 100) == 1_000


def test_operators_overrule_what_programs_declare(ledger: Ledger) -> None:
    ledger.set_limit(ORG, Budget(tokens=1_000))
    ledger.declare_priority(HIGH, 9)
    ledger.set_priority(HIGH, 4)
    ledger.declare_priority(HIGH, 9)
    assert {it.account: (it.priority, it.share) for it in ledger.shares(ORG)} == {ORG: (1, 200), HIGH: (4, 800)}


@pytest.mark.parametrize("priority", [-1, 1_001, True, "3", 2.5])
def test_a_priority_that_is_none_is_an_error(ledger: Ledger, priority: int) -> None:
    with pytest.raises(BudgetError, match=r"is no priority; give a whole number from 1 to 1000|is no priority"):
        ledger.set_priority(HIGH, priority)


@pytest.mark.parametrize("account", [ORG, f"{ORG}/agent/solo", f"{HIGH}/agent/one", f"{ORG}/team/payments"])
def test_only_workflows_have_priorities(ledger: Ledger, account: str) -> None:
    with pytest.raises(BudgetError, match="cannot have a priority"):
        ledger.set_priority(account, 2)
