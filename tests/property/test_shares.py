"""Shares over a day of workflows that ask at random, greedily or steadily: nobody starves, nothing exceeds the limit."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from openclaw.budget import Budget, Ledger, Reservation
from openclaw.errors import BudgetExceeded
from openclaw.store import Store
from openclaw.testing import FakeClock

ORG = "org/default"
NAMES = ("a", "b", "c", "d")  # `d` has no priority: it is of the rest
LIMIT = 240
DAY = 24 * 3600

priorities = st.lists(st.integers(1, 9), min_size=3, max_size=3)


def path(name: str) -> str:
    return f"{ORG}/workflow/{name}"


@contextmanager
def day(given_priorities: list[int]) -> Iterator[tuple[Ledger, FakeClock]]:
    """A ledger at midnight, with a limit of the day and these priorities of a, b and c."""
    clock = FakeClock(dt.datetime(2026, 11, 23, tzinfo=dt.UTC))
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{Path(folder) / 'shares.db'}", clock=clock)
        try:
            ledger = Ledger(store)
            ledger.set_limit(ORG, Budget(tokens=LIMIT, window="day"))
            for name, priority in zip(NAMES, given_priorities, strict=False):
                ledger.set_priority(path(name), priority)
            yield ledger, clock
        finally:
            store.close()


def ask(ledger: Ledger, name: str, tokens: int) -> Reservation | None:
    try:
        # For the whole day: a hold that expires comes back when somebody is refused, and would change what there is.
        return ledger.reserve(path(name), tokens=tokens, ttl_seconds=2 * DAY)
    except BudgetExceeded:
        return None


def spent(ledger: Ledger) -> int:
    return LIMIT - ledger.balance(ORG, "day").remaining["tokens"]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from(NAMES), st.integers(1, 90)),
        st.tuples(st.just("settle"), st.integers(0, 20), st.integers(0, 100)),
        st.tuples(st.just("wait"), st.just(0), st.integers(1, 5 * 3600)),
    ),
    max_size=40,
)


@settings(max_examples=40)
@given(priorities, steps)
def test_nothing_exceeds_the_limit_and_all_that_is_kept_is_there(
    given_priorities: list[int], todo: list[tuple[str, object, int]]
) -> None:
    with day(given_priorities) as (ledger, clock):
        held: list[Reservation] = []
        left = DAY - 1
        for what, who, number in todo:
            if what == "take":
                before = {it.account: it for it in ledger.shares(ORG)}
                share = before.get(path(str(who)), before[ORG])
                room = LIMIT - spent(ledger) - sum(it.kept for it in before.values()) + share.kept
                taken = ask(ledger, str(who), number)
                assert (taken is not None) == (number <= room)  # exactly what the rule says, no less and no more
                assert room >= share.kept
                held += [taken] if taken is not None else []
            elif what == "settle" and held:
                one = held.pop(int(str(who)) % len(held))
                ledger.settle(one, tokens=one.held.tokens * number // 100)
            elif what == "wait":
                clock.advance(min(number, left))
                left -= min(number, left)
            assert spent(ledger) <= LIMIT
            assert sum(it.kept for it in ledger.shares(ORG)) <= LIMIT - spent(ledger)


@settings(max_examples=8)
@given(
    priorities,
    st.sampled_from(NAMES[:3]),
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(5, 40)), min_size=24, max_size=24),
)
def test_who_asks_at_an_even_pace_gets_its_whole_share_whatever_the_others_do(
    given_priorities: list[int], steady: str, others: list[tuple[str, int]]
) -> None:
    with day(given_priorities) as (ledger, clock):
        share = next(it.share for it in ledger.shares(ORG) if it.account == path(steady))
        got = 0
        for hour, (other, amount) in enumerate(others):
            due = share * (hour + 1) // 24 - got
            if due:
                taken = ask(ledger, steady, due)
                assert taken is not None, "starved below its share"
                ledger.settle(taken, tokens=due)
                got += due
            if other != steady:
                while ask(ledger, other, amount) is not None:
                    pass
            clock.advance(3600)
        assert got == share


@settings(max_examples=8)
@given(priorities, st.sampled_from(NAMES[:3]), st.integers(0, 23), st.integers(5, 20))
def test_who_comes_late_gets_the_part_of_its_share_that_the_rest_of_the_day_stands_for(
    given_priorities: list[int], late: str, hours: int, step: int
) -> None:
    with day(given_priorities) as (ledger, clock):
        share = next(it.share for it in ledger.shares(ORG) if it.account == path(late))
        for _ in range(hours):
            for greedy in set(NAMES) - {late}:
                while ask(ledger, greedy, step) is not None:
                    pass
            clock.advance(3600)
        for greedy in set(NAMES) - {late}:
            while ask(ledger, greedy, step) is not None:
                pass
        due = share - share * hours // 24
        assert not due or ask(ledger, late, due) is not None


@settings(max_examples=8)
@given(priorities, st.sampled_from(NAMES), st.integers(1, 24))
def test_idle_shares_are_lent_as_the_day_passes(given_priorities: list[int], busy: str, hours: int) -> None:
    with day(given_priorities) as (ledger, clock):
        shares = {it.account: it.share for it in ledger.shares(ORG)}
        own = shares.get(path(busy), shares[ORG])
        idle = [share for account, share in shares.items() if account != (path(busy) if path(busy) in shares else ORG)]
        clock.advance(hours * 3600 - 1)
        lent = sum(share * (hours * 3600 - 1) // DAY for share in idle)
        got = 0
        while (taken := ask(ledger, busy, 1)) is not None:
            got += taken.held.tokens
        assert got == own + lent + LIMIT - sum(shares.values())  # rounding is nobody's share
