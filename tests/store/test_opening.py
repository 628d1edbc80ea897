"""Opening a database: what is ours is opened, what is not is refused with its reason and the way out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from openclaw.errors import StoreError
from openclaw.store import Store
from tests.support.sqlite_files import sqlite_file

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("url", "says", "hint"),
    [
        ("nonsense", "`nonsense` is not a database URL", "sqlite:///openclaw.db"),
        ("mysql://host/db", "no store for `mysql` databases", "postgresql+psycopg://"),
        ("sqlite://", "an in-memory database cannot keep a durable log", "name a file"),
        ("sqlite:///:memory:", "an in-memory database cannot keep a durable log", "name a file"),
        ("sqlite:////no/such/folder/x.db", "the folder `/no/such/folder` does not exist", "create it"),
        ("sqlite:////", "is a folder", "name a file in it"),
        ("postgresql+psycopg://localhost:1/x", "cannot be opened", "check that PostgreSQL is running"),
    ],
)
def test_a_wrong_url_is_one_clear_error(url: str, says: str, hint: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_the_password_of_a_url_is_never_shown() -> None:
    with pytest.raises(StoreError) as caught:
        Store.open("postgresql+psycopg://user:geheim@localhost:1/x")
    assert "geheim" not in str(caught.value)


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite_file(path) as theirs:
        theirs.execute("CREATE TABLE customers (name)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"belongs to another program: it has the table `customers`"):
        Store.open(f"sqlite:///{path}")
    with sqlite_file(path) as theirs:
        assert theirs.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("customers",)]
    assert path.read_bytes()[100:] == before[100:]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but long enough to look like a file of some kind\n" * 20)
    with pytest.raises(StoreError, match=r"file is not a database; this file is not an intact SQLite database"):
        Store.open(f"sqlite:///{path}")


def test_a_missing_database_is_not_made_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "missing.db"
    with pytest.raises(StoreError, match="there is no database at"):
        Store.open(f"sqlite:///{path}", create=False)
    assert not path.exists()


def test_another_schema_version_is_refused(store_url: str) -> None:
    store = Store.open(store_url)
    store.run(lambda tx: tx.connection.execute(sa.text("UPDATE openclaw_meta SET schema_version = 99")))
    store.close()
    with pytest.raises(StoreError, match=r"schema version 99, this openclaw reads 1; upgrade openclaw"):
        Store.open(store_url)


def test_a_postgresql_database_may_be_shared_with_other_tables(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE checkpoints (thread text)"))
    Store.open(postgres_url).close()
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM checkpoints")).scalar_one() == 0
    engine.dispose()


def test_opening_twice_keeps_the_origin(store_url: str) -> None:
    first = Store.open(store_url)
    first.close()
    second = Store.open(store_url)
    second.close()
    assert first.origin == second.origin


def opening_without_rights(url: str) -> str:
    """What opening says to a user who may not write there; root, who may write anywhere, becomes nobody for it."""
    code = """
import os, sys, tempfile
from openclaw.errors import StoreError
from openclaw.store import Store
with tempfile.TemporaryDirectory() as warm:  # imports all that is needed, while this user may still read it
    Store.open(f"sqlite:///{warm}/x.db").close()
if os.geteuid() == 0:
    os.setegid(65534), os.seteuid(65534)
try:
    Store.open(sys.argv[1])
except StoreError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, url]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT).stdout.strip()


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder on a path that everybody may enter and nobody may write to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield folder
        folder.chmod(0o700)


def test_a_folder_without_the_right_to_write_is_one_clear_error(locked: Path) -> None:
    locked.chmod(0o555)
    said = opening_without_rights(f"sqlite:///{locked / 'x.db'}")
    assert "unable to open database file; check that the folder exists and that this user may write there" in said
    assert "\n" not in said
    assert list(locked.iterdir()) == []


def test_a_database_without_the_right_to_write_is_one_clear_error(locked: Path) -> None:
    path = locked / "x.db"
    Store.open(f"sqlite:///{path}").close()
    path.chmod(0o444)
    locked.chmod(0o555)
    said = opening_without_rights(f"sqlite:///{path}")
    assert "attempt to write a readonly database; give this user write access to the file and its folder" in said


def test_sqlite_writes_are_synced_to_the_disk(sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    with store.peek() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
    store.close()


def test_a_copy_on_a_medium_that_takes_no_writes_is_read_as_it_stands(tmp_path: Path) -> None:
    """Also by a user who may not write there: no file appears beside it. In a child, since root may write anywhere."""
    folder = tmp_path / "copy"
    folder.mkdir()
    url = f"sqlite:///{folder / 'a.db'}"
    Store.open(url).close()
    Store.open(url, create=False, readonly=True).close()  # loads what an unprivileged child might not be able to
    for name in ("a.db-wal", "a.db-shm"):
        (folder / name).unlink(missing_ok=True)
    folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            store = Store.open(url, create=False, readonly=True)
            with store.read() as connection:
                size = connection.exec_driver_sql("SELECT size FROM openclaw_head").scalar_one()
            code = 0 if size == 0 and len(list(folder.iterdir())) == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    folder.chmod(0o755)


def test_a_database_of_an_older_version_gets_the_indexes_that_it_lacks(store_url: str) -> None:
    """Whoever only reads changes nothing, and reads it all the same."""
    Store.open(store_url).close()
    engine = sa.create_engine(store_url)

    def indexes() -> set[str]:
        return {
            str(it["name"])
            for table in ("openclaw_entry", "openclaw_run")
            for it in sa.inspect(engine).get_indexes(table)
        }

    whole = indexes()
    gone = {"openclaw_entry_rotation", "openclaw_entry_run", "openclaw_run_thread"}
    assert gone < whole
    with engine.begin() as connection:
        for name in gone:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    Store.open(store_url, create=False, readonly=True).close()
    assert indexes() == whole - gone
    Store.open(store_url, create=False).close()
    assert indexes() == whole
    Store.open(store_url).close()
    assert indexes() == whole
    engine.dispose()


@pytest.mark.parametrize("name", ["50%", "a%41", "why?", "#1", "ä ö"])
def test_a_file_of_any_name_is_read_only_where_that_is_asked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    url = sa.URL.create("sqlite", database=str(tmp_path / name / "a.db")).render_as_string()
    Store.open(url).close()
    store = Store.open(url, create=False, readonly=True)
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT size FROM openclaw_head").scalar_one() == 0
    store.close()
    with sqlite_file(tmp_path / name / "a.db") as connection:
        connection.execute("UPDATE openclaw_meta SET schema_version = 77")
    with pytest.raises(StoreError) as caught:
        Store.open(url, create=False, readonly=True)
    assert caught.value.message.startswith(f"the database `{url}` has schema version 77")
