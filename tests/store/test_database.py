"""Writing: in order, together, durable when it returns, and never half."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from openclaw.errors import BudgetError, StoreError
from openclaw.store import Statement, Store, Transaction

INSERT = sa.text("INSERT INTO openclaw_run (id, thread, workflow, started_at) VALUES (:id, '', '', :at)")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store.open(store_url)
    yield opened
    opened.close()


def insert(name: str):
    def unit(transaction: Transaction) -> str:
        transaction.connection.execute(INSERT, {"id": name, "at": "2026"})
        return name

    return unit


def names(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(sa.text("SELECT id FROM openclaw_run ORDER BY id")).scalars())


def test_a_unit_is_durable_for_others_when_it_returns(store: Store, store_url: str) -> None:
    assert store.run(insert("a")) == "a"
    other = Store.open(store_url)
    assert names(other) == ["a"]
    other.close()


def test_units_that_gather_share_one_transaction_and_run_in_order(store: Store) -> None:
    entered, go = threading.Event(), threading.Event()
    seen: list[tuple[int, str]] = []

    def block(_: Transaction) -> None:
        entered.set()
        assert go.wait(30)

    def unit(name: str):
        def run(transaction: Transaction) -> None:
            seen.append((id(transaction), name))

        return run

    first = store.submit(block)
    assert entered.wait(30)
    jobs = [store.submit(unit(name)) for name in "abcdef"]
    go.set()
    first.wait()
    for job in jobs:
        job.wait()
    assert [name for _, name in seen] == list("abcdef")
    assert len({transaction for transaction, _ in seen}) == 1


def test_a_unit_that_raises_leaves_nothing_and_takes_nobody_with_it(store: Store) -> None:
    entered, go = threading.Event(), threading.Event()

    def block(_: Transaction) -> None:
        entered.set()
        assert go.wait(30)

    def fail(transaction: Transaction) -> None:
        insert("half")(transaction)
        raise BudgetError("no")

    gate = store.submit(block)
    assert entered.wait(30)
    before, failing, after = store.submit(insert("before")), store.submit(fail), store.submit(insert("after"))
    go.set()
    gate.wait()
    assert before.wait() == "before"
    assert after.wait() == "after"
    with pytest.raises(BudgetError, match="no"):
        failing.wait()
    assert names(store) == ["after", "before"]


def test_a_deferred_unit_is_seen_by_readers_and_survives_close(store_url: str) -> None:
    store = Store.open(store_url)
    store.defer(insert("a"))
    assert names(store) == ["a"]
    store.defer(insert("b"))
    store.close()
    again = Store.open(store_url)
    assert names(again) == ["a", "b"]
    again.close()


def test_a_deferred_unit_commits_by_itself(store: Store) -> None:
    done = threading.Event()

    def unit(_: Transaction) -> None:
        done.set()

    store.defer(unit)
    assert done.wait(30)


async def test_a_cancelled_waiter_goes_away_and_its_unit_commits(store: Store) -> None:
    entered, go = threading.Event(), threading.Event()

    def block(transaction: Transaction) -> None:
        entered.set()
        assert go.wait(30)
        insert("a")(transaction)

    task = asyncio.create_task(store.arun(block))
    await asyncio.to_thread(entered.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert await store.arun(insert("b")) == "b"
    assert await asyncio.to_thread(names, store) == ["a", "b"]


def test_a_statement_that_fails_is_a_store_error_for_its_waiters_and_writing_goes_on(store: Store) -> None:
    with pytest.raises(StoreError, match="the database cannot be written"):
        store.run(lambda tx: tx.connection.execute(sa.text("INSERT INTO no_such_table VALUES (1)")))
    assert store.run(insert("a")) == "a"


def test_a_closed_store_takes_nothing(store_url: str) -> None:
    store = Store.open(store_url)
    store.close()
    store.close()
    query = Statement(sa.select(sa.literal_column("1").label("one")))
    uses = (lambda: store.run(insert("a")), lambda: store.fetch(query, {}), lambda: names(store), lambda: peek(store))
    for use in uses:
        with pytest.raises(StoreError, match="the store is closed"):
            use()
    assert store._readers == []


def peek(store: Store) -> None:
    with store.peek() as connection:
        connection.execute(sa.text("SELECT 1"))


def test_a_store_open_for_reading_takes_nothing(store_url: str) -> None:
    Store.open(store_url).close()
    store = Store.open(store_url, create=False, readonly=True)
    assert names(store) == []
    with pytest.raises(StoreError, match="open for reading only"):
        store.run(insert("a"))
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_store_is_not_used_across_a_fork(sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    store.run(insert("a"))
    child = os.fork()
    if child == 0:
        try:
            store.run(insert("b"))
        except StoreError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    store.close()


def test_many_threads_lose_nothing(store: Store) -> None:
    def work(thread: int) -> None:
        for number in range(20):
            store.run(insert(f"{thread:02}-{number:02}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(store)) == 16 * 20


# -- who commits ---------------------------------------------------------------------------------------------------------


def test_a_caller_that_waits_alone_commits_in_its_own_thread(store: Store) -> None:
    assert store.run(lambda _: threading.get_ident()) == threading.get_ident()


async def test_an_event_loop_never_commits_in_its_own_thread(store: Store) -> None:
    assert await store.arun(lambda _: threading.get_ident()) != threading.get_ident()


def test_who_comes_during_a_commit_is_not_forgotten(store: Store) -> None:
    entered, go = threading.Event(), threading.Event()

    def block(_: Transaction) -> None:
        entered.set()
        assert go.wait(30)

    leader = threading.Thread(target=lambda: store.run(block))
    leader.start()
    assert entered.wait(30)
    others = [threading.Thread(target=lambda n=n: store.run(insert(n))) for n in "abc"]
    for other in others:
        other.start()
    while len(store._writer._queue) < 3:
        pass
    go.set()
    for thread in [leader, *others]:
        thread.join(30)
        assert not thread.is_alive()
    assert names(store) == ["a", "b", "c"]


def test_an_interrupt_before_the_commit_leaves_nothing_and_what_was_queued_is_written_later(store: Store) -> None:
    seen: list[str] = []

    def interrupted(transaction: Transaction) -> None:
        insert("mine")(transaction)
        seen.append("run")
        if len(seen) == 1:
            raise KeyboardInterrupt

    store.defer(insert("deferred"))
    job = store.submit(interrupted, awaited=True)
    with pytest.raises(KeyboardInterrupt):
        job.wait()
    job.future.result(30)
    assert seen == ["run", "run"], "it was queued again: its caller is gone, what it asked for is not"
    assert names(store) == ["deferred", "mine"]


@pytest.mark.parametrize("when", ["telling", "committing"])
def test_an_interrupt_after_the_commit_repeats_nothing(
    store: Store, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []

    def unit(transaction: Transaction) -> None:
        runs.append("run")
        insert("a")(transaction)
        if when == "committing":
            transaction.cursor = Interrupting(transaction.cursor)
        else:
            monkeypatch.setattr(store._writer, "_done", once_interrupted(store._writer._done))

    job = store.submit(unit, awaited=True)
    with pytest.raises(KeyboardInterrupt):
        job.wait()
    assert job.done
    assert runs == ["run"]
    assert names(store) == ["a"]
    assert store.run(insert("b")) == "b"


class Interrupting:
    """A cursor whose COMMIT is interrupted as soon as it has come through."""

    def __init__(self, cursor: object) -> None:
        self._cursor = cursor

    def __getattr__(self, name: str) -> object:
        return getattr(self._cursor, name)

    def execute(self, sql: str, parameters: object) -> None:
        self._cursor.execute(sql, parameters)  # type: ignore[attr-defined]
        if sql == "COMMIT":
            raise KeyboardInterrupt


def once_interrupted(done):
    """The same, but that an interrupt comes before it has begun the first time."""
    calls: list[int] = []

    def interrupted(attempt: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        done(attempt)

    return interrupted


def test_a_connection_that_was_kept_for_reading_and_is_gone_is_opened_anew(store: Store) -> None:
    query = Statement(sa.select(sa.literal_column("1").label("one")))
    assert store.fetch(query, {}) == [{"one": 1}]
    [kept] = store._readers
    kept.close()
    assert store.fetch(query, {}) == [{"one": 1}]
    assert len(store._readers) == 1


def test_several_threads_may_wait_for_one_unit(store: Store) -> None:
    entered, go = threading.Event(), threading.Event()

    def block(_: Transaction) -> None:
        entered.set()
        assert go.wait(30)

    leader = threading.Thread(target=lambda: store.run(block))
    leader.start()
    assert entered.wait(30)
    job = store.submit(insert("a"))
    seen: list[str] = []
    waiting = [threading.Thread(target=lambda: seen.append(job.wait())) for _ in range(3)]
    for thread in waiting:
        thread.start()
    while job._turnstile is None:
        pass
    go.set()
    for thread in [leader, *waiting]:
        thread.join(30)
        assert not thread.is_alive()
    assert seen == ["a", "a", "a"]
    assert (job.wait(), job.future.result(30)) == ("a", "a")


def test_what_is_deferred_and_cannot_be_written_is_said_at_the_end(store_url: str) -> None:
    store = Store.open(store_url)

    def fail(_: Transaction) -> None:
        raise BudgetError("there is no reservation `hold-1`")

    store.defer(fail)
    store.defer(insert("after"))
    assert store.run(insert("b")) == "b", "it takes nobody with it"
    assert names(store) == ["after", "b"]
    with pytest.raises(
        StoreError, match=r"1 writes that nobody waited for were given up.*there is no reservation `hold-1`"
    ):
        store.close()
    assert store.closed
    store.close()


@pytest.mark.parametrize(
    "turn", ["SELECT id FROM openclaw_meta WHERE id = 1 FOR UPDATE", "LOCK TABLE openclaw_meta IN EXCLUSIVE MODE"]
)
def test_who_writes_waits_for_another_process_and_readers_do_not(postgres_url: str, turn: str) -> None:
    """Its lock, or the row that earlier versions lock."""
    with contextlib.closing(Store.open(postgres_url)) as store, store.engine.connect() as other:
        store.run(insert("a"))
        other.exec_driver_sql("BEGIN")
        other.exec_driver_sql(turn)
        job = store.submit(insert("b"))
        waiting = sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        with store.peek() as connection:
            while not connection.execute(waiting).scalar():
                assert not job.done
        with store.peek() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM openclaw_run")).scalar() == 1
        other.exec_driver_sql("ROLLBACK")
        assert job.wait() == "b"
        assert names(store) == ["a", "b"]
