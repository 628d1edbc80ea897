"""Information flow: where the values of a call's arguments have been seen before.

``Flow`` holds everything that has entered one context window: the user's prompt and the results of tools, each with
the trust that was declared for its source. ``Flow.describe`` says, for each argument of a later call, where its value
or parts of it stood. It is a comparison of texts: deterministic, without a model, and it never asks what was meant.

The policy input (``input.flow``)::

    {"untrusted": true,                       has anything untrusted been read? the conservative switch
     "complete": true,                        false: a source was too long to be indexed whole (see below)
     "sources": [{"kind": "prompt", "trust": "trusted"},
                 {"kind": "tool", "tool": "read_mail", "trust": "untrusted"},
                 {"kind": "tool", "tool": "web", "trust": "untrusted", "via": "memory"}],  kept by an earlier run
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
``number`` (five digits or more), ``token`` (letters mixed with digits, or very long), ``text`` (six words in a row, of 24
characters or more, copied from untrusted sources). The values themselves are not repeated, so that masking an argument
in the log masks it everywhere. Members of nested arguments have entries of their own under dotted paths (``to.0``); the
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
text outsiders cannot write (what it repeats of its own arguments vouches for nothing); and ``fields`` say something only of tools
that make the structure themselves: who writes a whole page or file can write JSON into it.

Short values: ``null``, booleans and empty texts come from nowhere (``unknown``). Numbers of fewer than three significant
digits and texts of fewer than three letters are compared like all others, but agree by accident; all of these are marked
``trivial``, are never parts, and do not count where members are summed up.

Cost: a source is indexed once, in time and memory proportional to its length, and the index of a text that is seen again
(a context rebuilt from its messages) is reused. Sources beyond ``sources.SOURCE_CHARS_MAX`` and arguments beyond the other limits
are compared up to there, and what was not compared counts as untrusted where anything untrusted was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from pydantic import JsonValue

from openclaw.canonical import plain
from openclaw.folding import EDGES, fold, has_invisible, is_long_number, normal, views
from openclaw.folding import parts as parts_of
from openclaw.sources import (
    Document,
    Needle,
    Text,
    as_number,
    digest_of,
    documents,
    holds,
    leaves,
    names,
    runs_of,
    unique,
    untagged,
)

ARG_CHARS_MAX = 100_000
"""Characters of one text in an argument that are compared."""

ARG_MEMBERS_MAX = 500
"""Members of one argument that are compared."""

ARG_PARTS_MAX = 500
"""Parts of one text in an argument that are compared."""

Trust = Literal["trusted", "untrusted"]
ArgTrust = Literal["trusted", "untrusted", "unknown"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a piece of context came from: the prompt, or the tool called ``name``; and whether outsiders can write it.

    ``via``: where it has been in between, such as ``memory``.
    """

    kind: Literal["prompt", "tool"]
    name: str
    trust: Trust
    via: str = ""

    @property
    def label(self) -> str:
        """The name in ``seen_in``. A tool that is called ``prompt`` cannot pass for the prompt."""
        if self.kind == "prompt":
            return "prompt"
        return "tool:prompt" if self.name == "prompt" else self.name


class Flow:
    """Everything that has entered one context window. See the module for what it tells and what it cannot."""

    def __init__(self) -> None:
        self._seen: list[_Seen] = []
        self._keys: set[tuple[Source, bytes, bytes]] = set()

    def see(self, source: Source, content: object, *, args: Mapping[str, object] | None = None) -> None:
        """``content`` of ``source`` entered the context: a text, a message's content blocks, or any value.

        Structured content, also as JSON text, is remembered member by member. Seeing the same again changes nothing.

        Args:
            source: where it came from.
            content: what came in.
            args: the arguments of the call that returned it. A trusted result, or error, that repeats them does not vouch
                for them: else a tool that says "`…` not found" would clear whatever it is asked about.
        """
        text = content if isinstance(content, str) else _json(content)
        echoed = self._unvouched(args or {}) if source.trust == "trusted" else ()
        key = (source, digest_of(text), digest_of("\n".join(echoed)))
        if key not in self._keys:
            self._keys.add(key)
            self._seen.append(_Seen(source, documents.get(text, key[1]), Text.of(echoed)))

    @property
    def untrusted(self) -> bool:
        """Has anything untrusted been read?"""
        return any(seen.source.trust == "untrusted" for seen in self._seen)

    def describe(self, args: Mapping[str, object]) -> dict[str, JsonValue]:
        """The ``flow`` part of the policy input for a call with ``args``."""
        seen = tuple(self._seen)
        comparison = _Comparison(seen)
        sources = unique(one.source for one in seen)
        entries: dict[str, JsonValue] = {}
        for name, value in args.items():
            for path, origin in _entries(comparison, name, plain(value)):
                entries[path] = origin.to_json()
        return {
            "untrusted": any(source.trust == "untrusted" for source in sources),
            "complete": all(one.document.complete for one in seen),
            "sources": [_source_json(source) for source in sources],
            "args": entries,
        }

    def _unvouched(self, args: Mapping[str, object]) -> tuple[str, ...]:
        """The texts in ``args`` that no trusted source has said so far, folded."""
        if not args:
            return ()
        comparison = _Comparison(tuple(self._seen))
        found = (leaf for _, leaf in leaves(_json(args)) if comparison.origin(leaf).trust != "trusted")
        return unique(fold(view) for leaf in found for view in views(leaf[:ARG_CHARS_MAX]))


