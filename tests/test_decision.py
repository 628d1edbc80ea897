"""What an engine answers: a decision is given to many callers, so nothing of it can be changed."""

from __future__ import annotations

import copy
import pickle
from typing import cast

import pytest
from pydantic import ValidationError

from openclaw.decision import Decision, Obligation

DUTY = {"kind": "mask", "fields": ["args.iban"], "deep": {"a": [{"b": [1]}]}, "level": "full", "none": None}


def spoil(value: object) -> None:
    """Changes all that can be changed of a value."""
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        for member in members.values():
            spoil(member)
        members["spoilt"] = True
    elif isinstance(value, list):
        items = cast("list[object]", value)
        for item in items:
            spoil(item)
        items.append("spoilt")


def test_what_a_caller_does_to_a_parameter_reaches_nobody_else() -> None:
    duty = Obligation.model_validate(copy.deepcopy(DUTY))
    spoil(duty.params)
    spoil(duty.model_extra)
    spoil(dict(duty))
    spoil(duty.model_dump())
    for name in DUTY.keys() - {"kind"}:
        spoil(getattr(duty, name))
    for same in (duty, copy.copy(duty), copy.deepcopy(duty), pickle.loads(pickle.dumps(duty))):
        assert same == Obligation.model_validate(DUTY)
        assert same.model_dump() == dict(same) == {**same.params, "kind": "mask"} == DUTY


def test_neither_a_decision_nor_an_obligation_takes_another_value() -> None:
    decision = Decision.model_validate({"effect": "allow", "obligations": [DUTY]})
    with pytest.raises(ValidationError, match="frozen"):
        decision.effect = "deny"  # type: ignore[assignment,misc]
    with pytest.raises(ValidationError, match="frozen"):
        decision.obligations[0].kind = "audit"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        setattr(decision.obligations[0], "fields", [])  # noqa: B010


def test_a_parameter_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        getattr(Obligation(kind="mask"), "nothing")  # noqa: B009
    assert not hasattr(Obligation(kind="mask"), "nothing")
