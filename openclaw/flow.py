"""Information flow: where the values of a call's arguments have been seen before.

``Flow`` holds everything that has entered one context window: the user's prompt and the results of tools, each with
the trust that was declared for its source. ``Flow.describe`` says, for each argument of a later call, where its value
or parts of it stood. It is a comparison of texts: deterministic, without a model, and it never asks what was meant.

The policy input (``input.flow``)::

    {"untrusted": true,                       has anything untrusted been read? the conservative switch
     "complete": true,                        false: a source was too long to be indexed whole (see below)
     "sources": [{"kind": "prompt", "trust": "trusted"},
                 {"kind": "tool", "tool": "read_mail", "trust": "untrusted"}],
     "args": {"recipient": {"trust": "untrusted",
                            "seen_in": ["read_mail"],         "prompt", or names of tools, in the order of reading
                            "whole": true,                    the whole value stood there, not only parts of it
                            "fields": ["read_mail.sender"],   members of structured results whose whole value it was
                            "parts": [{"kind": "iban", "seen_in": ["read_mail"]}],
                            "trivial": false}}}

``trust`` is ``trusted`` where the whole value stood in a trusted source; else ``untrusted`` where it, or a significant
part of it, stood in untrusted sources only; else ``unknown``: the model made it up, computed or paraphrased it.
``parts`` lists the kinds of significant parts that stood in no trusted source, and where they stood instead (``[]``:
nowhere, the model made them): ``url``, ``host``, ``email``, ``iban``, ``handle`` (``@name``, ``#name``), ``file``,
``number`` (five digits or more), ``token`` (letters mixed with digits, or very long), ``text`` (six words in a row, copied
from untrusted sources). The values themselves are not repeated, so that masking an argument in the log masks it
everywhere. Members of nested arguments have entries of their own under dotted paths (``to.0``); the
entry of the argument sums them up, the worst trust first.

The comparison is strict where it clears and generous where it taints. To clear a value, the same characters must stand
in a trusted source as a name or phrase of its own: case, whitespace, compatibility forms (NFKC), ``http(s)://``, ``www.``
and punctuation around it are folded, and spaces or hyphens inside of account numbers. ``company.com`` is not cleared by
``our-company.com``, nor by ``company.com/path``. To taint it, it is also enough that it stood there URL-encoded, as HTML
entities, in base64 or hexadecimal (in one piece, nested twice at most), in invisible characters, or with other separators
between its letters; and the argument is decoded in the same ways. Numbers are compared by value, without their sign
(``1,000.50`` is ``1000.5``; an ambiguous ``1.000`` is both 1 and 1000).

What it catches: values that are copied, whole or embedded in longer text, under these foldings. What it does not:
paraphrase, translation, summaries; values that were computed (sums, concatenations, initials, other encodings, spelling
backwards); names and other plain words inside of longer text (as whole arguments they are caught); texts in images and
sound; and whether a value of a trusted source was meant for this use: that the user's prompt contains ``general`` does
not say that the message was to go there. A policy that needs more uses ``untrusted``. A trusted source must be one whose
text outsiders cannot write, which a tool that echoes its own arguments is not.

Short values: ``null``, booleans and empty texts come from nowhere (``unknown``). Numbers of fewer than three significant
digits and texts of fewer than three letters are compared like all others, but agree by accident; all of these are marked
``trivial``, are never parts, and do not count where members are summed up.

Cost: a source is indexed once, in time and memory proportional to its length, and the index of a text that is seen again
(a context rebuilt from its messages) is reused. Sources beyond ``SOURCE_CHARS_MAX`` and arguments beyond the other limits
are compared up to there, and what was not compared counts as untrusted where anything untrusted was read.
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
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Literal, TypeVar, cast

from pydantic import JsonValue

from openclaw.canonical import plain
from openclaw.folding import (
    EDGES,
    WORD,
    Part,
    bare,
    fold,
    has_invisible,
    is_long_number,
    normal,
    numbers,
    readings,
    views,
)
from openclaw.folding import parts as parts_of

SOURCE_CHARS_MAX = 8_000_000
"""Characters of one source that are indexed, decoded forms included."""

ARG_CHARS_MAX = 100_000
"""Characters of one text in an argument that are compared."""

ARG_MEMBERS_MAX = 500
"""Members of one argument that are compared."""

ARG_PARTS_MAX = 500
"""Parts of one text in an argument that are compared."""

RUN_WORDS = 6
"""Words in a row, at least, that make a copied text."""

Trust = Literal["trusted", "untrusted"]
ArgTrust = Literal["trusted", "untrusted", "unknown"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a piece of context came from: the prompt, or the tool called ``name``; and whether outsiders can write it."""

    kind: Literal["prompt", "tool"]
    name: str
    trust: Trust

    @property
    def label(self) -> str:
        """The name in ``seen_in``. A tool that is called ``prompt`` cannot pass for the prompt."""
        if self.kind == "prompt":
            return "prompt"
        return "tool:prompt" if self.name == "prompt" else self.name


