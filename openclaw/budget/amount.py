"""What is counted: units, amounts of them, and the limits that a budget sets. All amounts are integers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Literal, Self, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

AMOUNT_MAX = 2**53 - 1
"""Largest amount of any unit: exact in JSON, in SQL and in every language that reads the log."""

MICROUSD = 1_000_000
"""Micro-USD in one US dollar."""

MILLISECONDS = 1_000
"""Milliseconds in one second."""

Unit = Literal["tokens", "input_tokens", "output_tokens", "calls", "microusd", "milliseconds", "mwh"]
UNITS: tuple[Unit, ...] = ("tokens", "input_tokens", "output_tokens", "calls", "microusd", "milliseconds", "mwh")
"""Total, input and output tokens; tool calls; money in micro-USD; wall-clock time of calls; energy in milliwatt-hours."""

Window = Literal["total", "run", "hour", "day", "week", "month"]
WINDOWS: tuple[Window, ...] = ("total", "run", "hour", "day", "week", "month")
"""How long a limit lasts before it starts afresh: never, with each run, or by the calendar of a time zone, weeks from Monday."""

UTC = "UTC"


class Usage(BaseModel):
    """An amount of every unit: what a call holds, or what it used. ``tokens`` is the total of input and output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    input_tokens: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    output_tokens: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    calls: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    microusd: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    milliseconds: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)
    mwh: int = Field(default=0, ge=0, le=AMOUNT_MAX, strict=True)

    def amount(self, unit: Unit) -> int:
        """The amount of one unit."""
        return int(getattr(self, unit))

    def text(self) -> str:
        """``present`` as JSON."""
        # By hand: names of units need no escapes, and this is written several times in every governed call.
        return "{" + ", ".join([f'"{name}": {amount}' for name, amount in self.__dict__.items() if amount]) + "}"

    def present(self) -> dict[str, int]:
        """The amounts that are not zero, by unit."""
        # Its fields are the units, in their order: this is asked several times in every governed call.
        return {name: amount for name, amount in self.__dict__.items() if amount}


class Budget(BaseModel):
    """Limits on one account, per window. A unit without a limit is counted, not limited.

    Args:
        tokens: input plus output tokens of model calls.
        input_tokens: tokens sent to models.
        output_tokens: tokens that models wrote.
        calls: tool calls.
        usd: money for model calls, as text (``"1.50"``), integer or Decimal; never a float. Exact to a micro-USD.
        seconds: wall-clock time of calls, of tools and of models, each by itself: of two that run side by side both count.
        mwh: energy of model calls in milliwatt-hours, the most that it may be by ``Energy``.
        window: when the count starts afresh.
        zone: the time zone whose calendar says so, such as ``"Europe/Berlin"`` (IANA time zone database).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int | None = Field(default=None, ge=0, le=AMOUNT_MAX, strict=True)
    input_tokens: int | None = Field(default=None, ge=0, le=AMOUNT_MAX, strict=True)
    output_tokens: int | None = Field(default=None, ge=0, le=AMOUNT_MAX, strict=True)
    calls: int | None = Field(default=None, ge=0, le=AMOUNT_MAX, strict=True)
    usd: Decimal | None = None
    seconds: int | None = Field(default=None, ge=0, le=AMOUNT_MAX // MILLISECONDS, strict=True)
    mwh: int | None = Field(default=None, ge=0, le=AMOUNT_MAX, strict=True)
    window: Window = "total"
    zone: str = UTC

    @field_validator("zone")
    @classmethod
    def _known(cls, name: str) -> str:
        zone_of(name)
        return name

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
            raise ValueError(
                "a budget limits at least one unit: tokens, input_tokens, output_tokens, calls, usd, seconds or mwh"
            )
        if self.window in ("total", "run") and self.zone != UTC:
            raise ValueError(
                f"a {self.window} does not start afresh by the calendar, so zone `{self.zone}` says nothing; a window of an"
                " hour, day, week or month has one"
            )
        return self

    @property
    def calendar(self) -> str:
        """Window and zone in one text, as accounts are stored: ``day``, ``day Europe/Berlin``."""
        return self.window if self.zone == UTC else f"{self.window} {self.zone}"

    @property
    def words(self) -> str:
        """The limits and their window in words, for messages."""
        limits = ", ".join(f"{unit} {amount}" for unit, amount in self.limits().items())
        return f"`{limits}` of `{self.calendar}`"

    def limits(self) -> dict[Unit, int]:
        """The limits that are set, by unit."""
        limits: dict[Unit, int] = {}
        for unit in UNITS:
            value: int | None
            match unit:
                case "microusd":
                    value = None if self.usd is None else int(self.usd * MICROUSD)
                case "milliseconds":
                    value = None if self.seconds is None else self.seconds * MILLISECONDS
                case _:
                    value = getattr(self, unit)
            if value is not None:
                limits[unit] = value
        return limits


def closes_at(window: Window, began: dt.datetime, zone: str = UTC) -> dt.datetime:
    """When a window of the calendar that began at ``began`` ends, in UTC."""
    beyond = {"hour": dt.timedelta(minutes=90), "day": dt.timedelta(hours=36), "week": dt.timedelta(days=10)}
    found = opens_at(window, began + beyond.get(window, dt.timedelta(days=45)), zone)
    assert found is not None, "INVARIANT: only windows of the calendar end"
    return found


def zone_of(name: str) -> dt.tzinfo:
    """The time zone of that name.

    Raises:
        ValueError: there is none, or this machine does not know it.
    """
    if name == UTC:
        return dt.UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"`{name}` is no time zone that is known here; expected a name such as `Europe/Berlin` (`pip install tzdata` "
            "where the machine has none)"
        ) from error


def parts_of(calendar: str) -> tuple[Window, str]:
    """Window and zone of ``Budget.calendar``."""
    window, _, zone = calendar.partition(" ")
    return cast("Window", window), zone or UTC


def opens_at(window: Window, now: dt.datetime, zone: str = UTC) -> dt.datetime | None:
    """When the window that ``now`` lies in began, in UTC; None for ``total`` and ``run``, which no calendar begins.

    Where a clock is put forward over midnight, the day begins at the first moment that there is.
    """
    if window in ("total", "run"):
        return None
    local = now.astimezone(zone_of(zone))
    hour = local.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0, fold=0)
    match window:
        case "hour":
            opened = hour
        case "day":
            opened = day
        case "week":
            opened = day - dt.timedelta(days=day.weekday())
        case "month":
            opened = day.replace(day=1)
    return opened.astimezone(dt.UTC)
