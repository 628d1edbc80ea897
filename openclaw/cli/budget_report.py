"""``openclaw budget report``: who spent what, and what a unit of work costs."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.audit.reading import Reader
from openclaw.budget import Unit
from openclaw.budget.account import labels_of
from openclaw.budget.amount import UTC, zone_of
from openclaw.cli import show
from openclaw.cli.audit_list import CsvOption, print_csv
from openclaw.cli.books import Books, opened
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.errors import ConfigurationError
from openclaw.review import showback
from openclaw.review.costs import BY, PERIODS, By, CostReport, Costs, Group, read_by
from openclaw.review.focus import COLUMNS, FocusRows
from openclaw.review.spending import refusals, spending

BAR_MIN, BAR_MAX = 8, 60
FULL, EIGHTHS = "█", " ▏▎▍▌▋▊▉"

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="SPAN|TIME", show_default=False, help="Only what ended from then on: 7d, 2026-11-01."
    ),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="SPAN|TIME", show_default=False, help="Only what ended before then.")
]


def report(
    context: typer.Context,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            show_default="agent",
            help=f"What groups are made by: {', '.join(BY)}, or a label's name: team.",
        ),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    zone: Annotated[
        str,
        typer.Option(
            metavar="ZONE", help="The time zone of hours, days, weeks and months, and of --since and --until."
        ),
    ] = UTC,
    store: StoreOption = None,
    as_csv: CsvOption = False,
    as_focus: Annotated[
        bool, typer.Option("--focus", help="Print CSV with the columns of FOCUS 1.2: a row a day, agent and model.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Report who spent what, and what a completed run or an approved action costs; see docs/economics.md."""
    if as_json + as_csv + as_focus > 1:
        raise ConfigurationError("--json, --csv and --focus exclude each other", hint="give one of them")
    wanted = read_by("agent" if by is None else by)
    try:
        zone_of(zone)
    except ValueError as error:
        raise ConfigurationError(f"`--zone`: {error}") from error
    if as_focus and zone != UTC:
        raise ConfigurationError("days of FOCUS are in UTC", hint="leave --zone out, or give --csv")
    with opened(context, store) as books:
        if as_focus:
            _print_focus(books, since, until)
            if by is not None:
                show.note("rows of FOCUS are by day, agent, model and labels, whatever --by says; --csv has groups")
            return
        made = _costs(books, wanted, since, until, zone)
    if as_json:
        document: dict[str, JsonValue] = made.model_dump(mode="json")
        show.as_json(document)
    elif as_csv:
        print_csv(showback.columns(made), showback.rows(made))
    elif made.total.actions:
        _print(made)
    else:
        show.note("nothing has ended in that time")


def _costs(books: Books, by: By, since: str | None, until: str | None, zone: str) -> CostReport:
    start, end = books.moment(since, zone_of(zone)), books.moment(until, zone_of(zone))
    reader, costs = Reader(books.store), Costs(by, zone=zone)
    with reading("reading") as seen:
        for spent in spending(reader, since=start, until=end, seen=seen):
            costs.add(spent)
    for run, seq in refusals(reader, since=start, until=end):
        costs.refuse(run, seq)
    if by not in BY and by not in costs.labels:
        # Not in that time, or never: then it is a word that was mistyped.
        known = costs.labels | labels_of(balance.account for balance in books.ledger.accounts()).keys()
        if by not in known:
            told = f"labels are {', '.join(sorted(known))}" if known else "nothing has a label yet"
            raise ConfigurationError(f"nothing has a label `{by}`", hint=f"{told}; else by {', '.join(BY)}")
    open_runs = {entry.run for entry in books.log.open_actions()}
    return costs.report(open_runs=open_runs, since=start, until=end)


def _print_focus(books: Books, since: str | None, until: str | None) -> None:
    found = FocusRows(spending(Reader(books.store), since=books.moment(since), until=books.moment(until)))
    print_csv(COLUMNS, found.rows())
    if found.left_out:
        show.note(f"{show.count(found.left_out)} model calls are not in it: no price is known for them")


