"""One entry of the log, its canonical bytes and its leaf hash."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, JsonValue, field_validator

from openclaw.audit.merkle import leaf_hash
from openclaw.canonical import plain, storable
from openclaw.encoding import encode

EntryKind = Literal[
    "decision",
    "outcome",
    "reservation",
    "approval",
    "exception",
    "checkpoint",
    "policy",
    "halt",
    "hold",
    "erasure",
    "review",
]

ROW_COLUMNS = ("seq", "at", "kind", "run", "workflow", "agent", "tool", "call_id", "effect", "body", "leaf")
"""The columns of a stored entry, in the order in which ``rows_bytes`` reads them."""


class Draft(BaseModel):
    """An entry before the log has given it a place and a time. Absent texts are empty, never null."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EntryKind
    run: str = ""
    workflow: str = ""
    agent: str = ""
    tool: str = ""
    call_id: str = ""
    effect: Literal["", "allow", "ask", "deny"] = ""
    body: dict[str, JsonValue] = {}

    @field_validator("run", "workflow", "agent", "tool", "call_id")
    @classmethod
    def _fits_a_column(cls, name: str) -> str:
        """Models and tools make these up: whatever they are, the entry is written."""
        return storable(name)


class Line(NamedTuple):
    """A draft of a caller that has made its body of JSON itself and its texts fit for columns: it is not looked through again."""

    kind: EntryKind
    run: str
    workflow: str
    agent: str
    tool: str
    call_id: str
    effect: str
    body: dict[str, JsonValue]

    @classmethod
    def of(cls, draft: Draft) -> Line:
        """The same draft, without its model."""
        it = draft
        return cls(it.kind, it.run, it.workflow, it.agent, it.tool, it.call_id, it.effect, it.body)


class Entry(Draft):
    """An entry of the log. ``seq`` counts from 1 without gaps, in commit order; ``leaf`` is the hex of its leaf hash."""

    seq: int
    at: dt.datetime
    leaf: str


def entry_bytes(seq: int, at: str, draft: Draft | Line, body: bytes) -> bytes:
    """The canonical bytes (RFC 8785) of an entry without its leaf; ``body`` is the canonical form of its body.

    The keys of an entry are fixed ASCII names, so their order is known and the body is spliced in as it stands.
    """
    known, quote = _known, _quote
    head = f'{{"agent":{known[draft.agent]},"at":{quote(at)},"body":'
    tail = (
        f',"call_id":{quote(draft.call_id)},"effect":{known[draft.effect]},"kind":{known[draft.kind]},'
        f'"run":{known[draft.run]},"seq":{seq},"tool":{known[draft.tool]},"workflow":{known[draft.workflow]}}}'
    )
    return b"".join((head.encode(), body, tail.encode()))


def rows_bytes(rows: Sequence[Sequence[object]]) -> list[bytes]:
    """``entry_bytes`` of stored rows (``ROW_COLUMNS``), written for a million of them. Equal by a property test.

    Raises:
        TypeError: a column holds no text, as only a forged row does.
        ValueError: a text has no UTF-8 form, likewise.
    """
    known, quote = _known, _quote
    return [
        f'{{"agent":{known[agent]},"at":{quote(at)},"body":{body},"call_id":{quote(call_id)},'
        f'"effect":{known[effect]},"kind":{known[kind]},"run":{known[run]},"seq":{seq},"tool":{known[tool]},'
        f'"workflow":{known[workflow]}}}'.encode()
        for seq, at, kind, run, workflow, agent, tool, call_id, effect, body, *_ in rows
    ]


class _Known(dict[object, str]):
    """Texts as JSON. Agents, tools, runs and kinds come again and again."""

    def __missing__(self, text: object) -> str:
        quoted = _quote(text)
        if len(self) > _KNOWN_MAX:
            self.clear()
        self[text] = quoted
        return quoted


_KNOWN_MAX = 10_000
_quote = cast("Callable[[object], str]", encode_basestring)  # what json.dumps(…, ensure_ascii=False) writes a text with
_known = _Known()


def entry_leaf(seq: int, at: str, draft: Draft | Line, body: bytes) -> bytes:
    """``SHA-256(0x00 || canonical entry)`` (RFC 9162 section 2.1.1)."""
    return leaf_hash(entry_bytes(seq, at, draft, body))


def body_bytes(draft: Draft | Line) -> bytes:
    """The canonical form of a draft's body, which is JSON in the domain of RFC 8785 (see ``openclaw.canonical.plain``)."""
    try:
        return encode(draft.body)
    except (ValueError, TypeError):  # it is not in that domain after all; an entry is not lost for that
        return encode({key: plain(value) for key, value in draft.body.items()})


def written(seq: int, at: str, line: Line) -> tuple[str, bytes]:
    """The canonical body of an entry and its leaf hash, by the native extension where it is built. Equal by a property test."""
    quick = _native_entry(seq, at, line[:7], line.body)
    return quick if quick is not None else written_in_python(seq, at, line)


def written_in_python(seq: int, at: str, line: Line) -> tuple[str, bytes]:
    """``written`` without the native extension."""
    body = body_bytes(line)
    return body.decode(), entry_leaf(seq, at, line, body)


def _chosen() -> Callable[[int, str, tuple[object, ...], object], tuple[str, bytes] | None]:
    try:
        from openclaw._native import entry as native
    except ImportError:  # not built, or built before it could do this
        return _left
    return native


def _left(seq: int, at: str, texts: tuple[object, ...], body: object) -> None:
    """There is no native extension: Python writes it."""


_native_entry = _chosen()


def moment(text: str) -> dt.datetime:
    """The time in a row; the inverse of ``openclaw.action.utc``."""
    return dt.datetime.fromisoformat(text)


__all__ = [
    "ROW_COLUMNS",
    "Draft",
    "Entry",
    "EntryKind",
    "Line",
    "body_bytes",
    "entry_bytes",
    "entry_leaf",
    "moment",
    "rows_bytes",
    "written",
    "written_in_python",
]
