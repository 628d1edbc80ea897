"""Policies that change under a running governance: what the log says of it, and what calls get meanwhile."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.action import Principal, ToolCall
from openclaw.audit import Entry
from openclaw.budget import Usage
from openclaw.decision import Decision
from openclaw.errors import ConfigurationError, StoreError
from openclaw.gate import Outcome, Permit, Refusal, Request
from openclaw.governance import Governance
from openclaw.policy import PolicyFolder
from openclaw.policy.bundle import Bundle
from openclaw.policy.live import LivePolicy
from tests.policy.bundles import archive
from tests.policy.support import policy, write_folder
from tests.support.engines import Scripted

ALLOW, DENY = policy('allow if input.tool.name == "pay"'), policy('deny contains "not today" if true')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "changing", {"main": ALLOW})


def opened(url: str, tmp_path: Path, policies: object) -> Governance:
    return Governance.open(url, policies=policies, key=tmp_path / "log.key")  # type: ignore[arg-type]


def pay(governance: Governance) -> Permit | Refusal:
    action = ToolCall(principal=Principal(agent="clerk", workflow="desk"), name="pay", args={}, call_id="c")
    answer = governance.gate.admit(Request(action=action, hold=Usage(calls=1)))
    assert isinstance(answer, Permit | Refusal)
    if isinstance(answer, Permit):
        governance.gate.finish(answer, Outcome(status="done", usage=Usage(calls=1)))
    return answer


def policy_entries(governance: Governance) -> list[Entry]:
    return governance.audit.entries(kind="policy")


def test_a_replacement_is_recorded_and_every_decision_names_its_policies(
    store_url: str, tmp_path: Path, folder: Path
) -> None:
    with opened(store_url, tmp_path, folder) as governance:
        first = governance.policy.revision
        assert isinstance(pay(governance), Permit)
        write_folder(folder, {"main": DENY})
        found = governance.reload()
        assert (found.outcome, found.previous) == ("replaced", first)
        assert isinstance(pay(governance), Refusal)
        assert governance.reload().outcome == "unchanged"
        opening, replaced = policy_entries(governance)
        assert opening.body == {"revision": first, "engine": governance.policy.name}
        assert replaced.body == {
            "event": "replaced",
            "where": str(folder),
            "revision": Bundle.read(folder).revision,
            "candidate": Bundle.read(folder).revision,
            "engine": governance.policy.name,
            "previous": first,
            "tests": 0,
        }
        decided = governance.audit.entries(kind="decision")
        assert [entry.body["revision"] for entry in decided] == [first, found.revision]
        assert decided[0].seq < replaced.seq < decided[1].seq
        assert governance.audit.verify().ok
    with opened(store_url, tmp_path, folder) as governance:
        assert len(policy_entries(governance)) == 2  # The log says already what decides.


def test_a_refusal_is_recorded_with_its_reasons_and_calls_go_on(store_url: str, tmp_path: Path, folder: Path) -> None:
    with opened(store_url, tmp_path, folder) as governance:
        write_folder(folder, {"main": DENY, "main_cases.yaml": "- name: a\n  input: {}\n  expect: {effect: allow}\n"})
        found = governance.reload()
        assert found.outcome == "refused"
        body = policy_entries(governance)[-1].body
        assert (body["event"], body["revision"]) == ("refused", governance.policy.revision)
        assert body["candidate"] == Bundle.read(folder).revision
        assert body["reasons"] == list(found.reasons)
        assert "the test `main_cases.yaml: a` fails" in found.reasons[1]
        assert isinstance(pay(governance), Permit)
    with opened(store_url, tmp_path, policies := write_folder(tmp_path / "same", {"main": ALLOW})) as governance:
        assert policies.is_dir()
        assert [entry.body.get("event") for entry in policy_entries(governance)] == [None, "refused"]


def test_what_cannot_be_had_is_recorded(store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    file.write_bytes(archive({"main.rego": ALLOW}))
    with opened(store_url, tmp_path, file) as governance:
        file.unlink()
        assert governance.reload().outcome == "unavailable"
        body = policy_entries(governance)[-1].body
        assert (body["event"], body["where"]) == ("unavailable", str(file))
        assert isinstance(pay(governance), Permit)


def test_what_the_log_cannot_take_does_not_decide(
    store_url: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(store_url, tmp_path, folder) as governance:
        first = governance.policy.revision

        def full(_: object) -> None:
            raise StoreError("the disk is full")

        monkeypatch.setattr(governance.audit, "append", full)
        write_folder(folder, {"main": DENY})
        with pytest.raises(StoreError):
            governance.reload()
        assert governance.policy.revision == first
        monkeypatch.undo()
        assert governance.reload().outcome == "replaced"


def test_a_poller_records_too_and_ends_with_the_governance(store_url: str, tmp_path: Path, folder: Path) -> None:
    governance = opened(store_url, tmp_path, PolicyFolder(folder, poll_s=0.001))
    live = governance.policy
    assert isinstance(live, LivePolicy)
    record, told = live._listener, threading.Event()
    assert record is not None

    def recorded(found: object) -> None:
        record(found)  # type: ignore[arg-type]
        told.set()

    live.watch(recorded)
    write_folder(folder, {"main": DENY})
    assert told.wait(30)
    assert policy_entries(governance)[-1].body["event"] == "replaced"
    thread = live._thread
    governance.close()
    assert thread is not None
    thread.join(30)
    assert not thread.is_alive()


def test_calls_in_the_middle_of_changes_are_decided_by_one_of_them(
    store_url: str, tmp_path: Path, folder: Path
) -> None:
    done = threading.Event()
    with opened(store_url, tmp_path, folder) as governance:

        def work() -> None:
            while not done.is_set():
                pay(governance)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(6):
            write_folder(folder, {"main": f"# {number}\n{(DENY, ALLOW)[number % 2]}"})
            assert governance.reload().outcome == "replaced"
        done.set()
        for thread in threads:
            thread.join()
        entries = governance.audit.entries()
    known: dict[object, str] = {}
    replaced = [entry for entry in entries if entry.kind == "policy"]
    for at, entry in enumerate(replaced):
        known[entry.body["revision"]] = "allow" if at % 2 == 0 else "deny"
    assert len(known) == 7
    first = {entry.body["revision"]: entry.seq for entry in reversed(replaced)}
    for entry in entries:
        if entry.kind == "decision" and entry.body["decision"]["code"] != "deadline":  # type: ignore[index,call-overload]
            assert entry.effect == known[entry.body["revision"]], entry.seq
            assert first[entry.body["revision"]] < entry.seq


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_result_is_judged_by_what_the_policies_that_were_asked_say_of_results(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    """Granted results that nobody grants are withheld, also if policies that read none take over in this very moment."""
    grants = policy(
        'allow if input.kind == "tool"\n\nallow if {\n\tinput.kind == "result"\n\tinput.result == "public"\n}'
    )
    folder = write_folder(tmp_path / "granting", {"main": grants})
    with opened(store_url, tmp_path, folder) as governance:
        permit = pay(governance)
        assert isinstance(permit, Permit)
        live = governance.policy
        assert isinstance(live, LivePolicy)
        evaluate = LivePolicy.evaluate

        def overtaken(self: LivePolicy, document: dict[str, JsonValue]) -> Decision:
            decision = evaluate(self, document)
            write_folder(folder, {"main": ALLOW})
            assert live.reload().outcome == "replaced"
            return decision

        async def aovertaken(self: LivePolicy, document: dict[str, JsonValue]) -> Decision:
            return overtaken(self, document)

        monkeypatch.setattr(LivePolicy, "evaluate", overtaken)
        monkeypatch.setattr(LivePolicy, "aevaluate", aovertaken)
        outcome = Outcome(status="done", usage=Usage(calls=1))
        gate = governance.gate
        shown = asyncio.run(gate.ashow(permit, outcome, "x")) if asynchronous else gate.show(permit, outcome, "x")
        assert (shown.value, shown.refused is not None) == (None, True)


def test_policies_that_are_not_loaded_from_here_are_not_reloaded(sqlite_url: str, tmp_path: Path) -> None:
    with (
        opened(sqlite_url, tmp_path, Scripted()) as governance,
        pytest.raises(ConfigurationError, match="the policies of `scripted 1` are not loaded from here"),
    ):
        governance.reload()
