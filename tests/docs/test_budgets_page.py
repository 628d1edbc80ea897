"""docs/budgets.md is true: its programs run, one after another, in an empty folder, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from openclaw.budget import UNITS, Soft
from openclaw.budget.ledger import CALL_SECONDS
from openclaw.cli.app import app
from openclaw.graph.counting import DEFAULT_OUTPUT_TOKENS, FRAME, MARGIN

PAGE = (Path(__file__).parents[2] / "docs" / "budgets.md").read_text()


def test_the_programs_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(programs) == PAGE.count("```python") == 8
    world: dict[str, object] = {"Path": Path}
    for number, program in enumerate(programs):
        exec(compile(program, f"docs/budgets.md, program {number + 1}", "exec"), world)


def test_the_figures_are_those_of_the_program() -> None:
    assert MARGIN == (5, 4)
    for said in (
        f"lasts {CALL_SECONDS} seconds",
        f"{DEFAULT_OUTPUT_TOKENS:,} where the model",
        f"{FRAME} tokens are held",
    ):
        assert said in PAGE.replace("\n  ", " ").replace("\n", " "), said


def test_every_unit_and_every_soft_limit_is_described() -> None:
    for name in (*UNITS, *Soft.model_fields):
        assert f"`{name}`" in PAGE, name


def test_the_commands_exist() -> None:
    command = typer.main.get_command(app)
    known = command.commands["budget"].commands.keys()  # type: ignore[attr-defined]
    [named] = re.findall(r"`openclaw budget ([\w ·]+)` are in", PAGE)
    assert set(named.split(" · ")) <= known
