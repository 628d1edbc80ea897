"""Export: every entry at least once and in order, whatever the sink does and whenever the process dies."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from openclaw.audit import AuditLog, Draft, Signer
from openclaw.errors import ExportError
from openclaw.review.export import Cursor, Exporter, JsonLines, Report, Wanted, open_sink
from openclaw.review.export_sinks import FileSink, LimitedSink, Parcel, SinkFailed, StreamSink, Taken
from openclaw.store import Store
from tests.support.collector import Collector, collector

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store.open(store_url)
    yield opened
    opened.close()


@pytest.fixture
def log(store: Store) -> AuditLog:
    return AuditLog(store, Signer("log", b"\7" * 32), every_entries=10**9, every_seconds=10**9)


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw.review.export.PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("openclaw.review.export.PAUSE_SECONDS_MAX", 0.01)


def fill(log: AuditLog, count: int, **body: Any) -> None:
    def write(transaction: Any) -> None:
        for number in range(count):
            log.record(transaction, Draft(kind="decision", effect="allow", tool="t", body={"n": number, **body}))

    log._store.run(write)


def seqs(data: bytes) -> list[int]:
    return [json.loads(line)["seq"] for line in data.splitlines()]


def to_file(log: AuditLog, path: Path, **kwargs: Any) -> Report:
    sink = open_sink(str(path), append="cursor" in kwargs)
    try:
        report = Exporter(log, JsonLines(), sink, **kwargs).run()
    except BaseException:
        sink.close(whole=False)
        raise
    sink.close()
    return report


def exported(log: AuditLog, receiver: Collector, *, limit_seconds: float = 30, **kwargs: Any) -> Report:
    sink = open_sink(receiver.url, limit_seconds=limit_seconds)
    try:
        return Exporter(log, JsonLines(), sink, **kwargs).run()
    finally:
        sink.close()


def until(met: Callable[[], object]) -> None:
    """Wait for something that comes; the suite's timeout ends what does not."""
    event = threading.Event()
    while not met():
        event.wait(0.01)


def test_everything_is_exported_in_order(log: AuditLog, tmp_path: Path) -> None:
    fill(log, 1234)
    passed: list[tuple[int, int]] = []
    report = to_file(log, tmp_path / "out", progress=lambda *at: passed.append(at))
    assert (report.exported, report.after, report.complete) == (1234, 1234, True)
    lines = (tmp_path / "out").read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == [entry.model_dump(mode="json") for entry in log.entries()]
    assert passed[-1] == (1234, 1234)


def test_an_empty_log_is_an_empty_file(log: AuditLog, tmp_path: Path) -> None:
    assert to_file(log, tmp_path / "out").exported == 0
    assert (tmp_path / "out").read_bytes() == b""


def test_large_entries_travel_alone(log: AuditLog, receiver: Collector) -> None:
    fill(log, 5, text="x" * 3_000_000)
    exported(log, receiver)
    assert [seqs(body) for body in receiver.bodies()] == [[1], [2], [3], [4], [5]]


def test_only_what_is_wanted_is_exported(log: AuditLog, tmp_path: Path) -> None:
    fill(log, 3)
    log.append({"kind": "policy", "body": {}})
    log.checkpoint()
    third = log.entry(3).at
    assert to_file(log, tmp_path / "a", wanted=Wanted(kinds=["policy", "checkpoint"])).exported == 2
    assert seqs((tmp_path / "a").read_bytes()) == [4, 5]
    assert to_file(log, tmp_path / "b", wanted=Wanted(until=third)).exported == 0
    assert to_file(log, tmp_path / "c", wanted=Wanted(since=third)).exported == 5


def test_entries_that_are_gone_are_missed_aloud(log: AuditLog, store: Store, tmp_path: Path) -> None:
    fill(log, 6)
    store.run(lambda t: t.connection.execute(sa.text("DELETE FROM openclaw_entry WHERE seq IN (1, 2, 5)")))
    report = to_file(log, tmp_path / "out")
    assert (report.exported, report.missing, report.complete) == (3, 3, False)
    assert "not in the log any more" in report.notes["missing"]
    store.run(lambda t: t.connection.execute(sa.text("DELETE FROM openclaw_entry")))
    assert to_file(log, tmp_path / "all gone").missing == 6


