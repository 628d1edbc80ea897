"""A candidate beside the live policies: it changes nothing, and what it differs in is counted, recorded and found."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.action import Principal, ToolCall
from openclaw.audit import AuditLog
from openclaw.budget import Usage
from openclaw.decision import Decision, Effect
from openclaw.errors import ConfigurationError, PolicyError, PolicyUnavailable, StoreError
from openclaw.gate import Admission, Gate, Outcome, Permit, Refusal, Request, Waiting
from openclaw.governance import Governance
from openclaw.passing import Seen
from openclaw.policy import BundleServer, PolicyEngine
from openclaw.policy.live import LivePolicy
from openclaw.policy.results import Results
from openclaw.review import shadow as module
from openclaw.review.comparing import REST
from openclaw.review.shadow import Compared, Shadow, read_compared
from openclaw.review.shadowed import shadowed
from tests.policy.bundles import archive
from tests.policy.support import policy, write_folder
from tests.support.web import file_server

LIVE = policy(
    'allow if input.tool.name in {"pay", "look"}\n\n'
    'ask contains "large" if input.tool.args.amount > 100\n\n'
    'oblige contains {"kind": "mask", "fields": ["args.iban"]} if input.tool.args.iban\n'
)
CANDIDATE = policy(
    'allow if input.tool.name in {"pay", "look"}\n\n'
    'deny contains "too large" if input.tool.args.amount > 50\n\n'
    'deny contains "that account" if input.tool.args.iban == "DE-1"\n\n'
    'oblige contains {"kind": "mask", "fields": ["args.iban"]} if input.tool.args.iban\n'
)


def request(tool: str, agent: str = "clerk", **args: object) -> Request:
    action = ToolCall(principal=Principal(agent=agent, workflow="desk"), name=tool, args=args, call_id="c")
    return Request(action=action, hold=Usage(calls=1), can_wait=True)


def admit(gate: Gate, asked: Request) -> Admission:
    answer = gate.admit(asked)
    if isinstance(answer, Permit):
        gate.finish(answer, Outcome(status="done", usage=Usage(calls=1)))
    return answer


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return write_folder(tmp_path / "live", {"main": LIVE}), write_folder(tmp_path / "next", {"main": CANDIDATE})


@pytest.fixture
def governance(store_url: str, tmp_path: Path, folders: tuple[Path, Path]) -> Iterator[Governance]:
    live, candidate = folders
    with Governance.open(store_url, policies=live, shadow=candidate, key=tmp_path / "log.key") as opened:
        yield opened


def reports(log: AuditLog) -> list[Compared]:
    return [said for entry in log.entries(kind="policy") if (said := read_compared(entry)) is not None]


def told(log: AuditLog) -> list[tuple[str, str, str, str, int]]:
    return [
        (group.tool, group.agent, change.before, change.after, change.count)
        for group in shadowed(log).groups
        for change in group.changes
    ]


def test_a_candidate_changes_no_answer_and_its_differences_are_found(governance: Governance) -> None:
    gate, shadow = governance.gate, governance.shadow
    assert shadow is not None
    answers = [
        admit(gate, request("pay", amount=40)),
        admit(gate, request("pay", amount=60)),
        admit(gate, request("pay", amount=70)),
        admit(gate, request("pay", agent="boss", amount=80)),
        admit(gate, request("look")),
        admit(gate, request("drop")),
        admit(gate, request("pay", amount=1, iban="DE-1")),
    ]
    assert [isinstance(answer, Permit) for answer in answers] == [True, True, True, True, True, False, True]
    shadow.flush()
    found = shadowed(governance.audit)
    assert (found.compared, found.changed, found.dropped) == (7, 4, 0)
    assert told(governance.audit) == [("pay", "boss", "allow", "deny", 1), ("pay", "clerk", "allow", "deny", 3)]
    examples = [seq for group in found.groups for change in group.changes for seq in change.examples]
    entries = [governance.audit.entry(seq) for seq in examples]
    assert {(entry.kind, entry.tool, entry.effect) for entry in entries} == {("decision", "pay", "allow")}
    # A masked value is known to the candidate, though not to the log.
    assert sum(group.undecidable for group in found.groups) == 0
    assert found.live == (governance.policy.revision,)
    assert shadow.candidate is not None
    assert (found.candidate, found.engine) == (shadow.candidate.revision, governance.policy.name)
    assert governance.audit.verify().ok


def test_calls_that_are_awaited_and_asks_are_compared_too(governance: Governance) -> None:
    shadow = governance.shadow
    assert shadow is not None
    asked = request("pay", amount=200)
    waiting = asyncio.run(governance.gate.aadmit(Request(action=asked.action, key="k", can_wait=True)))
    assert isinstance(waiting, Waiting)
    governance.gate.refuse(request("pay"), reason="the arguments do not fit")
    governance.decide(asked.action)  # Only asked, so not live traffic.
    shadow.flush()
    (group,) = shadowed(governance.audit).groups
    assert (group.decisions, group.unanswered) == (2, 1)
    assert [(change.before, change.after, change.examples) for change in group.changes] == [
        ("ask", "deny", (waiting.seq,))
    ]


def test_decisions_on_results_are_compared(store_url: str, tmp_path: Path) -> None:
    reads = LIVE + '\nallow if input.kind == "result"\n'
    live = write_folder(tmp_path / "live", {"main": reads})
    candidate = write_folder(tmp_path / "next", {"main": reads + '\ndeny contains "no" if input.result == "secret"\n'})
    with Governance.open(store_url, policies=live, shadow=candidate, key=tmp_path / "k") as governance:
        gate, shadow = governance.gate, governance.shadow
        assert shadow is not None
        permit = gate.admit(request("look"))
        assert isinstance(permit, Permit)
        outcome = Outcome(status="done", usage=Usage(calls=1), result="secret")
        shown = gate.show(permit, outcome, "secret")
        assert shown.value == "secret"
        gate.finish(permit, Outcome(status="done", usage=Usage(calls=1), result="secret", shown=shown))
        gate.flush()
        shadow.flush()
        assert told(governance.audit) == [("look", "clerk", "allow", "deny", 1)]
        ((seq,),) = [c.examples for group in shadowed(governance.audit).groups for c in group.changes]
        assert governance.audit.entry(seq).body["input"]["kind"] == "result"  # type: ignore[index,call-overload]


def test_processes_add_up_and_each_candidate_has_its_own_counts(
    store_url: str, tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    live, candidate = folders
    for _ in range(2):
        with Governance.open(store_url, policies=live, shadow=candidate, key=tmp_path / "k") as governance:
            admit(governance.gate, request("pay", amount=60))
    with Governance.open(store_url, policies=live, shadow=candidate, key=tmp_path / "k") as governance:
        log, shadow = governance.audit, governance.shadow
        assert shadow is not None
        assert shadow.candidate is not None
        first = shadow.candidate.revision
        assert told(log) == [("pay", "clerk", "allow", "deny", 2)]
        write_folder(candidate, {"main": LIVE})
        assert governance.reload().outcome == "unchanged"
        replaced = log.entries(kind="policy", newest_first=True, limit=1)[0].body
        assert (replaced["event"], replaced["shadow"], replaced["previous"]) == ("replaced", True, first)
        admit(governance.gate, request("pay", amount=60))
        shadow.flush()
        second = shadowed(log)
        assert (second.candidate, second.changed, second.compared) == (shadow.candidate.revision, 0, 1)
        assert second.others == (first,)
        assert shadowed(log, candidate=first.removeprefix("sha256:")[:12]).changed == 2
        for wrong in ("sha256:nothing", "sha256:"):
            with pytest.raises(ConfigurationError, match="whose revision begins with"):
                shadowed(log, candidate=wrong)
        assert shadowed(log, since=log.entries(newest_first=True, limit=1)[0].at).others == ()


# What goes wrong with a candidate.


class Candidate:
    """An engine that answers as it is told."""

    name, revision = "scripted 1", "sha256:candidate"
    results = Results.UNREAD

    def __init__(self, effect: Effect = Effect.DENY) -> None:
        self.effect = effect
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()
        self.breaks = False
        self.closed = False

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        self.entered.set()
        assert self.go.wait(30)
        if self.breaks:
            raise ZeroDivisionError("candidates may do anything")
        return Decision(effect=self.effect, revision=self.revision, engine=self.name)

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        return self.evaluate(input)

    def close(self) -> None:
        self.closed = True


def test_a_slow_candidate_holds_nothing_up_and_what_it_misses_is_counted(
    store_url: str, tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    candidate = Candidate()
    with Governance.open(store_url, policies=folders[0], key=tmp_path / "k") as governance:
        shadow = Shadow(lambda: candidate, governance.audit, room=2)
        governance.gate.observer = shadow.observe
        candidate.go.clear()
        shadow.start()
        admit(governance.gate, request("pay", amount=1))
        assert candidate.entered.wait(30)
        for _ in range(6):  # Two have room to wait; the candidate is still busy with the first.
            assert isinstance(admit(governance.gate, request("pay", amount=1)), Permit)
        candidate.go.set()
        shadow.flush()
        found = shadowed(governance.audit)
        assert (found.compared, found.changed, found.dropped) == (3, 3, 4)
        shadow.close()
        assert candidate.closed


def test_observing_in_the_middle_of_a_commit_only_queues(
    store_url: str, tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    candidate = Candidate()
    held: list[bool] = []
    with Governance.open(store_url, policies=folders[0], key=tmp_path / "k") as governance:
        shadow = Shadow(lambda: candidate, governance.audit)

        def observe(seen: Seen) -> None:
            # A caller that waits alone commits by itself: nobody else can write until this returns.
            held.append(governance._store._writer.here)
            size = governance.audit.size()
            shadow.observe(seen)
            assert candidate.entered.wait(30), (
                "the candidate is asked in its own thread, while the commit is held up here"
            )
            assert governance.audit.size() == size

        governance.gate.observer = observe
        shadow.start()
        assert isinstance(admit(governance.gate, request("pay", amount=1)), Permit)
        shadow.flush()
        assert held == [True]
        assert shadowed(governance.audit).changed == 1
        shadow.close()


def test_an_engine_that_breaks_its_promise_is_a_difference_and_no_failure(
    store_url: str, tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    candidate = Candidate()
    candidate.breaks = True
    with Governance.open(store_url, policies=folders[0], shadow=candidate, key=tmp_path / "k") as governance:
        assert governance.shadow is not None
        for _ in range(2):
            assert isinstance(admit(governance.gate, request("pay", amount=1)), Permit)
        governance.shadow.flush()
        assert told(governance.audit) == [("pay", "clerk", "allow", "deny, engine_error", 2)]
    assert candidate.closed


def test_a_candidate_that_cannot_be_reached_is_recorded_and_tried_again(
    store_url: str, tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    with file_server() as server:
        server.answer = lambda handler: handler.reply(503, b"")
        spec = BundleServer(server.url, poll_s=None)
        with Governance.open(store_url, policies=folders[0], shadow=spec, key=tmp_path / "k") as governance:
            shadow, log = governance.shadow, governance.audit
            assert shadow is not None
            assert shadow.candidate is None
            admit(governance.gate, request("pay", amount=60))
            shadow.flush()
            found = shadowed(log)
            assert (found.candidate, found.compared, found.dropped) == ("", 0, 1)
            assert found.trouble is not None
            assert found.trouble.event == "unavailable"
            assert "HTTP status 503" in found.trouble.reasons[0]
            shadow._try_open()
            assert [entry.body.get("event") for entry in log.entries(kind="policy")].count("unavailable") == 1
            server.answer, server.content = None, archive({"main.rego": CANDIDATE})
            shadow._try_open()
            admit(governance.gate, request("pay", amount=60))
            shadow.flush()
            assert told(log) == [("pay", "clerk", "allow", "deny", 1)]
            server.content = archive({"main.rego": "package openclaw.policies.main\n\nallow if {\n"})
            assert isinstance(shadow.candidate, LivePolicy)
            assert shadow.candidate.poll().outcome == "refused"
            trouble = shadowed(log).trouble
            assert trouble is not None
            assert (trouble.event, told(log)) == ("refused", [("pay", "clerk", "allow", "deny", 1)])


def test_a_candidate_that_is_no_policy_is_said_at_once_and_nothing_is_left_open(
    store_url: str, tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    write_folder(folders[1], {"main": "package openclaw.policies.main\n\nallow if {\n"})
    for wrong in (folders[1], tmp_path / "nowhere"):
        with pytest.raises(PolicyError):
            Governance.open(store_url, policies=folders[0], shadow=wrong, key=tmp_path / "k")
    assert not [thread for thread in threading.enumerate() if thread.name == "openclaw-shadow"]
    with Governance.open(store_url, policies=folders[0], key=tmp_path / "k") as governance:
        assert governance.shadow is None


# Step by step, without its thread.


@pytest.fixture
def log(store_url: str, tmp_path: Path, folders: tuple[Path, Path]) -> Iterator[AuditLog]:
    with Governance.open(store_url, policies=folders[0], key=tmp_path / "k") as governance:
        yield governance.audit


def seen(seq: int, tool: str = "pay", agent: str = "clerk", effect: Effect = Effect.ALLOW) -> Seen:
    decision = Decision(effect=effect, revision="sha256:live", engine="scripted 1")
    return Seen(seq=seq, tool=tool, agent=agent, document={"kind": "tool"}, decision=decision)


def compare(shadow: Shadow, *all_seen: Seen) -> None:
    for one in all_seen:
        shadow.observe(one)
        assert shadow.step()


def test_the_first_difference_of_each_sort_is_recorded_at_once_and_the_rest_is_counted(log: AuditLog) -> None:
    shadow = Shadow(Candidate, log)
    compare(shadow, seen(1), seen(2), seen(3), seen(4, tool="look"), seen(5, effect=Effect.DENY), seen(6), seen(7))
    assert [report.changed for report in reports(log)] == [1, 3]
    shadow.report()
    shadow.report()
    assert [(report.compared, report.changed) for report in reports(log)] == [(1, 1), (3, 3), (3, 2)]
    (look, pay) = shadowed(log).groups
    assert (look.changed, pay.changed, pay.same) == (1, 5, 1)
    assert [change.examples for change in pay.changes] == [(1, 2, 3)]
    shadow.close()
    assert len(reports(log)) == 3


def test_reports_come_after_so_many_comparisons_and_after_so_much_time(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_EACH", 3)
    shadow = Shadow(lambda: Candidate(Effect.ALLOW), log)
    compare(shadow, *map(seen, range(1, 8)))
    assert [report.compared for report in reports(log)] == [3, 3]
    monkeypatch.setattr(module, "REPORT_S", 0.0)
    assert shadow.step()
    assert [report.compared for report in reports(log)] == [3, 3, 1]
    assert shadow.step()
    assert len(reports(log)) == 3  # There is nothing to tell.
    shadow.close()


def test_what_is_kept_and_recorded_has_bounds(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUPS_MAX", 3)
    monkeypatch.setattr(module, "FIRSTS_MAX", 2)
    shadow = Shadow(Candidate, log)
    compare(shadow, *(seen(at, tool=f"tool {at}" + "x" * 1000) for at in range(1, 10)))
    assert len(reports(log)) == 2
    shadow.close()
    last = reports(log)[-1]
    assert [group.tool[:6] for group in last.groups] == ["tool 3", "tool 4", "tool 5", REST]
    assert max(len(group.tool) for group in last.groups) == module.NAME_MAX
    found = shadowed(log)
    assert (found.compared, found.changed) == (9, 9)


def test_what_the_log_does_not_take_is_recorded_later(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow = Shadow(Candidate, log, room=1)

    def full(_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as failing:
        failing.setattr(log, "append", full)
        compare(shadow, seen(1), seen(2))
        shadow.observe(seen(3))
        shadow.observe(seen(4))  # There is room for one.
        shadow.report()
    assert reports(log) == []
    shadow.close()
    found = shadowed(log)
    assert (found.compared, found.dropped) == (3, 1)
    assert [change.examples for group in found.groups for change in group.changes] == [(1, 2, 3)]
    shadow.observe(seen(5))
    shadow.close()
    assert shadowed(log).compared == 3


def test_a_candidate_that_does_not_come_to_an_end_does_not_hold_up_the_closing(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.05)
    candidate = Candidate()
    candidate.go.clear()
    shadow = Shadow(lambda: candidate, log, room=3)
    shadow.start()
    for at in range(1, 4):
        shadow.observe(seen(at))
    assert candidate.entered.wait(30)
    shadow.close()
    assert shadowed(log).dropped == 2
    candidate.go.set()
    for thread in threading.enumerate():
        if thread.name == "openclaw-shadow":
            thread.join(30)  # It may record what it came to: the log is open for that.
            assert not thread.is_alive(), "it ends as soon as its candidate has answered"


def test_an_entry_that_is_no_report_is_passed_over(log: AuditLog) -> None:
    log.append({"kind": "policy", "body": {"event": "shadow", "candidate": 5}})
    log.append({"kind": "policy", "body": {"event": "refused", "shadow": "yes"}})
    assert (shadowed(log).compared, shadowed(log).trouble) == (0, None)


def unavailable() -> PolicyEngine:
    raise PolicyUnavailable("it is not there")


def test_without_a_candidate_everything_is_dropped(log: AuditLog) -> None:
    shadow = Shadow(unavailable, log)
    compare(shadow, seen(1), seen(2))
    shadow.close()
    found = shadowed(log)
    assert (found.compared, found.dropped) == (0, 2)
    assert found.trouble is not None


def test_a_refused_call_that_could_not_be_recorded_is_not_compared(
    store_url: str, tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Governance.open(store_url, policies=folders[0], key=tmp_path / "k") as governance:
        shadow = Shadow(Candidate, governance.audit)
        governance.gate.observer = shadow.observe

        def fails(*_: object) -> int:
            raise StoreError("the disk is full")

        with monkeypatch.context() as failing:
            failing.setattr(governance.audit, "record", fails)
            answer = admit(governance.gate, request("pay", amount=1))
        assert isinstance(answer, Refusal)
        assert answer.error.source == "audit"
        shadow.flush()
        assert shadowed(governance.audit).compared == 0
        shadow.close()
