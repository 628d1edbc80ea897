"""Prices come from data on this machine; what has no known price has none, never zero."""

from __future__ import annotations

from openclaw.budget.prices import cost_microusd


def test_a_known_model_has_its_list_price() -> None:
    assert cost_microusd("gpt-4o", "openai", 1_000, 100) == 3_500  # $2.50 and $10.00 per million tokens


def test_a_fraction_of_a_micro_usd_is_rounded_up() -> None:
    assert cost_microusd("gpt-4o", "openai", 1, 0) == 3


def test_an_unknown_provider_does_not_hide_a_known_model() -> None:
    assert cost_microusd("gpt-4o", "some-proxy", 1_000, 100) == 3_500


def test_an_unknown_model_has_no_price() -> None:
    assert cost_microusd("no-such-model-9", "nobody", 1_000, 100) is None
