"""Soft limits: what happens on the way to a limit, before it stops anything. All thresholds are percent of a limit that are used.

What is used is what is posted and held on the account of the path, in the window and unit, of which the greatest part is used.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from openclaw.budget.amount import Unit, Window

Stage = Literal["warn", "cheaper", "shorten"]
"""Warn; call a cheaper model; ask for shorter answers."""

STAGES: tuple[Stage, ...] = ("warn", "cheaper", "shorten")

RESERVE_MAX = 1_000_000
"""Most tokens that can be kept for a last answer."""


class Soft(BaseModel):
    """How an agent degrades before its budgets stop it.

    Args:
        warn: from so many percent on, an entry, a callback, and ``warn`` in the policy's ``input.budget.soft``.
        cheaper: from so many percent on, the agent's ``cheaper`` model is called.
        shorten: from so many percent on, answers have at most ``shorten_tokens`` tokens, where the model can be told.
        reserve_tokens: tokens of output, with the input of one more call, that only the agent's last answer may use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    warn: int | None = Field(default=None, ge=1, le=100, strict=True)
    cheaper: int | None = Field(default=None, ge=1, le=100, strict=True)
    shorten: int | None = Field(default=None, ge=1, le=100, strict=True)
    shorten_tokens: int = Field(default=256, ge=1, le=RESERVE_MAX, strict=True)
    reserve_tokens: int = Field(default=0, ge=0, le=RESERVE_MAX, strict=True)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.reserve_tokens and all(self.threshold(stage) is None for stage in STAGES):
            raise ValueError("a soft limit says at least one of warn, cheaper, shorten and reserve_tokens")
        return self

    def threshold(self, stage: Stage) -> int | None:
        """From which percentage on a stage holds; None where it never does."""
        match stage:
            case "warn":
                return self.warn
            case "cheaper":
                return self.cheaper
            case "shorten":
                return self.shorten

    def stages(self, percent: int) -> tuple[Stage, ...]:
        """What holds when ``percent`` of a limit is used."""
        return tuple(stage for stage in STAGES if (at := self.threshold(stage)) is not None and percent >= at)


class Use(BaseModel):
    """How much of the limit of one unit is used in one window of an account; ``percent`` is rounded down."""

    model_config = ConfigDict(frozen=True)

    account: str
    window: Window
    opens_at: dt.datetime | None
    unit: Unit
    limit: int
    used: int

    @property
    def percent(self) -> int:
        """Used in percent of the limit; 100 of a limit of nothing."""
        return self.used * 100 // self.limit if self.limit else 100


__all__ = ["STAGES", "Soft", "Stage", "Use"]
