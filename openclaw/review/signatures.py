"""Signed answers and exceptions in the log: whether each carries a signature of the key that its person had at that time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from openclaw.approvers import check_signed
from openclaw.audit import AuditLog, Entry
from openclaw.encoding import encode
from openclaw.errors import AuditError, VerificationError
from openclaw.quorum import person
from openclaw.review.entries import entries_of, number, part, text


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed answer or exception (``what``): in which entry, by whom, with which key; ``fault`` says why it does not hold."""

    seq: int
    by: str
    key: str
    fault: str = ""
    what: str = "answer"

    def __str__(self) -> str:
        return f"does not hold: {self.fault}" if self.fault else f"by {self.by}, holds under {self.key}"


def signed_answers(log: AuditLog) -> Iterator[Signed]:
    """Every signed answer and exception, oldest first. Needs no key but those that stand in the log."""
    enrolled: dict[str, str] = {}
    of_both = heapq.merge(entries_of(log, "approval"), entries_of(log, "exception"), key=lambda entry: entry.seq)
    for entry in of_both:
        name = text(entry.body, "approver")
        if name:
            enrolled[person(name)] = "" if text(entry.body, "event") == "withdrawn" else text(entry.body, "key")
        elif text(entry.body, "signed"):
            yield _read(entry, enrolled.get(person(text(entry.body, "by"))))


def signature_of(log: AuditLog, entry: Entry) -> Signed | None:
    """The signed answer or exception in an entry; None where there is none."""
    if not text(entry.body, "signed"):
        return None
    return next((one for one in signed_answers(log) if one.seq == entry.seq), None)


def _read(entry: Entry, enrolled: str | None) -> Signed:
    """``enrolled`` is None where the log does not go back so far any more."""
    body = entry.body
    by, key = text(body, "by"), text(body, "key")
    what = "exception" if entry.kind == "exception" else "answer"
    if enrolled is not None and enrolled != key:
        return Signed(entry.seq, by, key, f"`{by}` was not enrolled with this key then", what)
    try:
        lines = check_signed(text(body, "signed"), key).split("\n")
    except (VerificationError, AuditError) as error:
        return Signed(entry.seq, by, key, error.message, what)
    says = _exception(body) if entry.kind == "exception" else _answer(body)
    same = lines[2 : 2 + len(says)] == says
    return Signed(entry.seq, by, key, "" if same else f"what was signed is another {what} than the entry says", what)


def _answer(body: JsonValue) -> list[str]:
    """What is stated with an answer, line by line."""
    changed = text(body, "changed", "digest") or "-"
    return [text(body, "approval"), text(body, "args_digest"), changed, text(body, "answer"), text(body, "by")]


def _exception(body: JsonValue) -> list[str]:
    """What is stated with an exception, line by line."""
    scope, uses = encode(part(body, "scope")).decode(), str(number(body, "uses"))
    until, reason = text(body, "expires_at"), encode(text(body, "reason")).decode()
    return [text(body, "exception"), scope, uses, until, text(body, "by"), reason]


__all__ = ["Signed", "signature_of", "signed_answers"]
