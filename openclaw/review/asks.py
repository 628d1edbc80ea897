"""Questions to people in words: how many have agreed, who has said what, and what an approver has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from openclaw.answers import Answers
from openclaw.approvals import Answer, Approval
from openclaw.approvers import how_proved
from openclaw.review.entries import brief


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


def brief_args(args: Mapping[str, JsonValue]) -> str:
    """``amount=90, note=masked``: changed arguments as they may be shown."""
    return ", ".join(f"{name}={brief(value)}" for name, value in args.items())


__all__ = ["answers_of", "brief_args", "progress", "proved"]
