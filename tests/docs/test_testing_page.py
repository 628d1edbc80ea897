"""docs/testing.md: its test file, run by pytest as its reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    [rego] = re.findall(r"```rego\n(.*?)```", PAGE, re.DOTALL)
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "payer.rego").write_text(rego)
    (tmp_path / "test_payer.py").write_text(program)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_payer.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{program.count('def test_')} passed" in done.stdout