class TestCursors:
    """An export goes on behind the one before."""

    def cursor(self, log: AuditLog, path: Path, form: str = "jsonl") -> Cursor:
        return Cursor(path, origin=log.origin, form=form)

    def test_it_goes_on_behind_the_one_before(self, log: AuditLog, tmp_path: Path) -> None:
        for _ in range(3):
            fill(log, 700)
            cursor = self.cursor(log, tmp_path / "c")
            to_file(log, tmp_path / "out", cursor=cursor)
            cursor.close()
        assert seqs((tmp_path / "out").read_bytes()) == list(range(1, 2101))

    def test_a_torn_last_line_comes_again(self, log: AuditLog, tmp_path: Path) -> None:
        fill(log, 3)
        (tmp_path / "out").write_bytes(b'{"seq": 0}\n{"seq": 1, "torn')
        cursor = self.cursor(log, tmp_path / "c")
        to_file(log, tmp_path / "out", cursor=cursor)
        cursor.close()
        assert seqs((tmp_path / "out").read_bytes()) == [0, 1, 2, 3]

    def test_one_export_uses_it_at_a_time(self, log: AuditLog, tmp_path: Path) -> None:
        first = self.cursor(log, tmp_path / "c")
        with pytest.raises(ExportError, match="another export uses the cursor"):
            self.cursor(log, tmp_path / "c")
        first.close()
        self.cursor(log, tmp_path / "c").close()

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "cannot be read"),
            ("{}", "cannot be read"),
            ('{"origin": "other", "format": "jsonl", "after": 3}', "is of log `other`"),
            ('{"origin": "LOG", "format": "otel", "after": 3}', "is of format `otel`"),
        ],
    )
    def test_what_is_no_cursor_of_this_export_is_refused(
        self, log: AuditLog, tmp_path: Path, text: str, said: str
    ) -> None:
        (tmp_path / "c").write_text(text.replace("LOG", log.origin))
        cursor = self.cursor(log, tmp_path / "c")
        with pytest.raises(ExportError, match=said):
            cursor.load()
        cursor.close()

    def test_it_stays_where_the_sink_stopped(self, log: AuditLog, tmp_path: Path, receiver: Collector) -> None:
        fill(log, 1200)
        receiver.behave.append(lambda _: None)
        receiver.fail(503, times=3)
        cursor = self.cursor(log, tmp_path / "c")
        with pytest.raises(ExportError, match="does not take entry 501"):
            exported(log, receiver, cursor=cursor, attempts=3)
        assert cursor.load().after == 500
        report = exported(log, receiver, cursor=cursor)
        cursor.close()
        assert report.exported == 700
        assert [number for body in receiver.bodies() for number in seqs(body)] == list(range(1, 1201))


