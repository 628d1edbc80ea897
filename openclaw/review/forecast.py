"""When budgets run out: a straight line with its spread, and no line at all where there is too little to draw one from."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from openclaw.budget import Balance, Unit
from openclaw.budget.amount import opens_at
from openclaw.budget.pace import Pace

PERIODS = 28
"""Into how many periods the time that is looked back on is cut."""

PERIODS_MIN, MOVEMENTS_MIN = 4, 8
"""Fewer periods in which something was spent, or fewer movements, are too little to go by."""

METHOD = (
    f"a straight line: the mean of what was posted in {PERIODS} equal periods (from the first with any) goes on from"
    " now; earliest and latest are the same line with two standard errors of that mean more and less; what is held counts as"
    f" spent; nothing is said of accounts with fewer than {MOVEMENTS_MIN} movements in it, or {PERIODS_MIN} periods with any"
)

Verdict = Literal["over", "runs out", "may run out", "lasts", "idle", "too little data"]
"""``over``: nothing is left. ``may run out``: in its window only at the faster pace. ``lasts``: not in this window, or ever."""


class Forecast(BaseModel):
    """What becomes of one limit of an account, by ``METHOD``.

    ``per_day`` is the mean pace, rounded. The moments are None where the line never gets there, or the window starts afresh
    before it does; ``latest`` alone is None where the slower pace is enough to last.
    """

    model_config = ConfigDict(frozen=True)

    account: str
    window: str
    unit: Unit
    limit: int
    left: int
    verdict: Verdict
    per_day: int | None = None
    earliest: dt.datetime | None = None
    runs_out_at: dt.datetime | None = None
    latest: dt.datetime | None = None


def forecasts(balances: Iterable[Balance], known: Mapping[str, Pace], now: dt.datetime) -> list[Forecast]:
    """What becomes of every limit of these accounts. ``known`` is how fast they have spent, by their paths."""
    return [
        _forecast(balance, unit, limit, known.get(balance.account), now)
        for balance in balances
        for unit, limit in balance.limits.items()
    ]


def _forecast(balance: Balance, unit: Unit, limit: int, pace: Pace | None, now: dt.datetime) -> Forecast:
    fresh = balance.opens_at is not None and balance.opens_at < _opened(
        balance, now
    )  # nothing was spent in this window
    left = limit if fresh else balance.remaining[unit]
    made = Forecast(
        account=balance.account, window=balance.window, unit=unit, limit=limit, left=left, verdict="too little data"
    )
    if left <= 0:
        return made.model_copy(update={"verdict": "over", "runs_out_at": now})
    posted = [period.get(unit, 0) for period in pace.posted] if pace is not None else []
    if not any(posted):
        return made.model_copy(update={"verdict": "idle"})
    assert pace is not None
    if pace.movements < MOVEMENTS_MIN or sum(amount > 0 for amount in posted) < PERIODS_MIN:
        return made
    mean, error = statistics.fmean(posted), statistics.stdev(posted) / math.sqrt(len(posted))
    fast, middle, slow = (
        _reaches(balance, left, each, pace.seconds, now) for each in (mean + 2 * error, mean, mean - 2 * error)
    )
    verdict: Verdict = "runs out" if middle else "may run out" if fast else "lasts"
    changes = {"earliest": fast, "runs_out_at": middle, "latest": slow if middle else None}
    return made.model_copy(update={"verdict": verdict, "per_day": round(mean * 86_400 / pace.seconds), **changes})


def _reaches(balance: Balance, left: int, each: float, seconds: int, now: dt.datetime) -> dt.datetime | None:
    """When ``left`` is spent at so much in a period; None if the window is over before, or never."""
    if each <= 0:
        return None
    try:
        at = now + dt.timedelta(seconds=math.ceil(left / each * seconds))
    except OverflowError:  # beyond the calendar
        return None
    return at if _opened(balance, at) == _opened(balance, now) else None


def _opened(balance: Balance, at: dt.datetime) -> dt.datetime:
    return opens_at(balance.window, at, balance.zone) or dt.datetime.min.replace(tzinfo=dt.UTC)


__all__ = ["METHOD", "PERIODS", "Forecast", "Verdict", "forecasts"]
