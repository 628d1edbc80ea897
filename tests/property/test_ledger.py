"""The ledger against a model of forty lines: any order of reserving, settling, releasing and waiting."""

from __future__ import annotations

import datetime as dt
import itertools
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from openclaw.budget import Budget, Ledger, Reservation
from openclaw.budget.account import levels
from openclaw.clock import SystemClock
from openclaw.errors import BudgetExceeded
from openclaw.store import Store

ACCOUNTS = ["org/o", "org/o/workflow/a", "org/o/workflow/a/agent/x", "org/o/workflow/b"]
AMOUNTS = st.integers(0, 60)


class Clock(SystemClock):
    def __init__(self) -> None:
        self.moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self.numbers = itertools.count()

    def now(self) -> dt.datetime:
        return self.moment

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self.numbers)}"


class LedgerMachine(RuleBasedStateMachine):
    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.store = Store.open(f"sqlite:///{Path(self.folder.name) / 'ledger.db'}", clock=self.clock)
        self.ledger = Ledger(self.store)
        self.limits: dict[str, int] = {}
        self.posted = dict.fromkeys(ACCOUNTS, 0)
        self.held: dict[str, tuple[str, int, dt.datetime]] = {}  # open holds: account, amount, when they expire
        self.closed: set[str] = set()

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def pending(self, account: str) -> int:
        return sum(amount for path, amount, _ in self.held.values() if account in levels(path))

    def expire(self) -> None:
        self.held = {name: hold for name, hold in self.held.items() if hold[2] >= self.clock.moment}

    @rule(account=st.sampled_from(ACCOUNTS), limit=st.integers(0, 200))
    def limit(self, account: str, limit: int) -> None:
        self.ledger.set_limit(account, Budget(tokens=limit))
        self.limits[account] = limit

    @rule(target=reservations, account=st.sampled_from(ACCOUNTS), amount=AMOUNTS, ttl=st.integers(1, 30))
    def reserve(self, account: str, amount: int, ttl: int) -> Reservation | None:
        def fits() -> bool:
            return all(
                self.posted[path] + self.pending(path) + amount <= self.limits.get(path, 2**53)
                for path in levels(account)
            )

        if not fits():
            self.expire()
        try:
            reservation = self.ledger.reserve(account, tokens=amount, ttl_seconds=ttl)
        except BudgetExceeded:
            assert not fits()
            return None
        assert fits()
        self.held[reservation.id] = (account, amount, self.clock.moment + dt.timedelta(seconds=ttl))
        return reservation

    @rule(reservation=reservations, amount=AMOUNTS)
    def settle(self, reservation: Reservation | None, amount: int) -> None:
        if reservation is None:
            return
        self.ledger.settle(reservation, tokens=amount)
        if reservation.id not in self.closed:
            for path in levels(reservation.account):
                self.posted[path] += amount
        self.closed.add(reservation.id)
        self.held.pop(reservation.id, None)

    @rule(reservation=reservations)
    def release(self, reservation: Reservation | None) -> None:
        if reservation is not None:
            self.ledger.release(reservation)
            self.closed.add(reservation.id)
            self.held.pop(reservation.id, None)

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.clock.moment += dt.timedelta(seconds=seconds)

    @invariant()
    def agrees_with_the_model(self) -> None:
        balances = {balance.account: balance for balance in self.ledger.accounts()}
        for account in ACCOUNTS:
            if account in balances:
                assert balances[account].posted.tokens == self.posted[account]
                assert balances[account].pending.tokens == self.pending(account)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
