"""Questions in SQL on both databases: what they answer, and that nothing can be written by any of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from openclaw.errors import ConfigurationError, StoreError
from openclaw.review.sql import asked, limited
from openclaw.store import Store
from tests.support.readers import reading_only
from tests.support.sqlite_files import sqlite_file
from tests.support.story import told

HOSTILE = [
    "DELETE FROM openclaw_entry",
    "SELECT 1; DELETE FROM openclaw_entry",
    "SELECT 1; COMMIT; DELETE FROM openclaw_entry",
    "UPDATE openclaw_entry SET effect = 'allow' RETURNING seq",
    "INSERT INTO openclaw_meta VALUES (2, 1, 'x', 'y') RETURNING id",
    "WITH gone AS (DELETE FROM openclaw_entry RETURNING seq) SELECT * FROM gone",
    "WITH one AS (SELECT 1) DELETE FROM openclaw_entry",
    "SELECT * INTO copied FROM openclaw_entry",
    "CREATE TABLE mine (a int)",
    "CREATE TEMP TABLE mine (a int)",
    "CREATE TEMP TRIGGER t AFTER INSERT ON openclaw_entry BEGIN SELECT 1; END",
    "DROP TABLE openclaw_entry",
    "DROP INDEX openclaw_entry_run",
    "ALTER TABLE openclaw_entry RENAME TO other",
    "TRUNCATE openclaw_entry",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "END",
    "SAVEPOINT a",
    "RELEASE a",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
    "REINDEX",
    "ANALYZE",
    "ATTACH 'other.db' AS other",
    "DETACH main",
    "PRAGMA query_only = OFF",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA writable_schema = ON",
    "PRAGMA user_version = 7",
    "SELECT * FROM pragma_user_version(7)",
    "SELECT load_extension('x')",
    "SELECT fts3_tokenizer('simple', x'00')",
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "RESET ALL",
    "DISCARD ALL",
    "DO $$ BEGIN DELETE FROM openclaw_entry; END $$",
    "CALL nothing()",
    "COPY openclaw_entry TO '/tmp/copied'",
    "COPY openclaw_entry TO PROGRAM 'touch ran'",
    "COPY (SELECT 1) TO PROGRAM 'touch ran'",
    "SELECT 1) TO PROGRAM 'touch ran' --",
    "LOCK TABLE openclaw_entry",
    "NOTIFY a",
    "LISTEN a",
    "PREPARE a AS DELETE FROM openclaw_entry",
    "EXECUTE a",
    "EXPLAIN ANALYZE DELETE FROM openclaw_entry",
    "GRANT ALL ON openclaw_entry TO public",
    "SELECT * FROM openclaw_entry FOR UPDATE",
    "SELECT nextval('openclaw_account_id_seq')",
    "SELECT setval('openclaw_account_id_seq', 1)",
    "SELECT query_to_xml('DELETE FROM openclaw_entry', true, true, '')",
    "SELECT set_config('transaction_read_only', 'off', false), query_to_xml('DELETE FROM openclaw_entry', true, true, '')",
    "SELECT 1 WHERE set_config('statement_timeout', '0', false) = '0' AND set_config('role', 'postgres', false) IS NULL",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/exported')",
    "SELECT lo_from_bytea(0, 'written')",
    "",
    ";",
    "-- nothing",
    "SELECT 1 \0; DELETE FROM openclaw_entry",
]


def dump(url: str) -> list[tuple[object, ...]]:
    """Everything in the tables, and the names of all there is."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        tables = sorted(inspector.get_table_names())
        rows: list[tuple[object, ...]] = [(table,) for table in tables]
        for table in tables:
            rows += sorted((tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}")), key=repr)
    engine.dispose()
    return rows


@pytest.fixture
def url(store_url: str, tmp_path: Path) -> str:
    with told(store_url, tmp_path):
        pass
    return store_url


def answer(store: Store, sql: str, seconds: float = 30) -> tuple[tuple[str, ...], list[list[object]]]:
    with asked(store, sql, seconds=seconds) as found:
        return found.columns, [*found.rows]


def test_a_question_is_answered_on_both_databases(url: str) -> None:
    with reading_only(url) as reads:
        store = Store.open(reads, create=False, readonly=True)
        columns, rows = answer(
            store, "SELECT agent AS who, count(*) AS n FROM openclaw_entry WHERE run <> '' GROUP BY agent ORDER BY 1;"
        )
        assert (columns, rows) == (("who", "n"), [["refunds", 9], ["triage", 4]])
        assert answer(store, "SELECT leaf FROM openclaw_entry WHERE seq = 999999") == (("leaf",), [])
        leaf = answer(store, "SELECT leaf, 100 % 7, 1.5, NULL FROM openclaw_entry WHERE seq = 1")[1][0]
        assert len(str(leaf[0])) == 64
        assert leaf[1] == 2
        assert leaf[2:] in ([1.5, None], ["1.5", None])
        with asked(store, "SELECT seq FROM openclaw_entry ORDER BY seq") as found:
            more: list[int] = []
            assert [*limited(found, 2, lambda: more.append(1))] == [[1], [2]]
            assert more == [1]
        store.close()


def test_rows_come_in_pages_that_no_question_can_outlive(url: str) -> None:
    with reading_only(url) as reads:
        store = Store.open(reads, create=False, readonly=True)
        many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1234) SELECT i FROM n"
        assert answer(store, many)[1] == [[number] for number in range(1, 1235)]
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        with pytest.raises(StoreError, match=r"the question took more than 0\.2 s"):
            answer(store, endless, seconds=0.2)
        streaming = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
        if not url.startswith("sqlite"):
            streaming = "SELECT i, set_config('statement_timeout', '0', false) FROM generate_series(1, 1e12) AS n(i)"
        with pytest.raises(StoreError, match="the question took more than"):
            answer(store, streaming, seconds=0.5)
        store.close()


