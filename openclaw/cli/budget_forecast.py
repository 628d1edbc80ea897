"""``openclaw budget forecast``: when budgets run out."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.budget.pace import paces
from openclaw.cli import show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.errors import ConfigurationError
from openclaw.review.forecast import METHOD, PERIODS, Forecast, forecasts

STYLES = {"over": "bold red", "runs out": "red", "may run out": "yellow", "lasts": "green"}


def forecast(
    context: typer.Context,
    account: Annotated[
        str, typer.Argument(metavar="[ACCOUNT]", help="Only this account and those below it, as in budget show.")
    ] = "",
    over: Annotated[str, typer.Option(metavar="SPAN|TIME", help="How far back to look: 6h, 14d, 2026-11-01.")] = "14d",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say when each limit runs out if spending goes on as it has; see docs/economics.md for the method."""
    with opened(context, store) as books:
        began = books.moment(over)
        now = books.store.clock.now()
        if began is None or (now - began).total_seconds() < PERIODS:
            raise ConfigurationError(
                f"`--over {over}` looks back on no time", hint="write 6h, 14d or a time in the past"
            )
        found = forecasts(books.ledger.accounts(account), paces(books.store, over=now - began, periods=PERIODS), now)
    if as_json:
        limits: list[JsonValue] = [it.model_dump(mode="json") for it in found]
        show.as_json({"method": METHOD, "over_seconds": int((now - began).total_seconds()), "limits": limits})
    elif not found:
        show.note("nothing is limited there")
    else:
        _print(found)
        show.note(f"a straight line from what was spent since {_moment(began)}; its method: docs/economics.md")


def _print(found: list[Forecast]) -> None:
    columns = [show.Column("account", wide=True, path=True), show.Column("window"), show.Column("unit")]
    columns += [show.Column("left", justify="right"), show.Column("a day", justify="right"), show.Column("runs out")]
    rows: list[tuple[str | show.Text, ...]] = []
    for it in found:
        pace = "" if it.per_day is None else show.amount(it.unit, it.per_day)
        when = show.Text(_when(it), style=STYLES.get(it.verdict, ""))
        rows.append((it.account, it.window, show.unit_name(it.unit), show.amount(it.unit, it.left), pace, when))
    show.table(columns, rows)


def _when(it: Forecast) -> str:
    match it.verdict:
        case "over":
            return "now: nothing is left"
        case "runs out":
            return f"{_moment(it.runs_out_at)} ({_moment(it.earliest)} to {_moment(it.latest)})"
        case "may run out":
            return f"perhaps: {_moment(it.earliest)} at the earliest"
        case "lasts":
            return "not at this pace" if it.window == "total" else f"not within this {it.window}"
        case "idle":
            return "nothing was spent lately"
        case "too little data":
            return "too little data"


def _moment(at: dt.datetime | None) -> str:
    return "open" if at is None else f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M}Z"


__all__ = ["forecast"]
