"""``openclaw budget``: who may spend, and who has spent what."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import JsonValue, ValidationError

from openclaw.budget import UNITS, Balance, Budget
from openclaw.budget.amount import Window
from openclaw.budget.books import check_books
from openclaw.budget.shares import Share
from openclaw.cli import DOES_NOT_HOLD, show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.errors import BudgetError

Account = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="Path such as org/default/workflow/returns/agent/refunds.")
]


class WindowName(StrEnum):
    """How long a limit lasts before it starts afresh."""

    TOTAL = "total"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def window(self) -> Window:
        """The ledger's name of it."""
        return self.value


def list_accounts(context: typer.Context, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List all accounts, with what is left of each limit."""
    with opened(context, store) as books:
        found = books.ledger.accounts()
        orgs = [it.account for it in found if it.account.count("/") == 1]
        shares = [share for org in dict.fromkeys(orgs) for share in books.ledger.shares(org)]
    if as_json:
        show.as_json_list(_as_json(balance, shares) for balance in found)
    elif not found:
        show.note("no accounts yet: they appear when a budget is set or something is spent")
    else:
        _print(found, whole=False)
        _print_shares(shares)


def show_account(
    context: typer.Context, account: Account, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Show one account and the accounts below it: limits, what is spent, held and left."""
    with opened(context, store) as books:
        found = books.ledger.accounts(account)
        if not found:
            found = [books.ledger.balance(account)]
        shares = books.ledger.shares("/".join(account.split("/")[:2]))
    if as_json:
        show.as_json_list(_as_json(balance, shares) for balance in found)
    else:
        _print(found, whole=True)
        _print_shares([it for it in shares if account in (it.account, it.org)])


def set_limit(
    context: typer.Context,
    account: Account,
    tokens: Annotated[int | None, typer.Option(help="Input plus output tokens of model calls.")] = None,
    input_tokens: Annotated[int | None, typer.Option(help="Tokens sent to models.")] = None,
    output_tokens: Annotated[int | None, typer.Option(help="Tokens that models wrote.")] = None,
    calls: Annotated[int | None, typer.Option(help="Tool calls.")] = None,
    usd: Annotated[str | None, typer.Option(help="Money for model calls, such as 1.50.")] = None,
    seconds: Annotated[int | None, typer.Option(help="Wall-clock time of calls.")] = None,
    mwh: Annotated[int | None, typer.Option(help="Energy of model calls, in milliwatt-hours.")] = None,
    priority: Annotated[
        int | None, typer.Option(help="Of a workflow: its part of its organisation's limits, 1 to 1000; 0 for none.")
    ] = None,
    window: Annotated[WindowName, typer.Option(help="When the count starts afresh.")] = WindowName.TOTAL,
    zone: Annotated[str, typer.Option(help="The time zone whose calendar that is, such as Europe/Berlin.")] = "UTC",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set limits of an account, or the priority of a workflow, over what programs declare. Units left out become unlimited."""
    amounts = (tokens, input_tokens, output_tokens, calls, usd, seconds, mwh)
    if priority is not None:
        with opened(context, store, write=True) as books:
            books.ledger.set_priority(account, priority)
        if all(amount is None for amount in amounts):
            show_account(context, account, store, as_json)
            return
    try:
        budget = Budget.model_validate(
            {
                "tokens": tokens,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "calls": calls,
                "usd": usd,
                "seconds": seconds,
                "mwh": mwh,
                "window": window.value,
                "zone": zone,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = f"`--{str(first['loc'][0]).replace('_', '-')}`: " if first["loc"] else ""
        raise BudgetError(where + first["msg"].removeprefix("Value error, ")) from error
    with opened(context, store, write=True) as books:
        books.ledger.set_limit(account, budget)
        balance = books.ledger.balance(account, window.window, zone)
    if as_json:
        show.as_json(_as_json(balance))
    else:
        _print([balance], whole=True)
    over = [show.unit_name(unit) for unit, left in balance.remaining.items() if left < 0]
    if over:
        until = "" if balance.window == "total" else f" or the {balance.window} is over"
        show.note(
            f"more {' and '.join(over)} are spent already: {account} admits nothing until the limit is raised{until}"
        )


def audit(context: typer.Context, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Check the ledger against itself and against the log. Exit code 1, naming what differs, if it does not hold."""
    with opened(context, store) as books, reading("checking") as seen:
        report = check_books(books.store, seen=seen)
    if as_json:
        document: dict[str, JsonValue] = report.model_dump(mode="json")
        show.as_json({"holds": report.holds, **document})
    else:
        pairs: list[tuple[str, str | show.Text]] = [
            ("accounts", show.count(report.accounts)),
            ("reservations", show.count(report.reservations)),
            ("entries", show.count(report.entries)),
            (
                "admissions",
                f"{show.count(report.admissions)} judged, {show.count(report.unjudged)} not: see docs/commands.md",
            ),
            ("ledger", show.word("holds" if report.holds else "broken")),
        ]
        show.fields(pairs)
        for difference in report.differences:
            show.finding(f"budget {difference.check}", "error", difference.says, "")
    if not report.holds:
        raise typer.Exit(DOES_NOT_HOLD)


def _as_json(balance: Balance, shares: Sequence[Share] = ()) -> JsonValue:
    document: dict[str, JsonValue] = {**balance.model_dump(mode="json"), "remaining": {**balance.remaining}}
    if own := [
        it for it in shares if it.org == balance.account and (it.window, it.zone) == (balance.window, balance.zone)
    ]:
        document["shares"] = [{**it.model_dump(mode="json"), "borrowed": it.borrowed} for it in own]
    return document


def _print_shares(shares: Sequence[Share]) -> None:
    if not shares:
        return
    columns = [show.Column("shares of", wide=True), show.Column("window"), show.Column("unit")]
    columns += [
        show.Column(name, justify="right") for name in ("priority", "share", "used", "kept", "lent", "borrowed")
    ]
    rows: list[tuple[str | show.Text, ...]] = []
    for it in shares:
        name = f"{it.org}, the rest" if it.account == it.org else it.account
        window = it.window if it.zone == "UTC" else f"{it.window} {it.zone}"
        amounts = (show.amount(it.unit, amount) for amount in (it.share, it.used, it.kept, it.lent, it.borrowed))
        rows.append((name, window, show.unit_name(it.unit), show.count(it.priority), *amounts))
    show.lines("")
    show.table(columns, rows)


def _print(found: list[Balance], *, whole: bool) -> None:
    columns = [
        show.Column("account", wide=True, path=True),
        show.Column("window"),
        show.Column("unit"),
        show.Column("limit", justify="right"),
        show.Column("spent", justify="right"),
        show.Column("held", justify="right"),
        show.Column("left", justify="right"),
    ]
    rows: list[tuple[str | show.Text, ...]] = []
    # Where nothing limits them, the halves of a total say little: only the view of one account has them.
    shown = UNITS if whole else ("tokens", "calls", "microusd", "milliseconds", "mwh")
    for balance in found:
        name = balance.account
        window = balance.window if balance.zone == "UTC" else f"{balance.window} {balance.zone}"
        for unit in UNITS:
            spent, held = balance.posted.amount(unit), balance.pending.amount(unit)
            limit = balance.limits.get(unit)
            if limit is None and (unit not in shown or not (spent or held)):
                continue
            left = None if limit is None else limit - spent - held
            rows.append(
                (
                    name,
                    window,
                    show.unit_name(unit),
                    "" if limit is None else show.amount(unit, limit),
                    show.amount(unit, spent),
                    show.amount(unit, held),
                    "" if left is None else show.Text(show.amount(unit, left), style="red" if left <= 0 else ""),
                )
            )
    if rows:
        show.table(columns, rows)
    else:
        show.note("nothing is limited and nothing spent")
