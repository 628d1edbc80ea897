"""What docs/authoring.md says of the corners in which engines differ: all of it true, so that nothing mended stays in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openclaw.errors import PolicyError
from tests.conformance.test_engines import Open, open_named
from tests.policy.support import ENGINES

__all__ = ["open_named"]

PAGE = Path(__file__).parents[2] / "docs" / "authoring.md"
ROW = re.compile(r"^\| `(?P<said>.+?)` \| (?P<regorus>.+?) \| (?P<regopy>.+?) \| (?P<opa>.+?) \|$", re.MULTILINE)
ROWS = {
    row["said"].replace("\\|", "|"): row
    for row in ROW.finditer(PAGE.read_text().split("## Where engines still differ")[1])
}


def test_the_table_is_read() -> None:
    assert len(ROWS) == 13
    assert all(len({row[name] for name in ENGINES}) > 1 for row in ROWS.values())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("said", ROWS)
def test_each_engine_gives_what_the_page_says(said: str, engine: str, open_named: Open) -> None:
    assert given(engine, said, open_named) == ROWS[said][engine]


def given(engine: str, said: str, open_named: Open) -> str:
    """What an engine gives, as the page writes it."""
    try:
        decision = open_named(engine, f'deny contains sprintf("%v", [{said}])').evaluate({"kind": "tool"})
    except PolicyError:
        return "refuses"
    return "refuses" if decision.code == "engine_error" else f"`{decision.reasons[0]}`"
