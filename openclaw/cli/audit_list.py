"""``openclaw audit list``, ``tail`` and ``view``: the entries that are meant, as a table, JSON or CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from openclaw.audit import Entry
from openclaw.audit.reading import Reader, Seen
from openclaw.cli import INTERRUPTED, show
from openclaw.cli.books import opened
from openclaw.cli.filters import Filters, filtered, read_view, read_views, views_file, write_views
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.errors import ConfigurationError
from openclaw.review.entries import detail, event
from openclaw.review.fields import check_name, value
from openclaw.review.query import Search

PAGE = 50
CSV_COLUMNS = ("seq", "at", "kind", "event", "run", "workflow", "agent", "tool", "call_id", "reason", "call")
WIDE = frozenset({"detail", "reason", "call", "error", "comment", "rules", "body", "input", "decision", "args", "used"})
FORMULA = tuple("=+-@＝＋－＠")
"""What a formula begins with."""

NAMES = frozenset({"agent", "tool", "workflow"})
"""Columns whose values are known at their beginning; a run or a call is copied whole."""

ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="NAMES", help="Which columns, with commas: seq,at,agent,args.amount; see docs/review.md."
    ),
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV for spreadsheets.")]


@filtered
def list_entries(
    context: typer.Context,
    filters: Filters,
    limit: Annotated[int, typer.Option(min=1, help="At most so many entries: the last ones, or the next ones.")] = PAGE,
    everything: Annotated[bool, typer.Option("--all", help="All that fit, from the first on, however many.")] = False,
    after: Annotated[int | None, typer.Option(min=0, metavar="SEQ", help="The next ones after this entry.")] = None,
    before: Annotated[int | None, typer.Option(min=1, metavar="SEQ", help="The last ones before this entry.")] = None,
    columns: ColumnsOption = None,
    view: Annotated[str | None, typer.Option(metavar="NAME", help="Begin with this saved view.")] = None,
    save: Annotated[str | None, typer.Option(metavar="NAME", help="Save filters and columns as a view.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List entries in the order of the log: the last ones that fit, or with --after the next ones."""
    if as_json and as_csv:
        raise ConfigurationError("--json and --csv exclude each other", hint="give one of them")
    if view is not None:
        kept = read_view(view)
        filters, columns = filters.over(kept), columns or _text(kept.get("columns"))
    names = _names(columns)
    if save is not None:
        _save(save, filters, columns)
    onward = after is not None or everything
    with opened(context, store) as books:
        search = filters.search(books.store.clock.now())
        streams = as_json or as_csv or everything
        with searching(search, beside=streams) as seen:
            found = search.entries(
                Reader(books.store),
                after=after or 0,
                before=before,
                newest_first=not onward,
                limit=None if everything else limit,
                seen=seen,
            )
            shown = _in_order(found, onward=onward)
            if streams:
                _print_stream(shown, names, as_json=as_json, as_csv=as_csv)
                return
            page = list(shown)
    _print_table(page, names)  # the bar has gone by now
    if len(page) < limit:
        return
    if onward:
        show.note(f"{show.count(limit)} entries; --after {page[-1].seq} shows those after them")
    elif page[0].seq > 1:
        show.note(f"the last {show.count(limit)} entries; --before {page[0].seq} shows those before them")


