"""What `verify` finds: each way in which a log can be changed behind its back, by somebody who knows its format."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from openclaw.action import utc
from openclaw.audit import AuditLog, Draft, Entry, Signer, Verifier
from openclaw.audit.entry import body_bytes, entry_leaf
from openclaw.audit.merkle import Edge
from openclaw.audit.rows import Raw
from openclaw.audit.walk import Walk
from openclaw.errors import StoreError
from openclaw.store import Store

Change = Callable[[Sequence[Entry]], list[Entry]]


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store.open(store_url)
    yield opened
    opened.close()


@pytest.fixture
def keyed(store: Store, tmp_path: Path, outside: Path) -> AuditLog:
    """A log with 30 entries and checkpoints of 10, 21 and 32 entries."""
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin), outside=outside)
    for _ in range(3):
        fill(log, 10)
        log.checkpoint()
    return log


def fill(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append(
            Draft(kind="decision", run="run-1", agent="a", tool=f"t{number % 3}", effect="allow", body={"n": number})
        )


def run(store: Store, *statements: str, **parameters: object) -> None:
    engine = sa.create_engine(store.engine.url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement), parameters)
    engine.dispose()


def rewrite(store: Store, log: AuditLog, change: Change) -> None:
    """What a forger with full write access does: other entries, with leaves, nodes and head that all fit them."""
    entries = change(log.entries())
    engine, edge = sa.create_engine(store.engine.url), Edge()
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM openclaw_entry"))
        connection.execute(sa.text("DELETE FROM openclaw_node"))
        for seq, entry in enumerate(entries, 1):
            body = body_bytes(entry)
            leaf = entry_leaf(seq, utc(entry.at), entry, body)
            row = {
                name: getattr(entry, name) for name in ("kind", "run", "workflow", "agent", "tool", "call_id", "effect")
            }
            row |= {"seq": seq, "at": utc(entry.at), "body": body.decode(), "leaf": leaf}
            columns = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(sa.text(f"INSERT INTO openclaw_entry ({columns}) VALUES ({values})"), row)
            for level, index, digest in edge.append(leaf):
                connection.execute(
                    sa.text('INSERT INTO openclaw_node (level, "index", hash) VALUES (:level, :index, :hash)'),
                    {"level": level, "index": index, "hash": digest},
                )
        connection.execute(
            sa.text("UPDATE openclaw_head SET size = :size, edge = :edge"),
            {"size": edge.size, "edge": edge.to_bytes()},
        )
    engine.dispose()


def messages(log: AuditLog) -> list[str]:
    return [problem.message for problem in log.verify().problems]


def edited(entries: Sequence[Entry]) -> list[Entry]:
    return [entry.model_copy(update={"effect": "deny"}) if entry.seq == 15 else entry for entry in entries]


def removed(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.seq != 15]


def added(entries: Sequence[Entry]) -> list[Entry]:
    return [*entries[:14], entries[13], *entries[14:]]


def reordered(entries: Sequence[Entry]) -> list[Entry]:
    return [*entries[:14], entries[15], entries[14], *entries[16:]]


# -- forged with everything that the database holds fitting -------------------------------------------------------


@pytest.mark.parametrize("change", [edited, removed, added, reordered])
def test_a_consistent_forgery_is_found_by_the_checkpoints_and_named_between_two_of_them(
    store: Store, keyed: AuditLog, change: Change
) -> None:
    rewrite(store, keyed, list)
    assert keyed.verify().ok, "the rewriting itself is right"
    rewrite(store, keyed, change)
    report = keyed.verify()
    assert report.problems[0].message.startswith("entries 11 to 21 do not fit the checkpoint kept ")
    assert report.problems[0].seq == 11
    assert any("kept outside the database" in problem.message for problem in report.problems)


def test_a_consistent_cut_is_named_by_the_entry_behind_which_it_was_made(store: Store, keyed: AuditLog) -> None:
    rewrite(store, keyed, lambda entries: list(entries[:25]))
    (problem,) = keyed.verify().problems
    assert (problem.seq, "the log ends at entry 25, but a signed checkpoint covers 32" in problem.message) == (26, True)


def test_a_checkpoint_entry_that_was_forged_is_named(store: Store, keyed: AuditLog) -> None:
    thief = Signer(store.origin, bytes(32))

    def forge(entries: Sequence[Entry]) -> list[Entry]:
        edge, out = Edge(), list[Entry]()
        for seq, entry in enumerate(edited(entries), 1):
            if entry.kind == "checkpoint":
                signed = thief.checkpoint(store.origin, edge.size, edge.root())
                body = {**entry.body, "note": signed.note, "key": str(thief.verifier)}
                entry = entry.model_copy(update={"body": body})
            edge.append(entry_leaf(seq, utc(entry.at), entry, body_bytes(entry)))
            out.append(entry)
        return out

    owner = keyed.verifier
    rewrite(store, keyed, forge)
    report = keyed.verify(owner)
    assert [problem.seq for problem in report.problems[:3]] == [11, 22, 33]
    assert "the checkpoint is not signed by" in report.problems[0].message
    assert any("kept outside the database" in problem.message for problem in report.problems)


def test_an_older_copy_of_the_whole_database_is_found(tmp_path: Path, outside: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
    signer = Signer.load(tmp_path / "log.key", store.origin)
    log = AuditLog(store, signer, outside=outside)
    fill(log, 5)
    store.close()
    shutil.copy(tmp_path / "a.db", tmp_path / "old.db")
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
    log = AuditLog(store, signer, outside=outside)
    fill(log, 5)
    log.checkpoint()
    store.close()
    swapped = Store.open(f"sqlite:///{tmp_path / 'old.db'}")
    (problem,) = AuditLog(swapped, signer, outside=outside).verify().problems
    assert (problem.seq, "or an older copy of the database stands in its place" in problem.message) == (6, True)
    swapped.close()


def test_the_checkpoint_of_another_log_is_told_from_ours(
    keyed: AuditLog, store: Store, tmp_path: Path, outside: Path
) -> None:
    signer = Signer.load(tmp_path / "log.key", store.origin)
    note = signer.checkpoint("openclaw-other", 5, bytes(32)).note
    with outside.open("a") as file:
        file.write(json.dumps({"note": note}) + "\n")
    assert messages(keyed) == ["the checkpoint kept outside the database is of another log, `openclaw-other`"]


# -- forged in one place ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", [1, 2, 16, 17, 32, 33])
def test_an_entry_removed_anywhere_is_named(store: Store, keyed: AuditLog, seq: int) -> None:
    run(store, f"DELETE FROM openclaw_entry WHERE seq = {seq}")
    report = keyed.verify()
    assert report.problems[0].seq == seq, report.problems
    assert not report.ok


@pytest.mark.parametrize("seq", [-3, 0])
def test_an_entry_added_before_the_first_is_named(store: Store, keyed: AuditLog, seq: int) -> None:
    run(
        store,
        f"INSERT INTO openclaw_entry SELECT {seq}, at, kind, run, workflow, agent, tool, call_id, effect, body, leaf, NULL"
        " FROM openclaw_entry WHERE seq = 5",
    )
    assert messages(keyed)[0] == f"entry {seq} stands where none may be: the log goes on with 1"


def test_what_stands_behind_an_entry_that_may_not_be_there_is_looked_at_too(store: Store, keyed: AuditLog) -> None:
    run(
        store,
        "UPDATE openclaw_entry SET seq = -5 WHERE seq = 5",
        "UPDATE openclaw_entry SET agent = 'thief' WHERE seq = 3",
    )
    assert messages(keyed) == [
        "entry -5 stands where none may be: the log goes on with 1",
        "entry 3 was changed: it does not fit its leaf hash",
        "entry 5 is missing: the log goes on with 6",
    ]


def test_many_entries_that_may_not_be_there_are_not_named_one_by_one(store: Store, keyed: AuditLog) -> None:
    columns = "at, kind, run, workflow, agent, tool, call_id, effect, body, leaf, NULL FROM openclaw_entry"
    run(store, *(f"INSERT INTO openclaw_entry SELECT {-seq}, {columns} WHERE seq = 5" for seq in range(50)))
    assert len(messages(keyed)) == 20


def test_a_tail_that_was_cut_with_the_size_of_the_head_is_named(store: Store, keyed: AuditLog) -> None:
    fill(keyed, 3)
    run(store, "DELETE FROM openclaw_entry WHERE seq = 36", "UPDATE openclaw_head SET size = 35")
    (problem,) = keyed.verify().problems
    assert problem.seq == 36
    assert "entry 36 was removed and the size of the head changed with it" in problem.message


def test_an_entry_added_behind_the_last_is_named(store: Store, keyed: AuditLog) -> None:
    run(
        store,
        "INSERT INTO openclaw_entry SELECT 34, at, kind, run, workflow, agent, tool, call_id, effect, body, leaf, NULL"
        " FROM openclaw_entry WHERE seq = 5",
    )
    assert messages(keyed)[0] == "entry 34 was changed: it does not fit its leaf hash"


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE openclaw_head SET size = 20", "the head says 20 entries, the log has 33"),
        ("UPDATE openclaw_head SET size = 40", "the head says 40 entries, the log has 33"),
        ("UPDATE openclaw_head SET size = -1", "the head says -1 entries, the log has 33: entry 34 is missing"),
        ("UPDATE openclaw_head SET edge = :junk", "the head's right edge does not fit the 33 entries"),
        ("DELETE FROM openclaw_head", "the log has 0 heads: it must have one"),
        ("UPDATE openclaw_head SET id = 7", "the head has the number 7, not 1"),
        ("UPDATE openclaw_entry SET nodes = :junk WHERE seq = 8", "entries 7 to 8 do not fit the tree above them"),
        ("UPDATE openclaw_entry SET nodes = NULL WHERE seq = 8", "entries 7 to 8 do not fit the tree above them"),
        ("UPDATE openclaw_entry SET nodes = substr(nodes, 1, 64) WHERE seq = 8", "entries 1 to 8 do not fit the tree"),
        (
            "UPDATE openclaw_entry SET nodes = :junk WHERE seq = 7",
            "the nodes beside entry 7 are not those that it completes",
        ),
        ("INSERT INTO openclaw_node VALUES (9, 77, :junk)", "1 nodes of the tree stand beside no entry, where 0 must"),
        ("UPDATE openclaw_entry SET leaf = :junk WHERE seq = 4", "entry 4 was changed"),
        (
            "UPDATE openclaw_entry SET body = '{\"note\": 5}' WHERE seq = 11",
            "entry 11 was changed: it holds no checkpoint",
        ),
        ("UPDATE openclaw_entry SET body = 'nonsense' WHERE seq = 11", "entry 11 was changed: it holds no checkpoint"),
        ("UPDATE openclaw_entry SET body = '[[[[' WHERE seq = 4", "entry 4 was changed"),
        ("UPDATE openclaw_meta SET origin = 'openclaw-other'", "is of another log"),
    ],
)
def test_what_does_not_fit_is_named(
    store: Store, keyed: AuditLog, store_url: str, tmp_path: Path, outside: Path, statement: str, says: str
) -> None:
    run(store, statement, junk=b"x" * 64)
    again = Store.open(store_url)
    log = AuditLog(again, Signer.load(tmp_path / "log.key", again.origin), outside=outside)
    found = messages(log)
    again.close()
    assert any(says in message for message in found), found


def test_a_forged_type_of_a_column_is_found(tmp_path: Path, sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin))
    fill(log, 5)
    for column in ("at", "kind", "run", "agent", "tool", "call_id", "effect", "body"):
        run(store, f"UPDATE openclaw_entry SET {column} = CAST({column} AS BLOB) WHERE seq = 3")
        assert messages(log) == ["entry 3 was changed: it does not fit its leaf hash"], column
        run(store, f"UPDATE openclaw_entry SET {column} = CAST({column} AS TEXT) WHERE seq = 3")
        assert messages(log) == []
    store.close()


def test_a_text_that_is_no_utf_8_is_named_by_its_entry(tmp_path: Path, sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin))
    fill(log, 1300)  # more than a chunk
    run(store, "UPDATE openclaw_entry SET tool = CAST(x'ff41' AS TEXT) WHERE seq = 1205")
    (problem,) = log.verify().problems
    assert problem.seq == 1205
    assert problem.message.startswith("entry 1205 cannot be read: ")
    store.close()


def test_the_entry_is_named_in_a_log_of_many_chunks(tmp_path: Path, sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin))
    store.run(lambda transaction: [log.record(transaction, Draft(kind="halt", body={"n": n})) for n in range(5000)])
    log.checkpoint()
    assert log.verify().ok
    for seq in (1, 1024, 1025, 4096, 4097, 5000):
        run(store, f"UPDATE openclaw_entry SET run = 'x' WHERE seq = {seq}")
        assert [problem.seq for problem in log.verify().problems] == [seq]
        run(store, f"UPDATE openclaw_entry SET run = '' WHERE seq = {seq}")
    changed = "CAST(substr(nodes, 1, 320) || :junk || substr(nodes, 353) AS BLOB)"  # the node of level 11
    run(store, f"UPDATE openclaw_entry SET nodes = {changed} WHERE seq = 4096", junk=bytes(32))
    assert messages(log) == ["entries 2049 to 4096 do not fit the tree above them"]
    run(store, "UPDATE openclaw_entry SET nodes = CAST(nodes || :junk AS BLOB) WHERE seq = 4096", junk=bytes(32))
    assert "the nodes beside entry 4096 are not those that it completes" in messages(log)
    store.close()


def as_before(store: Store) -> None:
    """The database as versions before this one have written it: each node in a row of its own."""
    engine = sa.create_engine(store.engine.url)
    with engine.begin() as connection:
        for seq, nodes in connection.execute(
            sa.text("SELECT seq, nodes FROM openclaw_entry WHERE nodes IS NOT NULL")
        ).all():
            for level in range(1, len(nodes) // 32 + 1):
                digest = bytes(nodes)[(level - 1) * 32 : level * 32]
                row = {"level": level, "index": (seq >> level) - 1, "hash": digest}
                connection.execute(
                    sa.text('INSERT INTO openclaw_node (level, "index", hash) VALUES (:level, :index, :hash)'), row
                )
        connection.execute(sa.text("ALTER TABLE openclaw_entry DROP COLUMN nodes"))
    engine.dispose()


def test_a_log_whose_nodes_stand_in_rows_of_their_own_goes_on_and_is_proven(
    store: Store, store_url: str, tmp_path: Path, outside: Path
) -> None:
    signer = Signer.load(tmp_path / "log.key", store.origin)
    log = AuditLog(store, signer, outside=outside)
    store.run(lambda transaction: [log.record(transaction, Draft(kind="halt", body={"n": n})) for n in range(1500)])
    log.checkpoint()
    size = log.size()
    as_before(store)
    store.close()
    copy = Store.open(store_url, create=False, readonly=True)
    old = AuditLog(copy, signer, outside=outside)
    assert messages(old) == []
    old.prove(1024).check(signer.verifier)
    assert [entry.seq for entry in old.entries(after=1498)] == [1499, 1500, 1501, 1502]
    copy.close()
    again = Store.open(store_url)
    log = AuditLog(again, signer, outside=outside)
    assert messages(log) == []
    fill(log, 700)
    log.checkpoint()
    assert messages(log) == []
    for seq in (1, 1024, 1501, 1502, 2048, 2202):
        log.prove(seq).check(signer.verifier)
    log.prove_consistency(1501).check(signer.verifier)
    with again.peek() as connection:
        apart = connection.execute(sa.text("SELECT count(*) FROM openclaw_node")).scalar_one()
    assert apart == size - size.bit_count(), "what is there stays as it is"
    run(again, 'UPDATE openclaw_node SET hash = :junk WHERE level = 2 AND "index" = 1', junk=bytes(32))
    assert messages(log) == ["entries 5 to 8 do not fit the tree above them"]
    run(again, "DELETE FROM openclaw_node WHERE level = 3")
    assert "entries 9 to 16 do not fit the tree above them" in messages(log)
    again.close()


def test_an_index_that_hides_entries_from_a_query_is_found(tmp_path: Path, sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin))
    fill(log, 6)
    assert len(log.entries(tool="t1")) == 2
    store.close()
    file = tmp_path / "openclaw.db"
    data = bytearray(file.read_bytes())
    at = data.rindex(b"t1")  # somewhere in the pages of an index or of the table: each of them is tried
    hidden = 0
    while at != -1:
        forged = bytearray(data)
        forged[at : at + 2] = b"t7"
        file.write_bytes(forged)
        again = Store.open(sqlite_url)
        looked = AuditLog(again, Signer.load(tmp_path / "log.key", again.origin))
        try:
            seen = len(looked.entries(tool="t1"))
        except StoreError:
            seen = 0
        report = looked.verify()
        again.close()
        if seen != 2:
            hidden += 1
            assert not report.ok
        at = data.rfind(b"t1", 0, at)
    assert hidden >= 2, "no flip hid an entry: the test looks at nothing"


# -- the places outside -------------------------------------------------------------------------------------------


def test_an_outside_file_that_is_gone_or_empty_does_not_hold(keyed: AuditLog, outside: Path) -> None:
    for change in (outside.unlink, lambda: outside.write_text("")):
        change()
        (problem,) = keyed.verify().problems
        assert problem.seq == 33
        assert f"no checkpoint is left in `{outside}`, where the log says that 3 were kept" in problem.message


def test_an_outside_file_that_was_cut_is_told(keyed: AuditLog, outside: Path) -> None:
    outside.write_text("".join(outside.read_text().splitlines(keepends=True)[:1]))
    report = keyed.verify()
    assert report.ok
    assert report.warnings == (
        f"2 of 3 checkpoints that the log says are kept in `{outside}` are not there"
        " (the first one is in entry 22; the newest there covers 10 entries)",
    )


def test_a_tail_cut_from_the_log_and_from_the_file_is_found_by_another_place(
    store: Store, tmp_path: Path, outside: Path
) -> None:
    other = tmp_path / "other.checkpoints"
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin), outside=[outside, other])
    for _ in range(2):
        fill(log, 10)
        log.checkpoint()
    outside.write_text(outside.read_text().splitlines()[0] + "\n")
    rewrite(store, log, lambda entries: list(entries[:15]))
    (problem,) = log.verify().problems
    assert (problem.seq, "a signed checkpoint covers 21" in problem.message) == (16, True)


@pytest.mark.parametrize("text", ["nonsense\n", "{}\n", '{"note": "x"}\n', "[1]\n", "\x00\n"])
def test_junk_in_the_outside_file_does_not_hold(keyed: AuditLog, outside: Path, text: str) -> None:
    with outside.open("a") as file:
        file.write(text)
    assert not keyed.verify().ok


def test_a_place_that_the_log_names_and_nobody_asked_is_told(keyed: AuditLog, store: Store) -> None:
    report = AuditLog(store, Signer(store.origin, bytes(32))).verify(keyed.verifier)
    assert report.ok
    assert "the log also keeps its checkpoints in `file`, which was not asked" in report.warnings[0]


def test_verifying_changes_nothing_and_needs_no_private_key(keyed: AuditLog, store_url: str, outside: Path) -> None:
    public = str(keyed.verifier)
    keyed.close()
    before = outside.read_bytes()
    readonly = Store.open(store_url, create=False, readonly=True)
    report = AuditLog(readonly, None, outside=outside).verify(Verifier.parse(public))
    readonly.close()
    assert (report.ok, report.size, report.outside) == (True, 33, 3)
    assert outside.read_bytes() == before


def test_a_database_that_gives_entries_again_and_again_ends_in_a_report() -> None:
    """As a damaged file can: what it gives for the numbers behind one may lie before it."""

    class Round:
        errors = (OSError,)

        def page(self, after: int, count: int) -> list[tuple[object, ...]]:
            assert after < 0, "it has been told"
            return [(-5, *[""] * 9, b"", None)]

        def heads(self) -> list[object]:
            return []

    walk = Walk(cast("Raw", Round()), Edge(), [], lambda *_: iter(()))
    assert [problem.message for problem in walk.problems()] == [
        "entry -5 stands where none may be: the log goes on with 1",
        "entry -5 stands where none may be: the log goes on with 1",
        "the entries behind -5 do not come in the order of their numbers: the file is damaged",
    ]
