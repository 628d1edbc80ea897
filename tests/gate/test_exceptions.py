"""Break-glass: what an exception lifts, how often and how long, who may open it, and what the log keeps; on both databases."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openclaw.action import Principal, Run, ToolCall
from openclaw.approvers import Approver, check_signed, new_token, sign
from openclaw.audit import Signer
from openclaw.breakglass import SECONDS_MAX, USES_MAX, Scope
from openclaw.budget import Budget, Usage
from openclaw.decision import Decision
from openclaw.errors import ApprovalError, ConfigurationError, StoreError
from openclaw.gate import Admission, Outcome, Permit, Refusal, Request, Waiting
from openclaw.governance import Governance
from openclaw.policy import Bundle, PolicyEngine
from openclaw.policy.embedded import open_bundle
from openclaw.policy.library import choose
from openclaw.review.schemas import PolicyInput
from openclaw.testing import FakeClock

LIBRARY = choose(["exceptions"])[0].folder
POLICY = """\
package openclaw.policies.desk

import rego.v1

allow if input.tool.name in {"refund", "wipe", "ask", "paid", "limited", "broken"}

deny contains "refunds stop at 100" if {
	input.tool.name == "refund"
	input.tool.args.amount > 100
	not data.openclaw.policies.exceptions.lifted
}

deny contains "nothing is ever wiped" if input.tool.name == "wipe"

ask contains "a person decides" if {
	input.tool.name == "ask"
	not data.openclaw.policies.exceptions.lifted
}

deny contains "not on its own" if {
	input.tool.name == "both"
	not data.openclaw.policies.exceptions.lifted
}

ask contains "a person decides all the same" if input.tool.name == "both"

deny contains "held" if {
	input.tool.name in {"paid", "limited", "broken"}
	not data.openclaw.policies.exceptions.lifted
}

oblige contains {"kind": "limit", "key": "few", "calls": 1, "per": "hour"} if input.tool.name == "limited"

