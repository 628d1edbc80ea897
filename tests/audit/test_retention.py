"""Retention: what must stay stays, and what remains after a prune is still a tree that can be verified and proven."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from openclaw.audit import MINIMUM_AGE, AuditLog, Draft, Signer
from openclaw.errors import AuditError, VerificationError
from openclaw.store import Store
from openclaw.store.tables import ActionRow
from openclaw.testing import FakeClock

NOW = dt.timedelta(0)


class Old:
    """A log that has been written for a year, ten entries a month."""

    def __init__(self, store_url: str, folder: Path) -> None:
        self.clock = FakeClock(dt.datetime.now(dt.UTC) - dt.timedelta(days=360))
        self.store = Store.open(store_url, clock=self.clock)
        self.key = Signer.load(folder / "log.key", self.store.origin)
        self.outside = folder / "log.checkpoints"
        self.log = AuditLog(self.store, self.key, outside=self.outside, every_seconds=10**9)
        self.months: list[dt.datetime] = []
        for month in range(12):
            self.months.append(self.clock.now())
            for number in range(10):
                self.log.append(
                    Draft(kind="decision", agent=f"a{month}", tool=f"t{number}", effect="allow", body={"n": number})
                )
            self.log.checkpoint()
            self.clock.advance(30 * 24 * 3600)

    def run(self, statement: str, **parameters: object) -> None:
        engine = sa.create_engine(self.store.engine.url)
        with engine.begin() as connection:
            connection.execute(sa.text(statement), parameters)
        engine.dispose()

    def count(self, table: str) -> int:
        with self.store.peek() as connection:
            return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()


@pytest.fixture
def old(store_url: str, tmp_path: Path) -> Iterator[Old]:
    made = Old(store_url, tmp_path)
    yield made
    made.log.close(0)
    made.store.close()


def test_the_minimum_age_is_half_a_year_and_nothing_younger_goes(old: Old) -> None:
    assert MINIMUM_AGE.days == 183
    with pytest.raises(AuditError, match=r"entries stay for at least 183 days: none after .* may go"):
        old.log.prune(old.months[9], by="eva")
    with pytest.raises(AuditError, match="entries stay for at least 400 days"):
        old.log.prune(old.months[1], by="eva", minimum_age=dt.timedelta(days=400))
    plan = old.log.prune(old.clock.now() - MINIMUM_AGE, by="eva")
    assert old.log.entries(limit=1)[0].at >= old.clock.now() - MINIMUM_AGE
    assert plan.last + 1 == old.log.entries(limit=1)[0].seq
    assert old.log.verify().ok


def test_the_rest_is_verified_and_proven_behind_the_prune(old: Old) -> None:
    before = {entry.seq: entry for entry in old.log.entries()}
    plan = old.log.prune(old.months[4], by="eva", reason="retention")
    assert (plan.first, plan.last, plan.count, plan.kept_by) == (1, 44, 44, ())
    report = old.log.verify()
    assert (report.problems, report.warnings) == ((), ())
    assert (report.pruned, report.size) == (44, 134)
    assert old.log.entry(report.pruned_by or 0).body["by"] == "eva"
    assert old.log.entries()[0].seq == 45
    for seq in (45, 46, 64, 65, 100, 134):
        proof = old.log.prove(seq)
        proof.check(old.log.verifier)
        if seq in before:
            assert proof.read() == before[seq]
    for size in (44, 45, 64, 99):
        old.log.prove_consistency(size).check(old.log.verifier)
    with pytest.raises(AuditError, match="there is no entry 44"):
        old.log.prove(44)
    with pytest.raises(AuditError, match="they were pruned, or removed"):
        old.log.prove_consistency(20)
    old.log.append(Draft(kind="halt"))
    assert old.log.verify().ok


@pytest.mark.parametrize("size", range(1, 40))
def test_a_prune_at_any_size_leaves_a_whole_tree(tmp_path: Path, size: int) -> None:
    clock = FakeClock()
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}", clock=clock)
    log = AuditLog(store, Signer(store.origin, bytes(32)))

    def write(count: int) -> None:
        store.run(
            lambda transaction: [log.record(transaction, Draft(kind="halt", body={"n": n})) for n in range(count)]
        )

    write(size)
    clock.advance(3600)
    write(40 - size)
    log.prune(clock.now(), by="eva", minimum_age=NOW)
    write(30)
    report = log.verify()
    assert (report.problems, report.pruned) == ((), size)
    for entry in log.entries():
        log.prove(entry.seq).check(log.verifier)
    store.close()


def test_prunes_follow_one_another(old: Old) -> None:
    for month in (2, 3, 5):
        old.log.prune(old.months[month], by="eva")
        assert old.log.verify().problems == ()
    assert old.log.verify().pruned == 55
    assert old.log.prune(old.months[5], by="eva").count == 0
    assert len([entry for entry in old.log.entries(kind="checkpoint") if "pruned" in entry.body]) == 3


@pytest.mark.parametrize("seq", [45, 46, 64, 65, 90, 130])
def test_tampering_behind_a_prune_is_still_named(old: Old, seq: int) -> None:
    old.log.prune(old.months[4], by="eva")
    old.run(f"UPDATE openclaw_entry SET call_id = 'x' WHERE seq = {seq}")
    assert [problem.seq for problem in old.log.verify().problems] == [seq]


def test_removing_more_than_was_pruned_is_found(old: Old) -> None:
    old.log.prune(old.months[4], by="eva")
    old.run("DELETE FROM openclaw_entry WHERE seq = 45")
    assert old.log.verify().problems[0].message == "entry 45 is missing: the log goes on with 46"


def test_removing_without_a_prune_is_found(old: Old) -> None:
    old.run("DELETE FROM openclaw_entry WHERE seq <= 44")
    assert old.log.verify().problems[0].message == "entry 1 is missing: the log goes on with 45"


def test_an_entry_put_back_where_it_was_pruned_is_found(old: Old) -> None:
    old.log.prune(old.months[4], by="eva")
    old.run(
        "INSERT INTO openclaw_entry SELECT 7, at, kind, run, workflow, agent, tool, call_id, effect, body, leaf, NULL"
        " FROM openclaw_entry WHERE seq = 50"
    )
    assert old.log.verify().problems[0].message == "entry 7 stands where none may be: the log goes on with 45"


def test_what_is_left_of_the_tree_is_compared_with_what_was_signed(old: Old) -> None:
    old.log.prune(old.months[4], by="eva")
    old.run("UPDATE openclaw_node SET hash = :junk WHERE level = 3", junk=bytes(32))
    messages = [problem.message for problem in old.log.verify().problems]
    assert messages == ["what is left of the tree over the pruned entries 33 to 40 was changed"]


def test_a_prune_that_the_key_did_not_sign_is_not_believed(old: Old) -> None:
    """A thief removes entries, and records it with a checkpoint note of that size, which the log has signed."""
    body = dict(old.log.entry(22).body)  # the second month's checkpoint, of 21 entries
    body |= {"pruned": body["note"], "edge": ["00" * 32] * 3}
    old.log.append(Draft(kind="checkpoint", body=body))
    old.run("DELETE FROM openclaw_entry WHERE seq <= 21")
    messages = [problem.message for problem in old.log.verify().problems]
    assert any("the record of the prune" in message or "the checkpoint is malformed" in message for message in messages)
    assert any("entry 1 is missing" in message for message in messages)


def test_what_does_not_hold_is_not_pruned(old: Old) -> None:
    old.run("UPDATE openclaw_entry SET call_id = 'x' WHERE seq = 7")
    with pytest.raises(VerificationError, match="entry 7 was changed"):
        old.log.prune(old.months[4], by="eva")
    assert old.log.entries(limit=1)[0].seq == 1


def test_nothing_is_pruned_while_a_place_outside_takes_no_checkpoints(old: Old) -> None:
    kept = old.outside.read_text()
    old.outside.unlink()
    old.outside.mkdir()
    with pytest.raises((AuditError, VerificationError)):
        old.log.prune(old.months[4], by="eva")
    assert old.log.entries(limit=1)[0].seq == 1
    old.outside.rmdir()
    old.outside.write_text(kept)


def test_a_prune_needs_a_name(old: Old) -> None:
    with pytest.raises(AuditError, match="a prune needs a name"):
        old.log.prune(old.months[4], by=" ")


def test_a_plan_changes_nothing(old: Old) -> None:
    size = old.log.size()
    assert old.log.plan_prune(old.months[4]).last == 44
    assert old.log.size() == size


# -- what keeps entries -------------------------------------------------------------------------------------------


def test_a_legal_hold_keeps_what_it_meets_until_it_is_released(old: Old) -> None:
    hold = old.log.hold(by="eva", reason="case 4711", agent="a2")
    assert (hold.active, hold.filter) == (True, {"agent": "a2"})
    plan = old.log.prune(old.months[4], by="eva")
    assert plan.last == 22
    assert plan.kept_by == (f"entry 23: legal hold `{hold.id}` by eva: case 4711",)
    assert old.log.prune(old.months[4], by="eva").count == 0
    released = old.log.release(hold.id, by="ann", reason="closed")
    assert (released.active, released.released_by, released.release_reason) == (False, "ann", "closed")
    assert old.log.holds() == []
    assert [one.id for one in old.log.holds(active=False)] == [hold.id]
    assert old.log.prune(old.months[4], by="eva").last == 44
    assert old.log.verify().ok


@pytest.mark.parametrize(
    ("what", "last"),
    [
        ({}, 0),
        ({"tool": "t9"}, 9),
        ({"agent": "a1", "tool": "t3"}, 14),
        ({"kind": "checkpoint"}, 10),
        ({"agent": "nobody"}, 44),
        ({"call_id": ""}, 0),
    ],
)
def test_a_hold_keeps_the_first_entry_that_fits_all_it_says(old: Old, what: dict[str, str], last: int) -> None:
    old.log.hold(by="eva", reason="case", **what)
    assert old.log.plan_prune(old.months[4]).last == last


def test_a_hold_may_speak_of_a_time(old: Old) -> None:
    hold = old.log.hold(by="eva", reason="case", since=old.months[1], until=old.months[2])
    assert old.log.plan_prune(old.months[4]).last == 11
    old.log.release(hold.id, by="eva", reason="x")
    old.log.hold(by="eva", reason="case", until="2000-01-01")
    assert old.log.plan_prune(old.months[4]).last == 44


def test_the_record_of_an_active_hold_is_not_pruned(old: Old) -> None:
    hold = old.log.hold(by="eva", reason="case", agent="nobody")
    old.clock.advance(400 * 24 * 3600)
    plan = old.log.prune(old.clock.now() - MINIMUM_AGE, by="eva")
    assert plan.last == hold.seq - 1
    assert [one.id for one in old.log.holds()] == [hold.id]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda log: log.hold(by="", reason="x"), "a hold needs a name"),
        (lambda log: log.hold(by="eva", reason=" "), "a hold needs a reason"),
        (lambda log: log.hold(by="eva", reason="x", colour="red"), "a hold cannot ask for `colour`"),
        (lambda log: log.hold(by="eva", reason="x", since="yesterday"), "`yesterday` is no time"),
        (lambda log: log.release("nothing", by="eva", reason="x"), "there is no legal hold `nothing`"),
        (lambda log: log.release("nothing", by="", reason="x"), "a release needs a name"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(old: Old, call: object, says: str) -> None:
    with pytest.raises(AuditError, match=says):
        call(old.log)  # type: ignore[operator]


def test_a_hold_is_released_once(old: Old) -> None:
    hold = old.log.hold(by="eva", reason="case")
    old.log.release(hold.id, by="ann", reason="closed")
    with pytest.raises(AuditError, match="was released already by `ann`"):
        old.log.release(hold.id, by="eva", reason="again")


@pytest.mark.parametrize("state", ["running", "suspended"])
def test_an_open_action_and_a_waiting_question_keep_their_entries(old: Old, state: str) -> None:
    for seq, key, stands in ((30, "", state), (3, "", "done"), (4, "k", "done")):
        values = ActionRow(seq=seq, key=key, state=stands).model_dump()
        old.run(f"INSERT INTO openclaw_action ({', '.join(values)}) VALUES (:{', :'.join(values)})", **values)
    plan = old.log.plan_prune(old.months[4])
    assert (plan.last, plan.kept_by) == (29, ("entry 30: an action is open: it has no outcome yet",))
    columns = "id, key, state, seq, run, thread, agent, tool, args_digest, request, requested_at, expires_at"
    columns += ", answered_by, answered_at, reason"
    for name, seq, state, until in (
        ("a", 20, "pending", "2999"),
        ("b", 5, "pending", "2000"),
        ("c", 6, "used", "2999"),
    ):
        old.run(
            f"INSERT INTO openclaw_approval ({columns}) VALUES ('{name}', '{name}', '{state}', {seq}, '', '', '', '', '',"
            f" '{{}}', '2026', '{until}', '', '', '')"
        )
    plan = old.log.prune(old.months[4], by="eva")
    assert plan.last == 19
    assert plan.kept_by[-1].startswith("entry 20: a question waits for its answer")
    with old.store.peek() as connection:
        kept = connection.exec_driver_sql("SELECT seq FROM openclaw_action ORDER BY seq").scalars().all()
    assert kept == [4, 30], "what can be asked for again keeps its answer; the rest needs none"


def test_a_hold_laid_while_a_prune_is_under_way_is_heeded(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    verify = AuditLog.verify

    def meanwhile(log: AuditLog) -> object:
        report = verify(log)
        other = Store.open(old.store.engine.url.render_as_string(hide_password=False), clock=old.clock)
        AuditLog(other, None).hold(by="ann", reason="just in time", agent="a1")
        other.close()
        return report

    monkeypatch.setattr(AuditLog, "verify", meanwhile)
    with pytest.raises(AuditError, match=r"may no longer be pruned: .* just in time"):
        old.log.prune(old.months[4], by="eva")
    monkeypatch.undo()
    assert old.log.entries(limit=1)[0].seq == 1
    assert old.log.verify().ok


# -- keys, crashes, traces -----------------------------------------------------------------------------------------


def test_the_chain_of_keys_survives_a_prune_of_its_records(old: Old) -> None:
    first = old.log.verifier
    old.log.rotate_key(by="eva")
    old.clock.advance(200 * 24 * 3600)
    old.log.append(Draft(kind="halt"))
    old.log.rotate_key(by="eva")
    old.clock.advance(200 * 24 * 3600)
    old.log.append(Draft(kind="halt"))
    old.log.prune(old.clock.now() - MINIMUM_AGE, by="eva")
    old.clock.advance(200 * 24 * 3600)
    old.log.append(Draft(kind="halt"))
    old.log.prune(old.clock.now() - MINIMUM_AGE, by="eva")
    assert sum("rotation" in entry.body for entry in old.log.entries(kind="checkpoint")) == 0
    assert len(old.log.rotations()) == 2
    assert old.log.verify(first).problems == ()
    assert len(old.log.verify(first).keys) == 3
    old.log.prove(old.log.size()).check(first)


def test_a_large_prune_is_many_commits_each_of_them_whole(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclaw.audit.retention.STEP", 7)
    old.log.prune(old.months[4], by="eva")
    steps = [entry.body["pruned_size"] for entry in old.log.entries(kind="checkpoint") if "pruned" in entry.body]
    assert steps == [7, 14, 21, 28, 35, 42, 44]
    assert old.log.verify().problems == ()


KILLED = """
import datetime as dt, os, signal, sys
from pathlib import Path
from openclaw.audit import AuditLog, Signer, retention
from openclaw.store import Store, Transaction
url, key, step, at = sys.argv[1:5]
retention.STEP = 7
calls = 0
def count(function):
    def counted(*arguments, **named):
        global calls
        calls += 1
        if calls == int(at):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return counted
