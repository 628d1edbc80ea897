"""Timelines from entries: also from a log that is cut, damaged, or written by an interleaving of agents."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from openclaw.audit import Draft, Entry
from openclaw.errors import AuditError
from openclaw.review import timeline as timelines
from openclaw.review.entries import brief_call, detail, event
from openclaw.review.timeline import build, last_run, timeline
from tests.support.story import BEGAN, told


def entry(seq: int, kind: str, /, effect: str = "", agent: str = "a", tool: str = "t", **body: object) -> Entry:
    return Entry.model_validate(
        {
            "seq": seq,
            "at": BEGAN + dt.timedelta(seconds=seq),
            "kind": kind,
            "run": "run-1",
            "agent": agent,
            "tool": tool,
            "effect": effect,
            "body": body,
            "leaf": "00",
        }
    )


def test_a_timeline_is_the_same_on_every_store(store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        found = timeline(story.governance.audit, "run-0001")
    assert [(turn.agent, [step.state for step in turn.steps]) for turn in found.turns] == [
        ("triage", ["done", "done"]),
        ("refunds", ["done", "done", "denied", "done"]),
    ]
    assert (found.workflow, found.thread, found.entries) == ("returns", "customer-17", 13)
    assert (found.tokens, found.microusd) == (2265, 364)
    last = found.steps[-1]
    assert (last.asked, last.seq, last.outcome, last.duration_ms) == (12, 14, 15, 48)
    assert last.answer is not None
    assert (last.answer.by, last.answer.reason) == ("eva", "order checked")


def test_the_last_run_is_found_behind_entries_of_no_run(sqlite_url: str, tmp_path: Path) -> None:
    with told(sqlite_url, tmp_path) as story:
        story.governance.audit.checkpoint()
        assert last_run(story.governance.audit) == "run-0001"
        with pytest.raises(AuditError, match="there is no run `run-7` in the log"):
            timeline(story.governance.audit, "run-7")


def test_the_last_run_is_looked_for_by_pages(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "PAGE", 2)
    with told(sqlite_url, tmp_path) as story:
        log = story.governance.audit
        for _ in range(5):
            log.append(Draft(kind="decision", effect="allow"))  # outside of any run
        held: list[int] = []
        entries = log.entries

        def counted(**asked: Any) -> list[Entry]:
            page = entries(**asked)
            held.append(len(page))
            return page

        monkeypatch.setattr(log, "entries", counted)
        assert last_run(log) == "run-0001"
        assert held == [2, 2, 2]


def test_agents_that_take_turns_have_a_turn_each_time() -> None:
    found = build(entry(seq, "decision", "allow", agent=agent) for seq, agent in enumerate("aabba", start=1))
    assert [(turn.agent, len(turn.steps)) for turn in found.turns] == [("a", 2), ("b", 2), ("a", 1)]


def test_an_outcome_finds_its_decision_among_parallel_ones() -> None:
    found = build(
        [
            entry(1, "decision", "allow"),
            entry(2, "decision", "allow", agent="b"),
            entry(3, "outcome", decision=1, status="failed", error="ValueError: no"),
            entry(4, "outcome", agent="b", decision=2, status="done", duration_ms=5, used={"tokens": 7}),
        ]
    )
    assert [(step.seq, step.state, step.tokens) for step in found.steps] == [(1, "failed", 0), (2, "done", 7)]


def test_a_rejected_question_ends_as_a_denied_step() -> None:
    found = build(
        [
            entry(1, "decision", "ask"),
            entry(2, "approval", approval="ask-1", decision=1, answer="rejected", by="eva"),
            entry(3, "decision", "deny", approval="ask-1", reasons=["rejected by eva"], refused_by="approval"),
        ]
    )
    (step,) = found.steps
    assert (step.state, step.asked, step.seq, step.reasons) == ("denied", 1, 3, ("rejected by eva",))


def test_entries_without_their_beginning_do_not_stop_a_timeline() -> None:
    found = build([entry(8, "outcome", decision=3, status="done"), entry(9, "approval", approval="x", decision=4)])
    assert found.steps == ()
    assert found.entries == 2


@pytest.mark.parametrize("kind", ["decision", "outcome", "reservation", "approval", "checkpoint", "policy", "halt"])
@pytest.mark.parametrize("body", [{}, {"decision": 5, "input": [], "reasons": "no", "reservation": None}])
def test_a_damaged_body_can_still_be_read(kind: str, body: dict[str, object]) -> None:
    damaged = entry(1, kind, **body)
    assert isinstance(event(damaged), str)
    assert isinstance(detail(damaged), str)
    assert build([damaged]).entries == 1


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"kind": "tool", "tool": {"args": {"a": 1, "b": "x"}}}, 't(a=1, b="x")'),
        ({"kind": "tool", "tool": {"args": {}}}, "t()"),
        ({"kind": "tool", "tool": {"args": {"$masked": "hmac-sha256:00"}}}, "t(masked)"),
        ({"kind": "tool", "tool": {"args": {"iban": {"$masked": "hmac-sha256:00"}}}}, "t(iban=masked)"),
        ({"kind": "tool", "tool": {"args": {"text": "x" * 99}}}, 't(text="' + "x" * 38 + "…)"),
        ({"kind": "model", "model": {"provider": "acme", "name": "small-1"}}, "acme/small-1"),
        ({"kind": "model", "model": {}}, "t"),
        (None, "t"),
    ],
)
def test_a_call_is_shown_in_one_line(asked: object, shown: str) -> None:
    assert brief_call(asked, "t") == shown


def test_what_became_of_a_result_stands_at_its_call_and_is_no_step_of_its_own() -> None:
    asked = {"kind": "result", "tool": {"name": "t", "args": {}}}
    found = build(
        [
            entry(1, "decision", "allow"),
            entry(2, "outcome", decision=1, status="done", shown="withheld"),
            entry(3, "decision", "deny", of=1, input=asked, reasons=["the call was made", "it holds a key"]),
            entry(4, "decision", "allow"),
            entry(5, "outcome", decision=4, status="done", shown="cut"),
            entry(6, "decision", "allow", of=4, input=asked),
        ]
    )
    assert [(step.seq, step.state, step.shown) for step in found.steps] == [(1, "done", "withheld"), (4, "done", "cut")]
    assert found.steps[0].reasons == ("the call was made", "it holds a key")


def test_results_are_told_of_in_one_line() -> None:
    asked = {"kind": "result", "tool": {"name": "t", "args": {}}}
    denied = entry(3, "decision", "deny", of=1, input=asked, reasons=["it holds a key"])
    assert (event(denied), detail(denied)) == ("deny", "the result of 1: it holds a key")
    assert detail(entry(6, "decision", "allow", of=4, input=asked)) == "the result of 4"
    assert detail(entry(2, "outcome", decision=1, status="done", shown="cut")) == "of 1, result cut"


def test_a_call_that_waited_by_itself_and_one_whose_process_is_gone_are_told_apart() -> None:
    found = build(
        [
            entry(1, "decision", "allow"),
            entry(2, "outcome", decision=1, status="suspended"),
            entry(3, "decision", "allow"),
            entry(4, "outcome", decision=3, status="unknown"),
            entry(5, "outcome", decision=3, status="done", late=True),
        ]
    )
    assert [step.state for step in found.steps] == ["suspended", "done"]


def test_what_is_said_of_a_run_later_does_not_make_it_longer() -> None:
    steps = [entry(1, "decision", "allow"), entry(2, "outcome", decision=1, status="done")]
    assert build([*steps, entry(900, "review", of=1)]) == build(steps)
