"""``openclaw audit lookup`` and ``openclaw audit forget``: was this ever passed, and whom the log no longer knows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from openclaw.cli import DOES_NOT_HOLD, show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, KeyOption, StoreOption
from openclaw.errors import AuditError
from openclaw.review.entries import detail, event


def lookup(
    context: typer.Context,
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="The value; `-` or nothing reads it from stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Read the value from this file.", exists=False)
    ] = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Was this value ever passed? List the entries in which it stands, by digest or in the clear. Exit code 1 if none.

    A value that is JSON (5, true, {"a": 1}) is looked for as text and as what it says.
    """
    text = _value(value, file)
    with opened(context, store, key=key, signs=True) as books:
        found = [(match, books.log.entry(match.seq)) for match in books.log.lookup(text)]
    if as_json:
        show.as_json_list({"how": match.how, "entry": entry.model_dump(mode="json")} for match, entry in found)
    elif not found:
        show.note("no entry holds it")
    else:
        columns = [
            show.Column("seq", justify="right"),
            show.Column("time (UTC)"),
            show.Column("how"),
            show.Column("event"),
        ]
        columns += [show.Column("agent"), show.Column("tool"), show.Column("detail", wide=True)]
        rows = [
            (
                str(entry.seq),
                f"{entry.at:%Y-%m-%d %H:%M:%S}",
                match.how,
                show.word(event(entry)),
                entry.agent,
                entry.tool,
                detail(entry),
            )
            for match, entry in found
        ]
        show.table(columns, rows)
    if not found:
        raise typer.Exit(DOES_NOT_HOLD)


def forget(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="The person, as the policy names them.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; it is recorded.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. What is destroyed cannot be brought back.")] = False,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Destroy the data key of a person: what is sealed for them cannot be read any more. Every proof still holds."""
    with opened(context, store, write=True, key=key, signs=True) as books:
        if not yes and not (sys.stdin.isatty() and typer.confirm(f"forget `{subject}` for good?", err=True)):
            raise AuditError("nothing was forgotten: this cannot be undone", hint="say so with --yes")
        forgotten = books.log.forget(subject, by=by)
    if as_json:
        show.as_json(forgotten.model_dump(mode="json"))
        return
    show.fields([("forgotten", forgotten.subject), ("entry", str(forgotten.seq)), ("by", by)])
    for place in forgotten.remains:
        show.note(f"a copy of the destroyed key may still lie in {place}")


def _value(value: str | None, file: Path | None) -> str:
    if file is not None and value is not None:
        raise typer.BadParameter("give the value or a file, not both")
    try:
        if file is not None:
            return file.read_text(errors="surrogateescape")
        return value if value is not None and value != "-" else sys.stdin.read()
    except OSError as error:
        raise typer.BadParameter(f"`{file}` cannot be read: {error.strerror}") from error
