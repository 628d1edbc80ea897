"""Delegation: whoever acts on behalf of others may do at most what each of them may do, and what it may do itself.

A principal may have delegators: those who have handed work down to it, outermost first, where rights are to shrink
(``rights="shrinking"`` of a workflow, a governance, an agent's tool). Then the policy is asked one question for each of them and
one for whoever acts. The questions differ in ``principal``: a delegator stands there as it was when it handed work on, with
its own chain and its own delegators; and an ``exception`` stands in those alone whose principal it covers. The strictest answer
holds, and the obligations of all of them; where they would rewrite one argument to different values, it is denied.

    INVARIANT: along a chain rights never grow. To lengthen a chain adds a question and takes none away, and the answer is the
    strictest of all. This holds whatever the policies say, also where they look at chains, and where a role takes rights.

A hand-off is asked for whoever hands off alone: what it gives is control, and what comes of control is asked for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from pydantic import JsonValue

from openclaw.canonical import digest
from openclaw.decision import Decision, Effect, Obligation
from openclaw.errors import ConfigurationError
from openclaw.policy.engine import PolicyEngine

Rights = Literal["own", "shrinking"]
"""``own``: an agent has the rights that the policy gives it. ``shrinking``: and those at most of everybody that it acts for."""

DELEGATORS_MAX = 32
"""Delegators of one principal, at most; see ``openclaw.graph.scope.delegate`` for what becomes of more."""

_TRIES = 3
_SEVERITY = (Effect.ALLOW, Effect.ASK, Effect.DENY)
_OWN = "principal."


def check_rights(what: str, rights: object) -> None:
    """Raise ConfigurationError unless ``rights`` is one of ``Rights``, or None."""
    if rights not in {None, "own", "shrinking"}:
        raise ConfigurationError(f"{what} are `{rights}`", hint='use "own" or "shrinking"')


def evaluate(engine: PolicyEngine, document: Mapping[str, JsonValue]) -> Decision:
    """The engine's decision on an input, which is asked for every delegator that the input names.

    Like an engine, it never raises for what happens while deciding.
    """
    asked = questions(document)
    if len(asked) == 1:
        return engine.evaluate(asked[0])
    for _ in range(_TRIES):
        answers = [engine.evaluate(one) for one in asked]
        if _agree(answers):
            return strictest(answers, asked)
    return _changing(engine)


async def aevaluate(engine: PolicyEngine, document: Mapping[str, JsonValue]) -> Decision:
    """``evaluate`` without blocking the event loop."""
    asked = questions(document)
    if len(asked) == 1:
        return await engine.aevaluate(asked[0])
    for _ in range(_TRIES):
        answers = [await engine.aevaluate(one) for one in asked]
        if _agree(answers):
            return strictest(answers, asked)
    return _changing(engine)


def questions(document: Mapping[str, JsonValue]) -> list[Mapping[str, JsonValue]]:
    """What the policy is asked about this input: first for whoever acts, then for each delegator, outermost first."""
    principal = document.get("principal")
    delegators = principal.get("delegators") if isinstance(principal, dict) else None
    # What is no list of objects is a wrong input, which the policy is asked about as it is.
    if not isinstance(delegators, list) or document.get("kind") == "handoff":
        return [document]
    asked: list[Mapping[str, JsonValue]] = [document]
    for at, delegator in enumerate(delegators):
        before: dict[str, JsonValue] = {"delegators": delegators[:at]} if at else {}
        shown = {**delegator, **before} if isinstance(delegator, dict) else delegator
        question: dict[str, JsonValue] = {**document, "principal": shown}
        if not _excepted(document.get("exception"), shown):
            question.pop("exception", None)
        asked.append(question)
    return asked


def _excepted(exception: JsonValue, principal: JsonValue) -> bool:
    """Whether an exception covers a delegator too: one for whoever acts lifts nothing of what those may do that it acts for."""
    scope = exception.get("scope") if isinstance(exception, dict) else None
    if not isinstance(scope, dict) or not isinstance(principal, dict):
        return False
    return all(name not in scope or scope[name] == principal.get(name) for name in ("workflow", "agent"))


def strictest(answers: Sequence[Decision], asked: Sequence[Mapping[str, JsonValue]]) -> Decision:
    """One decision of many: the strictest effect with its reasons, those of delegators named, and every obligation.

    Args:
        answers: one to each question, of one revision of the policies.
        asked: the questions, as ``questions`` put them.
    """
    effect = max((answer.effect for answer in answers), key=_SEVERITY.index)
    telling = [(at, answer) for at, answer in enumerate(answers) if answer.effect is effect]
    reasons: dict[str, None] = {}
    for at, answer in telling:
        for reason in answer.reasons:
            if at == 0 or reason not in answers[0].reasons:
                reasons[reason if at == 0 else f"on behalf of `{_name(asked[at])}`: {reason}"] = None
    torn = _torn(answers)
    if torn:
        reason = f"those that this is done for want different values for {torn}"
        return Decision.deny(reason, code="obligation", revision=answers[0].revision, engine=answers[0].engine)
    duties: dict[str, Obligation] = {}
    for at, answer in enumerate(answers):
        for duty in answer.obligations:
            meant = duty if at == 0 else _of_delegator(duty, at - 1)
            duties.setdefault(meant.model_dump_json(), meant)
    return Decision(
        effect=effect,
        reasons=tuple(reasons),
        rules=tuple(sorted({rule for _, answer in telling for rule in answer.rules})),
        obligations=tuple(duties.values()),
        code=telling[0][1].code,
        revision=answers[0].revision,
        engine=answers[0].engine,
    )


def _torn(answers: Sequence[Decision]) -> str:
    """The arguments that two of the answers would rewrite differently: no value is what both may do."""
    wanted: dict[str, JsonValue] = {}
    torn: dict[str, None] = {}
    for answer in answers:
        own: dict[str, JsonValue] = {}
        for duty in answer.obligations:
            args = duty.params.get("args")
            own |= args if duty.kind == "rewrite" and isinstance(args, dict) else {}
        torn |= {f"`{name}`": None for name, value in own.items() if name in wanted and not _same(wanted[name], value)}
        wanted |= own
    return ", ".join(torn)


def _same(one: JsonValue, other: JsonValue) -> bool:
    return digest(one) == digest(other)  # not `==`, to which 1 is True


def _of_delegator(duty: Obligation, at: int) -> Obligation:
    """An obligation of a delegator's answer, where it names a part of ``principal``: there, the delegator stood for it."""
    params = dict(duty.params)
    moved = f"principal.delegators.{at}."
    fields = params.get("fields")
    if isinstance(fields, list):
        params["fields"] = [_moved(field, moved) for field in fields]
    if "subject" in params:
        params["subject"] = _moved(params["subject"], moved)
    return Obligation.model_validate({"kind": duty.kind, **params}) if params != duty.params else duty


def _moved(path: JsonValue, to: str) -> JsonValue:
    return to + path.removeprefix(_OWN) if isinstance(path, str) and path.startswith(_OWN) else path


def _name(question: Mapping[str, JsonValue]) -> str:
    principal = question.get("principal")
    return str(cast("dict[str, JsonValue]", principal).get("agent", "?")) if isinstance(principal, dict) else "?"


def _agree(answers: Sequence[Decision]) -> bool:
    """Whether they were given by the same policies: others may have taken their place in between."""
    return len({(answer.revision, answer.engine) for answer in answers}) == 1


def _changing(engine: PolicyEngine) -> Decision:
    reason = f"the policies changed {_TRIES} times while they were asked for everybody that this is done for"
    return Decision.deny(reason, code="engine_error", revision=engine.revision, engine=engine.name)


__all__ = ["DELEGATORS_MAX", "Rights", "aevaluate", "check_rights", "evaluate", "questions", "strictest"]
