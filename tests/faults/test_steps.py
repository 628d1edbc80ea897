"""SIGKILL at every numbered step of the gate, on both stores: no action without a record, none twice, nothing lost.

``OPENCLAW_KILLS`` is the number of kills of the slow test; every step is hit before any is hit again.
"""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from openclaw.budget import Budget, Usage
from openclaw.budget.ledger import HOLD_SECONDS
from openclaw.gate import Outcome, Permit, Refusal, Replayed
from openclaw.governance import Governance
from openclaw.testing import FakeClock
from tests.faults.steps import CALLS, act, engine, request

PROJECT = Path(__file__).parents[2]
KILLS = int(os.environ.get("OPENCLAW_KILLS", "1000"))
POLICY = """package openclaw.policies.desk

import rego.v1

allow if input.tool.name in {"plain", "failing", "async", "kept", "asked", "lifted"}

deny contains "held" if {
	input.tool.name == "lifted"
	not input.exception
}

ask contains "a person must agree" if input.tool.name == "asked"
"""
STAGES = {
    *(
        f"{when} {what}"
        for when in ("before", "after")
        for what in ("look", "decide", "BEGIN", "pass", "reserve", "entry")
    ),
    *(f"{when} {what}" for when in ("before", "after") for what in ("COMMIT", "settle", "post", "claim")),
    *(f"{when} {what}" for when in ("before", "after") for what in ("cover", "except", "UPDATE openclaw_exception")),
    *(f"{when} INSERT openclaw_exception_use" for when in ("before", "after")),
    *(f"{when} INSERT {table}" for when in ("before", "after") for table in ("openclaw_entry", "openclaw_action")),
    *("waiting", "answered", "acted", "finished"),
}
"""What every enumeration of the steps must hold."""


@dataclass
class Killer:
    """The program that forks and kills, and what it has done."""

    url: str
    folder: Path
    process: subprocess.Popen[str]
    hit: collections.Counter[str] = field(default_factory=collections.Counter)

    def kill(self, number: int, step: int | str) -> str:
        """Run process ``number`` until its ``step``-th step; the name of the step that it was killed at."""
        said, code = self._run(number, step)
        assert code == -signal.SIGKILL, f"process {number} was not killed at step {step}: {said}"
        self.hit[said.partition(" ")[2]] += 1
        return said

    def count(self, number: int) -> int:
        """Let process ``number`` live; how many steps it takes."""
        said, code = self._run(number, 0)
        assert code == 0, said
        return int(said.split()[0])

    def _run(self, number: int, step: int | str) -> tuple[str, int]:
        stdin, stdout = (cast_io(it) for it in (self.process.stdin, self.process.stdout))
        stdin.write(f"{self.url} {self.folder} {number} {step}\n")
        stdin.flush()
        said = stdout.readline().strip()
        return said, int(stdout.readline())


def cast_io(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@contextlib.contextmanager
def killer(url: str, folder: Path) -> Iterator[Killer]:
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "desk.rego").write_text(POLICY)
    command = [sys.executable, "-m", "tests.faults.steps"]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Killer(url, folder, process)


def effects(folder: Path) -> collections.Counter[str]:
    path = folder / "effects"
    return collections.Counter(path.read_text().splitlines() if path.exists() else [])


def check(governance: Governance, folder: Path, number: int) -> set[str]:
    """What must hold of a process as soon as it is dead; the calls that it left open."""
    [run] = {it.run for it in governance.audit.entries(agent=f"clerk-{number}", kind="decision")} or {""}
    entries = governance.audit.entries(run=run) if run else []
    allowed = {it.call_id for it in entries if it.kind == "decision" and it.effect == "allow"}
    ended = {it.call_id for it in entries if it.kind == "outcome"}
    done = {name: times for name, times in effects(folder).items() if name.startswith(f"{number}-")}
    opened = {it.call_id for it in governance.audit.open_actions() if it.run == run}
    assert set(done) <= allowed, "an action ran without a record"
    assert set(done.values()) <= {1}, "an action ran twice"
    assert f"{number}-refused" not in allowed
    assert opened == allowed - ended, "an action without an outcome is not listed as open, or one with an outcome is"
    balance = governance.ledger.balance(f"org/default/workflow/desk/agent/clerk-{number}")
    assert balance.pending.calls == len(opened), "a hold was lost, or kept after its outcome"
    assert balance.posted.calls == len(ended)
    claimed = {it.state for it in governance.approvals.list(None) if it.agent == f"clerk-{number}"}
    assert (claimed == {"used"}) == (f"{number}-asked" in allowed), "approval and decision are not one commit"
    [exception] = [it for it in governance.exceptions.list(None) if it.scope.agent == f"clerk-{number}"]
    uses = [it.body["decision"] for it in entries if it.kind == "exception"]
    lifted = [it.seq for it in entries if it.kind == "decision" and "use" in (it.body.get("exception") or ())]
    assert uses == lifted, "a use is in the log without its decision, or a decision without its use"
    assert exception.used == len(lifted) == (f"{number}-lifted" in allowed), "use and decision are not one commit"
    return opened