import sqlalchemy
sqlalchemy.Connection.execute = count(sqlalchemy.Connection.execute)
store = Store.open(url)
retention._remove = count(retention._remove)
log = AuditLog(store, Signer.load(Path(key), store.origin), outside=Path(key + ".checkpoints"))
log.prune(dt.datetime.now(dt.UTC) - dt.timedelta(days=184), by="eva")
print("done")
"""


def test_a_prune_that_is_killed_at_any_statement_leaves_nothing_half_done(
    old: Old, store_url: str, tmp_path: Path
) -> None:
    key = tmp_path / "log.key"
    (tmp_path / "log.key.checkpoints").write_text(old.outside.read_text())
    old.log.close()
    first, killed = 1, 0
    for at in range(60, 3000, 97):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, store_url, str(key), "7", str(at)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        log = AuditLog(old.store, old.key, outside=tmp_path / "log.key.checkpoints")
        report = log.verify()
        log.close()
        assert report.problems == ()
        remaining = log.entries(limit=1)[0].seq
        assert remaining == report.pruned + 1 >= first
        first = remaining
        if done.returncode == -signal.SIGKILL:
            killed += 1
            continue
        assert done.stdout == "done\n", done.stderr
        break
    assert killed >= 2


def test_what_was_pruned_is_overwritten_in_the_file(sqlite_url: str, tmp_path: Path) -> None:
    old = Old(sqlite_url, tmp_path)
    old.log.prune(old.months[4], by="eva")
    old.store.close()
    with sa.create_engine(sqlite_url).connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    data = (tmp_path / "openclaw.db").read_bytes()
    assert b"2026" in data
    assert b"a0t9" not in data
    assert b"a11t9" in data


# -- what is left of it in the database's files --------------------------------------------------------------------


def test_nothing_of_what_was_pruned_is_left_in_the_files_of_a_database_that_is_open(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
    log = AuditLog(store, Signer("log", bytes(range(32))))
    for number in range(50):
        log.append(Draft(kind="decision", body={"said": f"marked-{number} " * 100}))

    def found() -> int:
        return sum(path.read_bytes().count(b"marked-") for path in tmp_path.iterdir())

    assert found() > 0
    plan = log.prune(dt.datetime.now(dt.UTC), by="eva", minimum_age=NOW)
    assert plan.count == 50
    assert plan.remains == ("backups of the database",)
    assert found() == 0
    log.close()
    store.close()


def test_where_a_reader_keeps_what_was_pruned_it_is_said(store_url: str, tmp_path: Path) -> None:
    store = Store.open(store_url)
    log = AuditLog(store, Signer("log", bytes(range(32))))
    log.append(Draft(kind="decision"))
    reader = Store.open(store_url, readonly=True)
    with reader.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM openclaw_entry").scalar_one()
        plan = log.prune(dt.datetime.now(dt.UTC), by="eva", minimum_age=NOW)
    reader.close()
    assert plan.count == 1
    assert len(plan.remains) >= 2
    assert any("write-ahead file" in place for place in plan.remains)
    log.close()
    store.close()
