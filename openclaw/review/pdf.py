# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingModuleSource=false
# pyright: reportUnknownArgumentType=false, reportMissingImports=false
"""A document as PDF 1.4, by reportlab (BSD licence), which is an extra. The same document gives the same bytes."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from openclaw.errors import ConfigurationError
from openclaw.review.document import Block, Document, Heading, Paragraph, Table, Values
from openclaw.review.pdf_fonts import Fonts
from openclaw.review.wording import safe

ESCAPED = (
    "Letters that the fonts of this file cannot show stand as escapes, such as \\u4e2d."
    " The same report as .html or .md shows them. --font FILE.ttf names a font that has them; scripts whose letters join"
    " or run from right to left, such as Arabic, stand as escapes here whatever the font."
)
MARGIN = 42
"""Points: 15 mm."""


def as_pdf(document: Document, fonts: Sequence[Path] = ()) -> bytes:
    """The document on pages of A4 across.

    Args:
        document: what it says.
        fonts: TrueType fonts for the letters that the built-in fonts do not have; see ``pdf_fonts``.

    Raises:
        ConfigurationError: reportlab is not installed, or a font cannot be used.
    """
    try:
        from reportlab.lib.pagesizes import A4, landscape
        from reportlab.platypus import SimpleDocTemplate
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "a PDF needs reportlab, which is not installed",
            hint="pip install 'openclaw-governance[report]', or write .html",
        ) from error
    known = Fonts(fonts)
    out = io.BytesIO()
    page = landscape(A4)
    # invariant: no date of making, and an identifier from the content.
    made = SimpleDocTemplate(
        out,
        pagesize=page,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=known.plain(document.title),
        author="openclaw",
        invariant=1,
        lang="en",
    )
    made.build([*_parts(document, page[0] - 2 * MARGIN, known)], onFirstPage=_number, onLaterPages=_number)
    return out.getvalue()


def _number(canvas: Any, made: Any) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.drawRightString(made.pagesize[0] - MARGIN, MARGIN / 2, str(canvas.getPageNumber()))


def _parts(document: Document, width: float, fonts: Fonts) -> Iterator[Any]:
    from reportlab.lib.colors import HexColor
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph as Text
    from reportlab.platypus import Spacer

    body = ParagraphStyle("body", fontName="Helvetica", fontSize=8.5, leading=11)
    styles = {
        "body": body,
        "alarm": ParagraphStyle("alarm", parent=body, fontName="Helvetica-Bold", textColor=HexColor("#c62828")),
        "head": ParagraphStyle("head", parent=body, fontName="Helvetica-Bold"),
        "right": ParagraphStyle("right", parent=body, alignment=2),
    }
    yield Text(
        fonts.markup(document.title),
        ParagraphStyle("title", parent=body, fontName="Helvetica-Bold", fontSize=16, leading=22),
    )
    if any(not all(map(fonts.of, safe(text))) for text in _texts(document)):
        yield Text(fonts.markup(ESCAPED), styles["alarm"])
    for block in document.blocks:
        match block:
            case Heading():
                big = ParagraphStyle(
                    "h", parent=body, fontName="Helvetica-Bold", fontSize=12, leading=20, keepWithNext=1
                )
                yield Text(fonts.markup(block.text), big)
            case Paragraph():
                yield Text(fonts.markup(block.text), styles["alarm" if block.alarm else "body"])
            case Values() | Table():
                yield _table(block, width, styles, fonts)
        yield Spacer(1, 6)


def _table(block: Values | Table, width: float, styles: dict[str, Any], fonts: Fonts) -> Any:
    from reportlab.platypus import LongTable, TableStyle
    from reportlab.platypus import Paragraph as Text

    columns, rows, numbers = _cells(block)
    lines = [[Text(fonts.markup(one), styles["head"]) for one in columns]] if columns else []
    lines += [
        [
            Text(fonts.markup(one), styles["right" if at in numbers else "head" if not columns and at == 0 else "body"])
            for at, one in enumerate(row)
        ]
        for row in rows
    ]
    grid = [("LINEBELOW", (0, 0), (-1, -1), 0.25, "#999999"), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    grid += [("LEFTPADDING", (0, 0), (-1, -1), 2), ("RIGHTPADDING", (0, 0), (-1, -1), 6)]
    grid += [("TOPPADDING", (0, 0), (-1, -1), 1), ("BOTTOMPADDING", (0, 0), (-1, -1), 2)]
    widths = _widths(([columns] if columns else []) + [list(row) for row in rows], width)
    return LongTable(lines, colWidths=widths, repeatRows=1 if columns else 0, style=TableStyle(grid), splitInRow=1)


def _cells(block: Block) -> tuple[list[str], Sequence[Sequence[str]], frozenset[int]]:
    if isinstance(block, Table):
        return list(block.columns), block.rows, block.numbers
    assert isinstance(block, Values)
    return [], block.pairs, frozenset()


def _widths(lines: Sequence[Sequence[str]], width: float) -> list[float]:
    """Shares of the page by what stands in the columns, none so narrow that its heading breaks."""
    wanted = [max(min(max(len(line[at]) for line in lines), 60), len(lines[0][at]), 6) for at in range(len(lines[0]))]
    return [width * one / sum(wanted) for one in wanted]


def _texts(document: Document) -> Iterator[str]:
    """Everything that the document says."""
    yield document.title
    for block in document.blocks:
        if isinstance(block, Heading | Paragraph):
            yield block.text
        else:
            columns, rows, _ = _cells(block)
            yield from itertools.chain(columns, *rows)


__all__ = ["as_pdf"]
