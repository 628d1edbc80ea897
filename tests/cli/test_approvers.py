"""``openclaw approvals``: people with keys and tokens, several who must agree, and changed arguments, on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw.action import Principal, ToolCall
from openclaw.budget import Usage
from openclaw.cli import books
from openclaw.gate import Permit, Request, Waiting
from openclaw.governance import Governance
from tests.cli.conftest import Command
from tests.support.story import StillClock

POLICY = """\
package openclaw.policies.desk

import rego.v1

ask contains "a person decides" if input.kind == "tool"

oblige contains {"kind": "approve", "quorum": 2, "roles": ["finance", "risk"], "distinct": true} if input.tool.name == "wire"

oblige contains {"kind": "amend", "args": ["amount"]}
"""
ASKED = Request(
    action=ToolCall(principal=Principal(agent="desk"), name="wire", args={"amount": 75, "to": "acme"}, call_id="c"),
    hold=Usage(calls=1),
    key="k",
    can_wait=True,
)


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a database in which one question waits."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENCLAW_APPROVER_KEY", "OPENCLAW_APPROVER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "desk.rego").write_text(POLICY)
    clock = StillClock()
    monkeypatch.setattr(books, "CLOCK", clock)
    with Governance.open("sqlite:///openclaw.db", policies="policies", clock=clock) as governance:
        assert isinstance(governance.gate.admit(ASKED), Waiting)
        yield tmp_path


def test_two_people_agree_one_with_a_key_and_one_with_a_token(waiting: Path, openclaw: Command) -> None:
    said = openclaw("approvals", "enroll", "ada", "--role", "finance", "--new-key", "ada.key", "--by", "root")
    assert said.out.startswith("enrolled  ada (finance), key\nkey       ada+")
    assert (waiting / "ada.key").stat().st_mode & 0o077 == 0
    said = openclaw("approvals", "enroll", "tom", "--role", "risk", "--new-token", "--by", "root")
    token = said.out.split()[-1]
    assert said.err == "the token is shown once; the store keeps its digest\n"
    (waiting / "tom.token").write_text(token + "\n")

    said = openclaw("approvals", "approve", "ask-0001", "--by", "ada")
    assert (said.code, said.out) == (2, "")
    assert said.err == "error: an answer of `ada` must be authenticated, and this one is not; give `--sign-with FILE`\n"
    said = openclaw("approvals", "approve", "ask-0001", "--by", "ada", "--sign-with", "ada.key")
    assert said.out == 'approved  wire(amount=75, to="acme") of desk, by ada; 1 of 2 agreed so far\n'
    assert "1 of 2" in openclaw("approvals", "list").out
    shown = openclaw("approvals", "show", "ask-0001").out
    assert "needs       2 people of `finance`, `risk`, each for another role, must agree\n" in shown
    assert "may change  amount\n" in shown
    assert "agreed      1 of 2\n" in shown
    assert "approved    by ada, signed\n" in shown
    said = openclaw("approvals", "approve", "ask-0001", "--by", "tom", "--token-file", "tom.token")
    assert said.out == 'approved  wire(amount=75, to="acme") of desk, by tom\n'
    assert openclaw("approvals", "show", "ask-0001", "--json").json["state"] == "approved"  # type: ignore[index, call-overload]
    assert token not in (waiting / "openclaw.db").read_bytes().decode("latin-1")


def test_the_environment_names_key_and_token_too(
    waiting: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    openclaw("approvals", "enroll", "ada", "--role", "finance", "--new-key", "ada.key", "--by", "root")
    monkeypatch.setenv("OPENCLAW_APPROVER_KEY", (waiting / "ada.key").read_text().strip())
    assert openclaw("approvals", "approve", "ask-0001", "--by", "ada").code == 0


def test_an_argument_is_changed_and_the_changed_call_runs(waiting: Path, openclaw: Command) -> None:
    for name, role in (("ada", "finance"), ("tom", "risk")):
        openclaw("approvals", "enroll", name, "--role", role, "--by", "root")
    said = openclaw("approvals", "approve", "ask-0001", "--by", "ada", "--arg", "to=mallory")
    assert said.err == "error: the policy lets no approver change `to` of `wire`; it lets them change `amount`\n"
    said = openclaw("approvals", "approve", "ask-0001", "--by", "ada", "--arg", "amount")
    assert said.err.startswith("error: `amount` is no argument; write `--arg NAME=VALUE`")
    said = openclaw("approvals", "approve", "ask-0001", "--by", "ada", "--arg", "amount=60")
    assert said.out == ('approved  wire(amount=75, to="acme") with amount=60 of desk, by ada; 1 of 2 agreed so far\n')
    said = openclaw("approvals", "approve", "ask-0001", "--by", "tom")
    assert said.err.startswith("error: `ada` has changed `amount` since it was asked; agree to that with the same")
    assert openclaw("approvals", "approve", "ask-0001", "--by", "tom", "--arg", "amount=60").code == 0
    with Governance.open("sqlite:///openclaw.db", policies="policies", clock=StillClock()) as governance:
        permit = governance.gate.admit(ASKED)
        assert isinstance(permit, Permit)
        assert permit.action.args == {"amount": 60, "to": "acme"}  # type: ignore[union-attr]


def test_show_and_verify_say_whether_a_signature_holds(waiting: Path, openclaw: Command) -> None:
    openclaw("approvals", "enroll", "ada", "--role", "finance", "--new-key", "ada.key", "--by", "root")
    openclaw("approvals", "approve", "ask-0001", "--by", "ada", "--sign-with", "ada.key")
    [entry] = openclaw("audit", "list", "--kind", "approval", "--limit", "1", "--json").json  # type: ignore[misc]
    seq = entry["seq"]
    assert f"by ada, holds under {entry['body']['key']}\n" in openclaw("audit", "show", str(seq)).out
    said = openclaw("audit", "verify")
    assert (said.code, "1 signed, each compared with the key of who gave it" in said.out) == (0, True)


def test_an_entry_that_says_another_answer_than_was_signed_does_not_verify(waiting: Path, openclaw: Command) -> None:
    """Whoever can append to the log, as this program does, has no key of ada's."""
    openclaw("approvals", "enroll", "ada", "--role", "finance", "--new-key", "ada.key", "--by", "root")
    openclaw("approvals", "approve", "ask-0001", "--by", "ada", "--sign-with", "ada.key")
    [entry] = openclaw("audit", "list", "--kind", "approval", "--limit", "1", "--json").json  # type: ignore[misc]
    with Governance.open("sqlite:///openclaw.db", policies="policies", clock=StillClock()) as governance:
        from openclaw.audit import Draft

        governance.audit.append(Draft(kind="approval", body={**entry["body"], "answer": "rejected"}))
    said = openclaw("audit", "verify")
    assert said.code == 1
    assert "does not hold: what was signed is another answer than the entry says" in said.err


