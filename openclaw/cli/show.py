"""How everything is printed: data on stdout, messages on stderr, tables for people, JSON for programs.

What is printed comes from logs, so from agents and from the documents that they read: control and direction characters
are shown as escapes, and nothing is ever read as markup.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from openclaw.review.wording import UNSAFE, safe
from openclaw.review.wording import amount as amount
from openclaw.review.wording import count as count
from openclaw.review.wording import duration as duration
from openclaw.review.wording import moment as moment
from openclaw.review.wording import unit_name as unit_name
from openclaw.review.wording import usd as usd

BROKEN_PIPE = 141
"""Exit code when the reader of our output has gone: 128 + SIGPIPE, as for any other tool in a pipe."""

PIPE_WIDTH = 10_000
"""Columns where stdout is neither a terminal nor told its width: nothing is cut, for `grep` and `less -S`."""

HEADING_MAX = 100
GAP = "  "
NAME_MIN, NAME_MAX = 12, 32
"""Columns that a name keeps on a narrow terminal, and up to which it is shown whole anywhere: no identifier of ours is longer."""

_WORD = re.compile(r"\S+\s*")
WIDE_MIN = 16
"""A column that gives way on a narrow terminal keeps this many columns; beyond that the terminal wraps the line."""

STYLES = {
    "allow": "green",
    "done": "green",
    "approved": "green",
    "agreed": "green",
    "disputed": "red",
    "follow-up": "yellow",
    "holds": "green",
    "ok": "green",
    "ask": "yellow",
    "waiting": "yellow",
    "pending": "yellow",
    "unsigned": "yellow",
    "cancelled": "yellow",
    "suspended": "yellow",
    "unknown": "red",
    "open": "yellow",
    "absent": "yellow",
    "deny": "red",
    "failed": "red",
    "rejected": "red",
    "expired": "red",
    "broken": "red",
}
"""One colour for one meaning, wherever the word stands."""

SEVERITIES = {"error": "bold red", "warning": "bold yellow"}


class _Screen(Console):
    """A console that leaves quietly when nobody reads any more."""

    def on_broken_pipe(self) -> NoReturn:
        leave_quietly()


def leave_quietly() -> NoReturn:
    """End the process after a broken pipe, without the interpreter's own complaint at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(BROKEN_PIPE)


def screen() -> Console:
    """Stdout, as wide as it is."""
    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return _Screen(
        highlight=False, markup=False, emoji=False, width=None if told else PIPE_WIDTH, color_system=_colors()
    )


def messages() -> Console:
    """Stderr, for what is not data."""
    return _Screen(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True, color_system=_colors())


def _colors() -> Literal["auto"] | None:
    """With NO_COLOR (https://no-color.org) nothing is bold or dim either: what is written is the text alone."""
    return None if os.environ.get("NO_COLOR") else "auto"


def word(text: str) -> Text:
    """A state such as ``allow`` or ``failed`` in its colour."""
    return Text(safe(text), style=STYLES.get(text, ""))


