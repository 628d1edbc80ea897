"""Prices come from data on this machine; what has no known price has none, never zero."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from openclaw.budget.prices import Price, Prices

cost_microusd = Prices().cost_microusd


def test_a_known_model_has_its_list_price() -> None:
    assert cost_microusd("gpt-4o", "openai", 1_000, 100) == 3_500  # $2.50 and $10.00 per million tokens


def test_a_fraction_of_a_micro_usd_is_rounded_up() -> None:
    assert cost_microusd("gpt-4o", "openai", 1, 0) == 3


def test_an_unknown_provider_does_not_hide_a_known_model() -> None:
    assert cost_microusd("gpt-4o", "some-proxy", 1_000, 100) == 3_500


def test_an_unknown_model_has_no_price() -> None:
    assert cost_microusd("no-such-model-9", "nobody", 1_000, 100) is None


def test_ones_own_price_overrules_the_list() -> None:
    prices = Prices({"gpt-4o": Price(input="1", output="2.5"), "mine": Price(input="0.15", output="0.60")})  # type: ignore[arg-type]
    assert prices.cost_microusd("gpt-4o", "openai", 1_000, 100) == 1_250
    assert prices.cost_microusd("mine", "", 1, 1) == 1
    assert prices.cost_microusd("other", "", 1, 1) is None


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity", "x"])
def test_what_is_no_price_is_refused(amount: str) -> None:
    with pytest.raises(ValidationError):
        Price(input=amount, output="0")  # type: ignore[arg-type]
