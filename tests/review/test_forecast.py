"""When budgets run out: the date of an even pace is exact, an uneven one has a range, and little data has no date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from openclaw.budget import Budget, Ledger
from openclaw.budget.pace import paces
from openclaw.review.forecast import MOVEMENTS_MIN, PERIODS, Forecast, forecasts
from openclaw.store import Store
from tests.support.story import BEGAN, StillClock

ACCOUNT = "org/default/workflow/returns/agent/refunds"
FORTNIGHT = dt.timedelta(days=14)


class Desk:
    """A ledger, and a clock to spend against."""

    def __init__(self, store: Store, clock: StillClock) -> None:
        self.store, self.clock, self.ledger = store, clock, Ledger(store)

    def spend(self, tokens: int, *, then: dt.timedelta) -> None:
        held = self.ledger.reserve(ACCOUNT, tokens=tokens)
        self.ledger.settle(held, tokens=tokens)
        self.clock.at += then

    def forecast(self, over: dt.timedelta = FORTNIGHT) -> Forecast:
        known = paces(self.store, over=over, periods=PERIODS)
        [found] = forecasts(self.ledger.accounts(), known, self.clock.now())
        return found


@pytest.fixture
def desk(store_url: str) -> Iterator[Desk]:
    clock = StillClock()
    store = Store.open(store_url, clock=clock)
    yield Desk(store, clock)
    store.close()


def test_an_even_pace_ends_on_the_day_that_division_says(desk: Desk) -> None:
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=10_000))
    for _ in range(28):
        desk.spend(100, then=dt.timedelta(hours=12))
    found = desk.forecast()
    assert (found.verdict, found.left, found.per_day) == ("runs out", 7_200, 200)
    assert found.earliest == found.runs_out_at == found.latest == desk.clock.at + dt.timedelta(days=36)


def test_what_is_held_counts_as_spent(desk: Desk) -> None:
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=10_000))
    for _ in range(28):
        desk.spend(100, then=dt.timedelta(hours=12))
    desk.ledger.reserve(ACCOUNT, tokens=200)
    assert desk.forecast().runs_out_at == desk.clock.at + dt.timedelta(days=35)


def test_an_account_that_is_younger_than_the_time_looked_back_on_is_not_taken_for_slow(desk: Desk) -> None:
    desk.clock.at += dt.timedelta(days=3650)
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=10_000))
    for _ in range(8):
        desk.spend(100, then=dt.timedelta(hours=12))
    assert desk.forecast().per_day == 200


def test_an_uneven_pace_has_a_range_around_its_mean(desk: Desk) -> None:
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=10_000))
    for at in range(28):
        desk.spend(50 if at % 2 else 150, then=dt.timedelta(hours=12))
    found = desk.forecast()
    assert found.earliest is not None
    assert found.runs_out_at is not None
    assert found.latest is not None
    assert found.earliest < found.runs_out_at < found.latest
    # The mean is 100 in half a day, its standard error 50.92 / √28: 80.8 to 119.2, so 7,200 lasts 30.2 to 44.6 days.
    assert [(at - desk.clock.at).days for at in (found.earliest, found.runs_out_at, found.latest)] == [30, 36, 44]


def test_the_latest_is_open_where_the_slower_pace_is_none(desk: Desk) -> None:
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=100_000))
    for at in range(28):
        desk.spend(9_000 if at == 13 else 1, then=dt.timedelta(hours=12))
    found = desk.forecast()
    assert (found.verdict, found.latest) == ("runs out", None)


def test_a_window_that_starts_afresh_before_lasts(desk: Desk) -> None:
    desk.clock.at = BEGAN.replace(hour=0)
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=1_000, window="day"))
    for _ in range(28):
        desk.spend(100, then=dt.timedelta(hours=12))
    found = desk.forecast()
    assert (found.verdict, found.runs_out_at, found.left) == ("lasts", None, 1_000)  # the day has just begun


def test_a_window_that_does_not_is_named(desk: Desk) -> None:
    desk.clock.at = BEGAN.replace(day=1)
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=3_000, window="month"))
    for _ in range(20):
        desk.spend(100, then=dt.timedelta(hours=12))
    found = desk.forecast()
    assert (found.verdict, found.runs_out_at) == ("runs out", desk.clock.at + dt.timedelta(days=5))


@pytest.mark.parametrize(
    ("movements", "apart"),
    [(MOVEMENTS_MIN - 1, dt.timedelta(hours=12)), (50, dt.timedelta(minutes=20))],
    ids=["few movements", "few periods"],
)
def test_too_little_data_is_said_and_no_date_made_up(desk: Desk, movements: int, apart: dt.timedelta) -> None:
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=100_000))
    for _ in range(movements):
        desk.spend(100, then=apart)
    found = desk.forecast()
    assert (found.verdict, found.per_day, found.runs_out_at) == ("too little data", None, None)


def test_nothing_spent_is_idle_and_nothing_left_is_now(desk: Desk) -> None:
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=100))
    assert desk.forecast().verdict == "idle"
    desk.spend(100, then=dt.timedelta(hours=1))
    found = desk.forecast()
    assert (found.verdict, found.runs_out_at) == ("over", desk.clock.at)
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=1_000))
    desk.clock.at += dt.timedelta(days=100)
    assert desk.forecast().verdict == "idle"  # all of it was long ago


def test_an_amount_beyond_every_calendar_lasts(desk: Desk) -> None:
    desk.ledger.set_limit(ACCOUNT, Budget(tokens=2**53 - 1))
    for _ in range(28):
        desk.spend(1, then=dt.timedelta(hours=12))
    assert desk.forecast().verdict == "lasts"


def test_the_accounts_above_have_what_was_spent_below(desk: Desk) -> None:
    desk.ledger.set_limit("org/default", Budget(tokens=10_000, window="month"))
    desk.ledger.set_limit("org/default", Budget(tokens=10_000))
    desk.clock.at = BEGAN.replace(day=1)
    for _ in range(28):
        desk.spend(100, then=dt.timedelta(hours=12))
    known = paces(desk.store, over=FORTNIGHT, periods=PERIODS)
    assert known["org/default"].posted == known[ACCOUNT].posted  # once, though it is in two windows
    assert {it.per_day for it in forecasts(desk.ledger.accounts("org/default"), known, desk.clock.at)} == {200}
