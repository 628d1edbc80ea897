"""``Command(resume={question: answer})``: answers to questions of the gate, given with the command that resumes the graph.

The keys are the identifiers of interrupts, as LangGraph has it; that of a question is its own name. An answer is

    {"approve": true, "by": "eva", "reason": "…", "args": {"amount": 90}, "signed": "…", "token": "…"}

of which ``approve`` and ``by`` must be there. Where nothing else of the thread waits, the name may be left out, as LangGraph
has it: ``Command(resume={"approve": true, "by": "eva"})``. The answer is given to the gate as any other is, and then the graph
goes on; what else stands in the command is LangGraph's. A command that is sent again, because nobody knows whether it came
through, gives nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.types import Command

from openclaw.answers import Answers, Said
from openclaw.errors import ApprovalError

_QUESTION = "ask-"
"""How the names of questions begin, and so the identifiers of their interrupts."""

_TEXTS = ("by", "reason", "signed", "token")


def answered(given: object, answers: Answers, waiting: Sequence[str]) -> object:
    """Give the answers in a command; what is left for LangGraph. ``waiting``: the interrupts of the thread, by name.

    Raises:
        ApprovalError: an answer is malformed, or names no question though others wait beside it, or the gate does not take it:
            nothing is resumed then.
    """
    if names_no_question(given):
        given = _named(cast("Command[Any]", given), waiting)
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


def hear(answers: Answers, thread: str | None) -> None:
    """Give the answer that LangGraph has handed to the task under way, where no governed graph has taken it from the command.

    Raises:
        ApprovalError: as for ``answered``.
    """
    configurable = (var_child_runnable_config.get() or {}).get("configurable") or {}
    # What ``interrupt`` reads; there is no public way to see it without waiting at an interrupt of one's own.
    handed = getattr(configurable.get("__pregel_scratchpad"), "get_null_resume", None)
    command: Command[Any] = Command(resume=None if handed is None else handed(False))
    if handed is None or thread is None or not gives_answers(command):
        return
    waiting = answers.waiting(thread) if names_no_question(command) else []
    if answered(command, answers, waiting) is not command:
        handed(True)  # else it would answer an interrupt of the tool itself, too


def gives_answers(given: object) -> bool:
    """Whether there are answers in a command."""
    return bool(_answers_in(given)) or names_no_question(given)


def names_no_question(given: object) -> bool:
    """Whether a command holds one answer and not what it is the answer to, which is plain where one question waits."""
    resume = cast("object", cast("Command[Any]", given).resume) if isinstance(given, Command) else None
    return isinstance(resume, Mapping) and {"approve", "by"} <= cast("Mapping[object, object]", resume).keys()


def _named(command: Command[Any], waiting: Sequence[str]) -> Command[Any]:
    questions = [name for name in waiting if name.startswith(_QUESTION)]
    if not questions:
        return command  # what waits, if anything does, is a tool's or a node's own interrupt
    if len(waiting) > 1:
        raise ApprovalError(
            f"{len(waiting)} interrupts wait ({', '.join(f'`{name}`' for name in waiting)}), and the answer names none",
            hint="name what it answers: Command(resume={interrupt.id: {...}})",
        )
    return Command(graph=command.graph, update=command.update, goto=command.goto, resume={questions[0]: command.resume})


def _answers_in(given: object) -> dict[str, object]:
    if not isinstance(given, Command):
        return {}
    resume = cast("object", cast("Command[Any]", given).resume)
    if not isinstance(resume, Mapping):
        return {}
    named = cast("Mapping[object, object]", resume)
    return {key: value for key, value in named.items() if isinstance(key, str) and key.startswith(_QUESTION)}


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


__all__ = ["answered", "gives_answers", "hear", "names_no_question"]
