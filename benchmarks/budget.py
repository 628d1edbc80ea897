"""Reserve and settle over three levels, against the same movements in raw SQL by hand, on both stores.

    python -m benchmarks.budget [--count 300] [--store URL]

Each line is a ratio within one run. By hand are the same rows of the same tables, by the raw driver, one commit to reserve and
one to settle: the conditional UPDATE of three accounts and the reservation, the closed reservation and the three accounts. The
ledger does more in each of them: it looks up the accounts and their windows, judges five units, and survives retries. Without
``--store``: SQLite in a new file, and a PostgreSQL of its own where its programs are on this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.gate import each, together
from openclaw.budget import UNITS, Budget, Ledger
from openclaw.errors import BudgetExceeded
from openclaw.store import Store
from tests.support import postgres

ACCOUNT = "org/default/workflow/desk/agent/clerk"
EACH = 25
"""Movements of each of the 8 × 8 threads."""

FITS = " AND ".join(f"({unit}_limit IS NULL OR {unit}_posted + {unit}_pending + ? <= {unit}_limit)" for unit in UNITS)
TAKE = (
    f"UPDATE openclaw_account SET {', '.join(f'{unit}_pending = {unit}_pending + ?' for unit in UNITS)} "
    f"WHERE id IN (?, ?, ?) AND {FITS}"
)
OPEN = (
    "INSERT INTO openclaw_reservation (id, key, path, accounts, held, used, state, opened_at, expires_at, closed_at) "
    "VALUES (?, '', ?, ?, '{\"tokens\": 1}', '', 'pending', ?, ?, '')"
)
CLOSE = (
    "UPDATE openclaw_reservation SET state = 'settled', used = '{\"tokens\": 1}', closed_at = ? "
    "WHERE id = ? AND state = 'pending'"
)
MOVE = (
    "UPDATE openclaw_account SET "
    + ", ".join(f"{unit}_pending = {unit}_pending - ?, {unit}_posted = {unit}_posted + ?" for unit in UNITS)
    + " WHERE id IN (?, ?, ?)"
)
ONE = (1, *[0] * (len(UNITS) - 1))
NOW = "2026-11-24T12:00:00.000000Z"


class ByHand:
    """The same movements by the raw driver."""

    def __init__(self, store: Store, ids: list[int]) -> None:
        self._connection: Any = store.engine.raw_connection()
        self._postgres = store.engine.dialect.name == "postgresql"
        self._cursor: Any = self._connection.cursor()
        self._ids, self._made = ids, 0

    def _run(self, statement: str, values: tuple[object, ...]) -> None:
        if self._postgres:
            self._cursor.execute(statement.replace("?", "%s"), values)
        else:
            self._cursor.execute(statement, values)

    def movement(self) -> None:
        """Reserve, and settle."""
        self._made += 1
        name = f"hand-{self._made}"
        begin = "BEGIN" if self._postgres else "BEGIN IMMEDIATE"
        self._cursor.execute(begin)
        self._run(TAKE, (*ONE, *self._ids, *ONE))
        self._run(OPEN, (name, ACCOUNT, str(self._ids), NOW, NOW))
        self._cursor.execute("COMMIT")
        self._cursor.execute(begin)
        self._run(CLOSE, (NOW, name))
        self._run(MOVE, (*(it for pair in zip(ONE, ONE, strict=True) for it in pair), *self._ids))
        self._cursor.execute("COMMIT")

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def spend(url: str, barrier: Any, results: Any) -> None:
    """One of eight processes of eight threads; how many movements were admitted, and how long it took."""
    store = Store.open(url)
    ledger = Ledger(store)
    admitted: list[int] = []

    def calls() -> None:
        barrier.wait(120)
        for _ in range(EACH):
            with contextlib.suppress(BudgetExceeded):
                ledger.settle(ledger.reserve(ACCOUNT, calls=1), calls=1)
                admitted.append(1)

    threads = [threading.Thread(target=calls) for _ in range(8)]
    for thread in threads:
        thread.start()
    barrier.wait(120)
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    store.close()
    results.put((len(admitted), took))


def eight_by_eight(url: str, ledger: Ledger) -> str:
    """The throughput of 8 processes of 8 threads on one account that carries half of what they ask for."""
    asked = 8 * 8 * EACH
    limit = asked // 2
    before = ledger.balance(ACCOUNT).posted.calls
    ledger.set_limit("org/default", Budget(calls=before + limit))
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(8 * 8 + 8), spawn.Queue()
    workers = [spawn.Process(target=spend, args=(url, barrier, results)) for _ in range(8)]
    for worker in workers:
        worker.start()
    told = [results.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    admitted, took = sum(count for count, _ in told), max(seconds for _, seconds in told)
    posted = ledger.balance(ACCOUNT).posted.calls - before
    over, lost = posted - limit, admitted - posted
    kept = f"{admitted:,} of {limit:,} admitted, {max(0, over)} over, {lost} lost"
    return f"8 × 8: {asked:,} asked, {asked / took:,.0f} a second; {kept}"


def once(action: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(url: str, count: int) -> None:
    store = Store.open(url)
    ledger = Ledger(store)
    ledger.set_limit("org/default", Budget(tokens=10**12))

    def movement() -> None:
        ledger.settle(ledger.reserve(ACCOUNT, tokens=1), tokens=1)

    each(movement, 30)  # warm: connections, statements, pages
    with store.peek() as connection:
        ids = [int(row[0]) for row in connection.exec_driver_sql("SELECT id FROM openclaw_account ORDER BY path")]
    hand = ByHand(store, ids)
    # By turns, one by one, since others share the machine: the median of each.
    times = [(once(hand.movement), once(movement)) for _ in range(count)]
    raw, one = (statistics.median(values) for values in zip(*times, strict=True))
    hand.close()
    many = together(movement, 64, count * 8)
    print(f"{store.engine.dialect.name}")
    print(f"  {'by hand, one thread':28}{raw * 1e6:>9,.0f} µs")
    print(f"  {'reserve + settle, one thread':28}{one * 1e6:>9,.0f} µs{one / raw:>7.2f} × by hand")
    print(f"  {'64 at once':28}{many * 1e6:>9,.0f} µs{one / many:>7.2f} × the throughput of one")
    print(f"  {eight_by_eight(url, ledger)}")
    store.close()


@contextlib.contextmanager
def stores(told: str | None) -> Iterator[list[str]]:
    """The databases to measure on."""
    with contextlib.ExitStack() as opened:
        if told:
            yield [told]
            return
        folder = opened.enter_context(tempfile.TemporaryDirectory())
        urls = [f"sqlite:///{Path(folder) / 'openclaw.db'}"]
        if postgres.binaries():
            url = opened.enter_context(postgres.server())
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = on")  # for tests it is off; here both stores are durable
                connection.execute("SELECT pg_reload_conf()")
            urls.append(url)
        yield urls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--store", help="one database to measure on")
    told = parser.parse_args()
    with stores(told.store) as urls:
        for url in urls:
            measure(url, told.count)


if __name__ == "__main__":
    main()
