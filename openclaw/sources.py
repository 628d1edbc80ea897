"""Sources as they are compared with: each text indexed once, and looked up strictly or generously.

What the comparison means is said in ``flow``; how texts are folded and decoded, in ``folding``.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate, islice
from typing import TypeVar, cast

from pydantic import JsonValue

from openclaw.folding import EDGES, WORD, Part, bare, fold, numbers, readings, views

SOURCE_CHARS_MAX = 8_000_000
"""Characters of one source that are indexed, decoded forms included."""

RUN_WORDS = 6
"""Words in a row, at least, that make a copied text."""

_FIELDS_MAX = 20  # Members that are remembered of one value; a result may repeat it any number of times.
_PATH_MAX = 200  # Characters of a member's path; longer ones are cut.

_T = TypeVar("_T")


def unique(items: Iterable[_T]) -> tuple[_T, ...]:
    """Each item once, in order."""
    return tuple(dict.fromkeys(items))


@dataclass(frozen=True)
class Text:
    """The index of folded text. A line break in it separates what was never one text."""

    text: str
    words: frozenset[str]
    numbers: frozenset[str]
    runs: array[int]

    @classmethod
    def of(cls, lines: Sequence[str]) -> Text:
        """The index of these folded texts."""
        text = "\n".join(lines)
        return cls(
            text=text,
            words=frozenset(WORD.findall(text)),
            numbers=frozenset(numbers(text)),
            runs=array("q", sorted({run for line in lines for run in runs_of(line)})),
        )

    @cached_property
    def bare(self) -> str:
        """The letters and digits of each line."""
        return "\n".join(map(bare, self.text.split("\n")))

    def holds_run(self, run: int) -> bool:
        """Do these words stand in it in a row? ``run`` is one of ``runs_of``."""
        at = bisect_left(self.runs, run)
        return at < len(self.runs) and self.runs[at] == run


@dataclass(frozen=True)
class Document:
    """The index of one source: what it says, what it says when it is decoded, and its members by their values."""

    said: Text
    decoded: Text
    fields: Mapping[str, tuple[str, ...]]
    complete: bool

    @property
    def texts(self) -> tuple[Text, ...]:
        """All that it says, for generous comparison."""
        return (self.said, self.decoded) if self.decoded.text else (self.said,)


def index_of(content: str) -> Document:
    """The index of a text, which may be JSON."""
    said: list[str] = []
    decoded: list[str] = []
    fields: dict[str, tuple[str, ...]] = {}
    room = SOURCE_CHARS_MAX
    complete = True
    for path, leaf in leaves(content):
        complete = complete and len(leaf) <= room and leaf != _TOO_DEEP
        for number, view in enumerate(views(leaf[: max(room, 0)])):
            (decoded if number else said).append(fold(view[: max(room, 0)]))
            room -= len(view)
        complete = complete and room >= 0
        if path and len(leaf) <= 1_000:
            for key in _field_keys(leaf):
                fields[key] = unique((*fields.get(key, ()), path))[:_FIELDS_MAX]
    return Document(Text.of(said), Text.of(decoded), fields, complete)


_TOO_DEEP = "\ue000deep"


def leaves(content: str) -> Iterator[tuple[str, str]]:
    """The texts in ``content``, each with the member of structured content that it is, or "" where it is just text."""
    stack: list[tuple[str, JsonValue]] = [("", _parsed(content))]
    while stack:
        path, value = stack.pop()
        if isinstance(value, list):
            stack.extend((path, member) for member in reversed(value))
        elif (
            isinstance(value, dict) and value.get("type") == "text" and isinstance(value.get("text"), str) and not path
        ):
            stack.append(("", _parsed(cast("str", value["text"]))))  # A content block of a message.
        elif isinstance(value, dict):
            inner = untagged(value)
            if inner is not value:
                stack.append((path, inner))
                continue
            for key, member in reversed(value.items()):
                yield "", key
                stack.append((f"{path}.{key[:_PATH_MAX]}"[:_PATH_MAX] if path else key[:_PATH_MAX], member))
        elif isinstance(value, str):
            yield path, value
        elif value is not None and not isinstance(value, bool):
            yield path, repr(value)


def _parsed(text: str) -> JsonValue:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError):
        return text


def untagged(value: dict[str, JsonValue]) -> JsonValue:
    """The value inside of one of ``canonical.plain``'s tagged forms."""
    match value:
        case {"$text": str(text), **rest} if not rest:
            try:
                return base64.b64decode(text).decode("utf-8", "surrogatepass")
            except ValueError:
                return text
        case {"$deep": _, **rest} if not rest:
            return _TOO_DEEP
        case _ if len(value) == 1 and next(iter(value)).startswith("$"):
            return next(iter(value.values()))
        case _:
            return value


def _field_keys(leaf: str) -> tuple[str, ...]:
    folded = fold(leaf).strip(EDGES)
    return (as_number(folded) or (folded,)) if folded else ()


def as_number(folded: str) -> tuple[str, ...]:
    """The readings of a text that is a number and nothing else."""
    digits = folded.lstrip("+-")
    return readings(digits) if digits[:1].isdigit() and not digits.strip("0123456789.,'’") else ()


