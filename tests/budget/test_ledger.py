"""The ledger: nothing is spent that was not reserved, and nothing is lost."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from pydantic import ValidationError

from openclaw.budget import Budget, Ledger, Usage
from openclaw.budget.account import levels
from openclaw.budget.amount import opens_at
from openclaw.clock import SystemClock
from openclaw.errors import BudgetError, BudgetExceeded
from openclaw.store import Store

ORG = "org/default"
FLOW = f"{ORG}/workflow/returns"
AGENT = f"{FLOW}/agent/refunds"


class Still(SystemClock):
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = dt.datetime(2026, 11, 23, 23, 30, tzinfo=dt.UTC)  # a Monday

    def now(self) -> dt.datetime:
        return self.moment


@pytest.fixture
def clock() -> Still:
    return Still()


def test_a_reservation_takes_from_every_account_of_the_path(ledger: Ledger) -> None:
    ledger.reserve(AGENT, tokens=500)
    for account in (ORG, FLOW, AGENT):
        assert ledger.balance(account).pending == Usage(tokens=500)
    assert ledger.balance(f"{ORG}/workflow/other").pending == Usage()


def test_settling_posts_what_was_used_and_returns_the_rest(ledger: Ledger) -> None:
    ledger.set_limit(FLOW, Budget(tokens=1000))
    reservation = ledger.reserve(AGENT, tokens=500)
    assert ledger.balance(FLOW).remaining == {"tokens": 500}
    ledger.settle(reservation, tokens=431)
    balance = ledger.balance(FLOW)
    assert (balance.posted.tokens, balance.pending.tokens, balance.remaining) == (431, 0, {"tokens": 569})


def test_settling_twice_posts_once(ledger: Ledger) -> None:
    reservation = ledger.reserve(AGENT, tokens=500)
    ledger.settle(reservation, tokens=400)
    ledger.settle(reservation, tokens=400)
    ledger.release(reservation)
    assert ledger.balance(AGENT).posted.tokens == 400


def test_releasing_posts_nothing(ledger: Ledger) -> None:
    ledger.release(ledger.reserve(AGENT, tokens=500))
    assert ledger.balance(AGENT).posted == ledger.balance(AGENT).pending == Usage()


@pytest.mark.parametrize("account", [ORG, FLOW, AGENT])
def test_what_does_not_fit_one_account_is_taken_from_none(ledger: Ledger, account: str) -> None:
    ledger.set_limit(account, Budget(tokens=100))
    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve(AGENT, tokens=101)
    assert (caught.value.account, caught.value.unit) == (account, "tokens")
    assert (caught.value.requested, caught.value.remaining) == (101, 100)
    assert "cannot carry 101 tokens: 100 tokens left" in str(caught.value)
    assert all(ledger.balance(path).pending == Usage() for path in levels(AGENT))


def test_exactly_what_is_left_fits(ledger: Ledger) -> None:
    ledger.set_limit(AGENT, Budget(tokens=100, calls=1))
    ledger.reserve(AGENT, tokens=100, calls=1)
    with pytest.raises(BudgetExceeded, match="cannot carry 1 call: 0 calls left"):
        ledger.reserve(AGENT, calls=1)


def test_the_same_key_gives_the_same_reservation(ledger: Ledger) -> None:
    first = ledger.reserve(AGENT, tokens=10, key="call-1")
    assert ledger.reserve(AGENT, tokens=10, key="call-1").id == first.id
    assert ledger.balance(AGENT).pending.tokens == 10


def test_usage_above_the_hold_is_posted_in_full_and_blocks_the_next_call(ledger: Ledger) -> None:
    ledger.set_limit(FLOW, Budget(tokens=1000))
    ledger.settle(ledger.reserve(AGENT, tokens=900), tokens=1500)
    assert ledger.balance(FLOW).remaining == {"tokens": -500}
    with pytest.raises(BudgetExceeded, match=r"overdrawn by 500 tokens"):
        ledger.reserve(AGENT, calls=1)
    ledger.set_limit(FLOW, Budget(tokens=1500))
    ledger.reserve(AGENT, calls=1)


def test_a_hold_expires_by_the_clock_and_late_usage_is_posted_all_the_same(ledger: Ledger, clock: Still) -> None:
    ledger.set_limit(FLOW, Budget(tokens=1000))
    held = ledger.reserve(AGENT, tokens=1000, ttl_seconds=60)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(AGENT, tokens=1)
    clock.moment += dt.timedelta(seconds=61)
    ledger.reserve(AGENT, tokens=1)
    ledger.settle(held, tokens=700)
    balance = ledger.balance(FLOW)
    assert (balance.posted.tokens, balance.pending.tokens) == (700, 1)


def test_a_window_starts_afresh_and_a_reservation_settles_where_it_was_opened(ledger: Ledger, clock: Still) -> None:
    ledger.set_limit(FLOW, Budget(tokens=100, window="day"))
    held = ledger.reserve(AGENT, tokens=100)
    with pytest.raises(BudgetExceeded, match="0 tokens left in this day"):
        ledger.reserve(AGENT, tokens=1)
    clock.moment += dt.timedelta(hours=1)
    assert ledger.remaining(AGENT) == {"tokens": 100}
    ledger.reserve(AGENT, tokens=40)
    ledger.settle(held, tokens=90)
    today = ledger.balance(FLOW, "day")
    assert today.opens_at == dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
    assert (today.posted.tokens, today.pending.tokens) == (0, 40)
    assert ledger.balance(FLOW).posted.tokens == 90  # the account's total counts both days


@pytest.mark.parametrize(
    ("window", "opened"),
    [
        ("total", None),
        ("hour", dt.datetime(2026, 11, 25, 17, tzinfo=dt.UTC)),
        ("day", dt.datetime(2026, 11, 25, tzinfo=dt.UTC)),
        ("week", dt.datetime(2026, 11, 23, tzinfo=dt.UTC)),
        ("month", dt.datetime(2026, 11, 1, tzinfo=dt.UTC)),
    ],
)
def test_when_a_window_opened(window: str, opened: dt.datetime | None) -> None:
    assert opens_at(window, dt.datetime(2026, 11, 25, 17, 45, 3, tzinfo=dt.UTC)) == opened  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("window", "moment", "opened"),
    [
        ("day", "2026-11-25T22:59:59", "2026-11-24T23:00:00"),  # 23:59 of the 25th in Berlin
        ("day", "2026-11-25T23:00:00", "2026-11-25T23:00:00"),
        ("month", "2026-11-30T23:30:00", "2026-11-30T23:00:00"),
        ("week", "2026-11-29T23:00:00", "2026-11-29T23:00:00"),
        ("day", "2026-03-29T12:00:00", "2026-03-28T23:00:00"),  # the day that has 23 hours: it began in winter time
        ("day", "2026-10-25T12:00:00", "2026-10-24T22:00:00"),  # the day that has 25: it began in summer time
        ("hour", "2026-10-25T00:30:00", "2026-10-25T00:00:00"),  # 2:30 comes twice,
        ("hour", "2026-10-25T01:30:00", "2026-10-25T01:00:00"),  # and is two hours
    ],
)
def test_when_a_window_opened_in_a_time_zone(window: str, moment: str, opened: str) -> None:
    at = dt.datetime.fromisoformat(f"{moment}+00:00")
    assert opens_at(window, at, "Europe/Berlin") == dt.datetime.fromisoformat(f"{opened}+00:00")  # type: ignore[arg-type]


def test_a_day_in_a_time_zone_starts_afresh_at_its_own_midnight(ledger: Ledger, clock: Still) -> None:
    clock.moment = dt.datetime(2026, 11, 23, 22, 30, tzinfo=dt.UTC)
    ledger.set_limit(AGENT, Budget(tokens=100, window="day", zone="Europe/Berlin"))
    ledger.set_limit(FLOW, Budget(tokens=150, window="day"))
    ledger.settle(ledger.reserve(AGENT, tokens=100), tokens=100)
    with pytest.raises(BudgetExceeded, match="0 tokens left in this day"):
        ledger.reserve(AGENT, tokens=1)
    clock.moment += dt.timedelta(minutes=30)  # midnight in Berlin, and not in UTC
    assert ledger.remaining(AGENT) == {"tokens": 50}
    ledger.reserve(AGENT, tokens=50)
    balance = ledger.balance(AGENT, "day", "Europe/Berlin")
    assert (balance.zone, balance.opens_at) == ("Europe/Berlin", dt.datetime(2026, 11, 23, 23, tzinfo=dt.UTC))
    assert balance.remaining == {"tokens": 50}
    assert ledger.balance(FLOW, "day").remaining == {"tokens": 0}


def test_labels_are_accounts_that_a_reservation_takes_from_too(ledger: Ledger) -> None:
    ledger.set_limit(f"{ORG}/team/payments", Budget(tokens=100))
    held = ledger.reserve(AGENT, tokens=60, labels={"team": "payments", "customer": "acme"})
    with pytest.raises(BudgetExceeded, match="`org/default/team/payments` cannot carry 60 tokens: 40 tokens left"):
        ledger.reserve(f"{ORG}/workflow/other", tokens=60, labels={"team": "payments"})
    ledger.settle(held, tokens=50)
    for account in (ORG, FLOW, AGENT, f"{ORG}/team/payments", f"{ORG}/customer/acme"):
        assert ledger.balance(account).posted == Usage(tokens=50), account
    assert ledger.balance(f"{ORG}/workflow/other").posted == Usage()


@pytest.mark.parametrize("labels", [{"agent": "x"}, {"team": "a/b"}, {"team": ""}, {"": "a"}, {"te am": "a"}])
def test_what_is_no_label_is_refused(ledger: Ledger, labels: dict[str, str]) -> None:
    with pytest.raises(BudgetError, match="is not a label; use letters"):
        ledger.reserve(AGENT, tokens=1, labels=labels)


def test_a_budget_of_each_run_is_no_limit_of_an_account(ledger: Ledger) -> None:
    with pytest.raises(BudgetError, match="a budget of each run belongs to no account"):
        ledger.set_limit(AGENT, Budget(tokens=1, window="run"))


def test_operators_overrule_what_programs_declare(ledger: Ledger) -> None:
    ledger.declare({AGENT: Budget(tokens=10), FLOW: Budget(tokens=10)})
    ledger.set_limit(AGENT, Budget(tokens=99))
    Ledger(ledger._store).declare({AGENT: Budget(tokens=20), FLOW: Budget(tokens=20)})  # the next program
    assert ledger.balance(AGENT).limits == {"tokens": 99}
    assert ledger.balance(FLOW).limits == {"tokens": 20}


def test_a_limit_below_what_is_spent_admits_nothing_more(ledger: Ledger) -> None:
    ledger.settle(ledger.reserve(AGENT, tokens=50), tokens=50)
    ledger.set_limit(AGENT, Budget(tokens=10))
    with pytest.raises(BudgetExceeded, match="overdrawn by 40 tokens"):
        ledger.reserve(AGENT, tokens=1)


def test_money_is_shown_as_money(ledger: Ledger) -> None:
    ledger.set_limit(AGENT, Budget(usd="1.50"))
    with pytest.raises(BudgetExceeded, match=r"cannot carry \$2\.000000: \$1\.500000 left"):
        ledger.reserve(AGENT, microusd=2_000_000)


@pytest.mark.parametrize("amount", [-1, True, 1.5, "5", 2**53])
def test_what_is_no_amount_is_refused(ledger: Ledger, amount: object) -> None:
    with pytest.raises(BudgetError, match="`tokens` is not an amount"):
        ledger.reserve(AGENT, tokens=amount)  # type: ignore[arg-type]
    assert ledger.accounts() == []


@pytest.mark.parametrize("account", ["", "default", "org", "org/a/workflow", "workflow/a", "org//workflow/b", "org/a/"])
def test_what_is_no_account_is_refused(ledger: Ledger, account: str) -> None:
    with pytest.raises(BudgetError, match="is not an account; expected pairs"):
        ledger.reserve(account, tokens=1)


def test_settling_what_was_never_reserved_is_refused(ledger: Ledger) -> None:
    foreign = ledger.reserve(AGENT, tokens=1).model_copy(update={"id": "hold-x"})
    with pytest.raises(BudgetError, match="there is no reservation `hold-x`; reserve before you settle"):
        ledger.settle(foreign, tokens=1)


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"usd": 1.5},
        {"usd": "x"},
        {"usd": "NaN"},
        {"usd": "-1"},
        {"usd": "0.0000001"},
        {"tokens": -1},
        {"tokens": 1.5},
        {"gold": 1},
        {"tokens": 2**60},
        {"tokens": 1, "window": "aeon"},
        {"tokens": 1, "window": "day", "zone": "Mars/Olympus"},
        {"tokens": 1, "window": "day", "zone": "../etc/passwd"},
        {"tokens": 1, "window": "day", "zone": ""},
        {"tokens": 1, "zone": "Europe/Berlin"},
        {"tokens": float("nan")},
        {"tokens": float("inf")},
    ],
)
def test_what_is_no_budget_is_refused(limits: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Budget(**limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [8])
def test_parallel_reservations_never_overspend(store_url: str, threads: int) -> None:
    stores = [Store.open(store_url) for _ in range(2)]
    ledgers = [Ledger(store) for store in stores]
    ledgers[0].set_limit(FLOW, Budget(tokens=1000))
    admitted: list[int] = []

    def work(ledger: Ledger) -> None:
        for _ in range(10):
            try:
                reservation = ledger.reserve(AGENT, tokens=70)
            except BudgetExceeded:
                continue
            admitted.append(70)
            ledger.settle(reservation, tokens=50)

    running = [threading.Thread(target=work, args=(ledgers[number % 2],)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    balance = ledgers[0].balance(FLOW)
    assert balance.posted.tokens == 50 * len(admitted) <= 1000
    assert balance.pending.tokens == 0
    for store in stores:
        store.close()