class Flow:
    """Everything that has entered one context window. See the module for what it tells and what it cannot."""

    def __init__(self) -> None:
        self._seen: list[tuple[Source, _Document]] = []
        self._keys: set[tuple[Source, bytes]] = set()

    def see(self, source: Source, content: object) -> None:
        """``content`` of ``source`` entered the context: a text, a message's content blocks, or any value.

        Structured content, also as JSON text, is remembered member by member. Seeing the same again changes nothing.
        """
        text = content if isinstance(content, str) else json.dumps(plain(content), ensure_ascii=False)
        key = (source, _digest(text))
        if key not in self._keys:
            self._keys.add(key)
            self._seen.append((source, _documents.get(text, key[1])))

    @property
    def untrusted(self) -> bool:
        """Has anything untrusted been read?"""
        return any(source.trust == "untrusted" for source, _ in self._seen)

    def describe(self, args: Mapping[str, object]) -> dict[str, JsonValue]:
        """The ``flow`` part of the policy input for a call with ``args``."""
        seen = tuple(self._seen)
        comparison = _Comparison(seen)
        sources = _unique(source for source, _ in seen)
        entries: dict[str, JsonValue] = {}
        for name, value in args.items():
            for path, origin in _entries(comparison, name, plain(value)):
                entries[path] = origin.to_json()
        return {
            "untrusted": any(source.trust == "untrusted" for source in sources),
            "complete": all(document.complete for _, document in seen),
            "sources": [_source_json(source) for source in sources],
            "args": entries,
        }


def _source_json(source: Source) -> JsonValue:
    if source.kind == "prompt":
        return {"kind": "prompt", "trust": source.trust}
    return {"kind": "tool", "tool": source.name, "trust": source.trust}


def _unique(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(items))


# Sources: each text is indexed once --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Document:
    """The index of one text. ``text`` is folded; a line break in it separates what was never one text."""

    text: str
    words: frozenset[str]
    numbers: frozenset[str]
    runs: array[int]
    fields: Mapping[str, tuple[str, ...]]
    complete: bool

    @cached_property
    def bare(self) -> str:
        return bare(self.text)

    def holds_run(self, run: int) -> bool:
        at = bisect_left(self.runs, run)
        return at < len(self.runs) and self.runs[at] == run


def _index(content: str) -> _Document:
    texts: list[str] = []
    fields: dict[str, tuple[str, ...]] = {}
    room = SOURCE_CHARS_MAX
    complete = True
    for path, leaf in _leaves(content):
        for view in views(leaf[: max(room, 0)]):
            texts.append(fold(view[: max(room, 0)]))
            room -= len(view)
        complete = complete and room >= 0 and leaf != _TOO_DEEP
        if path and len(leaf) <= 1_000:
            for key in _field_keys(leaf):
                fields[key] = _unique((*fields.get(key, ()), path))
    return _Document(
        text="\n".join(texts),
        words=frozenset(word for text in texts for word in WORD.findall(text)),
        numbers=frozenset(numbers("\n".join(texts))),
        runs=array("q", sorted({run for text in texts for run in _runs(text)})),
        fields=fields,
        complete=complete,
    )


