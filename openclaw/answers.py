"""A person's answer to a question, recorded in the commit that gives it; also one that is not taken, and why.

- Enough who say yes approve it: one person, or as many and of such roles as the policy demands (``openclaw.quorum``).
- One who says no rejects it: anybody whose yes would count, and whoever asked for it.
- Yes is to exactly the arguments that are said with it: those that were asked about, or a change that the policy allows.
  A change begins anew: who agreed to other arguments before has not agreed to these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from openclaw.action import utc
from openclaw.approvals import Amendment, Answer, Approval, Approvals
from openclaw.approvers import Approvers, statement
from openclaw.audit import AuditLog, Draft
from openclaw.audit.mask import MASKED, hides
from openclaw.canonical import encode, plain, storable
from openclaw.errors import ApprovalError
from openclaw.quorum import Voice, person
from openclaw.store import Store, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody says to a question.

    Args:
        by: who.
        approve: yes or no.
        reason: why; it is recorded, and of a no the agent is told.
        args: arguments to change, with what they shall be; yes is to the call with these.
        signed: the statement (``Answers.statement``) as a note that their key has signed.
        token: their token.
    """

    by: str
    approve: bool
    reason: str = ""
    args: Mapping[str, object] = field(default_factory=dict[str, object])
    signed: str = ""
    token: str = ""


