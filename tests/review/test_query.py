"""Filters that compose: the same entries as looking at every one of them, on both stores."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw.audit import AuditLog, Entry, Signer, reading
from openclaw.audit.reading import Reader
from openclaw.conditions import ArgCondition
from openclaw.errors import ConfigurationError
from openclaw.review.condition import Expression
from openclaw.review.entries import reasons
from openclaw.review.fields import value
from openclaw.review.query import Query, Search
from openclaw.store import Store
from tests.review.test_timeline import entry
from tests.support.story import BEGAN, StillClock, Story, tell_on, told


@pytest.fixture
def story(store_url: str, tmp_path: Path) -> Iterator[Story]:
    with told(store_url, tmp_path) as story:
        tell_on(story)
        yield story


def found(story: Story, **asked: object) -> list[int]:
    query = Query.model_validate(asked)
    return [entry.seq for entry in Search(query).entries(Reader(story.governance.gate._store))]


def test_filters_compose_on_every_store(story: Story) -> None:
    store = story.governance.gate._store
    everything = story.governance.audit.entries()
    assert found(story) == [one.seq for one in everything]
    assert found(story, agent="refunds", effect="deny") == [11, 21]
    assert found(story, effect="deny", reason="customer's own") == [11]
    assert found(story, tool="refund", args=("amount>100",)) == [11, 12, 14]
    assert found(story, args=("amount>100", "order=A-18")) == [12, 14]
    assert found(story, args=("account~ACME",)) == [11]
    assert found(story, text="order checked") == [13]
    assert found(story, text="customer-18") == [one.seq for one in everything if "customer-18" in one.model_dump_json()]
    assert found(story, where='effect in ("ask", "deny") and args.amount < 100') == [18, 21]
    assert found(story, where='kind == "outcome" and duration_ms > 500') == [4, 8]
    assert found(story, kind="approval") == [13]
    assert found(story, workflow="returns", run="run-0002", kind="outcome") == [17, 20]
    later = BEGAN + dt.timedelta(seconds=60)
    assert found(story, since=later) == [one.seq for one in everything if one.at >= later]
    assert found(story, until=later) == [one.seq for one in everything if one.at < later]
    newest = Search(Query(agent="refunds")).entries(Reader(store), newest_first=True, before=20, limit=2)
    assert [one.seq for one in newest] == [19, 18]


def test_paging_by_number_gives_every_entry_once(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, whole = Reader(story.governance.gate._store), found(story)
    monkeypatch.setattr(reading, "PAGE", 2)
    monkeypatch.setattr(reading, "STRETCH_MIN", 3)
    for query in (Query(), Query(where="seq > 0"), Query(text="re")):
        search = Search(query)
        forwards = [one.seq for one in search.entries(reader)]
        backwards = [one.seq for one in search.entries(reader, newest_first=True)]
        assert forwards == backwards[::-1]
        pages: list[int] = []
        while page := [one.seq for one in search.entries(reader, after=pages[-1] if pages else 0, limit=3)]:
            pages += page
        assert pages == forwards
        assert query.text or forwards == whole


def test_no_query_reads_more_than_a_page_or_a_stretch(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 4)
    reader = Reader(story.governance.gate._store)
    pages = [len(page) for page in reader.entries(reading.Selection())]
    assert max(pages) == 4
    assert sum(pages) == story.governance.audit.size()


def test_a_clock_that_was_set_back_hides_nothing_within_an_hour(store_url: str, tmp_path: Path) -> None:
    clock = StillClock()
    store = Store.open(store_url, clock=clock)
    log = AuditLog(store, Signer.load(tmp_path / "key", store.origin))
    for minutes in (0, 30, 60, 20, 70, 50, 120, 90, 180):
        clock.at = BEGAN + dt.timedelta(minutes=minutes)
        log.append({"kind": "halt", "body": {"minutes": minutes}})
    for at in range(0, 200, 5):
        moment = BEGAN + dt.timedelta(minutes=at)
        for query in (Query(since=moment), Query(until=moment)):
            said = [one.seq for one in Search(query).entries(Reader(store))]
            assert said == [one.seq for one in log.entries() if (one.at >= moment) is (query.since is not None)]
    store.close()


def test_texts_with_quotes_and_breaks_are_found_as_they_were_written(store_url: str, tmp_path: Path) -> None:
    store = Store.open(store_url)
    log = AuditLog(store, Signer.load(tmp_path / "key", store.origin))
    for text in ('say "no"', "two\nlines", "back\\slash", "naïve – €", "nul\0nul", "%_'"):
        log.append({"kind": "decision", "effect": "deny", "body": {"reasons": [text]}})
        for query in (Query(text=text), Query(reason=text), Query(where=f"reason == {json.dumps(text)}")):
            assert [one.seq for one in Search(query).entries(Reader(store))] == [log.size()], (text, query)
    store.close()


DECISION = entry(
    5,
    "decision",
    "deny",
    agent="refunds",
    tool="refund",
    input={
        "kind": "tool",
        "tool": {"name": "refund", "args": {"amount": 120, "order-id": "A", "to": {"n": 1}, "ok": True}},
    },
    decision={"effect": "deny", "reasons": ["too much"], "rules": ["r"]},
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("args.amount > 100", True),
        ("args.amount > 120", False),
        ("100 < args.amount <= 120", True),
        ('args["order-id"] == "A"', True),
        ("args.to.n == 1", True),
        ("args.missing != 1", False),
        ("not args.missing == 1", True),
        ('args.amount > "100"', False),
        ("args.ok == 1", False),
        ("args.ok", True),
        ('"much" in reason', True),
        ('tool in ["refund", "pay"]', True),
        ('"r" in rules', True),
        ('tool not in ("pay",)', True),
        ('agent == "refunds" and effect == "deny" or seq == 1', True),
        ('body.decision.effect == "deny"', True),
        ("args.amount > -1", True),
        ("seq == true", False),
    ],
)
def test_an_expression_holds_or_not(text: str, holds: bool) -> None:
    assert Expression(text).holds(DECISION) is holds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no condition"),
        ("effect =", "is no condition"),
        ("efect == 'deny'", "did you mean `effect`"),
        ("__import__('os')", "may not stand in a condition"),
        ("args.__class__()", "may not stand in a condition"),
        ("[x for x in body]", "may not stand in a condition"),
        ("lambda: 1", "may not stand in a condition"),
        ("args.amount ** 9 > 1", "may not stand in a condition"),
        ("args[0] == 1", "is no field"),
        ("f'{agent}' == ''", "may not stand in a condition"),
        ("not " * 600 + "seq", "2,000 at most"),
        ("not " * 490 + "seq.x", "have no field|too deep"),
        ("(" * 500 + "seq" + ")" * 500, "is no condition|too deep"),
        ("seq == 1" + " " * 2000 + "or seq == 2", "2,000 at most"),
    ],
)
def test_what_is_no_expression_is_said_so(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Expression(text)


@given(st.text(max_size=40))
def test_no_text_does_anything_but_hold_or_be_refused(text: str) -> None:
    try:
        expression = Expression(text)
    except ConfigurationError:
        return
    assert expression.holds(DECISION) in (True, False)


_PARTS = st.sampled_from(
    ["effect == 'deny'", "args.amount > 100", "agent == 'b'", "not effect == 'ask'", "seq > 3", "'x' in reason"]
)


@given(st.lists(_PARTS, min_size=1, max_size=4), st.sampled_from([" and ", " or "]))
def test_what_is_handed_to_the_database_never_leaves_a_match_out(parts: list[str], joint: str) -> None:
    expression = Expression(joint.join(parts))
    if expression.holds(DECISION):
        assert all(value(DECISION, name) == wanted for name, wanted in expression.columns().items())


@pytest.mark.parametrize("text", ["amount", "", ">3", "=", "~x"])
def test_what_is_no_condition_on_an_argument_is_said_so(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no condition on an argument"):
        ArgCondition.parse(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("amount=>100", "write amount>=100"),
        ("amount=<5", "write amount<=5"),
        ("amount>", "compared with"),
        ("a~", "compared"),
    ],
)
def test_a_condition_that_could_only_be_met_by_accident_is_refused(text: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match="no condition on an argument") as caught:
        ArgCondition.parse(text)
    assert hint in str(caught.value.hint)


def test_quotes_around_a_text_are_none_of_it() -> None:
    for text in ("order=A-17", "order='A-17'", 'order="A-17"'):
        assert ArgCondition.parse(text).meets("A-17")
        assert not ArgCondition.parse(text).meets("A-18")
    assert ArgCondition.parse("order=''").meets("")
    assert ArgCondition.parse("note~'y 1'").meets("may 17")


def test_a_masked_argument_meets_no_condition() -> None:
    masked = DECISION.model_copy(update={"body": {"input": {"tool": {"args": {"amount": {"$masked": "hmac:00"}}}}}})
    amount = value(masked, "args.amount")
    assert not any(ArgCondition.parse(text).meets(amount) for text in ("amount>1", "amount!=1", "amount=120"))
    assert isinstance(masked, Entry)
    assert reasons(masked) == ()
