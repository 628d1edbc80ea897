"""docs/agents.md: the file in it is the one that the example runs, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from openclaw.budget import Budget, Soft
from openclaw.graph.spec import AgentFile, WorkflowFile

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "agents.md").read_text()


def test_the_file_is_the_one_of_the_example() -> None:
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block == (ROOT / "examples" / "returns_desk.yaml").read_text()


def test_every_field_is_named_and_every_example_is_there() -> None:
    for field in (*WorkflowFile.model_fields, *AgentFile.model_fields, *Budget.model_fields):
        assert field in PAGE, field
    budgets = (ROOT / "docs" / "budgets.md").read_text()
    assert all(field in budgets for field in Soft.model_fields)
    for path in re.findall(r"`((?:examples|tests)/\S+\.py)`", PAGE):
        assert (ROOT / path).is_file(), path