oblige contains {"kind": "mask", "fields": "oops"} if {
	input.tool.name == "broken"
	data.openclaw.policies.exceptions.lifted
}
"""
PLAIN = "refunds stop at 100"


def roomy(folder: Path) -> PolicyEngine:
    """The policies, with all the time that they need: the machine may be busy, and a late answer lifts nothing."""
    return open_bundle(Bundle.read(folder), deadline_s=60)


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    (folder / "exceptions").mkdir(parents=True)
    shutil.copy(LIBRARY / "exceptions.rego", folder / "exceptions")
    (folder / "desk.rego").write_text(POLICY)
    return folder


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def governance(store_url: str, policies: Path, tmp_path: Path, clock: FakeClock) -> Any:
    with Governance.open(store_url, policies=roomy(policies), key=tmp_path / "log.key", clock=clock) as opened:
        yield opened


def call(name: str = "refund", key: str = "k", *, agent: str = "desk", **args: Any) -> Request:
    principal = Principal(agent=agent, workflow="returns", chain=("triage", agent))
    action = ToolCall(principal=principal, name=name, args=args or {"amount": 500}, call_id=key)
    return Request(action=action, hold=Usage(calls=1), key=f"{name} {key}", can_wait=True)


def ran(governance: Governance, admission: Admission) -> Permit:
    assert isinstance(admission, Permit), admission
    governance.gate.finish(admission, Outcome(status="done", usage=Usage(calls=1)))
    return admission


def why(admission: Admission) -> tuple[str, ...]:
    assert isinstance(admission, Refusal), admission
    return admission.error.reasons


def entries(governance: Governance, kind: Any = "exception") -> list[Any]:
    governance.gate.flush()
    return [entry.body for entry in governance.audit.entries(kind=kind)]


# --- What it lifts ----------------------------------------------------------------------------------------------------


def test_what_a_policy_lifts_for_exceptions_passes_under_an_open_one_and_all_of_it_is_recorded(
    governance: Governance,
) -> None:
    assert why(governance.gate.admit(call(key="before"))) == (PLAIN,)
    opened = governance.exceptions.open(agent="desk", tool="refund", by="eva", reason="the bank is down", uses=2)
    permit = ran(governance, governance.gate.admit(call()))
    said: Any = permit.document["exception"]
    assert (said["id"], said["by"], said["reason"], said["seconds"]) == (opened.id, "eva", "the bank is down", 3600)
    assert PolicyInput.model_validate(permit.document).model_dump(exclude_unset=True).keys() == permit.document.keys()
    decision = governance.audit.entry(permit.seq)
    plain = {"effect": "deny", "reasons": [PLAIN], "rules": ["policies.desk.deny"]}
    told = {"id": opened.id, "opened": opened.seq, "by": "eva", "lifted": True, "plain": plain, "use": 1, "of": 2}
    assert decision.body["exception"] == told
    assert decision.body["input"] == permit.document
    [began, used] = entries(governance)
    assert (began["event"], began["scope"], began["uses"]) == ("opened", {"agent": "desk", "tool": "refund"}, 2)
    assert (used["event"], used["exception"], used["decision"]) == ("used", opened.id, permit.seq)
    assert (used["use"], used["of"], used["plain"]) == (1, 2, plain)
    assert governance.audit.verify().ok


def test_what_no_rule_lifts_stays_denied(governance: Governance) -> None:
    governance.exceptions.open(agent="desk", by="eva", reason="whatever it takes")
    assert why(governance.gate.admit(call("wipe"))) == ("nothing is ever wiped",)
    assert why(governance.gate.admit(call("unheard"))) == ("no policy allows this",)
    [denied, _] = entries(governance, "decision")
    assert denied["exception"]["lifted"] is False
    assert "use" not in denied["exception"]
    assert governance.exceptions.list()[0].used == 0


def test_what_is_allowed_anyway_uses_no_exception_and_looks_for_none(
    governance: Governance, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    looks: list[object] = []
    monkeypatch.setattr(governance.exceptions, "covering", lambda *said: looks.append(said) or [])
    permit = ran(governance, governance.gate.admit(call(amount=5)))
    assert looks == []
    assert "exception" not in permit.document
    assert governance.exceptions.get(opened.id).used == 0


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        ({"agent": "desk"}, True),
        ({"agent": "triage"}, False),  # of an agent only what it does itself
        ({"workflow": "returns"}, True),
        ({"workflow": "sales"}, False),
        ({"tool": "refund"}, True),
        ({"tool": "refunds"}, False),
        ({"agent": "desk", "tool": "refund", "workflow": "returns"}, True),
        ({"agent": "desk", "tool": "wipe"}, False),
        ({"tool": "refund", "args": ["amount<=500"]}, True),
        ({"tool": "refund", "args": ["amount<500"]}, False),
        ({"tool": "refund", "args": ["amount<=500", "order=A-17"]}, False),
        ({"tool": "refund", "args": ["to.country!=DE"]}, False),
    ],
)
def test_it_covers_what_fits_all_of_its_names_and_conditions(
    governance: Governance, scope: dict[str, Any], covers: bool
) -> None:
    governance.exceptions.open(**scope, by="eva", reason="the bank is down")
    assert isinstance(governance.gate.admit(call()), Permit if covers else Refusal)


def test_the_narrowest_that_helps_is_used(governance: Governance) -> None:
    wide = governance.exceptions.open(tool="refund", by="eva", reason="wide")
    narrow = governance.exceptions.open(tool="refund", agent="desk", args=["amount<=500"], by="eva", reason="narrow")
    agents = governance.exceptions.open(tool="refund", agent="desk", by="desk", reason="I need it")
    permits = [ran(governance, governance.gate.admit(call(key=str(number)))) for number in range(2)]
    assert [permit.document["exception"]["id"] for permit in permits] == [narrow.id, wide.id]  # type: ignore[index, call-overload]
    assert why(governance.gate.admit(call(key="2"))) == ("an agent cannot open an exception", PLAIN)
    assert governance.exceptions.get(agents.id).used == 0


def test_the_async_door_is_the_same(governance: Governance) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    permit = asyncio.run(governance.gate.aadmit(call()))
    assert ran(governance, permit).document["exception"]["id"] == opened.id  # type: ignore[index, call-overload]
    assert why(asyncio.run(governance.gate.aadmit(call(key="2")))) == (
        PLAIN,
        f"the exception `{opened.id}` is used up: 1 of 1",
    )


# --- What it never lifts ----------------------------------------------------------------------------------------------


def test_a_budget_is_no_policy_and_a_refused_call_uses_nothing(governance: Governance) -> None:
    governance.ledger.set_limit("org/default/workflow/returns/agent/desk", Budget(calls=1))
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down", uses=5)
    ran(governance, governance.gate.admit(call("paid", "1")))
    refused = governance.gate.admit(call("paid", "2"))
    assert isinstance(refused, Refusal)
    assert refused.error.source == "budget"
    assert governance.exceptions.get(opened.id).used == 1
    [_, body] = entries(governance, "decision")
    assert (body["refused_by"], body["exception"]["lifted"], "use" in body["exception"]) == ("budget", True, False)


def test_a_rate_that_is_reached_stays_reached_and_nothing_is_used(governance: Governance) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down", uses=5)
    ran(governance, governance.gate.admit(call("limited", "1")))
    assert why(governance.gate.admit(call("limited", "2")))[0].startswith("the limit of 1 call per hour")
    assert governance.exceptions.get(opened.id).used == 1


def test_a_halt_stands_above_every_exception(governance: Governance) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    governance.halt(agent="desk", by="tom")
    refused = governance.gate.admit(call())
    assert isinstance(refused, Refusal)
    assert refused.error.source == "halt"
    assert governance.exceptions.get(opened.id).used == 0


def test_an_obligation_that_cannot_be_met_denies_under_an_exception_too(governance: Governance) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    [reason] = why(governance.gate.admit(call("broken")))
    assert "oops" in reason or "mask" in reason
    assert entries(governance, "decision")[-1]["decision"]["code"] == "obligation"
    assert governance.exceptions.get(opened.id).used == 0


@pytest.mark.parametrize(
    "code", ["engine_error", "engine_crashed", "deadline", "unreachable", "malformed", "undefined"]
)
def test_a_failure_of_the_engine_is_nothing_that_an_exception_lifts(
    governance: Governance, monkeypatch: pytest.MonkeyPatch, code: Any
) -> None:
    governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    asked: list[object] = []

    def failing(document: dict[str, Any]) -> Decision:
        asked.append(document.get("exception"))
        return Decision.deny("it failed", code=code)

    monkeypatch.setattr(governance.gate, "_evaluate", failing)
    assert why(governance.gate.admit(call())) == ("it failed",)
    assert asked == [None]


def test_an_engine_that_fails_when_it_is_asked_again_leaves_the_plain_refusal(
    governance: Governance, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    whole = governance.gate._evaluate

    def failing(document: dict[str, Any]) -> Decision:
        return Decision.deny("it failed", code="deadline") if "exception" in document else whole(document)

    monkeypatch.setattr(governance.gate, "_evaluate", failing)
    told = f"the exception `{opened.id}` could not be decided on: it failed"
    assert why(governance.gate.admit(call())) == (PLAIN, told)
    body = entries(governance, "decision")[-1]
    assert (body["exception"]["fault"], "exception" in body["input"]) == ("could not be decided on: it failed", False)


# --- Asks -------------------------------------------------------------------------------------------------------------


def test_an_exception_replaces_no_approval_unless_the_policy_says_so(governance: Governance) -> None:
    """``ask`` says so; ``both`` does not: there the exception lifts the deny, and the question stays."""
    opened = governance.exceptions.open(agent="desk", by="eva", reason="nobody is awake", uses=2)
    assert ran(governance, governance.gate.admit(call("ask"))).decision.effect == "allow"
    waiting = governance.gate.admit(call("both"))
    assert isinstance(waiting, Waiting)
    assert governance.exceptions.get(opened.id).used == 1  # a question uses none
    governance.approvals.approve(waiting.approval, by="ada")
    permit = ran(governance, governance.gate.admit(call("both")))
    assert permit.document["exception"]["id"] == opened.id  # type: ignore[index, call-overload]
    body: Any = governance.audit.entry(permit.seq).body
    assert (body["approval"], body["exception"]["use"]) == (waiting.approval, 2)


def test_without_an_exception_what_asks_waits(governance: Governance) -> None:
    assert isinstance(governance.gate.admit(call("ask")), Waiting)


def test_an_approval_does_not_outlive_the_exception_that_it_was_asked_under(
    governance: Governance, clock: FakeClock
) -> None:
    governance.exceptions.open(agent="desk", by="eva", reason="nobody is awake", seconds=60)
    waiting = governance.gate.admit(call("both"))
    assert isinstance(waiting, Waiting)
    governance.approvals.approve(waiting.approval, by="ada")
    clock.advance(61)
    assert why(governance.gate.admit(call("both"))) == ("not on its own",)
    assert governance.approvals.get(waiting.approval).state == "approved"


def test_a_persons_no_is_lifted_by_nothing(governance: Governance) -> None:
    waiting = governance.gate.admit(call("ask"))
    assert isinstance(waiting, Waiting)
    governance.approvals.reject(waiting.approval, by="ada", reason="no")
    opened = governance.exceptions.open(agent="desk", by="eva", reason="I want it")
    assert why(governance.gate.admit(call("ask"))) == ("rejected by ada: no",)
    assert governance.exceptions.get(opened.id).used == 0


# --- Uses and time ----------------------------------------------------------------------------------------------------


def test_it_is_used_up_expires_and_is_closed_and_each_is_said(governance: Governance, clock: FakeClock) -> None:
    spent = governance.exceptions.open(agent="desk", by="eva", reason="once")
    ran(governance, governance.gate.admit(call(key="1")))
    assert why(governance.gate.admit(call(key="2"))) == (PLAIN, f"the exception `{spent.id}` is used up: 1 of 1")
    closed = governance.exceptions.open(agent="desk", by="eva", reason="for a while", uses=5, seconds=60)
    governance.exceptions.close(closed.id, by="tom", reason="the bank is back")
    assert PLAIN in why(governance.gate.admit(call(key="3")))
    expired = governance.exceptions.open(agent="desk", by="eva", reason="for a while", uses=5, seconds=60)
    clock.advance(60)  # until then it stands
    ran(governance, governance.gate.admit(call(key="4")))
    clock.advance(1)
    assert PLAIN in why(governance.gate.admit(call(key="5")))
    states = {one.id: one.state(clock.now()) for one in governance.exceptions.list(None)}
    assert states == {spent.id: "spent", closed.id: "closed", expired.id: "expired"}
    assert [one.id for one in governance.exceptions.list()] == []
    assert [one.id for one in governance.exceptions.list("spent")] == [spent.id]
    assert [one.id for one in governance.exceptions.list("closed")] == [closed.id]
    assert [one.id for one in governance.exceptions.list("expired")] == [expired.id]
    [said] = [body for body in entries(governance) if body["event"] == "closed"]
    assert (said["by"], said["reason"], said["used"]) == ("tom", "the bank is back", 0)


@pytest.mark.parametrize(
    ("meanwhile", "told"),
    [
        (lambda gov, one, clock: gov.exceptions.close(one, by="tom"), "was closed by tom"),
        (lambda gov, one, clock: clock.advance(3601), "has expired"),
        (lambda gov, one, clock: ran(gov, gov.gate.admit(call(key="quicker"))), "is used up: 1 of 1"),
    ],
    ids=["closed", "expired", "used up"],
)
def test_a_claim_that_fails_is_a_refusal_that_says_why(
    governance: Governance,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[Governance, str, FakeClock], object],
    told: str,
) -> None:
    """Between the look and the commit somebody else closes it, its time passes, or another call takes the last use."""
    opened = governance.exceptions.open(agent="desk", by="eva", reason="once")
    submit = governance.gate._submit

    def late(asked: Any, decision: Any, *, awaited: bool) -> Any:
        monkeypatch.setattr(governance.gate, "_submit", submit)
        meanwhile(governance, opened.id, clock)
        return submit(asked, decision, awaited=awaited)

    monkeypatch.setattr(governance.gate, "_submit", late)
    refused = governance.gate.admit(call())
    assert why(refused) == (f"the exception `{opened.id}` {told}", PLAIN)
    assert isinstance(refused, Refusal)
    assert refused.error.source == "exception"
    assert entries(governance, "decision")[-1]["refused_by"] == "exception"
    assert governance.ledger.balance("org/default/workflow/returns/agent/desk").pending.calls == 0


def test_what_waits_in_a_tool_goes_on_under_the_use_that_it_has(governance: Governance, clock: FakeClock) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="once", seconds=60)
    request = call()
    for _ in range(2):
        permit = governance.gate.admit(request)
        assert isinstance(permit, Permit), permit
        governance.gate.finish(permit, Outcome(status="suspended"))
        governance.gate.flush()
    assert governance.exceptions.get(opened.id).used == 1
    assert why(governance.gate.admit(call(key="other")))[1] == f"the exception `{opened.id}` is used up: 1 of 1"
    ran(governance, governance.gate.admit(request))
    governance.gate.flush()
    assert [body["event"] for body in entries(governance)] == ["opened", "used"]
    assert governance.exceptions.get(opened.id).used == 1


def test_what_waits_in_a_tool_does_not_go_on_when_the_exception_is_over(
    governance: Governance, clock: FakeClock
) -> None:
    governance.exceptions.open(agent="desk", by="eva", reason="once", seconds=60)
    permit = governance.gate.admit(call())
    assert isinstance(permit, Permit)
    governance.gate.finish(permit, Outcome(status="suspended"))
    governance.gate.flush()
    clock.advance(61)
    assert why(governance.gate.admit(call())) == (PLAIN,)


def test_a_retry_of_a_call_that_failed_is_a_use_of_its_own(governance: Governance) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="twice", uses=2)
    for _ in range(2):
        permit = governance.gate.admit(call())
        assert isinstance(permit, Permit)
        governance.gate.finish(permit, Outcome(status="failed", error="ValueError: no"))
        governance.gate.flush()
    assert governance.exceptions.get(opened.id).used == 2
    assert isinstance(governance.gate.admit(call()), Refusal)


# --- Who opens it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "an exception from everything is none"),
        ({"args": ["amount<5"]}, "an exception from everything is none"),
        ({"agent": "desk", "by": " "}, "needs the name of a person"),
        ({"agent": "desk", "by": "eva\nroot"}, "needs the name of a person"),
        ({"agent": "desk", "reason": " "}, "needs a reason"),
        ({"agent": "desk", "uses": 0}, "is used 1 to 1,000 times, not 0"),
        ({"agent": "desk", "uses": USES_MAX + 1}, "is used 1 to 1,000 times, not 1,001"),
        ({"agent": "desk", "seconds": 0}, "stands for 7 days at most"),
        ({"agent": "desk", "seconds": SECONDS_MAX + 1}, "stands for 7 days at most"),
        ({"agent": "desk", "args": ["amount"]}, "`amount` is no condition on an argument"),
        ({"agent": "desk", "args": ["key=sk-abcdefghijklmnopqrstuvwx"]}, "holds what looks like a secret"),
        ({"agent": "d" * 201}, "a name has 200 characters at most"),
    ],
)
def test_what_is_no_bounded_exception_is_refused_and_nothing_is_done(
    governance: Governance, said: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        governance.exceptions.open(**{"by": "eva", "reason": "the bank is down", **said})
    assert governance.exceptions.list(None) == []
    assert entries(governance) == []


def test_whoever_has_a_key_signs_it_and_the_signature_stands_in_the_log(governance: Governance) -> None:
    key = Signer.generate("eva")
    governance.approvals.enroll(Approver(name="eva", roles=("on-call",), key=str(key.verifier)), by="root")
    with pytest.raises(ApprovalError, match="an exception of `eva` must be authenticated, and this one is not"):
        governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    with pytest.raises(ApprovalError, match="the exception is not signed by the key of `eva`"):
        governance.exceptions.open(agent="desk", by="Eva", reason="me", sign_with=Signer.generate("eva"))
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down", sign_with=key)
    refused, again, body = entries(governance)
    assert (refused["event"], refused["by"], again["event"]) == ("refused", "eva", "refused")
    stated = check_signed(body["signed"], str(key.verifier))
    assert stated == governance.exceptions.statement(opened)
    assert (body["proof"], body["roles"]) == ("signature", ["on-call"])
    permit = ran(governance, governance.gate.admit(call()))
    said: Any = permit.document["exception"]
    assert (said["roles"], said["authenticated"]) == (["on-call"], True)


def test_a_statement_opens_one_exception_and_no_other(governance: Governance) -> None:
    key = Signer.generate("eva")
    governance.approvals.enroll(Approver(name="eva", key=str(key.verifier)), by="root")
    drafted = governance.exceptions.draft(Scope(agent="desk"), by="eva", reason="the bank is down")
    signed = sign(governance.exceptions.statement(drafted), key)
    wider = drafted.model_copy(update={"uses": 900})
    with pytest.raises(ApprovalError, match="what `eva` has signed is another statement than this exception"):
        governance.exceptions.commit(wider, signed=signed)
    governance.exceptions.commit(drafted, signed=signed)
    with pytest.raises(ConfigurationError, match="was opened already"):
        governance.exceptions.commit(drafted, signed=signed)


def test_a_draft_whose_time_is_over_is_not_opened(governance: Governance, clock: FakeClock) -> None:
    drafted = governance.exceptions.draft(Scope(agent="desk"), by="eva", reason="the bank is down", seconds=60)
    clock.advance(60)
    with pytest.raises(ConfigurationError, match="its time is over"):
        governance.exceptions.commit(drafted)


def test_a_token_proves_it_and_counts_no_more_when_it_is_another_one(governance: Governance) -> None:
    token, digest = new_token()
    governance.approvals.enroll(Approver(name="eva", token=digest), by="root")
    with pytest.raises(ApprovalError, match="the token is not that of `eva`"):
        governance.exceptions.open(agent="desk", by="eva", reason="me", token="oct-wrong")
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down", uses=9, token=token)
    assert ran(governance, governance.gate.admit(call())).document["exception"]["authenticated"] is True  # type: ignore[index, call-overload]
    governance.approvals.enroll(Approver(name="eva", token=new_token()[1]), by="root")
    told = f"the exception `{opened.id}` does not count: the key or the token of `eva` is another one since, or none"
    assert why(governance.gate.admit(call(key="2"))) == (PLAIN, told)


def test_where_whoever_governs_wants_proof_a_name_alone_opens_nothing(
    governance: Governance, store_url: str, policies: Path, tmp_path: Path, clock: FakeClock
) -> None:
    by_name = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    with Governance.open(
        store_url, policies=roomy(policies), key=tmp_path / "log.key", clock=clock, authenticated=True
    ) as strict:
        told = f"the exception `{by_name.id}` does not count: nothing proves that `eva` has opened it"
        assert why(strict.gate.admit(call())) == (PLAIN, told)
        with pytest.raises(ApprovalError, match="`eva` is not enrolled, so nothing proves who opens it"):
            strict.exceptions.open(agent="desk", by="eva", reason="the bank is down")


def test_the_policy_says_who_may_open_one_and_for_how_long(
    store_url: str, policies: Path, tmp_path: Path, clock: FakeClock
) -> None:
    (policies / "exceptions" / "data.json").write_text('{"roles": ["on-call"], "seconds_max": 600, "uses_max": 3}')
    with Governance.open(store_url, policies=roomy(policies), key=tmp_path / "log.key", clock=clock) as governance:
        governance.approvals.enroll(Approver(name="eva", roles=("on-call",)), by="root")
        governance.exceptions.open(agent="desk", by="tom", reason="me too", seconds=600)
        governance.exceptions.open(agent="desk", by="eva", reason="long", seconds=601)
        governance.exceptions.open(agent="desk", by="eva", reason="often", seconds=600, uses=4)
        assert PLAIN in why(governance.gate.admit(call(key="1")))
        opened = governance.exceptions.open(agent="desk", by="eva", reason="in order", seconds=600, uses=3)
        permit = ran(governance, governance.gate.admit(call(key="2")))
        assert permit.document["exception"]["id"] == opened.id  # type: ignore[index, call-overload]


def test_closing_what_is_not_open_is_an_error(governance: Governance) -> None:
    with pytest.raises(ApprovalError, match="there is no exception `exc-1`"):
        governance.exceptions.close("exc-1", by="tom")
    with pytest.raises(ApprovalError, match="there is no exception `exc-1`"):
        governance.exceptions.get("exc-1")
    opened = governance.exceptions.open(agent="desk", by="eva", reason="once")
    with pytest.raises(ConfigurationError, match="nobody is named"):
        governance.exceptions.close(opened.id, by=" ")
    governance.exceptions.close(opened.id, by="tom")
    with pytest.raises(ApprovalError, match="is closed already"):
        governance.exceptions.close(opened.id, by="tom")


def test_a_secret_in_a_reason_is_masked_everywhere(governance: Governance) -> None:
    secret = "sk-abcdefghij0123456789abcdef"
    governance.exceptions.open(agent="desk", by="eva", reason=f"the key {secret} is gone")
    permit = ran(governance, governance.gate.admit(call()))
    governance.gate.flush()
    assert secret not in str([entry.body for entry in governance.audit.entries()])
    assert secret not in str(permit.document)


def test_a_masked_value_is_masked_in_the_condition_of_the_exception_too(
    store_url: str, policies: Path, tmp_path: Path
) -> None:
    rule = 'oblige contains {"kind": "mask", "fields": ["args.iban"]} if input.tool.name == "refund"\n'
    (policies / "desk.rego").write_text(f"{POLICY}\n{rule}")
    with Governance.open(store_url, policies=roomy(policies), key=tmp_path / "log.key") as governance:
        governance.exceptions.open(agent="desk", args=["iban=DE89370400440532013000"], by="eva", reason="once")
        permit = ran(governance, governance.gate.admit(call(amount=500, iban="DE89370400440532013000")))
        body = governance.audit.entry(permit.seq).body
        assert "DE89370400440532013000" not in str(body)
        assert "$masked" in str(body["input"]["exception"]["scope"])  # type: ignore[index, call-overload]


# --- Delegation -------------------------------------------------------------------------------------------------------


def test_an_exception_for_an_agent_lifts_nothing_of_what_those_may_do_that_it_acts_for(governance: Governance) -> None:
    """Rights only shrink along a chain: whoever delegates is asked about too, without an exception that is not theirs."""
    triage = Principal(agent="triage", workflow="returns", chain=("triage",))
    desk = Principal(agent="desk", workflow="returns", chain=("triage", "desk"), delegators=(triage,))

    def delegated(key: str) -> Request:
        action = ToolCall(principal=desk, name="refund", args={"amount": 500}, call_id=key)
        return Request(action=action, hold=Usage(calls=1), key=key, can_wait=True)

    own = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    assert why(governance.gate.admit(delegated("1"))) == (f"on behalf of `triage`: {PLAIN}",)
    assert governance.exceptions.get(own.id).used == 0
    both = governance.exceptions.open(workflow="returns", tool="refund", by="eva", reason="the bank is down")
    permit = ran(governance, governance.gate.admit(delegated("2")))
    assert permit.document["exception"]["id"] == both.id  # type: ignore[index, call-overload]


# --- Old databases, and stores that fail ------------------------------------------------------------------------------


def test_a_database_from_before_gets_the_tables_when_it_is_opened(
    store_url: str, policies: Path, tmp_path: Path
) -> None:
    key = tmp_path / "log.key"
    with Governance.open(store_url, policies=roomy(policies), key=key) as governance:
        ran(governance, governance.gate.admit(call(amount=5)))
        store = governance.gate._store
        for table in ("openclaw_exception_use", "openclaw_exception"):
            store.run(lambda tx, table=table: tx.connection.exec_driver_sql(f"DROP TABLE {table}"))
        # Fail closed, and say why, for as long as nobody has opened it anew.
        refused = governance.gate.admit(call(key="2"))
        assert isinstance(refused, Refusal)
        assert refused.error.source == "exception"
        assert refused.error.reasons[0] == PLAIN
        assert "written by an older openclaw and has no table `openclaw_exception`" in refused.error.reasons[1]
        with pytest.raises(StoreError, match="has no table `openclaw_exception` yet"):
            governance.exceptions.list()
    with Governance.open(store_url, policies=roomy(policies), key=key) as governance:
        opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
        permit = ran(governance, governance.gate.admit(call(key="3")))
        assert permit.document["exception"]["id"] == opened.id  # type: ignore[index, call-overload]
        assert governance.audit.verify().ok


def test_it_costs_an_allowed_call_no_statement(governance: Governance) -> None:
    """With and without an open exception, a call that is allowed runs the same statements."""
    seen: list[list[str]] = []
    store = governance.gate._store
    begin, fetch = store._writer._begin, store.fetch

    class Counting:
        def __init__(self, cursor: Any, into: list[str]) -> None:
            self._cursor, self._into = cursor, into

        def __getattr__(self, name: str) -> Any:
            return getattr(self._cursor, name)

        def execute(self, sql: str, parameters: Any) -> Any:
            self._into.append(sql)
            return self._cursor.execute(sql, parameters)

    def begun(connection: Any) -> Any:
        transaction = begin(connection)
        transaction.cursor = Counting(transaction.cursor, seen[-1])
        return transaction

    def fetched(statement: Any, parameters: Any) -> Any:
        seen[-1].append("fetch")
        return fetch(statement, parameters)

    ran(governance, governance.gate.admit(call(key="warm", amount=5)))
    governance.gate.flush()
    store._writer._begin, store.fetch = begun, fetched  # type: ignore[method-assign]
    for number in range(2):
        seen.append([])
        ran(governance, governance.gate.admit(call(key=str(number), amount=5)))
        governance.gate.flush()
        if not number:
            seen.append([])
            governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    assert sorted(seen[0]) == sorted(seen[2])
    assert not any("openclaw_exception" in sql for sql in seen[2])


def test_a_run_that_halts_on_refusal_may_try_again_after_an_exception_was_opened(governance: Governance) -> None:
    """Where a refusal is raised and not remembered, the node that runs again is decided again."""
    request = Request(
        action=call().action, run=Run(id="run-1"), hold=Usage(calls=1), key="again", can_wait=True, remembers=False
    )
    assert isinstance(governance.gate.admit(request), Refusal)
    governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    ran(governance, governance.gate.admit(request))


# --- Many at once -----------------------------------------------------------------------------------------------------

USES, THREADS, EACH = 25, 8, 6


def work(url: str, folder: Path, barrier: Any, passed: Any) -> None:
    """One process: as many threads as it has, each with calls that only the exception lifts, all at once."""
    with Governance.open(url, policies=roomy(folder / "policies"), key=folder / "log.key") as governance:

        def run(thread: int) -> None:
            barrier.wait(60)
            for number in range(EACH):
                admission = governance.gate.admit(call(key=f"{os.getpid()}-{thread}-{number}"))
                if isinstance(admission, Permit):
                    governance.gate.finish(admission, Outcome(status="done", usage=Usage(calls=1)))
                    passed.put(True)

        threads = [threading.Thread(target=run, args=(thread,)) for thread in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_threads_in_two_processes_never_use_more_than_were_given(
    store_url: str, policies: Path, tmp_path: Path
) -> None:
    with Governance.open(store_url, policies=roomy(policies), key=tmp_path / "log.key") as governance:
        opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down", uses=USES)
    spawn = multiprocessing.get_context("spawn")
    barrier, passed = spawn.Barrier(2 * THREADS), spawn.Queue()
    workers = [spawn.Process(target=work, args=(store_url, tmp_path, barrier, passed)) for _ in range(2)]
    for worker in workers:
        worker.start()
    count = sum(passed.get(timeout=90) for _ in range(USES))
    for worker in workers:
        worker.join(90)
        assert worker.exitcode == 0
    assert (count, passed.empty()) == (USES, True)
    with Governance.open(store_url, policies=roomy(policies), key=tmp_path / "log.key") as governance:
        assert governance.exceptions.get(opened.id).used == USES
        used = [body for body in entries(governance) if body["event"] == "used"]
        assert [body["use"] for body in used] == [*range(1, USES + 1)]
        allowed = [entry for entry in governance.audit.entries(kind="decision") if entry.effect == "allow"]
        assert [body["decision"] for body in used] == [entry.seq for entry in allowed]
        assert governance.audit.verify().ok
