"""Reviews are entries, and the queue is what has none: on both stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from openclaw.audit import Entry
from openclaw.audit.reading import Reader, Selection
from openclaw.errors import AuditError, ConfigurationError
from openclaw.review import queue as queues
from openclaw.review.entries import detail, event
from openclaw.review.query import Query
from openclaw.review.queue import Queue, Queued, queue
from openclaw.review.verdicts import add_review, reviews
from openclaw.store import Store
from tests.support.story import tell_on, told


def seqs(store: Store, query: Query | None = None, limit: int | None = None) -> list[int]:
    return [item.entry.seq for item in queue(Reader(store), query, limit=limit)]


def test_a_review_is_an_entry_bound_to_what_was_seen(store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        log = story.governance.audit
        said = add_review(log, 11, by="eva", verdict="disputed", flags=["fraud", "fraud", " "], comment=" a test ")
        entry = log.entry(said.seq)
        assert (entry.kind, entry.run, entry.agent, entry.tool) == ("review", "run-0001", "refunds", "refund")
        assert (said.of, said.leaf, said.flags, said.comment) == (11, log.entry(11).leaf, ("fraud",), "a test")
        assert (event(entry), detail(entry)) == ("disputed", "of 11 by eva: #fraud; a test")
        add_review(log, 12, by="eva", comment='"of":11,"verdict":')
        store = Store.open(store_url, create=False, readonly=True)
        assert [one.seq for one in reviews(Reader(store), log.entry(11))] == [said.seq]
        assert len([*reviews(Reader(store))]) == 2
        store.close()
        log.checkpoint()
        assert log.verify().ok


def test_what_says_nothing_or_too_much_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    with told(sqlite_url, tmp_path) as story:
        log = story.governance.audit
        with pytest.raises(ConfigurationError, match="says nothing"):
            add_review(log, 11, by="eva", flags=[" "])
        with pytest.raises(ConfigurationError, match="needs a name"):
            add_review(log, 11, by=" ", verdict="agreed")
        with pytest.raises(ConfigurationError, match="40 characters"):
            add_review(log, 11, by="eva", flags=["x" * 41])
        with pytest.raises(AuditError, match="there is no entry 99"):
            add_review(log, 99, by="eva", verdict="agreed")
        # A secret in a comment is no more stored than one in a call.
        said = add_review(log, 11, by="eva", comment="seen: password=hunter2-and-more")
        assert "hunter2" not in str(log.entry(said.seq).body)


def test_a_verdict_takes_an_entry_out_of_the_queue(store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        tell_on(story)
        log = story.governance.audit
        story.governance.halt(agent="refunds", by="eva")
        halted = log.size()
        story.governance.resume(agent="refunds", by="eva")
        store = Store.open(store_url, create=False, readonly=True)
        assert seqs(store) == [11, 12, 18, 21, halted]
        assert seqs(store, limit=2) == [11, 12]
        assert seqs(store, Query(effect="ask")) == [12, 18]
        assert seqs(store, Query(run="run-0002", reason="budget")) == [21]
        assert seqs(store, Query(kind="outcome")) == []
        add_review(log, 11, by="eva", verdict="agreed")
        add_review(log, 12, by="eva", comment="a comment is no verdict")
        add_review(log, 18, by="eva", verdict="follow-up")
        assert seqs(store) == [12, 18, 21, halted]
        last = {item.entry.seq: item.last.verdict for item in queue(Reader(store)) if item.last}
        assert last == {18: "follow-up"}
        add_review(log, 18, by="ann", verdict="disputed")
        assert seqs(store) == [12, 21, halted]
        store.close()


def test_a_rejection_is_judged_with_its_question(sqlite_url: str, tmp_path: Path) -> None:
    with told(sqlite_url, tmp_path) as story:
        tell_on(story)
        waiting = story.governance.approvals.list()[0]
        story.governance.approvals.reject(waiting.id, by="eva")
        story.ask("refunds", "refund", key="open question", order="B-2", amount=75, account="DE-99")
        assert story.governance.audit.entries(effect="deny")[-1].body["refused_by"] == "approval"
        store = Store.open(sqlite_url, create=False, readonly=True)
        assert seqs(store) == [11, 12, 18, 21]
        store.close()


def test_another_kind_joins_by_a_line(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = Queued("new policy", {"kind": "policy"}, lambda _: True)
    monkeypatch.setattr(queues, "QUEUED", (*queues.QUEUED, more))
    with told(sqlite_url, tmp_path):
        store = Store.open(sqlite_url, create=False, readonly=True)
        assert [(item.name, item.entry.seq) for item in queue(Reader(store), limit=1)] == [("new policy", 1)]
        store.close()


def test_what_was_judged_is_not_read_again(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with told(store_url, tmp_path) as story:
        tell_on(story)
        log = story.governance.audit
        store = Store.open(store_url, create=False, readonly=True)
        waiting, looked, passed = Queue(Reader(store)), list[int](), list[int]()
        numbered, numbers = Reader.numbered, Reader.numbers

        def listen_numbered(reader: Reader, seqs: Iterable[int]) -> list[Entry]:
            looked.extend(found := list(seqs))
            return numbered(reader, found)

        def listen_numbers(reader: Reader, wanted: Selection, *, after: int = 0) -> Iterator[list[int]]:
            for page in numbers(reader, wanted, after=after):
                passed.extend(page)
                yield page

        monkeypatch.setattr(Reader, "numbered", listen_numbered)
        monkeypatch.setattr(Reader, "numbers", listen_numbers)

        def look() -> list[int]:
            looked.clear()
            passed.clear()
            found = [item.entry.seq for item in waiting.items()]
            asked_again = (sorted(looked), sorted(passed))
            assert found == seqs(store)  # who asks for the first time is told the same
            looked[:], passed[:] = asked_again
            return found

        assert look() == [11, 12, 18, 21]
        add_review(log, 11, by="eva", verdict="agreed")
        add_review(log, 18, by="eva", verdict="agreed")
        assert look() == [12, 21]
        assert (looked, passed) == ([12, 21], [11, 12, 18, 21])
        assert look() == [12, 21]
        assert (looked, passed) == ([12, 21], [12, 18, 21])
        add_review(log, 11, by="ann", verdict="follow-up")  # a judged one comes back, before where one was
        assert look() == [11, 12, 21]
        for seq in (11, 12, 21):
            add_review(log, seq, by="ann", verdict="agreed")
        assert look() == []
        assert look() == []
        assert (looked, passed) == ([], [])
        story.ask("refunds", "refund", order="B-9", amount=70, account="ACME-1")
        assert look() == [log.size()]
        store.close()
