"""Places outside the database: files and object stores, several at once, slow ones, failing ones and absent ones."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import fsspec
import pytest

from openclaw.audit import AuditLog, Checkpoint, Draft, FilePlace, ObjectPlace, Signer, open_place, open_places
from openclaw.audit.keeper import Keeper
from openclaw.errors import AuditError
from openclaw.store import Store

SIGNER = Signer("openclaw-1", bytes(range(32)))


def fill(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append(Draft(kind="decision", tool="t", effect="allow", body={"n": number}))


def checkpoint(size: int, origin: str = "openclaw-1") -> Checkpoint:
    return SIGNER.checkpoint(origin, size, bytes([size]) * 32)


class Moody:
    """A place that does what it is told to: take, fail or hang."""

    label = "moody"

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.free = threading.Event()
        self.free.set()
        self.reached = threading.Event()
        self.taken: list[Checkpoint] = []

    def keep(self, checkpoints: Sequence[Checkpoint]) -> None:
        self.reached.set()
        self.free.wait(30)
        if self.error is not None:
            raise self.error
        self.taken += checkpoints

    def kept(self, origin: str) -> list[str]:
        self.free.wait(30)
        return [one.note for one in self.taken]


@pytest.fixture
def moody() -> Moody:
    return Moody()


@pytest.fixture(params=["memory", "file"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an object store that is empty."""
    return f"memory://{tmp_path.name}/audit" if request.param == "memory" else f"file://{tmp_path}/objects"


def test_a_file_gets_a_line_for_each_checkpoint_and_none_twice(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.checkpoints"
    FilePlace(path).keep([checkpoint(1), checkpoint(2)])
    FilePlace(path).keep([checkpoint(2), checkpoint(3)])  # another process, which hands over what a crash may have lost
    assert [json.loads(line)["note"].split("\n")[1] for line in path.read_text().splitlines()] == ["1", "2", "3"]
    assert FilePlace(path).kept("openclaw-1") == [checkpoint(size).note for size in (1, 2, 3)]


def test_an_object_store_gets_an_object_for_each_checkpoint(folder: str) -> None:
    place = ObjectPlace(folder)
    place.keep([checkpoint(1), checkpoint(20)])
    place.keep([checkpoint(20)])
    ObjectPlace(folder).keep([checkpoint(200, "openclaw-2")])  # another log in the same folder
    assert sorted(place.kept("openclaw-1")) == sorted([checkpoint(1).note, checkpoint(20).note])
    assert place.kept("openclaw-2") == [checkpoint(200, "openclaw-2").note]
    assert place.kept("openclaw-3") == []


def test_an_object_is_never_overwritten(folder: str) -> None:
    ObjectPlace(folder).keep([checkpoint(7)])
    files, root = fsspec.core.url_to_fs(folder)
    (name,) = files.find(root)
    with files.open(name, "wb") as file:
        file.write(b"forged")
    with pytest.raises(AuditError, match="holds something else"):
        ObjectPlace(folder).keep([checkpoint(7)])
    assert files.cat_file(name) == b"forged"


def test_a_log_is_verified_with_an_object_store(store_url: str, tmp_path: Path, folder: str) -> None:
    store = Store.open(store_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin), outside=open_place(folder))
    fill(log, 3)
    log.checkpoint()
    fill(log, 3)
    log.checkpoint()
    report = log.verify()
    assert (report.ok, report.outside, report.warnings) == (True, 2, ())
    files, root = fsspec.core.url_to_fs(folder)
    files.rm(root, recursive=True)
    (problem,) = log.verify().problems
    assert "no checkpoint is left in" in problem.message
    assert "where the log says that 2 were kept (the last one in entry 8)" in problem.message
    log.close(0)
    store.close()


def test_one_place_that_hangs_holds_up_neither_writers_nor_another_place(
    store_url: str, tmp_path: Path, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(store_url)
    file = tmp_path / "log.checkpoints"
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin), outside=[moody, file], every_entries=10)
    moody.free.clear()
    fill(log, 40)  # returns, although the place is stuck with the first checkpoint
    assert moody.reached.wait(30)
    assert moody.taken == []
    monkeypatch.setattr("openclaw.audit.verify.PLACE_SECONDS", 0.2)
    report = log.verify()
    assert report.ok
    assert any("has not answered in time: its checkpoints were not compared" in said for said in report.warnings)
    made = len(log.entries(kind="checkpoint"))
    assert file.read_text().count("\n") == made
    assert [(state.kept, state.pending) for state in log.places] == [(0, made), (made, 0)]
    moody.free.set()
    log.checkpoint()
    assert [(state.kept, state.pending) for state in log.places] == [(made + 1, 0), (made + 1, 0)]
    log.close()
    store.close()


