"""Opening a database: which one, whether it is ours, and what to say when it cannot be had."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from openclaw.action import utc
from openclaw.clock import Clock
from openclaw.errors import StoreError
from openclaw.store.tables import SCHEMA_VERSION, HeadRow, Meta, Table

FORMS = "use `sqlite:///openclaw.db` or `postgresql+psycopg://user@host/database`"
BUSY_SECONDS = 30
UNREADABLE = (SQLAlchemyError, UnicodeDecodeError)
"""What reading a damaged database raises: the driver's error, or that its message or a value is no text."""

_CREATION_LOCK = 0x0C1A_A5  # any constant: PostgreSQL advisory lock that lets one process at a time make the tables


def connect(url: str, *, create: bool, readonly: bool) -> Engine:
    """An engine in driver autocommit: transactions begin and end where this package says so, and nowhere else."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"`{url}` is not a database URL", hint=FORMS) from error
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed, create=create, readonly=readonly)
        case "postgresql":
            return _postgresql(parsed)
        case other:
            raise StoreError(f"no store for `{other}` databases", hint=FORMS)


def prepare(engine: Engine, *, clock: Clock, create: bool, readonly: bool = False) -> str:
    """Make the tables of an empty database, or check that those found are ours; the log's origin name.

    Raises:
        StoreError: it belongs to another program, is of another schema version, or is empty and ``create`` is false.
    """
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if not readonly and _is_sqlite(engine) else "BEGIN")
            try:
                if not readonly and not _is_sqlite(engine):
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATION_LOCK})")
                origin = _check(connection, engine.url, clock=clock, create=create, readonly=readonly)
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
            return origin
    except UNREADABLE as error:
        raise describe_failure(error, "open", engine.url) from error


def driver_error(engine: Engine) -> type[Exception]:
    """The base of what the database's driver raises (PEP 249 ``Error``)."""
    module = engine.dialect.dbapi
    assert module is not None
    return module.Error


def shown(url: URL) -> str:
    """A URL as it was given, without its password: a file that is read only is opened under another form of its name."""
    if url.get_backend_name() == "sqlite" and url.database is not None and url.database.startswith("file:"):
        url = url.set(database=unquote(url.database.removeprefix("file:")), query={})
    return url.render_as_string(hide_password=True)


