"""Every benchmark is named on the page of figures, and every one that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_the_page_names_the_benchmarks_that_there_are() -> None:
    page = (PROJECT / "docs" / "figures.md").read_text()
    there = {path.stem for path in (PROJECT / "benchmarks").glob("[!_]*.py")}
    named = set(re.findall(r"`([a-z]+)`", page)) | set(re.findall(r"benchmarks\.([a-z]+)", page))
    assert there <= named
    assert set(re.findall(r"\| `([a-z]+)` \|", page)) <= there
