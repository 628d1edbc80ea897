"""What people have agreed to, as the gate sees it: the call as it was changed, who agrees, and whether that is enough now.

INVARIANT: what was enough when it was answered is looked at again when it is acted on, under the policy, the roles and the
keys of that moment; and only the arguments that were agreed to are acted on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from pydantic import JsonValue

from openclaw.action import Principal, ToolCall, utc
from openclaw.answers import Answers
from openclaw.approvals import Answer, Approval, Approvals, Question
from openclaw.audit import AuditLog
from openclaw.audit.mask import hides
from openclaw.decision import Decision
from openclaw.duties import Duties
from openclaw.errors import AuditError, Refused
from openclaw.passing import Amended, Request
from openclaw.quorum import Demand, Voice, person

APPROVER = "approval"
"""Where a value that an approver has set was seen, in the ``flow`` of the policy input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What people have said to a request.

    Args:
        approval: the question with its answers.
        voices: who agrees, as it counts at this moment.
        amended: what they have changed, if they have.
        fault: why their change cannot be carried out, if it cannot.
        authenticated: whoever governs wants proof with every answer.
    """

    approval: Approval
    voices: tuple[Voice, ...] = ()
    amended: Amended | None = None
    fault: str = ""
    authenticated: bool = False

    def as_input(self) -> dict[str, JsonValue] | None:
        """The ``approval`` part of the policy input; None where nobody has decided."""
        approval = self.approval
        if approval.state not in ("approved", "used") or approval.answered_at is None:
            return None
        said: dict[str, JsonValue] = {"by": approval.answered_by, "at": utc(approval.answered_at)}
        heard = {person(voice.by): voice for voice in self.voices}
        if approval.yes:
            said["answers"] = [
                _told(answer, heard[person(answer.by)]) for answer in approval.yes if person(answer.by) in heard
            ]
        if self.amended is not None:
            said["changed"] = [*sorted(self.amended.args)]
        return said

    def unmet(self, duties: Duties, principal: Principal) -> Refused | None:
        """Why what people have said is not enough under what the policy demands now, or cannot be done; None where it is."""
        if self.fault:
            return Refused(self.fault, source="approval")
        voices = self.voices
        if not self.approval.answers:  # it was answered before answers were kept one by one
            voices = (Voice(self.approval.answered_by),)
        now = Demand(quorums=duties.approve, authenticated=self.authenticated, apart=apart(principal))
        missing = now.missing(voices)
        return Refused(f"the agreement that was given is not enough: {missing}", source="approval") if missing else None


class Consents:
    """The consents of a store, for the gate. ``authenticated``: every answer must prove who gives it."""

    def __init__(self, approvals: Approvals, answers: Answers, log: AuditLog) -> None:
        self._approvals = approvals
        self._answers = answers
        self._log = log
        self.authenticated = False

    def find(self, request: Request) -> tuple[Request, Consent | None]:
        """What has been said to this execution; and the request as it was changed, if it was."""
        approval = None if request.key is None else self._approvals.find(request.key)
        if approval is None or approval.state not in ("approved", "used"):
            return request, None if approval is None else Consent(approval=approval)
        voices = tuple(self._answers.voices(approval))
        consent = Consent(approval=approval, voices=voices, authenticated=self.authenticated)
        if approval.amendment is None:
            return request, consent
        try:
            changed = self._changed(approval)
            return _amend(request, changed), replace(consent, amended=Amended(approval.amendment.by, changed))
        except (AuditError, ValueError) as error:
            said = error.message if isinstance(error, AuditError) else str(error)
            why = f"the arguments as `{approval.amendment.by}` changed them cannot be used: {said}"
            return request, replace(consent, fault=why)

    def question(
        self, request: Request, decision: Decision, duties: Duties, body: Mapping[str, JsonValue], digest: str
    ) -> Question:
        """What is asked, with everything that a person needs to judge it; ``body`` is that of the entry which says so."""
        assert request.key is not None, "INVARIANT: an ask that cannot wait is refused"
        stored, answered = body["input"], cast("dict[str, JsonValue]", body["decision"])
        run, principal = request.run, request.action.principal
        known = stored.get("principal") if isinstance(stored, dict) else None
        named = principal.model_copy(update={"on_behalf_of": None}) if hides(known) else principal
        return Question(
            key=request.key,
            run=run.id if run else "",
            thread=(run.thread or "") if run else "",
            agent=principal.agent,
            tool=request.action.name,
            args_digest=digest,
            request={"reasons": answered["reasons"], "rules": [*decision.rules], "input": stored},
            demand=Demand(
                quorums=duties.approve, authenticated=self.authenticated, amend=duties.amend, apart=apart(named)
            ),
        )

    def _changed(self, approval: Approval) -> dict[str, JsonValue]:
        """The changed arguments, which must be those that were agreed to.

        Raises:
            AuditError: the log has another key now.
            ValueError: they are not kept any more, or are others.
        """
        assert approval.amendment is not None
        stored = self._approvals.amended(approval.id)
        if not stored:
            raise ValueError("they are not kept any more")
        changed = cast("dict[str, JsonValue]", json.loads(self._log.privacy.kept(approval.seq, stored)))
        if self._log.privacy.keyed(changed) != approval.amendment.digest:
            raise ValueError("they are others than those that were agreed to")
        return changed


def _told(answer: Answer, voice: Voice) -> JsonValue:
    roles: list[JsonValue] = [*sorted(voice.roles)]
    return {"by": answer.by, "at": utc(answer.at), "roles": roles, "authenticated": voice.authenticated}


def apart(principal: Principal) -> frozenset[str]:
    """Who cannot agree where other people must: whom it is done for, and the agents that do it."""
    names = (principal.agent, *principal.chain, *filter(None, (principal.on_behalf_of,)))
    return frozenset(map(person, names))


def _amend(request: Request, changed: Mapping[str, JsonValue]) -> Request:
    """The request with the arguments of the approvers, checked as a model's are.

    Raises:
        ValueError: they do not fit.
    """
    action = request.action
    if not isinstance(action, ToolCall):
        raise ValueError("only those of a tool can be changed")  # noqa: TRY004 - as every other that does not fit
    args = {**action.args, **changed}
    if request.fits is not None:
        args = dict(request.fits(args))
    flow = request.flow
    if flow is not None:
        origins = flow.get("args")
        known = dict(origins) if isinstance(origins, dict) else {}
        known = {path: it for path, it in known.items() if not any(_below(path, name) for name in changed)}
        set_by: dict[str, JsonValue] = {"seen_in": [APPROVER], "trust": "trusted"}
        flow = {**flow, "args": {**known, **dict.fromkeys(changed, set_by)}}
    return replace(request, action=action.model_copy(update={"args": args}), flow=flow)


def _below(path: str, name: str) -> bool:
    return path == name or path.startswith((f"{name}.", f"{name}["))


__all__ = ["Consent", "Consents", "apart"]
