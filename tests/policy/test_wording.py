"""Answers to single values, in words."""

from __future__ import annotations

import pytest

from openclaw.decision import Effect
from openclaw.policy.samples import ABSENT, Value
from openclaw.policy.wording import Answered, conditions, shown_args

A, K, D = Effect.ALLOW, Effect.ASK, Effect.DENY


def said(*answers: tuple[Value, Effect], texts: tuple[str, ...] = ()) -> dict[Effect, str]:
    return conditions("x", [Answered(value, effect, made_up=value == "some x") for value, effect in answers], texts)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([(1, A), (100, A), (101, K), (1000, K), (1001, D)], {A: "x ≤ 100", K: "100 < x ≤ 1000", D: "x > 1000"}),
        ([(0, A), (49, A), (50, D)], {A: "x < 50", D: "x ≥ 50"}),
        ([(-0.01, D), (0, A)], {D: "x < 0", A: "x ≥ 0"}),
        ([(-1, D), (0, A), (10, A), (11, D)], {D: "x < 0 or x > 10", A: "0 ≤ x ≤ 10"}),
        ([(12, A), (13, D), (14, A)], {A: "x ≤ 12 or x > 13", D: "x is 13"}),
        ([(1, A), (2, A)], {A: "x is a number"}),
        ([("EUR", A), ("USD", A), ("some x", D)], {A: 'x is "EUR" or "USD"', D: 'x is none of "EUR", "USD"'}),
        ([("GBP", D), ("some x", A)], {D: 'x is "GBP"', A: 'x is not "GBP"'}),
        ([("a", A), ("b", D)], {A: 'x is "a"', D: 'x is "b"'}),
        ([(ABSENT, D), (None, D), (True, A)], {D: "x is null or x is absent", A: "x is true"}),
        ([("some x", A), (1, D)], {A: "x is a text", D: "x is a number"}),
    ],
)
def test_conditions(answers: list[tuple[Value, Effect]], words: dict[Effect, str]) -> None:
    assert said(*answers) == words


def test_what_texts_start_with_is_said_where_a_rule_names_it() -> None:
    answers: list[tuple[Value, Effect]] = [("/srv", A), ("/srv/x", A), ("some x", D), ("", D)]
    assert said(*answers, texts=("/srv",)) == {A: 'x starts with "/srv"', D: 'x does not start with "/srv"'}
    assert said(*answers) == {A: 'x is "/srv" or "/srv/x"', D: 'x is none of "/srv", "/srv/x"'}
    assert "starts" not in said(*answers, ("/srvx", D), texts=("/srv",))[A]


def test_many_and_long_values_are_cut() -> None:
    assert said(*((f"v{at}", D) for at in range(9)), ("some x", A))[D] == 'x is "v0", "v1", "v2", "v3", … (9 values)'
    assert shown_args({"a": "y" * 90, "b": ABSENT}) == f'a = "{"y" * 38}…, b is absent'
