"""The one door (policy enforcement point): decide → reserve → record → run → settle → record.

Every governed action of every agent passes ``admit`` (or ``aadmit``, which is the same but waits without blocking) before
it runs and ``finish`` afterwards. In between stands one commit that holds decision, reservation and approval together:

    look      what is known of this execution, its approval, and what is left of its budgets     (reads)
    decide    the policy engine answers; once more where an exception may lift a refusal         (no transaction)
    record    claim approval and exception, reserve, write the decision entry, note the action as running  (one transaction)
    run       the caller's business
    finish    settle, write the outcome entry, note the action as done                           (joins the next commit)

    INVARIANT: no Permit exists whose decision is not durable.
    INVARIANT: whatever goes wrong before the commit is a Refusal; nothing of it stays behind.
    INVARIANT: under one key an action is permitted at most once, however often its node runs again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import cast

from pydantic import JsonValue

from openclaw import delegation, lifting, rates
from openclaw.action import Action, Context, MemoryAccess, ModelCall, Run, ToolCall, args_digest, policy_input
from openclaw.answers import Answers
from openclaw.approvals import Approval, Approvals
from openclaw.approvers import Approvers
from openclaw.audit import AuditLog, Privacy, Veil
from openclaw.audit.mask import hides
from openclaw.budget import CALL_SECONDS, Budget, Energy, Ledger, Prices, Reservation, Unit, Usage
from openclaw.canonical import plain, printable
from openclaw.clock import Clock
from openclaw.consent import Consent, Consents
from openclaw.decision import Decision, Effect
from openclaw.duties import Duties, read_duties, total
from openclaw.errors import BudgetExceeded, Halted, OpenClawError, RateLimited, Refused
from openclaw.exceptions import Exceptions
from openclaw.executions import Executions, Running
from openclaw.extensions import Extensions
from openclaw.halts import Halts, standing
from openclaw.halts import against as halted_by
from openclaw.judging import (
    ENDED,
    Asked,
    after_change,
    against,
    known_answer,
    still_running,
    told_change,
    unanswered,
    unknown_outcome,
    unrecorded,
    unrecorded_result,
    waits,
    why,
)
from openclaw.measures import timed
from openclaw.passing import (
    NOTHING,
    Admission,
    Amended,
    Outcome,
    Permit,
    Refusal,
    Replayed,
    Request,
    Seen,
    Shown,
    Waiting,
)
from openclaw.policy.engine import PolicyEngine
from openclaw.policy.results import Results
from openclaw.records import (
    Taken,
    conclusion_draft,
    decision_body,
    decision_draft,
    outcome_draft,
    pack_refusal,
    result_draft,
    take,
    veil_of,
)
from openclaw.runs import Runs
from openclaw.showing import Inquiry, answered, inquiry, unasked
from openclaw.softlimits import Reached, SoftLimits
from openclaw.store import Job, Store, Transaction
from openclaw.workers import Worker


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
        energy: Energy | None = None,
        approvers: Approvers | None = None,
    ) -> None:
        self._store = store
        self._log = log
        self._ledger = ledger
        self._approvals = approvals
        self.approvers = approvers or Approvers(store, log)
        self.answers = Answers(store, log, approvals, self.approvers)
        self.consents = Consents(approvals, self.answers, log)
        self.exceptions = Exceptions(store, log, self.approvers)
        self._policy = policy
        self._clock = clock
        self._runs = Runs(store)
        self.privacy: Privacy = log.privacy
        self._executions = Executions(store, self.privacy)
        self.extensions = Extensions(store, ledger)
        self._worker = Worker(store, renew=self._renew)
        self.soft = SoftLimits(ledger, log)
        self.halts = Halts(store, log)
        self.prices = prices or Prices()
        self.energy = energy
        self.observer: Callable[[Seen], None] | None = None  # told of every decision once it is durable; must not raise

    # -- passing -------------------------------------------------------------------------------------------------

    def admit(self, request: Request) -> Admission:
        """Ask to pass. Returns when the answer is durable; a refusal is an answer, not an exception."""
        asked = self._look(request)
        if not isinstance(asked, Asked):
            return asked
        asked, decision = lifting.decide(asked, self.exceptions, self._evaluate)
        job = self._submit(asked, decision, awaited=True)
        try:
            return job.wait()
        except OpenClawError as error:
            return unrecorded(asked, error)
        except BaseException:
            self._disown(job)
            raise

    async def aadmit(self, request: Request) -> Admission:
        """``admit`` without blocking the event loop on disk or network."""
        asked = await asyncio.to_thread(self._look, request)
        if not isinstance(asked, Asked):
            return asked
        asked, decision = await lifting.adecide(asked, self.exceptions, self._aevaluate)
        job = self._submit(asked, decision, awaited=False)
        try:
            return await asyncio.wrap_future(job.future)
        except OpenClawError as error:
            return unrecorded(asked, error)
        except BaseException:  # cancelled: the commit goes on without its caller
            self._disown(job)
            raise

    def finish(self, permit: Permit, outcome: Outcome) -> None:
        """Settle and record what became of a permitted action. Does not block; doing it twice changes nothing."""
        ended = self._clock.now()
        taken = take(self._log, permit, outcome, ended, self.prices, self.energy)
        self._store.defer(lambda transaction: self._finish(transaction, permit, taken))
        for extra in (*outcome.extra, *self.extensions.times(permit)):
            self._store.defer(partial(self.extensions.release, permit=permit, extension=extra))

    def reads(self, permit: Permit) -> bool:
        """Whether the result of this action must be shown to the gate (``show``) before anybody else sees it."""
        if not isinstance(permit.action, ToolCall | MemoryAccess):
            return False
        return bool(permit.duties.redact) or self._results is not Results.UNREAD

    def show(self, permit: Permit, outcome: Outcome, value: object) -> Shown:
        """What a model may see of a result, or of the error of a call that failed.

        Give it to ``finish`` with the outcome (``Outcome.shown``). A result that is withheld is recorded when this returns.

        Args:
            outcome: what became of the action.
            value: what the model would see: a text or a structure.
        """
        asked, shown = self._show(permit, outcome, value)
        if shown is None:
            decision = self._evaluate(asked.document)
            shown = answered(permit, asked, decision, self._results_of(decision))
        job = self._withhold(permit, outcome, shown)
        if job is None:
            return shown
        try:
            job.wait()
        except OpenClawError as error:
            return unrecorded_result(shown, error)
        return shown

    async def ashow(self, permit: Permit, outcome: Outcome, value: object) -> Shown:
        """``show`` without blocking the event loop."""
        asked, shown = self._show(permit, outcome, value)
        if shown is None:
            decision = await self._aevaluate(asked.document)
            shown = answered(permit, asked, decision, self._results_of(decision))
        job = self._withhold(permit, outcome, shown)
        if job is None:
            return shown
        try:
            await asyncio.wrap_future(job.future)
        except OpenClawError as error:
            return unrecorded_result(shown, error)
        return shown

    def refuse(self, request: Request, *, reason: str) -> Refusal:
        """Record that an action was turned away before any policy was asked: unknown tool, arguments that do not fit."""
        asked = Asked(request, None, self._document(request, None, {}), {})
        decision = Decision.deny(reason, code="bad_input", revision=self._policy.revision, engine=self._policy.name)
        try:
            answer = self._submit(asked, decision, awaited=True).wait()
        except OpenClawError as error:
            return unrecorded(asked, error)
        assert isinstance(answer, Refusal)
        return answer

    async def arefuse(self, request: Request, *, reason: str) -> Refusal:
        """``refuse`` without blocking the event loop."""
        return await asyncio.to_thread(self.refuse, request, reason=reason)

    def decide(
        self, action: Action, *, run: Run | None = None, flow: Mapping[str, JsonValue] | None = None
    ) -> Decision:
        """Ask the policy without acting: nothing is recorded, nothing reserved."""
        document = self._asked(Request(action=action, run=run, flow=flow), None).document
        return delegation.evaluate(self._policy, document)

    def halted(self, permit: Permit) -> Halted | BudgetExceeded | None:
        """Why what is running under ``permit`` must stop now, if it must: a person has halted it since (``Halts.watched``), or
        the time that it holds is over, and its accounts carry no more of it (``Extensions.overtime``)."""
        return self.halts.watched(permit.action.principal, permit.run) or self.extensions.overtime(permit)

    def declare(self, account: str, budget: Budget) -> None:
        """Declare the budget of who acts here, once; see ``Ledger.declare``."""
        self._ledger.declare_once(account, budget)

    # -- runs and people -----------------------------------------------------------------------------------------

    def open_run(self, *, workflow: str, thread: str | None, resumed: bool) -> Run:
        """A new run; or, where ``resumed``, the last one of ``thread``, which goes on."""
        known = self._runs.last(workflow=workflow, thread=thread) if resumed and thread else None
        return known or self._runs.begin(workflow=workflow, thread=thread)

    def earlier_calls(self, run: Run) -> dict[str, int]:
        """How often each call was made in a run that goes on, as far as its log tells; see ``Runs.calls``."""
        return self._runs.calls(run.id)

    def earlier_results(self, *, workflow: str, thread: str) -> list[tuple[str, bytes]]:
        """What tools have returned in a thread, as far as it is kept; see ``Executions.results``."""
        return self._executions.results(workflow=workflow, thread=thread)

    def abandoned(self, *, workflow: str, thread: str) -> list[Running]:
        """The actions of a thread that run in no process any more: each was let through, and nobody will end it."""
        found = self._executions.running(workflow=workflow, thread=thread)
        if not found:
            return []
        return self._store.run(lambda transaction: [it for it in found if self._worker.gone(transaction, it.worker)])

    def conclude(self, abandoned: Sequence[Running], results: Mapping[str, object]) -> None:
        """Close abandoned actions: with the result, where one is known by its call id, and else as unknown.

        None of them is made again by itself; who asks for one again is told what is known.
        """

        def unit(transaction: Transaction) -> None:
            for running in abandoned:
                self._conclude(transaction, running, results.get(running.call_id) if running.call_id else None)

        self._store.run(unit)

    def close(self) -> None:
        """Say that this process runs nothing any more. What is still running is then up to whoever resumes it."""
        self._worker.retire()

    def flush(self) -> None:
        """Return when every outcome so far is durable."""
        self._store.flush()

    def _renew(self, transaction: Transaction, worker: str) -> None:
        """Let what this process holds for what it runs go on."""
        self._ledger.renew(transaction, worker)
        self.extensions.renew(transaction)

    # -- looking -------------------------------------------------------------------------------------------------

    def _look(self, request: Request) -> Asked | Admission:
        """What is known before the policy is asked; an answer, if this execution already has one."""
        try:
            return self._looked(request)
        except OpenClawError as error:
            unread = unanswered("budget", "the budget cannot be read", error).error
            if self._store.closed:  # this is not about budgets
                unread = unanswered("audit", "the decision cannot be recorded", error).error
            return Asked(request, None, self._document(request, None, {}), {}, unread=unread)

    def _looked(self, request: Request) -> Asked | Admission:
        consent: Consent | None = None
        original = request.action
        if request.key is not None:
            request, consent = self.consents.find(request)
            if consent is not None and consent.approval.state == "pending":
                return Waiting(consent.approval.seq, consent.approval.id, self._reasons(request, consent.approval))
            # A running one may be finished in what is still deferred: the transaction will see.
            known = self._executions.peek(cast("str", request.key))
            if known is not None and known.state in ENDED:
                return known_answer(known, consent.amended if consent is not None else None)
        asked = self._asked(request, consent)
        return asked if request.action is original else replace(asked, original=original)

    def _asked(self, request: Request, consent: Consent | None) -> Asked:
        """What the policy is asked at this moment: the budgets of the action's accounts, and its soft limits, are read."""
        principal = request.action.principal
        remaining = self._ledger.remaining(principal.account, request.also)
        soft = self.soft.reached(principal, request.soft, request.also)
        return Asked(request, consent, self._document(request, consent, remaining, soft), remaining, soft=soft)

    def _reasons(self, request: Request, approval: Approval) -> tuple[str, ...]:
        """Why a question waits. Whoever asks knows what is hidden in the stored reasons: they hear what the policy says."""
        stored = approval.reasons
        if not hides([*stored]):
            return stored
        decision = self._evaluate(self._asked(request, None).document)
        return decision.reasons if decision.effect is Effect.ASK else stored

    def _document(
        self,
        request: Request,
        consent: Consent | None,
        remaining: Mapping[Unit, int],
        soft: Sequence[Reached] = (),
    ) -> dict[str, JsonValue]:
        context = Context(
            run=request.run,
            flow=request.flow,
            budget={"remaining": {**remaining}, **({"soft": [it.stage for it in soft]} if soft else {})},
            approval=None if consent is None else consent.as_input(),
            now=self._clock.now(),
        )
        return policy_input(request.action, context)

    # -- deciding ------------------------------------------------------------------------------------------------

    def _evaluate(self, document: dict[str, JsonValue]) -> Decision:
        try:
            return delegation.evaluate(self._policy, document)
        except Exception as error:  # noqa: BLE001 - an engine that breaks its promise not to raise must not let anything pass
            return self._broken(error)

    async def _aevaluate(self, document: dict[str, JsonValue]) -> Decision:
        try:
            return await delegation.aevaluate(self._policy, document)
        except Exception as error:  # noqa: BLE001 - as above; cancellation is no Exception and passes through
            return self._broken(error)

    def _broken(self, error: Exception) -> Decision:
        reason = f"the policy engine failed: {type(error).__name__}: {printable(error)}"
        return Decision.deny(reason, code="engine_error", revision=self._policy.revision, engine=self._policy.name)

    # -- recording -----------------------------------------------------------------------------------------------

    def _submit(self, asked: Asked, decision: Decision | None, *, awaited: bool) -> Job[Admission]:
        """Queue the transaction of an admission; without a decision, that of a refusal that no policy was asked about."""
        try:
            if decision is None:
                return self._store.submit(partial(self._record_unread, asked=asked), awaited=awaited)
            duties = read_duties(decision, asked.request.action.kind)
            if duties.unmet:
                engine, revision = decision.engine, decision.revision
                decision = Decision.deny(duties.unmet, code="obligation", revision=revision, engine=engine)
            unit = partial(self._pass, asked=asked, decision=decision, duties=duties)
            job = self._store.submit(unit, awaited=awaited)
        except OpenClawError as error:  # the store is closed, or takes nothing more
            return Job[Admission].failed(partial(self._record_unread, asked=asked), error)
        if self.observer is not None:
            job.future.add_done_callback(partial(_tell, self.observer, asked, decision))
        return job

    def _record_unread(self, transaction: Transaction, asked: Asked) -> Admission:
        assert asked.unread is not None
        veil = veil_of(self._log, transaction, asked.document, Duties())
        body: dict[str, JsonValue] = {"input": veil.document, "revision": self._policy.revision}
        return self._turn_away(transaction, asked.request, asked.unread, body, veil, note=False)

    def _pass(self, transaction: Transaction, asked: Asked, decision: Decision, duties: Duties) -> Admission:
        """The transaction of one admission."""
        request = asked.request
        veil = veil_of(self._log, transaction, asked.document, duties)
        body = decision_body(veil, decision)
        if asked.approval is not None:
            body["approval"] = asked.approval.id
        lifting.note(asked, body, veil)
        known = self._executions.find(transaction, request.key) if request.key is not None else None
        if known is not None and known.state in ENDED:
            return known_answer(known)
        if known is not None and known.state == "running":
            if not self._worker.gone(transaction, known.worker):
                return self._turn_away(transaction, request, still_running(known), body, veil, note=False)
            self._conclude(transaction, self._executions.one_running(transaction, known.seq), None)
            return Refusal(unknown_outcome(known))
        if known is not None and known.state == "suspended":
            asked = replace(asked, goes_on=True)
        halted = halted_by(standing(transaction), request.action.principal, request.run)
        digest = partial(self._args_digest, asked.original or request.action)
        answer = halted or against(asked, decision, duties, digest)
        if answer is None and waits(decision, duties) and not asked.agreed:
            return self._ask(transaction, request, decision, duties, body)
        if asked.amended is not None:
            body["changed"] = told_change(asked.amended, digest(), self._args_digest(request.action))
        answer = answer or self._take(transaction, asked, duties)
        if isinstance(answer, Refused):
            return self._turn_away(transaction, request, after_change(answer, asked.amended), body, veil)
        held: dict[str, JsonValue] = {"id": answer.id, "account": answer.account, "held": {**answer.held.present()}}
        if request.also:
            held["also"] = [*request.also]
        body["reservation"] = held
        lifting.count(self.exceptions, transaction, asked, body)
        seq = self._log.record(transaction, decision_draft(request, "allow", body))
        lifting.record(self.exceptions, transaction, asked, body, seq)
        self.soft.record(transaction, request, asked.soft, seq)
        self._worker.vouch(transaction)
        self._executions.begin(transaction, seq, request.key, worker=self._worker.id, hold=answer.id)
        action = request.action
        if duties.rewrite and not isinstance(action, ModelCall):
            action = action.model_copy(update={"args": {**action.args, **duties.rewrite}})
        return Permit(
            seq=seq,
            decision=decision,
            duties=duties,
            document=asked.document,
            action=action,
            run=request.run,
            reservation=answer,
            key=request.key,
            began=self._clock.now(),
            amended=asked.amended,
            also=request.also,
        )

    def _take(self, transaction: Transaction, asked: Asked, duties: Duties) -> Reservation | Refused:
        """All that the action uses up: budget, rates, its approval and its exception. Either all of it, or nothing."""
        limits = () if asked.goes_on else duties.limits
        if asked.approval is None and asked.excepted is None and not limits:
            return self._hold(transaction, asked, duties)
        with transaction.attempt() as attempt:
            answer = self._hold(transaction, asked, duties)
            if not isinstance(answer, Refused):
                answer = rates.take(transaction, limits) or self._claim(transaction, asked) or answer
            attempt.given_up = isinstance(answer, Refused)
        return answer

    def _hold(self, transaction: Transaction, asked: Asked, duties: Duties) -> Reservation | BudgetExceeded:
        request, charge = asked.request, duties.charge

        def fit(left: Mapping[Unit, int]) -> Usage | None:
            left = {unit: amount - charge.amount(unit) for unit, amount in left.items()}
            fitting = request.hold if request.fit is None else request.fit(left)
            return None if fitting is None else total(timed(fitting, left), charge)

        held, account = total(timed(request.hold, asked.remaining), charge), request.action.principal.account
        fits = None if request.fit is None and "milliseconds" not in asked.remaining else fit
        return self._ledger.hold(
            transaction, account, held, ttl_seconds=CALL_SECONDS, fit=fits, spare=request.spare, also=request.also
        )

    def _claim(self, transaction: Transaction, asked: Asked) -> Refused | None:
        """Use the approval up, and the exception, if there is one; somebody else may have been quicker."""
        if asked.approval is None or asked.claimed or self._approvals.claim(transaction, asked.approval.id):
            return lifting.claim(self.exceptions, transaction, asked)
        return Refused("its approval has been used already", source="approval")

    def _ask(
        self,
        transaction: Transaction,
        request: Request,
        decision: Decision,
        duties: Duties,
        body: dict[str, JsonValue],
    ) -> Waiting:
        seq = self._log.record(transaction, decision_draft(request, "ask", body))
        question = self.consents.question(request, decision, duties, body, self._args_digest(request.action))
        approval = self._approvals.ask(transaction, question, seq)
        return Waiting(seq, approval.id, why(decision, duties))

    def _turn_away(
        self,
        transaction: Transaction,
        request: Request,
        refused: Refused,
        body: dict[str, JsonValue],
        veil: Veil,
        *,
        note: bool = True,
    ) -> Refusal:
        body["refused_by"] = refused.source
        if isinstance(refused, Halted):
            body["halt"] = refused.halt
        if isinstance(refused, RateLimited):
            body["retry_after_s"] = refused.retry_after
        body["reasons"] = veil.texts(refused.reasons)
        refused.seq = self._log.record(transaction, decision_draft(request, "deny", body))
        if note and request.key is not None and request.remembers:
            self._executions.refuse(transaction, refused.seq, request.key, pack_refusal(refused))
        return Refusal(refused)

    def _args_digest(self, action: Action) -> str:
        """Keyed: of arguments that the log hides, a plain digest would let anybody try values."""
        return self._log.privacy.keyed(args_digest(action))

    # -- finishing -----------------------------------------------------------------------------------------------

    def _finish(self, transaction: Transaction, permit: Permit, taken: Taken) -> None:
        shown = taken.shown
        withheld = taken.withheld and taken.status == "done"
        state = "withheld" if withheld else taken.status
        late = False
        if not self._executions.end(transaction, permit.seq, state, taken.kept):
            late = self._executions.end(transaction, permit.seq, state, taken.kept, was="unknown")
            if not late:
                return
        # What is suspended goes on, and is charged for when it ends.
        used = NOTHING if taken.status == "suspended" else total(taken.used, permit.duties.charge)
        if (hold := permit.reservation) is not None and late:
            self._ledger.settle_late(transaction, hold.id, used)
        elif hold is not None:
            self._ledger.post(transaction, hold.id, used, state="settled", held=hold.held)
        self._log.record(transaction, outcome_draft(self._log, transaction, permit, taken, used, late=late))
        if shown is None:
            return
        seq: int | None = None
        if shown.decision is not None:
            seq = self._log.record(transaction, result_draft(self._log, transaction, permit, shown))
            if self.observer is not None:
                seen = Seen.of(permit.action, seq, shown.document, shown.decision)
                transaction.after.append(partial(self.observer, seen))
        if shown.refused is not None:
            shown.refused.seq = seq
        if shown.refused is not None and withheld:
            self._executions.keep(transaction, permit.seq, pack_refusal(shown.refused))

    def _conclude(self, transaction: Transaction, running: Running, learned: object | None) -> None:
        """End an execution whose process is gone: with what is known of it, and what it held counted as used."""
        if self._executions.end(transaction, running.seq, "unknown" if learned is None else "done", b""):
            used = self._ledger.settle_held(transaction, running.hold)
            self._log.record(transaction, conclusion_draft(self._log, transaction, running, used, learned))

    # -- showing -------------------------------------------------------------------------------------------------

    @property
    def _results(self) -> Results:
        return getattr(self._policy, "results", Results.UNREAD)  # an engine of one's own may not know of it

    def _results_of(self, decision: Decision) -> Results:
        """What the policies that have made a decision say of results: others may have taken their place since."""
        of = getattr(self._policy, "results_of", None)
        return cast("Results", of(decision.revision)) if callable(of) else self._results

    def _show(self, permit: Permit, outcome: Outcome, value: object) -> tuple[Inquiry, Shown | None]:
        """What the policy is to be asked; what may be seen, if it need not be."""
        seen = plain(value)
        asked = inquiry(permit, seen, "failed" if outcome.status == "failed" else "done", self._clock.now())
        return asked, unasked(permit, seen) if self._results is Results.UNREAD else None

    def _withhold(self, permit: Permit, outcome: Outcome, shown: Shown) -> Job[None] | None:
        """The commit that records a result of which nothing may be seen."""
        if shown.refused is None:
            return None
        ended, outcome = self._clock.now(), replace(outcome, shown=shown, replay=b"")
        taken = take(self._log, permit, outcome, ended, self.prices, self.energy)
        return self._store.submit(lambda transaction: self._finish(transaction, permit, taken))

    def _disown(self, job: Job[Admission]) -> None:
        """The caller is gone while its commit goes on: a permit that nobody will use is given back."""

        def give_back(_: object) -> None:
            if job.future.exception() is None and isinstance(admission := job.future.result(), Permit):
                self.finish(admission, Outcome(status="cancelled"))

        job.future.add_done_callback(give_back)


def _tell(observer: Callable[[Seen], None], asked: Asked, decision: Decision, done: Future[Admission]) -> None:
    """Tell of an admission that was recorded; one that could not be has no entry to speak of."""
    admission = None if done.exception() is not None else done.result()
    seq = admission.error.seq if isinstance(admission, Refusal) else getattr(admission, "seq", None)
    if seq is not None and not isinstance(admission, Replayed):
        observer(Seen.of(asked.request.action, seq, asked.document, decision))


__all__ = ["Admission", "Amended", "Gate", "Outcome", "Permit", "Refusal", "Replayed", "Request", "Shown", "Waiting"]
