"""A process dies in the middle of a call; another one resumes the run, closes what was open, and repeats nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.messages import ToolMessage

from openclaw.governance import Governance
from tests.faults.graph_worker import run

PROJECT = Path(__file__).parents[2]
POLICY = "package openclaw.policies.desk\n\nimport rego.v1\n\nallow if true\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "desk.rego").write_text(POLICY)
    return tmp_path


def killed(url: str, folder: Path, when: str) -> None:
    command = [sys.executable, "-m", "tests.faults.graph_worker", url, str(folder), when]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def outcomes(url: str, folder: Path) -> list[dict[str, object]]:
    """The outcomes of the tool, and that nothing is open and the log holds."""
    with Governance.open(url, policies=folder / "policies", key=folder / "key") as governance:
        assert governance.audit.open_actions() == []
        governance.audit.verify().require()
        assert not governance.ledger.balance("org/default/agent/solo").pending.present()
        return [dict(entry.body) for entry in governance.audit.entries(kind="outcome", tool="act")]


def open_calls(url: str, folder: Path) -> list[str]:
    with Governance.open(url, policies=folder / "policies", key=folder / "key") as governance:
        return [entry.tool for entry in governance.audit.open_actions()]


def test_a_call_that_was_cut_off_is_closed_as_unknown_and_not_made_again(store_url: str, folder: Path) -> None:
    killed(store_url, folder, "inside")
    assert open_calls(store_url, folder) == ["act"]
    messages = run(store_url, str(folder), "resume")
    assert (folder / "effects").read_text() == "1\n", "it was made once"
    [told] = [message for message in messages if isinstance(message, ToolMessage)]
    assert told.status == "error"
    assert "its outcome is unknown (entry 4): it is not made again" in str(told.content)
    assert messages[-1].content == "the end"
    [outcome] = outcomes(store_url, folder)
    assert (outcome["status"], outcome["decision"], outcome["concluded"]) == ("unknown", 4, True)
    assert outcome["used"] == {"calls": 1}, "what it held counts as used"


def test_a_result_that_the_checkpoint_knows_is_what_the_call_is_closed_with(store_url: str, folder: Path) -> None:
    killed(store_url, folder, "after")
    assert open_calls(store_url, folder) == ["act"]
    messages = run(store_url, str(folder), "resume")
    assert (folder / "effects").read_text() == "1\n"
    assert [message.content for message in messages if isinstance(message, ToolMessage)] == ["done with 1"]
    [outcome] = outcomes(store_url, folder)
    assert (outcome["status"], outcome["concluded"]) == ("done", True)
    assert outcome["result"]["bytes"] == len('"done with 1"')  # type: ignore[index, call-overload]


def test_a_new_turn_on_the_thread_closes_it_too(store_url: str, folder: Path) -> None:
    killed(store_url, folder, "inside")
    run(store_url, str(folder), "new")
    assert [outcome["status"] for outcome in outcomes(store_url, folder)] == ["unknown"]
