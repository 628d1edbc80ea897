"""The one door (policy enforcement point): decide → reserve → record → run → settle → record.

Every governed action of every agent passes ``admit`` (or ``aadmit``, which is the same but waits without blocking) before
it runs and ``finish`` afterwards. In between stands one commit that holds decision, reservation and approval together:

    look      what is known of this execution, its approval, and what is left of its budgets     (reads)
    decide    the policy engine answers                                                          (no transaction)
    record    claim the approval, reserve, write the decision entry, note the action as running  (one transaction)
    run       the caller's business
    finish    settle, write the outcome entry, note the action as done                           (joins the next commit)

    INVARIANT: no Permit exists whose decision is not durable.
    INVARIANT: whatever goes wrong before the commit is a Refusal; nothing of it stays behind.
    INVARIANT: under one key an action is permitted at most once, however often its node runs again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import sqlalchemy as sa
from pydantic import JsonValue

from openclaw.action import Action, Context, ModelCall, Principal, Run, args_digest, policy_input, utc
from openclaw.approvals import Approval, Approvals, Question
from openclaw.audit import AuditLog, Draft
from openclaw.budget import Ledger, Prices, Reservation, Unit, Usage
from openclaw.canonical import encode, plain
from openclaw.clock import Clock
from openclaw.decision import Decision, Effect
from openclaw.duties import Duties, read_duties, total
from openclaw.errors import ApprovalError, BudgetExceeded, OpenClawError, RefusalSource, Refused
from openclaw.policy.engine import PolicyEngine
from openclaw.store import Job, Row, Statement, Store, Transaction
from openclaw.store.tables import ActionRow, RunRow, Table

RESULT_BYTES_MAX = 4096
"""Results above this many canonical bytes are kept by digest and size alone, also at audit level ``full``."""

NOTHING = Usage()

_ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]
_RUN: sa.Table = Table.metadata.tables[str(RunRow.__tablename__)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One action that asks to pass.

    Args:
        action: what is to be done, by whom.
        run: where in time it stands; None outside of any run.
        hold: what to reserve for it: one call for a tool, tokens and money for a model call.
        flow: the ``flow`` part of the policy input, where information flow is tracked.
        key: names this very execution, so that a node that runs again does not act again. None: it cannot run again.
        can_wait: there is a checkpointer, so that an ``ask`` may wait for a person.
        unpriced: no price is known for this model; refused where a money budget applies.
        remembers: a refusal ends this execution for good, because the transcript goes on with it. False where a refusal
            is raised and the node may run again after a budget or a policy has changed: then it is decided again.
    """

    action: Action
    run: Run | None = None
    hold: Usage = NOTHING
    flow: Mapping[str, JsonValue] | None = None
    key: str | None = None
    can_wait: bool = False
    unpriced: bool = False
    remembers: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The action may run, with ``action`` as it stands here (arguments may have been rewritten). ``finish`` it."""

    seq: int
    decision: Decision
    action: Action
    run: Run | None
    reservation: Reservation | None
    charge: Usage
    key: str | None
    began: dt.datetime


@dataclass(frozen=True, slots=True)
class Replayed:
    """This execution has run to its end before: hand back ``result``, do nothing."""

    seq: int
    result: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """A person must answer ``approval`` first."""

    seq: int
    approval: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The action may not run. ``error`` says why, by whom, and which entry records it."""

    error: Refused


Admission = Permit | Replayed | Waiting | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a permitted action.

    Args:
        status: it returned, it raised, or it was cut off.
        usage: what it really used; posted in full, also above the hold.
        result: what it returned; the log keeps its digest, and at audit level ``full`` the value if it is small.
        error: type and message of what it raised.
        replay: what to hand back if the same execution is asked for again.
        estimated: the usage is an estimate, because the provider gave none.
    """

    status: Literal["done", "failed", "cancelled"]
    usage: Usage = NOTHING
    result: object = None
    error: str = ""
    replay: bytes = b""
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request with what was known when it was looked at."""

    request: Request
    approval: Approval | None
    document: dict[str, JsonValue]
    remaining: Mapping[Unit, int]


