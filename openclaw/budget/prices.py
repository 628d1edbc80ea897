"""Prices of model calls: one's own, else the list prices that ``genai-prices`` carries. Offline; unknown stays unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

import genai_prices
from pydantic import BaseModel, ConfigDict, Field

from openclaw.budget.amount import MICROUSD


class Price(BaseModel):
    """What a model costs, in USD per million tokens: ``Price(input="0.15", output="0.60")``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Decimal = Field(ge=0, allow_inf_nan=False)
    output: Decimal = Field(ge=0, allow_inf_nan=False)

    def cost_microusd(self, input_tokens: int, output_tokens: int) -> int:
        """The price of one call in micro-USD, rounded up: USD per million tokens is micro-USD per token."""
        return math.ceil(self.input * input_tokens + self.output * output_tokens)


class Prices:
    """What models cost. ``own`` names models whose price is known here and overrules the list."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = dict(own or {})

    def cost_microusd(self, model: str, provider: str, input_tokens: int, output_tokens: int) -> int | None:
        """The price of one call in micro-USD, rounded up; None where no price is known. Never 0 for unknown."""
        own = self._own.get(model)
        if own is not None:
            return own.cost_microusd(input_tokens, output_tokens)
        usage = genai_prices.Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        for provider_id in (provider or None, None):
            try:
                price = genai_prices.calc_price(usage, model_ref=model, provider_id=provider_id)
            except LookupError:
                continue
            return math.ceil(price.total_price * MICROUSD)
        return None
