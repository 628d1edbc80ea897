"""The store fails while the gate runs, for real: a full disk, a read-only one, a server that is gone.

Each call meanwhile is refused with one error that names the cause and the way out; nothing of it stays behind, what was
running before is settled afterwards, and the first call after the store is back passes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import sqlalchemy as sa

from openclaw.action import Principal, ToolCall
from openclaw.budget import Budget, Usage
from openclaw.gate import Outcome, Permit, Refusal, Request
from openclaw.governance import Governance
from tests.conftest import require
from tests.faults.steps import engine
from tests.support import postgres

ACCOUNT = "org/default/workflow/desk"


def request(call: str) -> Request:
    action = ToolCall(principal=Principal(agent="clerk", workflow="desk"), name="note", args={}, call_id=call)
    return Request(action=action, hold=Usage(calls=1), key=call)


def end(governance: Governance, permit: Permit) -> None:
    governance.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1), result=1))


@contextlib.contextmanager
def opened(url: str, folder: Path) -> Iterator[Governance]:
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "desk.rego").write_text(
        'package openclaw.policies.desk\n\nimport rego.v1\n\nallow if input.tool.name == "note"\n'
    )
    with Governance.open(url, policies=engine(str(folder)), key=folder / "key") as governance:
        governance.ledger.set_limit(ACCOUNT, Budget(calls=1000))
        yield governance


async def story(governance: Governance, breaking: AbstractContextManager[object], *, cause: str, way_out: str) -> None:
    """Calls before, while and after the store fails; what must hold of each."""
    gate = governance.gate
    before, running = gate.admit(request("before")), gate.admit(request("running"))
    assert isinstance(before, Permit)
    assert isinstance(running, Permit)
    end(governance, before)
    gate.flush()
    refused: list[str] = []
    with breaking:
        end(governance, running)  # what it did is done: its outcome waits
        for number in range(5):
            call = f"meanwhile {number}"
            answer = gate.admit(request(call)) if number % 2 else await gate.aadmit(request(call))
            if isinstance(answer, Permit):  # a page that was free before may still take one
                assert not refused, "once it fails it fails"
                end(governance, answer)
                continue
            refused.append(call)
            assert isinstance(answer, Refusal)
            error = answer.error
            assert error.seq is None, "no entry is named that does not exist"
            assert error.source in ("audit", "budget")
            assert re.search(cause, error.message)
            assert "\n" not in str(error)
            assert way_out in error.hint
        assert len(refused) >= 3
    after = gate.admit(request("after"))
    assert isinstance(after, Permit), "the first call after the store is back passes"
    end(governance, after)
    again = gate.admit(request(refused[0]))
    assert isinstance(again, Permit), "what was refused meanwhile was not done, and may be asked for again"
    end(governance, again)
    gate.flush()
    decided = [entry.call_id for entry in governance.audit.entries(kind="decision")]
    ended = [entry.call_id for entry in governance.audit.entries(kind="outcome")]
    assert sorted(decided) == sorted(ended), "every action that was let through has its outcome"
    assert len(decided) == len(set(decided))
    assert set(decided).isdisjoint(refused[1:]), "nothing half done stays behind"
    assert {"before", "running", "after", refused[0]} <= set(decided)
    assert governance.audit.open_actions() == []
    balance = governance.ledger.balance(ACCOUNT)
    assert (balance.pending.present(), balance.posted.calls) == ({}, len(ended))
    governance.audit.verify().require()


# A disk that is full.


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 4 MB that is nobody else's. Needs the right to mount one."""
    place = Path(tempfile.mkdtemp(prefix="openclaw-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        place.rmdir()
        pytest.skip("only root can mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill a disk to the last byte."""
    ballast = os.open(disk / "ballast", os.O_WRONLY | os.O_CREAT)
    try:
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while os.write(ballast, b"x" * size):
                    pass
        yield
    finally:
        os.close(ballast)
        (disk / "ballast").unlink()


async def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    with opened(f"sqlite:///{small_disk}/openclaw.db", tmp_path) as governance:
        await story(governance, full(small_disk), cause="disk is full", way_out="free some space")


@contextlib.contextmanager
def no_more_pages(governance: Governance) -> Iterator[None]:
    """The same without a disk of one's own: SQLite refuses to let the file grow."""
    pages: list[int] = []

    def limit(connection: sa.Connection, most: int) -> None:
        pages.append(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
        connection.exec_driver_sql(f"PRAGMA max_page_count={most or pages[0]}")

    connect = governance._store._writer._connect

    def limited() -> sa.Connection:
        connection = connect()
        limit(connection, 0)
        return connection

    writer = governance._store._writer
    with writer._turn:
        assert writer._connection is not None
        limit(writer._connection, 0)
        writer._connect = limited
    yield
    with writer._turn:
        writer._abandon()
        writer._connect = connect


async def test_a_database_that_may_not_grow(sqlite_url: str, tmp_path: Path) -> None:
    with opened(sqlite_url, tmp_path) as governance:
        for number in range(20):  # so that no page is so empty that it holds all that follows
            permit = governance.gate.admit(request(f"fill {number}"))
            assert isinstance(permit, Permit)
            end(governance, permit)
        with pytest.MonkeyPatch.context() as patched:
            patched.setitem(globals(), "request", lambda call: bulky(call))
            await story(governance, no_more_pages(governance), cause="disk is full", way_out="free some space")


def bulky(call: str) -> Request:
    """A call whose entry needs pages of its own."""
    action = ToolCall(
        principal=Principal(agent="clerk", workflow="desk"), name="note", args={"text": "x" * 9000}, call_id=call
    )
    return Request(action=action, hold=Usage(calls=1), key=call)


# A disk that takes no more writes.


@contextlib.contextmanager
def unchangeable(database: Path) -> Iterator[None]:
    """Make the open files of a database unchangeable: also who has opened them for writing cannot write any more."""
    files = [str(database), f"{database}-wal"]
    subprocess.run(["chattr", "+i", *files], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)


def can_be_unchangeable(folder: Path) -> bool:
    probe = folder / "probe"
    probe.touch()
    with probe.open("w") as file:
        if shutil.which("chattr") is None:
            return False
        if subprocess.run(["chattr", "+i", str(probe)], capture_output=True, check=False).returncode:
            return False
        try:
            file.write("x")
            file.flush()
        except OSError:
            return True
        finally:
            subprocess.run(["chattr", "-i", str(probe)], check=True)
            with contextlib.suppress(OSError):
                file.close()
        return False


async def test_a_disk_that_becomes_read_only(sqlite_url: str, tmp_path: Path) -> None:
    if not can_be_unchangeable(tmp_path):
        pytest.skip("only root can make a file unchangeable, and not on every file system")
    with opened(sqlite_url, tmp_path) as governance:
        await story(governance, unchangeable(tmp_path / "openclaw.db"), cause="disk I/O error|readonly", way_out="the")


# A server that is gone.


@pytest.fixture
def own_server() -> Iterator[postgres.Server]:
    require("postgres", postgres.binaries(), postgres.HOW)
    server = postgres.Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextlib.contextmanager
def stopped(server: postgres.Server, mode: str) -> Iterator[None]:
    server.stop(mode)
    yield
    server.start()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_that_is_stopped(own_server: postgres.Server, tmp_path: Path, mode: str) -> None:
    with opened(own_server.url, tmp_path) as governance:
        await story(governance, stopped(own_server, mode), cause="connection", way_out="PostgreSQL is running")


def test_a_server_that_was_started_anew_between_two_calls_is_not_noticed(
    own_server: postgres.Server, tmp_path: Path
) -> None:
    with opened(own_server.url, tmp_path) as governance:
        first = governance.gate.admit(request("first"))
        assert isinstance(first, Permit)
        end(governance, first)
        governance.gate.flush()
        own_server.stop("fast")
        own_server.start()
        second = governance.gate.admit(request("second"))
        assert isinstance(second, Permit), "nothing was under way on the old connection: a new one is opened"
        end(governance, second)
        governance.gate.flush()
        governance.audit.verify().require()
