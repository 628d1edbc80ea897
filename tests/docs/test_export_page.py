"""docs/export.md is true: its programs run, one after another, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from openclaw.cli.app import app

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"


def test_the_programs_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(programs) == 3
    world: dict[str, object] = {"Path": Path}
    for number, program in enumerate(programs):
        exec(compile(program, f"docs/export.md, program {number + 1}", "exec"), world)


def test_the_options_exist() -> None:
    command = typer.main.get_command(app)
    export = command.commands["audit"].commands["export"]  # type: ignore[attr-defined]
    known = {name for parameter in export.params for name in parameter.opts}
    named = set(re.findall(r"`?(--[a-z]+)", DOCUMENT.read_text()))
    assert named - known == set()
