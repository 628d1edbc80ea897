"""Colours on a terminal that wants them, and nowhere else: of every command that prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.story import DESK_REGO
from tests.support.terminal import program

COMMANDS: dict[str, bool] = {
    "audit list": True,
    "audit list --columns seq,agent,args.amount": True,
    "audit tail": True,
    "audit show 11": True,
    "audit explain 11 --policies desk": True,
    "audit timeline": True,
    "audit stats --since 2026-11-20": True,
    "audit diff run-0001 run-0002": True,
    "audit query 'SELECT seq, effect FROM openclaw_entry'": True,
    "audit report --period 2026-11-23 --out report.md": True,
    "audit verify": True,
    "audit open": True,
    "audit hold list": False,
    "audit lookup DE-77": True,
    "review": True,
    "approvals list --all": True,
    "approvals show ask-0002": True,
    "approvals approvers": False,
    "budget list": True,
    "budget show org/default": True,
    "budget audit": True,
    "budget report": True,
    "budget forecast": True,
    "halts": False,
    "doctor": True,
    "policy check desk": True,
    "policy list": True,
    "audit show 99": True,
}
"""Whether there is anything in it that has a colour: some have only a line to say here."""

_PROGRAM = """
import shlex, sys
from openclaw.cli import main
for command in sys.argv[1:]:
    print("=== " + command, flush=True)
    try:
        main(shlex.split(command))
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        assert ended.code in (0, 1, 2), ended.code
"""
_STYLE = re.compile(r"\x1b\[[\d;]*m")
_EVER = re.compile(r"\x1b")


def parts(written: str) -> dict[str, str]:
    """What each command wrote."""
    found = dict(part.split("\n", 1) for part in written.replace("\r\n", "\n").split("=== ")[1:])
    assert list(found) == list(COMMANDS)
    return found


@pytest.fixture
def place(desk: Path) -> Path:
    (desk / "desk").mkdir()
    (desk / "desk" / "desk.rego").write_text(DESK_REGO)
    return desk


def test_on_a_terminal_states_and_headings_have_colours(place: Path) -> None:
    told = parts(program(*COMMANDS, start=("-c", _PROGRAM), width=80).read())
    assert {name: bool(_STYLE.search(text)) for name, text in told.items()} == COMMANDS


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_none_gets_none(setting: dict[str, str], place: Path) -> None:
    told = parts(program(*COMMANDS, start=("-c", _PROGRAM), **setting).read())
    assert [name for name, text in told.items() if _STYLE.search(text)] == []


def piped(**setting: str) -> tuple[dict[str, str], str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *COMMANDS],
        env={**kept, "TERM": "xterm-256color", **setting},
        capture_output=True,
        text=True,
        check=True,
    )
    return parts(done.stdout), done.stderr


def test_a_pipe_gets_the_text_alone(place: Path) -> None:
    told, messages = piped()
    assert [name for name, text in told.items() if _EVER.search(text)] == []
    assert not _EVER.search(messages)
    assert "error: there is no entry 99" in messages


def test_a_pipe_that_asks_for_colours_gets_them_and_whole_lines(place: Path) -> None:
    told, messages = piped(FORCE_COLOR="1")
    silent = {"audit show 99": False}  # what it says goes to the other pipe
    assert {name: bool(_STYLE.search(text)) for name, text in told.items()} == {**COMMANDS, **silent}
    assert "\x1b[1;31merror: " in messages
    assert "…" not in told["audit list"]
