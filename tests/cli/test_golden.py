"""Every command that prints a table, as a person sees it on a narrow and on a wide terminal.

``OPENCLAW_UPDATE_DOCS=1`` writes the pictures anew: look at them before they are committed.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_docs import same, whole_desk

__all__ = ["whole_desk"]

GOLDEN = Path(__file__).with_name("golden")
COMMANDS = (
    "audit list",
    "audit list --columns seq,at,run,agent,tool,call_id,args.amount,reason",
    "audit tail",
    "audit show 12",
    "audit explain 12",
    "audit open",
    "audit timeline run-0001",
    "audit stats",
    "audit diff run-0001 run-0002",
    "audit diff 1h..2m 2m..",
    "audit query 'SELECT seq, at, agent, tool FROM openclaw_entry WHERE effect = 1 OR seq < 4'",
    "audit verify",
    "audit hold list",
    "review",
    "approvals list --all",
    "halts",
    "exceptions open --agent refunds --tool refund --arg 'amount<=500' --uses 3 --by eva --reason 'the bank is down'",
    "exceptions list",
    "exceptions show exc-0001",
    "review --kind exception",
    "budget list",
    "budget report",
    "budget report --by tool",
    "budget forecast",
    "budget audit",
    "policy replay --policies stricter",
    "policy coverage --from-log --policies policies",
    "policy shadow --store sqlite:///trial.db",
    "policy list",
)


@pytest.mark.parametrize("width", [80, 200])
def test_tables_fit_the_terminal(
    width: int, whole_desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    pictures: list[str] = []
    for command in COMMANDS:
        said = openclaw(*shlex.split(command))
        assert said.code in (0, 1), (command, said.err)
        pictures.append(f"$ openclaw {command}\n{said.out}{said.err}")
    shown = same("\n".join(pictures)) + "\n"
    file = GOLDEN / f"{width}.txt"
    if os.environ.get("OPENCLAW_UPDATE_DOCS"):
        file.write_text(shown)
    assert shown == file.read_text()
