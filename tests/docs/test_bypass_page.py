"""docs/bypass.md names every test of tests/bypass, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "bypass.md").read_text()
TESTS = [
    ROOT / "tests" / "bypass" / name for name in ("test_tools.py", "test_models.py", "test_shapes.py", "test_hiding.py")
]


def test_every_way_is_on_the_page_and_every_row_has_its_test() -> None:
    written = {
        name for path in TESTS for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = re.findall(r"\| `(test_\w+)` \|$", PAGE, re.MULTILINE)
    assert sorted(named) == sorted(written)
    assert len(named) >= 30