_TOO_DEEP = "\ue000deep"


def _leaves(content: str) -> Iterator[tuple[str, str]]:
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
            untagged = _untagged(value)
            if untagged is not value:
                stack.append((path, untagged))
                continue
            for key, member in reversed(value.items()):
                yield "", key
                stack.append((f"{path}.{key}" if path else key, member))
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


def _untagged(value: dict[str, JsonValue]) -> JsonValue:
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
    return (_as_number(folded) or (folded,)) if folded else ()


def _as_number(folded: str) -> tuple[str, ...]:
    """The readings of a text that is a number and nothing else."""
    digits = folded.lstrip("+-")
    return readings(digits) if digits[:1].isdigit() and not digits.strip("0123456789.,'’") else ()


def _runs(folded: str) -> Iterator[int]:
    """All sequences of ``RUN_WORDS`` words, by hash: 64 bits, seeded anew in each process, so nobody can aim at one."""
    words = WORD.findall(folded)
    for at in range(len(words) - RUN_WORDS + 1):
        run = " ".join(words[at : at + RUN_WORDS])
        if len(run) >= 4 * RUN_WORDS or not run.isascii():
            yield hash(run)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class _Documents:
    """Indexes of recent texts: a context is often rebuilt from the same messages, call after call."""

    def __init__(self, *, chars_max: int) -> None:
        self._chars_max = chars_max
        self._chars = 0
        self._kept: OrderedDict[bytes, tuple[int, _Document]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str, key: bytes) -> _Document:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][1]
        document = _index(text)
        with self._lock:
            if key not in self._kept and len(text) <= self._chars_max:
                self._kept[key] = (len(text), document)
                self._chars += len(text)
                while self._chars > self._chars_max:
                    _, (chars, _) = self._kept.popitem(last=False)
                    self._chars -= chars
        return document


_documents = _Documents(chars_max=2_000_000)


# Arguments: each value is compared with all sources ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SeenPart:
    kind: str
    seen_in: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Origin:
    """What is known of one argument, or of one member of it."""

    trust: ArgTrust = "unknown"
    seen_in: tuple[str, ...] = ()
    whole: bool = False
    fields: tuple[str, ...] = ()
    parts: tuple[_SeenPart, ...] = ()
    trivial: bool = False

    def to_json(self) -> JsonValue:
        return plain(asdict(self))


