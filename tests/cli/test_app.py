"""What holds for every command: exit codes, one clear line, colours, pipes, hostile text, and a store left as it was."""

from __future__ import annotations

import hashlib
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openclaw.cli import show
from tests.cli.conftest import Command
from tests.support.sqlite_files import sqlite_file

READING = [
    ["audit", "list"],
    ["audit", "show", "1"],
    ["audit", "verify"],
    ["audit", "open"],
    ["audit", "timeline"],
    ["audit", "stats"],
    ["audit", "query", "SELECT seq FROM openclaw_entry"],
    ["review"],
    ["budget", "list"],
    ["budget", "show", "org/default"],
    ["approvals", "list"],
]
WRITING = [
    ["audit", "prove", "1"],
    ["audit", "checkpoint"],
    ["audit", "note", "11", "--by", "eva", "--verdict", "agreed"],
    ["budget", "set", "org/default", "--calls", "1"],
    ["approvals", "approve", "ask-0002", "--by", "eva"],
    ["approvals", "reject", "ask-0002", "--by", "eva"],
]


def shell(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "openclaw", *arguments], capture_output=True, text=True, **settings)


@pytest.mark.parametrize("command", [*READING, *WRITING], ids=" ".join)
def test_no_command_makes_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, openclaw: Command, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = openclaw(*command)
    assert (said.code, said.out) == (2, "")
    assert said.err == "error: there is no database at `openclaw.db`; check --store or OPENCLAW_STORE\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_reading_changes_nothing(desk: Path, openclaw: Command, command: list[str]) -> None:
    def digests() -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in desk.iterdir() if path.is_file()}

    before = digests()
    assert openclaw(*command).code == 0
    assert openclaw(*command, "--json").code == 0
    after = digests()
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize("command", [*READING, *WRITING[1:]], ids=" ".join)
def test_everything_that_prints_data_prints_json(desk: Path, openclaw: Command, command: list[str]) -> None:
    said = openclaw(*command, "--json")
    assert said.code == 0
    assert isinstance(said.json, list | dict)


def test_the_store_may_be_named_before_the_command_after_it_or_in_the_environment(
    desk: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, openclaw: Command
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    here, nowhere = f"sqlite:///{desk / 'openclaw.db'}", "sqlite:///nowhere.db"
    assert openclaw("--store", here, "audit", "list").code == 0
    assert openclaw("audit", "list", "--store", here).code == 0
    monkeypatch.setenv("OPENCLAW_STORE", here)
    assert openclaw("audit", "list").code == 0
    assert openclaw("--store", nowhere, "audit", "list").code == 2
    monkeypatch.setenv("OPENCLAW_STORE", nowhere)
    assert openclaw("--store", here, "audit", "list").code == 0
    assert openclaw("--store", nowhere, "audit", "list", "--store", here).code == 0


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("nonsense", "error: "),
        ("mysql://localhost/x", "error: no store for `mysql` databases"),
        ("sqlite:///notes.txt", "error: the database `sqlite"),
        ("sqlite:///other.db", "error: the database `sqlite"),
        ("sqlite:///folder", "error: `folder` is a folder, not a database file"),
    ],
)
def test_a_store_that_is_none_is_wrong_usage_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, openclaw: Command, store: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be one: " + "x" * 5000)
    (tmp_path / "folder").mkdir()
    with sqlite_file(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    said = openclaw("--store", store, "audit", "list")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1


def test_wrong_usage_is_exit_code_2(openclaw: Command) -> None:
    assert openclaw("audit", "lst").code == 2
    assert openclaw("audit", "list", "--limit", "many").code == 2
    assert openclaw("audit", "show").code == 2


def test_version_and_help_are_data(openclaw: Command) -> None:
    said = openclaw("--version")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("openclaw 0.")
    assert "Exit codes: 0 holds" in openclaw("--help").out


def test_an_unexpected_error_keeps_its_traceback(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from openclaw.audit.reading import Reader

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Reader, "entries", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        openclaw("audit", "list")


def test_the_module_is_the_command(desk: Path) -> None:
    done = shell("audit", "verify", "--json", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert '"ok": true' in done.stdout


def test_a_reader_that_leaves_is_no_error(desk: Path) -> None:
    program = [sys.executable, "-m", "openclaw", "audit", "list", "--json"]
    process = subprocess.Popen(program, cwd=desk, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == show.BROKEN_PIPE


def test_a_pipe_gets_whole_lines_without_colour(desk: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    done = shell("audit", "list", cwd=desk, env=environment)
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout
    assert 'a refund above 50 needs a person · refund(account="DE-99", amount=75, order="B-2")' in done.stdout


@pytest.mark.parametrize(("setting", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_gets_colours_unless_it_says_no(desk: Path, setting: dict[str, str], coloured: bool) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    shown = on_terminal(["audit", "list"], desk, {**kept, "TERM": "xterm-256color", **setting})
    assert ("\x1b[31mdeny" in shown) is coloured
    assert "deny" in shown


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("command", [["audit", "list"], ["approvals", "list", "--all"]], ids=" ".join)
def test_tables_fit_the_terminal(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch, width: int, command: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(max(width, 80)))
    said = openclaw(*command)
    assert max(map(len, said.out.splitlines())) <= max(width, 80)


def test_text_from_the_log_cannot_drive_the_terminal(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    hostile = "\x1b[2J\u202egnp.exe\x9b31m [bold]x[/bold]\r\n"
    with sqlite_file(desk / "openclaw.db") as connection:
        connection.execute("UPDATE openclaw_entry SET agent = ? WHERE seq = 11", (hostile,))
    shown = "\\u001b[2J\\u202egnp.exe\\u009b31m [bold]x[/bold]\\r\\n"
    assert shown in openclaw("audit", "list").out
    assert shown in openclaw("audit", "show", "11").out
    said = openclaw("audit", "show", "11", "--json")
    assert said.json["agent"] == hostile
    for character in "\x1b\u202e\x9b":
        assert character not in said.out


def on_terminal(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "openclaw", *arguments], cwd=folder, env=environment, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says that the other side is closed with an error.
                break
            if not part:
                break
            shown += part
        assert process.wait() == 0, shown
    finally:
        os.close(ours)
    return shown.decode()


def test_a_read_only_copy_can_be_reviewed(desk: Path, openclaw: Command) -> None:
    copy = desk / "copy"
    copy.mkdir()
    for name in ("openclaw.db", "openclaw.db.key", "openclaw.db.checkpoints"):
        shutil.copy(desk / name, copy / name)
        (copy / name).chmod(0o400)
    said = openclaw("--store", f"sqlite:///{copy / 'openclaw.db'}", "audit", "verify")
    assert said.code == 0
