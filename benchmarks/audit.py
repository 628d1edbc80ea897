"""The log: verifying it and proving from it, against SHA-256 of the same bytes; appending to it, against raw inserts of its rows.

    python -m benchmarks.audit [--entries 1000000] [--appends 2000] [--postgres URL]

Each figure is a ratio within this run. For `verify` the baseline is `hashlib.sha256` over the canonical bytes of the same entries
in one core, one digest an entry (as the tree has them), and once more as a single stream. For appending it is the same rows,
inserted by the raw driver with one commit an entry, by as many threads.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from openclaw.audit import AuditLog, Draft, Signer
from openclaw.audit.entry import ROW_COLUMNS, rows_bytes
from openclaw.store import Store, Transaction

WRITERS = (1, 8, 64)
ROUNDS = 3
BATCH = 5_000
PROOFS = 200

INPUT: dict[str, Any] = {
    "kind": "tool",
    "principal": {
        "agent": "refunds",
        "workflow": "returns",
        "org": "default",
        "roles": ["payer"],
        "chain": ["triage", "refunds"],
    },
    "run": {"id": "run-0199d2c4f1a2-8f3a5b1c", "thread": "customer-17", "step": 7, "calls": 6},
    "tool": {"name": "refund", "args": {"order": "A-17", "amount": 40, "account": "DE-77"}, "tags": ["write", "money"]},
    "budget": {"remaining": {"tokens": 81_234, "calls": 190, "microusd": 1_400_000}},
    "approval": None,
    "now": "2026-11-23T10:00:00.000000Z",
}
DECISION: dict[str, Any] = {
    "input": INPUT,
    "decision": {"effect": "allow", "reasons": [], "rules": ["policies.desk.allow"], "obligations": []},
    "engine": "regorus 0.14.1",
    "revision": "sha256:" + "5c" * 32,
}


def draft(number: int) -> Draft:
    """A decision and its outcome, in turn: what the gate writes."""
    place = {
        "run": f"run-{number // 40}",
        "workflow": "returns",
        "agent": f"agent-{number % 20}",
        "tool": f"tool-{number % 50}",
    }
    if number % 2 == 0:
        return Draft.model_construct(kind="decision", effect="allow", call_id=f"call_{number}", body=DECISION, **place)
    body = {
        "decision": number,
        "status": "done",
        "duration_ms": 3,
        "used": {"calls": 1},
        "reservation": f"hold-{number:012x}",
    }
    return Draft.model_construct(kind="outcome", call_id=f"call_{number - 1}", body=body, **place)


def fill(store: Store, log: AuditLog, count: int) -> None:
    for begin in range(0, count, BATCH):

        def unit(transaction: Transaction, begin: int = begin) -> None:
            for number in range(begin, min(begin + BATCH, count)):
                log.record(transaction, draft(number))

        store.run(unit)


def best(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds: the best of some rounds, since others share the machine."""
    seconds: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def hash_each(path: Path, one_stream: bool) -> tuple[float, int]:
    """Seconds to hash the canonical bytes of every entry, without reading or building them, and how many bytes those are."""
    total, seconds, stream, sha256 = 0, 0.0, hashlib.sha256(), hashlib.sha256
    with sqlite3.connect(path) as connection:
        rows = connection.execute(f"SELECT {', '.join(ROW_COLUMNS)} FROM openclaw_entry ORDER BY seq")
        while page := rows.fetchmany(BATCH):
            entries = rows_bytes(page)
            total += sum(map(len, entries))
            began = time.perf_counter()
            if one_stream:
                for entry in entries:
                    stream.update(entry)
            else:
                for entry in entries:
                    sha256(entry).digest()
            seconds += time.perf_counter() - began
    connection.close()
    return seconds, total


