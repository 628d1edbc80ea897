"""A provider's invoice set against the log, for each model and day: what one says and the other does not."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

from openclaw.review.invoice import INVOICE_UNITS, Cell, Invoice, InvoiceUnit, Shape
from openclaw.review.spending import Spent

_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")
"""The end of a model's name by which a provider tells its versions: ``gpt-4o-2024-08-06``."""

Kind = Literal["differs", "only in the invoice", "only in the log"]


class Mismatch(BaseModel):
    """One amount that is not the same. ``over`` is the invoice less the log. ``unpriced`` and ``estimated`` are calls."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    day: dt.date
    model: str
    unit: InvoiceUnit
    invoice: int
    log: int
    over: int
    unpriced: int
    estimated: int


class Reconciliation(BaseModel):
    """What was compared, and what differs. ``cells`` are the days and models of either side."""

    model_config = ConfigDict(frozen=True)

    shape: Shape
    since: dt.date
    until: dt.date
    cells: int
    units: tuple[InvoiceUnit, ...]
    invoice: dict[InvoiceUnit, int]
    log: dict[InvoiceUnit, int]
    differences: tuple[Mismatch, ...]

    @property
    def agrees(self) -> bool:
        """Nothing differs."""
        return not self.differences


@dataclass(slots=True)
class _Used:
    amounts: dict[InvoiceUnit, int] = field(default_factory=lambda: dict.fromkeys(INVOICE_UNITS, 0))
    calls: int = 0
    unpriced: int = 0
    estimated: int = 0


def reconcile(
    invoice: Invoice,
    found: Iterable[Spent],
    *,
    aliases: Mapping[str, str] | None = None,
    provider: str | None = None,
    tolerance: Decimal = Decimal(0),
) -> Reconciliation:
    """Compare an invoice with what was spent, on the days from its first to its last.

    A model is the same if its name is, or if the invoice's name is the log's with a version's date behind it; ``aliases`` say
    what else is (the invoice's name → the log's). Where an invoice has titles for names, versions of a model are one.

    Args:
        found: what was spent; what lies on other days, or is no model call, is left out here.
        provider: only models of this provider in the log. None: of those that the invoice names, or of all if the log has none
            of them.
        tolerance: a difference of up to this part of the invoice's amount is none (0.01 is 1 %). Money may besides differ by a
            micro-USD for each call, because the ledger rounds each up, and by what the invoice's own lines are rounded.
    """
    days = {day for day, _ in invoice.cells}
    since, until = min(days), max(days)
    providers = {provider.casefold()} if provider else invoice.providers
    used = _used(found, since, until, providers, strict=provider is not None, folded=invoice.titles)
    told, rounded = _told(invoice, {model for _, model in used}, aliases or {})
    differences = [
        mismatch
        for cell in sorted(used.keys() | told.keys())
        for unit in invoice.units
        if (mismatch := _compare(cell, unit, told.get(cell), used.get(cell), tolerance, rounded[cell])) is not None
    ]
    return Reconciliation(
        shape=invoice.shape,
        since=since,
        until=until,
        cells=len(used.keys() | told.keys()),
        units=invoice.units,
        invoice={unit: _whole(sum((cell[unit] for cell in told.values()), Decimal(0))) for unit in invoice.units},
        log={unit: sum(cell.amounts[unit] for cell in used.values()) for unit in invoice.units},
        differences=tuple(differences),
    )


def _used(
    found: Iterable[Spent], since: dt.date, until: dt.date, providers: set[str], *, strict: bool, folded: bool
) -> dict[Cell, _Used]:
    """What the log has of these days, of some providers; if it has nothing of them and need not, of all. ``folded``: versions
    of a model are one."""
    of: dict[bool, dict[Cell, _Used]] = {True: {}, False: {}}
    for spent in found:
        day = spent.at.astimezone(dt.UTC).date()
        if spent.kind != "model" or not since <= day <= until:
            continue
        name = _folded(spent.name) if folded else spent.name
        used = of[spent.provider.casefold() in providers].setdefault((day, name), _Used())
        if not spent.again:
            used.calls += 1
            used.unpriced += not spent.priced
            used.estimated += spent.estimated
        for unit in INVOICE_UNITS:
            used.amounts[unit] += spent.used.get(unit, 0)
    return of[True] if of[True] or strict else of[False]


def _told(
    invoice: Invoice, known: set[str], aliases: Mapping[str, str]
) -> tuple[dict[Cell, dict[InvoiceUnit, Decimal]], defaultdict[Cell, Decimal]]:
    """What the invoice says, under the names that the log has for its models; and by how much its money may be rounded."""
    told: dict[Cell, dict[InvoiceUnit, Decimal]] = {}
    rounded: defaultdict[Cell, Decimal] = defaultdict(Decimal)
    for (day, model), amounts in invoice.cells.items():
        named = _folded(aliases.get(model, model)) if invoice.titles else _name(model, known, aliases)
        cell = told.setdefault((day, named), dict.fromkeys(invoice.units, Decimal(0)))
        for unit, amount in amounts.items():
            cell[unit] += amount
        rounded[day, named] += invoice.rounded.get((day, model), Decimal(0))
    return told, rounded


def _folded(name: str) -> str:
    """One name for a title and all versions: of ``Claude Haiku 4.5`` and ``claude-haiku-4-5-20251001``, ``claude-haiku-4-5``."""
    return _SNAPSHOT.sub("", name.casefold().replace(" ", "-").replace(".", "-"))


def _name(model: str, known: set[str], aliases: Mapping[str, str]) -> str:
    name = aliases.get(model, model)
    if name in known:
        return name
    shorter = _SNAPSHOT.sub("", name)
    return shorter if shorter in known else name


def _compare(
    cell: Cell,
    unit: InvoiceUnit,
    told: Mapping[InvoiceUnit, Decimal] | None,
    used: _Used | None,
    tolerance: Decimal,
    rounded: Decimal,
) -> Mismatch | None:
    exact, log = told[unit] if told is not None else Decimal(0), used.amounts[unit] if used is not None else 0
    rounding = rounded + (used.calls if used is not None else 0) if unit == "microusd" else Decimal(0)
    if abs(exact - log) <= max(abs(exact) * tolerance, rounding):
        return None
    invoice = _whole(exact)
    return Mismatch(
        kind="only in the log" if told is None else "only in the invoice" if used is None else "differs",
        day=cell[0],
        model=cell[1],
        unit=unit,
        invoice=invoice,
        log=log,
        over=invoice - log,
        unpriced=used.unpriced if used is not None else 0,
        estimated=used.estimated if used is not None else 0,
    )


def _whole(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_HALF_EVEN))


__all__ = ["Kind", "Mismatch", "Reconciliation", "reconcile"]