class Answers:
    """The answers to the questions of a store."""

    def __init__(self, store: Store, log: AuditLog, approvals: Approvals, approvers: Approvers) -> None:
        self._store = store
        self._log = log
        self._approvals = approvals
        self._approvers = approvers

    def give(self, question: str, said: Said) -> Approval:
        """Answer a question and record it, in one commit: what ``Gate.answer`` and the command line do.

        Raises:
            ApprovalError: there is no such question, it has been answered, its time is over, nobody is named, or this answer
                does not count: then that is recorded too.
            AuditError: the log was opened without its key, and the reason or the arguments hold what only the key can hide.
        """
        if not said.by.strip():
            raise ApprovalError("an answer needs a name", hint="say who gives it: `by=`, or `--by NAME`")
        if said.args and not said.approve:
            raise ApprovalError(
                "a no changes no arguments", hint="leave the arguments out, or approve the changed call"
            )
        reason = self._log.text(said.reason)
        changes = _changes(said)
        digest = self._digest(changes)

        def unit(transaction: Transaction) -> Approval | ApprovalError:
            found = self._approvals.pending(transaction, question)
            if changes:
                _check_names(found, changes)
            try:
                voice, proof = self._heard(transaction, found, said, digest)
            except ApprovalError as error:
                self._record_refused(transaction, found, said, error)
                return error
            _check_new(found, said, digest)
            answer = Answer(
                by=said.by,
                answer="approved" if said.approve else "rejected",
                at=transaction.now,
                reason=reason,
                changed=digest,
                proof=proof,
            )
            amended: tuple[Amendment, bytes] | None = None
            if changes and (found.amendment is None or found.amendment.digest != digest):
                amendment = Amendment(by=said.by, args=self._shown(transaction, found, changes), digest=digest)
                amended = amendment, self._log.privacy.keep(found.seq, encode(changes))
            after = self._approvals.answer(transaction, found, answer, amended)
            if not said.approve or not found.demand.missing(self.voices(after, transaction)):
                after = self._approvals.decide(transaction, after, answer)
            self._record(transaction, after, answer, voice)
            return after

        answered = self._store.run(unit)
        if isinstance(answered, ApprovalError):
            raise answered
        return answered

    def statement(self, question: str, *, by: str, approve: bool, args: Mapping[str, object] | None = None) -> str:
        """What ``by`` states with this answer: the text to sign.

        Raises:
            ApprovalError: there is no such question.
            AuditError: arguments are changed, and the log's key is not here.
        """
        said = Said(by=by, approve=approve, args=args or {})
        return self._states(self._approvals.get(question), said, self._digest(_changes(said)))

    def voices(self, approval: Approval, transaction: Transaction | None = None) -> list[Voice]:
        """Who agrees to a question as it stands, with the roles and proofs that hold at this moment."""
        found: list[Voice] = []
        for answer in approval.yes:
            said = Said(by=answer.by, approve=True)
            states = self._states(approval, said, answer.changed)
            voice = self._approvers.voice(answer.by, states, answer.proof, transaction)
            if voice is not None:
                found.append(voice)
        return found

    def has(self, question: str, said: Said) -> bool:
        """Whether exactly this has been said to a question already."""
        verdict, digest = "approved" if said.approve else "rejected", self._digest(_changes(said))
        return any(
            person(one.by) == person(said.by) and (one.answer, one.changed) == (verdict, digest)
            for one in self._approvals.get(question).answers
        )

    def waiting(self, thread: str) -> list[str]:
        """The questions of a thread that wait, by name."""
        return [one.id for one in self._approvals.list() if one.thread == storable(thread)]

    def progress(self, approval: Approval) -> tuple[int, int]:
        """How many have agreed to a question, of how many."""
        return approval.demand.agreed(self.voices(approval))

    def _heard(self, transaction: Transaction, found: Approval, said: Said, digest: str) -> tuple[Voice, str]:
        """Who answers, and what proves it.

        Raises:
            ApprovalError: their answer does not count.
        """
        demand = found.demand
        voice, proof = self._approvers.prove(
            said.by,
            self._states(found, said, digest),
            signed=said.signed,
            token=said.token,
            needed=demand.proof,
            transaction=transaction,
        )
        objection = demand.objection(voice)
        if objection and (said.approve or person(said.by) not in demand.apart):
            raise ApprovalError(objection, hint="somebody else must answer")
        return voice, proof

    def _states(self, found: Approval, said: Said, digest: str) -> str:
        return statement(
            self._log.origin,
            question=found.id,
            digest=found.args_digest,
            changed=digest,
            approve=said.approve,
            by=said.by,
            expires_at=utc(found.expires_at),
        )

    def _digest(self, changes: dict[str, JsonValue]) -> str:
        """Keyed, as that of the arguments asked about is: of what the log hides, a plain digest would let anybody try values."""
        return self._log.privacy.keyed(changes) if changes else ""

    # -- recording -----------------------------------------------------------------------------------------------

    def _record(self, transaction: Transaction, after: Approval, answer: Answer, voice: Voice) -> None:
        body: dict[str, JsonValue] = {
            "approval": after.id,
            "decision": after.seq,
            "answer": answer.answer,
            "by": answer.by,
            "reason": answer.reason,
            "args_digest": after.args_digest,
        }
        demand = after.demand
        if demand.people > 1 and answer.answer == "approved":
            agreed, needed = demand.agreed(self.voices(after, transaction))
            body |= {"state": after.state, "agreed": agreed, "needed": needed}
        body |= self._approvers.recorded(voice, answer.by, answer.proof, transaction)
        if answer.changed and after.amendment is not None:
            body["changed"] = {"args": after.amendment.args, "digest": answer.changed}
        self._append(transaction, after, body)

    def _shown(self, transaction: Transaction, asked: Approval, changes: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The changed arguments as they may be stored: hidden where those that were asked about are, or were none."""
        known, hiding = _asked_args(asked), hides(asked.request.get("input"))
        told: dict[str, JsonValue] = {}
        hidden: dict[str, JsonValue] = {}
        for name, value in changes.items():
            # A text may repeat what is hidden elsewhere in the call.
            if known is None or name not in known or hides(known[name]) or (hiding and _holds_text(value)):
                hidden[name] = {MASKED: self._log.privacy.keyed(value)}
            else:
                told[name] = value
        veiled = self._log.privacy.veil(transaction, {"tool": {"args": told}}).document.get("tool")
        shown = veiled.get("args") if isinstance(veiled, dict) else None
        return {**(shown if isinstance(shown, dict) else {}), **hidden}

    def _record_refused(self, transaction: Transaction, found: Approval, said: Said, error: ApprovalError) -> None:
        body: dict[str, JsonValue] = {
            "event": "refused",
            "approval": found.id,
            "decision": found.seq,
            "by": said.by,
            "said": "approved" if said.approve else "rejected",
            "reason": error.message,
        }
        self._append(transaction, found, body)

    def _append(self, transaction: Transaction, about: Approval, body: dict[str, JsonValue]) -> None:
        draft = Draft(kind="approval", run=about.run, agent=about.agent, tool=about.tool, body=body)
        self._log.record(transaction, draft)


def _changes(said: Said) -> dict[str, JsonValue]:
    changes = plain(dict(said.args))
    assert isinstance(changes, dict)
    return changes


def _asked_args(asked: Approval) -> dict[str, JsonValue] | None:
    """The arguments of a question as they are stored; None where they are hidden as a whole."""
    document = asked.request.get("input")
    tool = document.get("tool") if isinstance(document, dict) else None
    args = tool.get("args") if isinstance(tool, dict) else None
    return args if isinstance(args, dict) and not (len(args) == 1 and hides(args)) else None


def _holds_text(value: JsonValue) -> bool:
    return not (value is None or isinstance(value, int | float))


def _check_names(found: Approval, changes: Mapping[str, JsonValue]) -> None:
    may = found.demand.amend
    foreign = sorted(changes.keys() - set(may))
    if foreign:
        named = ", ".join(f"`{name}`" for name in foreign)
        allowed = ", ".join(f"`{name}`" for name in may)
        raise ApprovalError(
            f"the policy lets no approver change {named} of `{found.tool}`",
            hint=f"it lets them change {allowed}" if allowed else "approve it as it is, or reject it and say why",
        )


def _check_new(found: Approval, said: Said, digest: str) -> None:
    """A person says each thing once, and says what they agree to."""
    if not said.approve:
        return
    if found.amendment is not None and not digest:
        names = ", ".join(f"`{name}`" for name in found.amendment.args)
        raise ApprovalError(
            f"`{found.amendment.by}` has changed {names} since it was asked",
            hint="agree to that with the same `--arg NAME=VALUE`, or reject it",
        )
    if any(person(one.by) == person(said.by) and one.changed == digest for one in found.yes):
        raise ApprovalError(f"`{said.by}` has agreed to `{found.id}` already", hint="one person counts once")


__all__ = ["Answers", "Said"]
