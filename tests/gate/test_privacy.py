"""Nothing that must be hidden reaches the database, by any way that values take; and nothing that the agent gets changes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from openclaw.action import Handoff, MemoryAccess, Principal, Run, ToolCall
from openclaw.audit import veil as veils
from openclaw.audit.mask import hides, keyed_digest
from openclaw.audit.privacy import KEEP_SECONDS, SWEEP_SECONDS
from openclaw.budget import Budget, Usage
from openclaw.errors import AuditError
from openclaw.gate import Outcome, Permit, Refusal, Replayed, Request, Waiting
from openclaw.governance import Governance
from openclaw.store.tables import Table
from tests.support.story import StillClock

POLICY = """\
package openclaw.policies.desk

import rego.v1

allow if input.kind in {"tool", "handoff", "memory"}

ask contains sprintf("a person must look at %v", [input.tool.args.note]) if input.tool.args.ask

ask contains sprintf("%v calls are left for %v", [input.budget.remaining.calls, what]) if what := input.tool.args.counted

deny contains sprintf("the password %v is too short", [input.tool.args.password]) if count(input.tool.args.password) < 10

oblige contains {"kind": "mask", "fields": ["args.iban", "args.amount", "result.iban"]} if input.tool.name == "pay"

oblige contains {"kind": "audit", "level": "full"} if input.tool.args.full

oblige contains {
	"kind": "mask", "fields": ["args.diagnosis", "principal.on_behalf_of", "result.diagnosis"],
	"subject": "principal.on_behalf_of"
} if input.tool.name == "record"