class TestSinks:
    """Files, pipes and collectors, in good and bad days."""

    def test_a_file_appears_whole_or_not_at_all(self, log: AuditLog, tmp_path: Path) -> None:
        fill(log, 10)
        sink = open_sink(str(tmp_path / "out"))
        Exporter(log, JsonLines(), sink).run()
        assert not (tmp_path / "out").exists()
        sink.close(whole=False)
        assert list(tmp_path.iterdir()) == [] or all("out" not in path.name for path in tmp_path.iterdir())

    def test_a_file_that_is_there_is_not_replaced_unasked(self, log: AuditLog, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("precious")
        with pytest.raises(ExportError, match="is there already"):
            open_sink(str(tmp_path / "out"))
        sink = open_sink(str(tmp_path / "out"), force=True)
        assert (tmp_path / "out").read_text() == "precious"
        sink.close()
        assert (tmp_path / "out").read_text() == ""

    @pytest.mark.parametrize("to", ["s3://bucket/x", "http://", "/no/such/folder/x", "/"])
    def test_what_is_no_sink_is_said(self, to: str) -> None:
        with pytest.raises(ExportError):
            open_sink(to)

    def test_standard_output_is_a_sink(self, log: AuditLog) -> None:
        fill(log, 3)
        out = io.BytesIO()
        Exporter(log, JsonLines(), open_sink("-", out=out)).run()
        assert seqs(out.getvalue()) == [1, 2, 3]
        with pytest.raises(BrokenPipeError):
            Exporter(log, JsonLines(), StreamSink(_Gone())).run()

    def test_a_collector_gets_headers_and_content_type(self, log: AuditLog, receiver: Collector) -> None:
        fill(log, 3)
        Exporter(log, JsonLines(), open_sink(receiver.url + "/in/", headers={"Authorization": "Bearer x"})).run()
        (got,) = receiver.got
        assert (got.path, got.headers["Content-Type"], got.headers["Authorization"]) == (
            "/in",
            "application/x-ndjson",
            "Bearer x",
        )

    @pytest.mark.parametrize("status", [429, 500, 503, 408])
    def test_what_asks_to_come_again_is_tried_again(self, log: AuditLog, receiver: Collector, status: int) -> None:
        fill(log, 3)
        receiver.fail(status, times=4)
        report = exported(log, receiver)
        assert (report.exported, report.failures) == (3, 4)

    @pytest.mark.parametrize("status", [302, 400, 401, 404, 413])
    def test_what_refuses_for_good_ends_the_export(self, log: AuditLog, receiver: Collector, status: int) -> None:
        fill(log, 3)
        receiver.fail(status, headers={"Location": "http://127.0.0.1:1/"}, body=b"go away")
        with pytest.raises(ExportError, match=f"answered {status}"):
            exported(log, receiver)
        assert receiver.asked == 1

    def test_nobody_there_is_said(self, log: AuditLog) -> None:
        fill(log, 1)
        with pytest.raises(ExportError, match="cannot be reached"):
            Exporter(log, JsonLines(), open_sink("http://127.0.0.1:9"), attempts=2).run()

    def test_a_hanging_sink_is_cut_off_and_counted(self, log: AuditLog, receiver: Collector) -> None:
        fill(log, 3)
        receiver.hang(times=2)
        report = exported(log, receiver, limit_seconds=0.2)
        assert (report.exported, report.failures, report.cut_off) == (3, 2, 2)

    def test_a_pipe_that_nobody_reads_is_cut_off(self, log: AuditLog, tmp_path: Path) -> None:
        fill(log, 3)
        os.mkfifo(tmp_path / "pipe")
        before = set(threading.enumerate())
        sink = open_sink(str(tmp_path / "pipe"), append=True, limit_seconds=0.2)
        with pytest.raises(ExportError, match="cut off after"):
            Exporter(log, JsonLines(), sink, attempts=2).run()
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)  # lets the threads go that hang there
        until(lambda: not set(threading.enumerate()) - before)
        sink.close()
        os.close(reader)

    def test_no_more_than_a_few_attempts_hang_at_once(self) -> None:
        let_go = threading.Event()

        class Stuck:
            text = True

            def deliver(self, _: Parcel) -> Taken:
                let_go.wait()
                return Taken()

            def close(self, *, whole: bool = True) -> None: ...

        before = set(threading.enumerate())
        sink = LimitedSink(Stuck(), 0.01)
        for _ in range(30):
            with pytest.raises(SinkFailed):
                sink.deliver(Parcel(b""))
        assert len(set(threading.enumerate()) - before) == 8
        let_go.set()
        until(lambda: not set(threading.enumerate()) - before)

    def test_an_attempt_that_failed_leaves_nothing_in_the_file(self, tmp_path: Path) -> None:
        sink = FileSink(tmp_path / "out", append=True)
        sink.deliver(Parcel(b"one\n"))
        with (tmp_path / "out").open("ab") as other:
            other.write(b"half a li")
        sink.deliver(Parcel(b"two\n"))
        sink.close()
        assert (tmp_path / "out").read_bytes() == b"one\ntwo\n"


