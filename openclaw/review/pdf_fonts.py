# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingModuleSource=false
# pyright: reportUnknownArgumentType=false, reportMissingImports=false
"""Which font of a PDF shows which letter: the built-in ones, then those that the reader of the report has named.

No font is shipped and none is looked for on the machine: the one would be megabytes for the scripts of the world, and with the
other the same report had other bytes on the next machine. What no font shows stands as an escape, and so does what has to be
set by rules of its own (letters that join, or run from right to left): in the wrong shape and order they would be another name.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openclaw.errors import ConfigurationError
from openclaw.review.wording import safe

_SHAPED = (
    *((0x0590, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x18AF), (0x1900, 0x1CFF), (0x2D30, 0x2D7F), (0xA800, 0xABFF)),
    *((0xFB1D, 0xFDFF), (0xFE70, 0xFEFF), (0x10800, 0x11FFF), (0x1E800, 0x1EFFF)),
)
"""Hebrew and Arabic, the scripts of India and of South-East Asia, and others whose letters change by their neighbours."""

BUILT_IN = "Helvetica"


class Fonts:
    """The fonts of one document.

    Args:
        files: TrueType fonts, in the order in which they are asked for a letter that Helvetica does not have.

    Raises:
        ConfigurationError: a file cannot be read, or is no font that can go into a PDF.
    """

    def __init__(self, files: Sequence[Path] = ()) -> None:
        self._named = [(f"Told{number}", _letters(f"Told{number}", path)) for number, path in enumerate(files)]

    def of(self, character: str) -> str | None:
        """The font that shows a character; None where there is none, or it would have to be shaped."""
        if _in_windows_1252(character):
            return BUILT_IN
        number = ord(character)
        if any(first <= number <= last for first, last in _SHAPED):
            return None
        return next((name for name, letters in self._named if number in letters), None)

    def plain(self, text: str) -> str:
        """What can be shown; the rest as escapes, never as boxes that all look alike."""
        return "".join(one if self.of(one) else escape(one) for one in safe(text))

    def markup(self, text: str) -> str:
        """The same for reportlab, in whose own markup no text of an agent may have a say."""
        shown = self.plain(text)
        if all(map(_in_windows_1252, shown)):
            return html.escape(shown)
        whole = next((name for name, letters in self._named if letters.issuperset(map(ord, shown))), None)
        if whole is not None:  # one name in letters of two fonts looks like two
            return f'<font name="{whole}">{html.escape(shown)}</font>'
        parts = [(name, "".join(run)) for name, run in itertools.groupby(shown, self.of)]
        return "".join(
            html.escape(part) if name == BUILT_IN else f'<font name="{name}">{html.escape(part)}</font>'
            for name, part in parts
        )


def _letters(name: str, path: Path) -> frozenset[int]:
    from reportlab.lib.fonts import addMapping
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    try:
        font: Any = TTFont(name, str(path))
    except (OSError, TTFError) as error:
        raise ConfigurationError(
            f"the font `{path}` cannot be used: {str(error).strip() or type(error).__name__}",
            hint="name a TrueType font (.ttf) that may be embedded, such as NotoSans-Regular.ttf",
        ) from error
    pdfmetrics.registerFont(font)
    for bold, italic in itertools.product((0, 1), repeat=2):  # it has one face, in headings too
        addMapping(name, bold, italic, name)
    return frozenset(font.face.charToGlyph)


def _in_windows_1252(character: str) -> bool:
    try:
        return bool(character.encode("cp1252"))
    except UnicodeEncodeError:
        return False


def escape(character: str) -> str:
    """A character that no font shows, as JSON writes it: another one each."""
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


__all__ = ["BUILT_IN", "Fonts", "escape"]