def test_no_sql_writes(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before, files = dump(url), sorted(tmp_path.iterdir())
    with reading_only(url) as reads:
        store = Store.open(reads, create=False, readonly=True)
        for sql in HOSTILE:
            try:
                answer(store, sql)
            except (ConfigurationError, StoreError):
                continue
            # What is understood and let through is a question: it has changed nothing.
            assert dump(url) == before, sql
        store.close()
    assert dump(url) == before
    assert sorted(tmp_path.iterdir()) == files


def test_no_sql_writes_even_where_the_connection_may(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of the database has no more power here than a reader: it is not the file's mode that holds."""
    monkeypatch.chdir(tmp_path)
    owner = url
    if not url.startswith("sqlite"):
        with reading_only(url) as reads:
            role = sa.make_url(reads)
            engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                for table in sa.inspect(connection).get_table_names():
                    connection.exec_driver_sql(f"GRANT ALL ON {table} TO {role.username}")
            engine.dispose()
            before = dump(url)
            _all_refused(role.render_as_string(hide_password=False), before, url)
        return
    _all_refused(owner, dump(url), url)


def _all_refused(writes: str, before: list[tuple[object, ...]], url: str) -> None:
    store = Store.open(writes, create=False)
    for sql in HOSTILE:
        try:
            answer(store, sql)
        except (ConfigurationError, StoreError):
            continue
    store.close()
    assert dump(url) == before


def test_a_superuser_is_refused(postgres_url: str, tmp_path: Path) -> None:
    with told(postgres_url, tmp_path):
        pass
    store = Store.open(postgres_url, create=False, readonly=True)
    with pytest.raises(ConfigurationError, match="not asked as a superuser"):
        answer(store, "SELECT 1")
    store.close()


def test_a_question_for_too_large_a_value_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    with told(sqlite_url, tmp_path):
        pass
    store = Store.open(sqlite_url, create=False, readonly=True)
    with pytest.raises(ConfigurationError, match="too big"):
        answer(store, "SELECT zeroblob(1000000000)")
    with pytest.raises(ConfigurationError, match="no such table: nowhere; write, for example"):
        answer(store, "SELECT * FROM nowhere")
    with sqlite_file(tmp_path / "openclaw.db") as database:
        database.execute("UPDATE openclaw_entry SET agent = CAST(x'ff41' AS TEXT) WHERE seq = 3")
    assert answer(store, "SELECT agent FROM openclaw_entry WHERE seq = 3")[1] == [["\\xffA"]]
    store.close()