def describe_failure(error: Exception, doing: str, url: URL | None = None) -> StoreError:
    """One clear error for what a driver said, with the way out where the cause is known."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    where = f" `{shown(url)}`" if url is not None else ""
    lacking = _LACKING.search(said)
    if lacking is not None:
        return StoreError(
            f"the database{where} was written by an older openclaw and has no {_lacks(lacking)} yet",
            hint="open it once with a Governance, or a command that writes: that adds what it lacks and changes nothing else",
        )
    for pattern, hint in _KNOWN_FAILURES:
        if re.search(pattern, said, re.IGNORECASE):
            return StoreError(f"the database{where} cannot be {_PARTICIPLE[doing]}: {said}", hint=hint)
    return StoreError(f"the database{where} cannot be {_PARTICIPLE[doing]}: {said}", hint="see `openclaw doctor`")


_PARTICIPLE = {"open": "opened", "read": "read", "write": "written"}

_LACKING = re.compile(
    r"no such table: (openclaw_\w+)|relation \"(openclaw_\w+)\" does not exist"
    r"|no such column: (openclaw_\w+\.\w+)|column (openclaw_\w+\.\w+) does not exist",
    re.IGNORECASE,
)


def _lacks(said: re.Match[str]) -> str:
    table, column = said[1] or said[2], said[3] or said[4]
    return f"table `{table}`" if table else f"column `{column}`"


_KNOWN_FAILURES = (
    (r"readonly|read-only", "give this user write access to the file and its folder, or choose another place"),
    (r"unable to open database file", "check that the folder exists and that this user may write there"),
    (
        r"file is not a database|malformed",
        "this file is not an intact SQLite database: choose another, or restore a copy",
    ),
    (r"disk is full|No space left", "free some space; nothing runs until the log can be written"),
    (
        r"locked",
        f"another process has held the database for {BUSY_SECONDS} s: end it, or use PostgreSQL for many writers",
    ),
    (r"disk I/O error", "the disk does not take writes: check it; nothing runs until the log can be written"),
    (
        r"connection refused|could not connect|connection failed|terminating connection|closed the connection"
        r"|connection is (lost|closed|bad)|starting up|shutting down|in recovery mode",
        "check that PostgreSQL is running at that host and port",
    ),
    (r"password authentication|no password supplied", "check user and password in the URL or in PGPASSWORD"),
    (r"does not exist", "create the database first: `createdb NAME`"),
    (r"permission denied", "grant this user the right to create and write tables there"),
)


def _check(connection: Connection, url: URL, *, clock: Clock, create: bool, readonly: bool) -> str:
    found = set(sa.inspect(connection).get_table_names())
    ours = set(Table.metadata.tables)
    name = shown(url)
    if Meta.__tablename__ in found:
        origin = _check_version(connection, name)
        if not readonly and not ours <= found:
            Table.metadata.create_all(connection)  # A table that this version has added: the rest is as it was.
        if not readonly:
            _add_columns(connection, found)
            _add_indexes(connection, found)
        return origin
    # Sharing a PostgreSQL database with other tables is normal; a SQLite file is one program's own.
    foreign = sorted(found if url.get_backend_name() == "sqlite" else found & ours)
    if foreign:
        raise StoreError(
            f"the database `{name}` belongs to another program: it has the table `{foreign[0]}` but none of openclaw's",
            hint="choose another database",
        )
    if not create:
        raise StoreError(f"the database `{name}` is empty: no governance has written to it", hint="check --store")
    Table.metadata.create_all(connection)
    origin = clock.new_id("openclaw")
    connection.execute(sa.insert(Meta).values(id=1, origin=origin, created_at=utc(clock.now())))
    connection.execute(sa.insert(HeadRow).values(id=1, size=0, edge=b""))
    return origin


def _add_columns(connection: Connection, found: set[str]) -> None:
    """Add the columns that this version has and the database has not: each may be null, or begins at what its table says."""
    inspector = sa.inspect(connection)
    for table in Table.metadata.sorted_tables:
        new = [it for it in table.columns if it.nullable or it.server_default is not None]
        if table.name not in found or not new:
            continue
        known = {str(column["name"]) for column in inspector.get_columns(table.name)}
        for column in new:
            if column.name not in known:
                made = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {made}")


_INDEXES_SQLITE = "SELECT name FROM sqlite_master WHERE type = 'index'"
_INDEXES_POSTGRESQL = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"


def _add_indexes(connection: Connection, found: set[str]) -> None:
    """Make the indexes that this version has and the database has not: some answers would take longer without them."""
    sqlite = connection.dialect.name == "sqlite"
    known = set(connection.exec_driver_sql(_INDEXES_SQLITE if sqlite else _INDEXES_POSTGRESQL).scalars())
    for table in Table.metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda index: str(index.name)) if table.name in found else ():
            if index.name not in known:
                index.create(connection)


def _check_version(connection: Connection, shown: str) -> str:
    try:
        version, origin = connection.execute(
            sa.text("SELECT schema_version, origin FROM openclaw_meta WHERE id = 1")
        ).one()
    except UNREADABLE as error:
        raise StoreError(
            f"the database `{shown}` has a table `openclaw_meta` that openclaw did not make",
            hint="choose another database",
        ) from error
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        raise StoreError(
            f"the database `{shown}` has schema version {version}, this openclaw reads {SCHEMA_VERSION}",
            hint="upgrade openclaw" if newer else "use the openclaw that wrote it, or start a new database",
        )
    return str(origin)


def _sqlite(url: URL, *, create: bool, readonly: bool) -> Engine:
    if not url.database or url.database == ":memory:" or "mode=memory" in url.database:
        raise StoreError("an in-memory database cannot keep a durable log", hint="name a file: `sqlite:///openclaw.db`")
    path = Path(url.database)
    if path.is_dir():
        raise StoreError(f"`{path}` is a folder, not a database file", hint="name a file in it")
    if not create and not path.is_file():
        raise StoreError(f"there is no database at `{path}`", hint="check --store or OPENCLAW_STORE")
    if create and not path.parent.is_dir():
        raise StoreError(f"the folder `{path.parent}` does not exist", hint="create it first")
    if readonly:
        query = {"mode": "ro", "uri": "true", **({"immutable": "1"} if _is_at_rest(path) else {})}
        url = url.set(
            database=f"file:{quote(str(path))}", query=query
        )  # a URI, in which `?`, `#` and `%` mean something
    engine = sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    def set_pragmas(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        for pragma in _pragmas(readonly=readonly):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", set_pragmas)
    return engine


def _is_at_rest(path: Path) -> bool:
    """Whether a file is a copy on a medium that takes no writes: reading a WAL database otherwise makes files beside it.

    A database that somebody has open has a ``-shm`` file, and must not be read as if it stood still; nor may one whose last
    commits are still in its ``-wal`` file.
    """
    wal, shm = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
    return not os.access(path.parent, os.W_OK) and not shm.exists() and not (wal.exists() and wal.stat().st_size)


def _pragmas(*, readonly: bool) -> tuple[str, ...]:
    # synchronous=FULL: NORMAL may lose the last commits on power loss, and a decision must be durable before its action.
    # A governed call writes some 15 pages, most of them again and again: moved into the database less often than by default
    # (1,000 pages), they are moved fewer times in all. The WAL is then 16 MiB at most while nobody reads an old moment.
    return () if readonly else ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000")


def _postgresql(url: URL) -> Engine:
    if url.get_driver_name() != "psycopg":
        url = url.set(drivername="postgresql+psycopg")
    try:
        return sa.create_engine(
            url, isolation_level="AUTOCOMMIT", pool_pre_ping=True, connect_args={"connect_timeout": 10}
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            "PostgreSQL needs its driver, which is not installed", hint="pip install 'openclaw-governance[postgres]'"
        ) from error


def _is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"
