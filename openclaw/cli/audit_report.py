"""``openclaw audit report``: a time of the log as evidence for an auditor, in one file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from openclaw.audit import Verifier
from openclaw.audit.reading import Reader
from openclaw.cli import DOES_NOT_HOLD, show
from openclaw.cli.books import opened
from openclaw.cli.files import write_file
from openclaw.cli.options import JsonOption, KeyOption, PlacesOption, StoreOption
from openclaw.cli.progress import stages
from openclaw.cli.proving import PublicKey
from openclaw.errors import ConfigurationError
from openclaw.review.document import Document, as_html, as_markdown
from openclaw.review.evidence import Evidence, gather
from openclaw.review.pdf import as_pdf
from openclaw.review.period import Period
from openclaw.review.report import report_of
from openclaw.review.serving import serving

FORMS: dict[str, Callable[[Document], bytes]] = {".html": as_html, ".md": as_markdown, ".pdf": as_pdf}
TOLD_FONT = "a font is for a PDF: the other forms have none of their own"


def report(
    context: typer.Context,
    period: Annotated[
        str, typer.Option("--period", metavar="TIME", help="2026, 2026-Q4, 2026-11, 2026-W48, 2026-11-23 or FROM..TO.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A file that ends in .html, .md or .pdf.")],
    public_key: PublicKey = None,
    key: KeyOption = None,
    checkpoints: PlacesOption = None,
    policies: Annotated[
        list[Path] | None,
        typer.Option(
            "--policies",
            metavar="FOLDER|FILE",
            show_default=False,
            help="Policies that decided: their annotations say which demands their rules serve. May be given again.",
        ),
    ] = None,
    font: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="A TrueType font for letters that the fonts of a PDF do not have: Greek, Cyrillic, Chinese."
            " May be given again.",
        ),
    ] = None,
    inside_only: Annotated[
        bool, typer.Option("--inside-only", help="Compare with no place outside when verifying.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a dated report for an auditor: what was governed, refused, asked and spent, with proof. Exit code 1 if it is broken.

    The log is verified first. The same time of the same log gives the same bytes, once a checkpoint covers it.
    """
    form = FORMS.get(out.suffix.lower())
    if form is None:
        raise ConfigurationError(
            f"`{out}` has no form that is known", hint="name a file that ends in .html, .md or .pdf"
        )
    if font:
        if form is not as_pdf:
            raise ConfigurationError(TOLD_FONT, hint="leave --font out, or write .pdf")
        form = functools.partial(as_pdf, fonts=font)
        form(Document("", ()))  # a font that is none is said before the log is read
    verifier = Verifier.parse(public_key) if public_key else None
    places = () if inside_only else checkpoints or None
    serves = serving(policies or ())
    with opened(context, store, key=key, signs=verifier is None, compares=True, places=places) as books:
        meant = Period.parse(period, books.store.clock.now())
        reader = Reader(books.store)
        with stages() as stage:
            heard = {"seen": stage("reading"), "checked": stage("verifying")}
            found = gather(books.log, reader, meant, verifier=verifier, serving=serves, **heard)
        write_file(out, form(report_of(found)))
    _say(found, out, as_json=as_json)
    if not found.verified.ok:
        raise typer.Exit(DOES_NOT_HOLD)


def _say(found: Evidence, out: Path, *, as_json: bool) -> None:
    verdict = "holds" if found.verified.ok else "broken"
    if as_json:
        pin = found.pin
        show.as_json(
            {
                "file": str(out),
                "since": found.period.since.isoformat(),
                "until": found.period.until.isoformat(),
                "entries": found.stats.entries,
                "verdict": verdict,
                "checkpoint": {"seq": pin.seq, "size": pin.size, "root": pin.root} if pin else None,
            }
        )
        return
    covered = (
        f"checkpoint {found.pin.seq}, of {show.count(found.pin.size)} entries" if found.pin else "no checkpoint yet"
    )
    show.fields(
        [
            ("wrote", str(out)),
            ("entries", f"{show.count(found.stats.entries)}, {found.first} to {found.last}"),
            ("covered by", covered),
            ("verdict", show.word(verdict)),
        ]
    )


__all__ = ["report"]
