"""What is counted: units, amounts of them, and the limits that a budget sets. All amounts are integers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

AMOUNT_MAX = 2**53 - 1
"""Largest amount of any unit: exact in JSON, in SQL and in every language that reads the log."""

MICROUSD = 1_000_000
"""Micro-USD in one US dollar."""

Unit = Literal["tokens", "input_tokens", "output_tokens", "calls", "microusd"]
UNITS: tuple[Unit, ...] = ("tokens", "input_tokens", "output_tokens", "calls", "microusd")
"""Total, input and output tokens; tool calls; money in micro-USD."""

Window = Literal["total", "hour", "day", "week", "month"]
WINDOWS: tuple[Window, ...] = ("total", "hour", "day", "week", "month")
"""How long a limit lasts before it starts afresh: never, or by the calendar in UTC, weeks from Monday."""


class Usage(BaseModel):
    """An amount of every unit: what a call holds, or what it used. ``tokens`` is the total of input and output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    input_tokens: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    output_tokens: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    calls: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    microusd: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)

    def amount(self, unit: Unit) -> int:
        """The amount of one unit."""
        return int(getattr(self, unit))

    def present(self) -> dict[str, int]:
        """The amounts that are not zero, by unit."""
        return {unit: self.amount(unit) for unit in UNITS if self.amount(unit)}


class Budget(BaseModel):
    """Limits on one account, per window. A unit without a limit is counted, not limited.

    Args:
        tokens: input plus output tokens of model calls.
        input_tokens: tokens sent to models.
        output_tokens: tokens that models wrote.
        calls: tool calls.
        usd: money for model calls, as text (``"1.50"``), integer or Decimal; never a float. Exact to a micro-USD.
        window: when the count starts afresh.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int | None = Field(default=None, ge=0, le=AMOUNT_MAX, strict=True)
    input_tokens: int | None = Field(default=None, ge=0, le=AMOUNT_MAX, strict=True)
    output_tokens: int | None = Field(default=None, ge=0, le=AMOUNT_MAX, strict=True)
    calls: int | None = Field(default=None, ge=0, le=AMOUNT_MAX, strict=True)
    usd: Decimal | None = None
    window: Window = "total"

    @field_validator("usd", mode="before")
    @classmethod
    def _exact(cls, value: object) -> Decimal | None:
        if value is None:
            return None
        if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
            raise ValueError(  # noqa: TRY004 - pydantic reports ValueError only
                'give money as text, such as usd="1.50": a float is not exact'
            )
        try:
            amount = Decimal(value)
        except InvalidOperation as error:
            raise ValueError(f"`{value}` is not an amount of money") from error
        if not amount.is_finite() or amount < 0 or amount * MICROUSD > AMOUNT_MAX:
            raise ValueError(f"`{value}` is not an amount of money that can be budgeted")
        if amount * MICROUSD % 1:
            raise ValueError(f"`{value}` is finer than a micro-USD")
        return amount

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not self.limits():
            raise ValueError("a budget limits at least one unit: tokens, input_tokens, output_tokens, calls or usd")
        return self

    def limits(self) -> dict[Unit, int]:
        """The limits that are set, by unit."""
        limits: dict[Unit, int] = {}
        for unit in UNITS:
            value = (
                getattr(self, unit) if unit != "microusd" else None if self.usd is None else int(self.usd * MICROUSD)
            )
            if value is not None:
                limits[unit] = value
        return limits


def opens_at(window: Window, now: dt.datetime) -> dt.datetime | None:
    """When the window that ``now`` lies in began; None for ``total``, which has no beginning."""
    day = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match window:
        case "total":
            return None
        case "hour":
            return now.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
        case "day":
            return day
        case "week":
            return day - dt.timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
