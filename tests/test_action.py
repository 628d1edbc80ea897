"""What is asked: names that can stand in a path, and the input made from an action."""

from __future__ import annotations

import pytest

from openclaw.action import Principal
from openclaw.errors import ConfigurationError


@pytest.mark.parametrize("name", ["", "x/agent/y", "/", "a\0b", "a\nb", "x" * 201])
@pytest.mark.parametrize("field", ["agent", "workflow", "org"])
def test_a_principal_cannot_pose_as_another_account(field: str, name: str) -> None:
    names = {"agent": "clerk", "workflow": "desk", "org": "default"} | {field: name}
    if (field, name) == ("workflow", ""):
        assert Principal(**names).account == "org/default/agent/clerk"
        return
    with pytest.raises(ConfigurationError, match=rf"(?s){field} name `.*` cannot be used"):
        Principal(**names)


def test_other_names_are_taken_as_they_are() -> None:
    assert (
        Principal(agent="Kundenbüro 7", workflow="a.b", org="x@y").account == "org/x@y/workflow/a.b/agent/Kundenbüro 7"
    )
