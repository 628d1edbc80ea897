"""Seconds and milliwatt-hours are units like any other, on both stores; a store of before gets their columns."""

from __future__ import annotations

from contextlib import closing

import pytest
import sqlalchemy as sa

from openclaw.budget import UNITS, Budget, Ledger, Usage
from openclaw.decision import Decision, Effect, Obligation
from openclaw.duties import read_duties
from openclaw.errors import BudgetExceeded, StoreError
from openclaw.policy.obligations import CHARGED
from openclaw.review.wording import amount
from openclaw.store import Store
from openclaw.testing import FakeClock

FLOW = "org/default/workflow/returns"
AGENT = f"{FLOW}/agent/refunds"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_seconds_and_milliwatt_hours_are_held_settled_and_refused(ledger: Ledger) -> None:
    ledger.set_limit(FLOW, Budget(seconds=60, mwh=1_000, window="day", zone="Europe/Berlin"))
    held = ledger.reserve(AGENT, milliseconds=40_000, mwh=600)
    assert ledger.remaining(AGENT) == {"milliseconds": 20_000, "mwh": 400}
    with pytest.raises(BudgetExceeded, match=r"cannot carry 30\.000 seconds: 20\.000 seconds left in this day"):
        ledger.reserve(AGENT, milliseconds=30_000)
    with pytest.raises(BudgetExceeded, match=r"cannot carry 401 mWh: 400 mWh left in this day"):
        ledger.reserve(AGENT, mwh=401)
    ledger.settle(held, milliseconds=59_999, mwh=1_001)
    assert ledger.balance(FLOW, "day", "Europe/Berlin").remaining == {"milliseconds": 1, "mwh": -1}
    with pytest.raises(BudgetExceeded, match=r"overdrawn by 1 mWh"):
        ledger.reserve(AGENT, calls=1)


def test_every_unit_is_known_wherever_units_are_named() -> None:
    assert set(Usage.model_fields) == set(UNITS) == set(CHARGED)
    decision = Decision(
        effect=Effect.ALLOW,
        obligations=(Obligation.model_validate({"kind": "charge", **dict.fromkeys(UNITS, 1)}),),
        revision="",
        engine="",
    )
    assert read_duties(decision).charge.present() == dict.fromkeys(UNITS, 1)


@pytest.mark.parametrize(
    ("milliseconds", "written"),
    [(0, "0"), (1, "0.001"), (10_000, "10"), (12_500, "12.5"), (-90_000, "-90"), (3_600_000, "3,600")],
)
def test_milliseconds_are_written_as_seconds(milliseconds: int, written: str) -> None:
    assert amount("milliseconds", milliseconds) == written


def test_a_store_of_before_gets_the_new_columns_and_keeps_its_amounts(store_url: str) -> None:
    """The columns are taken away by hand: that is what a database looks like which an earlier version has made."""
    with closing(Store.open(store_url)) as store:
        Ledger(store).set_limit(AGENT, Budget(tokens=100))
        Ledger(store).settle(Ledger(store).reserve(AGENT, tokens=30), tokens=30)
    engine = sa.create_engine(store_url)
    with engine.begin() as connection:
        for unit in ("milliseconds", "mwh"):
            for column in ("limit", "posted", "pending"):
                connection.exec_driver_sql(f"ALTER TABLE openclaw_account DROP COLUMN {unit}_{column}")
    engine.dispose()
    with closing(Store.open(store_url, readonly=True)) as store:
        with pytest.raises(StoreError, match=r"older openclaw and has no column `openclaw_account\.\w+` yet") as caught:
            Ledger(store).accounts()
        assert "open it once with a Governance" in caught.value.hint
    with closing(Store.open(store_url)) as store:
        ledger = Ledger(store)
        assert ledger.balance(AGENT).remaining == {"tokens": 70}
        ledger.set_limit(AGENT, Budget(tokens=100, seconds=1))
        ledger.settle(ledger.reserve(AGENT, milliseconds=900), milliseconds=900)
        assert ledger.balance(AGENT).remaining == {"tokens": 70, "milliseconds": 100}
