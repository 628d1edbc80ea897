"""Questions in words: what a person is told besides the call."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from openclaw.approvals import Approval
from openclaw.review.asks import background

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def question(request: dict[str, Any]) -> Approval:
    return Approval(
        id="ask-1",
        state="pending",
        seq=1,
        run="run-1",
        thread="t",
        agent="clerk",
        tool="pay",
        args_digest="sha256:00",
        request=request,
        requested_at=NOW,
        expires_at=NOW,
    )


def test_a_person_sees_for_whom_by_which_rule_and_what_is_not_trusted() -> None:
    principal = {"agent": "clerk", "chain": ["triage", "clerk"], "on_behalf_of": "ada"}
    origins = {
        "iban": {"seen_in": ["read_mail", "fetch"], "trust": "untrusted"},
        "amount": {"seen_in": ["prompt"], "trust": "trusted"},
        "note": {"seen_in": [], "trust": "unknown"},
    }
    asked = {"principal": principal, "flow": {"untrusted": True, "args": origins}}
    assert [*background(question({"rules": ["policies.pay.ask"], "input": asked}))] == [
        ("chain", "triage > clerk"),
        ("for", "ada"),
        ("rule", "policies.pay.ask"),
        ("untrusted", "iban, which came from read_mail, fetch"),
    ]


def test_what_was_read_is_said_where_no_argument_came_from_it() -> None:
    asked = {"principal": {"agent": "clerk", "chain": ["clerk"]}, "flow": {"untrusted": True, "args": {}}}
    assert [*background(question({"input": asked}))] == [
        ("untrusted", "something that was read in this run, though no argument came from it")
    ]


@pytest.mark.parametrize(
    "asked", [None, [], "x", {"principal": 1, "flow": 2}, {"flow": {"args": [1], "untrusted": "x"}}]
)
def test_a_question_of_another_shape_has_nothing_to_add(asked: Any) -> None:
    assert [*background(question({"input": asked, "rules": 3}))] == []
