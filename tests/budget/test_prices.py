"""Prices come from data on this machine; what has no known price has none, never zero."""

from __future__ import annotations

import importlib.metadata

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


def test_what_was_cached_is_a_part_of_the_input_and_has_its_own_price() -> None:
    # $2.50, $1.25 and $10.00 per million tokens of input, cached input and output.
    assert cost_microusd("gpt-4o", "openai", 1_000, 100, cached_tokens=600) == 2_750
    own = Prices({"mine": Price(input="2", output="10", cached_input="0.5", cache_write="2.5")})  # type: ignore[arg-type]
    assert own.cost_microusd("mine", "", 1_000, 100) == 3_000
    assert own.cost_microusd("mine", "", 1_000, 100, cached_tokens=600) == 2_100
    assert own.cost_microusd("mine", "", 1_000, 100, cached_tokens=600, written_tokens=400) == 2_300


def test_without_a_price_of_its_own_what_was_cached_costs_what_input_costs() -> None:
    own = Prices({"mine": Price(input="2", output="10")})  # type: ignore[arg-type]
    assert own.cost_microusd("mine", "", 1_000, 100, cached_tokens=600, written_tokens=100) == 3_000


def test_no_more_is_cached_than_was_sent_whatever_is_reported() -> None:
    own = Prices({"mine": Price(input="2", output="10", cached_input="1")})  # type: ignore[arg-type]
    assert own.cost_microusd("mine", "", 100, 0, cached_tokens=5_000, written_tokens=5_000) == 100
    assert own.cost_microusd("mine", "", 100, 0, cached_tokens=-5) == 200
    assert cost_microusd("gpt-4o", "openai", 100, 0, cached_tokens=5_000) == 125


def test_a_price_can_be_that_of_one_provider() -> None:
    prices = Prices({"azure/gpt-4o": Price(input="1", output="1"), "gpt-4o": Price(input="9", output="9")})  # type: ignore[arg-type]
    assert prices.cost_microusd("gpt-4o", "azure", 10, 0) == 10
    assert prices.cost_microusd("gpt-4o", "openai", 10, 0) == 90


def test_the_source_of_a_price_is_told_with_its_version() -> None:
    version = importlib.metadata.version("genai-prices")
    listed = {"source": f"genai-prices {version}", "provider": "openai", "model": "gpt-4o"}
    assert Prices().source("gpt-4o-2024-08-06", "some-proxy") == listed
    own = Prices({"gpt-4o": Price(input="1.50", output="6", cached_input="0.75")})  # type: ignore[arg-type]
    assert own.source("gpt-4o", "openai") == {"source": "own", "input": "1.50", "output": "6", "cached_input": "0.75"}
    assert Prices().source("no-such-model-9", "nobody") is None
