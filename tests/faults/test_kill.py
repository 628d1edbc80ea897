"""SIGKILL at any moment: no action without a record, no hold lost, a log that verifies, open actions listed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openclaw.governance import Governance

POLICY = 'package openclaw.policies.desk\n\nimport rego.v1\n\nallow if input.tool.name == "note"\n'
PROJECT = Path(__file__).parents[2]


def kill_once(url: str, folder: Path, after_s: float) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.faults.worker",
        url,
        str(folder / "policies"),
        str(folder / "key"),
        str(folder / "effects"),
    ]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "busy\n"
        time.sleep(after_s)  # where the kill hits is chance, and meant to be
        worker.send_signal(signal.SIGKILL)
        assert worker.wait(30) == -signal.SIGKILL


def check(url: str, folder: Path) -> tuple[int, int]:
    """Everything that must hold after any number of kills; how many effects there were, and how many actions are open."""
    effects = (folder / "effects").read_text().splitlines() if (folder / "effects").exists() else []
    with Governance.open(url, policies=folder / "policies", key=folder / "key") as governance:
        governance.audit.verify().require()
        allowed = {entry.call_id for entry in governance.audit.entries(kind="decision", effect="allow")}
        ended = {entry.call_id for entry in governance.audit.entries(kind="outcome")}
        opened = {entry.call_id for entry in governance.audit.open_actions()}
        balance = governance.ledger.balance("org/default/workflow/desk")
    assert set(effects) <= allowed, "an action ran without a record"
    assert len(effects) == len(set(effects)), "an action ran twice"
    assert opened == allowed - ended, "an action without an outcome is not listed as open"
    assert balance.posted.calls == len(ended)
    assert balance.pending.calls == len(opened), "a reservation was lost, or kept after its outcome"
    return len(effects), len(opened)


def kill_many(url: str, folder: Path, times: int) -> None:
    (folder / "policies").mkdir()
    (folder / "policies" / "desk.rego").write_text(POLICY)
    chance = random.Random(7)
    for _ in range(times):
        kill_once(url, folder, chance.uniform(0.0, 0.15))
    effects, opened = check(url, folder)
    assert effects > 0
    assert opened <= times  # the outcome of one call and the decision on the next share a commit: a kill cuts off one


def test_a_killed_process_leaves_a_whole_log(store_url: str, tmp_path: Path) -> None:
    kill_many(store_url, tmp_path, 3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_killed_processes_leave_a_whole_log(store_url: str, tmp_path: Path) -> None:
    kill_many(store_url, tmp_path, 30)
