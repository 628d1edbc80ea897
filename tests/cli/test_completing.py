"""Completion as shells ask for it: their own protocol, in a process of its own, on a real database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from openclaw.audit import AuditLog
from openclaw.cli import completing
from openclaw.review import known
from openclaw.store import Store


def asked(shell: str, line: str, folder: Path, **environment: str) -> tuple[str, str]:
    words = line.split(" ")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENCLAW", "COLUMNS"))}
    protocol = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [Path(sys.executable).with_name("openclaw")],
        cwd=folder,
        env={**kept, **protocol, "_OPENCLAW_COMPLETE": f"complete_{shell}", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "proposed"),
    [
        ("openclaw audit list --agent ", ["refunds", "triage"]),
        ("openclaw audit list --agent tr", ["triage"]),
        ("openclaw audit stats --tool l", ["lookup_order"]),
        ("openclaw review --workflow ", ["returns"]),
        ("openclaw audit timeline ", ["run-0002", "run-0001"]),
        ("openclaw audit diff run-0001 ", ["run-0002", "run-0001"]),
        ("openclaw halt --agent ref", ["refunds"]),
        ("openclaw budget show org/default/workflow/returns/agent/r", ["org/default/workflow/returns/agent/refunds"]),
        ("openclaw audit list --effect d", ["deny"]),
        ("openclaw audit list --columns seq,ag", ["seq,agent"]),
        ("openclaw audit list --view ", ["denials"]),
        ("openclaw audit view remove d", ["denials"]),
        ("openclaw audit ti", ["timeline"]),
        ("openclaw --store sqlite:///other/openclaw.db audit list --agent ", ["refunds", "triage"]),
        ("openclaw audit list --store sqlite:///absent.db --agent ", []),
        ("openclaw --store nonsense audit list --agent ", []),
    ],
)
def test_bash_gets_what_the_store_knows(line: str, proposed: list[str], desk: Path) -> None:
    (desk / "other").mkdir()
    shutil.copy(desk / "openclaw.db", desk / "other")
    (desk / "views.json").write_text('{"denials": {"effect": "deny"}}')
    out, err = asked("bash", line, desk, OPENCLAW_VIEWS="views.json")
    assert out.split() == proposed
    assert err == ""


def test_questions_that_wait_are_proposed(desk: Path) -> None:
    context = SimpleNamespace(params={"store": "sqlite:///openclaw.db"}, parent=None)
    found = completing._complete(completing.VALUES["question"], context, "a")  # in the time of the story: they expire
    assert [one.value for one in found] == ["ask-0002"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_it_too(shell: str, desk: Path) -> None:
    out, err = asked(shell, "openclaw audit list --agent tr", desk)
    assert "triage" in out
    assert "refunds" not in out
    assert err == ""


@pytest.mark.parametrize("content", ["no database", ""])
def test_whatever_is_wrong_it_is_silent(content: str, tmp_path: Path) -> None:
    (tmp_path / "openclaw.db").write_text(content)
    assert asked("bash", "openclaw audit list --agent ", tmp_path) == ("\n", "")
    (tmp_path / "views.json").write_text("{")
    assert asked("bash", "openclaw audit list --view ", tmp_path, OPENCLAW_VIEWS="views.json") == ("\n", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["openclaw.db", "views.json"]


def test_each_shell_has_a_script_to_install(tmp_path: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(
            [Path(sys.executable).with_name("openclaw")],
            env={**os.environ, "_OPENCLAW_COMPLETE": f"source_{shell}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert "_OPENCLAW_COMPLETE=complete_" in done.stdout


def test_names_that_a_shell_would_act_on_are_not_proposed(desk: Path) -> None:
    store = Store.open(f"sqlite:///{desk / 'openclaw.db'}")
    log = AuditLog(store, None)
    for number, agent in enumerate(("refunds; reboot", "refunds$(reboot)", "refunds-2")):
        log.append({"kind": "halt", "agent": agent, "body": {"reason": f"{number}"}})
    log.close()
    store.close()
    out, _ = asked("bash", "openclaw audit list --agent ref", desk)
    assert out.split("\n")[:-1] == ["refunds", "refunds-2"]


def test_names_are_found_one_by_one_on_every_store(store_url: str) -> None:
    store = Store.open(store_url)
    log = AuditLog(store, None)
    for number in range(30):
        log.append({"kind": "halt", "agent": f"agent-{number % 7}", "run": f"run-{number:02}", "body": {}})
    try:
        assert [*known.names(store, "agent")] == [f"agent-{number}" for number in range(7)]
        assert [*known.names(store, "agent", "agent-3")] == ["agent-3"]
        assert [*known.names(store, "agent", limit=2)] == ["agent-0", "agent-1"]
        assert [*known.names(store, "workflow")] == []
        assert [*known.runs(store, "run-1")] == [f"run-{number}" for number in range(19, 9, -1)]
    finally:
        log.close()
        store.close()