def _print(made: CostReport) -> None:
    total = made.total
    if made.zone != UTC and made.by in PERIODS:
        show.note(f"each {made.by} as the calendar of {made.zone} has it")
    unit: Unit = "microusd" if total.used["microusd"] else "tokens" if total.used["tokens"] else "calls"
    heads = [show.Column(made.by, wide=made.by not in PERIODS)]
    heads += [show.Column(name, justify="right") for name in ("actions", "tokens", "calls", "usd", "share")]
    figures = [_figures(group) for group in (*made.groups, total)]
    widths = [max(len(head.name), *(len(row[at]) for row in figures)) for at, head in enumerate(heads[1:5])]
    first = max(len(made.by), *(len(row[0]) for row in figures))
    room = show.screen().width - first - sum(widths) - len("share") - 6 * len(show.GAP)
    room = max(BAR_MIN, min(BAR_MAX, room))
    rows: list[tuple[str | show.Text, ...]] = []
    for group, row in zip((*made.groups, total), figures, strict=True):
        part, whole = group.used[unit], total.used[unit]
        bar = "" if group is total else _bar(part, whole, room)
        rows.append((*row, f"{(200 * part + whole) // (2 * whole) if whole else 0}%", show.Text(bar, style="cyan")))
    if made.groups:
        show.table([*heads, show.Column("")], rows)
        show.lines("")
    _print_outcomes(made)
    show.fields(
        [
            ("runs", f"{show.count(total.runs)}, completed {show.count(total.completed_runs)}"),
            ("per completed run", _each(total.microusd_per_completed_run, total)),
            ("approved actions", show.count(total.approved)),
            ("per approved action", _each(total.microusd_per_approved_action, total)),
        ]
    )
    if total.used["milliseconds"]:
        show.fields(
            [("seconds", f"{show.amount('milliseconds', total.used['milliseconds'])}, where a budget limits them")]
        )
    if total.mwh is not None and total.co2e_mg is not None:
        unknown = f", unknown for {show.count(total.energy_unknown)} model calls" if total.energy_unknown else ""
        show.fields(
            [
                ("energy", f"{_range(total.mwh)} Wh{unknown}"),
                ("CO2e", f"{_range(total.co2e_mg)} g, by the same estimates"),
            ]
        )
    if total.unpriced:
        show.note(
            f"no price is known for {show.count(total.unpriced)} of the model calls: money is the least it can be"
        )


def _print_outcomes(made: CostReport) -> None:
    heads = [show.Column("outcome")]
    heads += [show.Column(name, justify="right") for name in ("actions", "tokens", "each", "usd", "each ")]
    rows: list[tuple[str | show.Text, ...]] = []
    for group in made.outcomes:
        tokens, money = show.count(group.used["tokens"]), show.usd(group.used["microusd"])
        each = show.count(group.tokens_per_action or 0), show.usd(group.microusd_per_action or 0)
        rows.append((show.word(group.name), show.count(group.actions), tokens, each[0], money, each[1]))
    show.table(heads, rows)
    show.lines("")


def _figures(group: Group) -> tuple[str, str, str, str, str]:
    actions, tokens, calls = map(show.count, (group.actions, group.used["tokens"], group.used["calls"]))
    money = show.usd(group.used["microusd"]) + ("+" if group.unpriced else "")
    return show.safe(group.name), actions, tokens, calls, money


def _range(thousandths: tuple[int, int]) -> str:
    """A least and a most in thousandths, ``0.150 to 0.247``."""
    return " to ".join(f"{amount // 1000:,}.{amount % 1000:03d}" for amount in thousandths)


def _bar(part: int, whole: int, room: int) -> str:
    """A bar as long as a part is of the whole, to an eighth of a column; at least a trace of what is not nothing."""
    eighths = max(8 * room * part // whole, part > 0) if whole else 0
    return FULL * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _each(amount: int | None, total: Group) -> str:
    if amount is None:
        return "none of them"
    return f"at least {show.usd(amount)}" if total.unpriced else show.usd(amount)


__all__ = ["SinceOption", "UntilOption", "report"]
