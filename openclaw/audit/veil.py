"""What stands between the values of one action and the log: made once for an entry, laid over everything stored with it.

Three things are hidden: what the policy names (``mask``, under the key of a person where it names a ``subject``), what is
called or looks like a secret, and any of these values again where a text repeats them (a reason that a rule has put
together, an error of the tool). The values themselves are never touched: what is hidden is a copy.

    INVARIANT: if anything goes wrong in here, everything is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from typing import TypeVar

from pydantic import JsonValue

from openclaw.audit.mask import FAILED, LARGE, MASKED, at, is_mark, keyed_digest, mark, mark_in_text, replace, steps_of
from openclaw.audit.shapes import CLOAK, LARGE_CHARS, SECRET_MIN, Span, flag_name, joined, secret_name, secrets_in
from openclaw.audit.subjects import SubjectKey
from openclaw.canonical import Fingerprint, fingerprint
from openclaw.encoding import encode

T = TypeVar("T")

HEAD_CHARS = 1024
TEXT_CHARS = 8192
"""Characters that are kept of a reason or an error."""

WINDOW = 2 * TEXT_CHARS
"""Characters of it that are searched for secrets, so that none is cut in two."""

RESULT_BYTES_MAX = 4096
"""Results above this many canonical bytes are kept by digest, size and head, also at audit level ``full``."""

KNOWN_MAX = 1000
"""Hidden values that are looked for in texts; where there are more, texts are hidden whole."""

KNOWN_CHARS = 256
"""Of a longer hidden value, its beginning is looked for, and all that follows is hidden with it."""

_NAMING = frozenset({"name", "key", "header", "field"})
_LISTED = frozenset({"value", "val", "content"})
"""Headers and variables are often listed as objects that give a name and a value."""

_SUBSTRING_MIN = 4
_HEAD_ITEMS = 64


@dataclass(frozen=True, slots=True)
class Seal:
    """Fields that are a person's own. ``subject`` is a path of the input, such as ``principal.on_behalf_of``, or a name."""

    fields: tuple[str, ...]
    subject: str

    def who(self, document: Mapping[str, JsonValue]) -> str | None:
        """The person, in a policy input; None where the path leads to nothing: then there is nobody to seal for."""
        if self.subject.split(".")[0] not in _PARTS:
            return self.subject
        found = at(dict(document), self.subject)
        return found if isinstance(found, str) and found else None


_PARTS = frozenset(
    {"kind", "principal", "run", "tool", "args", "model", "flow", "budget", "approval", "exception", "now"}
)


