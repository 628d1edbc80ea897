"""docs/privacy.md is true: its programs run, one after another, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "privacy.md"


def test_the_programs_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(programs) == 4
    world: dict[str, object] = {"Path": Path}
    for number, program in enumerate(programs):
        exec(compile(program, f"docs/privacy.md, program {number + 1}", "exec"), world)
