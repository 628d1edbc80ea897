"""What was spent as rows for spreadsheets: one for each group of a report."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from openclaw.budget import UNITS, Unit
from openclaw.budget.amount import MICROUSD
from openclaw.review.costs import CostReport

_COUNTS = ("actions", "done", "approved", "runs", "completed_runs", "unpriced", "estimated")
_UNITS: tuple[Unit, ...] = tuple(unit for unit in UNITS if unit != "microusd")
_ENERGY = ("mwh_least", "mwh_most", "co2e_mg_least", "co2e_mg_most", "energy_unknown")
_EACH = ("completed_run", "approved_action", "action")


def columns(report: CostReport) -> list[str]:
    """The names of the columns: what groups are made by, counts, units, and money in US dollars."""
    figures = [*_COUNTS, *_UNITS, "usd", *(f"usd_per_{each}" for each in _EACH), "tokens_per_action", *_ENERGY]
    # A label may be called like a figure, and no two columns may.
    return [f"label_{report.by}" if report.by in figures else report.by, *figures]


def rows(report: CostReport) -> Iterator[list[JsonValue]]:
    """A row for each group. Money is exact to a micro-USD; what is per something that there is none of is empty."""
    for group in report.groups:
        counts = (getattr(group, name) for name in _COUNTS)
        amounts = (group.used[unit] for unit in _UNITS)
        each = (dollars(getattr(group, f"microusd_per_{name}")) for name in _EACH)
        yield [
            group.name,
            *counts,
            *amounts,
            dollars(group.used["microusd"]),
            *each,
            group.tokens_per_action,
            *(group.mwh or (None, None)),
            *(group.co2e_mg or (None, None)),
            group.energy_unknown,
        ]


def dollars(microusd: int | None) -> str | None:
    """Micro-USD as a decimal number of dollars, ``1.500000``."""
    return None if microusd is None else f"{microusd // MICROUSD}.{microusd % MICROUSD:06d}"


__all__ = ["columns", "dollars", "rows"]