def verifying(folder: Path, count: int) -> None:
    path = folder / "verify.db"
    store = Store.open(f"sqlite:///{path}")
    log = AuditLog(store, Signer.load(folder / "log.key", store.origin), outside=folder / "log.checkpoints")
    fill(store, log, count)
    log.checkpoint()
    log.close()
    store.close()
    # Turn by turn, so that what else the machine does weighs on all of them.
    verified: list[float] = []
    each: list[float] = []
    stream: list[float] = []
    size = total = 0
    for _ in range(ROUNDS):
        hashed, total = hash_each(path, one_stream=False)
        each.append(hashed)
        stream.append(hash_each(path, one_stream=True)[0])
        opened = Store.open(f"sqlite:///{path}", create=False, readonly=True)
        reader = AuditLog(opened, Signer.load(folder / "log.key", opened.origin), outside=folder / "log.checkpoints")
        began = time.perf_counter()
        report = reader.verify().require()
        verified.append(time.perf_counter() - began)
        size = report.size
        reader.close()
        opened.close()
    print(f"verify: {size:,} entries of {total / size:,.0f} bytes, {os.cpu_count()} cores")
    print(f"{'':44}{'µs an entry':>14}{'ratio':>8}")
    base = min(each)
    lines = (
        ("SHA-256 of each entry, one core", base),
        ("SHA-256 of all in one stream", min(stream)),
        ("audit verify, SQLite's check included", min(verified)),
    )
    for label, seconds in lines:
        print(f"{label:44}{seconds / size * 1e6:>14.2f}{seconds / base:>8.2f}")
    print(f"against the single stream it is {min(verified) / min(stream):.2f}\n")
    proving(path, folder, base / size)


