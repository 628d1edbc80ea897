"""Whoever acts for others is asked for with all of them: questions, the strictest answer, obligations, records and replays."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from openclaw import delegation
from openclaw.action import Context, Handoff, Principal, ToolCall, policy_input
from openclaw.decision import Decision, Effect, Obligation
from openclaw.gate import Outcome, Permit, Refusal, Request
from openclaw.governance import Governance
from openclaw.policy import PolicyEngine, open_engine
from openclaw.review.replay import replay
from tests.policy.support import open_opa, open_regopy, open_regorus, write_folder
from tests.property.test_delegation import Whatever

NOW = dt.datetime(2026, 11, 30, 10, 0, tzinfo=dt.UTC)

POLICY = """\
package openclaw.policies.desk

import rego.v1

allow if {
	input.tool.name == "look"
	"reader" in input.principal.roles
}

allow if {
	input.tool.name == "pay"
	"payer" in input.principal.roles
}

allow if {
	input.tool.name == "both"
	count(input.principal.roles) > 0
}

allow if input.kind == "handoff"

ask contains "triage pays with a person" if {
	input.tool.name == "both"
	input.principal.agent == "triage"
}

deny contains sprintf("no intern (%v)", [object.get(input.principal, "on_behalf_of", "?")]) if "intern" in input.principal.roles

oblige contains {"kind": "mask", "fields": ["principal.on_behalf_of"]} if input.principal.on_behalf_of

