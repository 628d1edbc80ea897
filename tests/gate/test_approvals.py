"""Answers to questions: what counts, who counts, what proves it, and what the log keeps of it; on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openclaw.action import Principal, ToolCall
from openclaw.approvals import WAIT_SECONDS
from openclaw.approvers import Approver, check_signed, new_token, sign
from openclaw.audit import Signer
from openclaw.budget import Usage
from openclaw.errors import ApprovalError, AuditError, ConfigurationError, VerificationError
from openclaw.gate import Admission, Outcome, Permit, Refusal, Replayed, Request, Waiting
from openclaw.governance import Governance
from openclaw.testing import FakeClock

POLICY = """\
package openclaw.policies.desk

import rego.v1

ask contains "a person decides" if input.tool.name in {"refund", "wire", "shared", "proved", "hidden"}

oblige contains {"kind": "approve", "quorum": 2, "roles": ["finance", "risk", "legal"], "distinct": true} if {
	input.tool.name == "wire"
}

oblige contains {"kind": "approve", "quorum": 2} if input.tool.name in {"shared", "allowed"}

oblige contains {"kind": "approve", "authenticated": true} if input.tool.name == "proved"

oblige contains {"kind": "amend", "args": ["amount", "iban"]} if input.tool.name in {"shared", "hidden"}

oblige contains {"kind": "mask", "fields": ["args.iban"]} if input.tool.name == "hidden"

