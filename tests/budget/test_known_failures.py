"""Known failures of other budget systems, each reproduced by name, and shown not to happen here. Both stores.

Those of model calls need a graph. Client abort charged 0 and absurd limits: ``tests/graph/test_models.py``. Unknown price
unlimited: ``tests/graph/test_prices.py``. Cache tokens counted twice, a stream with input_tokens = 0:
``tests/graph/test_streams.py``. A huge max_tokens that starves the rest, and every shape of work:
``tests/graph/test_budget_shapes.py``.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from openclaw.budget import Budget, Ledger, Usage
from openclaw.errors import BudgetExceeded
from openclaw.store import Store
from openclaw.testing import FakeClock

ORG = "org/default"
FLOW = f"{ORG}/workflow/returns"
AGENT = f"{FLOW}/agent/refunds"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def at_once(count: int, act: Callable[[int], object]) -> int:
    """Run ``act`` in as many threads, which begin together; how many were admitted."""
    barrier = threading.Barrier(count)

    def one(number: int) -> bool:
        barrier.wait(60)
        try:
            act(number)
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(count) as pool:
        return sum(pool.map(one, range(count)))


def test_n_parallel_calls_do_not_pass_one_check(ledger: Ledger) -> None:
    ledger.set_limit(AGENT, Budget(tokens=100))
    assert at_once(16, lambda _: ledger.reserve(AGENT, tokens=60)) == 1
    assert ledger.balance(AGENT).pending.tokens == 60


def test_a_first_seen_principal_is_one_account_however_many_see_it_first(ledger: Ledger) -> None:
    ledger.set_limit(ORG, Budget(calls=5))
    assert at_once(16, lambda _: ledger.reserve(AGENT, calls=1)) == 5
    rows = [balance for balance in ledger.accounts() if balance.account == AGENT]
    assert [balance.pending.calls for balance in rows] == [5]


def test_siblings_that_fan_out_do_not_overshoot_their_parent(ledger: Ledger) -> None:
    ledger.set_limit(FLOW, Budget(tokens=100))
    assert at_once(16, lambda number: ledger.reserve(f"{FLOW}/agent/child-{number}", tokens=30)) == 3
    children = [balance for balance in ledger.accounts(FLOW) if balance.account != FLOW]
    assert sum(balance.pending.tokens for balance in children) == ledger.balance(FLOW).pending.tokens == 90


def test_a_leaked_hold_is_no_phantom_denial_for_longer_than_it_lasts(ledger: Ledger, clock: FakeClock) -> None:
    ledger.set_limit(AGENT, Budget(tokens=100))
    ledger.reserve(AGENT, tokens=100, ttl_seconds=30)  # its worker is never heard of again
    with pytest.raises(BudgetExceeded):
        ledger.reserve(AGENT, tokens=100)
    clock.advance(31)
    ledger.reserve(AGENT, tokens=100)


def test_a_crash_in_mid_stream_does_not_pin_the_counter(ledger: Ledger, clock: FakeClock) -> None:
    lost = ledger.reserve(AGENT, tokens=100, ttl_seconds=30)
    clock.advance(31)
    ledger.set_limit(AGENT, Budget(tokens=1000))
    held = ledger.reserve(AGENT, tokens=950)  # fits only without the lost hold, which has expired
    ledger.settle(lost, tokens=40)  # and what had been streamed is charged when it becomes known
    ledger.settle(held, tokens=950)
    balance = ledger.balance(AGENT)
    assert (balance.posted.tokens, balance.pending.tokens) == (990, 0)


def test_a_new_window_clears_nothing_before_it_commits(ledger: Ledger, clock: FakeClock) -> None:
    """The transaction that would open the new day is refused: yesterday's count and the total are as they were."""
    ledger.set_limit(ORG, Budget(tokens=10))
    ledger.set_limit(AGENT, Budget(tokens=100, window="day"))
    ledger.settle(ledger.reserve(AGENT, tokens=10), tokens=10)
    clock.advance(86_400)
    with pytest.raises(BudgetExceeded, match="0 tokens left"):
        ledger.reserve(AGENT, tokens=1)
    assert ledger.balance(AGENT).posted.tokens == 10
    assert ledger.balance(ORG).posted.tokens == 10


def test_a_refused_cost_does_not_vanish_and_does_not_count(ledger: Ledger) -> None:
    ledger.set_limit(AGENT, Budget(usd="1"))  # type: ignore[arg-type]
    held = ledger.reserve(AGENT, microusd=900_000)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(AGENT, microusd=200_000)
    ledger.settle(held, microusd=1_200_000)  # it cost more than was held: recorded in full, and it blocks
    assert ledger.balance(AGENT).posted == Usage(microusd=1_200_000)
    with pytest.raises(BudgetExceeded, match=r"overdrawn by \$0\.200000"):
        ledger.reserve(AGENT)


def test_a_clock_that_is_set_back_opens_no_window_a_second_time(ledger: Ledger, clock: FakeClock) -> None:
    ledger.set_limit(AGENT, Budget(tokens=100, window="day"))
    today = clock.now()
    ledger.settle(ledger.reserve(AGENT, tokens=100), tokens=100)
    for moment in (today - dt.timedelta(days=40), today):
        clock._now = moment
        assert ledger.remaining(AGENT) == {"tokens": 0}
        with pytest.raises(BudgetExceeded, match="0 tokens left in this day"):
            ledger.reserve(AGENT, tokens=1)
    clock.advance(86_400)
    ledger.reserve(AGENT, tokens=100)


LIMIT = 4_000
EACH, USED = 70, 50
ROUNDS = 10


def spend(url: str, barrier: Any, results: Any) -> None:
    """One process of several that spend from one account by eight threads each."""
    store = Store.open(url)
    ledger = Ledger(store)
    admitted: list[int] = []

    def calls() -> None:
        barrier.wait(120)
        for _ in range(ROUNDS):
            try:
                held = ledger.reserve(AGENT, tokens=EACH)
            except BudgetExceeded:
                continue
            ledger.settle(held, tokens=USED)
            admitted.append(USED)

    threads = [threading.Thread(target=calls) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    results.put(sum(admitted))


def test_eight_processes_of_eight_threads_spend_nothing_over_and_lose_nothing(store_url: str) -> None:
    store = Store.open(store_url)
    ledger = Ledger(store)
    ledger.set_limit(FLOW, Budget(tokens=LIMIT))
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(64), spawn.Queue()
    workers = [spawn.Process(target=spend, args=(store_url, barrier, results)) for _ in range(8)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    spent = sum(results.get(timeout=240) for _ in workers)
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    took = time.perf_counter() - began
    for account in (ORG, FLOW, AGENT):
        balance = ledger.balance(account)
        assert (balance.posted.tokens, balance.pending.tokens) == (spent, 0)
    assert LIMIT - EACH < spent <= LIMIT
    store.close()
    print(
        f"{8 * 8 * ROUNDS} attempts in {took:.1f} s with the start of 8 processes: {8 * 8 * ROUNDS / took:,.0f} a second"
    )
