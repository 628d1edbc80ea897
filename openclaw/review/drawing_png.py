# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingModuleSource=false
# pyright: reportUnknownArgumentType=false, reportMissingImports=false
"""The picture of a timeline as a PNG, by Pillow and a font that comes with reportlab, both of the extra `report`.

What is read is our own SVG and nothing else: rectangles, lines and texts. Letters that the font does not have stand as escapes.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from openclaw.errors import ConfigurationError
from openclaw.review.pdf_fonts import escape

SCALE = 2
"""Pixels of the picture for one of the SVG, so that texts stay readable when they are looked at closely."""

SIZE = 11
TALL_MAX = 16_000
"""Pixels of the SVG, some seven hundred actions: Pillow holds the whole picture, and nobody looks at a taller one."""

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_COLOURS = {"": "#1f2328", "h": "#1f2328", "d": "#59636e"}


def as_png(svg: str) -> bytes:
    """An SVG of ``drawing.draw`` as a PNG.

    Raises:
        ConfigurationError: Pillow or reportlab is not installed, or the run is too long for one picture.
    """
    try:
        import reportlab
        from PIL import Image, ImageDraw, ImageFont
        from reportlab.pdfbase.ttfonts import TTFontFace
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "a PNG needs Pillow and reportlab, which are not installed",
            hint="pip install 'openclaw-governance[report]', or write --svg",
        ) from error
    root = ET.fromstring(svg)  # noqa: S314 - written by ourselves, a moment ago
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    if height > TALL_MAX:
        raise ConfigurationError(
            "the run has too many actions for one PNG", hint="write --svg, which has no such bound"
        )
    folder = Path(reportlab.__file__).parent / "fonts"
    faces = {kind: folder / name for kind, name in (("", "Vera.ttf"), ("h", "VeraBd.ttf"), ("d", "Vera.ttf"))}
    fonts = {kind: ImageFont.truetype(str(path), SIZE * SCALE) for kind, path in faces.items()}
    letters = frozenset(TTFontFace(str(faces[""])).charToGlyph)
    picture = Image.new("RGB", (width * SCALE, height * SCALE), "#ffffff")
    pen: Any = ImageDraw.Draw(picture)
    for element in root.iter():
        at = element.attrib
        match element.tag.removeprefix(_NAMESPACE):
            case "rect":
                x, y = float(at.get("x", 0)), float(at.get("y", 0))
                box = (x, y, x + float(at["width"]), y + float(at["height"]))
                pen.rounded_rectangle([one * SCALE for one in box], float(at.get("rx", 0)) * SCALE, fill=at["fill"])
            case "line":
                ends = [float(at[name]) * SCALE for name in ("x1", "y1", "x2", "y2")]
                pen.line(ends, fill=at["stroke"], width=SCALE)
            case "text":
                kind = at.get("class", "")
                said = re.fullmatch(r"fill:(#[0-9a-f]{6})", at.get("style", ""))
                shown = "".join(one if ord(one) in letters else escape(one) for one in element.text or "")
                pen.text(
                    (float(at["x"]) * SCALE, float(at["y"]) * SCALE),
                    shown,
                    fill=said.group(1) if said else _COLOURS[kind],
                    font=fonts[kind],
                    anchor="ms" if at.get("text-anchor") else "ls",
                )
            case _:
                pass  # titles and groups are no ink
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


__all__ = ["as_png"]
