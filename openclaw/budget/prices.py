"""Prices of model calls: one's own, else the list prices that ``genai-prices`` carries. Offline; unknown stays unknown.

What was read from a provider's cache, and what was written to it, are parts of the input: they are never added to it, and have
prices of their own where there are any.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping
from decimal import Decimal
from functools import cache

import genai_prices
from genai_prices.types import PriceCalculation
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from openclaw.budget.amount import MICROUSD


class Price(BaseModel):
    """What a model costs, in USD per million tokens: ``Price(input="0.15", output="0.60", cached_input="0.075")``.

    Args:
        input: tokens sent.
        output: tokens written, reasoning among them.
        cached_input: tokens of the input that were read from the provider's cache; None for the price of input.
        cache_write: tokens of the input that were written to it; None for the price of input.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Decimal = Field(ge=0, allow_inf_nan=False)
    output: Decimal = Field(ge=0, allow_inf_nan=False)
    cached_input: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)
    cache_write: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)

    def cost_microusd(
        self, input_tokens: int, output_tokens: int, cached_tokens: int = 0, written_tokens: int = 0
    ) -> int:
        """The price of one call in micro-USD, rounded up: USD per million tokens is micro-USD per token."""
        cached, written = _parts(input_tokens, cached_tokens, written_tokens)
        read = self.input if self.cached_input is None else self.cached_input
        wrote = self.input if self.cache_write is None else self.cache_write
        fresh = input_tokens - cached - written
        return math.ceil(self.input * fresh + read * cached + wrote * written + self.output * output_tokens)


class Prices:
    """What models cost. ``own`` overrules the list, by a model's name or ``provider/name``; the latter goes first."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = dict(own or {})

    def cost_microusd(
        self,
        model: str,
        provider: str,
        input_tokens: int,
        output_tokens: int,
        *,
        cached_tokens: int = 0,
        written_tokens: int = 0,
    ) -> int | None:
        """The price of one call in micro-USD, rounded up; None where no price is known. Never 0 for unknown.

        Args:
            model: its name.
            provider: whose it is; the empty string if that is not known.
            input_tokens: all that was sent.
            output_tokens: all that was written.
            cached_tokens: of the input, what was read from the provider's cache.
            written_tokens: of the input, what was written to it.
        """
        own = self._own_of(model, provider)
        if own is not None:
            return own.cost_microusd(input_tokens, output_tokens, cached_tokens, written_tokens)
        cached, written = _parts(input_tokens, cached_tokens, written_tokens)
        listed = _listed(model, provider, input_tokens, output_tokens, cached, written)
        return None if listed is None else math.ceil(listed.total_price * MICROUSD)

    def source(self, model: str, provider: str) -> dict[str, JsonValue] | None:
        """Where the price of a model comes from, for the record: one's own with its amounts, or the list with its version
        and what it has found under that name; None where no price is known."""
        own = self._own_of(model, provider)
        if own is not None:
            amounts = own.model_dump(exclude_none=True)
            return {"source": "own", **{name: str(amount) for name, amount in amounts.items()}}
        found = _found(model, provider)
        return (
            None if found is None else {"source": f"genai-prices {_version()}", "provider": found[0], "model": found[1]}
        )

    def _own_of(self, model: str, provider: str) -> Price | None:
        return self._own.get(f"{provider}/{model}") or self._own.get(model)


def _parts(given: int, cached: int, written: int) -> tuple[int, int]:
    """Parts of the input, and no more than there is of it, whatever a provider reports."""
    cached = min(max(cached, 0), given)
    return cached, min(max(written, 0), given - cached)


def _listed(model: str, provider: str, given: int, produced: int, cached: int, written: int) -> PriceCalculation | None:
    parts = {"cache_read_tokens": cached} if cached else {}
    parts |= {"cache_write_tokens": written} if written else {}
    usage = genai_prices.Usage(input_tokens=given, output_tokens=produced, **parts)
    for provider_id in (provider or None, None):
        try:
            return genai_prices.calc_price(usage, model_ref=model, provider_id=provider_id)
        except LookupError:
            continue
    return None


@cache
def _found(model: str, provider: str) -> tuple[str, str] | None:
    listed = _listed(model, provider, 1, 1, 0, 0)
    return None if listed is None else (str(listed.provider.id), str(listed.model.id))


@cache
def _version() -> str:
    return importlib.metadata.version("genai-prices")
