"""``openclaw audit stats`` and ``diff``: what the log comes to, and what differs between two runs or two times."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from openclaw.audit.reading import Reader
from openclaw.cli import DOES_NOT_HOLD, show
from openclaw.cli.books import Books, opened
from openclaw.cli.filters import Filters, filtered
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.errors import ConfigurationError
from openclaw.review.contrast import Change, Contrast, of_runs, of_times
from openclaw.review.stats import Counting, Stats, Tally
from openclaw.review.timeline import timeline

TOP = 10
BARS = "▁▂▃▄▅▆▇█"
SPANS = {
    60: "minute",
    300: "5 minutes",
    900: "15 minutes",
    3_600: "hour",
    21_600: "6 hours",
    86_400: "day",
    604_800: "week",
    2_592_000: "30 days",
    31_536_000: "365 days",
}


@filtered
def stats(
    context: typer.Context,
    filters: Filters,
    top: Annotated[int, typer.Option(min=1, help="At most so many lines of each table.")] = TOP,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what was decided, by agent, tool, reason and hour; what was spent; and what had not been seen before.

    Of the last seven days, unless --since or --until say otherwise.
    """
    if filters.since is None and filters.until is None:
        filters = dataclasses.replace(filters, since="7d")
    with opened(context, store) as books:
        found = _counted(books, filters, new=True)
    if as_json:
        show.as_json(found.model_dump(mode="json"))
        return
    _print_whole(found, filters)
    if found.entries:
        _print_tallies("agents", "agent", found.agents, top)
        _print_tallies("tools and models", "tool", found.tools, top)
        _print_spenders(found, top)
        _print_reasons(found, top)
        _print_new(found, top)


