"""A question in SQL, asked of the database itself; whatever is asked, nothing is written.

SQLite: a connection that is open for reading only, on which an authorizer lets nothing through but reading, with a deadline
and a bound on the size of a value. PostgreSQL: the question is the query of one cursor (so it is one statement, and one that
reads), in a read-only transaction that is always rolled back, with a timeout; a role that could act on the server beside
the database is refused.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import JsonValue

from openclaw.canonical import plain
from openclaw.errors import ConfigurationError, StoreError
from openclaw.store import Store
from openclaw.store.opening import driver_error
from openclaw.store.statement import Cursor

SECONDS = 30.0
PAGE = 500
VALUE_BYTES_MAX = 16_000_000
"""Bytes of one value or row that a question may make on SQLite."""

_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""

_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "writefile", "readfile", "edit"})
_SERVER_ROLES = (
    "pg_execute_server_program",
    "pg_write_server_files",
    "pg_read_server_files",
    "pg_signal_backend",
    "pg_checkpoint",
)
_POWERS = f"""
SELECT bool_or(rolsuper OR rolreplication OR {" OR ".join(f"pg_has_role(oid, '{role}', 'member')" for role in _SERVER_ROLES)})
FROM pg_roles WHERE rolname IN (session_user, current_user)
"""  # noqa: S608 - constants of this module
_EXAMPLE = "write, for example, `SELECT agent, count(*) FROM openclaw_entry GROUP BY agent`"
_READER = "make a role that only reads: `CREATE ROLE reader LOGIN IN ROLE pg_read_all_data`"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database answered. ``rows`` are fetched as they are asked for, and gone with the question."""

    columns: tuple[str, ...]
    rows: Iterator[list[JsonValue]]


@contextlib.contextmanager
def asked(store: Store, sql: str, *, seconds: float = SECONDS) -> Generator[Answer]:
    """Ask a question; its rows can be read as long as the context lasts.

    Args:
        store: the database.
        sql: one statement that reads, in the database's own SQL.
        seconds: how long it may take altogether.

    Raises:
        ConfigurationError: it is not one statement that reads, or the database does not understand it.
        StoreError: it took too long, or the database cannot be read.
    """
    if "\0" in sql or not sql.strip():
        raise ConfigurationError("there is no question in that SQL", hint=_EXAMPLE)
    store.flush()
    ask = _sqlite if store.engine.dialect.name == "sqlite" else _postgresql
    deadline = _Deadline(seconds)
    try:
        with ask(store, sql.strip().rstrip(";").strip(), deadline) as answer:
            yield answer
    except driver_error(store.engine) as error:
        raise _said(error, deadline) from error


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds  # a span of time, not a date

    @property
    def left(self) -> float:
        return self._end - time.monotonic()


@contextlib.contextmanager
def _sqlite(store: Store, sql: str, deadline: _Deadline) -> Generator[Answer]:
    pooled = store.engine.raw_connection()
    try:
        connection = cast("sqlite3.Connection", pooled.driver_connection)
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.text_factory = _text
        connection.set_authorizer(_authorize)
        connection.set_progress_handler(lambda: int(deadline.left <= 0), _STEPS)
        cursor = connection.execute(sql)
        if cursor.description is None:
            raise ConfigurationError("that SQL asks for nothing", hint=_EXAMPLE)
        yield _answer(cast("Sequence[Sequence[Any]]", cursor.description), iter(cursor))
    finally:
        pooled.invalidate()  # nobody else gets a connection that may do so little


def _text(stored: bytes) -> str:
    return stored.decode(errors="backslashreplace")


def _authorize(action: int, _: str | None, second: str | None, *__: str | None) -> int:
    """SQLite's question before it compiles each part of a statement (see sqlite3_set_authorizer)."""
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if (second or "").lower() in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


@contextlib.contextmanager
def _postgresql(store: Store, sql: str, deadline: _Deadline) -> Generator[Answer]:
    pooled = store.engine.raw_connection()
    try:
        cursor = cast("Any", pooled.cursor())
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(_POWERS)
        if cursor.fetchone()[0]:
            raise ConfigurationError("a question in SQL is not asked as a superuser or server role", hint=_READER)
        _limit(cursor, deadline)
        # Prepared: the protocol of prepared statements takes one statement, and a cursor's must be one that reads.
        cursor.execute(f"DECLARE openclaw_question NO SCROLL CURSOR FOR {sql}".encode(), prepare=True)
        page = _fetch(cursor, deadline)
        columns = cursor.description

        def rows() -> Iterator[Sequence[object]]:
            found = page
            while found:
                yield from found
                found = _fetch(cursor, deadline) if len(found) == PAGE else []

        yield _answer(columns, rows())
    finally:
        pooled.invalidate()


def _fetch(cursor: Any, deadline: _Deadline) -> list[Sequence[object]]:
    _limit(cursor, deadline)  # each time: the question may have set another
    cursor.execute(f"FETCH FORWARD {PAGE} FROM openclaw_question")
    return list(cursor.fetchall())


def _limit(cursor: Cursor, deadline: _Deadline) -> None:
    cursor.execute(f"SET LOCAL statement_timeout = {max(1, round(deadline.left * 1000))}", {})


def _answer(description: Sequence[Sequence[Any]], rows: Iterator[Sequence[object]]) -> Answer:
    return Answer(tuple(str(one[0]) for one in description), ([_value(one) for one in row] for row in rows))


def _value(found: object) -> JsonValue:
    match found:
        case bytes():
            return found.hex()
        case dt.datetime() | dt.date() | dt.time():
            return found.isoformat()
        case None | bool() | int() | float() | str():
            return plain(found) if not isinstance(found, int) else found
        case dict() | list():
            return plain(cast("object", found))
        case _:
            return str(found)


def _said(error: Exception, deadline: _Deadline) -> ConfigurationError | StoreError:
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if deadline.left <= 0 or "statement timeout" in said:
        return StoreError(
            f"the question took more than {deadline.seconds:g} s", hint="ask for less, or give it longer: --timeout"
        )
    if said == "not authorized" or "prohibited" in said:
        return ConfigurationError("only questions are asked here: that SQL would do more", hint=_EXAMPLE)
    return ConfigurationError(f"the database does not answer that: {said}", hint=_EXAMPLE)


def limited(answer: Answer, limit: int | None, hear: Callable[[], None]) -> Iterator[list[JsonValue]]:
    """The first rows of an answer; ``hear`` is called where there were more."""
    yield from itertools.islice(answer.rows, limit)
    if limit is not None and next(answer.rows, None) is not None:
        hear()


__all__ = ["SECONDS", "Answer", "asked", "limited"]
