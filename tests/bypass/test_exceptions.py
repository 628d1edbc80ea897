"""Routes round an exception: rows and entries that are written into the database by hand, and count for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from openclaw.action import Principal, ToolCall
from openclaw.approvers import Approver
from openclaw.audit import Signer
from openclaw.budget import Usage
from openclaw.errors import AuditError
from openclaw.gate import Outcome, Permit, Refusal, Request
from openclaw.governance import Governance
from openclaw.policy import Bundle
from openclaw.policy.embedded import open_bundle

POLICY = """\
package openclaw.policies.desk

import rego.v1

allow if input.tool.name == "refund"

deny contains "refunds stop" if not input.exception
"""


@pytest.fixture
def governance(store_url: str, tmp_path: Path) -> Iterator[Governance]:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "desk.rego").write_text(POLICY)
    with Governance.open(
        store_url, policies=open_bundle(Bundle.read(folder), deadline_s=60), key=tmp_path / "log.key"
    ) as opened:
        yield opened


def attempt(governance: Governance, key: str = "k") -> Permit | tuple[str, ...]:
    action = ToolCall(principal=Principal(agent="desk"), name="refund", args={"amount": 5}, call_id=key)
    admission = governance.gate.admit(Request(action=action, hold=Usage(calls=1), key=key, can_wait=True))
    if isinstance(admission, Permit):
        governance.gate.finish(admission, Outcome(status="done"))
        governance.gate.flush()
        return admission
    assert isinstance(admission, Refusal), admission
    return admission.error.reasons


def sql(governance: Governance, statement: str, **values: Any) -> None:
    """Whoever may write to the database may run this."""
    governance.gate._store.run(lambda tx: tx.connection.execute(sa.text(statement), values))


def row_of(governance: Governance) -> dict[str, Any]:
    with governance.gate._store.read() as connection:
        return dict(connection.execute(sa.text("SELECT * FROM openclaw_exception")).mappings().one())


def insert(governance: Governance, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    sql(governance, f"INSERT INTO openclaw_exception ({names}) VALUES ({', '.join(f':{name}' for name in row)})", **row)


def test_a_row_without_an_entry_counts_for_nothing(governance: Governance) -> None:
    governance.exceptions.open(agent="other", by="eva", reason="theirs")
    insert(governance, {**row_of(governance), "id": "exc-forged", "agent": "desk", "seq": 999})
    told = "the exception `exc-forged` does not count: there is no entry 999 that opened it"
    assert attempt(governance) == ("refunds stop", told)


def test_a_row_that_borrows_the_entry_of_another_exception_counts_for_nothing(governance: Governance) -> None:
    theirs = governance.exceptions.open(agent="other", by="eva", reason="theirs")
    insert(governance, {**row_of(governance), "id": "exc-forged", "agent": "desk"})
    told = f"the exception `exc-forged` does not count: it is not what entry {theirs.seq} opened"
    assert attempt(governance) == ("refunds stop", told)


@pytest.mark.parametrize(
    "change",
    [
        "agent = 'desk'",
        "agent = ''",
        "tool = ''",
        "args = '[]'",
        "uses = 1000",
        "expires_at = '2999-01-01T00:00:00.000000Z'",
        "\"by\" = 'root'",
        "reason = 'all is well'",
        "opened_at = '2026-01-01T00:00:00.000000Z'",
        "seal = ''",
        "seal = 'hmac-sha256:00'",
        "seq = 1",
    ],
)
def test_a_row_that_was_changed_counts_for_nothing(governance: Governance, change: str) -> None:
    scope: dict[str, Any] = {"agent": "desk", "tool": "refund", "args": ["amount<=5"]}
    if change.startswith(("agent", "tool", "args")):  # it would cover this call after the change alone
        scope |= {"agent": {"agent": "other"}, "tool": {"tool": "wipe"}, "args": {"args": ["amount<5"]}}[
            change.split()[0]
        ]
    opened = governance.exceptions.open(**scope, by="eva", reason="the bank is down")
    sql(governance, f"UPDATE openclaw_exception SET {change}")
    denied = attempt(governance)
    assert isinstance(denied, tuple)
    assert denied[0] == "refunds stop"
    assert denied[1].startswith(f"the exception `{opened.id}` does not count: ")


def test_a_row_that_cannot_be_read_refuses_and_says_so(governance: Governance) -> None:
    governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    sql(governance, "UPDATE openclaw_exception SET args = 'oops'")
    denied = attempt(governance)
    assert isinstance(denied, tuple)
    assert denied[0] == "refunds stop"
    assert "cannot be read: its row was changed" in denied[1]


def test_uses_that_are_set_back_count_for_nothing(governance: Governance) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="once")
    assert isinstance(attempt(governance, "1"), Permit)
    sql(governance, "UPDATE openclaw_exception SET used = 0")
    sql(governance, "DELETE FROM openclaw_exception_use")
    told = f"the exception `{opened.id}` does not count: the log knows of other uses of it, or of its end"
    assert attempt(governance, "2") == ("refunds stop", told)


def test_one_that_was_closed_and_is_opened_again_by_hand_counts_for_nothing(governance: Governance) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="once")
    governance.exceptions.close(opened.id, by="tom")
    sql(governance, "UPDATE openclaw_exception SET closed_at = ''")
    told = f"the exception `{opened.id}` does not count: the log knows of other uses of it, or of its end"
    assert attempt(governance) == ("refunds stop", told)


def test_an_entry_that_was_written_by_another_key_counts_for_nothing(governance: Governance, tmp_path: Path) -> None:
    """Somebody who may write to the database, and has not the key of the log, makes row and entry with a key of their own."""
    opened = governance.exceptions.open(agent="other", by="eva", reason="theirs")
    row = row_of(governance)
    forged = opened.model_copy(update={"id": "exc-forged", "scope": opened.scope.model_copy(update={"agent": "desk"})})
    body = dict(governance.audit.entry(opened.seq).body)
    body |= {"exception": "exc-forged", "scope": {"agent": "desk"}, "seal": "hmac-sha256:" + "0" * 64}
    entry = governance.audit.append({"kind": "exception", "agent": "desk", "body": body})
    at = entry.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    insert(
        governance,
        {**row, "id": forged.id, "agent": "desk", "seq": entry.seq, "opened_at": at, "seal": body["seal"]},
    )
    told = "the exception `exc-forged` does not count: the key of the log has not sealed it, or is another one since"
    assert attempt(governance) == ("refunds stop", told)


def test_an_entry_that_was_changed_counts_for_nothing_though_its_row_says_the_same(governance: Governance) -> None:
    opened = governance.exceptions.open(agent="other", by="eva", reason="theirs")
    body = json.dumps({**governance.audit.entry(opened.seq).body, "scope": {"agent": "desk"}}, sort_keys=True)
    sql(governance, "UPDATE openclaw_entry SET body = :body WHERE seq = :seq", body=body, seq=opened.seq)
    sql(governance, "UPDATE openclaw_exception SET agent = 'desk'")
    told = f"the exception `{opened.id}` does not count: it is not what entry {opened.seq} opened"
    assert attempt(governance) == ("refunds stop", told)
    assert not governance.audit.verify().ok


def test_a_proof_that_was_put_beside_a_name_counts_for_nothing(governance: Governance) -> None:
    """Opened by name alone, and given the digest of a token by hand, it would be authenticated."""
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    digest = "sha256:" + "a" * 64
    governance.approvals.enroll(Approver(name="eva", token=digest), by="root")
    sql(governance, "UPDATE openclaw_exception SET proof = :digest", digest=digest)
    told = f"the exception `{opened.id}` does not count: the key of the log has not sealed it, or is another one since"
    assert attempt(governance) == ("refunds stop", told)


def test_a_name_that_is_enrolled_with_a_key_afterwards_counts_no_more(governance: Governance) -> None:
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the bank is down")
    governance.approvals.enroll(Approver(name="eva", key=str(Signer.generate("eva").verifier)), by="root")
    told = f"the exception `{opened.id}` does not count: the key or the token of `eva` is another one since, or none"
    assert attempt(governance) == ("refunds stop", told)


def test_without_the_key_of_the_log_only_a_signature_opens_one(governance: Governance, store_url: str) -> None:
    from openclaw.approvers import Approvers
    from openclaw.audit import AuditLog
    from openclaw.exceptions import Exceptions

    key = Signer.generate("eva")
    governance.approvals.enroll(Approver(name="eva", key=str(key.verifier)), by="root")
    log = AuditLog(governance.gate._store, None)
    elsewhere = Exceptions(governance.gate._store, log, Approvers(governance.gate._store, log))
    with pytest.raises(AuditError, match="an exception is sealed with the key of the log, which is not here"):
        elsewhere.open(agent="desk", by="tom", reason="the bank is down")
    assert governance.exceptions.list(None) == []
    opened = elsewhere.open(agent="desk", by="eva", reason="the bank is down", sign_with=key)
    permit = attempt(governance)
    assert isinstance(permit, Permit)
    assert permit.document["exception"]["id"] == opened.id  # type: ignore[index, call-overload]
