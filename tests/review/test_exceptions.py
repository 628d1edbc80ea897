"""Exceptions in the review queue, in the counts and in the report: until somebody else than whoever opened them has judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openclaw.action import Principal, Run, ToolCall
from openclaw.approvers import Approver, sign
from openclaw.audit import Signer
from openclaw.audit.reading import Reader
from openclaw.breakglass import PolicyException
from openclaw.budget import Usage
from openclaw.errors import ApprovalError
from openclaw.gate import Outcome, Permit, Refusal, Request
from openclaw.governance import Governance
from openclaw.policy import Bundle
from openclaw.policy.embedded import open_bundle
from openclaw.review.document import as_markdown
from openclaw.review.entries import detail, event, lifted
from openclaw.review.evidence import gather
from openclaw.review.exceptions import watched
from openclaw.review.period import Period
from openclaw.review.query import Query
from openclaw.review.queue import queue
from openclaw.review.replay import compare
from openclaw.review.report import report_of
from openclaw.review.signatures import signature_of, signed_answers
from openclaw.review.stats import count
from openclaw.review.timeline import timeline
from openclaw.review.verdicts import add_review
from openclaw.testing import FakeClock

POLICY = """\
package openclaw.policies.desk

import rego.v1

allow if input.tool.name == "refund"

