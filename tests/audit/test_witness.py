"""A witness cosigns what grew, and contradicts a log that was cut, swapped or rewritten. It is a real process here."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from openclaw.audit import AuditLog, Draft, Signer, Verifier, Witness, open_place
from openclaw.audit.note import COSIGNATURE, open_cosignature
from openclaw.errors import AuditError, VerificationError
from openclaw.store import Store
from tests.support import witness as other_side

KEY = Verifier.parse(other_side.vkey(), algorithm=COSIGNATURE)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = Store.open(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def signer(store: Store, tmp_path: Path) -> Signer:
    return Signer.load(tmp_path / "log.key", store.origin)


@pytest.fixture
def url(signer: Signer, tmp_path: Path) -> Iterator[str]:
    with other_side.running(tmp_path / "witness.json", str(signer.verifier)) as running:
        yield running


def fill(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append(Draft(kind="decision", tool="t", effect="allow", body={"n": number}))


def test_a_witness_cosigns_each_checkpoint_and_its_cosignature_travels_in_proofs(
    store: Store, signer: Signer, url: str
) -> None:
    log = AuditLog(store, signer, outside=open_place(f"witness+{url}#{KEY}"))
    for count in (1, 4, 7):
        fill(log, count)
        cosigned = log.cosigned(log.checkpoint())
        assert open_cosignature(cosigned, KEY).year >= 2026
    proof = log.prove(3)
    proof.check(log.verifier, witnesses=[KEY])
    stranger = Verifier.parse(other_side.vkey(seed=bytes(32)), algorithm=COSIGNATURE)
    with pytest.raises(VerificationError, match="not cosigned by"):
        proof.check(log.verifier, witnesses=[stranger])
    assert log.verify().ok
    assert log.verify().warnings == ()
    assert log.places[0].kept == 4
    log.close()


def test_a_process_that_knows_nothing_asks_the_witness_where_it_is(store: Store, signer: Signer, url: str) -> None:
    first = AuditLog(store, signer, outside=Witness(url, KEY))
    fill(first, 5)
    first.checkpoint()
    second = AuditLog(store, signer, outside=Witness(url, KEY))  # begins with `old 0`, and is told 409
    fill(second, 3)
    second.checkpoint()
    assert second.places[0].error == ""
    fill(first, 2)
    first.checkpoint()  # knows an older size than the witness has by now
    assert first.verify().ok
    first.close()
    second.close()


def test_a_log_cut_behind_the_witness_is_found(store: Store, signer: Signer, url: str, tmp_path: Path) -> None:
    log = AuditLog(store, signer, outside=Witness(url, KEY))
    fill(log, 4)
    log.checkpoint()
    store.close()
    older = tmp_path / "older.db"
    shutil.copy(tmp_path / "openclaw.db", older)
    again = Store.open(f"sqlite:///{tmp_path / 'openclaw.db'}")
    log = AuditLog(again, signer, outside=Witness(url, KEY))
    fill(log, 4)
    log.checkpoint()
    log.close()
    again.close()
    swapped = Store.open(f"sqlite:///{older}")
    log = AuditLog(swapped, signer, outside=Witness(url, KEY))
    (problem,) = log.verify().problems
    assert "has seen 9 entries, which the log does not have: its tail was cut, or an older copy" in problem.message
    fill(log, 1)
    with pytest.raises(AuditError, match="has seen 9 entries, which the log does not have"):
        log.checkpoint()
    fill(log, 10)  # longer than before, and another history
    with pytest.raises(AuditError, match="that the log of 17 does not begin with: it was rewritten"):
        log.checkpoint()
    assert "it was rewritten" in log.verify().problems[0].message
    log.close(0)
    swapped.close()


def test_another_log_of_the_same_size_is_found(store: Store, signer: Signer, url: str, tmp_path: Path) -> None:
    log = AuditLog(store, signer, outside=Witness(url, KEY))
    fill(log, 3)
    log.checkpoint()
    engine = sa.create_engine(store.engine.url)
    with engine.begin() as connection:
        for table in ("openclaw_entry", "openclaw_node"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
        connection.execute(sa.text("UPDATE openclaw_head SET size = 0, edge = :none"), {"none": b""})
    engine.dispose()
    forged = AuditLog(store, signer, outside=Witness(url, KEY))
    for number in range(3):
        forged.append(Draft(kind="decision", body={"forged": number}))
    with pytest.raises(AuditError, match="has cosigned another log of 3 entries: this one was rewritten"):
        forged.checkpoint()
    log.close(0)
    forged.close(0)


def test_a_witness_that_does_not_know_the_log_or_its_key_is_told_of(
    store: Store, signer: Signer, tmp_path: Path
) -> None:
    log_key = str(signer.verifier)
    others = {
        "it does not know this log": str(Signer("another", bytes(32)).verifier),
        "it does not know this log's key": str(Signer(store.origin, bytes(32)).verifier),
    }
    for number, (why, known) in enumerate(others.items()):
        with other_side.running(tmp_path / f"{number}.json", known) as url:
            log = AuditLog(store, signer, outside=Witness(url, KEY))
            fill(log, 1)
            with pytest.raises(AuditError, match=re.escape(why)):
                log.checkpoint()
            report = log.verify()
            assert report.ok
            assert any(why in warning for warning in report.warnings)
            log.close(0)
    with other_side.running(tmp_path / "wrong.json", log_key, seed=bytes(32)) as url:
        log = AuditLog(store, signer, outside=Witness(url, KEY))
        fill(log, 1)
        with pytest.raises(AuditError, match="answers without a good cosignature"):
            log.checkpoint()
        log.close(0)


def test_a_witness_that_is_down_or_hangs_holds_no_writer_up(
    store: Store, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openclaw.audit.witness.SECONDS_MAX", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        log = AuditLog(
            store, signer, outside=Witness(f"http://127.0.0.1:{silent.getsockname()[1]}", KEY), every_entries=5
        )
        fill(log, 40)
        with pytest.raises(AuditError, match="cannot be asked"):
            log.checkpoint()
        state = log.places[0]
        assert state.pending == len(log.entries(kind="checkpoint")) > 8
        assert state.failures >= 1
        log.close(0)


def test_an_answer_without_end_is_cut_off(store: Store, signer: Signer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return  # the test is over
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
                    while True:
                        connection.sendall(b"x" * 4096)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        log = AuditLog(store, signer, outside=Witness(f"http://127.0.0.1:{server.getsockname()[1]}", KEY))
        fill(log, 1)
        with pytest.raises(AuditError, match="does not come to an end"):
            log.checkpoint()
        log.close(0)


@pytest.mark.parametrize(
    "text",
    [
        "witness+https://w.example",
        "witness+ftp://w.example#x",
        "witness+https://w.example#nokey",
        f"witness+https://w.example#{Signer('log', bytes(32)).verifier}",
    ],
)
def test_a_text_that_names_no_witness_is_refused(text: str) -> None:
    with pytest.raises(AuditError, match=r"names no witness|public key"):
        open_place(text)
