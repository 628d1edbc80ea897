"""Order: gapless and equal to commit order, with many threads and many processes; and writers that nobody holds up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from openclaw.audit import AuditLog, Draft, Signer
from openclaw.store import Store

PROJECT = Path(__file__).parents[2]

WRITER = """
import sys, threading
from pathlib import Path
from openclaw.audit import AuditLog, Draft, Signer
from openclaw.store import Store
url, key, process, threads, count = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
store = Store.open(url)
log = AuditLog(store, Signer.load(Path(key), store.origin), outside=Path(key + ".checkpoints"))
def write(thread):
    for number in range(count):
        # The number is taken from the log when it is final, and said in the next entry of the same thread.
        log.append(Draft(kind="decision", agent=f"{process}-{thread}", effect="allow", body={"n": number}))
workers = [threading.Thread(target=write, args=(thread,)) for thread in range(threads)]
print("ready", flush=True)
sys.stdin.readline()
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
log.checkpoint()
log.close()
store.close()
"""


def write_from(url: str, folder: Path, *, processes: int, threads: int, each: int) -> float:
    """Let processes write at once; the seconds that it took."""
    Store.open(url).close()
    key = folder / "log.key"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(key), str(process), str(threads), str(each)],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for process in range(processes)
    ]
    try:
        for writer in running:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        began = time.perf_counter()
        for writer in running:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        assert [writer.wait() for writer in running] == [0] * processes
        return time.perf_counter() - began
    finally:
        for writer in running:
            writer.kill()
            writer.communicate()


def check(url: str, folder: Path, *, writers: int, each: int) -> int:
    """Everything that must hold of what they wrote; how many entries there are."""
    store = Store.open(url, create=False, readonly=True)
    log = AuditLog(store, Signer.load(folder / "log.key", store.origin), outside=folder / "log.key.checkpoints")
    report = log.verify().require()
    assert report.warnings == ()
    entries = log.entries()
    assert [entry.seq for entry in entries] == list(range(1, report.size + 1))
    own: dict[str, list[object]] = {}
    for entry in entries:
        if entry.kind == "decision":
            own.setdefault(entry.agent, []).append(entry.body["n"])
    store.close()
    assert len(own) == writers
    assert all(numbers == list(range(each)) for numbers in own.values()), "a thread's own order was not kept"
    return report.size


def test_processes_and_threads_keep_one_gapless_order(store_url: str, tmp_path: Path) -> None:
    write_from(store_url, tmp_path, processes=3, threads=4, each=50)
    assert check(store_url, tmp_path, writers=12, each=50) == 603  # each process signs once at its end


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_entries_by_8_processes_of_8_threads(
    store_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    each = 1563  # 64 × 1563 is 100,032
    seconds = write_from(store_url, tmp_path, processes=8, threads=8, each=each)
    size = check(store_url, tmp_path, writers=64, each=each)
    assert size >= 100_000
    with capsys.disabled():
        kind = store_url.partition(":")[0]
        print(
            f"\n{kind}: {size:,} entries by 8 processes × 8 threads in {seconds:.1f} s, {size / seconds:,.0f} a second"
        )


def test_an_append_returns_a_number_that_is_final_and_in_the_order_of_commits(store_url: str, tmp_path: Path) -> None:
    """Whoever sees an entry sees every entry with a smaller number, at any moment: no gap ever fills up later."""
    stores = [Store.open(store_url) for _ in range(2)]
    signer = Signer.load(tmp_path / "log.key", stores[0].origin)
    logs = [AuditLog(store, signer) for store in stores]
    stop = threading.Event()
    wrong: list[str] = []

    def watch() -> None:
        reader = Store.open(store_url, create=False, readonly=True)
        with_gaps = AuditLog(reader, None)
        while not stop.is_set():
            seen = [entry.seq for entry in with_gaps.entries()]
            if seen != list(range(1, len(seen) + 1)):
                wrong.append(f"{len(seen)} entries up to {seen[-1]}")
        reader.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    numbers: list[int] = []
    lock = threading.Lock()

    def write(log: AuditLog) -> None:
        for number in range(60):
            entry = log.append(Draft(kind="halt", body={"n": number}))
            with lock:
                numbers.append(entry.seq)

    threads = [threading.Thread(target=write, args=(log,)) for log in logs * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    for store in stores:
        store.close()
    assert wrong == []
    assert sorted(numbers) == list(range(1, 361))


def test_appends_that_come_at_once_share_commits(store_url: str, tmp_path: Path) -> None:
    store = Store.open(store_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin))
    commits: list[int] = []
    store.hooks.append(lambda transaction: commits.append(1))
    gate = threading.Event()
    slow = threading.Thread(target=lambda: store.run(lambda _: gate.wait(30)))
    slow.start()  # one commit that takes its time; what comes meanwhile gathers
    jobs = [
        store.submit(lambda transaction, n=n: log.record(transaction, Draft(kind="halt", body={"n": n})))
        for n in range(200)
    ]
    gate.set()
    slow.join()
    assert sorted(job.wait() for job in jobs) == list(range(1, 201))
    assert len(commits) <= 4
    assert log.verify().ok
    store.close()


def test_a_reader_that_never_ends_holds_no_writer_up(store_url: str, tmp_path: Path) -> None:
    store = Store.open(store_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin))
    for number in range(20):
        log.append(Draft(kind="halt", body={"n": number}))
    reader = Store.open(store_url, create=False, readonly=True)
    with reader.read() as connection:
        rows = connection.exec_driver_sql("SELECT seq FROM openclaw_entry ORDER BY seq")
        assert rows.fetchone() == (1,)  # an exporter that is stuck in the middle of its query
        for number in range(200):
            log.append(Draft(kind="halt", body={"n": number}))
        log.checkpoint()
        assert log.verify().ok
        assert len(rows.fetchall()) == 19, "it sees the moment at which it began"
    reader.close()
    assert log.size() == 221
    store.close()
