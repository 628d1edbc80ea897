"""``openclaw audit export``: send the log elsewhere, whole or as it grows."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Generator
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from openclaw.audit import AuditLog, EntryKind
from openclaw.cli import DOES_NOT_HOLD, INTERRUPTED, books, show
from openclaw.cli.books import opened
from openclaw.cli.filters import Kind
from openclaw.cli.options import StoreOption
from openclaw.cli.progress import reading
from openclaw.errors import ExportError
from openclaw.review.export import Cursor, Exporter, Format, Report, Sink, Wanted, open_sink
from openclaw.review.export_formats import CloudEvents, JsonLines
from openclaw.review.export_ocsf import Ocsf
from openclaw.review.export_otel import OtelGenAi
from openclaw.review.export_sinks import LIMIT_SECONDS

HEADERS = "OPENCLAW_EXPORT_HEADERS"
"""Environment variable: headers, one a line, so that no secret stands in a list of processes."""


class Form(StrEnum):
    """The formats."""

    JSONL = "jsonl"
    CLOUDEVENTS = "cloudevents"
    OCSF = "ocsf"
    OTEL = "otel"


def export(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="FILE|URL|-", help="Where to; - is stdout.")] = "-",
    form: Annotated[Form, typer.Option("--format", help="In which form.")] = Form.JSONL,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False,
    cursor: Annotated[
        str | None,
        typer.Option(
            "--cursor",
            metavar="FILE|NAME",
            help="Go on behind what was exported with this cursor before, and keep how far it came."
            " A name without a slash is a file beside the log's key.",
        ),
    ] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only entries of this kind. May be given again.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="SPAN|TIME", help="Only entries from then on: 2h, 2026-11-23.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="SPAN|TIME", help="Only entries before then.")] = None,
    content: Annotated[
        bool,
        typer.Option("--content", help="otel: send arguments, results and reasons too, as far as the log holds them."),
    ] = False,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME: VALUE", help=f"A header of HTTP requests. Secret ones better in {HEADERS}."),
    ] = None,
    limit: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="A sink that takes longer for one parcel is cut off.")
    ] = LIMIT_SECONDS,
    attempts: Annotated[int, typer.Option(min=1, help="How often a parcel is tried; --follow never gives up.")] = 5,
    every: Annotated[
        float, typer.Option(min=0.05, metavar="SECONDS", help="--follow: how often to look for more.")
    ] = 1.0,
    force: Annotated[bool, typer.Option("--force", help="Take the place of a file that is there.")] = False,
    store: StoreOption = None,
) -> None:
    """Send the log elsewhere, each entry at least once: as JSON Lines, CloudEvents, OCSF, or to OpenTelemetry (OTLP/HTTP).

    With --cursor an export goes on where the one before has stopped, also after a crash. A file without one appears whole at
    the end. Exit code 1 if something is missing or the sink left something out, 2 if the sink does not take it.
    """
    with opened(context, store) as ledger, contextlib.ExitStack() as closing:
        wanted = Wanted(
            kinds=tuple[EntryKind, ...](one.value for one in kind or ()),
            since=ledger.moment(since),
            until=ledger.moment(until),
        )
        chosen = _form(form, content=content)
        kept = _cursor(cursor, ledger, chosen)
        if kept is not None:
            closing.callback(kept.close)
        resumes = kept is not None or follow
        sink = open_sink(
            to, append=resumes, force=force, headers=_headers(header), limit_seconds=limit, out=sys.stdout.buffer
        )
        report = _run(
            ledger.log,
            chosen,
            sink,
            kept,
            wanted,
            beside=to == "-",
            attempts=attempts,
            every=every if follow else None,
        )
    for line in report.notes.values():
        show.note(f"warning: {line}")
    if to != "-":
        told = f"{show.count(report.exported)} entries exported to {to}"
        told += f", {report.failures} attempts failed, {report.cut_off} of them cut off" if report.failures else ""
        show.note(told)
    if not report.complete:
        raise typer.Exit(DOES_NOT_HOLD)


def _run(
    log: AuditLog,
    form: Format,
    sink: Sink,
    cursor: Cursor | None,
    wanted: Wanted,
    *,
    beside: bool,
    attempts: int,
    every: float | None,
) -> Report:
    whole = False
    try:
        with reading("exporting", shown=every is None and not (beside and sys.stdout.isatty())) as bar:
            exporter = Exporter(
                log, form, sink, cursor=cursor, wanted=wanted, attempts=attempts, progress=bar, clock=books.CLOCK
            )
            with _interruptible(exporter) as interrupted:
                report = exporter.run() if every is None else exporter.follow(every_seconds=every)
        whole = not interrupted or every is not None or cursor is not None
    finally:
        sink.close(whole=whole)
    if interrupted and every is None:
        show.note(f"interrupted after entry {report.after}" + ("" if cursor else ": nothing was written"))
        raise typer.Exit(INTERRUPTED)
    return report


@contextlib.contextmanager
def _interruptible(exporter: Exporter) -> Generator[list[int]]:
    """Ctrl-C and SIGTERM let the parcel under way be finished; a second one ends at once."""
    seen: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: FrameType | None) -> None:
        seen.append(number)
        exporter.stop()
        signal.signal(number, signal.SIG_DFL)

    try:
        for number in before:
            signal.signal(number, stop)
    except ValueError:
        before = {}  # not the main thread: whoever runs us there stops us otherwise
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _form(form: Form, *, content: bool) -> Format:
    match form:
        case Form.JSONL:
            return JsonLines()
        case Form.CLOUDEVENTS:
            return CloudEvents()
        case Form.OCSF:
            return Ocsf()
        case Form.OTEL:
            return OtelGenAi(content=content)


def _cursor(named: str | None, ledger: books.Books, form: Format) -> Cursor | None:
    if named is None:
        return None
    path = Path(named) if os.sep in named or named.endswith(".json") else books.beside_the_key(ledger.store, named)
    return Cursor(path, origin=ledger.log.origin, form=form.name)


def _headers(said: list[str] | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in (*os.environ.get(HEADERS, "").splitlines(), *(said or ())):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ExportError(
                "a header is no header", hint="write `Name: value`"
            )  # its value may be a secret: not shown
        headers[name.strip()] = value.strip()
    return headers
