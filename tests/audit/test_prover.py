"""Making proofs: what they cost in a log of many checkpoints, and making them where nothing may be written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from openclaw.audit import AuditLog, Draft, Signer, Verifier
from openclaw.errors import AuditError, VerificationError
from openclaw.store import Store, Transaction
from tests.support.readers import reading_only

FIRST = Signer("openclaw-1", bytes(range(32)))


def grow(store: Store, log: AuditLog, checkpoints: int) -> None:
    """Append an entry and a checkpoint, so many times, in one commit."""

    def unit(transaction: Transaction) -> None:
        for number in range(checkpoints):
            log.record(transaction, Draft(kind="halt", body={"n": number}))
            log._notary._sign_here(transaction)

    store.run(unit)


@pytest.fixture
def crowded(store_url: str) -> Iterator[tuple[Store, AuditLog]]:
    """A log of two rotations and many checkpoints, which grows by them."""
    store = Store.open(store_url)
    log = AuditLog(store, FIRST)
    for _ in range(2):
        grow(store, log, 20)
        log.rotate_key(Signer("openclaw-1", bytes([log.size() % 251] * 32), root=bytes(range(32))), by="eva")
    grow(store, log, 20)
    yield store, log
    store.close()


def test_a_proof_costs_no_more_where_there_are_many_checkpoints(crowded: tuple[Store, AuditLog]) -> None:
    store, log = crowded
    works: list[Callable[[], object]] = [
        lambda: log.prove(7),
        lambda: log.prove_consistency(15),
        lambda: log.prove_consistency(15, 100),
    ]
    few = [cost(store, work) for work in works]
    grow(store, log, 3_000)
    many = [cost(store, work) for work in works]
    for before, after in zip(few, many, strict=True):
        assert after <= 2 * before, (few, many)


def cost(store: Store, work: Callable[[], object]) -> int:
    """What the database did: instructions of SQLite's machine, or rows that PostgreSQL looked at."""
    work()  # a checkpoint of the present size is there
    if store.engine.dialect.name == "postgresql":
        return _rows(store, work)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1

    def watch(connection: Any, *_: object) -> None:
        connection.set_progress_handler(count, 1)

    def leave(connection: Any, *_: object) -> None:
        connection.set_progress_handler(None, 1)

    event.listen(store.engine, "checkout", watch)
    event.listen(store.engine, "checkin", leave)
    work()
    event.remove(store.engine, "checkout", watch)
    event.remove(store.engine, "checkin", leave)
    return done


def _rows(store: Store, work: Callable[[], object]) -> int:
    asked: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT"):
            asked.append((arguments[2], arguments[3]))

    with store.peek() as connection:
        connection.exec_driver_sql("ANALYZE")
    event.listen(store.engine, "before_cursor_execute", note)
    work()
    event.remove(store.engine, "before_cursor_execute", note)
    looked = 0
    with store.peek() as connection:
        for text, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", parameters).scalar_one()
            looked += _looked_at((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    return looked


def _looked_at(node: dict[str, Any]) -> int:
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) if "Relation Name" in node else 0
    return int(own) + sum(map(_looked_at, node.get("Plans", ())))


def test_a_proof_is_checked_before_it_is_handed_out(crowded: tuple[Store, AuditLog]) -> None:
    store, log = crowded
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE openclaw_entry SET agent = 'x' WHERE seq = 7"))
    with pytest.raises(VerificationError, match="the entry is not in the log that the checkpoint describes"):
        log.prove(7)
    log.prove(9)


def test_a_size_that_only_a_former_key_could_sign_is_refused_by_name(crowded: tuple[Store, AuditLog]) -> None:
    _, log = crowded
    with pytest.raises(AuditError, match="no checkpoint of 16 entries, and the key of that time signs no more") as told:
        log.prove_consistency(16)
    assert told.value.hint == "take a size of which there is a checkpoint, as 17"
    log.prove_consistency(17).check(FIRST.verifier)


# -- where nothing may be written ------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(store_url: str) -> Iterator[tuple[AuditLog, AuditLog]]:
    """A log of 13 entries, a checkpoint of them, and two entries more; and the same as somebody reads it who has no key."""
    store = Store.open(store_url)
    log = AuditLog(store, FIRST)
    store.run(lambda transaction: [log.record(transaction, Draft(kind="halt", body={"n": n})) for n in range(13)])
    log.checkpoint()
    log.append(Draft(kind="halt"))
    with reading_only(store_url) as reads:
        reader = Store.open(reads, create=False, readonly=True)
        yield log, AuditLog(reader, None)
        reader.close()
    store.close()


def test_where_nothing_may_be_written_the_last_checkpoint_covers(copy: tuple[AuditLog, AuditLog]) -> None:
    log, reader = copy
    proof = reader.prove(7)
    assert proof.check(FIRST.verifier).size == 13
    assert proof.key == str(FIRST.verifier)
    assert log.size() == 15
    assert log.prove(7).check(FIRST.verifier).size == 15  # one is signed where that may be
    assert reader.prove(15).check(FIRST.verifier).size == 15


@pytest.mark.parametrize("seq", [14, 15])
def test_an_entry_that_no_checkpoint_covers_is_not_proven_and_it_is_said_why(
    copy: tuple[AuditLog, AuditLog], seq: int
) -> None:
    _, reader = copy
    with pytest.raises(
        AuditError, match=rf"no checkpoint covers entry {seq} yet \(there is one of 13 entries\)"
    ) as told:
        reader.prove(seq)
    assert "this database is open for reading only" in told.value.message
    assert "openclaw audit checkpoint" in told.value.hint


def test_a_log_without_any_checkpoint_proves_nothing_where_none_can_be_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    store = Store.open(url)
    keyless = AuditLog(store, None)
    keyless.append(Draft(kind="halt"))
    with pytest.raises(
        AuditError, match="no checkpoint covers entry 1 yet, and none can be made: the log's key is not"
    ):
        keyless.prove(1)
    with pytest.raises(AuditError, match="the log has no checkpoint yet, and none can be made"):
        keyless.prove_consistency(1, 1)
    store.close()


def test_two_checkpoints_of_a_copy_are_joined(copy: tuple[AuditLog, AuditLog]) -> None:
    log, reader = copy
    log.append(Draft(kind="halt"))
    log.checkpoint()
    for proof in (reader.prove_consistency(13), reader.prove_consistency(13, 16)):
        old, new = proof.check(Verifier.parse(str(FIRST.verifier)))
        assert (old.size, new.size) == (13, 16)
    with pytest.raises(AuditError, match=r"the log has no checkpoint of 7 entries \(there is one of 13 entries\)"):
        reader.prove_consistency(7)


def test_a_copy_proves_across_a_rotation(copy: tuple[AuditLog, AuditLog]) -> None:
    log, reader = copy
    second = Signer("openclaw-1", bytes([7] * 32), root=bytes(range(32)))
    log.rotate_key(second, by="eva")
    log.append(Draft(kind="halt"))
    log.checkpoint()
    proof = reader.prove(2)
    assert proof.key == str(second.verifier)
    for trusted in (FIRST.verifier, second.verifier):
        assert proof.check(trusted).size == log.size() - 1