def plain_text(text: str, style: str = "") -> Text:
    """Any text from outside, made safe."""
    return Text(safe(text), style=style)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. ``wide`` columns share what width is left and are cut with an ellipsis; others are whole, as far as
    they are not names beyond all measure (``NAME_MAX``).

    ``path``: what tells one value from another stands at its end, so that its beginning is cut. ``gives``: a name that is cut
    rather than the line broken; others are identifiers, which people copy.
    """

    name: str
    justify: Literal["left", "right"] = "left"
    wide: bool = False
    path: bool = False
    gives: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table without frames: a line of headings, a line for each row."""
    out = screen()
    heads = [plain_text(column.name.upper(), "bold") for column in columns]
    cells = [heads, *([plain_text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)]
    widths = [max(row[at].cell_len for row in cells) for at in range(len(columns))]
    wide = [at for at, column in enumerate(columns) if column.wide]
    _shorten_names(columns, widths, out.width)
    fixed = sum(width for at, width in enumerate(widths) if at not in wide) + len(GAP) * (len(columns) - 1)
    left = out.width - fixed
    for taken, at in enumerate(sorted(wide, key=lambda at: widths[at])):  # what a narrow one leaves goes to the others
        widths[at] = min(widths[at], max(WIDE_MIN, left // (len(wide) - taken)))
        left -= widths[at]
    for row in cells:
        out.print(_row(row, columns, widths), soft_wrap=True)


def _shorten_names(columns: Sequence[Column], widths: list[int], room: int) -> None:
    """Where the line does not fit, names give way: those that may, and any that is longer than an identifier ever is."""
    least = sum(min(width, WIDE_MIN) if column.wide else width for column, width in zip(columns, widths, strict=True))
    over = least + len(GAP) * (len(columns) - 1) - room
    for at in sorted(range(len(columns)), key=lambda at: widths[at], reverse=True):
        if over > 0 and widths[at] > (NAME_MIN if columns[at].gives else NAME_MAX) and not columns[at].wide:
            given = min(over, widths[at] - NAME_MIN)
            widths[at] -= given
            over -= given


def _row(row: Sequence[Text], columns: Sequence[Column], widths: Sequence[int]) -> Text:
    line = Text()
    for at, (cell, column, width) in enumerate(zip(row, columns, widths, strict=True)):
        fitted = _cut(cell, width, beginning=column.path)
        room = width - fitted.cell_len
        line.append(GAP if at else "")
        if column.justify == "right":
            line.append(" " * room)
        line.append_text(fitted)
        if column.justify == "left" and at < len(columns) - 1:
            line.append(" " * room)
    line.rstrip()
    return line


def _cut(cell: Text, width: int, *, beginning: bool) -> Text:
    fitted = cell.copy()
    if beginning and cell.cell_len > width:
        while fitted.cell_len >= width:
            fitted = fitted[1:]
        return Text.assemble("…", fitted)
    fitted.truncate(width, overflow="ellipsis")
    return fitted


def heading(text: str) -> None:
    """Print a heading with a line after it, as wide as the terminal; in a pipe, 100 columns."""
    out = screen()
    out.print(Rule(plain_text(text, "bold"), align="left", characters="─"), width=min(out.width, HEADING_MAX))


def fields(pairs: Iterable[tuple[str, str | Text]]) -> None:
    """Print names and values, one pair a line; what does not fit goes on below itself.

    A word that is longer than the line is left to the terminal: a digest or an address with a line end in it cannot be copied.
    """
    out, shown = screen(), list(pairs)
    indent = max((len(name) for name, _ in shown), default=0) + len(GAP)
    for name, value in shown:
        text = plain_text(value) if isinstance(value, str) else value
        for number, part in enumerate(_lines_of(text, max(WIDE_MIN, out.width - indent))):
            part.rstrip()
            out.print(Text.assemble((name if number == 0 else "").ljust(indent), part), soft_wrap=True)


def _lines_of(text: Text, width: int) -> list[Text]:
    """A text in lines that end between words."""
    ends: list[int] = []
    used = 0
    for word in _WORD.finditer(text.plain):
        if used and used + cell_len(word.group().rstrip()) > width:
            ends.append(word.start())
            used = 0
        used += cell_len(word.group())
    return list(text.divide(ends))


def finding(where: str, severity: str, message: str, hint: str) -> None:
    """Print one finding: a line that editors and ``grep`` understand, and a line that says what to do."""
    out = screen()
    line = Text.assemble(f"{safe(where)}: ", (f"{severity}: ", SEVERITIES[severity]), plain_text(message))
    out.print(line, soft_wrap=True)
    if hint:
        out.print(plain_text(f"  → {hint}"), soft_wrap=True)


def outline(depth: int, *parts: str | tuple[str, str]) -> None:
    """Print a line of an outline: texts, each with a style where it has one."""
    line = Text("  " * depth)
    for part in parts:
        line.append_text(plain_text(part) if isinstance(part, str) else plain_text(*part))
    line.rstrip()
    screen().print(line, soft_wrap=True)


def as_json(value: object) -> None:
    """Print one JSON value, readable and parseable."""
    _write(_json(value, indent=2) + "\n")


def as_json_list(values: Iterable[object]) -> None:
    """Print a JSON array, one element a line, as the elements come: a long log is never held whole."""
    first = True
    for value in values:
        _write(("[\n" if first else ",\n") + _json(value))
        first = False
    _write("[]\n" if first else "\n]\n")


def lines(text: str) -> None:
    """Print text that is data itself, such as a signed note."""
    _write(text if text.endswith("\n") else text + "\n")


def flush() -> None:
    """Let whoever reads along see what has been printed so far."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        leave_quietly()


def note(text: str) -> None:
    """Say something that is not data."""
    messages().print(plain_text(text))


def failure(text: str) -> None:
    """Say what is wrong, each line of it led by what kind of line it is."""
    first, *rest = text.splitlines() or [""]
    out = messages()
    out.print(Text.assemble(("error: ", "bold red"), plain_text(first)))
    for line in rest:
        out.print(plain_text(line))


def _json(value: object, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    # These can stand only inside a string here, where JSON has an escape for each of them.
    return re.sub(r"(?![\n\r\t])" + UNSAFE, lambda found: f"\\u{ord(found.group()):04x}", text)


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        leave_quietly()
