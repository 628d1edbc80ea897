"""The log: gapless, provable, and not to be edited, cut or reordered unnoticed."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from openclaw.audit import AuditLog, Draft, Proof, Signer, Verifier
from openclaw.errors import AuditError, OpenClawError, VerificationError
from openclaw.store import Store
from openclaw.testing import FakeClock


def fill(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append(
            Draft(kind="decision", run="run-1", agent="a", tool=f"t{number % 3}", effect="allow", body={"n": number})
        )


def tamper(store_url: str, *statements: str) -> None:
    engine = sa.create_engine(store_url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def test_entries_are_numbered_from_one_without_gaps(log: AuditLog) -> None:
    fill(log, 5)
    entries = log.entries()
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.body["n"] for entry in entries] == [0, 1, 2, 3, 4]
    assert log.entry(3) == entries[2]
    assert log.size() == 5


def test_entries_can_be_filtered_and_paged(log: AuditLog) -> None:
    fill(log, 9)
    assert [entry.seq for entry in log.entries(tool="t1")] == [2, 5, 8]
    assert [entry.seq for entry in log.entries(after=4, limit=2)] == [5, 6]
    assert [entry.seq for entry in log.entries(newest_first=True, limit=2)] == [9, 8]
    assert log.entries(effect="deny") == []


def test_an_entry_that_is_not_there_is_named(log: AuditLog) -> None:
    fill(log, 2)
    with pytest.raises(AuditError, match=r"there is no entry 7; the log has 2 entries, counted from 1"):
        log.entry(7)


def test_values_outside_json_are_recorded_and_verify(log: AuditLog) -> None:
    body = {"nan": math.nan, "big": 2**70, "bytes": b"\x00", "odd": "\ud800", "float": 1e300}
    entry = log.append(Draft.model_construct(kind="outcome", body=body))
    assert entry.body["nan"] == {"$float": "NaN"}
    assert entry.body["big"] == {"$int": str(2**70)}
    assert log.verify().ok
    log.prove(entry.seq).check(log.verifier)


def test_an_intact_log_verifies(log: AuditLog, outside: Path) -> None:
    fill(log, 21)
    checkpoint = log.checkpoint()
    fill(log, 4)
    report = log.verify()
    assert report.ok
    assert (report.size, report.checkpoints, report.outside, report.warnings) == (26, 2, 1, ())
    assert checkpoint.size == 21
    assert outside.read_text().count("\n") == 1


def test_a_log_without_a_checkpoint_outside_says_what_it_cannot_see(log: AuditLog) -> None:
    fill(log, 3)
    assert log.verify().warnings == ("no checkpoint is kept outside the database: a cut tail would not be noticed",)


@pytest.mark.parametrize("column", ["at", "kind", "run", "workflow", "agent", "tool", "call_id", "effect", "body"])
def test_an_edit_of_any_column_is_named(log: AuditLog, store_url: str, column: str) -> None:
    fill(log, 12)
    tamper(store_url, f"UPDATE openclaw_entry SET {column} = '{{}}' WHERE seq = 7")
    problems = log.verify().problems
    assert [problem.seq for problem in problems] == [7]
    assert problems[0].message == "entry 7 was changed: it does not fit its leaf hash"
    with pytest.raises(VerificationError, match="entry 7 was changed"):
        log.verify().require()


def test_an_edit_that_mends_its_own_leaf_is_found_by_the_tree(log: AuditLog, store_url: str) -> None:
    fill(log, 12)
    forged = log.entry(9)
    tamper(store_url, "UPDATE openclaw_entry SET effect = 'deny' WHERE seq = 7")
    from openclaw.action import utc
    from openclaw.audit.entry import body_bytes, entry_leaf

    draft = log.entry(7)
    leaf = entry_leaf(7, utc(draft.at), draft, body_bytes(draft))
    engine = sa.create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE openclaw_entry SET leaf = :leaf WHERE seq = 7"), {"leaf": leaf})
    engine.dispose()
    assert [problem.message for problem in log.verify().problems] == ["entries 7 to 8 do not fit the tree above them"]
    assert forged == log.entry(9)


def test_a_removed_entry_is_named(log: AuditLog, store_url: str) -> None:
    fill(log, 12)
    tamper(store_url, "DELETE FROM openclaw_entry WHERE seq = 5")
    assert [problem.message for problem in log.verify().problems] == ["entry 5 is missing: the log goes on with 6"]


def test_a_reordered_pair_is_named(log: AuditLog, store_url: str) -> None:
    fill(log, 12)
    tamper(
        store_url,
        "UPDATE openclaw_entry SET seq = 99 WHERE seq = 5",
        "UPDATE openclaw_entry SET seq = 5 WHERE seq = 6",
        "UPDATE openclaw_entry SET seq = 6 WHERE seq = 99",
    )
    assert [problem.seq for problem in log.verify().problems] == [5, 6]


def test_a_cut_tail_is_found_even_where_the_head_was_cut_with_it(log: AuditLog, store_url: str, tmp_path: Path) -> None:
    fill(log, 4)
    early = sa.create_engine(store_url)
    with early.connect() as connection:
        size, edge = connection.execute(sa.text("SELECT size, edge FROM openclaw_head")).one()
        nodes = connection.execute(sa.text("SELECT sum(length(nodes)) / 32 FROM openclaw_entry")).scalar_one()
    fill(log, 4)
    log.checkpoint()
    with early.begin() as connection:
        connection.execute(sa.text("DELETE FROM openclaw_entry WHERE seq > :size"), {"size": size})
        connection.execute(sa.text("UPDATE openclaw_head SET size = :size, edge = :edge"), {"size": size, "edge": edge})
    early.dispose()
    assert nodes == 3
    problems = log.verify().problems
    assert [problem.message for problem in problems] == [
        "the log ends at entry 4, but a signed checkpoint covers 8: its tail was cut,"
        " or an older copy of the database stands in its place"
    ]


def test_a_rewritten_log_is_found_by_the_checkpoint_outside(
    log: AuditLog, store_url: str, outside: Path, tmp_path: Path
) -> None:
    fill(log, 6)
    log.checkpoint()
    tables = ("openclaw_entry", "openclaw_node")
    tamper(store_url, *(f"DELETE FROM {table}" for table in tables))
    engine = sa.create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE openclaw_head SET size = 0, edge = :none"), {"none": b""})
    engine.dispose()
    fill(log, 8)
    assert [problem.message for problem in log.verify().problems] == [
        "entries 1 to 6 do not fit the checkpoint kept outside the database"
    ]


def test_a_proof_is_checked_with_the_public_key_alone(log: AuditLog) -> None:
    fill(log, 10)
    text = log.prove(4).model_dump_json()
    proof = Proof.model_validate_json(text)
    assert proof.check(Verifier.parse(str(log.verifier))).size == 10
    assert proof.read() == log.entry(4)
    forged = proof.model_copy(update={"entry": proof.entry.replace('"allow"', '"deny"')})
    with pytest.raises(VerificationError, match="the entry is not in the log that the checkpoint describes"):
        forged.check(log.verifier)
    other = Signer("openclaw/other", b"\x01" * 32).verifier
    with pytest.raises(VerificationError, match="not signed by"):
        proof.check(other)


def test_an_empty_log_has_nothing_to_sign(log: AuditLog) -> None:
    with pytest.raises(AuditError, match="the log is empty"):
        log.checkpoint()


def test_two_writers_keep_one_gapless_order(log: AuditLog, store_url: str, tmp_path: Path) -> None:
    second_store = Store.open(store_url)
    second = AuditLog(second_store, Signer.load(tmp_path / "log.key", second_store.origin))
    threads = [threading.Thread(target=fill, args=(writer, 40)) for writer in (log, second, log, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    second_store.close()
    assert [entry.seq for entry in log.entries()] == list(range(1, 161))
    assert log.verify().ok


def test_a_checkpoint_comes_by_itself_after_so_many_entries(store_url: str, tmp_path: Path, outside: Path) -> None:
    store = Store.open(store_url)
    signer = Signer.load(tmp_path / "log.key", store.origin)
    log = AuditLog(store, signer, outside=outside, every_entries=10)
    fill(log, 25)
    assert [entry.seq for entry in log.entries(kind="checkpoint")] == [11, 22]
    assert outside.read_text().count("\n") == 2
    store.close()
    reopened = Store.open(store_url)
    again = AuditLog(reopened, signer, outside=outside, every_entries=10)
    fill(again, 4)
    assert [entry.seq for entry in again.entries(kind="checkpoint")] == [11, 22]
    fill(again, 1)
    assert [entry.seq for entry in again.entries(kind="checkpoint")] == [11, 22, 33]
    assert again.verify().ok
    reopened.close()


def test_a_checkpoint_comes_by_itself_after_so_much_time(store_url: str, tmp_path: Path, outside: Path) -> None:
    clock = FakeClock()
    store = Store.open(store_url, clock=clock)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin), outside=outside, every_seconds=60)
    fill(log, 3)
    clock.advance(61)
    fill(log, 3)
    assert [entry.kind for entry in log.entries()] == [*["decision"] * 4, "checkpoint", *["decision"] * 2]
    assert log.verify().ok
    store.close()


def test_a_checkpoint_that_cannot_be_kept_outside_is_tried_again_and_told(
    store_url: str, tmp_path: Path, outside: Path
) -> None:
    store = Store.open(store_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin), outside=outside, every_entries=10)
    outside.mkdir()  # a folder in its place: nothing can be appended
    fill(log, 12)
    assert any(f"1 checkpoints could not be kept outside in `{outside}`" in said for said in log.verify().warnings)
    with pytest.raises(AuditError, match="cannot be kept outside the database"):
        log.checkpoint()
    outside.rmdir()
    log.checkpoint()
    assert [line.count("note") for line in outside.read_text().splitlines()] == [1, 1, 1]
    assert log.verify().ok
    store.close()


def test_the_public_key_alone_verifies_the_log(log: AuditLog) -> None:
    fill(log, 5)
    log.checkpoint()
    assert log.verify(Verifier.parse(str(log.verifier))).ok
    other = Signer("openclaw/other", b"\x01" * 32).verifier
    assert "not signed by `openclaw/other`" in log.verify(other).problems[0].message


def test_an_entry_may_be_given_as_a_mapping(log: AuditLog) -> None:
    entry = log.append({"kind": "halt", "agent": "clerk", "body": {"by": "ann", "odd": math.inf}})
    assert (entry.seq, entry.kind, entry.body) == (1, "halt", {"by": "ann", "odd": {"$float": "Infinity"}})


@pytest.mark.parametrize(
    "fields", [{}, {"kind": "gossip"}, {"kind": "halt", "colour": "red"}, {"kind": "halt", "body": 3}]
)
def test_what_is_no_entry_is_refused(log: AuditLog, fields: dict[str, object]) -> None:
    with pytest.raises(AuditError, match=r"this is not an entry|the body of an entry"):
        log.append(fields)
    assert log.size() == 0


@pytest.mark.parametrize(
    ("sqlite", "postgresql"),
    [
        (
            "CREATE TRIGGER deaf BEFORE INSERT ON openclaw_entry WHEN NEW.effect = 'deny' BEGIN SELECT RAISE(IGNORE); END",
            "CREATE RULE deaf AS ON INSERT TO openclaw_entry WHERE NEW.effect = 'deny' DO INSTEAD NOTHING",
        ),
        (
            "CREATE TRIGGER deaf BEFORE UPDATE ON openclaw_head BEGIN SELECT RAISE(IGNORE); END",
            "CREATE RULE deaf AS ON UPDATE TO openclaw_head DO INSTEAD NOTHING",
        ),
        ("DELETE FROM openclaw_head", "DELETE FROM openclaw_head"),
    ],
)
def test_what_the_database_was_made_to_ignore_is_no_record(
    log: AuditLog, store_url: str, sqlite: str, postgresql: str
) -> None:
    fill(log, 3)
    tamper(store_url, sqlite if store_url.startswith("sqlite") else postgresql)
    with pytest.raises(OpenClawError, match=r"the database took|the log has 0 heads"):
        log.append(Draft(kind="decision", effect="deny"))
    assert [entry.seq for entry in log.entries()] == [1, 2, 3]
