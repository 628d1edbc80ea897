"""docs/claims/: every test that its pages name is there, and every promise has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "claims").glob("*.md"))


def rows_of(page: Path) -> list[tuple[str, str]]:
    """Each promise of a page and what it says of its tests."""
    return re.findall(r"^\| (?!what is promised|---)(.+) \| (.+) \|$", page.read_text(), re.MULTILINE)


def names_in(path: Path) -> set[str]:
    """The names of the tests in a file, those in classes and those that a state machine makes included."""
    tree = ast.parse(path.read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found | {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_promise_has_tests_and_they_are_there(page: Path) -> None:
    rows = rows_of(page)
    assert len(rows) >= 20
    for promise, said in rows:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", said)
        assert len(named) == said.count("`") // 2 >= 1, promise
        for file, test in named:
            assert test.lower().startswith("test"), test
            assert test in names_in(ROOT / "tests" / file), f"{promise}: {file} has no {test}"


def test_no_promise_is_made_twice() -> None:
    promises = [promise for page in PAGES for promise, _ in rows_of(page)]
    assert len(promises) == len(set(promises))
