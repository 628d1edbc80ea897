"""Counts over a log: against a naive count, on both stores; and what is new in it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw.audit import Entry
from openclaw.audit.reading import Reader
from openclaw.review import stats
from openclaw.review.contrast import of_runs, of_times
from openclaw.review.query import Query, Search
from openclaw.review.stats import arguments_shape, count
from openclaw.review.timeline import timeline
from openclaw.store import Store
from tests.review.test_timeline import entry
from tests.support.story import BEGAN, tell_on, told


def test_the_counts_of_a_story_are_the_same_on_every_store(store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        tell_on(story)
        found = count(story.governance.audit.entries())
    whole = found.whole
    assert (whole.allowed, whole.asked, whole.denied, whole.failed) == (8, 2, 2, 1)
    assert (whole.tokens, whole.microusd) == (2265, 364)
    assert [(one.name, one.decisions, one.denied) for one in found.agents] == [("refunds", 8, 2), ("triage", 4, 0)]
    assert [(one.name, one.decisions) for one in found.tools] == [("refund", 7), ("lookup_order", 3), ("small-1", 2)]
    assert [(one.reason.split(" ")[0], one.effect, one.count, one.last) for one in found.reasons] == [
        ("a", "ask", 2, 18),
        ("the", "deny", 1, 11),
        ("the", "deny", 1, 21),
    ]
    assert found.hours[10] == 12
    assert found.agents[0].denial_permille == 250


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["allow", "ask", "deny"]),
            st.sampled_from("abc"),
            st.sampled_from("xy"),
            st.integers(0, 10**8),
        ),
        max_size=40,
    )
)
def test_counts_are_those_of_a_naive_count(decisions: list[tuple[str, str, str, int]]) -> None:
    entries = [
        entry(seq, "decision", effect, agent=agent, tool=tool).model_copy(
            update={"at": BEGAN + dt.timedelta(seconds=late)}
        )
        for seq, (effect, agent, tool, late) in enumerate(decisions, start=1)
    ]
    found = count(entries)
    for tallies, at in ((found.agents, 1), (found.tools, 2)):
        naive = Counter((decision[at], decision[0]) for decision in decisions)
        assert {(one.name, "deny"): one.denied for one in tallies if one.denied} == {
            key: value for key, value in naive.items() if key[1] == "deny"
        }
        assert sum(one.decisions for one in tallies) == len(decisions)
    # Every decision is in one bucket, and there are never more buckets than fit a line.
    assert sum(found.whole.activity) == len(decisions)
    assert len(found.whole.activity) <= 48


def told_of(store_url: str, tmp_path: Path, since: dt.datetime) -> stats.Stats:
    with told(store_url, tmp_path) as story:
        story.clock.at = BEGAN + dt.timedelta(days=10)
        story.act("refunds", "refund", took_ms=1, order="A-1", amount=4, account="DE-77")
        story.act("auditor", "lookup_order", took_ms=1, order=17)
        story.act("triage", "notify", took_ms=1, to="x", urgent=True)
    store = Store.open(store_url, create=False, readonly=True)
    reader = Reader(store)
    found = count(Search(Query(since=since)).entries(reader), reader)
    store.close()
    return found


def test_what_had_never_been_seen_before_is_found(store_url: str, tmp_path: Path) -> None:
    found = told_of(store_url, tmp_path, BEGAN + dt.timedelta(days=5))
    assert [(one.what, one.name, one.count) for one in found.new] == [
        ("agent", "auditor", 1),
        ("tool", "notify", 1),
        ("arguments", "lookup_order(order: number)", 1),
    ]
    assert not any(one.bounded for one in found.new)


def test_a_bounded_look_back_says_so(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "LOOK_BACK", 1)
    found = told_of(sqlite_url, tmp_path, BEGAN + dt.timedelta(days=5))
    assert [(one.name, one.bounded) for one in found.new if one.what == "arguments"] == [
        ("lookup_order(order: number)", True)
    ]


def test_shapes_are_names_and_types_and_hide_what_is_masked() -> None:
    shaped = entry(
        1,
        "decision",
        "allow",
        input={
            "tool": {"args": {"z": [1], "a": None, "b": True, "c": {"$masked": "hmac-sha256:00"}, "d": {}, "e": "t"}}
        },
    )
    assert arguments_shape(shaped) == "(a: null, b: boolean, c: hidden, d: object, e: text, z: list)"
    assert arguments_shape(entry(1, "decision", "allow", input={"tool": {"args": {"$masked": "hmac-sha256:00"}}})) == ""
    assert arguments_shape(entry(1, "decision", "allow")) == ""


def test_two_runs_are_compared_step_by_step(sqlite_url: str, tmp_path: Path) -> None:
    with told(sqlite_url, tmp_path) as story:
        tell_on(story)
        one, other = (timeline(story.governance.audit, f"run-000{number}") for number in (1, 2))
    assert not of_runs(one, one).differs
    found = of_runs(one, other)
    assert found.differs
    assert {(change.figure, change.before, change.after) for change in found.changes} >= {
        ("done", 5, 1),
        ("open", 0, 1),
    }
    # Read by its signs, the first run is in it whole and in order, and so is the second.
    for run, sign, at in ((one, "-", 0), (other, "+", -1)):
        assert [line.seqs[at] for line in found.lines if line.sign in (sign, " ")] == [step.seq for step in run.steps]


def test_two_times_are_compared_by_their_counts() -> None:
    first = count([entry(1, "decision", "deny", reasons=["no"]), entry(2, "decision", "allow", agent="b")])
    second = count([entry(3, "decision", "allow"), entry(4, "decision", "allow", agent="b")])
    found = of_times("then", first, "now", second)
    assert [(one.of, one.name, one.figure, one.before, one.after) for one in found.changes] == [
        ("whole", "", "allowed", 1, 2),
        ("whole", "", "denied", 1, 0),
        ("agent", "a", "allowed", 0, 1),
        ("agent", "a", "denied", 1, 0),
        ("tool", "t", "allowed", 1, 2),
        ("tool", "t", "denied", 1, 0),
        ("reason", "no", "deny", 1, 0),
    ]
    assert not of_times("then", first, "then", first).differs


def test_nothing_comes_to_nothing() -> None:
    none: list[Entry] = []
    found = count(none)
    assert (found.entries, found.whole.decisions, found.whole.denial_permille) == (0, 0, 0)