oblige contains {"kind": "rewrite", "args": {"limit": 10}} if input.principal.agent == "triage"
"""

TRIAGE = Principal(
    agent="triage", workflow="desk", roles=("reader", "payer"), on_behalf_of="user:ada", chain=("triage",)
)
PLAIN = TRIAGE.model_copy(update={"roles": ("reader",)})
INTERN = Principal(agent="intern", workflow="desk", roles=("payer", "intern"), chain=("triage", "intern"))


def refunds(*delegators: Principal) -> Principal:
    chain = (*(one.agent for one in delegators), "refunds")
    return Principal(agent="refunds", workflow="desk", roles=("payer",), chain=chain, delegators=delegators)


def call(name: str, principal: Principal) -> ToolCall:
    return ToolCall(principal=principal, name=name, args={"limit": 99})


def document(action: ToolCall | Handoff) -> dict[str, JsonValue]:
    return policy_input(action, Context(now=NOW))


@pytest.fixture(params=[open_regorus, open_regopy, open_opa], ids=["regorus", "regopy", "opa"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PolicyEngine]:
    folder = write_folder(tmp_path / "policies", {"desk": POLICY})
    with request.param(folder, lambda: str(request.getfixturevalue("opa_server")), deadline_s=20) as opened:
        yield opened


def test_an_agent_may_do_what_it_and_everybody_it_acts_for_may_do(engine: PolicyEngine) -> None:
    def effect(name: str, principal: Principal) -> str:
        return delegation.evaluate(engine, document(call(name, principal))).effect.value

    assert effect("pay", refunds()) == "allow"
    assert effect("pay", refunds(TRIAGE)) == "allow"
    assert effect("pay", refunds(PLAIN)) == "deny"
    assert effect("look", refunds(PLAIN)) == "deny", "nor does it get the rights of whom it acts for"
    assert effect("both", refunds()) == "allow"
    assert effect("both", refunds(TRIAGE)) == "ask"
    assert effect("both", refunds(TRIAGE, INTERN)) == "deny"


def test_the_reasons_say_on_whose_behalf(engine: PolicyEngine) -> None:
    decision = asyncio.run(delegation.aevaluate(engine, document(call("pay", refunds(PLAIN)))))
    assert decision.reasons == ("on behalf of `triage`: no policy allows this",)
    assert decision.code == "no_policy"
    asked = delegation.evaluate(engine, document(call("both", refunds(TRIAGE))))
    assert asked.reasons == ("on behalf of `triage`: triage pays with a person",)
    assert asked.rules == ("policies.desk.ask",)


def test_the_obligations_of_all_of_them_hold_and_their_paths_are_theirs(engine: PolicyEngine) -> None:
    decision = delegation.evaluate(engine, document(call("pay", refunds(TRIAGE))))
    assert sorted((duty.model_dump() for duty in decision.obligations), key=str) == [
        {"kind": "mask", "fields": ["principal.delegators.0.on_behalf_of"]},
        {"kind": "rewrite", "args": {"limit": 10}},
    ]


@pytest.mark.parametrize(("values", "effect"), [((5, 5), "allow"), ((5, 10), "deny"), ((1, True), "deny")])
def test_values_that_cannot_both_hold_are_denied(values: tuple[int, int], effect: str) -> None:
    left = list(values)

    def answer(_: Mapping[str, JsonValue]) -> Decision:
        duty = Obligation.model_validate({"kind": "rewrite", "args": {"limit": left.pop()}})
        return Decision(effect=Effect.ALLOW, obligations=(duty,))

    decision = delegation.evaluate(Whatever(answer), document(call("pay", refunds(TRIAGE))))
    assert decision.effect.value == effect
    assert decision.code == ("policy" if effect == "allow" else "obligation")


def test_each_is_asked_about_as_it_was_when_it_handed_work_down() -> None:
    first, second, third = delegation.questions(document(call("pay", refunds(TRIAGE, INTERN))))
    assert [one["principal"]["agent"] for one in (first, second, third)] == ["refunds", "triage", "intern"]  # type: ignore[index, call-overload]
    assert second["principal"] == {**first["principal"]["delegators"][0]}  # type: ignore[index, call-overload]
    assert third["principal"]["delegators"] == [second["principal"]]  # type: ignore[index, call-overload]
    assert third["principal"]["chain"] == ["triage", "intern"]  # type: ignore[index, call-overload]
    assert all({**one, "principal": None} == {**first, "principal": None} for one in (second, third))


def test_a_hand_off_is_asked_for_whoever_hands_off_alone() -> None:
    action = Handoff(principal=refunds(PLAIN, INTERN), name="transfer_to_x", args={"agent": "x"})
    assert len(delegation.questions(document(action))) == 1


@pytest.mark.parametrize("delegators", [None, "triage", 7, {}])
def test_what_is_no_list_of_delegators_is_left_to_the_policy(delegators: JsonValue) -> None:
    asked = {"kind": "tool", "principal": {"agent": "a", "delegators": delegators}}
    assert delegation.questions(asked) == [asked]


def test_a_delegator_that_is_no_principal_is_asked_about_as_it_is(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "policies", {"desk": POLICY})
    asked = document(call("pay", refunds()))
    asked["principal"]["delegators"] = ["triage"]  # type: ignore[index, call-overload]
    with contextlib.closing(open_engine(folder)) as opened:
        assert delegation.evaluate(opened, asked).effect is Effect.DENY


class Changing(Whatever):
    """An engine whose policies are replaced at each of the first ``times`` answers."""

    def __init__(self, times: int) -> None:
        self._answers, self._times = 0, times
        super().__init__(self._next)

    def _next(self, asked: Mapping[str, JsonValue]) -> Decision:
        self._answers += 1
        return Decision(effect=Effect.ALLOW, revision=f"sha256:{min(self._answers, self._times)}")


@pytest.mark.parametrize(("times", "effect"), [(2, Effect.ALLOW), (100, Effect.DENY)])
def test_all_are_asked_under_the_same_policies_or_nothing_is_allowed(times: int, effect: Effect) -> None:
    asked = document(call("pay", refunds(TRIAGE)))
    for decision in (
        delegation.evaluate(Changing(times), asked),
        asyncio.run(delegation.aevaluate(Changing(times), asked)),
    ):
        assert decision.effect is effect
        assert decision.code == ("policy" if effect is Effect.ALLOW else "engine_error")


# Through the gate ----------------------------------------------------------------------------------------------------


@pytest.fixture
def governance(store_url: str, tmp_path: Path) -> Iterator[Governance]:
    folder = write_folder(tmp_path / "policies", {"desk": POLICY})
    with Governance.open(store_url, policies=folder, key=tmp_path / "log.key") as opened:
        yield opened


def test_what_is_recorded_is_decided_again_as_it_was(governance: Governance) -> None:
    unmasked = TRIAGE.model_copy(update={"on_behalf_of": None})
    answers: list[Any] = []
    for principal in (refunds(unmasked), refunds(unmasked.model_copy(update={"roles": ("reader",)})), refunds()):
        admitted = governance.gate.admit(Request(action=call("pay", principal)))
        if isinstance(admitted, Permit):
            assert admitted.action.args["limit"] == (10 if principal.delegators else 99)  # type: ignore[union-attr]
            governance.gate.finish(admitted, Outcome(status="done"))
        answers.append(type(admitted))
    assert answers == [Permit, Refusal, Permit]
    assert governance.decide(call("pay", refunds(PLAIN))).effect is Effect.DENY
    compared = replay(governance.audit, governance.policy)
    assert (compared.compared, compared.changed) == (3, 0)


def test_what_a_policy_hides_of_a_principal_is_hidden_of_a_delegator(governance: Governance) -> None:
    eve = INTERN.model_copy(update={"on_behalf_of": "user:eve-4711"})
    refused = governance.gate.admit(Request(action=call("pay", refunds(eve))))
    assert isinstance(refused, Refusal)
    assert "no intern (user:eve-4711)" in refused.error.reasons[0], "whoever acts hears it"
    governance.gate.flush()
    (entry,) = governance.audit.entries(kind="decision")
    assert "eve-4711" not in str(entry.body)
    assert entry.body["input"]["principal"]["delegators"][0]["roles"] == ["payer", "intern"]  # type: ignore[index, call-overload]
