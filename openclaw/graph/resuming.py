"""``Command(resume={question: answer})``: answers to questions of the gate, given with the command that resumes the graph.

The keys are the identifiers of interrupts, as LangGraph has it; that of a question is its own name. An answer is

    {"approve": true, "by": "eva", "reason": "…", "args": {"amount": 90}, "signed": "…", "token": "…"}

of which ``approve`` and ``by`` must be there. The answer is given to the gate as any other is, and then the graph goes on; what
else stands in the command is LangGraph's. A command that is sent again, because nobody knows whether it came through, gives
nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from langgraph.types import Command

from openclaw.answers import Answers, Said
from openclaw.errors import ApprovalError

_TEXTS = ("by", "reason", "signed", "token")


def answered(given: object, answers: Answers) -> object:
    """Give the answers in a command; what is left for LangGraph.

    Raises:
        ApprovalError: an answer is malformed, or the gate does not take it: nothing is resumed then.
    """
    said = _answers_in(given)
    if not said:
        return given
    for question, answer in said.items():
        _give(question, _said(question, answer), answers)
    command = cast("Command[Any]", given)
    rest = {key: value for key, value in cast("dict[object, object]", command.resume).items() if key not in said}
    if not rest and not command.update and not command.goto:
        return None  # resume from the checkpoint
    return Command(graph=command.graph, update=command.update, goto=command.goto, resume=rest or None)


def gives_answers(given: object) -> bool:
    """Whether there are answers to questions in a command."""
    return bool(_answers_in(given))


def _answers_in(given: object) -> dict[str, object]:
    if not isinstance(given, Command):
        return {}
    resume = cast("object", cast("Command[Any]", given).resume)
    if not isinstance(resume, Mapping):
        return {}
    named = cast("Mapping[object, object]", resume)
    return {key: value for key, value in named.items() if isinstance(key, str) and key.startswith("ask-")}


def _said(question: str, answer: object) -> Said:
    hint = 'expected {"approve": true or false, "by": "NAME"}, and "reason", "args", "signed" or "token" besides'
    if not isinstance(answer, Mapping):
        raise ApprovalError(f"the answer to `{question}` is {type(answer).__name__}", hint=hint)
    told = cast("Mapping[str, object]", answer)
    foreign = sorted(map(str, told.keys() - {"approve", "args", *_TEXTS}))
    if foreign:
        raise ApprovalError(f"the answer to `{question}` has a `{foreign[0]}`", hint=hint)
    approve, args = told.get("approve"), cast("object", told.get("args") or {})
    texts = {name: told.get(name, "") for name in _TEXTS}
    if not isinstance(approve, bool) or not isinstance(args, Mapping):
        raise ApprovalError(f"the answer to `{question}` is malformed", hint=hint)
    if not all(isinstance(value, str) for value in texts.values()):
        raise ApprovalError(f"the answer to `{question}` is malformed", hint=hint)
    return Said(approve=approve, args=cast("Mapping[str, object]", args), **cast("dict[str, Any]", texts))


def _give(question: str, said: Said, answers: Answers) -> None:
    try:
        answers.give(question, said)
    except ApprovalError:
        if not answers.has(question, said):
            raise


__all__ = ["answered", "gives_answers"]
