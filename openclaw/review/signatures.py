"""Signed answers in the log: whether each carries a signature of the key that its person was enrolled with at that time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openclaw.approvers import check_signed
from openclaw.audit import AuditLog, Entry
from openclaw.errors import AuditError, VerificationError
from openclaw.quorum import person
from openclaw.review.entries import entries_of, text


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed answer: in which entry, by whom, with which key; ``fault`` says why it does not hold, if it does not."""

    seq: int
    by: str
    key: str
    fault: str = ""

    def __str__(self) -> str:
        return f"does not hold: {self.fault}" if self.fault else f"by {self.by}, holds under {self.key}"


def signed_answers(log: AuditLog) -> Iterator[Signed]:
    """Every signed answer, oldest first. Needs no key but those that stand in the log."""
    enrolled: dict[str, str] = {}
    for entry in entries_of(log, "approval"):
        name = text(entry.body, "approver")
        if name:
            enrolled[person(name)] = "" if text(entry.body, "event") == "withdrawn" else text(entry.body, "key")
        elif text(entry.body, "signed"):
            yield _read(entry, enrolled.get(person(text(entry.body, "by"))))


def signature_of(log: AuditLog, entry: Entry) -> Signed | None:
    """The signed answer in an entry; None where there is none."""
    if entry.kind != "approval" or not text(entry.body, "signed"):
        return None
    return next((one for one in signed_answers(log) if one.seq == entry.seq), None)


def _read(entry: Entry, enrolled: str | None) -> Signed:
    """``enrolled`` is None where the log does not go back so far any more."""
    body = entry.body
    by, key = text(body, "by"), text(body, "key")
    if enrolled is not None and enrolled != key:
        return Signed(entry.seq, by, key, f"`{by}` was not enrolled with this key then")
    try:
        lines = check_signed(text(body, "signed"), key).split("\n")
    except (VerificationError, AuditError) as error:
        return Signed(entry.seq, by, key, error.message)
    changed = text(body, "changed", "digest") or "-"
    says = [text(body, "approval"), text(body, "args_digest"), changed, text(body, "answer"), by]
    return Signed(
        entry.seq, by, key, "" if lines[2:7] == says else "what was signed is another answer than the entry says"
    )


__all__ = ["Signed", "signature_of", "signed_answers"]
