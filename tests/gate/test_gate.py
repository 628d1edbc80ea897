"""The door: no record, no action; one commit for decision, reservation and approval; every verdict recorded."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.action import Action, Handoff, ModelCall, Principal, Run, ToolCall
from openclaw.audit import Entry
from openclaw.budget import Budget, Usage
from openclaw.decision import Decision, Obligation
from openclaw.errors import ApprovalError, BudgetExceeded, ConfigurationError, StoreError
from openclaw.gate import Admission, Gate, Outcome, Permit, Refusal, Replayed, Request, Waiting
from openclaw.governance import Governance
from tests.support.engines import Scripted

PRINCIPAL = Principal(agent="clerk", workflow="returns")
ACCOUNT = PRINCIPAL.account
RUN = Run(id="run-1", thread="t")


def tool(name: str, key: str | None = None, **args: object) -> Request:
    action = ToolCall(principal=PRINCIPAL, name=name, args=args, call_id=key or "")
    return Request(action=action, run=RUN, hold=Usage(calls=1), key=key, can_wait=True)


def admit(gate: Gate, request: Request, asynchronous: bool) -> Admission:
    return asyncio.run(gate.aadmit(request)) if asynchronous else gate.admit(request)


def permitted(admission: Admission) -> Permit:
    assert isinstance(admission, Permit), admission
    return admission


def refused(admission: Admission) -> Refusal:
    assert isinstance(admission, Refusal), admission
    return admission


def recorded(governance: Governance) -> list[tuple[str, str, str]]:
    return [(entry.kind, entry.effect, entry.tool) for entry in governance.audit.entries() if entry.kind != "policy"]


def last(governance: Governance) -> Entry:
    return governance.audit.entries(newest_first=True, limit=1)[0]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
class TestBothWays:
    """The same rules, waited for in two ways."""

    def test_an_allowed_call_is_recorded_before_it_runs_and_settled_after(
        self, governance: Governance, asynchronous: bool
    ) -> None:
        permit = permitted(admit(governance.gate, tool("lookup", sku="a"), asynchronous))
        assert recorded(governance) == [("decision", "allow", "lookup")]
        assert [entry.seq for entry in governance.audit.open_actions()] == [permit.seq]
        assert governance.ledger.balance(ACCOUNT).pending == Usage(calls=1)
        governance.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1), result="ok"))
        assert recorded(governance)[1:] == [("outcome", "", "lookup")]
        assert governance.audit.open_actions() == []
        balance = governance.ledger.balance(ACCOUNT)
        assert (balance.posted, balance.pending) == (Usage(calls=1), Usage())
        assert governance.audit.verify().ok

    def test_a_denied_call_says_why_and_is_recorded(self, governance: Governance, asynchronous: bool) -> None:
        refusal = refused(admit(governance.gate, tool("refund", amount=5000), asynchronous))
        assert (refusal.error.source, refusal.error.reasons) == ("policy", ("refunds stop at 1000",))
        entry = governance.audit.entry(refusal.error.seq or 0)
        assert (entry.effect, entry.body["refused_by"]) == ("deny", "policy")
        assert governance.ledger.balance(ACCOUNT).pending == Usage()

    def test_what_no_policy_allows_is_denied(self, governance: Governance, asynchronous: bool) -> None:
        refusal = refused(admit(governance.gate, tool("format_disk"), asynchronous))
        assert refusal.error.reasons == ("no policy allows this",)
        assert last(governance).body["decision"]["code"] == "no_policy"  # type: ignore[index, call-overload]

    def test_a_call_over_budget_is_refused_and_recorded(self, governance: Governance, asynchronous: bool) -> None:
        governance.ledger.set_limit("org/default", Budget(calls=0))
        refusal = refused(admit(governance.gate, tool("lookup"), asynchronous))
        assert isinstance(refusal.error, BudgetExceeded)
        assert refusal.error.source == "budget"
        assert last(governance).body["refused_by"] == "budget"
        assert last(governance).seq == refusal.error.seq

    def test_an_ask_waits_is_answered_and_used_once(self, governance: Governance, asynchronous: bool) -> None:
        request = tool("refund", "call-1", amount=500, iban="DE1")
        waiting = admit(governance.gate, request, asynchronous)
        assert isinstance(waiting, Waiting)
        assert waiting.reasons == ("a large refund needs a person",)
        assert admit(governance.gate, request, asynchronous) == waiting
        governance.approvals.approve(waiting.approval, by="ann", reason="known customer")
        permit = permitted(admit(governance.gate, request, asynchronous))
        governance.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1), replay=b"paid"))
        assert admit(governance.gate, request, asynchronous) == Replayed(permit.seq, b"paid")
        assert recorded(governance) == [
            ("decision", "ask", "refund"),
            ("approval", "", "refund"),
            ("decision", "allow", "refund"),
            ("outcome", "", "refund"),
        ]
        assert governance.audit.entry(permit.seq).body["input"]["approval"]["by"] == "ann"  # type: ignore[index, call-overload]

    def test_a_store_that_cannot_be_written_lets_nothing_pass(
        self, governance: Governance, asynchronous: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: object) -> None:
            raise StoreError("the database cannot be written: disk is full", hint="free some space")

        monkeypatch.setattr(governance._store, "hooks", [full])
        refusal = refused(admit(governance.gate, tool("lookup"), asynchronous))
        assert refusal.error.source == "audit"
        assert "the decision cannot be recorded, so nothing is done" in refusal.error.message
        monkeypatch.undo()
        assert recorded(governance) == []

    def test_a_turned_away_call_is_recorded(self, governance: Governance, asynchronous: bool) -> None:
        request = tool("nonsense")
        reason = "there is no tool `nonsense`"
        refusal = (
            asyncio.run(governance.gate.arefuse(request, reason=reason))
            if asynchronous
            else governance.gate.refuse(request, reason=reason)
        )
        assert (refusal.error.source, refusal.error.reasons) == ("gate", (reason,))
        assert last(governance).body["decision"]["code"] == "bad_input"  # type: ignore[index, call-overload]


def test_a_rejected_ask_is_a_refusal_in_the_persons_name(governance: Governance) -> None:
    request = tool("refund", "call-1", amount=500)
    waiting = governance.gate.admit(request)
    assert isinstance(waiting, Waiting)
    governance.approvals.reject(waiting.approval, by="ann", reason="no receipt")
    refusal = refused(governance.gate.admit(request))
    assert refusal.error.message == "rejected by ann: no receipt"
    again = refused(governance.gate.admit(request))
    assert again.error.seq == refusal.error.seq
    assert len(recorded(governance)) == 3


def test_an_answer_is_given_once_by_somebody_to_something(governance: Governance) -> None:
    waiting = governance.gate.admit(tool("refund", "call-1", amount=500))
    assert isinstance(waiting, Waiting)
    with pytest.raises(ApprovalError, match="an answer needs a name"):
        governance.approvals.approve(waiting.approval, by=" ")
    governance.approvals.approve(waiting.approval, by="ann")
    with pytest.raises(ApprovalError, match="is already approved by `ann`; an answer is given once"):
        governance.approvals.reject(waiting.approval, by="bob")
    with pytest.raises(ApprovalError, match="there is no question `ask-x`"):
        governance.approvals.approve("ask-x", by="ann")


def test_after_the_answer_the_policy_is_asked_again(governance: Governance) -> None:
    request = tool("refund", "call-1", amount=500)
    waiting = governance.gate.admit(request)
    assert isinstance(waiting, Waiting)
    governance.approvals.approve(waiting.approval, by="mallory")
    assert refused(governance.gate.admit(request)).error.reasons == ("frozen",)


def test_an_approval_survives_a_refusal_by_budget(governance: Governance) -> None:
    request = tool("refund", "call-1", amount=500)
    waiting = governance.gate.admit(request)
    assert isinstance(waiting, Waiting)
    governance.approvals.approve(waiting.approval, by="ann")
    governance.ledger.set_limit(ACCOUNT, Budget(calls=0))
    assert refused(governance.gate.admit(request)).error.source == "budget"
    assert governance.approvals.get(waiting.approval).state == "approved"


def test_an_ask_without_a_way_to_wait_is_a_refusal_that_says_so(governance: Governance) -> None:
    action = ToolCall(principal=PRINCIPAL, name="refund", args={"amount": 500})
    refusal = refused(governance.gate.admit(Request(action=action, can_wait=False)))
    assert refusal.error.reasons[-1] == "a person must approve this, but the graph has no checkpointer to wait with"
    assert refusal.error.hint == "compile the graph with a checkpointer"


def test_an_execution_that_has_begun_and_not_ended_is_not_begun_again(governance: Governance) -> None:
    permit = permitted(governance.gate.admit(tool("lookup", "call-1")))
    refusal = refused(governance.gate.admit(tool("lookup", "call-1")))
    assert f"its outcome is unknown (entry {permit.seq})" in refusal.error.message
    assert last(governance).seq == refusal.error.seq


def test_an_execution_that_failed_may_be_tried_again(governance: Governance) -> None:
    first = permitted(governance.gate.admit(tool("lookup", "call-1")))
    governance.gate.finish(first, Outcome(status="failed", error="ValueError: no"))
    second = permitted(governance.gate.admit(tool("lookup", "call-1")))
    assert second.seq > first.seq
    assert governance.audit.entries(kind="outcome")[0].body["error"] == "ValueError: no"


def test_a_refusal_that_was_raised_is_decided_again(governance: Governance) -> None:
    governance.ledger.set_limit(ACCOUNT, Budget(calls=0))
    request = dataclasses.replace(tool("lookup", "call-1"), remembers=False)
    refused(governance.gate.admit(request))
    governance.ledger.set_limit(ACCOUNT, Budget(calls=1))
    permitted(governance.gate.admit(request))


def test_finishing_twice_settles_and_records_once(governance: Governance) -> None:
    permit = permitted(governance.gate.admit(tool("lookup")))
    for _ in range(2):
        governance.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1)))
    assert governance.ledger.balance(ACCOUNT).posted.calls == 1
    assert len(governance.audit.entries(kind="outcome")) == 1


def test_many_threads_under_one_key_get_one_permit(governance: Governance) -> None:
    admissions: list[Admission] = []
    threads = [
        threading.Thread(target=lambda: admissions.append(governance.gate.admit(tool("lookup", "call-1"))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(admission, Permit) for admission in admissions) == 1
    assert sum(isinstance(admission, Refusal) for admission in admissions) == 7


async def test_a_cancelled_caller_leaves_no_open_action_and_no_hold(governance: Governance) -> None:
    entered, go = threading.Event(), threading.Event()

    def block(_: object) -> None:
        entered.set()
        assert go.wait(30)

    governance._store.submit(block)
    await asyncio.to_thread(entered.wait, 30)
    task = asyncio.create_task(governance.gate.aadmit(tool("lookup")))
    while not any(not job.deferred for job in governance._store._writer._queue):  # noqa: ASYNC110 - waits for another thread
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    for _ in range(2):  # the second flush waits for what the first one's commit gave back
        await asyncio.to_thread(governance.gate.flush)
    assert await asyncio.to_thread(governance.audit.open_actions) == []
    assert governance.ledger.balance(ACCOUNT).pending == Usage()
    assert governance.audit.entries(kind="outcome")[0].body["status"] == "cancelled"


# -- obligations -------------------------------------------------------------------------------------------------------


def args_of(entry: Entry) -> Mapping[str, JsonValue]:
    return entry.body["input"]["tool"]["args"]  # type: ignore[index, call-overload, return-value]


def test_masked_fields_are_stored_as_digests_and_reach_the_tool_as_they_are(governance: Governance) -> None:
    permit = permitted(governance.gate.admit(tool("refund", amount=5, iban="DE1")))
    assert isinstance(permit.action, ToolCall)
    assert permit.action.args["iban"] == "DE1"
    args = args_of(last(governance))
    assert args["amount"] == 5
    assert list(args["iban"]) == ["$masked"]  # type: ignore[arg-type]
    assert "DE1" not in last(governance).model_dump_json()


def test_arguments_are_masked_on_refusals_and_questions_too(governance: Governance) -> None:
    governance.gate.admit(tool("refund", amount=5000, iban="DE1"))
    governance.gate.admit(tool("refund", "call-1", amount=500, iban="DE1"))
    assert all("DE1" not in entry.model_dump_json() for entry in governance.audit.entries())
    assert "DE1" not in governance.approvals.list()[0].model_dump_json()


def test_rewritten_arguments_are_what_runs(governance: Governance) -> None:
    permit = permitted(governance.gate.admit(tool("lookup", limit=5000, sku="a")))
    assert isinstance(permit.action, ToolCall)
    assert permit.action.args == {"limit": 10, "sku": "a"}


def test_a_charge_is_held_and_posted(governance: Governance) -> None:
    permit = permitted(governance.gate.admit(tool("lookup", paid=True)))
    assert governance.ledger.balance(ACCOUNT).pending == Usage(calls=1, microusd=500)
    governance.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1)))
    assert governance.ledger.balance(ACCOUNT).posted == Usage(calls=1, microusd=500)


@pytest.mark.parametrize(("args", "kept"), [({"open": True}, "value"), ({}, None), ({"secret": "s3"}, None)])
def test_results_are_kept_at_the_level_that_the_policy_asks_for(
    governance: Governance, args: dict[str, object], kept: str | None
) -> None:
    permit = permitted(governance.gate.admit(tool("lookup", **args)))
    governance.gate.finish(permit, Outcome(status="done", result="value"))
    result = governance.audit.entries(kind="outcome")[0].body["result"]
    assert result["bytes"] == 7  # type: ignore[index, call-overload]
    assert result.get("result") == kept  # type: ignore[union-attr]
    assert ("s3" in governance.audit.entry(permit.seq).model_dump_json()) is False


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("routed", "the policy demands what the gate cannot carry out: obligation `route`"),
        ("broken", 'the obligation `mask` is malformed: expected "fields"'),
    ],
)
def test_an_obligation_that_cannot_be_met_is_a_refusal(governance: Governance, argument: str, reason: str) -> None:
    refusal = refused(governance.gate.admit(tool("note", **{argument: True})))
    assert refusal.error.reasons[0].startswith(reason)
    assert list(args_of(last(governance))) == ["$masked"], "a mask that fails masks everything"
    assert last(governance).body["decision"]["code"] == "obligation"  # type: ignore[index, call-overload]


# -- parts that fail ---------------------------------------------------------------------------------------------------


class Broken:
    """An engine that breaks its promise not to raise."""

    name, revision = "broken 1", "sha256:0"

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        raise RuntimeError("boom")

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        raise RuntimeError("boom")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_engine_that_raises_is_a_refusal(sqlite_url: str, asynchronous: bool) -> None:
    with Governance.open(sqlite_url, policies=Broken()) as governance:
        refusal = refused(admit(governance.gate, tool("lookup"), asynchronous))
        assert refusal.error.reasons == ("the policy engine failed: RuntimeError: boom",)
        assert last(governance).body["decision"]["code"] == "engine_error"  # type: ignore[index, call-overload]


def test_a_model_without_a_price_is_refused_where_money_is_limited(governance: Governance) -> None:
    action: Action = ModelCall(principal=PRINCIPAL, name="mystery-9")
    request = Request(action=action, hold=Usage(tokens=10, input_tokens=10), unpriced=True)
    permitted(governance.gate.admit(request))
    governance.ledger.set_limit("org/default", Budget(usd="5"))
    refusal = refused(governance.gate.admit(request))
    assert refusal.error.message == "no price is known for model `mystery-9`, and a money budget applies"


# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_resumed_thread_goes_on_with_its_last_run(governance: Governance) -> None:
    gate = governance.gate
    first = gate.open_run(workflow="returns", thread="t", resumed=False)
    second = gate.open_run(workflow="returns", thread="t", resumed=False)
    assert first.id != second.id
    assert gate.open_run(workflow="returns", thread="t", resumed=True).id == second.id
    assert gate.open_run(workflow="other", thread="t", resumed=True).id not in (first.id, second.id)
    assert gate.open_run(workflow="returns", thread=None, resumed=True).thread is None


def test_the_policy_sees_the_run_and_what_is_left(governance: Governance) -> None:
    governance.ledger.set_limit("org/default", Budget(calls=7, tokens=100))
    governance.gate.admit(tool("lookup"))
    document = last(governance).body["input"]
    assert document["budget"] == {"remaining": {"calls": 7, "tokens": 100}}  # type: ignore[index, call-overload]
    assert document["run"]["id"] == "run-1"  # type: ignore[index, call-overload]
    assert dt.datetime.fromisoformat(document["now"]).tzinfo is not None  # type: ignore[index, call-overload, arg-type]


def test_deciding_records_nothing(governance: Governance) -> None:
    action = ToolCall(principal=PRINCIPAL, name="refund", args={"amount": 500})
    assert governance.decide(action).effect == "ask"
    assert recorded(governance) == []


@pytest.mark.parametrize("policies", [3, None, {"allow": True}])
def test_what_holds_no_policies_is_one_clear_error_and_makes_no_database(
    sqlite_url: str, tmp_path: Path, policies: object
) -> None:
    with pytest.raises(ConfigurationError, match="give a folder of Rego files"):
        Governance.open(sqlite_url, policies=policies)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_argument_that_is_masked_is_masked_where_an_obligation_rewrites_it_too(sqlite_url: str) -> None:
    duties = [{"kind": "mask", "fields": ["args.iban"]}, {"kind": "rewrite", "args": {"iban": "DE2", "x": 1}}]
    with Governance.open(sqlite_url, policies=Scripted(*map(Obligation.model_validate, duties))) as governance:
        permit = permitted(governance.gate.admit(tool("refund", iban="DE1")))
        assert isinstance(permit.action, ToolCall)
        assert permit.action.args == {"iban": "DE2", "x": 1}
        entry = last(governance)
        assert entry.body["decision"]["obligations"][1]["args"]["x"] == 1  # type: ignore[index, call-overload]
        assert "DE2" not in entry.model_dump_json()


@pytest.mark.parametrize("action", [ModelCall(principal=PRINCIPAL, name="m"), Handoff(principal=PRINCIPAL, name="h")])
def test_arguments_are_rewritten_only_where_there_are_some(sqlite_url: str, action: Action) -> None:
    duty = Obligation.model_validate({"kind": "rewrite", "args": {"x": 1}})
    with Governance.open(sqlite_url, policies=Scripted(duty)) as governance:
        refusal = refused(governance.gate.admit(Request(action=action)))
        assert "cannot carry out: obligation `rewrite` on a " in refusal.error.message


# -- every verdict is recorded, or says why it cannot be -----------------------------------------------------------------


def unreadable(*_: object) -> dict[str, int]:
    raise StoreError("the database cannot be read: disk I/O error", hint="check it")


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_budget_that_cannot_be_read_is_a_refusal_that_is_recorded(
    governance: Governance, asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(governance.ledger, "remaining", unreadable)
        refusal = refused(admit(governance.gate, tool("lookup", "k"), asynchronous))
    assert refusal.error.source == "budget"
    assert refusal.error.message.startswith("the budget cannot be read, so nothing is done: ")
    entry = governance.audit.entry(refusal.error.seq or 0)
    assert (entry.effect, entry.body["refused_by"]) == ("deny", "budget")
    permitted(admit(governance.gate, tool("lookup", "k"), asynchronous))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_where_nothing_can_be_read_or_written_the_first_part_that_failed_is_named(
    governance: Governance, asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(governance.ledger, "remaining", unreadable)
    monkeypatch.setattr(governance._store, "hooks", [unreadable])
    refusal = refused(admit(governance.gate, tool("lookup"), asynchronous))
    assert (refusal.error.source, refusal.error.seq) == ("budget", None)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_closed_governance_refuses(sqlite_url: str, asynchronous: bool) -> None:
    governance = Governance.open(sqlite_url, policies=Scripted())
    governance.close()
    refusal = refused(admit(governance.gate, tool("lookup"), asynchronous))
    assert refusal.error.source == "audit"
    assert refusal.error.message == "the decision cannot be recorded, so nothing is done: the store is closed"
