"""Whether an exception lifts what the policy has decided: the policy is asked once more, with the exception in its input.

The plain question comes first, always: what is allowed without an exception uses none, and costs no look for one. Only what
the policy itself has said can be lifted: a refusal by its rules or for want of one, or an ask that nobody has answered. Not a
failure of the engine, an obligation that cannot be met, a budget, a halt, a person's no.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from pydantic import JsonValue

from openclaw.audit import Veil
from openclaw.breakglass import Excepted, Lift
from openclaw.canonical import storable
from openclaw.decision import Decision, Effect
from openclaw.errors import OpenClawError, Refused
from openclaw.exceptions import Exceptions
from openclaw.judging import Asked
from openclaw.records import decision_draft
from openclaw.store import Transaction

_OF_POLICY = frozenset({"policy", "no_policy"})
_SEVERITY = (Effect.ALLOW, Effect.ASK, Effect.DENY)


def decide(
    asked: Asked, exceptions: Exceptions, evaluate: Callable[[dict[str, JsonValue]], Decision]
) -> tuple[Asked, Decision | None]:
    """What the policy says, with an exception if one lifts what it says without; no decision where it is not to be asked."""
    decision = evaluate(asked.document) if asked.unread is None else None
    if decision is None or not liftable(asked, decision):
        return asked, decision
    tried = trial(exceptions, asked, decision)
    while (question := tried.question) is not None:
        tried.hear(evaluate(question))
    return tried.outcome


async def adecide(
    asked: Asked, exceptions: Exceptions, evaluate: Callable[[dict[str, JsonValue]], Awaitable[Decision]]
) -> tuple[Asked, Decision | None]:
    """``decide`` without blocking the event loop."""
    decision = await evaluate(asked.document) if asked.unread is None else None
    if decision is None or not liftable(asked, decision):
        return asked, decision
    tried = await asyncio.to_thread(trial, exceptions, asked, decision)
    while (question := tried.question) is not None:
        tried.hear(await evaluate(question))
    return tried.outcome


class Trial:
    """A decision, and the exceptions that may lift it. ``question`` is what to ask the policy next; ``hear`` takes its answer.

    Attributes:
        asked, decision: what stands so far.
    """

    def __init__(self, asked: Asked, decision: Decision, lifts: Sequence[Lift]) -> None:
        self.asked = asked
        self.decision = decision
        self._plain = decision
        self._untried = [lift for lift in lifts if not lift.fault]
        self._denials = 0
        if not self._untried and lifts:
            self.asked = replace(asked, excepted=Excepted(lifts[0], decision, lifted=False))

    @property
    def outcome(self) -> tuple[Asked, Decision | None]:
        """What was asked in the end, and what is to be recorded; no decision where the exceptions cannot be read."""
        return self.asked, self.decision if self.asked.unread is None else None

    @property
    def question(self) -> dict[str, JsonValue] | None:
        """The input with the next exception in it; None where there is nothing more to ask."""
        return _with(self.asked.document, self._untried[0]) if self._untried else None

    def hear(self, decision: Decision) -> None:
        """The policy's answer to ``question``. Only one that is less strict than the plain one lifts anything.

        Of refusals the first is kept: it says why the narrowest exception does not help. Where the policy could not answer,
        the plain refusal stands, and says so.
        """
        lift = self._untried.pop(0)
        lifted = _SEVERITY.index(decision.effect) < _SEVERITY.index(self._plain.effect)
        if lifted:
            self._untried.clear()
        elif self._denials or self._plain.effect is not Effect.DENY:
            return
        elif decision.code not in _OF_POLICY:
            told = decision.reasons[0] if decision.reasons else decision.code
            silent = replace(lift, fault=f"could not be decided on: {told}")
            self.asked = replace(self.asked, excepted=Excepted(silent, self._plain, lifted=False))
            return
        self._denials += 1
        excepted = Excepted(lift, self._plain, lifted)
        self.asked = replace(self.asked, document=_with(self.asked.document, lift), excepted=excepted)
        self.decision = decision


def liftable(asked: Asked, decision: Decision) -> bool:
    """Whether an exception could change anything about a decision."""
    if decision.code not in _OF_POLICY or decision.effect is Effect.ALLOW:
        return False
    return decision.effect is Effect.DENY or asked.approval is None


def trial(exceptions: Exceptions, asked: Asked, decision: Decision) -> Trial:
    """The exceptions that cover what was asked; with a refusal that says so where they cannot be read."""
    request, tool = asked.request, asked.document.get("tool")
    args = tool.get("args") if isinstance(tool, dict) else None
    try:
        lifts = exceptions.covering(request.action, args if isinstance(args, dict) else None, request.key)
    except OpenClawError as error:
        why = f"the exceptions that may cover it cannot be read: {error.message}"
        reasons = (*decision.reasons, why)
        refused = Refused(reasons[0], source="exception", reasons=reasons, hint=error.hint)
        return Trial(replace(asked, unread=refused), decision, ())
    return Trial(asked, decision, lifts)


def note(asked: Asked, body: dict[str, JsonValue], veil: Veil) -> None:
    """Say in the entry of a decision which exception was looked at, and what the policy says without it if it lifts that."""
    excepted = asked.excepted
    if excepted is None:
        return
    it = excepted.lift.exception
    said: dict[str, JsonValue] = {"id": it.id, "opened": it.seq, "by": it.by, "lifted": excepted.lifted}
    if excepted.lifted:
        plain = excepted.plain
        said["plain"] = {
            "effect": plain.effect.value,
            "reasons": veil.texts(plain.reasons),
            "rules": [*map(storable, plain.rules)],
        }
    elif excepted.lift.fault:
        said["fault"] = excepted.lift.fault
    body["exception"] = said


def claim(exceptions: Exceptions, transaction: Transaction, asked: Asked) -> Refused | None:
    """Use the exception that lifts it, if one does; the refusal where it cannot be used any more."""
    if asked.excepted is None or not asked.excepted.lifted:
        return None
    return exceptions.claim(transaction, asked.excepted, asked.request.key, goes_on=asked.goes_on)


def count(exceptions: Exceptions, transaction: Transaction, asked: Asked, body: Mapping[str, JsonValue]) -> None:
    """Say in the entry of a permit which use of the exception it is."""
    said = body.get("exception")
    if asked.excepted is not None and asked.excepted.lifted and isinstance(said, dict):
        key = asked.request.key if asked.goes_on else None
        said |= {"use": exceptions.number(transaction, asked.excepted, key), "of": asked.excepted.lift.exception.uses}


def record(
    exceptions: Exceptions, transaction: Transaction, asked: Asked, body: Mapping[str, JsonValue], seq: int
) -> None:
    """Record the use of the exception: decision ``seq``, whose entry has ``body``, has passed under it."""
    said = body.get("exception")
    if asked.excepted is not None and asked.excepted.lifted and isinstance(said, dict):
        about = decision_draft(asked.request, "", {})
        exceptions.use(transaction, said, about, seq, asked.request.key)


def _with(document: Mapping[str, JsonValue], lift: Lift) -> dict[str, JsonValue]:
    return {**document, "exception": lift.as_input()}


__all__ = ["Trial", "adecide", "claim", "count", "decide", "liftable", "note", "record", "trial"]