def test_who_is_enrolled_is_listed_changed_and_withdrawn_on_record(waiting: Path, openclaw: Command) -> None:
    assert openclaw("approvals", "approvers").err == "nobody is enrolled\n"
    openclaw("approvals", "enroll", "ada", "--role", "finance", "--by", "root")
    openclaw("approvals", "enroll", "ada", "--role", "finance", "--by", "root")  # no change, no entry
    openclaw("approvals", "enroll", "ada", "--role", "risk", "--by", "root")
    assert openclaw("approvals", "approvers").out.splitlines()[1].split() == ["ada", "risk", "name", "alone"]
    assert openclaw("approvals", "withdraw", "user:Ada", "--by", "root").code == 0
    said = openclaw("approvals", "withdraw", "ada", "--by", "root")
    assert said.err == "error: nobody named `ada` is enrolled; see `openclaw approvals approvers`\n"
    entries = openclaw("audit", "list", "--kind", "approval", "--json").json
    assert [entry["body"]["event"] for entry in entries] == ["enrolled", "changed", "withdrawn"]  # type: ignore[union-attr]


def test_a_key_is_not_written_over(waiting: Path, openclaw: Command) -> None:
    (waiting / "ada.key").write_text("mine")
    said = openclaw("approvals", "enroll", "ada", "--new-key", "ada.key", "--by", "root")
    assert said.err == "error: `ada.key` is there already; name a file that is not\n"
    assert (waiting / "ada.key").read_text() == "mine"
    assert openclaw("approvals", "approvers").err == "nobody is enrolled\n"
