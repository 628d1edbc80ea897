"""Known shapes of secrets: names that say that a value is one, and texts that can hardly be anything else.

Both are for what no policy has named. They are made to err on the side of ordinary text: what is encoded, split, or of no
known form is not found, so a policy that knows where its secrets stand says so with a ``mask`` obligation.

Every pattern is tried once for each run of the characters that it is made of, with bounds on what may lie between, so
that the time is linear in the text.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

NAME_MAX = 64
"""Characters of a name that are looked at."""

SECRET_MIN = 8
"""Characters of the shortest text in which anything is found."""

LARGE_CHARS = 1 << 18
"""A text of more characters is stored by digest and head."""

Span = tuple[int, int]

# Names --------------------------------------------------------------------------------------------------------------

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


_SECRET_WORDS = _set(
    "password|passwords|passwd|pwd|passphrase|passcode|secret|secrets|token|authorization|cookie|cookies|credential"
    "|credentials|apikey|apikeys|jwt|bearer|otp|pin|cvv|cvc"
)
_SECRET_PAIRS = _set(
    "api key|api keys|access key|secret key|private key|private keys|signing key|encryption key|auth key|account key"
    "|master key|session key|session id|access tokens|auth tokens|api tokens|refresh tokens|bearer tokens|pass word"
)
_QUALIFIERS = _set(
    "value|text|plain|plaintext|raw|string|str|confirmation|confirm|again|repeat|b64|base64|hex|pem|header"
)
_NO_TOKENS = _set(
    "page|next|continuation|pagination|prev|previous|sync|cursor|stop|eos|bos|pad|unk|sep|mask|cls|special|max|min|num"
    "|total|first|last|start|end|per|count|input|output|prompt|completion|cancellation|cancel|sub"
)
_FLAGS = _set(
    "is|has|had|use|uses|using|require|requires|required|need|needs|no|with|without|allow|allows|enable|enabled|disable"
    "|show|hide|reset|forgot|change|expired|check|verify|must|should|can|include|store|save|remember"
)


@functools.lru_cache(maxsize=4096)
def secret_name(name: str) -> bool:
    """Whether ``name`` says that its value is a secret: ``password``, ``X-Api-Key``, ``clientSecret``, ``DB_PASSWORD``, …

    Not ``max_tokens``, ``next_page_token``, ``token_type`` or ``password_length``.
    """
    words = [word.lower() for word in _WORDS.findall(name[-NAME_MAX:])]
    while words and (words[-1].isdigit() or (words[-1] in _QUALIFIERS and len(words) > 1)):
        words.pop()
    if not words:
        return False
    if words[-1] == "token" and len(words) > 1 and words[-2] in _NO_TOKENS:
        return False
    return words[-1] in _SECRET_WORDS or " ".join(words[-2:]) in _SECRET_PAIRS


@functools.lru_cache(maxsize=4096)
def flag_name(name: str) -> bool:
    """Whether ``name`` asks a question, such as ``has_password``: then true or false is no secret."""
    words = _WORDS.findall(name[:NAME_MAX])
    return bool(words) and words[0].lower() in _FLAGS


# Texts --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """A pattern whose group ``secret`` is the secret. It is tried where one of ``anchors`` stands (in lower case)."""

    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    holds: Callable[[re.Match[str]], bool] = lambda _: True


def _shape(anchors: str, pattern: str, holds: Callable[[re.Match[str]], bool] | None = None) -> _Shape:
    compiled = re.compile(pattern)
    return _Shape(tuple(anchors.split()), compiled, holds) if holds else _Shape(tuple(anchors.split()), compiled)


_ALONE = r"(?<![A-Za-z0-9_-])"


def _has_run(found: re.Match[str]) -> bool:
    """Keys have a long run of letters and digits; words joined by hyphens do not."""
    return any(len(run) >= 16 for run in re.findall(r"[A-Za-z0-9]+", found["secret"]))


def _has_digit(found: re.Match[str]) -> bool:
    return len(found["secret"]) >= 24 or any(map(str.isdigit, found["secret"]))


def _is_user_and_password(found: re.Match[str]) -> bool:
    try:
        plain = base64.b64decode(found["secret"], validate=True)
    except (binascii.Error, ValueError):
        return False
    return b":" in plain and plain.isascii() and plain.decode().isprintable()


def _is_assigned(found: re.Match[str]) -> bool:
    """``password=hunter2``, and not ``login(password=password)`` or ``password=settings.PASSWORD``."""
    name, value = found["name"], found["secret"]
    if not secret_name(name) or _stands_for(value) or value.rstrip(_CLOSING).lower() == name.lower():
        return False
    if (
        found["open"]
        or name.isupper()
        or found.string[found.start("name") - 1 : found.start("name")] in ("?", "&", ";")
    ):
        return True
    return not value.isidentifier() and not _EXPRESSION.fullmatch(value) if _is_word(value) else True


def _stands_for(value: str) -> bool:
    """Whether a value only stands for one, as in documentation and templates."""
    return len(value) <= NAME_MAX and _PLACEHOLDER.fullmatch(value.rstrip(_CLOSING)) is not None


def _is_word(value: str) -> bool:
    return not any(map(str.isdigit, value)) and (len(value) < 8 or not value.isalpha())


_CLOSING = ")]}`.,"
_PLACEHOLDER = re.compile(
    r"(?i)[*.x•`-]*|none|null|nil|true|false|\$.*|%.*|\{.*|<.*|\[.*|y?our.*|changeme|required|optional|redacted|masked|str|string|int|bool|bytes|any"
)
_EXPRESSION = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*(?:[(\[].*)?")


def _is_pair(found: re.Match[str]) -> bool:
    return secret_name(found["name"]) and not _stands_for(found["secret"])


def _is_card(found: re.Match[str]) -> bool:
    """The check digit of a card number (Luhn, ISO/IEC 7812-1 annex B), and the number ranges of its issuers."""
    digits = [int(character) for character in found["secret"] if character.isdigit()]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    if (sum(doubled) + sum(digits[-1::-2])) % 10 or len(set(digits)) == 1:
        return False
    first_two, first_four = digits[0] * 10 + digits[1], int("".join(map(str, digits[:4])))
    if len(digits) == 15:
        return first_two in (34, 37)
    return (
        digits[0] == 4 or 51 <= first_two <= 55 or 2221 <= first_four <= 2720 or first_two == 65 or first_four == 6011
    )


_SHAPES = (
    _shape("akia asia abia acca", r"(?<![A-Za-z0-9])(?P<secret>(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})(?![A-Za-z0-9])"),
    _shape("ghp_ gho_ ghu_ ghs_ ghr_", r"(?<![A-Za-z0-9])(?P<secret>gh[pousr]_[A-Za-z0-9]{30,255})"),
    _shape("github_pat_", r"(?P<secret>github_pat_[A-Za-z0-9_]{22,255})"),
    _shape("glpat-", rf"{_ALONE}(?P<secret>glpat-[A-Za-z0-9_-]{{20,255}})"),
    _shape("xox xapp-", rf"{_ALONE}(?P<secret>(?:xox[abceoprs]|xapp)-[A-Za-z0-9-]{{10,512}})"),
    _shape("hooks.slack.com", r"hooks\.slack\.com/(?:services|workflows)/(?P<secret>[A-Za-z0-9/_-]{20,255})"),
    _shape("sk-", rf"{_ALONE}(?P<secret>sk-[A-Za-z0-9_-]{{20,512}})", _has_run),
    _shape("xai- pplx- gsk_", rf"{_ALONE}(?P<secret>(?:xai-|pplx-|gsk_)[A-Za-z0-9]{{30,255}})"),
    _shape("k_live_ k_test_", rf"{_ALONE}(?P<secret>[rsp]k_(?:live|test)_[A-Za-z0-9]{{16,255}})"),
    _shape("aiza", rf"{_ALONE}(?P<secret>AIza[A-Za-z0-9_-]{{35}})(?![A-Za-z0-9_-])"),
    _shape("ya29. gocspx-", rf"{_ALONE}(?P<secret>(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{{20,2048}})"),
    _shape(
        "hf_ npm_ r8_ dapi dop_v1_",
        rf"{_ALONE}(?P<secret>(?:hf_|npm_|r8_|dapi|dop_v1_)[A-Za-z0-9]{{30,128}})",
        _has_digit,
    ),
    _shape("pypi-", rf"{_ALONE}(?P<secret>pypi-[A-Za-z0-9_-]{{50,512}})"),
    _shape("hvs. hvb.", r"(?<![A-Za-z0-9_.-])(?P<secret>hv[sb]\.[A-Za-z0-9_-]{20,512})"),
    _shape("shpat_ shpss_ lsv2_", rf"{_ALONE}(?P<secret>(?:shpat_|shpss_|lsv2_[ps][tk]_)[A-Za-z0-9_]{{30,128}})"),
    _shape("sg.", rf"{_ALONE}(?P<secret>SG\.[A-Za-z0-9_-]{{16,64}}\.[A-Za-z0-9_-]{{16,128}})"),
    _shape("age-secret-key-", r"(?P<secret>AGE-SECRET-KEY-1[A-Z0-9]{50,64})"),
    _shape("private+key+", r"(?P<secret>PRIVATE\+KEY\+[^+\s]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{20,8192})"),
    _shape(":aa", r"(?<![A-Za-z0-9])(?P<secret>[0-9]{8,10}:AA[A-Za-z0-9_-]{32,34})(?![A-Za-z0-9_-])"),
    _shape("accountkey=", r"(?i)AccountKey=(?P<secret>[A-Za-z0-9+/]{40,128}={0,2})"),
    _shape(
        "eyj",
        rf"{_ALONE}(?P<secret>eyJ[A-Za-z0-9_-]{{8,4096}}\.[A-Za-z0-9_-]{{8,16384}}(?:\.[A-Za-z0-9_-]{{0,4096}}){{1,3}})",
    ),
    _shape("bearer", r"(?i)(?<![a-z0-9])bearer[ \t]{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{8,8192})", _has_digit),
    _shape("basic", r"(?i)(?<![a-z0-9])basic[ \t]{1,4}(?P<secret>[A-Za-z0-9+/]{8,8192}={0,2})", _is_user_and_password),
    _shape(
        "authorization",
        r"(?i)authorization[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']?"
        r"(?:bearer|basic|token|apikey|digest)[ \t]{1,4}(?P<secret>[^\s\"',;]{4,8192})",
    ),
    _shape("://", r"://[^\s/?#:@\"'<>]{0,256}:(?P<secret>[^\s/?#\"'<>]{1,256})@"),
)

_NAMED = (
    _shape(
        '"',
        r"[\"'](?P<name>[A-Za-z0-9_.\-]{2,64})\\{0,4}[\"']\s{0,3}[:=]\s{0,3}"
        r"\\{0,4}(?P<quote>[\"'])(?P<secret>(?:(?!\\{0,4}(?P=quote))[\s\S]){1,8192})",
        _is_pair,
    ),
    _shape(
        "=",
        r"(?<![A-Za-z0-9_.\-])(?:--)?(?P<name>[A-Za-z][A-Za-z0-9_.\-]{1,63})=(?P<open>[\"']?)(?P<secret>[^\s\"'&;,]{1,8192})",
        _is_assigned,
    ),
    _shape(
        "--",
        r"(?<!\S)--(?P<name>[A-Za-z][A-Za-z0-9-]{1,63})[ ](?P<open>[\"']?)(?P<secret>[^\s\"'-][^\s\"']{0,8192})",
        _is_assigned,
    ),
    _shape(
        ":",
        r"(?m)^[ \t-]{0,32}(?P<name>[A-Za-z][A-Za-z0-9_.\-]{1,63}):[ \t]{1,8}(?P<open>[\"']?)(?P<secret>[^\s\"']{1,8192})"
        r"[\"']?[ \t]{0,8}$",
        _is_assigned,
    ),
)

_NAMES = (*sorted({word.rstrip("s") for word in _SECRET_WORDS}), "basic", "key", "session")
"""One of these stands in every name of a secret: texts with none of them are not searched for names."""

_RUN = re.compile(r"[A-Za-z0-9_+/=.:-]{16}")
"""One of these stands in every secret that has no name, but for passwords in URLs and card numbers."""

_ANCHORS = tuple((anchor, shape) for shape in _SHAPES for anchor in shape.anchors)

_CARD = re.compile(
    r"(?<![A-Za-z0-9.,_+-])(?<![A-Z]{2}[0-9]{2} )(?P<secret>[2-6][0-9]{3}(?P<gap>[ -]?)[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)[0-9]{4}"
    r"|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5})(?![A-Za-z0-9_-])(?! [0-9])(?![.,][0-9])"
)
_DIGITS = re.compile(r"[2-6][0-9]{3}[ -]?[0-9]{4}")

_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


_PARTS = ("result", "tool", "principal", "run", "flow", "model")
"""The parts of a policy input in which secrets of known shape are looked for."""

_NEEDLES = (
    "private key",
    *_NAMES,
    *(anchor for anchor, _ in _ANCHORS),
    *sorted(
        {
            word
            for pair in _SECRET_PAIRS
            for word in pair.split()
            if word in ("key", "keys", "tokens", "session", "pass")
        }
    ),
)
"""One of these stands, in small letters, in every name of a secret and in every text that holds one, but for card numbers."""


class _Cloak:
    """Whether nothing in a value can be a secret, by one quick look; false where that is not sure, or nothing can look."""

    def __init__(self) -> None:
        try:
            from openclaw._native import Cloak
        except ImportError:  # not built, or built before it could do this
            self.harmless: Callable[[JsonValue], bool] = lambda _: False
            self.harmless_parts: Callable[[Mapping[str, JsonValue]], bool] = lambda _: False
            return
        native = Cloak(list(_NEEDLES), _DIGITS.pattern, SECRET_MIN, LARGE_CHARS)
        self.harmless = native.harmless
        self.harmless_parts = lambda document: native.harmless_parts(document, _PARTS)


CLOAK = _Cloak()


def secrets_in(text: str) -> list[Span]:
    """Where in ``text`` secrets of known shape stand, in order and apart from each other."""
    if len(text) < SECRET_MIN:
        return []
    lowered = text.lower()
    named = [word for word in _NAMES if word in lowered]
    if not named and "://" not in text and not _RUN.search(text) and not _DIGITS.search(text):
        return []  # nearly every text ends here
    shapes = [shape for anchor, shape in _ANCHORS if anchor in lowered]
    if named:
        shapes += _NAMED
    found = [*_private_keys(text)] if "private key" in lowered else list[Span]()
    for shape in dict.fromkeys(shapes):
        found += [match.span("secret") for match in shape.pattern.finditer(text) if shape.holds(match)]
    if _DIGITS.search(text):
        found += [match.span("secret") for match in _CARD.finditer(text) if _is_card(match)]
    return joined(found)


def _private_keys(text: str) -> Iterator[Span]:
    """From each BEGIN to its END; where there is none, to the end of the text."""
    at = 0
    while begin := _BEGIN.search(text, at):
        end = _END.search(text, begin.end())
        at = end.end() if end else len(text)
        yield begin.start(), at


def joined(spans: list[Span]) -> list[Span]:
    """Spans in order, those that overlap as one."""
    apart: list[Span] = []
    for start, end in sorted(spans):
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return apart


__all__ = ["CLOAK", "LARGE_CHARS", "SECRET_MIN", "Span", "flag_name", "joined", "secret_name", "secrets_in"]
