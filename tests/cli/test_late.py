"""Commands are imported when they are called, and a command that is typed all day takes in no more than it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from openclaw.cli import late
from openclaw.cli.app import app
from tests.cli.conftest import Command

_PROGRAM = """
import sys
from openclaw.cli import main
try:
    main()
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""
DEAR = (
    *("requests", "urllib3", "httpx", "httpx2", "genai_prices", "langchain_core", "langgraph", "reportlab", "textual"),
    *("rich.progress", "PIL", "cryptography"),
    *("openclaw.policy", "openclaw.budget", "openclaw.governance", "openclaw.graph", "openclaw.gate", "openclaw.halts"),
    *("openclaw.approvals", "openclaw.approvers", "openclaw.answers", "openclaw.audit.log", "openclaw.audit.witness"),
)


def imported(*command: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *command], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "command",
    [
        ("audit", "list", "--agent", "refunds", "--arg", "amount>1"),
        ("audit", "list", "--json"),
        ("audit", "tail"),
        ("audit", "view", "list"),
    ],
    ids=" ".join,
)
def test_looking_at_entries_imports_nothing_that_decides_signs_or_asks_other_machines(
    command: tuple[str, ...], desk: Path
) -> None:
    assert imported(*command, folder=desk).isdisjoint(DEAR)


@pytest.mark.parametrize("command", [("audit", "show", "11"), ("audit", "timeline"), ("audit", "stats"), ("review",)])
def test_other_reading_asks_no_other_machine_and_runs_no_graph(command: tuple[str, ...], desk: Path) -> None:
    dear = {"requests", "httpx2", "langchain_core", "langgraph", "reportlab", "openclaw.governance", "openclaw.graph"}
    assert imported(*command, folder=desk).isdisjoint(dear)


def test_the_version_opens_no_database(tmp_path: Path) -> None:
    assert "sqlalchemy" not in imported("--version", folder=tmp_path)


def test_every_command_is_where_the_table_says() -> None:
    def below(commands: object, words: str) -> list[str]:
        assert isinstance(commands, late.LateCommands)
        found: list[str] = []
        for name, command in commands.items():
            assert command.name == name
            further = getattr(command, "commands", None)
            found += [f"{words}{name}"] if further is None else below(further, f"{words}{name} ")
        return found

    root = typer.main.get_command(app)
    assert sorted(below(root.commands, "")) == sorted(late.COMMANDS)  # type: ignore[attr-defined]


def test_a_command_that_there_is_not_is_said_with_its_neighbours(openclaw: Command) -> None:
    said = openclaw("audit", "lst")
    assert said.code == 2
    assert "No such command 'lst'" in said.err
    assert "'list'" in said.err


def test_what_fails_while_a_command_is_imported_is_no_wrong_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(late.COMMANDS, "doctor", "late:missing")
    commands = late.LateCommands()
    with pytest.raises(AttributeError, match="missing"):
        commands["doctor"]