allow if input.tool.name == "allowed"
"""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "desk.rego").write_text(POLICY)
    return folder


def call(name: str, key: str = "k", **args: Any) -> Request:
    principal = Principal(agent="desk", chain=("triage", "desk"), on_behalf_of="user:eva")
    action = ToolCall(principal=principal, name=name, args=args or {"amount": 5}, call_id=key)
    return Request(action=action, hold=Usage(calls=1), key=f"{name} {key}", can_wait=True)


def ask(governance: Governance, request: Request) -> str:
    admission = governance.gate.admit(request)
    assert isinstance(admission, Waiting)
    return admission.approval


def entries(governance: Governance, kind: str = "approval") -> list[Any]:
    governance.gate.flush()
    return [entry.body for entry in governance.audit.entries(kind=kind)]


def ran(governance: Governance, admission: Admission) -> Permit:
    assert isinstance(admission, Permit)
    governance.gate.finish(admission, Outcome(status="done", usage=Usage(calls=1)))
    return admission


def refused(admission: Admission) -> str:
    assert isinstance(admission, Refusal)
    return "; ".join(admission.error.reasons)


# --- Yes and no -------------------------------------------------------------------------------------------------------


def test_an_ask_that_is_answered_yes_is_a_permit_though_nothing_allows_it(governance: Governance) -> None:
    question = ask(governance, call("refund"))
    governance.approvals.approve(question, by="ada")
    permit = ran(governance, governance.gate.admit(call("refund")))
    assert permit.decision.effect == "ask"
    assert [one["decision"]["effect"] for one in entries(governance, "decision")] == ["ask", "ask"]


def test_what_nothing_asks_about_and_nothing_allows_stays_a_deny(governance: Governance) -> None:
    assert refused(governance.gate.admit(call("unheard"))) == "no policy allows this"


def test_without_a_demand_anybody_answers_also_who_asked(governance: Governance) -> None:
    assert governance.approvals.approve(ask(governance, call("refund")), by="eva").state == "approved"


def test_a_demand_makes_an_allowed_call_wait(governance: Governance) -> None:
    question = ask(governance, call("allowed"))
    assert governance.approvals.approve(question, by="ada").state == "pending"
    assert isinstance(governance.gate.admit(call("allowed")), Waiting)
    assert governance.approvals.approve(question, by="bob").state == "approved"
    ran(governance, governance.gate.admit(call("allowed")))


# --- Several people ---------------------------------------------------------------------------------------------------


def test_a_person_counts_once_however_they_write_their_name(governance: Governance) -> None:
    question = ask(governance, call("shared"))
    assert governance.approvals.approve(question, by="ada").state == "pending"
    for name in ("ada", "Ada", "user:ada", " ADA "):
        with pytest.raises(ApprovalError, match=r"has agreed to .* already; one person counts once"):
            governance.approvals.approve(question, by=name)
    assert governance.approvals.approve(question, by="bob").state == "approved"
    assert [(one["state"], one["agreed"], one["needed"]) for one in entries(governance)] == [
        ("pending", 1, 2),
        ("approved", 2, 2),
    ]
    permit = ran(governance, governance.gate.admit(call("shared")))
    approval: Any = permit.document["approval"]
    assert [one["by"] for one in approval["answers"]] == ["ada", "bob"]


@pytest.mark.parametrize("name", ["eva", "user:eva", "desk", "triage"])
def test_who_asked_and_the_agents_never_count_where_others_must_agree(governance: Governance, name: str) -> None:
    question = ask(governance, call("shared"))
    with pytest.raises(ApprovalError, match="has asked for it or carries it out"):
        governance.approvals.approve(question, by=name)
    [said] = entries(governance)
    assert (said["event"], said["by"], said["said"]) == ("refused", name, "approved")
    assert governance.approvals.get(question).state == "pending"


def test_one_no_rejects_also_after_a_yes_and_by_who_asked(governance: Governance) -> None:
    for key, name in (("a", "bob"), ("b", "eva"), ("c", "ada")):
        question = ask(governance, call("shared", key))
        governance.approvals.approve(question, by="ada")
        found = governance.approvals.reject(question, by=name, reason="no")
        assert (found.state, found.answered_by) == ("rejected", name)
        assert refused(governance.gate.admit(call("shared", key))) == f"rejected by {name}: no"
        with pytest.raises(ApprovalError, match="is already rejected"):
            governance.approvals.approve(question, by="carl")


def test_of_three_roles_two_must_agree_each_by_a_person_of_its_own(governance: Governance) -> None:
    desk = governance.approvals
    for name, roles in (("ada", ["finance", "risk"]), ("bob", ["finance"]), ("carl", ["it"]), ("dora", ["finance"])):
        desk.enroll(Approver(name=name, roles=tuple(roles)), by="root")
    question = ask(governance, call("wire"))
    with pytest.raises(ApprovalError, match="`carl` is enrolled for none of the roles `finance`, `legal`, `risk`"):
        desk.approve(question, by="carl")
    with pytest.raises(ApprovalError, match="is enrolled for none of the roles"):
        desk.reject(question, by="mallory")
    assert desk.approve(question, by="bob").state == "pending"
    assert desk.approve(question, by="dora").state == "pending"
    assert desk.approve(question, by="ada").state == "approved"  # for risk: finance is taken
    ran(governance, governance.gate.admit(call("wire")))
    assert [one["roles"] for one in entries(governance) if "answer" in one] == [
        ["finance"],
        ["finance"],
        ["finance", "risk"],
    ]


def test_roles_are_those_of_the_moment_at_which_the_call_is_made(governance: Governance) -> None:
    desk = governance.approvals
    for name, role in (("ada", "finance"), ("bob", "risk")):
        desk.enroll(Approver(name=name, roles=(role,)), by="root")
    question = ask(governance, call("wire"))
    desk.approve(question, by="ada")
    assert desk.approve(question, by="bob").state == "approved"
    desk.enroll(Approver(name="bob", roles=("it",)), by="root")
    said = refused(governance.gate.admit(call("wire")))
    assert said.startswith("the agreement that was given is not enough: 2 people of `finance`, `risk`, `legal`")


def test_a_restart_between_two_answers_loses_neither(store_url: str, policies: Path, tmp_path: Path) -> None:
    for turn in ("ask", "ada", "bob", "run"):
        with Governance.open(store_url, policies=policies, key=tmp_path / "log.key") as governance:
            if turn == "ask":
                ask(governance, call("shared"))
            elif turn == "run":
                ran(governance, governance.gate.admit(call("shared")))
                governance.gate.flush()
                assert isinstance(governance.gate.admit(call("shared")), Replayed)
                assert governance.ledger.balance("org/default/agent/desk").posted.calls == 1
                assert len(entries(governance)) == 2
                governance.audit.verify()
            else:
                [found] = governance.approvals.list()
                governance.approvals.approve(found.id, by=turn)


# --- Changed arguments ------------------------------------------------------------------------------------------------


def test_a_change_begins_anew_and_others_agree_to_it_by_saying_it(governance: Governance) -> None:
    desk, question = governance.approvals, ask(governance, call("shared"))
    assert desk.approve(question, by="ada").state == "pending"
    assert desk.approve(question, by="bob", args={"amount": 4}).state == "pending"
    with pytest.raises(
        ApprovalError, match="`bob` has changed `amount` since it was asked; agree to that with the same"
    ):
        desk.approve(question, by="carl")
    assert desk.approve(question, by="ada", args={"amount": 4}).state == "approved"
    permit = ran(governance, governance.gate.admit(call("shared")))
    assert permit.action.args == {"amount": 4}  # type: ignore[union-attr]
    assert permit.amended is not None
    assert permit.amended.by == "bob"


def test_what_the_log_hides_stays_hidden_when_it_is_changed(governance: Governance, store_url: str) -> None:
    desk, question = governance.approvals, ask(governance, call("hidden", iban="DE00 1111", amount=5))
    desk.approve(question, by="ada", args={"iban": "DE99 2222", "amount": 4})
    shown = entries(governance)[0]["changed"]["args"]
    assert shown["amount"] == 4
    assert set(shown["iban"]) == {"$masked"}
    permit = ran(governance, governance.gate.admit(call("hidden", iban="DE00 1111", amount=5)))
    assert permit.action.args == {"iban": "DE99 2222", "amount": 4}  # type: ignore[union-attr]
    governance.gate.flush()
    assert "DE99 2222" not in repr([entry.body for entry in governance.audit.entries()])


def test_a_no_changes_nothing(governance: Governance) -> None:
    question = ask(governance, call("shared"))
    with pytest.raises(ApprovalError, match="lets no approver change `to` of `shared`"):
        governance.approvals.approve(question, by="ada", args={"to": "x"})
    assert entries(governance) == []


# --- Who it is --------------------------------------------------------------------------------------------------------


def signed(governance: Governance, question: str, signer: Signer, *, by: str = "ada", approve: bool = True) -> str:
    return sign(governance.approvals.statement(question, by=by, approve=approve), signer)


@pytest.fixture
def ada() -> Signer:
    return Signer("ada", b"\1" * 32)


def test_a_signed_answer_stands_in_the_log_and_can_be_checked_with_the_public_key_alone(
    governance: Governance, ada: Signer
) -> None:
    governance.approvals.enroll(Approver(name="ada", key=str(ada.verifier)), by="root")
    question = ask(governance, call("proved"))
    found = governance.approvals.get(question)
    answered = governance.approvals.approve(question, by="ada", signed=signed(governance, question, ada))
    assert answered.state == "approved"
    enrolled, said = entries(governance)
    assert (enrolled["event"], enrolled["key"], enrolled["by"]) == ("enrolled", str(ada.verifier), "root")
    statement = check_signed(said["signed"], str(ada.verifier)).split("\n")
    assert statement[0] == "openclaw answer v1"
    assert statement[2:7] == [question, found.args_digest, "-", "approved", "ada"]
    with pytest.raises(VerificationError, match="is not signed with this key, or has been changed"):
        check_signed(said["signed"].replace("approved", "rejected"), str(ada.verifier))
    ran(governance, governance.gate.admit(call("proved")))


@pytest.mark.parametrize("proof", ["none", "other key", "other answer", "other question", "token", "stranger"])
def test_an_answer_that_proves_nothing_is_refused_and_recorded(governance: Governance, ada: Signer, proof: str) -> None:
    governance.approvals.enroll(Approver(name="ada", key=str(ada.verifier)), by="root")
    question, other = ask(governance, call("proved")), ask(governance, call("proved", "other"))
    given: dict[str, str] = {
        "none": {},
        "other key": {"signed": signed(governance, question, Signer("ada", b"\2" * 32))},
        "other answer": {"signed": signed(governance, question, ada, approve=False)},
        "other question": {"signed": signed(governance, other, ada)},
        "token": {"token": new_token()[0]},
        "stranger": {"signed": signed(governance, question, ada, by="bob")},
    }[proof]
    with pytest.raises(ApprovalError):
        governance.approvals.approve(question, by="bob" if proof == "stranger" else "ada", **given)
    assert entries(governance)[-1]["event"] == "refused"
    assert governance.approvals.get(question).state == "pending"


def test_who_has_a_key_always_answers_with_it(governance: Governance, ada: Signer) -> None:
    governance.approvals.enroll(Approver(name="ada", key=str(ada.verifier)), by="root")
    question = ask(governance, call("refund"))
    with pytest.raises(ApprovalError, match="an answer of `ada` must be authenticated, and this one is not"):
        governance.approvals.approve(question, by="ada")
    with pytest.raises(ApprovalError, match="must be authenticated"):
        governance.approvals.reject(question, by="user:Ada")


def test_a_token_proves_it_too_and_stands_nowhere(governance: Governance) -> None:
    token, digest = new_token()
    governance.approvals.enroll(Approver(name="ada", token=digest), by="root")
    question = ask(governance, call("proved"))
    with pytest.raises(ApprovalError, match="the token is not that of `ada`"):
        governance.approvals.approve(question, by="ada", token=new_token()[0])
    governance.approvals.approve(question, by="ada", token=token)
    assert entries(governance)[-1]["proof"] == "token"
    assert token not in repr(entries(governance))
    ran(governance, governance.gate.admit(call("proved")))


def test_an_answer_counts_no_more_when_its_key_is_replaced(governance: Governance, ada: Signer) -> None:
    governance.approvals.enroll(Approver(name="ada", key=str(ada.verifier)), by="root")
    question = ask(governance, call("proved"))
    governance.approvals.approve(question, by="ada", signed=signed(governance, question, ada))
    governance.approvals.enroll(Approver(name="ada", key=str(Signer("ada", b"\3" * 32).verifier)), by="root")
    assert "1 person must agree, with proof of who they are, and nobody has" in refused(
        governance.gate.admit(call("proved"))
    )


def test_a_governance_may_want_proof_of_every_answer(store_url: str, policies: Path, tmp_path: Path) -> None:
    ada = Signer("ada", b"\1" * 32)
    settings: Any = {"policies": policies, "key": tmp_path / "log.key"}
    approvers = [Approver(name="ada", roles=("finance",), key=str(ada.verifier))]
    with Governance.open(store_url, approvers=approvers, authenticated=True, **settings) as governance:
        question = ask(governance, call("refund"))
        with pytest.raises(ApprovalError, match="`bob` is not enrolled, so nothing proves who answers"):
            governance.approvals.approve(question, by="bob")
        governance.approvals.approve(question, by="ada", signed=signed(governance, question, ada))
        ran(governance, governance.gate.admit(call("refund")))
        assert [one.name for one in governance.approvals.approvers()] == ["ada"]
    with Governance.open(store_url, approvers=approvers, **settings) as governance:
        assert [one["event"] for one in entries(governance) if "event" in one] == ["enrolled", "refused"]


def test_a_row_that_nobody_signed_does_not_pass_for_an_answer(governance: Governance, ada: Signer) -> None:
    """Whoever can write to the database, and has no key, cannot make up an answer where proof is demanded."""
    import sqlalchemy as sa

    governance.approvals.enroll(Approver(name="ada", key=str(ada.verifier)), by="root")
    question = ask(governance, call("proved"))
    note = signed(governance, question, ada, approve=False)

    def forge(transaction: Any) -> None:
        forged = {"approval": question, "person": "ada", "by": "ada", "answer": "approved", "reason": "", "changed": ""}
        row = {**forged, "at": "2026-11-30T00:00:00.000000Z", "proof": note}
        columns = ", ".join(row)
        transaction.connection.execute(
            sa.text(f"INSERT INTO openclaw_answer ({columns}) VALUES ({', '.join(f':{name}' for name in row)})"), row
        )
        transaction.connection.execute(
            sa.text("UPDATE openclaw_approval SET state = 'approved', answered_by = 'ada', answered_at = requested_at")
        )

    governance._store.run(forge)
    assert "nobody has" in refused(governance.gate.admit(call("proved")))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": " "}, "cannot name an approver"),
        ({"name": "a\nb"}, "cannot name an approver"),
        ({"name": "ada", "roles": ("",)}, "a role is named"),
        ({"name": "ada", "key": "nonsense"}, "the public key is not an Ed25519 key"),
        ({"name": "ada", "token": "the token itself"}, "is kept by its digest"),
    ],
)
def test_what_makes_no_approver_is_one_clear_error(fields: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Approver(**fields)


def test_two_declared_approvers_are_two_people(store_url: str, policies: Path, tmp_path: Path) -> None:
    two = [Approver(name="ada"), Approver(name="user:Ada")]
    with pytest.raises(ConfigurationError, match="two approvers have one name"):
        Governance.open(store_url, policies=policies, key=tmp_path / "log.key", approvers=two)


def test_a_change_needs_the_key_of_the_log(governance: Governance) -> None:
    from openclaw.answers import Answers, Said
    from openclaw.approvals import Approvals
    from openclaw.approvers import Approvers
    from openclaw.audit import AuditLog

    store = governance._store
    question = ask(governance, call("shared"))
    log = AuditLog(store, None)
    answers = Answers(store, log, Approvals(store), Approvers(store, log))
    with pytest.raises(AuditError, match="nothing can be masked without the key of the log"):
        answers.give(question, Said(by="ada", approve=True, args={"amount": 1}))
    assert answers.give(question, Said(by="ada", approve=True)).state == "pending"


def test_the_questions_are_found_by_their_state_and_by_their_entries(governance: Governance) -> None:
    made = {key: ask(governance, call("refund", key)) for key in ("waits", "yes", "no", "used")}
    for key in ("yes", "used"):
        governance.approvals.approve(made[key], by="ada")
    governance.approvals.reject(made["no"], by="ada")
    ran(governance, governance.gate.admit(call("refund", "used")))
    approvals = governance.gate._approvals
    states: dict[Any, str] = {"pending": "waits", "approved": "yes", "rejected": "no", "used": "used"}
    for state, key in states.items():
        assert [one.id for one in approvals.list(state)] == [made[key]]
    assert approvals.list("expired") == []
    assert [one.id for one in approvals.list(None)] == list(made.values())
    known = {key: approvals.get(question) for key, question in made.items()}
    asked = {known[key].seq: known[key].requested_at for key in ("no", "waits")}
    found = approvals.of({**asked, 999_999: known["no"].requested_at})
    assert {seq: one.id for seq, one in found.items()} == {known[key].seq: made[key] for key in ("no", "waits")}
    assert found[known["no"].seq].answers[0].by == "ada"
    assert approvals.of({}) == {}


def test_a_question_whose_time_is_over_is_found_as_expired(store_url: str, policies: Path, tmp_path: Path) -> None:
    clock = FakeClock()
    with Governance.open(store_url, policies=policies, key=tmp_path / "log.key", clock=clock) as governance:
        waits, agreed = (ask(governance, call("refund", key)) for key in ("waits", "agreed"))
        governance.approvals.approve(agreed, by="ada")
        clock.advance(WAIT_SECONDS + 1)
        assert [one.id for one in governance.approvals.list("expired")] == [waits, agreed]
        assert governance.approvals.list("pending") == governance.approvals.list("approved") == []


def test_an_approval_under_the_same_key_for_other_arguments_is_worth_nothing(governance: Governance) -> None:
    question = ask(governance, call("refund", amount=10))
    governance.approvals.approve(question, by="ada")
    assert refused(governance.gate.admit(call("refund", amount=11))) == "the approval was given for other arguments"
    assert governance.approvals.get(question).state == "approved"