def runs_of(folded: str) -> Iterator[int]:
    """All sequences of ``RUN_WORDS`` words, by hash: 64 bits, seeded anew in each process, so nobody can aim at one."""
    words = WORD.findall(folded)
    ends = tuple(accumulate(map(len, words), initial=RUN_WORDS - 1))  # Spaces between the words of one run included.
    runs = zip(*(islice(words, start, None) for start in range(RUN_WORDS)), strict=False)
    for run, start, end in zip(runs, ends, ends[RUN_WORDS:], strict=False):
        if end - start + RUN_WORDS > 4 * RUN_WORDS or not folded.isascii():
            yield hash(run)


def digest_of(text: str) -> bytes:
    """What tells one text from another."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Documents:
    """Indexes of recent texts: a context is often rebuilt from the same messages, call after call."""

    def __init__(self, *, chars_max: int) -> None:
        self._chars_max = chars_max
        self._chars = 0
        self._kept: OrderedDict[bytes, tuple[int, Document]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str, key: bytes) -> Document:
        """The index of ``text``, whose digest is ``key``."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][1]
        document = index_of(text)
        with self._lock:
            if key not in self._kept and len(text) <= self._chars_max:
                self._kept[key] = (len(text), document)
                self._chars += len(text)
                while self._chars > self._chars_max:
                    _, (chars, _) = self._kept.popitem(last=False)
                    self._chars -= chars
        return document


documents = Documents(chars_max=2_000_000)


# Strict and generous comparison --------------------------------------------------------------------------------------

_GLUE = frozenset("-.@/+%&~=#$")
"""Characters that join words into one longer name. A name is not seen inside of a longer one."""

_OCCURRENCES_MAX = 200
"""Occurrences of one value in one source that are looked at; only texts that are made for it have more."""


@dataclass(frozen=True, slots=True)
class Needle:
    """A folded value, or a part of one, made ready to be looked for in many texts."""

    text: str
    words: tuple[str, ...]
    letters: str
    account: bool
    forms: tuple[str, ...] = ()
    host: bool = False

    @classmethod
    def of(cls, text: str) -> Needle:
        """The needle of a folded value."""
        words = tuple(WORD.findall(text))
        account = 10 <= len(text) <= 64 and text.isalnum() and any(map(str.isdigit, text))
        return cls(text, words, "".join(words).replace("_", ""), account)

    @classmethod
    def of_part(cls, part: Part) -> Needle:
        """The needle of a part: numbers are looked for by value too, and hosts inside of addresses."""
        forms = readings(part.text) if part.kind == "number" else ()
        return replace(cls.of(part.text), forms=forms, host=part.kind == "host")


def names(index: Text, needle: Needle) -> bool:
    """Strict: the needle stands in the text as a name or phrase of its own."""
    if needle.host:
        return _holds_host(index, needle)
    if needle.forms and not index.numbers.isdisjoint(needle.forms):
        return True
    text = index.text
    if index.words.issuperset(needle.words):
        ends = islice(_occurrences(text, needle.text), _OCCURRENCES_MAX)
        if any(not _joined(text, at - 1, -1) and not _joined(text, end, 1) for at, end in ends):
            return True
    if needle.account and needle.text in index.bare:
        groups = "[ -]?".join(needle.text)  # People write account numbers in groups.
        return re.search(r"(?<!\w)(?<!\w[^\w\s])" + groups + r"(?!\w)(?![^\w\s]\w)", text) is not None
    return False


def holds(index: Text, needle: Needle) -> bool:
    """Generous: the needle stands in the text between other words; a long name, under any separators."""
    if needle.host:
        return _holds_host(index, needle)
    if needle.forms and not index.numbers.isdisjoint(needle.forms):
        return True
    if not needle.words:
        return False
    text = index.text
    if index.words.issuperset(needle.words):
        if len(needle.words) == 1:
            return True
        ends = tuple(islice(_occurrences(text, needle.text), _OCCURRENCES_MAX))
        if len(ends) == _OCCURRENCES_MAX or any(
            not _is_word(text[at - 1 : at]) and not _is_word(text[end : end + 1]) for at, end in ends
        ):
            return True
    return 8 <= len(needle.letters) <= 64 and needle.letters in index.bare


def _occurrences(text: str, needle: str) -> Iterator[tuple[int, int]]:
    at = text.find(needle)
    while at >= 0:
        yield at, at + len(needle)
        at = text.find(needle, at + 1)


def _joined(text: str, at: int, step: int) -> bool:
    """Does the character ``at``, next to a value, make it a part of a longer name?"""
    if not 0 <= at < len(text):
        return False
    beyond = text[at + step] if 0 <= at + step < len(text) else ""
    return _is_word(text[at]) or (text[at] in _GLUE and _is_word(beyond))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _holds_host(index: Text, host: Needle) -> bool:
    """A host stands in the addresses of its pages and mailboxes, but not in longer names of hosts."""
    text = index.text
    if not index.words.issuperset(host.words):
        return False
    ends = islice(_occurrences(text, host.text), _OCCURRENCES_MAX)
    return any(
        not (_is_word(text[at - 1 : at]) or text[at - 1 : at] in {".", "-"})
        and not (_is_word(text[end : end + 1]) or text[end : end + 1] == "-")
        and not (text[end : end + 1] == "." and _is_word(text[end + 1 : end + 2]))
        for at, end in ends
    )