class _Gone(io.BytesIO):
    def write(self, _: Any) -> int:
        raise BrokenPipeError


class TestFollowing:
    """An export that goes on with what comes."""

    def following(self, exporter: Exporter) -> threading.Thread:
        thread = threading.Thread(target=exporter.follow, kwargs={"every_seconds": 0.01})
        thread.start()
        return thread

    def test_what_comes_is_exported(self, log: AuditLog, receiver: Collector) -> None:
        exporter = Exporter(log, JsonLines(), open_sink(receiver.url))
        thread = self.following(exporter)
        for count in (1, 5, 700):
            fill(log, count)
            until(lambda: exporter.report.after == log.size())
        exporter.stop()
        thread.join()
        assert [number for body in receiver.bodies() for number in seqs(body)] == list(range(1, 707))

    def test_a_sink_that_hangs_holds_up_no_writer_and_loses_nothing(self, log: AuditLog, receiver: Collector) -> None:
        receiver.hang(times=3)
        receiver.fail(500, times=3)
        exporter = Exporter(log, JsonLines(), open_sink(receiver.url, limit_seconds=0.1))
        fill(log, 1)
        thread = self.following(exporter)
        until(lambda: receiver.asked >= 1)
        fill(log, 10)  # the sink hangs, and this returns
        until(lambda: exporter.report.after == 11)
        exporter.stop()
        thread.join()
        assert exporter.report.cut_off >= 3
        assert [number for body in receiver.bodies() for number in seqs(body)] == list(range(1, 12))

    def test_a_sink_that_stays_away_can_be_left(self, log: AuditLog, receiver: Collector, tmp_path: Path) -> None:
        fill(log, 3)
        receiver.fail(503, times=1_000_000)
        cursor = Cursor(tmp_path / "c", origin=log.origin, form="jsonl")
        exporter = Exporter(log, JsonLines(), open_sink(receiver.url), cursor=cursor)
        thread = self.following(exporter)
        until(lambda: exporter.report.failures >= 10)
        exporter.stop()
        thread.join()
        assert cursor.load().after == 0
        cursor.close()

    def test_killed_and_started_again_nothing_is_lost(self, store_url: str, log: AuditLog, tmp_path: Path) -> None:
        out, written = tmp_path / "out", 0
        command = [sys.executable, "-m", "openclaw", "audit", "export", "--store", store_url, "--to", str(out)]
        command += ["--follow", "--every", "0.05", "--cursor", str(tmp_path / "c.json")]
        for round_ in range(4):
            process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE)
            target = out.stat().st_size + 1 if out.exists() else 1
            for _ in range(20):
                fill(log, 50)
                written += 50
            until(lambda target=target: out.exists() and out.stat().st_size >= target)
            process.send_signal(signal.SIGKILL if round_ < 3 else signal.SIGTERM)
            said = process.communicate()[1].decode()
        assert said.endswith(f"entries exported to {out}\n")
        # what the last one left, one that is not followed takes
        subprocess.run([part for part in command if part != "--follow"], cwd=PROJECT, check=True, capture_output=True)
        found = seqs(out.read_bytes())
        assert sorted(set(found)) == list(range(1, written + 1))

    def test_interrupted_a_file_is_whole_or_not_there(self, store_url: str, log: AuditLog, tmp_path: Path) -> None:
        fill(log, 20_000)
        command = [
            sys.executable,
            "-m",
            "openclaw",
            "audit",
            "export",
            "--store",
            store_url,
            "--to",
            str(tmp_path / "out"),
        ]
        process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE)
        until(lambda: (tmp_path / ".out.partial").exists() and (tmp_path / ".out.partial").stat().st_size > 0)
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1].decode()
        assert (process.returncode, (tmp_path / "out").exists()) in ((130, False), (0, True)), said
        assert not (tmp_path / ".out.partial").exists()
