"""A provider's invoice or usage export, as CSV: what it says was used of each model on each day. Told by its columns.

Shapes, and what makes them:

- ``openai usage``: usage of completions, exported from OpenAI's usage page; cached input is part of ``input_tokens``
- ``openai costs``: costs by line item, exported from the same place; ``line_item`` begins with the model
- ``anthropic usage``: exported from Anthropic's console; what was read from and written to its cache is input
- ``anthropic costs``: exported from the same place; a line is a kind of token of a model, which is called by its title ("Claude
  Haiku 4.5"), and is rounded to a cent; what is not of tokens (searches, code that ran there) is called by its kind
- ``focus``: rows of FOCUS 1.0 to 1.2, by whomever; the model is the resource, or else the SKU
- ``simple``: ``date`` and ``model``, and any of ``provider``, ``input_tokens``, ``output_tokens``, ``tokens``, ``usd``

Other columns are not looked at. Days are UTC. Amounts of one day and model are added up, negative ones (credits) too.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, TypeAlias

from openclaw.budget.amount import AMOUNT_MAX, MICROUSD
from openclaw.errors import ConfigurationError
from openclaw.review.focus import NO_PROVIDER

Shape = Literal["openai usage", "openai costs", "anthropic usage", "anthropic costs", "focus", "simple"]
InvoiceUnit = Literal["input_tokens", "output_tokens", "tokens", "microusd"]
INVOICE_UNITS: tuple[InvoiceUnit, ...] = ("input_tokens", "output_tokens", "tokens", "microusd")
Cell: TypeAlias = tuple[dt.date, str]
"""A day and a model."""

YEAR_MIN, YEAR_MAX = 2000, 9000
"""Nobody has had an invoice for other years; and days of these can be counted on from."""

CENT = Decimal(10_000)
"""A cent in micro-USD."""

_ANTHROPIC_INPUT = ("no_cache", "cache_write_5m", "cache_write_1h", "cache_write", "cache_read")
_NAMED: dict[InvoiceUnit, str] = {unit: "usd" if unit == "microusd" else unit for unit in INVOICE_UNITS}


@dataclass(slots=True)
class Invoice:
    """What a file says. ``units`` are those that it speaks of; ``providers`` those that it names, in lower case.

    ``rounded`` is by how many micro-USD the money of a cell may be off, because its lines are rounded to a cent each.
    """

    shape: Shape
    units: tuple[InvoiceUnit, ...]
    providers: set[str] = field(default_factory=set[str])
    cells: dict[Cell, dict[InvoiceUnit, Decimal]] = field(default_factory=dict[Cell, dict[InvoiceUnit, Decimal]])
    rounded: dict[Cell, Decimal] = field(default_factory=dict[Cell, Decimal])

    @property
    def titles(self) -> bool:
        """Whether models are called by titles, "Claude Haiku 4.5", and not by the names that they are called with."""
        return self.shape == "anthropic costs"

    def add(self, day: dt.date, model: str, amounts: Mapping[InvoiceUnit, Decimal]) -> None:
        """Add the amounts of one line."""
        cell = self.cells.setdefault((day, model), dict.fromkeys(self.units, Decimal(0)))
        for unit, amount in amounts.items():
            cell[unit] += amount


class _Line:
    """One line of the file, which says where it is when there is something wrong with it."""

    def __init__(self, path: Path, number: int, cells: Mapping[str, str]) -> None:
        self._where = f"{path}:{number}"
        self.cells = cells

    def text(self, *names: str) -> str:
        """The first of these columns that has something in it."""
        return next((found for name in names if (found := (self.cells.get(name) or "").strip())), "")

    def amount(self, name: str) -> Decimal:
        """A number; an empty cell is 0."""
        said = self.text(name)
        try:
            amount = Decimal(said or 0)
        except InvalidOperation:
            raise self.error(f"`{said}` in `{name}` is no number") from None
        if not amount.is_finite() or abs(amount) > AMOUNT_MAX:
            raise self.error(f"`{said}` in `{name}` is no amount")
        return amount

    def money(self, name: str, currency: str = "") -> Decimal:
        """US dollars as micro-USD."""
        said = self.text(currency) if currency else ""
        if said and said.casefold() != "usd":
            raise self.error(f"`{said}` is not USD: the ledger counts in US dollars")
        return self.amount(name) * MICROUSD

    def day(self, name: str) -> dt.date:
        """A date, or a time of which the date in UTC is meant; seconds since 1970 too."""
        said = self.text(name)
        try:
            if said.isdigit() and len(said) > 8:
                day = dt.datetime.fromtimestamp(int(said), dt.UTC).date()
            else:
                moment = dt.datetime.fromisoformat(said)
                day = (moment.astimezone(dt.UTC) if moment.tzinfo else moment).date()
        except (ValueError, OverflowError, OSError):
            raise self.error(f"`{said}` in `{name}` is no date") from None
        if not YEAR_MIN <= day.year <= YEAR_MAX:
            raise self.error(f"`{said}` in `{name}` is no date of an invoice")
        return day

    def error(self, message: str) -> ConfigurationError:
        """What is wrong with this line."""
        return ConfigurationError(f"{self._where}: {message}")


def read_invoice(path: Path) -> Invoice:
    """Read a file, line by line.

    Raises:
        ConfigurationError: it cannot be read, has none of the known shapes, or a line of it makes no sense.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            first: list[str] = next(lines, list[str]())
            head = [name.strip() for name in first]
            shape, units = _shape(path, head)
            invoice = Invoice(shape, units)
            read = _READERS[shape]
            for cells in lines:
                if any(cells):
                    if len(cells) != len(head):
                        raise ConfigurationError(
                            f"{path}:{lines.line_num}: {len(cells)} cells, expected {len(head)} as in the first line"
                        )
                    read(invoice, _Line(path, lines.line_num, dict(zip(head, cells, strict=True))))
    except OSError as error:
        raise ConfigurationError(f"the invoice `{path}` cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"the invoice `{path}` is not CSV in UTF-8: {error}") from error
    if not invoice.cells:
        raise ConfigurationError(
            f"the invoice `{path}` says nothing of any model", hint="export a time with usage in it"
        )
    return invoice


def _shape(path: Path, head: list[str]) -> tuple[Shape, tuple[InvoiceUnit, ...]]:
    names = set(head)
    if len(names) < len(head):
        raise ConfigurationError(f"{path}:1: a column is there twice")
    if {"start_time", "model", "input_tokens", "output_tokens"} <= names:
        return "openai usage", ("input_tokens", "output_tokens")
    if {"start_time", "line_item", "amount_value"} <= names:
        return "openai costs", ("microusd",)
    if {"usage_date_utc", "model_version", "usage_input_tokens_no_cache", "usage_output_tokens"} <= names:
        return "anthropic usage", ("input_tokens", "output_tokens")
    if {"usage_date_utc", "model", "cost_usd"} <= names:
        return "anthropic costs", ("microusd",)
    if {"ChargePeriodStart", "BilledCost"} <= names:
        return "focus", ("tokens", "microusd") if {"ConsumedQuantity", "ConsumedUnit"} <= names else ("microusd",)
    units: tuple[InvoiceUnit, ...] = tuple(unit for unit in INVOICE_UNITS if _NAMED[unit] in names)
    if {"date", "model"} <= names and units:
        return "simple", units
    raise ConfigurationError(
        f"the columns of `{path}` are of no invoice that is known",
        hint="usage or costs of OpenAI or Anthropic, FOCUS, or `date,model,input_tokens,output_tokens,usd`;"
        " see docs/economics.md",
    )


def _openai_usage(invoice: Invoice, line: _Line) -> None:
    if not line.text("model"):  # a day without usage has a line with nothing in it
        if line.amount("input_tokens") or line.amount("output_tokens"):
            raise line.error("usage of no model: export it grouped by model")
        return
    invoice.providers.add("openai")
    invoice.add(_openai_day(line), line.text("model"), _tokens(line))


def _openai_costs(invoice: Invoice, line: _Line) -> None:
    money, item = line.money("amount_value", "amount_currency"), line.text("line_item")
    if not item:
        if money:
            raise line.error("costs of no line item: export them grouped by line item")
        return
    invoice.providers.add("openai")
    invoice.add(_openai_day(line), item.split(",", 1)[0].strip(), {"microusd": money})


def _openai_day(line: _Line) -> dt.date:
    return line.day("start_time_iso" if line.text("start_time_iso") else "start_time")


def _anthropic_usage(invoice: Invoice, line: _Line) -> None:
    invoice.providers.add("anthropic")
    given = [line.amount(f"usage_input_tokens_{part}") for part in _ANTHROPIC_INPUT]
    amounts: dict[InvoiceUnit, Decimal] = {
        "input_tokens": sum(given, Decimal(0)),
        "output_tokens": line.amount("usage_output_tokens"),
    }
    invoice.add(line.day("usage_date_utc"), _model(line, "model_version"), amounts)


def _anthropic_costs(invoice: Invoice, line: _Line) -> None:
    invoice.providers.add("anthropic")
    cell = line.day("usage_date_utc"), _model(line, "model", "cost_type")
    cost = line.money("cost_usd")
    invoice.add(*cell, {"microusd": cost})
    if cost % CENT == 0:
        invoice.rounded[cell] = invoice.rounded.get(cell, Decimal(0)) + CENT / 2


def _focus(invoice: Invoice, line: _Line) -> None:
    provider = line.text("ProviderName", "ServiceProviderName").casefold()
    invoice.providers.add("" if provider == NO_PROVIDER else provider)
    amounts: dict[InvoiceUnit, Decimal] = {"microusd": line.money("BilledCost", "BillingCurrency")}
    if line.text("ConsumedUnit").casefold() == "tokens":
        amounts["tokens"] = line.amount("ConsumedQuantity")
    invoice.add(line.day("ChargePeriodStart"), _model(line, "ResourceName", "ResourceId", "SkuId"), amounts)


def _simple(invoice: Invoice, line: _Line) -> None:
    invoice.providers.add(line.text("provider").casefold())
    amounts = _tokens(line) | ({"microusd": line.money("usd")} if "microusd" in invoice.units else {})
    invoice.add(line.day("date"), _model(line, "model"), {unit: amounts[unit] for unit in invoice.units})


def _tokens(line: _Line) -> dict[InvoiceUnit, Decimal]:
    units: tuple[InvoiceUnit, ...] = ("input_tokens", "output_tokens", "tokens")
    return {unit: line.amount(unit) for unit in units if unit in line.cells}


def _model(line: _Line, *names: str) -> str:
    model = line.text(*names)
    if not model:
        raise line.error(f"no model in `{names[0]}`")
    return model


_READERS: dict[Shape, Callable[[Invoice, _Line], None]] = {
    "openai usage": _openai_usage,
    "openai costs": _openai_costs,
    "anthropic usage": _anthropic_usage,
    "anthropic costs": _anthropic_costs,
    "focus": _focus,
    "simple": _simple,
}


__all__ = ["INVOICE_UNITS", "Cell", "Invoice", "InvoiceUnit", "Shape", "read_invoice"]
