"""Rate limits that a policy demands: counted in the commit that lets a call pass, on each kind of store."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from openclaw import rates
from openclaw.action import Principal, Run, ToolCall
from openclaw.budget import Budget, Usage
from openclaw.decision import Obligation
from openclaw.duties import Limit
from openclaw.errors import BudgetExceeded, RateLimited
from openclaw.gate import Gate, Outcome, Permit, Refusal, Request, Waiting
from openclaw.governance import Governance
from openclaw.store import Store
from openclaw.testing import FakeClock
from tests.support.engines import Scripted

POLICY = """\
package openclaw.policies.rates

import rego.v1

allow if true

ask contains "a person looks" if input.tool.args.asked

oblige contains {"kind": "limit", "key": input.tool.name, "calls": input.tool.args.calls, "per": input.tool.args.per}

oblige contains {"kind": "limit", "key": input.tool.name, "calls": input.tool.args.also, "per": input.tool.args.per}

oblige contains {"kind": "limit", "key": "all", "calls": input.tool.args.all, "per": 10}
"""

PRINCIPAL = Principal(agent="clerk", workflow="desk")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "rates.rego").write_text(POLICY)
    return folder


@pytest.fixture
def governance(store_url: str, policies: Path, tmp_path: Path, clock: FakeClock) -> Iterator[Governance]:
    with Governance.open(store_url, policies=policies, key=tmp_path / "log.key", clock=clock) as opened:
        yield opened


def request(name: str = "mail", key: str | None = None, **args: object) -> Request:
    action = ToolCall(principal=PRINCIPAL, name=name, args={"per": "minute", **args}, call_id=key or "")
    return Request(action=action, run=Run(id="run-1"), hold=Usage(calls=1), key=key, can_wait=True)


def passes(gate: Gate, asked: Request) -> bool:
    admission = gate.admit(asked)
    if isinstance(admission, Permit):
        gate.finish(admission, Outcome(status="done", usage=Usage(calls=1)))
        return True
    assert isinstance(admission, Refusal)
    assert isinstance(admission.error, RateLimited), admission.error
    return False


def rows(governance: Governance) -> int:
    with governance._store.read() as connection:
        return connection.execute(sa.text("SELECT count(*) FROM openclaw_rate")).scalar_one()


def test_what_is_over_the_limit_is_refused_and_says_when_to_come_again(
    governance: Governance, clock: FakeClock
) -> None:
    gate = governance.gate
    assert passes(gate, request(calls=2))
    clock.advance(20)
    assert passes(gate, request(calls=2))
    clock.advance(0.5)
    refusal = gate.admit(request(calls=2))
    assert isinstance(refusal, Refusal)
    assert isinstance(refusal.error, RateLimited)
    assert refusal.error.source == "policy"
    assert str(refusal.error) == "the limit of 2 calls per minute for `mail` is reached: try again in 40 s"
    assert (refusal.error.calls, refusal.error.seconds, refusal.error.retry_after) == (2, 60, 40)
    entry = governance.audit.entry(refusal.error.seq or 0)
    assert (entry.effect, entry.body["refused_by"], entry.body["retry_after_s"]) == ("deny", "policy", 40)
    assert governance.ledger.balance(PRINCIPAL.account).pending == Usage()
    clock.advance(39.5)
    assert passes(gate, request(calls=2))
    assert not passes(gate, request(calls=2))


def test_other_keys_and_other_spans_are_counted_by_themselves(governance: Governance) -> None:
    gate = governance.gate
    assert passes(gate, request(calls=1))
    assert passes(gate, request("call", calls=1))
    assert passes(gate, request(calls=1, per="hour"))
    assert not passes(gate, request(calls=1))


def test_two_limits_on_one_count_take_the_lower_and_count_once(governance: Governance) -> None:
    gate = governance.gate
    assert passes(gate, request(calls=3, also=2))
    assert passes(gate, request(calls=3, also=2))
    assert not passes(gate, request(calls=3, also=2))
    assert passes(gate, request(calls=3))


def test_a_refused_call_counts_nowhere(governance: Governance) -> None:
    gate = governance.gate
    assert passes(gate, request(all=1))
    for _ in range(3):
        assert not passes(gate, request(calls=1, all=1))
    assert passes(gate, request(calls=1)), "counted for `mail` although `all` had refused it"
    governance.ledger.set_limit("org/default", Budget(calls=0))
    refusal = gate.admit(request("call", calls=1))
    assert isinstance(refusal, Refusal)
    assert isinstance(refusal.error, BudgetExceeded)
    governance.ledger.set_limit("org/default", Budget(calls=10))
    assert passes(gate, request("call", calls=1)), "counted although the budget had refused it"


def test_no_calls_at_all_never_pass(governance: Governance) -> None:
    refusal = governance.gate.admit(request(calls=0))
    assert isinstance(refusal, Refusal)
    assert refusal.error.message == "the limit of 0 calls per minute for `mail` is reached"


def test_a_limit_that_is_reached_leaves_the_approval_to_be_used_later(governance: Governance, clock: FakeClock) -> None:
    asked = request(calls=1, key="call-1", asked=True)
    waiting = governance.gate.admit(asked)
    assert isinstance(waiting, Waiting)
    governance.approvals.approve(waiting.approval, by="ann")
    assert passes(governance.gate, request(calls=1))
    assert not passes(governance.gate, asked)
    assert governance.approvals.get(waiting.approval).state == "approved"


def test_what_is_past_counting_is_forgotten(governance: Governance, clock: FakeClock) -> None:
    for number in range(30):
        assert passes(governance.gate, request(f"tool-{number}", calls=5))
    assert rows(governance) == 30
    clock.advance(61)
    for _ in range(3):
        assert passes(governance.gate, request(calls=5))
    assert rows(governance) == 3


def test_a_raised_and_a_lowered_limit_hold_at_once(governance: Governance, clock: FakeClock) -> None:
    gate = governance.gate
    assert [passes(gate, request(calls=3)) for _ in range(4)] == [True, True, True, False]
    assert not passes(gate, request(calls=2))
    assert [passes(gate, request(calls=5)) for _ in range(3)] == [True, True, False]
    clock.advance(60)
    assert [passes(gate, request(calls=2)) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"calls": -1}, 'expected "calls", a whole number from 0'),
        ({"calls": 1.5}, 'expected "calls", a whole number from 0'),
        ({"calls": True}, 'expected "calls", a whole number from 0'),
        ({"calls": 1, "per": "fortnight"}, 'expected "per", one of second, minute, hour, day, or seconds'),
        ({"calls": 1, "per": 0}, 'expected "per", a whole number from 1'),
        ({"calls": 1, "per": True}, 'expected "per", a whole number from 1'),
    ],
)
def test_a_limit_that_says_nothing_is_a_refusal(governance: Governance, args: dict[str, object], reason: str) -> None:
    refusal = governance.gate.admit(request(**args))
    assert isinstance(refusal, Refusal)
    assert refusal.error.message.startswith(f"the obligation `limit` is malformed: {reason}")


def demanding() -> Scripted:
    return Scripted(Obligation(kind="limit", key="mail", calls=25, per="hour"))  # type: ignore[call-arg]


def work(url: str, key: Path, barrier: threading.Barrier, passed: object) -> None:
    """One process of several that share a limit."""
    with Governance.open(url, policies=demanding(), key=key) as governance:

        def calls() -> None:
            barrier.wait(60)
            for _ in range(10):
                if passes(governance.gate, request()):
                    passed.put(1)  # type: ignore[attr-defined]

        threads = [threading.Thread(target=calls) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_eight_threads_in_two_processes_never_exceed_it(store_url: str, tmp_path: Path) -> None:
    key = tmp_path / "log.key"
    Governance.open(store_url, policies=demanding(), key=key).close()
    spawn = multiprocessing.get_context("spawn")
    barrier, passed = spawn.Barrier(16), spawn.Queue()
    workers = [spawn.Process(target=work, args=(store_url, key, barrier, passed)) for _ in range(2)]
    for worker in workers:
        worker.start()
    count = sum(passed.get(timeout=90) for _ in range(25))
    for worker in workers:
        worker.join(90)
        assert worker.exitcode == 0
    assert (count, passed.empty()) == (25, True)


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, FakeClock]]:
    clock = FakeClock()
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('rates') / 'openclaw.db'}", clock=clock)
    yield store, clock
    store.close()


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 4)), max_size=30))
def test_no_span_ever_holds_more_than_the_limit(
    counting: tuple[Store, FakeClock], steps: list[tuple[float, int]]
) -> None:
    """Against a plain list: a call passes exactly if fewer than `calls` have passed in the span before it."""
    (store, clock), passed = counting, list[dt.datetime]()
    key, span = clock.new_id("key"), dt.timedelta(seconds=60)
    for wait, calls in steps:
        clock.advance(wait)
        fits = sum(clock.now() - moment < span for moment in passed) < calls
        limit = Limit(key, calls, 60)
        assert store.run(lambda transaction, limit=limit: rates.take(transaction, [limit]) is None) == fits
        if fits:
            passed.append(clock.now())