@pytest.mark.parametrize("error", [AuditError("the disk is full"), RuntimeError("boom"), TimeoutError("slow")])
def test_what_a_place_does_not_take_is_counted_told_and_tried_again(
    sqlite_url: str, tmp_path: Path, moody: Moody, error: Exception
) -> None:
    store = Store.open(sqlite_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin), outside=moody)
    fill(log, 2)
    moody.error = error
    with pytest.raises(AuditError, match=str(error)):
        log.checkpoint()
    assert log.places[0].pending == 1
    assert log.places[0].failures >= 1
    assert str(error) in log.places[0].error
    assert any("1 checkpoints could not be kept outside" in said for said in log.verify().warnings)
    moody.error = None
    log.checkpoint()
    assert len(moody.taken) == 2
    assert log.verify().warnings == ()
    log.close()
    store.close()


def test_pending_checkpoints_make_room_for_newer_ones_and_are_counted(
    moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openclaw.audit.keeper.PENDING_MAX", 3)
    moody.error = AuditError("no")
    keeper = Keeper([moody])
    for size in range(1, 9):
        keeper.hand(checkpoint(size))
    assert keeper.flush() == ["no"]
    assert (keeper.states()[0].pending, keeper.states()[0].skipped) == (3, 5)
    moody.error = None
    assert keeper.close() == []
    assert [one.size for one in moody.taken] == [6, 7, 8]


def test_a_process_that_ends_without_closing_still_keeps_its_checkpoints(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from openclaw.audit import AuditLog, Draft, Signer
from openclaw.store import Store
store = Store.open("sqlite:///{tmp_path / "a.db"}")
log = AuditLog(store, Signer.load(Path("{tmp_path / "key"}"), store.origin), outside=Path("{tmp_path / "kept"}"), every_entries=2)
for number in range(4):
    log.append(Draft(kind="decision", body={{"n": number}}))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert (tmp_path / "kept").read_text().count("note") >= 1


def test_what_a_crash_kept_from_a_place_is_handed_over_by_the_next_process(
    sqlite_url: str, tmp_path: Path, outside: Path
) -> None:
    store = Store.open(sqlite_url)
    signer = Signer.load(tmp_path / "log.key", store.origin)
    crashed = AuditLog(store, signer, outside=outside)
    fill(crashed, 2)
    crashed.checkpoint()
    fill(crashed, 2)
    crashed.checkpoint()
    first, _ = outside.read_text().splitlines()
    outside.write_text(f"{first}\n")  # as if the process had been killed between the commit and the file
    assert "1 of 2 checkpoints that the log says are kept in" in crashed.verify().warnings[0]
    store.close()
    again = Store.open(sqlite_url)
    after = AuditLog(again, signer, outside=outside)
    fill(after, 1)
    after.close()
    assert after.verify().warnings == ()
    again.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nosuchthing://bucket/x", "no object store can be reached by `nosuchthing://`"),
        ("witness+https://host", "names no witness"),
    ],
)
def test_a_text_that_names_no_place_is_refused(text: str, says: str) -> None:
    with pytest.raises(AuditError, match=says):
        open_place(text)


def test_a_missing_fsspec_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(AuditError, match=r"pip install 'openclaw-governance\[object-store\]'"):
        open_place("memory://x")


def test_the_name_of_an_object_store_in_the_log_holds_no_password() -> None:
    assert ObjectPlace("memory://user:secret@host/path?token=x").label == "memory://host/path"


def test_places_are_named_by_argument_by_environment_or_by_default(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(sqlite_url)
    monkeypatch.delenv("OPENCLAW_CHECKPOINTS", raising=False)
    monkeypatch.delenv("OPENCLAW_KEY", raising=False)
    assert [str(one) for one in open_places(store, None)] == [f"{tmp_path}/openclaw.db.checkpoints"]
    monkeypatch.setenv("OPENCLAW_CHECKPOINTS", f"{tmp_path}/a memory://b")
    assert [str(one) for one in open_places(store, None)] == [f"{tmp_path}/a", "memory://b"]
    assert [str(one) for one in open_places(store, tmp_path / "c")] == [f"{tmp_path}/c"]
    moody = Moody()
    assert open_places(store, [moody, "memory://d"])[0] is moody
    store.close()