def proving(path: Path, folder: Path, base: float) -> None:
    """Proofs of entries all over the log, and from sizes all over it: made from stored hashes, and checked offline.

    A proof of one entry signs a checkpoint of the present log, a durable commit; one of growth signs two, and keeps none.
    """
    store = Store.open(f"sqlite:///{path}", create=False)
    log = AuditLog(store, Signer.load(folder / "log.key", store.origin))
    size = log.size()
    places = [1 + size * at // PROOFS for at in range(PROOFS)]
    proof, growth = log.prove(places[-1]), log.prove_consistency(places[1], size)
    lines = (
        ("a proof of one entry, made with its checkpoint", best(lambda: [log.prove(seq) for seq in places]) / PROOFS),
        ("… and checked", best(lambda: [proof.check(log.verifier) for _ in places]) / PROOFS),
        (
            "a proof of growth, made",
            best(lambda: [log.prove_consistency(seq, size) for seq in places]) / PROOFS,
        ),
        ("… and checked", best(lambda: [growth.check(log.verifier) for _ in places]) / PROOFS),
    )
    print(f"proofs in the same log: {len(proof.path)} hashes of an entry, {len(growth.path)} of growth")
    print(f"{'':44}{'µs':>14}{'SHA-256 of entries':>20}")
    for label, seconds in lines:
        print(f"{label:44}{seconds * 1e6:>14.0f}{seconds / base:>20.0f}")
    print()
    log.close()
    store.close()


def together(writers: int, count: int, action: Callable[[int, int], None]) -> float:
    """Seconds until ``writers`` threads have done ``count`` actions in all."""
    each = max(1, count // writers)

    def work(writer: int) -> None:
        for number in range(each):
            action(writer, number)

    def run() -> None:
        threads = [threading.Thread(target=work, args=(writer,)) for writer in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return best(run) / (each * writers)


def appending(kind: str, url: str, folder: Path, count: int, raw: Callable[[int, int], None]) -> None:
    store = Store.open(url)
    log = AuditLog(store, Signer.load(folder / f"{kind}.key", store.origin), outside=folder / f"{kind}.checkpoints")
    fill(store, log, 100)
    print(f"append, {kind}: {count:,} entries, each durable before the next of its thread")
    print(f"{'writers':>10}{'entries/s':>12}{'raw inserts/s':>16}{'ratio':>8}")
    for writers in WRITERS:
        ours = together(
            writers, count, lambda _, number: store.run(lambda transaction: log.record(transaction, draft(number)))
        )
        hand = together(writers, count, raw)
        print(f"{writers:>10}{1 / ours:>12,.0f}{1 / hand:>16,.0f}{hand / ours:>8.2f}")
    log.verify().require()
    log.close()
    store.close()
    print()


def raw_sqlite(folder: Path) -> Callable[[int, int], None]:
    """One committed row a call, a connection a thread: what somebody would write by hand (WAL, synchronous=FULL)."""
    path, local = folder / "raw.db", threading.local()
    columns = [name for name in ROW_COLUMNS if name != "seq"]
    setup = sqlite3.connect(path, isolation_level=None)
    setup.execute("PRAGMA journal_mode=WAL")
    setup.execute(f"CREATE TABLE entry (seq INTEGER PRIMARY KEY, {', '.join(columns)})")
    for name in ("run", "tool", "agent"):
        setup.execute(f"CREATE INDEX entry_{name} ON entry ({name}, seq)")
    setup.close()
    insert = f"INSERT INTO entry ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"

    def row(_: int, number: int) -> None:
        connection = getattr(local, "connection", None)
        if connection is None:
            connection = local.connection = sqlite3.connect(
                path, timeout=60, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(insert, values(number))
        connection.execute("COMMIT")

    return row


def raw_postgres(url: str) -> Callable[[int, int], None]:
    import psycopg

    plain, local = url.replace("postgresql+psycopg://", "postgresql://"), threading.local()
    columns = [name for name in ROW_COLUMNS if name != "seq"]
    with psycopg.connect(plain, autocommit=True) as setup:
        setup.execute("DROP TABLE IF EXISTS raw_entry")
        kinds = ", ".join(f"{name} {'bytea' if name == 'leaf' else 'text'}" for name in columns)
        setup.execute(f"CREATE TABLE raw_entry (seq bigserial PRIMARY KEY, {kinds})")  # type: ignore[arg-type]
        for name in ("run", "tool", "agent"):
            setup.execute(f"CREATE INDEX raw_entry_{name} ON raw_entry ({name}, seq)")  # type: ignore[arg-type]
    insert: Any = f"INSERT INTO raw_entry ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"

    def row(_: int, number: int) -> None:
        connection = getattr(local, "connection", None)
        if connection is None:
            connection = local.connection = psycopg.connect(plain, autocommit=True)
        connection.execute(insert, values(number))

    return row


def values(number: int) -> tuple[object, ...]:
    one = draft(number)
    body = one.model_dump_json(include={"body"})
    return (
        "2026-11-23T10:00:00.000000Z",
        one.kind,
        one.run,
        one.workflow,
        one.agent,
        one.tool,
        one.call_id,
        one.effect,
        body,
        b"\0" * 32,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000, help="for verify; 0 leaves it out")
    parser.add_argument("--appends", type=int, default=2_000, help="for each number of writers; 0 leaves it out")
    parser.add_argument(
        "--postgres", help="URL of an empty database; one of a throw-away server by default, if there is one"
    )
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if told.entries:
            verifying(folder, told.entries)
        if not told.appends:
            return
        appending("SQLite", f"sqlite:///{folder / 'append.db'}", folder, told.appends, raw_sqlite(folder))
        if told.postgres:
            appending("PostgreSQL", told.postgres, folder, told.appends, raw_postgres(told.postgres))
            return
        from tests.support import postgres

        if postgres.binaries() is None:
            print(f"append, PostgreSQL: left out; {postgres.HOW}")
            return
        # A server that keeps what it commits: the tests' own settings leave the disk out.
        postgres.SETTINGS |= {"fsync": "on", "full_page_writes": "on"}
        with postgres.server() as url:
            appending("PostgreSQL", url, folder, told.appends, raw_postgres(url))


if __name__ == "__main__":
    main()
