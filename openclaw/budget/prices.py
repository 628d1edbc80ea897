"""Prices of model calls, from the data that the ``genai-prices`` package carries. Offline; unknown stays unknown."""

from __future__ import annotations

import math

import genai_prices

from openclaw.budget.amount import MICROUSD


def cost_microusd(model: str, provider: str, input_tokens: int, output_tokens: int) -> int | None:
    """The list price of one call in micro-USD, rounded up; None where no price is known. Never 0 for unknown."""
    usage = genai_prices.Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    for provider_id in (provider or None, None):
        try:
            price = genai_prices.calc_price(usage, model_ref=model, provider_id=provider_id)
        except LookupError:
            continue
        return math.ceil(price.total_price * MICROUSD)
    return None
