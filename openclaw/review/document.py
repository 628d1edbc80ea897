"""A document as its parts: headings, paragraphs, names with values, and tables. It is written as HTML, Markdown or PDF.

Texts in it are plain: whoever writes it escapes them for its own form. Nothing in it is of this moment or this machine, so the
same document gives the same bytes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from openclaw.review.wording import safe


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading below the title."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; ``alarm`` where it must not be overlooked."""

    text: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Values:
    """Names and values."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``numbers`` are the columns (from 0) that stand to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()


Block = Heading | Paragraph | Values | Table


@dataclass(frozen=True, slots=True)
class Document:
    """A title and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


# -- HTML ----------------------------------------------------------------------------------------------------------------

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #8886}
table{border-collapse:collapse;width:100%;font-size:.92em}
th,td{text-align:left;vertical-align:top;padding:.25rem .7rem .25rem 0;border-bottom:1px solid #8883;overflow-wrap:anywhere}
th{white-space:nowrap}.n{text-align:right;font-variant-numeric:tabular-nums}
.alarm{border-left:4px solid #c62828;padding-left:.8rem;font-weight:600}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}
""".strip()


def as_html(document: Document) -> bytes:
    """One self-contained page: nothing in it is fetched, run or linked, and no text can become markup."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">""",
        '<meta name="viewport" content="width=device-width">',
        f"<title>{_html(document.title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
        "</head>",
        "<body>",
        f"<h1>{_html(document.title)}</h1>",
        *(_html_block(block) for block in document.blocks),
        "</body>",
        "</html>",
    ]
    return ("\n".join(parts) + "\n").encode()


def _html(text: str) -> str:
    return html.escape(safe(text))


def _html_block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h2>{_html(block.text)}</h2>"
        case Paragraph():
            return f"<p class='alarm'>{_html(block.text)}</p>" if block.alarm else f"<p>{_html(block.text)}</p>"
        case Values():
            rows = [f"<tr><th>{_html(name)}</th><td>{_html(value)}</td></tr>" for name, value in block.pairs]
            return "\n".join(["<table>", *rows, "</table>"])
        case Table():
            head = "".join(_html_cell("th", text, at in block.numbers) for at, text in enumerate(block.columns))
            rows = [
                "".join(_html_cell("td", text, at in block.numbers) for at, text in enumerate(row))
                for row in block.rows
            ]
            return "\n".join(
                [
                    f"<table>\n<thead><tr>{head}</tr></thead>",
                    "<tbody>",
                    *(f"<tr>{row}</tr>" for row in rows),
                    "</tbody>\n</table>",
                ]
            )


def _html_cell(tag: str, text: str, number: bool) -> str:
    return f"<{tag} class='n'>{_html(text)}</{tag}>" if number else f"<{tag}>{_html(text)}</{tag}>"


# -- Markdown ------------------------------------------------------------------------------------------------------------

_MARKUP = re.compile(r"[\\`*_{}\[\]<>#!|~&@^$]|:(?=//)|(?<=www)\.|^[-+=]", re.IGNORECASE)


def as_markdown(document: Document) -> bytes:
    """GitHub-flavoured Markdown, every character of a text escaped that could mean something there, and no address a link."""
    parts = [f"# {_markdown(document.title)}", *(_markdown_block(block) for block in document.blocks)]
    return ("\n\n".join(parts) + "\n").encode()


def _markdown(text: str) -> str:
    return _MARKUP.sub(lambda found: f"\\{found.group()}", safe(text).strip())


def _markdown_block(block: Block) -> str:
    match block:
        case Heading():
            return f"## {_markdown(block.text)}"
        case Paragraph():
            said = _markdown(block.text)
            return f"**{said}**" if block.alarm and said else said  # four stars around nothing are a rule
        case Values():
            return _markdown_table(("", ""), block.pairs, frozenset())
        case Table():
            return _markdown_table(block.columns, block.rows, block.numbers)


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: frozenset[int]) -> str:
    rule = ["---:" if at in numbers else "---" for at in range(len(columns))]
    lines = [[_markdown(text) for text in row] for row in (columns, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


__all__ = ["Block", "Document", "Heading", "Paragraph", "Table", "Values", "as_html", "as_markdown"]
