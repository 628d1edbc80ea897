"""Documents in three forms: no text of an agent becomes markup in any of them, and the same document gives the same bytes."""

from __future__ import annotations

import base64
import html
import html.parser
import re
import zlib
from pathlib import Path

import pytest
import reportlab
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from openclaw.errors import ConfigurationError
from openclaw.review.document import Document, Heading, Paragraph, Table, Values, as_html, as_markdown
from openclaw.review.pdf import as_pdf
from openclaw.review.pdf_fonts import Fonts
from openclaw.review.wording import safe

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></tr></table><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png) <http://evil.example>",
    "http://evil.example www.evil.example a@evil.example",
    "| a | b |\n| - | - |\n\n# heading\n\n- item\n1. one\n> quote\n```\ncode",
    "&lt;b&gt; &#x41; *a* _b_ **c** ~~d~~ `e` $f$ \\",
    "\x1b[31m\u202eright to left\u2066\x00",
    "- - -",
    "==",
    "+1",
    " ",
]


def document(text: str) -> Document:
    return Document(
        title=text,
        blocks=(
            Heading(text),
            Paragraph(text, alarm=True),
            Paragraph(text),
            Values(((text, text),)),
            Table(("One", "Two"), ((text, text), ("a", "b")), frozenset({1})),
        ),
    )


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _checked_html(text: str) -> None:
    page = as_html(document(text)).decode()
    found = _Tags()
    found.feed(page)
    assert found.tags <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    assert found.attributes <= {"lang", "charset", "name", "content", "http-equiv", "class"}
    assert "".join(found.texts).count(safe(text)) >= 7


def _checked_markdown(text: str) -> None:
    page = as_markdown(document(text)).decode()
    tokens = MarkdownIt("gfm-like", {"html": True}).parse(page)
    inline = [child.type for token in tokens for child in token.children or []]
    assert set(inline) <= {"text", "text_special", "strong_open", "strong_close"}
    blocks = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}
    assert blocks <= {"heading", "paragraph", "inline", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts(text: str) -> None:
    _checked_html(text)
    _checked_markdown(text)
    assert b"/JavaScript" not in as_pdf(document(text))
    assert b"/URI" not in as_pdf(document(text))


@given(st.text(min_size=1, max_size=60))
def test_no_text_becomes_markup(text: str) -> None:
    _checked_html(text)
    _checked_markdown(text)


@given(st.text(max_size=80))
def test_every_text_can_be_printed(text: str) -> None:
    assert as_pdf(document(text)).startswith(b"%PDF-1.4")


def test_the_same_document_gives_the_same_bytes() -> None:
    for form in (as_html, as_markdown, as_pdf):
        assert form(document("a → b")) == form(document("a → b"))


def test_long_tables_go_over_pages() -> None:
    rows = tuple((str(number), "x" * 300) for number in range(400))
    made = as_pdf(Document("long", (Table(("N", "Text"), rows, frozenset({0})),)))
    assert len(re.findall(rb"/Type /Page\b", made)) > 5


def _page_texts(made: bytes) -> str:
    """What is drawn on the pages."""
    streams = re.findall(rb"/ASCII85Decode[^>]*>>\s*stream\r?\n(.*?)~>\s*endstream", made, re.DOTALL)
    drawn = b"".join(zlib.decompress(base64.a85decode(one)) for one in streams)
    return b"".join(re.findall(rb"\((.*?)\) Tj", drawn)).decode("latin-1").replace("\\\\", "\\")


def test_letters_that_a_pdf_cannot_show_stand_as_escapes_and_that_is_said() -> None:
    shown = _page_texts(as_pdf(document("中 and 😀")))
    assert r"\u4e2d and \U0001f600" in shown
    assert "the fonts of this file cannot show" in shown
    assert "the fonts of this file cannot show" not in _page_texts(as_pdf(document("naïve")))


VERA = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
"""A font that comes with reportlab; of the letters that Helvetica does not have it has few."""


def test_a_font_that_is_named_shows_its_letters_and_no_others() -> None:
    fonts = Fonts([VERA])
    assert fonts.markup("Eva & <b>") == "Eva &amp; &lt;b&gt;"
    assert fonts.markup("Pawe\u0142 <i>") == '<font name="Told0">Pawe\u0142 &lt;i&gt;</font>'  # a name in one font
    assert fonts.markup("\u0142 \u4e2d") == '<font name="Told0">\u0142 \\u4e2d</font>'
    made = as_pdf(document("Pawe\u0142"), [VERA])
    assert "cannot show" not in _page_texts(made)
    assert b"BitstreamVeraSans" in made
    assert made == as_pdf(document("Pawe\u0142"), [VERA])
    assert b"BitstreamVeraSans" not in as_pdf(document("Eva"), [VERA])  # nothing is embedded that nobody needs


@pytest.mark.parametrize("text", ["\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627", "\u0928\u092e"])
def test_letters_that_must_be_shaped_are_not_shown_wrong(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fonts = Fonts([VERA])
    monkeypatch.setattr(fonts, "_named", [("Told0", frozenset(range(0x110000)))])
    assert fonts.of("\u4e2d") == "Told0"
    assert [fonts.of(letter) for letter in text] == [None] * len(text)


def test_a_font_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_bytes(b"no font")
    for path in (tmp_path / "font.ttf", tmp_path / "absent.ttf", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            as_pdf(document("a"), [path])
