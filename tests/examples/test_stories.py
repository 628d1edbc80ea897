"""The examples: each plays offline, as a user starts it, and does what it is there to show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from openclaw import Governance
from openclaw.policy import check
from openclaw.policy.testing import run_tests

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "examples" / "policies"

SHOWN = {
    "returns_desk": [
        "? refund: a refund over 100 needs a person; ann approves",
        "! Refused by policy: only payers refund",
        "< Control passed to refunds.",
        "< refunded 240 EUR for order 17",
        "1 refused, holds",
    ],
    "research_team": [
        "! Refused by policy: the recipient collect@evil.example was named by nobody but a page of the web",
        "< sent to ada@harbour.example",
        "! Refused by budget: the budget of `org/default/workflow/research` cannot carry 1 call",
        "0 calls and",
        "3 refused, holds",
    ],
    "mcp_shop": [
        "? order: orders of more than three are confirmed; ann approves",
        "< 7 of rope",
        "! Refused by policy: no policy allows this",
        "< ordered 5 of rope",
        "1 refused, holds",
    ],
    "assistant": [
        "< Bergen: 12 degrees, rain",
        "! Refused by policy: an assistant deletes nothing",
        "1 refused, holds",
    ],
    "own_graph": [
        "? close_ticket: a person reads what a ticket is closed with; ann approves",
        "! Refused by policy: engineers are woken by the alarm, not by an agent",
        "< T-9 closed: paper refilled",
        "1 refused, holds",
    ],
}


def play(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"examples.{name}", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SHOWN)
def test_it_plays_offline_and_shows_what_it_is_for(name: str) -> None:
    if name == "mcp_shop":
        pytest.importorskip("langchain_mcp_adapters")
    played = play(name)
    assert played.returncode == 0, played.stderr
    for line in SHOWN[name]:
        assert line in played.stdout, played.stdout


@pytest.mark.parametrize("name", SHOWN)
def test_it_plays_as_a_file_from_another_folder_too(name: str, tmp_path: Path) -> None:
    if name == "mcp_shop":
        pytest.importorskip("langchain_mcp_adapters")
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    played = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stderr
    assert SHOWN[name][-1] in played.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SHOWN)
def test_its_policies_are_in_order_and_pass_their_tests(name: str) -> None:
    assert check(POLICIES / name) == []
    report = run_tests(POLICIES / name)
    assert report.passed
    assert report.count("pass") >= 2


def test_a_store_that_is_named_keeps_the_log(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kept.db'}"
    assert play("own_graph", "--store", url).returncode == 0
    with Governance.open(url, policies=POLICIES / "own_graph") as gov:
        assert {entry.workflow for entry in gov.audit.entries(kind="decision")} == {"helpdesk"}


def test_the_page_names_every_example() -> None:
    page = (ROOT / "examples" / "README.md").read_text()
    modules = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"stage", "mcp_shop_server"}
    assert {name for name in modules if name in page} == modules
