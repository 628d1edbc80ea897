"""An open write transaction, as its units see it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect

from openclaw.action import utc
from openclaw.store.statement import Cursor, Row, Statement

HALTS_NOTE = "halts"
"""The note under which the halts that stand are kept for a transaction (``openclaw.halts``)."""


@dataclass(slots=True)
class Transaction:
    """An open write transaction. ``now`` is the database's clock, read once when the transaction began; ``at`` is its text.

    ``notes`` is memory that lives as long as the transaction does; the log keeps its growing right edge there. What stands
    in ``after`` is called once the commit is durable, by whoever commits; it must not raise.
    """

    connection: Connection
    cursor: Cursor
    dialect: Dialect
    now: dt.datetime
    notes: dict[str, object] = field(default_factory=dict[str, object])
    after: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    at: str = field(init=False)

    def __post_init__(self) -> None:
        self.at = utc(self.now)

    def rows(self, statement: Statement, parameters: Mapping[str, object]) -> list[Row]:
        """Run a prepared statement and give what it returned."""
        columns = statement.columns
        return [dict(zip(columns, row, strict=True)) for row in self.tuples(statement, parameters)]

    def tuples(self, statement: Statement, parameters: Mapping[str, object]) -> Sequence[Sequence[object]]:
        """``rows`` as the driver gives them, in the order of the statement's columns."""
        compiled = statement.compiled.get(self.dialect.name) or statement.compile(self.dialect)
        cursor = self.cursor
        cursor.execute(compiled.text, compiled.values(parameters))
        return cursor.fetchall()

    def count(self, statement: Statement, parameters: Mapping[str, object]) -> int:
        """Run a prepared statement; how many rows it touched."""
        compiled = statement.compiled.get(self.dialect.name) or statement.compile(self.dialect)
        cursor = self.cursor
        cursor.execute(compiled.text, compiled.values(parameters))
        return cursor.rowcount

    def many(self, statement: Statement, parameters: Sequence[Sequence[object]]) -> int:
        """Run a prepared statement once for each set of parameters, in the order in which the statement names them.

        How many rows it touched in all.
        """
        statement.run_many(self.cursor, self.dialect, parameters)
        return self.cursor.rowcount

    @contextlib.contextmanager
    def attempt(self) -> Generator[Attempt]:
        """A part of the transaction that can be taken back as a whole; ``notes`` and ``after`` are not part of it."""
        self.cursor.execute("SAVEPOINT attempt", {})
        attempt = Attempt()
        yield attempt
        if attempt.given_up:
            self.cursor.execute("ROLLBACK TO SAVEPOINT attempt", {})
        self.cursor.execute("RELEASE SAVEPOINT attempt", {})


@dataclass(slots=True)
class Attempt:
    """Whether what is under way in ``Transaction.attempt`` shall be taken back."""

    given_up: bool = False


__all__ = ["HALTS_NOTE", "Attempt", "Transaction"]
