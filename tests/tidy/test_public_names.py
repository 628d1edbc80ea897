"""The names that other people's programs hold on to."""

from __future__ import annotations

import subprocess
import sys

import pytest

import openclaw

PUBLIC = [
    "Agent",
    "Budget",
    "BudgetExceeded",
    "Decision",
    "Effect",
    "Governance",
    "Handoff",
    "MemoryAccess",
    "ModelCall",
    "Obligation",
    "Opa",
    "OpenClawError",
    "PolicyError",
    "Price",
    "Principal",
    "Refused",
    "Reservation",
    "ToolCall",
    "Usage",
    "Workflow",
]


def test_the_public_names_are_pinned_sorted_and_few() -> None:
    assert openclaw.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC
    assert len(PUBLIC) <= 20


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_listed(name: str) -> None:
    assert getattr(openclaw, name).__name__ == name
    assert name in dir(openclaw)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="`openclaw` has no attribute `Gouvernance`"):
        _ = openclaw.Gouvernance


def test_a_star_import_gives_exactly_the_public_names() -> None:
    program = "from openclaw import *; print(*sorted(name for name in globals() if not name.startswith('_')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == PUBLIC
