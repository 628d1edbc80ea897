"""``openclaw audit query``: a question in SQL, on a connection that cannot write."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.cli import show
from openclaw.cli.audit_list import print_csv
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.errors import ConfigurationError
from openclaw.review.sql import SECONDS, Answer, asked, limited

ROWS = 1_000


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT, in the database's own SQL; - reads stdin.")],
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = ROWS,
    everything: Annotated[bool, typer.Option("--all", help="All rows, however many.")] = False,
    timeout: Annotated[float, typer.Option(min=0.001, metavar="SECONDS", help="How long it may take.")] = SECONDS,
    store: StoreOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for spreadsheets.")] = False,
) -> None:
    """Ask the database a question in SQL, for reading only: no SQL that is given here can change anything.

    The log is the table openclaw_entry; docs/review.md has its columns.
    """
    if as_json and as_csv:
        raise ConfigurationError("--json and --csv exclude each other", hint="give one of them")
    text = sys.stdin.read() if sql == "-" else sql
    with opened(context, store) as books, asked(books.store, text, seconds=timeout) as answer:
        more: list[bool] = []
        rows = limited(answer, None if everything else limit, lambda: more.append(True))
        if as_json:
            show.as_json_list(dict(zip(answer.columns, row, strict=True)) for row in rows)
        elif as_csv:
            print_csv(answer.columns, rows)
        else:
            _print(answer, list(rows))
    if more:
        show.note(f"the first {show.count(limit)} rows; --limit or --all shows more")


def _print(answer: Answer, rows: list[list[JsonValue]]) -> None:
    numeric = [
        all(isinstance(row[at], int | float) or row[at] is None for row in rows) for at in range(len(answer.columns))
    ]
    columns = [
        show.Column(name, justify="right" if number and rows else "left", wide=not number)
        for name, number in zip(answer.columns, numeric, strict=True)
    ]
    show.table(columns, [[_cell(one) for one in row] for row in rows])


def _cell(found: JsonValue) -> str:
    if found is None:
        return ""
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


__all__ = ["query"]
