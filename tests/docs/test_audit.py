"""docs/audit.md is true: its programs run, one after another, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openclaw.audit import ObjectPlace

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"


def test_the_programs_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(programs) >= 8
    world: dict[str, object] = {"Path": Path, "ObjectPlace": ObjectPlace}
    for number, program in enumerate(programs):
        exec(compile(program, f"docs/audit.md, program {number + 1}", "exec"), world)


def test_the_files_that_it_names_are_there() -> None:
    for name in re.findall(r"`(examples/[\w.]+|docs/[\w.]+)`", DOCUMENT.read_text()):
        assert (DOCUMENT.parents[1] / name).is_file(), name
