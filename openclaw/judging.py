"""What stands against an action before its budget is asked: the policy, a person's answer, its own earlier execution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from openclaw.action import Action, ModelCall
from openclaw.approvals import Approval
from openclaw.breakglass import Excepted
from openclaw.budget import Unit
from openclaw.consent import Consent
from openclaw.decision import Decision, Effect
from openclaw.duties import Duties
from openclaw.errors import Misrouted, OpenClawError, RefusalSource, Refused
from openclaw.executions import Execution
from openclaw.passing import Admission, Amended, Refusal, Replayed, Request, Shown
from openclaw.records import unpack_refusal
from openclaw.softlimits import Reached

ENDED = frozenset({"done", "withheld", "refused", "unknown"})
"""The states of an execution that already has its answer."""

_ROUTE_HINT = 'say where it runs with `metadata={"sites": […]}` on the model, or give the agent an alternative'


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with what was known when it was looked at. ``consent`` is what people have said to it."""

    request: Request
    consent: Consent | None
    document: dict[str, JsonValue]
    remaining: Mapping[Unit, int]
    soft: tuple[Reached, ...] = ()
    """The stages of its soft limits that hold."""
    unread: Refused | None = None
    """What is known could not be read: the refusal that says so."""
    goes_on: bool = False
    """It was suspended, and goes on: under the approval that it has used, and counted once."""
    original: Action | None = None
    """What was asked for, where an approver has changed its arguments."""
    excepted: Excepted | None = None
    """An exception that covers it, and what came of that."""

    @property
    def approval(self) -> Approval | None:
        """The question that was put about it."""
        return None if self.consent is None else self.consent.approval

    @property
    def amended(self) -> Amended | None:
        """What an approver has changed of it."""
        return None if self.consent is None else self.consent.amended

    @property
    def agreed(self) -> bool:
        """Whether a person has agreed to it."""
        return self.approval is not None and (self.approval.state == "approved" or self.claimed)

    @property
    def claimed(self) -> bool:
        """Whether its approval is used by itself."""
        return self.goes_on and self.approval is not None and self.approval.state == "used"


def against(asked: Asked, decision: Decision, duties: Duties, digest: Callable[[], str]) -> Refused | None:
    """Why the action may not run, before its budget is asked; None where nothing stands against it.

    ``digest`` gives what an approval of it is bound to.
    """
    approval, request = asked.approval, asked.request
    if decision.effect is Effect.DENY:
        source: RefusalSource = "gate" if decision.code == "bad_input" else "policy"
        reasons = decision.reasons or ("denied",)
        if asked.excepted is not None and asked.excepted.note:
            reasons += (asked.excepted.note,)
        return Refused(reasons[0], source=source, reasons=reasons)
    if isinstance(request.action, ModelCall):
        for miss in filter(None, (route.misses(request.action) for route in duties.routes)):
            return Misrouted(miss, model=request.action.name, hint=_ROUTE_HINT)
    if approval is not None and approval.state == "rejected":
        said = f": {approval.reason}" if approval.reason else ""
        return Refused(f"rejected by {approval.answered_by}{said}", source="approval")
    if approval is not None and approval.state == "expired":
        late = f"{approval.answered_by} approved it, and it was not made in time" if approval.answered_by else ""
        return Refused(late or "nobody approved it in time", source="approval")
    if approval is not None and approval.args_digest != digest():
        return Refused("the approval was given for other arguments", source="approval")
    if approval is not None and approval.state == "used" and not asked.claimed:
        return Refused("its approval has been used already", source="approval")
    if asked.consent is not None and asked.agreed and (asked.consent.fault or waits(decision, duties)):
        unmet = asked.consent.unmet(duties, request.action.principal)
        if unmet is not None:
            return unmet
    if approval is None and waits(decision, duties) and (request.key is None or not request.can_wait):
        reasons = (*why(decision, duties), "a person must approve this, but the graph has no checkpointer to wait with")
        return Refused(reasons[0], source="approval", reasons=reasons, hint="compile the graph with a checkpointer")
    if request.unpriced and "microusd" in asked.remaining:
        return Refused(
            f"no price is known for model `{request.action.name}`, and a money budget applies",
            source="budget",
            hint="budget it in tokens, or use a model with a known price",
        )
    if request.unmeasured and "mwh" in asked.remaining:
        return Refused(
            f"nobody knows the energy that model `{request.action.name}` takes, and an energy budget applies",
            source="budget",
            hint="give `Governance.open(…, energy=Energy())`, and use a model that `ecologits` knows",
        )
    return None


def waits(decision: Decision, duties: Duties) -> bool:
    """Whether people must agree first: the policy asks, or demands it of what it would allow."""
    return decision.effect is Effect.ASK or bool(duties.approve)


def why(decision: Decision, duties: Duties) -> tuple[str, ...]:
    """Why people must agree."""
    return decision.reasons or tuple(map(str, duties.approve))


def told_change(amended: Amended, asked: str, now: str) -> JsonValue:
    """What the entry of a decision says of a change: who, which arguments, and the digests of what was asked and of what is."""
    return {"by": amended.by, "args": [*amended.args], "asked_digest": asked, "args_digest": now}


def after_change(refused: Refused, amended: Amended | None) -> Refused:
    """A refusal, which says that it is of a call that somebody has changed."""
    if amended is not None:
        refused.reasons += (f"{amended.by} has changed {', '.join(amended.args)} of it",)
    return refused


def known_answer(execution: Execution, amended: Amended | None = None) -> Admission:
    """The answer that an execution already has."""
    if execution.state == "done":
        return Replayed(execution.seq, execution.kept, amended)
    if execution.state == "unknown":
        return Refusal(unknown_outcome(execution))
    return Refusal(unpack_refusal(execution.kept, execution.seq))


def unknown_outcome(execution: Execution) -> Refused:
    """The refusal of a call that ran in a process that is gone."""
    return Refused(
        f"this call has begun before and its outcome is unknown (entry {execution.seq}): it is not made again",
        source="gate",
        seq=execution.seq,
        hint="find out what it did before you ask for it in another way",
    )


def still_running(execution: Execution) -> Refused:
    """The refusal of a call that runs somewhere else."""
    return Refused(
        f"this call has begun before and its outcome is unknown (entry {execution.seq}): it may still be running",
        source="gate",
        hint="wait for its outcome; `openclaw audit open` lists it until then",
    )


def unanswered(source: RefusalSource, what: str, error: OpenClawError) -> Refusal:
    """No record, no action: the part that could not answer is named."""
    return Refusal(Refused(f"{what}, so nothing is done: {error.message}", source=source, hint=error.hint))


def unrecorded(asked: Asked, error: OpenClawError) -> Refusal:
    """The log cannot say so itself: it is the log that fails. Whoever asked hears of it, and nothing is done."""
    if asked.unread is not None:
        asked.unread.seq = None  # the entry that it got did not come to be
        return Refusal(asked.unread)
    return unanswered("audit", "the decision cannot be recorded", error)


def unrecorded_result(shown: Shown, error: OpenClawError) -> Shown:
    """The same of a result: nothing of it is shown."""
    return replace(shown, refused=unanswered("audit", "what was said of the result cannot be recorded", error).error)