oblige contains {"kind": "mask", "fields": ["args.diagnosis"], "subject": input.tool.args.who} if input.tool.args.who
"""

EVA = Principal(agent="clerk", workflow="returns", on_behalf_of="user:eva.example")
RUN = Run(id="run-1", thread="t")
PASSWORD = "hunter-twenty-two"
IBAN = "DE89370400440532013000"
TOKEN = "gh" + "p_" + "A1b2C3d4E5" * 4


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def governance(store_url: str, tmp_path: Path, clock: StillClock) -> Iterator[Governance]:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "desk.rego").write_text(POLICY)
    with Governance.open(store_url, policies=folder, key=tmp_path / "log.key", clock=clock) as opened:
        yield opened


def call(name: str, key: str | None = None, principal: Principal = EVA, **args: object) -> Request:
    action = ToolCall(principal=principal, name=name, args=args, call_id=key or "")
    return Request(action=action, run=RUN, hold=Usage(calls=1), key=key, can_wait=True)


def permit(governance: Governance, request: Request) -> Permit:
    admission = governance.gate.admit(request)
    assert isinstance(admission, Permit), admission
    return admission


def everything(governance: Governance) -> str:
    """All that the database holds, as text; sealed bytes as Latin-1."""
    governance.gate.flush()
    cells: list[str] = []
    with governance._store.read() as connection:
        for table in Table.metadata.sorted_tables:
            for row in connection.execute(sa.select(table)):
                cells += [
                    bytes(cell).decode("latin-1") if isinstance(cell, bytes | memoryview) else str(cell) for cell in row
                ]
    return "\n".join(cells)


def test_no_way_leads_a_secret_into_the_database(governance: Governance) -> None:
    gate = governance.gate
    secrets: dict[str, object] = {
        "password": PASSWORD,
        "headers": {"Authorization": f"Bearer {TOKEN}"},
        "iban": IBAN,
        "amount": 77231,
    }
    before = copy.deepcopy(secrets)
    result = {"iban": IBAN, "echo": f"{PASSWORD} {TOKEN}", "token": 998877}
    # allowed, with a result kept whole, a replay, and an error that repeats what it was given
    first = permit(governance, call("pay", "k1", full=True, **secrets))
    assert first.action.args == {"full": True, **secrets}  # type: ignore[union-attr]
    gate.finish(first, Outcome(status="done", result=result, replay=json.dumps(result).encode()))
    second = permit(governance, call("pay", "k2", **secrets))
    gate.finish(second, Outcome(status="failed", error=f"ValueError: {PASSWORD} is no good for {IBAN}"))
    # asked, answered by somebody who repeats it, and refused later
    asked = gate.admit(call("pay", "k3", ask=True, note=f"{TOKEN} and {IBAN}", **secrets))
    assert isinstance(asked, Waiting)
    assert TOKEN in asked.reasons[0]
    governance.approvals.reject(asked.approval, by="ann", reason=f"never {TOKEN}")
    # denied by a rule that puts the secret into its reason
    denied = gate.admit(call("pay", "k4", password="short-77"))
    assert isinstance(denied, Refusal)
    assert denied.error.reasons == ("the password short-77 is too short",)
    # hand-offs and memory
    for action in (
        Handoff(principal=EVA, name="transfer", args={"agent": "b", "note": f"use {TOKEN}"}),
        MemoryAccess(principal=EVA, name="put", args={"value": {"api_key": PASSWORD}}),
    ):
        gate.finish(permit(governance, Request(action=action, run=RUN)), Outcome(status="done", result=TOKEN))
    stored = everything(governance)
    for secret in (PASSWORD, TOKEN, IBAN, "77231", "998877", "short-77"):
        assert secret not in stored, secret
    assert secrets == before
    assert governance.audit.verify().ok


def test_equal_values_have_equal_digests_whatever_their_type(governance: Governance) -> None:
    for amount in (5, 5, 6, True, "5"):
        governance.gate.finish(permit(governance, call("pay", amount=amount)), Outcome(status="done"))
    found = [
        entry.body["input"]["tool"]["args"]["amount"]["$masked"] for entry in governance.audit.entries(kind="decision")
    ]  # type: ignore
    assert found[0] == found[1] == governance.audit.privacy.keyed(5)
    assert len(set(found)) == 4


def test_what_is_handed_back_again_is_exact_and_sealed_until_then(governance: Governance, clock: StillClock) -> None:
    request = call("pay", "k1", password=PASSWORD)
    passed = permit(governance, request)
    replay = f"the result with {PASSWORD}".encode()
    governance.gate.finish(passed, Outcome(status="done", replay=replay))
    assert governance.gate.admit(request) == Replayed(passed.seq, replay)
    assert PASSWORD not in everything(governance)
    clock.pass_ms(KEEP_SECONDS * 1000 - 1)
    permit(governance, call("other"))
    assert governance.gate.admit(request) == Replayed(passed.seq, replay)
    clock.pass_ms(SWEEP_SECONDS * 1000 + 2)
    permit(governance, call("other"))
    # its time is over: nothing is run again, and there is nothing to hand back
    assert governance.gate.admit(request) == Replayed(passed.seq, b"")
    with governance._store.read() as connection:
        assert (
            connection.execute(sa.text("SELECT count(*) FROM openclaw_action WHERE kept_until <> ''")).scalar_one() == 0
        )


def test_a_refusal_says_the_same_again_until_its_time_is_over(governance: Governance, clock: StillClock) -> None:
    request = call("pay", "k1", password="short-77")
    first, again = governance.gate.admit(request), governance.gate.admit(request)
    assert isinstance(first, Refusal)
    assert isinstance(again, Refusal)
    assert again.error.reasons == first.error.reasons == ("the password short-77 is too short",)
    clock.pass_ms((KEEP_SECONDS + SWEEP_SECONDS) * 1000 + 2)
    permit(governance, call("other"))
    later = governance.gate.admit(request)
    assert isinstance(later, Refusal)
    assert (later.error.seq, later.error.message) == (
        first.error.seq,
        f"this call was refused before: entry {first.error.seq} says why",
    )


def test_with_another_signing_key_nothing_kept_opens_and_nothing_runs_again(
    governance: Governance, store_url: str, tmp_path: Path, clock: StillClock
) -> None:
    request = call("pay", "k1", note="x")
    passed = permit(governance, request)
    governance.gate.finish(passed, Outcome(status="done", replay=b"result"))
    governance.gate.flush()
    with Governance.open(store_url, policies=tmp_path / "policies", key=tmp_path / "other.key", clock=clock) as other:
        assert other.gate.admit(request) == Replayed(passed.seq, b"")


def test_a_mask_that_fails_masks_everything_and_the_call_goes_on(
    governance: Governance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr(veils, "secrets_in", fails)
    passed = permit(governance, call("pay", full=True, password=PASSWORD, note="a note of some length"))
    governance.gate.finish(passed, Outcome(status="done", result={"iban": IBAN, "note": "a note of some length"}))
    stored = everything(governance)
    assert PASSWORD not in stored
    assert IBAN not in stored
    assert "a note of some length" not in stored
    decision = governance.audit.entry(passed.seq)
    assert hides(decision.body["input"])
    assert (decision.agent, decision.tool, decision.effect) == ("clerk", "pay", "allow")


def test_a_result_is_recorded_as_it_was_when_it_came(governance: Governance) -> None:
    from openclaw.canonical import digest

    passed = permit(governance, call("look", full=True))
    result: dict[str, Any] = {"rows": [1, 2]}
    expected = digest(result)
    governance.gate.finish(passed, Outcome(status="done", result=result))
    result["rows"].append(3)
    result["later"] = True
    governance.gate.flush()
    kept = governance.audit.entries(kind="outcome")[0].body["result"]
    assert kept == {"digest": expected, "bytes": 14, "result": {"rows": [1, 2]}}


# Persons ------------------------------------------------------------------------------------------------------------


def test_a_persons_values_are_sealed_revealed_to_those_with_the_key_and_gone_when_forgotten(
    governance: Governance,
) -> None:
    log = governance.audit
    first = permit(governance, call("record", full=True, diagnosis={"code": "J45", "since": 2019}))
    governance.gate.finish(first, Outcome(status="done", result={"diagnosis": "asthma", "ok": True}))
    permit(governance, call("record", principal=EVA.model_copy(update={"on_behalf_of": "user:bob"}), diagnosis="none"))
    stored = everything(governance)
    for value in ("J45", "2019", "asthma", "eva.example"):
        assert value not in stored
    entry = log.entry(first.seq)
    sealed = entry.body["input"]["tool"]["args"]["diagnosis"]["$sealed"]  # type: ignore
    assert sealed["subject"] == log.privacy.subject("user:eva.example")  # type: ignore
    assert log.revealed(entry).body["input"]["tool"]["args"]["diagnosis"] == {"code": "J45", "since": 2019}  # type: ignore
    assert log.revealed(entry).body["input"]["principal"]["on_behalf_of"] == "user:eva.example"  # type: ignore
    outcome = log.entries(kind="outcome")[0]
    assert log.revealed(outcome).body["result"]["result"] == {"diagnosis": "asthma", "ok": True}  # type: ignore
    proof = log.prove(first.seq)

    forgotten = log.forget("user:eva.example", by="officer")
    assert log.entry(forgotten.seq).kind == "erasure"
    assert log.revealed(entry) == entry
    assert log.revealed(outcome) == outcome
    assert proof.check(log.verifier)
    assert log.prove(first.seq).read() == entry
    assert log.verify().ok
    others = log.revealed(log.entries(kind="decision")[1])
    assert others.body["input"]["tool"]["args"]["diagnosis"] == "none"  # type: ignore
    with pytest.raises(AuditError, match="nothing is sealed"):
        log.forget("user:eva.example", by="officer")


def test_a_person_who_comes_back_gets_a_new_key(governance: Governance) -> None:
    log = governance.audit
    first = permit(governance, call("record", diagnosis="old"))
    log.forget("user:eva.example", by="officer")
    second = permit(governance, call("record", diagnosis="new"))
    old, new = log.entry(first.seq), log.entry(second.seq)
    assert log.revealed(old) == old
    assert log.revealed(new).body["input"]["tool"]["args"]["diagnosis"] == "new"  # type: ignore


def test_a_subject_may_be_named_and_where_there_is_none_the_value_is_masked(governance: Governance) -> None:
    log = governance.audit
    named = permit(governance, call("note", who="patient 7", diagnosis="x-1"))
    nobody = permit(governance, call("record", principal=Principal(agent="clerk"), diagnosis="x-1"))
    assert "$sealed" in log.entry(named.seq).body["input"]["tool"]["args"]["diagnosis"]  # type: ignore
    # the name itself stands where the policy did not hide it, but nowhere that only the log put it
    assert "patient 7" not in json.dumps(log.entry(named.seq).body["decision"])
    assert log.entry(nobody.seq).body["input"]["tool"]["args"]["diagnosis"] == {  # type: ignore
        "$masked": keyed_digest("x-1", log.privacy._mask_key)
    }
    log.forget("patient 7", by="officer")
    assert log.verify().ok


def test_the_destroyed_key_is_not_in_the_files_any_more(governance: Governance, store_url: str) -> None:
    if not store_url.startswith("sqlite"):
        pytest.skip("PostgreSQL keeps its files to itself; what may remain there is said by `forget`")
    permit(governance, call("record", diagnosis="asthma"))
    with governance._store.read() as connection:
        wrapped = bytes(connection.execute(sa.text("SELECT wrapped FROM openclaw_subject")).scalar_one())
    database = Path(store_url.removeprefix("sqlite:///"))
    files = [database, database.with_name(database.name + "-wal")]
    assert any(wrapped in file.read_bytes() for file in files)
    forgotten = governance.audit.forget("user:eva.example", by="officer")
    assert forgotten.remains == ("backups of the database",)
    assert not any(wrapped in file.read_bytes() for file in files)


def test_sealing_under_another_signing_key_lets_nothing_pass(
    governance: Governance, store_url: str, tmp_path: Path, clock: StillClock
) -> None:
    permit(governance, call("record", diagnosis="asthma"))
    with governance._store.read() as connection:
        assert len(governance.audit.privacy.keys(connection)) == 1
    with Governance.open(store_url, policies=tmp_path / "policies", key=tmp_path / "other.key", clock=clock) as other:
        # Under another signing key a person has another digest: a key of their own, which the first one cannot open.
        permit(other, call("record", diagnosis="asthma"))
        with pytest.raises(AuditError, match="does not open with the key of this log"):
            other.audit.revealed(other.audit.entry(1))


def test_a_malformed_subject_denies(governance: Governance) -> None:
    answer = governance.gate.admit(call("note", who=17, diagnosis="x-1"))
    assert isinstance(answer, Refusal)
    assert "malformed" in answer.error.reasons[0]
    assert "x-1" not in everything(governance)


async def test_a_question_that_is_put_again_gives_its_reasons_in_the_clear(governance: Governance) -> None:
    gate, asked = governance.gate, call("pay", key="k", ask=True, note=f"token {TOKEN}")
    first, again, later = gate.admit(asked), gate.admit(asked), await gate.aadmit(asked)
    assert isinstance(first, Waiting)
    assert first.reasons == (f"a person must look at token {TOKEN}",)
    assert again == later == first
    assert TOKEN not in everything(governance)


def test_its_reasons_are_those_of_the_same_budgets_of_labels_too(governance: Governance) -> None:
    team = "org/default/team/payments"
    governance.ledger.set_limit(team, Budget(calls=7))
    asked = replace(call("pay", key="k", counted=f"token {TOKEN}"), also={team: None})
    first, again = governance.gate.admit(asked), governance.gate.admit(asked)
    assert isinstance(first, Waiting)
    assert first.reasons == (f"7 calls are left for token {TOKEN}",)
    assert again == first