def go_on(governance: Governance, folder: Path, number: int, opened: set[str]) -> None:
    """Resume what a dead process left: close what is open, and ask for the very same calls again."""
    gate, thread = governance.gate, f"thread-{number}"
    abandoned = gate.abandoned(workflow="desk", thread=thread)
    assert {it.call_id for it in abandoned} == opened
    gate.conclude(abandoned, {})
    run = gate.open_run(workflow="desk", thread=thread, resumed=True)
    before = effects(folder)
    file = os.open(folder / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for which in CALLS:
        call = f"{number}-{which}"
        answer = act(governance, request(number, which, run), file, lambda _: None)
        if call in opened:
            assert isinstance(answer, Refusal), "nobody knows what came of it: it is not made again by itself"
            assert "its outcome is unknown" in answer.error.message
        elif which in ("plain", "async", "kept", "lifted") and before[call]:
            assert isinstance(answer, Replayed), "it has run to its end, and is not made again"
            assert answer.result == (b"kept" if which == "kept" else b"")
        elif which in ("plain", "async", "kept", "lifted"):
            assert isinstance(answer, Permit), "it was never let through, and is now"
    os.close(file)
    gate.flush()
    after = effects(folder)
    for which in CALLS:
        call = f"{number}-{which}"
        again = which == "failing" and call not in opened and before[call]  # it failed: the next try is another one
        assert after[call] <= (2 if again else 1), "an action ran twice"
    balance = governance.ledger.balance(f"org/default/workflow/desk/agent/clerk-{number}")
    assert not balance.pending.present(), "a hold did not come back"


def kill_at(url: str, folder: Path, kills: int, *, every: int) -> Killer:
    """Kill so many processes, each at another step, and check each of them; the whole log now and then, and at the end."""
    with killer(url, folder) as killing:
        steps = killing.count(0)
        assert steps > 100
        with Governance.open(url, policies=engine(str(folder)), key=folder / "key") as governance:
            governance.ledger.set_limit("org/default/workflow/desk", Budget(calls=10**9))
            check(governance, folder, 0)
            for number in range(1, kills + 1):
                said = killing.kill(number, (number * every - 1) % steps + 1)
                try:
                    go_on(governance, folder, number, check(governance, folder, number))
                except AssertionError as error:
                    raise AssertionError(f"killed at step {said}: {error}") from error
                if number % 100 == 0:
                    governance.audit.verify().require()
            governance.audit.verify().require()
            assert governance.audit.open_actions() == []
            total = governance.ledger.balance("org/default/workflow/desk")
            outcomes = governance.audit.entries(kind="outcome")
            assert (total.pending.present(), total.posted.calls) == ({}, len(outcomes))
        cast_io(killing.process.stdin).close()
    return killing


def test_a_process_that_is_killed_at_some_steps_leaves_nothing_undone(store_url: str, tmp_path: Path) -> None:
    killing = kill_at(store_url, tmp_path, 17, every=13)
    assert len(killing.hit) > 8


def test_what_a_dead_process_held_comes_back_when_its_time_is_over(store_url: str, tmp_path: Path) -> None:
    """Where nobody resumes what it left: then its hold expires, and what it did is still counted once it is known."""
    clock = FakeClock(dt.datetime.now(dt.UTC))
    desk = "org/default/workflow/desk"
    with killer(store_url, tmp_path) as killing:
        killing.kill(1, "acted")
        cast_io(killing.process.stdin).close()
    with Governance.open(store_url, policies=engine(str(tmp_path)), key=tmp_path / "key", clock=clock) as governance:
        governance.ledger.set_limit(desk, Budget(calls=1))
        run = governance.gate.open_run(workflow="desk", thread="another", resumed=False)
        refused = governance.gate.admit(request(2, "plain", run))
        assert isinstance(refused, Refusal)
        assert refused.error.source == "budget"
        clock.advance(HOLD_SECONDS + 60)
        again = governance.gate.admit(request(3, "plain", run))
        assert isinstance(again, Permit), "the hold of the dead process is back"
        governance.gate.finish(again, Outcome(status="done", usage=Usage(calls=1)))
        governance.gate.flush()
        assert governance.ledger.balance(desk).pending.calls == 0
        opened = governance.gate.abandoned(workflow="desk", thread="thread-1")
        assert [it.call_id for it in opened] == ["1-plain"]
        governance.gate.conclude(opened, {})
        balance = governance.ledger.balance(desk)
        assert (balance.pending.calls, balance.posted.calls) == (0, 2), "what nobody knows of counts as used"
        governance.audit.verify().require()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_process_that_is_killed_at_every_step_leaves_nothing_undone(store_url: str, tmp_path: Path) -> None:
    killing = kill_at(store_url, tmp_path, KILLS, every=1)
    if KILLS >= 1000:
        assert killing.hit.keys() >= STAGES
    print(f"\n{KILLS} kills at {len(killing.hit)} kinds of steps: {dict(killing.hit)}")