@filtered
def tail(
    context: typer.Context,
    filters: Filters,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Begin with the last so many entries.")] = 10,
    every: Annotated[float, typer.Option(min=0.05, metavar="SECONDS", help="-f: how often to look for more.")] = 0.5,
    columns: ColumnsOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the last entries, and with -f every new one as it comes. --json prints one object a line."""
    names = _names(columns) or ["seq", "at", "event", "agent", "tool", "detail"]
    with opened(context, store) as books:
        reader, search = Reader(books.store), filters.search(books.store.clock.now())
        end = reader.size()
        last = list(search.entries(reader, before=end + 1, newest_first=True, limit=limit))[::-1]
        printer = _Lines(names, as_json=as_json)
        for entry in last:
            printer(entry)
        if not follow:
            if not last and not as_json:
                show.note("no entries")
            return
        with _quiet_interrupt():
            while True:
                size = reader.size()
                for entry in search.entries(reader, after=end, before=size + 1):
                    printer(entry)
                end = size
                time.sleep(every)


def list_views(as_json: JsonOption = False) -> None:
    """List the saved views. Their file is ~/.config/openclaw/views.json, or the one in OPENCLAW_VIEWS."""
    views = read_views()
    if as_json:
        show.as_json(views)
        return
    if not views:
        show.note("no saved views: `openclaw audit list … --save NAME` makes one")
        return
    show.fields(
        (name, ", ".join(f"{key} {_cell(kept)}" for key, kept in view.items())) for name, view in sorted(views.items())
    )


def remove_view(name: Annotated[str, typer.Argument(metavar="NAME", help="The view.")]) -> None:
    """Remove a saved view."""
    read_view(name)
    write_views({one: view for one, view in read_views().items() if one != name})
    show.note(f"removed `{name}` from {views_file()}")


# -- printing ------------------------------------------------------------------------------------------------------------


def print_entries(found: Sequence[Entry], *, as_json: bool) -> None:
    """Print entries as they are listed by default."""
    if as_json:
        _print_stream(iter(found), None, as_json=True)
    else:
        _print_table(found, None)


@contextlib.contextmanager
def searching(search: Search, *, beside: bool) -> Generator[Seen | None]:
    """A progress bar while a search must look into entries; none ``beside`` what it prints on the same terminal."""
    with reading("searching", shown=search.looks_inside and not (beside and sys.stdout.isatty())) as seen:
        yield seen


@contextlib.contextmanager
def _quiet_interrupt() -> Generator[None]:
    """Ctrl-C is how this ends, so nothing needs to be said of it."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _in_order(found: Iterator[Entry], *, onward: bool) -> Iterator[Entry]:
    """In the order of the log: a page that was found from the end is turned round."""
    return found if onward else iter(list(found)[::-1])


def _print_stream(
    found: Iterator[Entry], names: list[str] | None, *, as_json: bool = False, as_csv: bool = False
) -> None:
    """Print entries as they come; a table whose end is not known page by page, with widths of their own."""
    if as_json:
        show.as_json_list(_as_json(entry, names) for entry in found)
        return
    if as_csv:
        shown = names or list(CSV_COLUMNS)
        print_csv(shown, ([value(entry, name) for name in shown] for entry in found))
        return
    any_shown = False
    while page := list(itertools.islice(found, 500)):
        any_shown = True
        _print_table(page, names)
    if not any_shown:
        _print_table([], names)


def _as_json(entry: Entry, names: list[str] | None) -> JsonValue:
    return {name: value(entry, name) for name in names} if names else entry.model_dump(mode="json")


def print_csv(names: Sequence[str], rows: Iterable[Sequence[JsonValue]]) -> None:
    """Print CSV (RFC 4180), line by line.

    What an agent has written must not become a formula when a spreadsheet opens it: a text that would is led by ``'``.
    """
    line = io.StringIO()
    writer = csv.writer(line)
    for row in itertools.chain([names], rows):
        writer.writerow([_csv_cell(one) for one in row])
        show.lines(line.getvalue())
        line.seek(0)
        line.truncate()


def _csv_cell(found: JsonValue) -> str:
    text = show.safe(_cell(found))
    return f"'{text}" if isinstance(found, str) and text[:1] in FORMULA else text


def _print_table(entries: Sequence[Entry], names: list[str] | None) -> None:
    if not entries:
        show.note("no entries")
        return
    # A page that lies within one day says so once, in the heading.
    days = {f"{entry.at:%Y-%m-%d}" for entry in entries}
    day = days.copy().pop() if len(days) == 1 else None
    shown = names or ["seq", "at", "event", "agent", "tool", "detail"]
    when = "%H:%M:%S" if day else "%Y-%m-%d %H:%M:%S"
    show.table(
        [_column(name, day, entries) for name in shown],
        [[_shown(entry, name, when) for name in shown] for entry in entries],
    )


class _Lines:
    """Prints entries one by one, as they come, in columns of a width that grows where it must."""

    def __init__(self, names: list[str], *, as_json: bool) -> None:
        self._names = names
        self._widths = {"seq": 4, "event": 8, "agent": 10, "tool": 14}
        self._as_json = as_json

    def __call__(self, entry: Entry) -> None:
        if self._as_json:
            show.lines(json.dumps(entry.model_dump(mode="json"), ensure_ascii=True))
        else:
            out, line = show.screen(), Text()
            for at, name in enumerate(self._names):
                cell = _shown(entry, name, "%Y-%m-%d %H:%M:%S")
                text = show.plain_text(cell) if isinstance(cell, str) else cell
                width = self._widths[name] = max(self._widths.get(name, 0), min(text.cell_len, 40))
                last = at == len(self._names) - 1
                line.append(" " * (width - text.cell_len) if name == "seq" else "")
                line.append_text(text)
                line.append("" if last else " " * (2 + (max(0, width - text.cell_len) if name != "seq" else 0)))
            line.truncate(out.width, overflow="ellipsis")
            out.print(line, soft_wrap=True)
        show.flush()


def _column(name: str, day: str | None, entries: Sequence[Entry]) -> show.Column:
    if name == "at":
        return show.Column(f"{day} UTC" if day else "time (UTC)")
    wide = name.split(".")[0] in WIDE and not (name.startswith("args.") or name == "args.amount")
    found = [one for entry in entries if (one := value(entry, name)) is not None]
    numeric = bool(found) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in found)
    return show.Column(name, justify="right" if numeric else "left", wide=wide, gives=name in NAMES)


def _shown(entry: Entry, name: str, when: str) -> str | Text:
    match name:
        case "at":
            return f"{entry.at:{when}}"
        case "event":
            return show.word(event(entry))
        case "effect":
            return show.word(entry.effect)
        case "detail":
            return detail(entry)
        case _:
            return _cell(value(entry, name))


def _cell(found: object) -> str:
    if found is None:
        return ""
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _names(columns: str | None) -> list[str] | None:
    if columns is None:
        return None
    return [check_name(name.strip()) for name in columns.split(",") if name.strip()] or None


def _text(kept: object) -> str | None:
    return kept if isinstance(kept, str) else None


def _save(name: str, filters: Filters, columns: str | None) -> None:
    kept: dict[str, object] = {**filters.said(), **({"columns": columns} if columns else {})}
    if not kept:
        raise ConfigurationError("a view without filters and columns shows nothing else", hint="say what it shall show")
    write_views({**read_views(), name: kept})
    show.note(f"saved the view `{name}` in {views_file()}")


__all__ = ["list_entries", "list_views", "print_csv", "print_entries", "remove_view", "searching", "tail"]