def _entries(comparison: _Comparison, name: str, value: JsonValue) -> Iterator[tuple[str, _Origin]]:
    """The entry of an argument, and those of its members."""
    if isinstance(value, dict):
        value = _untagged(value)
    if not isinstance(value, dict | list):
        yield name, comparison.origin(value)
        return
    members: dict[str, _Origin] = {}
    keys: list[_Origin] = []
    stack: list[tuple[str, JsonValue]] = [(name, value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            item = _untagged(item)
        if len(members) + len(keys) >= ARG_MEMBERS_MAX:
            keys.append(comparison.uncompared())
            break
        if isinstance(item, list):
            stack.extend((f"{path}.{at}", member) for at, member in reversed(tuple(enumerate(item))))
        elif isinstance(item, dict):
            stack.extend((f"{path}.{key}", member) for key, member in reversed(item.items()))
            # Keys can carry values too, but most are names that stand everywhere: only their parts tell something.
            named = (comparison.origin(key) for key in islice(item, ARG_MEMBERS_MAX))
            keys.extend(origin for origin in named if any(part.seen_in for part in origin.parts))
        else:
            members[path] = comparison.origin(item)
    yield name, _sum((*members.values(), *keys))
    yield from members.items()


def _sum(origins: Sequence[_Origin]) -> _Origin:
    telling = [origin for origin in origins if not origin.trivial]
    trusts = {origin.trust for origin in telling or origins}
    trust: ArgTrust = "untrusted" if "untrusted" in trusts else "trusted" if trusts == {"trusted"} else "unknown"
    return _Origin(
        trust=trust,
        seen_in=_unique(label for origin in origins for label in origin.seen_in),
        whole=bool(telling) and all(origin.whole for origin in telling),
        fields=_unique(name for origin in origins for name in origin.fields),
        parts=_unique(part for origin in origins for part in origin.parts),
        trivial=not telling,
    )


@dataclass(frozen=True)
class _Comparison:
    """All that was seen, as the other side of a comparison."""

    seen: tuple[tuple[Source, _Document], ...]

    def origin(self, value: JsonValue) -> _Origin:
        if value is None or isinstance(value, bool) or value == "":
            return _Origin(trivial=True)
        if not isinstance(value, str):
            return self._number((normal(repr(value)),))
        if len(value) > ARG_CHARS_MAX:
            return _sum((self._text(value[:ARG_CHARS_MAX]), self.uncompared()))
        return self._text(value)

    def uncompared(self) -> _Origin:
        """The origin of what is too much to be compared."""
        labels = self._labels(trust="untrusted")
        parts = (_SeenPart("text", labels),) if labels else ()
        return _Origin(trust="untrusted" if labels else "unknown", seen_in=labels, parts=parts)

    def _number(self, forms: Sequence[str]) -> _Origin:
        hits = [source for source, document in self.seen if not document.numbers.isdisjoint(forms)]
        origin = self._whole(hits, forms, trivial=all(len(form.replace(".", "").strip("0")) < 3 for form in forms))
        if origin.trust != "trusted" and any(map(is_long_number, forms)):
            return replace(origin, parts=(_SeenPart("number", origin.seen_in),))
        return origin

    def _text(self, value: str) -> _Origin:
        needle = fold(value).strip(EDGES)
        forms = _as_number(needle)
        if forms:
            return self._number(forms)
        # What people cannot see was not what they wrote, even if the rest of it was.
        visible = bool(needle) and not has_invisible(value)
        spellings = _unique(fold(view).strip(EDGES) for view in views(value))
        hits = [
            source
            for source, document in self.seen
            if (visible and _names(document, needle))
            or (source.trust == "untrusted" and any(_holds(document, spelling) for spelling in spellings))
        ]
        origin = self._whole(hits, (needle,), trivial=len(bare(needle)) < 3 and needle.isascii())
        if origin.trust == "trusted":
            return origin
        parts = _unique((*self._parts(spellings), *self._copied(spellings)))
        labels = _unique(label for part in parts for label in part.seen_in)
        return replace(
            origin,
            trust="untrusted" if labels else origin.trust,
            seen_in=origin.seen_in or labels,
            parts=parts,
            trivial=origin.trivial and not parts,
        )

    def _whole(self, hits: Sequence[Source], keys: Sequence[str], *, trivial: bool) -> _Origin:
        trust: ArgTrust = "unknown"
        if any(source.trust == "trusted" for source in hits):
            trust = "trusted"
        elif hits or any(source.trust == "untrusted" and not document.complete for source, document in self.seen):
            trust = "untrusted"
        fields = _unique(
            f"{source.label}.{path}"
            for source, document in self.seen
            for key in keys
            for path in document.fields.get(key, ())
        )
        return _Origin(trust, _unique(source.label for source in hits), bool(hits), fields, (), trivial)

    def _parts(self, spellings: Sequence[str]) -> Iterator[_SeenPart]:
        found = _unique(part for spelling in spellings for part in islice(parts_of(spelling), ARG_PARTS_MAX + 1))
        for part in found[:ARG_PARTS_MAX]:
            if not any(source.trust == "trusted" and _names_part(document, part) for source, document in self.seen):
                labels = _unique(
                    source.label
                    for source, document in self.seen
                    if source.trust == "untrusted" and _holds_part(document, part)
                )
                yield _SeenPart(part.kind, labels)
        if len(found) > ARG_PARTS_MAX:
            yield from self.uncompared().parts

    def _copied(self, spellings: Sequence[str]) -> Iterator[_SeenPart]:
        runs = {run for spelling in spellings for run in _runs(spelling)}
        for source, document in self.seen:
            if source.trust == "trusted":
                runs -= {run for run in runs if document.holds_run(run)}
        holding = [source for source, document in self.seen if any(map(document.holds_run, runs))]
        if holding:
            yield _SeenPart("text", _unique(source.label for source in holding))

    def _labels(self, *, trust: Trust) -> tuple[str, ...]:
        return _unique(source.label for source, _ in self.seen if source.trust == trust)


# Strict and generous comparison --------------------------------------------------------------------------------------

_GLUE = frozenset("-.@/+%&~=#$")
"""Characters that join words into one longer name. A name is not seen inside of a longer one."""

_OCCURRENCES_MAX = 200
"""Occurrences of one value in one source that are looked at; only texts that are made for it have more."""


def _names(document: _Document, needle: str) -> bool:
    """Strict: the needle stands in the document as a name or phrase of its own."""
    text = document.text
    if document.words.issuperset(WORD.findall(needle)):
        ends = islice(_occurrences(text, needle), _OCCURRENCES_MAX)
        if any(not _joined(text, at - 1, -1) and not _joined(text, end, 1) for at, end in ends):
            return True
    if 10 <= len(needle) <= 64 and needle.isalnum() and needle in document.bare and any(map(str.isdigit, needle)):
        # An account number, which people write in groups.
        groups = re.search(r"(?<!\w)(?<!\w[^\w\s])" + "[ -]?".join(needle) + r"(?!\w)(?![^\w\s]\w)", text)
        return groups is not None
    return False


def _holds(document: _Document, needle: str) -> bool:
    """Generous: the needle stands in the document between other words; a long name, under any separators."""
    text, words = document.text, WORD.findall(needle)
    if not words:
        return False
    if document.words.issuperset(words):
        if len(words) == 1:
            return True
        ends = tuple(islice(_occurrences(text, needle), _OCCURRENCES_MAX))
        if len(ends) == _OCCURRENCES_MAX or any(
            not _is_word(text[at - 1 : at]) and not _is_word(text[end : end + 1]) for at, end in ends
        ):
            return True
    letters = "".join(words).replace("_", "")
    return 8 <= len(letters) <= 64 and letters in document.bare


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


def _names_part(document: _Document, part: Part) -> bool:
    if part.kind == "number" and not document.numbers.isdisjoint(readings(part.text)):
        return True
    return _holds_host(document, part.text) if part.kind == "host" else _names(document, part.text)


def _holds_part(document: _Document, part: Part) -> bool:
    if part.kind == "host":
        return _holds_host(document, part.text)
    if part.kind == "number" and not document.numbers.isdisjoint(readings(part.text)):
        return True
    return _holds(document, part.text)


def _holds_host(document: _Document, host: str) -> bool:
    """A host stands in the addresses of its pages and mailboxes, but not in longer names of hosts."""
    text = document.text
    if not document.words.issuperset(WORD.findall(host)):
        return False
    ends = islice(_occurrences(text, host), _OCCURRENCES_MAX)
    return any(
        not (_is_word(text[at - 1 : at]) or text[at - 1 : at] in {".", "-"})
        and not (_is_word(text[end : end + 1]) or text[end : end + 1] == "-")
        and not (text[end : end + 1] == "." and _is_word(text[end + 1 : end + 2]))
        for at, end in ends
    )
