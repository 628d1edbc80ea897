"""What becomes of calls whose process is gone, and of calls that wait by themselves."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw import workers
from openclaw.action import Principal, Run, ToolCall
from openclaw.audit import Entry
from openclaw.budget import CALL_SECONDS, Budget, Reservation, Usage
from openclaw.budget.books import check_books
from openclaw.decision import Obligation
from openclaw.errors import BudgetExceeded
from openclaw.gate import Admission, Gate, Outcome, Permit, Refusal, Replayed, Request, Waiting
from openclaw.governance import Governance
from openclaw.policy import PolicyEngine
from openclaw.testing import FakeClock
from openclaw.workers import LEASE, Place, has_ended, this_place
from tests.support.engines import Scripted

PRINCIPAL = Principal(agent="clerk", workflow="desk")
POLICY = 'package openclaw.policies.p\n\nimport rego.v1\n\nallow if true\n\nask contains "look" if input.tool.name == "risky"\n'


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Desk:
    """Governances that share a store, as processes would, and one thread of one workflow."""

    def __init__(self, url: str, folder: Path, clock: FakeClock) -> None:
        self._url, self._folder, self._clock = url, folder, clock
        self._opened: list[Governance] = []
        (folder / "policies").mkdir()
        (folder / "policies" / "p.rego").write_text(POLICY)
        gate = self.open().gate
        self.run = gate.open_run(workflow="desk", thread="t", resumed=False)
        gate.flush()

    def open(self, policies: PolicyEngine | None = None) -> Governance:
        opened = Governance.open(
            self._url, policies=policies or self._folder / "policies", key=self._folder / "key", clock=self._clock
        )
        self._opened.append(opened)
        return opened

    def request(self, key: str = "k", name: str = "note", run: Run | None = None) -> Request:
        action = ToolCall(principal=PRINCIPAL, name=name, args={"x": 1}, call_id=key)
        return Request(action=action, run=run or self.run, hold=Usage(calls=1), key=key, can_wait=True)

    def close(self) -> None:
        for opened in self._opened:
            opened.close()


@pytest.fixture
def desk(store_url: str, tmp_path: Path, clock: FakeClock) -> Iterator[Desk]:
    made = Desk(store_url, tmp_path, clock)
    yield made
    made.close()


def permitted(admission: Admission) -> Permit:
    assert isinstance(admission, Permit), admission
    return admission


def refused(admission: Admission) -> Refusal:
    assert isinstance(admission, Refusal), admission
    return admission


def outcomes(governance: Governance) -> list[Entry]:
    return governance.audit.entries(kind="outcome")


def abandoned(gate: Gate) -> list[int]:
    return [found.seq for found in gate.abandoned(workflow="desk", thread="t")]


# -- Workers that are gone ---------------------------------------------------------------------------------------------


def test_what_a_living_worker_runs_is_left_alone(desk: Desk, clock: FakeClock) -> None:
    first, second = desk.open(), desk.open()
    permit = permitted(first.gate.admit(desk.request()))
    assert abandoned(second.gate) == []
    told = refused(second.gate.admit(desk.request())).error
    assert f"its outcome is unknown (entry {permit.seq}): it may still be running" in told.message
    assert abandoned(first.gate) == [], "nobody abandons what it runs itself"
    first.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1), replay=b"x"))
    first.gate.flush()
    assert second.gate.admit(desk.request()) == Replayed(permit.seq, b"x")


def test_a_worker_that_beats_lives_and_one_that_does_not_is_taken_for_dead(desk: Desk, clock: FakeClock) -> None:
    first, second = desk.open(), desk.open()
    permit = permitted(first.gate.admit(desk.request()))
    for _ in range(5):
        clock.advance(LEASE.total_seconds() * 0.6)
        assert first.gate._worker.beat()
    assert abandoned(second.gate) == []
    clock.advance(LEASE.total_seconds() + 1)
    assert abandoned(second.gate) == [permit.seq]
    assert abandoned(first.gate) == []


def test_a_beat_renews_what_running_actions_hold_and_a_crashed_workers_hold_comes_back(
    desk: Desk, clock: FakeClock
) -> None:
    first, second = desk.open(), desk.open()
    account = "org/default"
    second.ledger.set_limit(account, Budget(calls=1))
    permit = permitted(first.gate.admit(desk.request()))
    for _ in range(5):
        clock.advance(CALL_SECONDS * 0.6)
        assert first.gate._worker.beat()
    with pytest.raises(BudgetExceeded):
        second.ledger.reserve(account, calls=1)  # the call runs for longer than any hold lasts, and keeps its own
    clock.advance(CALL_SECONDS + 1)  # no beat any more
    held = second.ledger.reserve(account, calls=1)
    second.ledger.release(held)
    first.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1)))  # it lived all the same: charged in full
    first.gate.flush()
    balance = second.ledger.balance(account)
    assert (balance.posted.calls, balance.pending.calls) == (1, 0)
    assert check_books(second._store).holds


def test_what_a_running_call_holds_in_addition_is_renewed_with_it_and_comes_back_without(
    desk: Desk, clock: FakeClock
) -> None:
    first, second = desk.open(), desk.open()
    account = "org/default"
    second.ledger.set_limit(account, Budget(calls=2))
    permit = permitted(first.gate.admit(desk.request()))
    more = first.gate.extensions.more(permit, Usage(calls=1), lambda _: None, {})
    assert isinstance(more, Reservation)
    for _ in range(5):
        clock.advance(CALL_SECONDS * 0.6)
        assert first.gate._worker.beat()
    with pytest.raises(BudgetExceeded, match="0 calls left"):
        second.ledger.reserve(account, calls=1)
    clock.advance(CALL_SECONDS + 1)  # no beat any more: both holds come back
    second.ledger.release(second.ledger.reserve(account, calls=2))
    first.gate.finish(permit, Outcome(status="done", usage=Usage(calls=2), extra=(more,)))
    first.gate.flush()
    balance = second.ledger.balance(account)
    assert (balance.posted.calls, balance.pending.calls) == (2, 0)
    assert check_books(second._store).holds


def test_each_new_action_is_a_beat(desk: Desk, clock: FakeClock) -> None:
    first, second = desk.open(), desk.open()
    for number in range(5):
        permitted(first.gate.admit(desk.request(f"k{number}")))
        clock.advance(LEASE.total_seconds() * 0.6)
    assert abandoned(second.gate) == []


def test_a_worker_that_runs_nothing_need_not_beat(desk: Desk) -> None:
    governance = desk.open()
    assert not governance.gate._worker.beat()
    permit = permitted(governance.gate.admit(desk.request()))
    assert governance.gate._worker.beat()
    governance.gate.finish(permit, Outcome(status="done"))
    governance.gate.flush()
    assert not governance.gate._worker.beat()


def test_what_is_left_running_when_a_governance_closes_is_abandoned_at_once(desk: Desk) -> None:
    first, second = desk.open(), desk.open()
    permit = permitted(first.gate.admit(desk.request()))
    first.close()
    assert abandoned(second.gate) == [permit.seq]


def test_only_the_thread_that_is_asked_about_counts(desk: Desk, clock: FakeClock) -> None:
    first, second = desk.open(), desk.open()
    other = first.gate.open_run(workflow="desk", thread="u", resumed=False)
    permitted(first.gate.admit(desk.request("k1", run=other)))
    first.close()
    assert abandoned(second.gate) == []
    assert len(second.gate.abandoned(workflow="desk", thread="u")) == 1
    assert second.gate.abandoned(workflow="other", thread="u") == []


def test_an_abandoned_call_is_closed_as_unknown_once_and_never_made_again(desk: Desk) -> None:
    first, second = desk.open(), desk.open()
    permit = permitted(first.gate.admit(desk.request()))
    first.close()
    found = second.gate.abandoned(workflow="desk", thread="t")
    second.gate.conclude(found, {})
    second.gate.conclude(found, {})
    [outcome] = outcomes(second)
    assert (outcome.tool, outcome.call_id, outcome.run) == ("note", "k", desk.run.id)
    assert outcome.body["status"] == "unknown"
    assert second.audit.open_actions() == []
    balance = second.ledger.balance(PRINCIPAL.account)
    assert (balance.posted, balance.pending) == (Usage(calls=1), Usage())
    size = second.audit.size()
    for _ in range(2):
        told = refused(second.gate.admit(desk.request())).error
        assert told.message.endswith(f"its outcome is unknown (entry {permit.seq}): it is not made again")
    assert second.audit.size() == size, "told again, recorded once"


def test_who_asks_for_a_call_of_a_dead_worker_closes_it(desk: Desk, clock: FakeClock) -> None:
    """A run that is resumed before its worker is known to be dead is told so, and closes it when it asks again."""
    first, second = desk.open(), desk.open()
    permitted(first.gate.admit(desk.request()))
    assert "may still be running" in refused(second.gate.admit(desk.request())).error.message
    clock.advance(LEASE.total_seconds() + 1)
    assert "it is not made again" in refused(second.gate.admit(desk.request())).error.message
    assert [outcome.body["status"] for outcome in outcomes(second)] == ["unknown"]


def test_a_known_result_closes_a_call_as_done(desk: Desk) -> None:
    first, second = desk.open(), desk.open()
    permitted(first.gate.admit(desk.request()))
    first.close()
    second.gate.conclude(second.gate.abandoned(workflow="desk", thread="t"), {"k": "the result", "other": 5})
    [outcome] = outcomes(second)
    assert (outcome.body["status"], outcome.body["result"]["bytes"]) == ("done", 12)  # type: ignore[index, call-overload]
    assert isinstance(second.gate.admit(desk.request()), Replayed)


def test_an_outcome_that_comes_after_all_is_recorded_as_late_and_posted(desk: Desk, clock: FakeClock) -> None:
    first, second = desk.open(), desk.open()
    permit = permitted(first.gate.admit(desk.request()))
    clock.advance(LEASE.total_seconds() + 1)
    second.gate.conclude(second.gate.abandoned(workflow="desk", thread="t"), {})
    first.gate.finish(permit, Outcome(status="done", usage=Usage(calls=3), result="late", replay=b"r"))
    first.gate.finish(permit, Outcome(status="done", usage=Usage(calls=3), result="late", replay=b"r"))
    first.gate.flush()
    assert [outcome.body["status"] for outcome in outcomes(second)] == ["unknown", "done"]
    assert outcomes(second)[-1].body["late"] is True
    assert second.ledger.balance(PRINCIPAL.account).posted == Usage(calls=3)
    assert second.gate.admit(desk.request()) == Replayed(permit.seq, b"r")


# -- Processes ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not this_place().machine, reason="this machine cannot tell its processes apart")
def test_a_process_of_this_machine_is_known_to_have_ended() -> None:
    here = this_place()
    assert not has_ended(here)
    assert has_ended(Place(here.machine, here.pid, here.born + 1)), "the number was given to another process since"
    program = "from openclaw.workers import this_place as here; h = here(); print(h.machine, h.pid, h.born, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        machine, pid, born = process.stdout.readline().split()
        there = Place(machine, int(pid), int(born))
        assert there.machine == here.machine
        assert not has_ended(there)
        process.kill()
        process.wait(30)
        assert has_ended(there)
        assert not has_ended(Place("another machine", there.pid, there.born))
        assert not has_ended(Place("", there.pid, there.born))


def test_the_words_of_workers_that_are_long_dead_are_removed(desk: Desk, clock: FakeClock) -> None:
    first = desk.open()
    permitted(first.gate.admit(desk.request("k1")))
    clock.advance(LEASE.total_seconds() + 1)
    second = desk.open()
    permitted(second.gate.admit(desk.request("k2")))
    with second._store.read() as connection:
        left = connection.exec_driver_sql("SELECT id FROM openclaw_worker").scalars().all()
    assert left == [second.gate._worker.id]
    assert abandoned(second.gate) != [], "who is not written down is gone"


def test_where_processes_cannot_be_told_apart_the_time_alone_decides(
    desk: Desk, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_machine", lambda: "")
    first, second = desk.open(), desk.open()
    permit = permitted(first.gate.admit(desk.request()))
    assert abandoned(second.gate) == []
    clock.advance(LEASE.total_seconds() + 1)
    assert abandoned(second.gate) == [permit.seq]


# -- Calls that wait by themselves -------------------------------------------------------------------------------------


def approved(desk: Desk, governance: Governance) -> Permit:
    waiting = governance.gate.admit(desk.request(name="risky"))
    assert isinstance(waiting, Waiting)
    governance.approvals.approve(waiting.approval, by="ann")
    return permitted(governance.gate.admit(desk.request(name="risky")))


def test_a_suspended_call_goes_on_under_its_approval(desk: Desk) -> None:
    first, second = desk.open(), desk.open()
    permit = approved(desk, first)
    for gate in (second.gate, first.gate):
        permit_gate = first.gate if gate is second.gate else second.gate
        permit_gate.finish(permit, Outcome(status="suspended", usage=Usage(calls=1)))
        permit_gate.flush()
        permit = permitted(gate.admit(desk.request(name="risky")))
        told = refused(permit_gate.admit(desk.request(name="risky"))).error
        assert "may still be running" in told.message, "exactly once at a time"
    first.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1), replay=b"x"))
    assert isinstance(first.gate.admit(desk.request(name="risky")), Replayed)
    assert [outcome.body["status"] for outcome in outcomes(first)] == ["suspended", "suspended", "done"]
    assert first.ledger.balance(PRINCIPAL.account).posted == Usage(calls=1), "one call, however often it waited"


def test_a_suspended_call_goes_on_in_one_of_many_threads(desk: Desk) -> None:
    governance = desk.open()
    permit = approved(desk, governance)
    governance.gate.finish(permit, Outcome(status="suspended"))
    admissions: list[Admission] = []
    threads = [
        threading.Thread(target=lambda: admissions.append(governance.gate.admit(desk.request(name="risky"))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(admission, Permit) for admission in admissions) == 1


def test_a_call_that_failed_after_its_approval_does_not_go_on(desk: Desk) -> None:
    governance = desk.open()
    governance.gate.finish(approved(desk, governance), Outcome(status="failed", error="ValueError: no"))
    governance.gate.flush()
    told = refused(governance.gate.admit(desk.request(name="risky"))).error
    assert told.message == "its approval has been used already"


def test_a_suspended_call_is_counted_and_charged_once(desk: Desk) -> None:
    limit = Obligation.model_validate({"kind": "limit", "key": "all", "calls": 1, "per": "hour"})
    charge = Obligation.model_validate({"kind": "charge", "microusd": 5})
    governance = desk.open(Scripted(limit, charge))
    for status in ("suspended", "suspended", "done"):
        permit = permitted(governance.gate.admit(desk.request()))
        governance.gate.finish(permit, Outcome(status=status, usage=Usage(calls=1)))  # type: ignore[arg-type]
        governance.gate.flush()
    assert governance.ledger.balance(PRINCIPAL.account).posted == Usage(calls=1, microusd=5)
    assert "limit" in refused(governance.gate.admit(desk.request("other"))).error.message
