"""What a text says apart from how it is written: folding, decoding, numbers by value, and the parts that name things.

Pure functions over strings for ``flow``, which states what they are good for. Each takes time proportional to the length
of its text: all repetitions in the patterns start at a boundary or are bounded.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple
from urllib.parse import unquote

DECODINGS_MAX = 2
"""How many encodings on top of each other are undone."""

EDGES = " \t\n.,;:!?'\"`´‘’“”„«»()[]{}<>*|/\\"
"""Punctuation around a value that is no part of it."""

WORD = re.compile(r"\w+")

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
_EMOJI_JOINER = re.compile("(?<=[\u2190-\u2bff\U0001f000-\U0001faff])[\ufe0f\u200d]")
_UNSPACED = re.compile("([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff])")
_WEB = re.compile(r"(?<![\w.@-])(?:https?://(?:www\.)?|www\.)(?=\w)", re.IGNORECASE)
_MISSING_SPACE = re.compile(r"(?<=[a-z0-9])\.(?=[A-Z][a-z]+\s)")


def fold(text: str) -> str:
    """One spelling for many: NFKC, no invisible characters, case and whitespace folded, no ``http(s)://`` and ``www.``.

    Scripts that write no spaces between words are taken character by character. A full stop between a lower-case word and
    a capitalised one ends a sentence whose space was forgotten (``our-site.com.They sent``).
    """
    if not text.isascii():
        text = _UNSPACED.sub(r" \1 ", _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)))
    return " ".join(_WEB.sub("", _MISSING_SPACE.sub(". ", text)).casefold().split())


def bare(text: str) -> str:
    """The letters and digits of a folded text, without anything between them."""
    return "".join(WORD.findall(text)).replace("_", "")


def has_invisible(text: str) -> bool:
    """Are there characters that people do not see, but that models and tools do?"""
    return not text.isascii() and _INVISIBLE.search(_EMOJI_JOINER.sub("", text)) is not None


# Encodings --------------------------------------------------------------------------------------------------------

_TAG = re.compile("[\U000e0020-\U000e007e]")
_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
_ENTITY = re.compile(r"&#?\w{1,31};")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_HEX = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}){6,}(?![0-9a-fA-F])")


def views(text: str) -> Iterator[str]:
    """The text itself, then what it says with its encodings undone, ``DECODINGS_MAX`` deep; each view once."""
    known = {text}
    layer = [text]
    yield text
    for _ in range(DECODINGS_MAX):
        layer = [view for outer in layer for view in _decodings(outer) if not (view in known or known.add(view))]
        yield from layer


def _decodings(text: str) -> Iterator[str]:
    if _ENTITY.search(text):
        yield html.unescape(text)
    if _PERCENT.search(text):
        yield unquote(text, errors="replace")
    if not text.isascii() and _TAG.search(text):
        yield text.translate(_TAGS)
    for pattern, decode in ((_BASE64, _from_base64), (_HEX, bytes.fromhex)):
        for match in pattern.finditer(text):
            decoded = _readable(match.group(), decode)
            if decoded:
                yield decoded


def _from_base64(blob: str) -> bytes:
    digits = blob.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)


def _readable(blob: str, decode: Callable[[str], bytes]) -> str:
    """The text in ``blob``, or the empty string where it holds none: most long words are no base64."""
    try:
        text = decode(blob).decode()
    except (binascii.Error, ValueError):  # UnicodeDecodeError is a ValueError
        return ""
    return text if all(character.isprintable() or character.isspace() for character in text) else ""


# Numbers ----------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?<![\w.,])(?<!\d[-/:])[0-9][0-9.,'’]*(?![-/:]?[0-9])")
_DIGITS_MAX = 100


def numbers(text: str) -> Iterator[str]:
    """The normal forms of all numbers that stand in ``text`` by themselves: not those in dates, times and names."""
    for literal in set(_NUMBER.findall(text)):
        yield from readings(literal)


def readings(literal: str) -> tuple[str, ...]:
    """The normal forms of one number without its sign; two where ``1.000`` may be one or a thousand; none if it is none."""
    digits = literal.strip(" .,'’").replace("'", "").replace("’", "")
    marks = [mark for mark in digits if mark in ".,"]
    last = marks[-1] if marks else ""
    if len(set(marks)) == 2:  # The last mark is the decimal one, the other groups thousands.
        spellings = [digits.replace("," if last == "." else ".", "").replace(last, ".")]
    elif len(marks) > 1:
        spellings = [digits.replace(last, "")]
    else:
        spellings = [digits.replace(",", ".")]
        if last and len(digits.rpartition(last)[2]) == 3:
            spellings.append(digits.replace(last, ""))
    return tuple(form for form in map(normal, spellings) if form)


def normal(number: str) -> str:
    """The normal form of a decimal number as text, such as ``1000.5``; empty if it is none or has over 100 digits."""
    if len(number) > 2 * _DIGITS_MAX:
        return ""  # before it is read: one of a million digits is more than `Decimal` takes
    try:
        value = abs(Decimal(number))
    except InvalidOperation:
        return ""
    if not value.is_finite() or abs(value.adjusted()) > _DIGITS_MAX:
        return ""
    return format(value.normalize(), "f") if value else "0"


# Parts that name things -------------------------------------------------------------------------------------------

PartKind = Literal["url", "host", "email", "iban", "handle", "file", "number", "token"]


class Part(NamedTuple):
    """A part of a text that stands for something by itself."""

    kind: PartKind
    text: str


_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,20}")
_URL = re.compile(
    r"(?<![\w@.-])(?:[a-z][a-z0-9+.-]{1,20}://)?(?:[\w-]{1,63}\.){1,20}[^\W\d_]{2,24}(?![\w@-])"
    r"(?::\d{1,5})?(?:[/?#][^\s<>\"'`]{0,2000})?"
)
_IP_ADDRESS = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])(?::\d{1,5})?(?:[/?#][^\s<>\"'`]{0,2000})?")
_IBAN = re.compile(r"(?<!\w)[a-z]{2}\d{2}[a-z0-9]{11,30}(?!\w)")
_SPACED_IBAN = re.compile(r"(?<!\w)([a-z]{2}\d{2}(?:[ -][a-z0-9]{4}){2,7})([ -][a-z0-9]{1,3})?(?!\w)")
_HANDLE = re.compile(r"(?<![\w@#/.])[@#]([\w-]{2,100})")
_DIGITS = re.compile(r"(?<![\w.,])\+?\d(?:[\d .,()/-]{0,40}\d)?(?!\w)")
_TOKEN = re.compile(r"(?<![\w-])[\w-]{6,}")
_FILE_ENDING = re.compile(
    r"\.(txt|pdf|docx?|xlsx?|pptx?|csv|tsv|json|ya?ml|toml|ini|log|md|html?|xml|png|jpe?g|gif|svg|py|js|sql|db|gz|tar|eml|ics)$"
)


def parts(folded: str) -> Iterator[Part]:
    """The addresses, accounts, files, long numbers and secrets in a folded text, some of them under several kinds."""
    for match in _EMAIL.finditer(folded):
        yield Part("email", match.group().strip(EDGES))
    for pattern in (_URL, _IP_ADDRESS):
        for match in pattern.finditer(folded):
            yield from _url_parts(match.group().strip(EDGES))
    for match in _IBAN.finditer(folded):
        yield Part("iban", match.group())
    for match in _SPACED_IBAN.finditer(folded):
        # The last short group may be the next word of the sentence instead.
        for spelling in {match.group(), match.group(1)}:
            yield Part("iban", re.sub(r"[ -]", "", spelling))
    for match in _HANDLE.finditer(folded):
        yield Part("handle", match.group(1))
    for match in _DIGITS.finditer(folded):
        if is_long_number(match.group()):
            yield Part("number", match.group().strip(EDGES))
    for match in _TOKEN.finditer(folded):
        token = match.group().strip("-_")
        letters = sum(map(str.isalpha, token))
        if (letters and any(map(str.isdigit, token))) or len(token) >= 24:
            yield Part("token", token)


def _url_parts(url: str) -> Iterator[Part]:
    host = re.split(r"[/?#:]", url.partition("://")[2] or url, maxsplit=1)[0]
    labels = host.split(".")
    if host == url and _FILE_ENDING.search(host):
        yield Part("file", url)
        return
    yield Part("url", url)
    # A name below somebody's domain is theirs too: `secret.their-site.com` carries what a path would.
    names = range(len(labels) - 1) if not labels[-1].isdigit() else range(1)
    yield from (Part("host", ".".join(labels[first:])) for first in names)


def is_long_number(text: str) -> bool:
    """Five digits or more: a number that is hardly met twice by accident."""
    return sum(map(str.isdigit, text)) >= 5
