"""What reviewers say of entries, as entries of the log themselves: who looked, the verdict, flags and a comment.

Body of a ``review`` entry: ``{"of": seq, "leaf": hex, "by": …, "verdict": …, "flags": […], "comment": …}``; the leaf binds it to
the entry as the reviewer saw it. Run, workflow, agent and tool are those of that entry, so that it is found with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, JsonValue

from openclaw.approvers import Approvers, sign
from openclaw.audit import AuditLog, Draft, Entry, SigningKey
from openclaw.audit.reading import Reader, Selection
from openclaw.errors import ConfigurationError
from openclaw.quorum import person
from openclaw.review.entries import number, text, texts

Verdict = Literal["agreed", "disputed", "follow-up"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

FLAG_MAX = 40
COMMENT_MAX = 4_000


class Review(BaseModel):
    """What somebody said of entry ``of``. ``leaf`` is the leaf of that entry as they saw it."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: dt.datetime
    of: int
    by: str
    verdict: str = ""
    flags: tuple[str, ...] = ()
    comment: str = ""
    leaf: str = ""


@dataclass(frozen=True, slots=True)
class Prover:
    """What proves who reviews: the list of people, and a key or a token."""

    approvers: Approvers
    key: SigningKey | None = None
    token: str = ""


def add_review(
    log: AuditLog,
    seq: int,
    *,
    by: str,
    verdict: Verdict | None = None,
    flags: Sequence[str] = (),
    comment: str = "",
    prover: Prover | None = None,
) -> Review:
    """Record what somebody says of an entry.

    With a ``prover``, a verdict on an exception is taken from whoever is enrolled with a key or a token only with it; and from
    nobody by name alone, where whoever has opened the exception has proved who they are.

    Raises:
        ConfigurationError: nobody is named, nothing is said, or a flag or the comment is too long.
        ApprovalError: it is not proved who reviews an exception.
        AuditError: there is no such entry, or the log's key is not here.
        StoreError: the database cannot be written.
    """
    if not by.strip():
        raise ConfigurationError("a review needs a name", hint="say who reviews: --by NAME")
    named = tuple(dict.fromkeys(flag.strip() for flag in flags if flag.strip()))
    if verdict is None and not named and not comment.strip():
        raise ConfigurationError("the note says nothing", hint="give --verdict, --flag or --comment")
    if any(len(flag) > FLAG_MAX for flag in named) or len(comment) > COMMENT_MAX:
        raise ConfigurationError(
            f"a flag has {FLAG_MAX} characters at most, and a comment {COMMENT_MAX:,}", hint="say it shorter"
        )
    entry = log.entry(seq)
    body: dict[str, JsonValue] = {
        "of": seq,
        "leaf": entry.leaf,
        "by": log.privacy.text(by),
        "verdict": verdict or "",
        "flags": [log.privacy.text(flag) for flag in named],
        "comment": log.privacy.text(comment.strip()),
    }
    if prover is not None and entry.kind == "exception" and verdict is not None:
        body |= _proof(log, entry, by, verdict, prover)
    draft = Draft(kind="review", run=entry.run, workflow=entry.workflow, agent=entry.agent, tool=entry.tool, body=body)
    return read_review(log.append(draft))


def _proof(log: AuditLog, entry: Entry, by: str, verdict: Verdict, prover: Prover) -> dict[str, JsonValue]:
    """What the entry of a verdict on an exception says of who gives it."""
    stated = "\n".join(["openclaw review v1", log.origin, str(entry.seq), entry.leaf, verdict, by, ""])
    began = entry if text(entry.body, "event") == "opened" else log.entry(number(entry.body, "opened"))
    signed = sign(stated, prover.key) if prover.key is not None else ""
    known, proof = prover.approvers.prove(
        by, stated, signed=signed, token=prover.token, needed=bool(text(began.body, "proof")), act="review"
    )
    return prover.approvers.recorded(known, by, proof) if proof else {}


def read_review(entry: Entry) -> Review:
    """The review in an entry of that kind."""
    body = entry.body
    return Review(
        seq=entry.seq,
        at=entry.at,
        of=number(body, "of"),
        by=text(body, "by"),
        verdict=text(body, "verdict"),
        flags=texts(body, "flags"),
        comment=text(body, "comment"),
        leaf=text(body, "leaf"),
    )


def counts(entry: Entry, review: Review) -> bool:
    """Whether what somebody says of an entry counts: not what they say of an exception that they have opened themselves."""
    return entry.kind != "exception" or person(review.by) != person(text(entry.body, "by"))


def reviews(reader: Reader, of: Entry | None = None, *, after: int = 0) -> Iterator[Review]:
    """What has been said, oldest first; ``of`` one entry alone, which is looked for in its run. ``after``: in later entries."""
    equal = {"kind": "review"} | ({"run": of.run} if of is not None and of.run else {})
    for page in reader.entries(Selection(equal=equal), after=max(after, of.seq if of is not None else 0)):
        for entry in page:
            found = read_review(entry)
            if of is None or found.of == of.seq:
                yield found


__all__ = ["VERDICTS", "Prover", "Review", "Verdict", "add_review", "counts", "read_review", "reviews"]