class Gate:
    """The door of one governance. Safe to use from many threads and event loops at once."""

    def __init__(
        self,
        *,
        store: Store,
        log: AuditLog,
        ledger: Ledger,
        approvals: Approvals,
        policy: PolicyEngine,
        clock: Clock,
        prices: Prices | None = None,
    ) -> None:
        self._store = store
        self._log = log
        self._ledger = ledger
        self._approvals = approvals
        self._policy = policy
        self._clock = clock
        self.prices = prices or Prices()

    # -- passing -------------------------------------------------------------------------------------------------

    def admit(self, request: Request) -> Admission:
        """Ask to pass. Returns when the answer is durable; a refusal is an answer, not an exception."""
        try:
            asked = self._look(request)
        except OpenClawError as error:
            return _unanswered("budget", "the budget cannot be read", error)
        if not isinstance(asked, _Asked):
            return asked
        job = self._submit(asked, self._evaluate(asked))
        try:
            return job.wait()
        except OpenClawError as error:
            return _unanswered("audit", "the decision cannot be recorded", error)
        except BaseException:
            self._disown(job)
            raise

    async def aadmit(self, request: Request) -> Admission:
        """``admit`` without blocking the event loop on disk or network."""
        try:
            asked = await asyncio.to_thread(self._look, request)
        except OpenClawError as error:
            return _unanswered("budget", "the budget cannot be read", error)
        if not isinstance(asked, _Asked):
            return asked
        job = self._submit(asked, await self._aevaluate(asked))
        try:
            return await asyncio.wrap_future(job.future)
        except OpenClawError as error:
            return _unanswered("audit", "the decision cannot be recorded", error)
        except BaseException:  # cancelled: the commit goes on without its caller
            self._disown(job)
            raise

    def finish(self, permit: Permit, outcome: Outcome) -> None:
        """Settle and record what became of a permitted action. Does not block; doing it twice changes nothing."""
        ended = self._clock.now()
        self._store.defer(lambda transaction: self._finish(transaction, permit, outcome, ended))

    def refuse(self, request: Request, *, reason: str) -> Refusal:
        """Record that an action was turned away before any policy was asked: unknown tool, arguments that do not fit."""
        asked = _Asked(request, None, self._document(request, None, {}), {})
        decision = Decision.deny(reason, code="bad_input", revision=self._policy.revision, engine=self._policy.name)
        try:
            answer = self._submit(asked, decision).wait()
        except OpenClawError as error:
            return _unanswered("audit", "the decision cannot be recorded", error)
        assert isinstance(answer, Refusal)
        return answer

    async def arefuse(self, request: Request, *, reason: str) -> Refusal:
        """``refuse`` without blocking the event loop."""
        return await asyncio.to_thread(self.refuse, request, reason=reason)

    def decide(
        self, action: Action, *, run: Run | None = None, flow: Mapping[str, JsonValue] | None = None
    ) -> Decision:
        """Ask the policy without acting: nothing is recorded, nothing reserved."""
        request = Request(action=action, run=run, flow=flow)
        return self._policy.evaluate(self._document(request, None, self.remaining(action.principal)))

    def remaining(self, principal: Principal) -> dict[Unit, int]:
        """What is left to a principal of each limited unit: the least over its accounts."""
        return self._ledger.remaining(principal.account)

    # -- runs and people -----------------------------------------------------------------------------------------

    def open_run(self, *, workflow: str, thread: str | None, resumed: bool) -> Run:
        """A new run; or, where ``resumed``, the last one of ``thread``, which goes on."""
        if resumed and thread:
            query = sa.select(_RUN).where(_RUN.c.thread == thread, _RUN.c.workflow == workflow)
            with self._store.read() as connection:
                row = connection.execute(
                    query.order_by(_RUN.c.started_at.desc(), _RUN.c.id.desc()).limit(1)
                ).one_or_none()
            if row is not None:
                return Run(id=row.id, thread=thread, started_at=dt.datetime.fromisoformat(row.started_at))
        run = Run(id=self._clock.new_id("run"), thread=thread, started_at=self._clock.now())
        values = {"id": run.id, "thread": thread or "", "workflow": workflow, "started_at": utc(self._clock.now())}
        self._store.defer(lambda transaction: transaction.connection.execute(sa.insert(_RUN), values))
        return run

    def answer(self, approval: str, *, by: str, approve: bool, reason: str = "") -> Approval:
        """Answer a question, once, and record who did.

        Raises:
            ApprovalError: there is none of that name, it has been answered, or its time is over.
        """
        return give_answer(self._store, self._log, self._approvals, approval, by=by, approve=approve, reason=reason)

    def flush(self) -> None:
        """Return when every outcome so far is durable."""
        self._store.flush()

    # -- looking -------------------------------------------------------------------------------------------------

    def _look(self, request: Request) -> _Asked | Admission:
        """What is known before the policy is asked; an answer, if this execution already has one."""
        approval: Approval | None = None
        if request.key is not None:
            approval = self._approvals.find(request.key)
            if approval is not None and approval.state == "pending":
                return Waiting(approval.seq, approval.id, _texts(approval.request.get("reasons")))
            # A running one may be finished in what is still deferred: the transaction will see.
            for known in self._store.fetch(_BY_KEY, {"key": request.key}):
                if known["state"] in ("done", "refused"):
                    return _known(known)
        remaining = self.remaining(request.action.principal)
        return _Asked(request, approval, self._document(request, approval, remaining), remaining)

    def _document(
        self, request: Request, approval: Approval | None, remaining: Mapping[Unit, int]
    ) -> dict[str, JsonValue]:
        answered = approval is not None and approval.state in ("approved", "used")
        context = Context(
            run=request.run,
            flow=request.flow,
            budget={"remaining": {**remaining}},
            approval=approval.as_input() if approval is not None and answered else None,
            now=self._clock.now(),
        )
        return policy_input(request.action, context)

    # -- deciding ------------------------------------------------------------------------------------------------

    def _evaluate(self, asked: _Asked) -> Decision:
        try:
            return self._policy.evaluate(asked.document)
        except Exception as error:  # noqa: BLE001 - an engine that breaks its promise not to raise must not let anything pass
            return self._broken(error)

    async def _aevaluate(self, asked: _Asked) -> Decision:
        try:
            return await self._policy.aevaluate(asked.document)
        except Exception as error:  # noqa: BLE001 - as above; cancellation is no Exception and passes through
            return self._broken(error)

    def _broken(self, error: Exception) -> Decision:
        reason = f"the policy engine failed: {type(error).__name__}: {error}"
        return Decision.deny(reason, code="engine_error", revision=self._policy.revision, engine=self._policy.name)

    # -- recording -----------------------------------------------------------------------------------------------

    def _submit(self, asked: _Asked, decision: Decision) -> Job[Admission]:
        duties = read_duties(decision)
        if duties.unmet:
            engine, revision = decision.engine, decision.revision
            decision = Decision.deny(duties.unmet, code="obligation", revision=revision, engine=engine)
        return self._store.submit(lambda transaction: self._pass(transaction, asked, decision, duties))

    def _pass(self, transaction: Transaction, asked: _Asked, decision: Decision, duties: Duties) -> Admission:
        """The transaction of one admission."""
        request = asked.request
        body = self._decision_body(asked, decision, duties)
        if request.key is not None:
            for known in transaction.rows(_BY_KEY, {"key": request.key}):
                if known["state"] in ("done", "refused"):
                    return _known(known)
                if known["state"] == "running":
                    return self._turn_away(transaction, request, _unknown_outcome(known), body, note=False)
        refused = self._judge(asked, decision)
        if refused is None and decision.effect is Effect.ASK and not _answered_yes(asked):
            return self._ask(transaction, asked, decision, body)
        reservation: Reservation | None = None
        if refused is None:
            hold = total(request.hold, duties.charge)
            answer = self._ledger.hold(transaction, request.action.principal.account, hold)
            if isinstance(answer, BudgetExceeded):
                refused = answer
            else:
                reservation, refused = answer, self._claim(transaction, asked, answer)
                body["reservation"] = {"id": answer.id, "account": answer.account, "held": {**hold.present()}}
        if refused is not None:
            return self._turn_away(transaction, request, refused, body)
        seq = self._log.record(transaction, self._draft(request, "allow", body))
        self._note(transaction, seq, request.key, "running", b"")
        action = request.action
        if duties.rewrite and not isinstance(action, ModelCall):
            action = action.model_copy(update={"args": {**action.args, **duties.rewrite}})
        return Permit(
            seq=seq,
            decision=decision,
            action=action,
            run=request.run,
            reservation=reservation,
            charge=duties.charge,
            key=request.key,
            began=self._clock.now(),
        )

    def _judge(self, asked: _Asked, decision: Decision) -> Refused | None:
        """Why the action may not run, before its budget is asked; None where nothing stands against it."""
        approval, request = asked.approval, asked.request
        if decision.effect is Effect.DENY:
            source: RefusalSource = "gate" if decision.code == "bad_input" else "policy"
            return Refused(
                decision.reasons[0] if decision.reasons else "denied", source=source, reasons=decision.reasons
            )
        if approval is not None and approval.state == "rejected":
            said = f": {approval.reason}" if approval.reason else ""
            return Refused(f"rejected by {approval.answered_by}{said}", source="approval")
        if approval is not None and approval.state == "expired":
            return Refused("nobody approved it in time", source="approval")
        if approval is not None and approval.args_digest != args_digest(request.action):
            return Refused("the approval was given for other arguments", source="approval")
        if approval is not None and approval.state == "used":
            return Refused("its approval has been used already", source="approval")
        if approval is None and decision.effect is Effect.ASK and (request.key is None or not request.can_wait):
            reasons = (*decision.reasons, "a person must approve this, but the graph has no checkpointer to wait with")
            return Refused(reasons[0], source="approval", reasons=reasons, hint="compile the graph with a checkpointer")
        if request.unpriced and "microusd" in asked.remaining:
            return Refused(
                f"no price is known for model `{request.action.name}`, and a money budget applies",
                source="budget",
                hint="budget it in tokens, or use a model with a known price",
            )
        return None

    def _claim(self, transaction: Transaction, asked: _Asked, reservation: Reservation) -> Refused | None:
        """Use the approval up, if there is one; give the reservation back if somebody else was quicker."""
        if asked.approval is None or self._approvals.claim(transaction, asked.approval.id):
            return None
        self._ledger.post(transaction, reservation.id, Usage(), state="released")
        return Refused("its approval has been used already", source="approval")

    def _ask(self, transaction: Transaction, asked: _Asked, decision: Decision, body: dict[str, JsonValue]) -> Waiting:
        request = asked.request
        assert request.key is not None, "INVARIANT: _judge refuses an ask that cannot wait"
        seq = self._log.record(transaction, self._draft(request, "ask", body))
        run = request.run
        stored = cast("dict[str, JsonValue]", body["input"])
        question = Question(
            key=request.key,
            run=run.id if run else "",
            thread=(run.thread or "") if run else "",
            agent=request.action.principal.agent,
            tool=request.action.name,
            args_digest=args_digest(request.action),
            request={"reasons": [*decision.reasons], "rules": [*decision.rules], "input": stored},
        )
        approval = self._approvals.ask(transaction, question, seq)
        return Waiting(seq, approval.id, decision.reasons)

    def _turn_away(
        self,
        transaction: Transaction,
        request: Request,
        refused: Refused,
        body: dict[str, JsonValue],
        *,
        note: bool = True,
    ) -> Refusal:
        body["refused_by"] = refused.source
        body["reasons"] = [*refused.reasons]
        refused.seq = self._log.record(transaction, self._draft(request, "deny", body))
        if note and request.key is not None and request.remembers:
            stored = {
                "message": refused.message,
                "source": refused.source,
                "reasons": refused.reasons,
                "hint": refused.hint,
            }
            self._note(transaction, refused.seq, request.key, "refused", json.dumps(stored).encode())
        return Refusal(refused)

    def _decision_body(self, asked: _Asked, decision: Decision, duties: Duties) -> dict[str, JsonValue]:
        document = asked.document
        if duties.level == "metadata" and "tool" in document:
            document = self._log.masked(document, ["tool.args"])
        body: dict[str, JsonValue] = {
            "input": self._log.masked(document, [*duties.mask]) if duties.mask else document,
            "decision": plain(decision.model_dump(mode="json", exclude={"engine", "revision"})),
            "engine": decision.engine,
            "revision": decision.revision,
        }
        if asked.approval is not None:
            body["approval"] = asked.approval.id
        return body

    def _draft(self, request: Request, effect: Literal["allow", "ask", "deny"], body: dict[str, JsonValue]) -> Draft:
        action = request.action
        return Draft(
            kind="decision",
            run=request.run.id if request.run else "",
            workflow=action.principal.workflow,
            agent=action.principal.agent,
            tool=action.name,
            call_id=action.call_id,
            effect=effect,
            body=body,
        )

    def _note(self, transaction: Transaction, seq: int, key: str | None, state: str, result: bytes) -> None:
        if key is not None:  # an execution that failed or was cut off may be tried again under its key
            transaction.count(_FREE_KEY, {"of_key": key})
        transaction.count(_NOTE, {"seq": seq, "key": key or "", "state": state, "result": result})

    # -- finishing -----------------------------------------------------------------------------------------------

    def _finish(self, transaction: Transaction, permit: Permit, outcome: Outcome, ended: dt.datetime) -> None:
        ended_as = {"of_seq": permit.seq, "to": outcome.status, "with_result": outcome.replay}
        if transaction.count(_END, ended_as) == 0:
            return
        used = total(outcome.usage, permit.charge)
        body: dict[str, JsonValue] = {
            "decision": permit.seq,
            "status": outcome.status,
            "duration_ms": max(0, round((ended - permit.began).total_seconds() * 1000)),
            "used": {**used.present()},
        }
        if permit.reservation is not None:
            self._ledger.post(transaction, permit.reservation.id, used, state="settled")
            body["reservation"] = permit.reservation.id
        if outcome.estimated:
            body["estimated"] = True
        if outcome.error:
            body["error"] = outcome.error
        if outcome.result is not None:
            body["result"] = self._result(outcome.result, permit.decision)
        action = permit.action
        draft = Draft(
            kind="outcome",
            run=permit.run.id if permit.run else "",
            workflow=action.principal.workflow,
            agent=action.principal.agent,
            tool=action.name,
            call_id=action.call_id,
            body=body,
        )
        self._log.record(transaction, draft)

    def _result(self, result: object, decision: Decision) -> JsonValue:
        value = plain(result)
        data = encode(value)
        kept: dict[str, JsonValue] = {"digest": "sha256:" + hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        duties = read_duties(decision)
        if duties.level == "full" and len(data) <= RESULT_BYTES_MAX:
            fields = [field for field in duties.mask if field.split(".")[0] == "result"]
            kept |= self._log.masked({"result": value}, fields)
        return kept

    def _disown(self, job: Job[Admission]) -> None:
        """The caller is gone while its commit goes on: a permit that nobody will use is given back."""

        def give_back(_: object) -> None:
            if job.future.exception() is None and isinstance(admission := job.future.result(), Permit):
                self.finish(admission, Outcome(status="cancelled"))

        job.future.add_done_callback(give_back)


def give_answer(
    store: Store, log: AuditLog, approvals: Approvals, approval: str, *, by: str, approve: bool, reason: str = ""
) -> Approval:
    """Answer a question in somebody's name and record it, in one commit: what ``Gate.answer`` and the command line do.

    Raises:
        ApprovalError: there is no such question, it has been answered, its time is over, or nobody is named.
    """
    if not by.strip():
        raise ApprovalError("an answer needs a name", hint="say who gives it: `by=`, or `--by NAME`")

    def unit(transaction: Transaction) -> Approval:
        answered = approvals.answer(transaction, approval, by=by, approve=approve, reason=reason)
        body: dict[str, JsonValue] = {
            "approval": approval,
            "decision": answered.seq,
            "answer": answered.state,
            "by": by,
            "reason": reason,
            "args_digest": answered.args_digest,
        }
        draft = Draft(kind="approval", run=answered.run, agent=answered.agent, tool=answered.tool, body=body)
        log.record(transaction, draft)
        return answered

    return store.run(unit)


_BY_KEY = Statement(
    sa.select(_ACTION.c.seq, _ACTION.c.state, _ACTION.c.result).where(_ACTION.c.key == sa.bindparam("key"))
)
_NOTE = Statement(sa.insert(_ACTION))
_FREE_KEY = Statement(sa.update(_ACTION).where(_ACTION.c.key == sa.bindparam("of_key")).values(key=""))
_END = Statement(
    sa.update(_ACTION)
    .where(_ACTION.c.seq == sa.bindparam("of_seq"), _ACTION.c.state == "running")
    .values(state=sa.bindparam("to"), result=sa.bindparam("with_result"))
)


def _known(row: Row) -> Admission:
    """The answer that an execution already has."""
    seq, result = cast("int", row["seq"]), bytes(cast("bytes", row["result"]))
    if row["state"] == "done":
        return Replayed(seq, result)
    stored = json.loads(result)
    reasons = tuple(stored["reasons"])
    return Refusal(Refused(stored["message"], source=stored["source"], reasons=reasons, seq=seq, hint=stored["hint"]))


def _unknown_outcome(row: Row) -> Refused:
    return Refused(
        f"this call has begun before and its outcome is unknown (entry {row['seq']})",
        source="gate",
        hint="find out what it did: see `openclaw audit open`",
    )


def _unanswered(source: RefusalSource, what: str, error: OpenClawError) -> Refusal:
    """No record, no action: the part that could not answer is named."""
    return Refusal(Refused(f"{what}, so nothing is done: {error.message}", source=source, hint=error.hint))


def _answered_yes(asked: _Asked) -> bool:
    return asked.approval is not None and asked.approval.state == "approved"


def _texts(value: JsonValue) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


__all__ = ["Admission", "Gate", "Outcome", "Permit", "Refusal", "Replayed", "Request", "Waiting", "give_answer"]
