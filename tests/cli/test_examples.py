"""Every command has examples in its help, and each of them does what it says on the database of a whole story."""

from __future__ import annotations

import io
import shlex
import shutil
from pathlib import Path

import pytest
import typer

from openclaw.cli import books
from openclaw.cli.app import app
from openclaw.cli.examples import EXAMPLES
from tests.cli.conftest import Command
from tests.cli.test_docs import commands, whole_desk
from tests.support.story import StillClock

__all__ = ["whole_desk"]

COMMANDS = [name.removeprefix("openclaw ") for name in commands(typer.main.get_command(app), "openclaw")]
LINES = [line for lines in EXAMPLES.values() for line in lines]

# What stays, what asks a person, and what goes to another machine: their options are read, and no more is done.
ONLY_READ = ("openclaw demo", "openclaw ui", "openclaw audit tail -f", "openclaw audit export --to https:")

BEFORE = {
    "openclaw approvals withdraw": "approvals enroll tom --role risk --by root",
    "openclaw resume --agent": "halt --agent refunds --by eva",
    "openclaw resume --all": "halt --all --by eva",
    "openclaw exceptions show": "exceptions open --tool refund --by eva --reason 'the bank is down'",
    "openclaw exceptions close": "exceptions open --tool refund --by eva --reason 'the bank is down'",
    "openclaw policy bundle desk.tar.gz": "policy bundle policies --key release.key -o desk.tar.gz",
}
"""What has to be done before an example can be."""

REFUSED = {
    "openclaw audit prune": "is held by legal hold",
    "openclaw audit forget": "nothing is sealed for `user:ada`",
}
"""What this story has no part for, and what is said of that."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_in_its_help(name: str, openclaw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    known = EXAMPLES.get(name) or EXAMPLES.get(f"audit {name}", ())
    assert known, f"`openclaw {name}` has no examples: they go into openclaw/cli/examples.py"
    said = openclaw(*name.split(), "--help").out
    assert "Examples:\n" in said
    for line in known:
        assert f"  {line}\n" in said


def test_there_are_examples_of_nothing_else() -> None:
    assert set(EXAMPLES) <= set(COMMANDS)


def parsed(arguments: list[str]) -> None:
    """Fails as the command would if it did not understand its options."""
    command, context = typer.main.get_command(app), None
    while True:
        context = command.make_context(command.name, arguments, parent=context, resilient_parsing=False)
        if not getattr(command, "commands", None):
            return
        rest = [*context._protected_args, *context.args]
        _, command, arguments = command.resolve_command(context, rest)


def test_every_example_does_what_it_says(
    whole_desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("OPENCLAW_VIEWS", "views.json")
    for name, text in (("question.sql", "SELECT count(*) FROM openclaw_entry"), ("account.txt", "DE-77\n")):
        (whole_desk / name).write_text(text)
    (whole_desk / "views.json").write_text('{"denials": {"effect": "deny"}}')
    openclaw("audit", "hold", "add", "--by", "eva", "--reason", "case 4711", "--agent", "refunds")
    public = openclaw("audit", "checkpoint", "--json").json["key"]  # type: ignore[index]
    (whole_desk / "proof.json").write_text(openclaw("audit", "prove", "11").out)
    kept = tmp_path_factory.mktemp("kept") / "desk"
    shutil.copytree(whole_desk, kept)
    wrong: list[str] = []
    assert isinstance(books.CLOCK, StillClock)
    made = dict(books.CLOCK.made)
    for line in LINES:
        books.CLOCK.made = dict(made)  # the next exception is the first one again, as in the database that is kept
        for path in whole_desk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(kept, whole_desk, dirs_exist_ok=True)
        words, stdin = shlex.split(line.replace("NAME+ID+KEY", public)), ""
        if "<" in words:
            stdin = (whole_desk / words[words.index("<") + 1]).read_text()
        words = words[: min((words.index(sign) for sign in "<>" if sign in words), default=len(words))]
        if line.startswith(ONLY_READ):
            if "--help" not in words:
                parsed(words[1:])
            continue
        for start, done in BEFORE.items():
            if line.startswith(start):
                assert openclaw(*shlex.split(done)).code == 0
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        said = openclaw(*words[1:])
        refusal = next((text for start, text in REFUSED.items() if line.startswith(start)), None)
        refused = refusal is not None and said.code == 2 and refusal in said.err
        if said.code not in (0, 1) and not refused:
            wrong.append(f"{line}\n{said.code} {said.err or said.out}")
    assert wrong == [], "\n".join(wrong)