deny contains "refunds stop" if not input.exception
"""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def governance(store_url: str, tmp_path: Path, clock: FakeClock) -> Iterator[Governance]:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "desk.rego").write_text(POLICY)
    with Governance.open(
        store_url, policies=open_bundle(Bundle.read(folder), deadline_s=60), key=tmp_path / "log.key", clock=clock
    ) as opened:
        yield opened


def request(key: str, run: Run | None = None) -> Request:
    action = ToolCall(principal=Principal(agent="desk"), name="refund", args={"amount": 5}, call_id=key)
    return Request(action=action, run=run, hold=Usage(calls=1), key=key, can_wait=True)


def use(governance: Governance, key: str, run: Run | None = None) -> int:
    permit = governance.gate.admit(request(key, run))
    assert isinstance(permit, Permit)
    governance.gate.finish(permit, Outcome(status="done"))
    governance.gate.flush()
    return permit.seq


def opened(governance: Governance, **said: Any) -> PolicyException:
    return governance.exceptions.open(**{"agent": "desk", "by": "eva", "reason": "the bank is down", "uses": 3, **said})


def waiting(governance: Governance, **narrowed: Any) -> list[tuple[str, int]]:
    reader = Reader(governance.gate._store)
    return [(item.name, item.entry.seq) for item in queue(reader, Query(**narrowed))]


def judge(governance: Governance, seq: int, by: str, verdict: Any = "agreed") -> None:
    add_review(governance.audit, seq, by=by, verdict=verdict)


def test_an_exception_and_each_of_its_uses_wait_until_somebody_else_has_judged_them(governance: Governance) -> None:
    one = opened(governance)
    uses = [use(governance, "1") + 1, use(governance, "2") + 1]
    whole = [("exception", one.seq), *(("exception use", seq) for seq in uses)]
    assert waiting(governance) == whole
    for name in ("eva", "Eva", "user:eva"):
        for seq in (one.seq, *uses):
            judge(governance, seq, name)
    assert waiting(governance) == whole
    judge(governance, one.seq, "tom", "follow-up")
    judge(governance, uses[0], "tom", "disputed")
    assert waiting(governance) == [whole[0], whole[2]]
    judge(governance, one.seq, "tom")
    judge(governance, uses[1], "ada")
    assert waiting(governance) == []
    judge(governance, uses[1], "eva", "disputed")  # nor does it bring anything back
    assert waiting(governance) == []


def test_it_stays_in_the_queue_when_it_is_over(governance: Governance, clock: FakeClock) -> None:
    expired, closed = opened(governance, seconds=60), opened(governance, agent="other")
    governance.exceptions.close(closed.id, by="tom")
    clock.advance(3600)
    assert waiting(governance) == [("exception", expired.seq), ("exception", closed.seq)]


def test_the_queue_can_be_narrowed_to_it(governance: Governance) -> None:
    one = opened(governance)
    used = use(governance, "1") + 1
    other = opened(governance, agent="other")
    assert waiting(governance, agent="desk") == [("exception", one.seq), ("exception use", used)]
    assert waiting(governance, kind="exception", agent="other") == [("exception", other.seq)]
    assert waiting(governance, kind="halt") == []


def test_what_is_known_of_exceptions_from_the_log_alone(governance: Governance) -> None:
    one = opened(governance)
    seq = use(governance, "1")
    governance.exceptions.close(one.id, by="tom", reason="the bank is back")
    judge(governance, one.seq, "eva")
    judge(governance, one.seq, "tom")
    found = watched(Reader(governance.gate._store))[one.id]
    assert [entry.body["decision"] for entry in found.uses] == [seq]
    assert found.closed is not None
    assert {of: review.by for of, review in found.verdicts.items()} == {one.seq: "tom"}
    assert found.waiting == (seq + 1,)
    assert found.reviewed == "waits in part"
    judge(governance, seq + 1, "ada")
    assert watched(Reader(governance.gate._store))[one.id].reviewed == "by tom, ada"
    assert watched(Reader(governance.gate._store), after=one.seq) == {}


def test_an_entry_says_it_in_a_line(governance: Governance) -> None:
    one = opened(governance, tool="refund", args=["amount<=5"])
    seq = use(governance, "1")
    governance.exceptions.close(one.id, by="tom", reason="the bank is back")
    lines = [(event(entry), detail(entry)) for entry in governance.audit.entries(kind="exception")]
    scope = "agent desk, tool refund, amount<=5"
    assert lines == [
        ("opened", f"{one.id} by eva, {scope}, 3 uses until 2026-11-23T11:00:00Z: the bank is down"),
        ("used", f"{one.id} by eva, use 1 of 3: entry {seq} in spite of refunds stop"),
        ("closed", f"{one.id} by tom: the bank is back"),
    ]


def test_a_decision_under_an_exception_is_made_again_from_its_record(governance: Governance) -> None:
    opened(governance)
    seq = use(governance, "1")
    [group] = compare([governance.audit.entry(seq)], governance.policy).groups
    assert (group.same, group.changed) == (1, 0)


def test_the_counts_and_the_report_have_it(governance: Governance) -> None:
    one = opened(governance)
    seq = use(governance, "1")
    judge(governance, one.seq, "eva")
    judge(governance, seq + 1, "tom", "disputed")
    found = count(governance.audit.entries())
    assert (found.exceptions, found.excepted) == (1, 1)
    governance.audit.checkpoint()
    period = Period.parse("2026-11-23", governance.gate._clock.now())
    reader = Reader(governance.gate._store)
    document = as_markdown(report_of(gather(governance.audit, reader, period))).decode()
    section = document[document.index("## Exceptions") : document.index("## Reviews")]
    rows = [line for line in section.splitlines() if line.startswith("| ") and one.id in line]
    assert len(rows) == 2
    assert "by nobody else yet" in rows[0]
    assert "disputed by tom" in rows[1]


def test_the_signature_of_whoever_opened_it_is_checked_with_the_key_that_they_had_then(governance: Governance) -> None:
    key, other = Signer.generate("eva"), Signer.generate("eva")
    governance.approvals.enroll(Approver(name="eva", key=str(key.verifier)), by="root")
    one = opened(governance, sign_with=key, args=["amount<=5"])
    [signed] = signed_answers(governance.audit)
    assert (signed.what, str(signed)) == ("exception", f"by eva, holds under {key.verifier}")
    assert signature_of(governance.audit, governance.audit.entry(one.seq)) == signed
    body = dict(governance.audit.entry(one.seq).body)
    for changed in ({"uses": 99}, {"scope": {"agent": "desk"}}, {"reason": "me"}, {"by": "tom"}):
        governance.audit.append({"kind": "exception", "body": body | changed})
    governance.approvals.enroll(Approver(name="eva", key=str(other.verifier)), by="root")
    governance.audit.append({"kind": "exception", "body": body | {"key": str(other.verifier)}})
    faults = [one.fault for one in signed_answers(governance.audit)]
    other_statement = "what was signed is another exception than the entry says"
    assert faults == ["", *[other_statement] * 4, "the answer is not signed with this key, or has been changed since"]


def test_a_decision_and_its_run_tell_of_the_exception(governance: Governance) -> None:
    run = governance.gate.open_run(workflow="", thread="t", resumed=False)
    denied = governance.gate.admit(request("0", run))
    assert isinstance(denied, Refusal)
    one = opened(governance, uses=1)
    seq = use(governance, "1", run)
    under = f"{one.id} by eva, use 1 of 1, in spite of refunds stop"
    assert lifted(governance.audit.entry(seq)) == under
    assert [step.excepted for step in timeline(governance.audit, run.id).steps] == ["", under]
    assert isinstance(governance.gate.admit(request("2", run)), Refusal)
    spent = governance.audit.entries(kind="decision")[-1]
    assert lifted(spent) == f"{one.id} by eva: is used up: 1 of 1"
    assert lifted(governance.audit.entry(one.seq)) == ""


def test_whoever_is_withdrawn_between_the_check_and_the_record_has_said_nothing(governance: Governance) -> None:
    approvers = governance.gate.approvers
    key = Signer.generate("ada")
    governance.approvals.enroll(Approver(name="ada", key=str(key.verifier)), by="root")
    voice, proof = approvers.prove("ada", "so it is\n", signed=sign("so it is\n", key), token="", needed=True)
    governance.approvals.withdraw("ada", by="root")
    with pytest.raises(ApprovalError, match="`ada` is not enrolled any more"):
        governance.gate._store.run(lambda transaction: approvers.recorded(voice, "ada", proof, transaction))