class Veil:
    """The veil over one action.

    Args:
        document: the policy input, with its values.
        key: keys the digests.
        fields: the paths that the policy names.
        seals: those that it names as a person's, with who that is and the data key; None where there is nobody: such
            fields are masked.
    """

    def __init__(
        self,
        document: Mapping[str, JsonValue],
        *,
        key: bytes,
        fields: Sequence[str] = (),
        seals: Sequence[tuple[Seal, str, SubjectKey] | tuple[Seal, None, None]] = (),
    ) -> None:
        self._key = key
        self._fields = tuple(fields)
        self._seals = tuple(seals)
        self._known: dict[str, None] = {}
        self._search: re.Pattern[str] | None = None
        self._failed = False
        self._document: dict[str, JsonValue] = {}
        if not self._fields and not self._seals and isinstance(document, dict) and CLOAK.harmless_parts(document):
            self._document = document  # nearly every action ends here
        else:
            self._guard(lambda: self._lay_over(dict(document)), None)
        if self._failed:
            self._document = {"kind": document.get("kind"), "hidden": {MASKED: "failed"}}

    @property
    def document(self) -> dict[str, JsonValue]:
        """The input as it may be stored."""
        return self._document

    def texts(self, texts: Iterable[str]) -> list[JsonValue]:
        """Reasons as they may be stored."""
        return [self.text(text) for text in texts]

    def text(self, text: str) -> str:
        """A reason or an error as it may be stored: hidden values by their digests, a very long one cut."""
        return self._guard(lambda: self._text(text), FAILED)

    def decision(self, decision: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The policy's own answer as it may be stored."""
        if not decision.get("reasons") and not decision.get("obligations") and not self._failed:
            return decision
        failed: dict[str, JsonValue] = {
            "effect": decision.get("effect"),
            "code": decision.get("code"),
            "reasons": [FAILED],
        }
        return self._guard(lambda: self._decision(decision), failed)

    def result(self, found: Fingerprint, *, full: bool) -> JsonValue:
        """What is kept of a result: digest and size; where ``full``, its value too, or the head of a large one.

        The digest is keyed where something of the value is hidden: of a short value, a plain one would give it away.
        """
        sized: dict[str, JsonValue] = {"digest": found.digest, "bytes": found.size}
        return self._guard(lambda: sized | self._result(found, full), {"digest": FAILED, "bytes": found.size})

    # -- guarded -------------------------------------------------------------------------------------------------

    def _guard(self, work: Callable[[], T], instead: T) -> T:
        if self._failed:
            return instead
        try:
            return work()
        except Exception:  # noqa: BLE001 - INVARIANT above: it does not matter what went wrong
            self._failed = True
            return instead

    def _lay_over(self, document: dict[str, JsonValue]) -> None:
        asked_about = "result" in document  # a policy is asked about a result: then it is a part of the input
        document = self._named(document, lambda steps: asked_about or steps[0] != "result")
        if asked_about:
            document["result"] = self._repeated(self._value(document["result"]), minimum=_SUBSTRING_MIN)
        if "tool" in document:
            document["tool"] = self._repeated(self._value(document["tool"]), minimum=6)
        if "exception" in document:  # its conditions may name the very values
            document["exception"] = self._repeated(document["exception"], minimum=6)
        for part in ("principal", "run", "flow", "model"):
            if part in document:
                document[part] = self._value(document[part])
        self._document = document

    def _named(self, document: dict[str, JsonValue], wanted: Callable[[list[str]], bool]) -> dict[str, JsonValue]:
        """What the policy names, hidden. A field that is named twice is masked, the stricter of the two."""
        document = replace(document, [field for field in self._fields if wanted(steps_of(field))], self._mask)
        for seal, who, key in self._seals:
            fields = [field for field in seal.fields if wanted(steps_of(field))]
            document = replace(document, fields, self._sealing(key) if key else self._mask)
            if who is not None:
                self._remember(who)
        return document

    def _mask(self, value: JsonValue) -> JsonValue:
        self._remember(value)
        return mark(value, self._key)

    def _sealing(self, key: SubjectKey) -> Callable[[JsonValue], JsonValue]:
        def sealed(value: JsonValue) -> JsonValue:
            if is_mark(value):
                return value
            self._remember(value)
            return key.seal(value)

        return sealed

    def _decision(self, decision: dict[str, JsonValue]) -> dict[str, JsonValue]:
        reasons, duties = decision.get("reasons"), decision.get("obligations")
        hidden = dict(decision)
        if isinstance(reasons, list):
            hidden["reasons"] = [self._text(str(reason)) for reason in reasons]
        if isinstance(duties, list):
            hidden["obligations"] = [self._duty(duty) for duty in duties]
        return hidden

    def _duty(self, duty: JsonValue) -> JsonValue:
        if not isinstance(duty, dict):
            return duty
        kept = {name: value for name, value in duty.items() if name in ("kind", "fields", "level")}
        rest: dict[str, JsonValue] = {name: value for name, value in duty.items() if name not in kept}
        if kept.get("kind") == "redact":
            rest = replace(rest, ["texts.*"], self._mask)  # the very values that nobody is to see
        elif kept.get("kind") == "rewrite":
            named = self._named({"tool": rest}, lambda steps: steps[0] == "tool")["tool"]
            rest = named if isinstance(named, dict) else {"args": named}
        hidden = self._repeated(self._value(rest), minimum=1) if rest else {}
        assert isinstance(hidden, dict)
        return kept | hidden

    def _result(self, found: Fingerprint, full: bool) -> dict[str, JsonValue]:
        if found.small and not self._fields and not self._seals and not self._known and CLOAK.harmless(found.value):
            return {"result": found.value} if full else {}
        if found.small:
            hidden = self._hidden(found.value)
            digest = {"digest": keyed_digest(found.value, self._key)} if hidden != found.value else {}
            return digest | ({"result": hidden} if full else {})
        return {"head": _cut(self._hidden(found.value))} if full else {}

    def _hidden(self, value: JsonValue) -> JsonValue:
        named = self._named({"result": value}, lambda steps: steps[0] == "result")
        return self._repeated(self._value(named["result"]), minimum=_SUBSTRING_MIN)

    # -- known shapes --------------------------------------------------------------------------------------------

    def _value(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return value if len(value) < SECRET_MIN else self._string(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if not isinstance(value, dict) or is_mark(value):
            return value
        pairs = value.get("$map") if len(value) == 1 else None
        if isinstance(pairs, list):
            return {"$map": [self._pair(pair) for pair in pairs]}
        listed = not _NAMING.isdisjoint(value) and any(secret_name(str(value.get(name))) for name in _NAMING)
        hidden: dict[str, JsonValue] = {}
        for name, item in value.items():
            kept = name if len(name) < SECRET_MIN else self._spans(name, secrets_in(name))
            if (listed and name in _LISTED) or secret_name(name):
                hidden[kept] = self._member(name, item, listed and name in _LISTED)
            else:
                hidden[kept] = item if item is None or isinstance(item, int) else self._value(item)
        return hidden

    def _pair(self, pair: JsonValue) -> JsonValue:
        if not isinstance(pair, list) or len(pair) != 2:
            return self._value(pair)
        name, item = pair
        return [self._value(name), self._member(name if isinstance(name, str) else "", item, False)]

    def _member(self, name: str, value: JsonValue, secret: bool) -> JsonValue:
        if value is None or value == "":
            return value
        if secret or (secret_name(name) and not (isinstance(value, bool) and flag_name(name))):
            return self._mask(value)
        return self._value(value)

    def _string(self, text: str) -> JsonValue:
        if len(text) > LARGE_CHARS:
            head = self._spans(text[:WINDOW], secrets_in(text[:WINDOW]))[:HEAD_CHARS]
            return {LARGE: {"digest": keyed_digest(text, self._key), "chars": len(text), "head": head}}
        if not (spans := secrets_in(text)):
            return text
        for start, end in spans:
            self._remember(text[start:end])
        return mark(text, self._key) if spans == [(0, len(text))] else self._spans(text, spans)

    # -- values that were hidden, again --------------------------------------------------------------------------

    def _text(self, text: str) -> str:
        if len(self._known) > KNOWN_MAX:
            return mark_in_text(text, self._key)
        window = text[:WINDOW].encode("utf-8", "backslashreplace").decode()
        spans = joined([*secrets_in(window), *self._repeats(window, minimum=1)])
        hidden = self._spans(window, spans)
        return hidden if len(text) <= TEXT_CHARS else f"{hidden[:TEXT_CHARS]}… ({len(text)} characters in all)"

    def _repeated(self, value: JsonValue, *, minimum: int) -> JsonValue:
        if not self._known or is_mark(value):
            return value
        if isinstance(value, str):
            spans = joined([*self._repeats(value, minimum=minimum)])
            return mark(value, self._key) if spans == [(0, len(value))] else self._spans(value, spans)
        if isinstance(value, list):
            return [self._repeated(item, minimum=minimum) for item in value]
        if isinstance(value, dict):
            return {name: self._repeated(item, minimum=minimum) for name, item in value.items()}
        return value

    def _repeats(self, text: str, *, minimum: int) -> Iterator[Span]:
        """Where values that were hidden stand in a text; a short one only as a word of its own."""
        if not self._known:
            return
        if self._search is None:
            known = sorted(self._known, key=len, reverse=True)
            self._search = re.compile("|".join(map(_needle, known)))
        for found in self._search.finditer(text):
            if found.end() - found.start() >= min(minimum, KNOWN_CHARS):
                cut = found.end() - found.start() == KNOWN_CHARS
                yield found.start(), len(text) if cut else found.end()

    def _remember(self, value: JsonValue) -> None:
        for text in _leaves(value):
            if len(self._known) > KNOWN_MAX:
                return
            if (len(text) > 1 or text.isdigit()) and text not in self._known:
                self._known[text[:KNOWN_CHARS]] = None
                self._search = None

    def _spans(self, text: str, spans: Sequence[Span]) -> str:
        if not spans:
            return text
        parts, at = list[str](), 0
        for start, end in spans:
            parts += (text[at:start], mark_in_text(text[start:end], self._key))
            at = end
        return "".join((*parts, text[at:]))


def _needle(text: str) -> str:
    if len(text) >= _SUBSTRING_MIN:
        return re.escape(text)
    return rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])"


def _leaves(value: JsonValue) -> Iterator[str]:
    """The texts and numbers in a value, as they would stand in a text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and not is_mark(value):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield encode(value).decode()


def _head(value: JsonValue) -> JsonValue:
    """The beginning of a large value: its first members, and the first characters of its texts."""
    left = _HEAD_ITEMS

    def head(value: JsonValue) -> JsonValue:
        nonlocal left
        left -= 1
        if isinstance(value, str):
            return value[:WINDOW]
        if isinstance(value, list):
            return [head(item) for item in value[:_HEAD_ITEMS] if left > 0]
        if isinstance(value, dict):
            return {name[:WINDOW]: head(item) for name, item in value.items() if left > 0}
        return value

    return head(value)


def _cut(value: JsonValue, room: int = HEAD_CHARS) -> JsonValue:
    """The texts of a head, cut once nothing in them can be cut in two."""
    if isinstance(value, str):
        return value[:room]
    if isinstance(value, list):
        return [_cut(item, HEAD_CHARS // 4) for item in value]
    if isinstance(value, dict) and not is_mark(value):
        return {name[:HEAD_CHARS]: _cut(item, HEAD_CHARS // 4) for name, item in value.items()}
    return value


def take_result(result: object) -> Fingerprint:
    """What is taken of a result before it can change: its digest and size, and its value, or the head of a large one."""
    found = fingerprint(result, small=RESULT_BYTES_MAX)
    return found if found.small else replace_fields(found, value=_head(found.value))


__all__ = ["LARGE_CHARS", "RESULT_BYTES_MAX", "Seal", "Veil", "take_result"]
