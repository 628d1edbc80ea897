"""``openclaw budget reconcile``: a provider's invoice against the log."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.audit.reading import Reader
from openclaw.cli import DOES_NOT_HOLD, show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.errors import ConfigurationError
from openclaw.review.invoice import InvoiceUnit, read_invoice
from openclaw.review.reconcile import Mismatch, Reconciliation, reconcile
from openclaw.review.spending import spending


def reconcile_invoice(
    context: typer.Context,
    invoice: Annotated[
        Path,
        typer.Argument(metavar="INVOICE.csv", help="Usage or costs of OpenAI, usage of Anthropic, FOCUS, or simple."),
    ],
    tolerance: Annotated[
        str,
        typer.Option(metavar="PERCENT", help="A difference of up to this part of the invoice's amount is none: 0.5%."),
    ] = "0",
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False, help="The provider in the log. Default: those that the invoice names."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="INVOICE=LOG", help="Another name of a model in the invoice. May be given again."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a provider's invoice with the log, for each model and day. Exit code 1, naming what differs, if anything does."""
    aliases, part = dict(map(_alias, model or [])), _tolerance(tolerance)
    told = read_invoice(invoice)
    days = [day for day, _ in told.cells]
    with opened(context, store) as books, reading("reading") as seen:
        found = spending(
            Reader(books.store),
            since=dt.datetime.combine(min(days), dt.time(), dt.UTC),
            until=dt.datetime.combine(max(days) + dt.timedelta(days=1), dt.time(), dt.UTC),
            seen=seen,
        )
        made = reconcile(told, found, aliases=aliases, provider=provider, tolerance=part)
    if as_json:
        document: dict[str, JsonValue] = made.model_dump(mode="json")
        show.as_json({"agrees": made.agrees, **document})
    else:
        _print(made)
    if not made.agrees:
        raise typer.Exit(DOES_NOT_HOLD)


def _alias(said: str) -> tuple[str, str]:
    theirs, equals, ours = said.partition("=")
    if not (theirs and equals and ours):
        raise ConfigurationError(
            f"`--model {said}` names no two models", hint="write --model NAME-IN-INVOICE=NAME-IN-LOG"
        )
    return theirs, ours


def _tolerance(said: str) -> Decimal:
    try:
        percent = Decimal(said.removesuffix("%").strip())
    except InvalidOperation:
        percent = Decimal(-1)
    if not percent.is_finite() or not 0 <= percent <= 100:
        raise ConfigurationError(
            f"`--tolerance {said}` is no part of an amount", hint="write a percentage, such as 0.5%"
        )
    return percent / 100


def _print(made: Reconciliation) -> None:
    if made.differences:
        columns = [show.Column("day"), show.Column("model", wide=True), show.Column("unit")]
        columns += [show.Column(name, justify="right") for name in ("invoice", "log", "over")]
        show.table([*columns, show.Column("")], [_row(it) for it in made.differences])
        show.lines("")
    pairs: list[tuple[str, str | show.Text]] = [
        ("invoice", f"{made.shape}, {made.since} to {made.until}, {show.count(made.cells)} models and days"),
    ]
    for unit in made.units:
        theirs, ours = _amount(unit, made.invoice[unit]), _amount(unit, made.log[unit])
        pairs.append((_named(unit), f"{theirs} in the invoice, {ours} in the log"))
    agrees = show.word("holds") if made.agrees else show.Text(f"{len(made.differences)} differences", style="red")
    show.fields([*pairs, ("agreement", agrees)])


def _row(it: Mismatch) -> tuple[str | show.Text, ...]:
    notes = [it.kind] if it.kind != "differs" else []
    notes += [f"{it.unpriced} unpriced"] if it.unpriced and it.unit == "microusd" else []
    notes += [f"{it.estimated} estimated"] if it.estimated else []
    over = ("+" if it.over > 0 else "") + _amount(it.unit, it.over)
    amounts = _amount(it.unit, it.invoice), _amount(it.unit, it.log)
    return it.day.isoformat(), it.model, _named(it.unit), *amounts, show.Text(over, style="red"), ", ".join(notes)


def _named(unit: InvoiceUnit) -> str:
    return show.unit_name(unit)


def _amount(unit: InvoiceUnit, amount: int) -> str:
    return show.amount(unit, amount)


__all__ = ["reconcile_invoice"]
