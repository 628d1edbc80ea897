"""docs/approvals.md: its policy, its programs and what they print."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "approvals.md").read_text()


def test_the_programs_of_the_page_run_and_print_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    for number, rego in enumerate(re.findall(r"```rego\n(.*?)```", PAGE, re.DOTALL)):
        (tmp_path / "policies" / f"p{number}.rego").write_text(rego)
    names: dict[str, object] = {}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            for program in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
                exec(compile(program, "approvals.md", "exec"), names)
    finally:
        names["gov"].close()  # type: ignore[attr-defined]
    assert printed.getvalue() == "".join(re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL))
