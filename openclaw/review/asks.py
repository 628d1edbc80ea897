"""Questions to people in words: how many have agreed, who has said what, and what an approver has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from openclaw.answers import Answers
from openclaw.approvals import Answer, Approval
from openclaw.approvers import how_proved
from openclaw.review.entries import brief, part, text, texts


def progress(answers: Answers, question: Approval) -> str:
    """``1 of 2``: how many have agreed, of how many."""
    agreed, needed = answers.progress(question)
    return f"{agreed} of {needed}"


def answers_of(question: Approval) -> Iterator[tuple[str, str]]:
    """What each person has said, oldest first."""
    current = question.amendment.digest if question.amendment is not None else ""
    for answer in question.answers:
        why = f": {answer.reason}" if answer.reason else ""
        old = ", before the arguments were changed" if answer.answer == "approved" and answer.changed != current else ""
        yield answer.answer, f"by {answer.by}{proved(answer)}{old}{why}"
    if not question.answers and question.answered_by:
        why = f": {question.reason}" if question.reason else ""
        yield "answered", f"by {question.answered_by}{why}"


def proved(answer: Answer) -> str:
    """What proves who has answered."""
    return {"": "", "token": ", with a token", "signature": ", signed"}[how_proved(answer.proof)]


def background(question: Approval) -> Iterator[tuple[str, str]]:
    """What else there is to judge by: for whom it would be done, by which rules it is asked, and what of it is not trusted."""
    asked = question.request.get("input")
    chain = texts(asked, "principal", "chain")
    if len(chain) > 1:
        yield "chain", " > ".join(chain)
    person = text(asked, "principal", "on_behalf_of")
    if person:
        yield "for", person
    for rule in texts(question.request, "rules"):
        yield "rule", rule
    origins = part(asked, "flow", "args")
    suspect = {
        name: ", ".join(texts(origin, "seen_in")) or "nothing that was read"
        for name, origin in (origins.items() if isinstance(origins, dict) else ())
        if text(origin, "trust") == "untrusted"
    }
    for name, where in suspect.items():
        yield "untrusted", f"{name}, which came from {where}"
    if not suspect and part(asked, "flow", "untrusted") is True:
        yield "untrusted", "something that was read in this run, though no argument came from it"


def brief_args(args: Mapping[str, JsonValue]) -> str:
    """``amount=90, note=masked``: changed arguments as they may be shown."""
    return ", ".join(f"{name}={brief(value)}" for name, value in args.items())


__all__ = ["answers_of", "background", "brief_args", "progress", "proved"]
