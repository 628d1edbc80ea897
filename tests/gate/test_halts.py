"""Halts: what a person stops is refused from the commit on that stops it, by every process that shares the store."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import sqlalchemy as sa

from openclaw.action import MemoryAccess, ModelCall, Principal, Run, ToolCall
from openclaw.audit import AuditLog
from openclaw.budget import Usage
from openclaw.errors import ConfigurationError, Halted, StoreError
from openclaw.gate import Outcome, Permit, Refusal, Request, Waiting
from openclaw.governance import Governance
from openclaw.halts import Halts
from openclaw.store import Store

CLERK = Principal(agent="clerk", workflow="desk", chain=("clerk",))


def lookup(principal: Principal = CLERK, *, run: str = "run-1", key: str | None = None, **args: object) -> Request:
    action = ToolCall(principal=principal, name="lookup", args=args)
    return Request(action=action, run=Run(id=run), hold=Usage(calls=1), key=key, can_wait=True)


def halted(governance: Governance, request: Request) -> Halted | None:
    admission = governance.gate.admit(request)
    if isinstance(admission, Permit):
        governance.gate.finish(admission, Outcome(status="done"))
        return None
    assert isinstance(admission, Refusal), admission
    assert isinstance(admission.error, Halted), admission.error
    return admission.error


def test_everything_stops_and_goes_on(governance: Governance) -> None:
    laid = governance.halt(by="eva", reason="odd refunds")
    refused = halted(governance, lookup())
    assert refused is not None
    assert refused.message == "everything is halted by eva: odd refunds"
    assert (refused.source, refused.code, refused.halt, refused.by) == ("halt", "halted", laid.seq, "eva")
    model = Request(action=ModelCall(principal=CLERK, name="m"), run=Run(id="run-1"))
    assert halted(governance, model) is not None
    memory = Request(action=MemoryAccess(principal=CLERK, name="get"), run=Run(id="run-1"))
    assert halted(governance, memory) is not None
    governance.resume(by="tom")
    assert halted(governance, lookup()) is None


@pytest.mark.parametrize(
    ("names", "stopped", "goes_on"),
    [
        ({"agent": "clerk"}, lookup(), lookup(Principal(agent="other", workflow="desk"))),
        ({"workflow": "desk"}, lookup(), lookup(Principal(agent="clerk", workflow="shop"))),
        ({"run": "run-1"}, lookup(), lookup(run="run-2")),
        ({"agent": "clerk", "workflow": "desk"}, lookup(), lookup(Principal(agent="clerk", workflow="shop"))),
        ({"agent": "clerk", "run": "run-1"}, lookup(), lookup(run="run-2")),
        (
            {"agent": "clerk"},
            lookup(Principal(agent="helper", workflow="desk", chain=("clerk", "helper"))),
            lookup(Principal(agent="helper", workflow="desk", chain=("boss", "helper"))),
        ),
    ],
)
def test_a_halt_covers_what_fits_all_of_its_names(
    governance: Governance, names: dict[str, str], stopped: Request, goes_on: Request
) -> None:
    governance.halt(**names, by="eva")
    assert halted(governance, stopped) is not None
    assert halted(governance, goes_on) is None


def test_a_halt_and_its_end_are_entries_and_so_is_what_it_stopped(governance: Governance) -> None:
    laid = governance.halt(agent="clerk", by="eva", reason="odd")
    refused = halted(governance, lookup())
    governance.resume(agent="clerk", by="tom", reason="looked at")
    entries = governance.audit.entries(kind="halt")
    assert [(entry.agent, entry.body) for entry in entries] == [
        ("clerk", {"event": "halt", "scope": "agent", "agent": "clerk", "by": "eva", "reason": "odd"}),
        (
            "clerk",
            {
                "event": "resume",
                "scope": "agent",
                "agent": "clerk",
                "by": "tom",
                "reason": "looked at",
                "halt": laid.seq,
            },
        ),
    ]
    assert refused is not None
    [decision] = governance.audit.entries(kind="decision")
    assert (decision.seq, decision.effect) == (refused.seq, "deny")
    assert (decision.body["refused_by"], decision.body["halt"]) == ("halt", laid.seq)
    assert governance.audit.verify().ok


def test_halting_twice_is_one_halt_and_one_entry(governance: Governance) -> None:
    first = governance.halt(workflow="desk", by="eva", reason="first")
    assert governance.halt(workflow="desk", by="tom", reason="second") == first
    assert governance.halts() == [first]
    assert len(list(governance.audit.entries(kind="halt"))) == 1


def test_a_narrow_halt_outlives_a_wide_one(governance: Governance) -> None:
    governance.halt(by="eva")
    governance.halt(agent="clerk", by="eva")
    governance.resume(by="eva")
    assert halted(governance, lookup()) is not None
    governance.resume(agent="clerk", by="eva")
    assert halted(governance, lookup()) is None


def test_what_is_not_halted_cannot_be_resumed(governance: Governance) -> None:
    governance.halt(agent="clerk", workflow="desk", by="eva")
    with pytest.raises(
        ConfigurationError, match=r"agent `clerk` is not halted; halted: agent `clerk` in workflow `desk`"
    ):
        governance.resume(agent="clerk", by="eva")
    with pytest.raises(ConfigurationError, match=r"everything is not halted"):
        governance.resume(by="eva")


def test_a_halt_needs_a_name(governance: Governance) -> None:
    with pytest.raises(ConfigurationError, match="a halt needs a name"):
        governance.halt(by=" ")
    assert governance.halts() == []


def test_an_approval_is_not_used_up_by_a_call_that_is_halted(governance: Governance) -> None:
    action = ToolCall(principal=CLERK, name="refund", args={"amount": 500})
    asked = Request(action=action, run=Run(id="run-1"), key="k", can_wait=True, remembers=False)
    waiting = governance.gate.admit(asked)
    assert isinstance(waiting, Waiting)
    governance.approvals.approve(waiting.approval, by="eva")
    governance.halt(run="run-1", by="tom")
    assert halted(governance, asked) is not None
    assert governance.approvals.get(waiting.approval).state == "approved"
    governance.resume(run="run-1", by="tom")
    assert halted(governance, asked) is None
    assert governance.approvals.get(waiting.approval).state == "used"


def _halt_from_elsewhere(url: str, policies: Path, key: Path) -> None:
    with Governance.open(url, policies=policies, key=key) as other:
        other.halt(agent="clerk", by="eva")


def test_another_process_stops_this_one_at_its_next_pass(
    governance: Governance, store_url: str, policies: Path, tmp_path: Path
) -> None:
    assert halted(governance, lookup()) is None
    other = multiprocessing.get_context("spawn").Process(
        target=_halt_from_elsewhere, args=(store_url, policies, tmp_path / "log.key")
    )
    other.start()
    other.join(60)
    assert other.exitcode == 0
    assert halted(governance, lookup()) is not None


def test_a_database_from_before_there_were_halts_gets_their_table(
    store_url: str, policies: Path, tmp_path: Path
) -> None:
    store = Store.open(store_url)
    store.run(lambda transaction: transaction.connection.execute(sa.text("DROP TABLE openclaw_halt")))
    store.close()
    with Governance.open(store_url, policies=policies, key=tmp_path / "log.key") as governance:
        governance.halt(by="eva")
        assert halted(governance, lookup()) is not None


def test_a_database_from_before_there_were_halts_that_is_only_read_says_what_to_do(
    store_url: str, policies: Path, tmp_path: Path
) -> None:
    store = Store.open(store_url)
    store.run(lambda transaction: transaction.connection.execute(sa.text("DROP TABLE openclaw_halt")))
    store.close()
    reader = Store.open(store_url, create=False, readonly=True)
    try:
        with pytest.raises(StoreError, match="openclaw_halt") as raised:
            Halts(reader, AuditLog(reader, None)).list()
    finally:
        reader.close()
    said = "the database was written by an older openclaw and has no table `openclaw_halt` yet"
    assert raised.value.message == said
    assert "open it once with a Governance" in raised.value.hint
    with Governance.open(store_url, policies=policies, key=tmp_path / "log.key") as governance:
        assert governance.halts() == []


def test_a_secret_in_the_reason_of_a_halt_is_masked_wherever_it_stands(governance: Governance) -> None:
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    laid = governance.halt(by="eva", reason=f"the key {secret} is out")
    refused = halted(governance, lookup())
    governance.resume(by="eva", reason=f"{secret} is gone")
    assert refused is not None
    for said in (laid.reason, str(refused), *(str(entry.body) for entry in governance.audit.entries())):
        assert secret not in said
    assert laid.reason.startswith("the key ")
    assert laid.reason.endswith(" is out")