@dataclass(frozen=True, slots=True)
class _Seen:
    """One thing that came in. ``echoed`` is what its call had asked about, for which it does not vouch."""

    source: Source
    document: Document
    echoed: Text

    def shows(self, strictly: Needle | None, generously: Sequence[Needle]) -> bool:
        """Does a value stand in it? Where it is trusted, only the strict comparison counts."""
        if strictly is not None and names(self.document.said, strictly):
            return self.source.trust == "untrusted" or not holds(self.echoed, strictly)
        if self.source.trust == "trusted":
            return False
        return any(holds(text, needle) for text in self.document.texts for needle in generously)

    def counts(self, forms: Sequence[str]) -> bool:
        """Does one of these numbers stand in it?"""
        if not self.document.said.numbers.isdisjoint(forms):
            return self.source.trust == "untrusted" or self.echoed.numbers.isdisjoint(forms)
        return self.source.trust == "untrusted" and not self.document.decoded.numbers.isdisjoint(forms)

    def repeats(self, run: int) -> bool:
        """Do these words stand in it in a row?"""
        if self.source.trust == "trusted":
            return self.document.said.holds_run(run) and not self.echoed.holds_run(run)
        return any(text.holds_run(run) for text in self.document.texts)


def _json(content: object) -> str:
    return json.dumps(plain(content), ensure_ascii=False)


def _source_json(source: Source) -> JsonValue:
    if source.kind == "prompt":
        return {"kind": "prompt", "trust": source.trust}
    shown: dict[str, JsonValue] = {"kind": "tool", "tool": source.name, "trust": source.trust}
    return {**shown, "via": source.via} if source.via else shown


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
        return {
            "trust": self.trust,
            "seen_in": list(self.seen_in),
            "whole": self.whole,
            "fields": list(self.fields),
            "parts": [{"kind": part.kind, "seen_in": list(part.seen_in)} for part in self.parts],
            "trivial": self.trivial,
        }


def _entries(comparison: _Comparison, name: str, value: JsonValue) -> Iterator[tuple[str, _Origin]]:
    """The entry of an argument, and those of its members."""
    if isinstance(value, dict):
        value = untagged(value)
    if not isinstance(value, dict | list):
        yield name, comparison.origin(value)
        return
    members: dict[str, _Origin] = {}
    keys: list[_Origin] = []
    stack: list[tuple[str, JsonValue]] = [(name, value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            item = untagged(item)
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
        seen_in=unique(label for origin in origins for label in origin.seen_in),
        whole=bool(telling) and all(origin.whole for origin in telling),
        fields=unique(name for origin in origins for name in origin.fields),
        parts=unique(part for origin in origins for part in origin.parts),
        trivial=not telling,
    )


@dataclass(frozen=True)
class _Comparison:
    """All that was seen, as the other side of a comparison."""

    seen: tuple[_Seen, ...]

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
        hits = [seen.source for seen in self.seen if seen.counts(forms)]
        origin = self._whole(hits, forms, trivial=all(len(form.replace(".", "").strip("0")) < 3 for form in forms))
        if origin.trust != "trusted" and any(map(is_long_number, forms)):
            return replace(origin, parts=(_SeenPart("number", origin.seen_in),))
        return origin

    def _text(self, value: str) -> _Origin:
        folded = fold(value).strip(EDGES)
        forms = as_number(folded)
        number = self._number(forms) if forms else None
        if number is not None and (number.trust != "unknown" or len(tuple(islice(views(value), 2))) == 1):
            return number  # Digits alone may be a text in hexadecimal, too.
        # What people cannot see was not what they wrote, even if the rest of it was.
        spellings = unique(fold(view).strip(EDGES) for view in views(value))
        whole = Needle.of(folded)
        strictly = whole if folded and not has_invisible(value) else None
        generously = (whole, *(Needle.of(spelling) for spelling in spellings if spelling != folded))
        hits = [seen.source for seen in self.seen if seen.shows(strictly, generously)]
        origin = self._whole(hits, (folded,), trivial=len(whole.letters) < 3 and folded.isascii())
        if origin.trust == "trusted":
            return origin
        parts = unique((*self._parts(spellings), *self._copied(spellings)))
        labels = unique(label for part in parts for label in part.seen_in)
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
        elif hits or any(seen.source.trust == "untrusted" and not seen.document.complete for seen in self.seen):
            trust = "untrusted"
        fields = unique(
            f"{seen.source.label}.{path}"
            for seen in self.seen
            for key in keys
            for path in seen.document.fields.get(key, ())
        )
        return _Origin(trust, unique(source.label for source in hits), bool(hits), fields, (), trivial)

    def _parts(self, spellings: Sequence[str]) -> Iterator[_SeenPart]:
        found = unique(part for spelling in spellings for part in islice(parts_of(spelling), ARG_PARTS_MAX + 1))
        for part in found[:ARG_PARTS_MAX]:
            needle = Needle.of_part(part)
            hits = [seen.source for seen in self.seen if seen.shows(needle, (needle,))]
            if not any(source.trust == "trusted" for source in hits):
                yield _SeenPart(part.kind, unique(source.label for source in hits))
        if len(found) > ARG_PARTS_MAX:
            yield from self.uncompared().parts

    def _copied(self, spellings: Sequence[str]) -> Iterator[_SeenPart]:
        runs = {run for spelling in spellings for run in runs_of(spelling)}
        for seen in self.seen:
            if seen.source.trust == "trusted":
                runs -= {run for run in runs if seen.repeats(run)}
        outsiders = [seen for seen in self.seen if seen.source.trust == "untrusted"]
        holding = [seen.source.label for seen in outsiders if any(map(seen.repeats, runs))]
        if holding:
            yield _SeenPart("text", unique(holding))

    def _labels(self, *, trust: Trust) -> tuple[str, ...]:
        return unique(seen.source.label for seen in self.seen if seen.source.trust == trust)