def diff(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="RUN|FROM..TO", help="A run, or a time: 14d..7d, 2026-11-01..")],
    second: Annotated[str, typer.Argument(metavar="RUN|FROM..TO", help="What it is compared with.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs step by step, or two times by their counts. Exit code 1 if they differ."""
    if (".." in first) is not (".." in second):
        raise ConfigurationError(
            "a run and a time cannot be compared", hint="give two runs, or two times as in 14d..7d 7d.."
        )
    with opened(context, store) as books:
        if ".." in first:
            one, other = (_counted(books, _period(told), new=False) for told in (first, second))
            found = of_times(first, one, second, other)
        else:
            found = of_runs(timeline(books.log, first), timeline(books.log, second))
    if as_json:
        show.as_json(found.model_dump(mode="json"))
    else:
        _print_contrast(found)
    if found.differs:
        raise typer.Exit(DOES_NOT_HOLD)


def _counted(books: Books, filters: Filters, *, new: bool) -> Stats:
    reader, counting = Reader(books.store), Counting()
    search = filters.search(books.store.clock.now())
    with reading("counting") as seen:
        for entry in search.entries(reader, seen=seen):
            counting.add(entry)
    return counting.stats(reader if new else None)


def _period(told: str) -> Filters:
    since, _, until = told.partition("..")
    return Filters(since=since or None, until=until or None)


# -- printing ------------------------------------------------------------------------------------------------------------


def sparkline(values: Sequence[int]) -> str:
    """Values as bars of eight heights: nothing is a space, and what is more than nothing is always seen."""
    most = max(values, default=0)
    return "".join(" " if not value else BARS[(value * len(BARS) - 1) // most] for value in values) if most else ""


def _print_whole(found: Stats, filters: Filters) -> None:
    if found.began is None or found.ended is None:
        since = f" since {filters.since}" if filters.since else ""
        show.note(f"no entries{since}: --since reaches further back")
        return
    whole = found.whole
    show.fields(
        [
            ("from", f"{show.moment(found.began)} to {show.moment(found.ended)}"),
            ("entries", show.count(found.entries)),
            (
                "decisions",
                f"{show.count(whole.decisions)}: {show.count(whole.allowed)} allowed, {show.count(whole.asked)} asked,"
                f" {show.count(whole.denied)} denied ({_rate(whole)})",
            ),
            *([("exceptions", _exceptions(found))] if found.exceptions or found.excepted else []),
            ("spent", f"{show.count(whole.tokens)} tokens, {show.usd(whole.microusd)}"),
            (f"by {SPANS[found.bucket_seconds]}", sparkline(whole.activity)),
            ("by hour (UTC)", f"0h {_hours(found.hours)} 23h"),
        ]
    )


def _exceptions(found: Stats) -> str:
    uses = f"{show.count(found.excepted)} {'use' if found.excepted == 1 else 'uses'}"
    return f"{show.count(found.exceptions)} opened, {uses}: see `openclaw exceptions list --all`"


def _hours(hours: Sequence[int]) -> str:
    return "".join(bar if bar.strip() else "·" for bar in sparkline(hours)) or "·" * len(hours)


def _rate(tally: Tally) -> str:
    return f"{tally.denial_permille / 10:.1f} %"


def _print_tallies(title: str, name: str, tallies: Sequence[Tally], top: int) -> None:
    if not tallies:
        return
    _heading(title, len(tallies), top)
    columns = [show.Column(name, wide=True)]
    columns += [show.Column(one, justify="right") for one in ("decisions", "asked", "denied", "denial rate", "failed")]
    rows = [
        (
            one.name,
            show.count(one.decisions),
            show.count(one.asked),
            show.count(one.denied),
            _rate(one),
            show.count(one.failed),
            sparkline(one.activity),
        )
        for one in tallies[:top]
    ]
    show.table([*columns, show.Column("activity", wide=True)], rows)


def _print_spenders(found: Stats, top: int) -> None:
    spenders = sorted(
        (one for one in found.agents if one.tokens or one.microusd),
        key=lambda one: (-one.microusd, -one.tokens, one.name),
    )
    if not spenders:
        return
    _heading("top spenders", len(spenders), top)
    rows = [(one.name, show.count(one.tokens), show.usd(one.microusd)) for one in spenders[:top]]
    columns = [
        show.Column("agent", wide=True),
        show.Column("tokens", justify="right"),
        show.Column("usd", justify="right"),
    ]
    show.table(columns, rows)


def _print_reasons(found: Stats, top: int) -> None:
    if not found.reasons:
        return
    _heading("reasons of asks and denials", len(found.reasons), top)
    columns = [
        show.Column("count", justify="right"),
        show.Column("effect"),
        show.Column("last", justify="right"),
        show.Column("reason", wide=True),
    ]
    rows: list[tuple[str | Text, ...]] = [
        (show.count(one.count), show.word(one.effect), str(one.last), one.reason) for one in found.reasons[:top]
    ]
    show.table(columns, rows)


def _print_new(found: Stats, top: int) -> None:
    if not found.new:
        show.lines("")
        show.note("nothing new: every agent, tool and shape of arguments had been seen before")
        return
    _heading("never seen before", len(found.new), top)
    columns = [
        show.Column("first", justify="right"),
        show.Column("calls", justify="right"),
        show.Column("what"),
        show.Column("name", wide=True),
    ]
    rows = [(str(one.first), show.count(one.count), one.what, one.name) for one in found.new[:top]]
    show.table(columns, rows)
    if any(one.bounded for one in found.new):
        show.note("of some tools only the last 100,000 earlier entries were looked through for the shape of arguments")


def _heading(title: str, found: int, top: int) -> None:
    show.lines("")
    show.heading(f"{title}: {top} of {found}" if found > top else title)


def _print_contrast(found: Contrast) -> None:
    if found.lines:
        signs = {"-": "red", "+": "green", " ": ""}
        rows = [
            (
                Text(line.sign, style=signs[line.sign]),
                ", ".join(map(str, line.seqs)),
                line.agent,
                show.word(line.state),
                show.plain_text(line.what, signs[line.sign]),
            )
            for line in found.lines
        ]
        columns = [show.Column(""), show.Column("entry"), show.Column("agent"), show.Column("state")]
        show.table([*columns, show.Column("call", wide=True)], rows)
    if found.changes:
        show.lines("") if found.lines else None
        columns = [show.Column("of"), show.Column("name", wide=True), show.Column("figure")]
        columns += [show.Column(name, justify="right") for name in ("first", "second", "change")]
        show.table(columns, [_change(one) for one in found.changes])
    if not found.differs:
        show.note(
            f"`{found.first}` and `{found.second}` do not differ" + (" but in the figures" if found.changes else "")
        )


def _change(one: Change) -> tuple[str, ...]:
    def written(value: int) -> str:
        return show.usd(value) if one.figure == "microusd" else show.count(value)

    sign = "+" if one.after > one.before else ""
    figure = {"microusd": "usd", "duration_ms": "ms"}.get(one.figure, one.figure)
    return one.of, one.name, figure, written(one.before), written(one.after), sign + written(one.after - one.before)


__all__ = ["diff", "sparkline", "stats"]
