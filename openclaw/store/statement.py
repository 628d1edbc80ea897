"""Statements of the hot path: written with SQLAlchemy, compiled once for each dialect, run on the driver's own cursor.

Everything else goes through SQLAlchemy's connection; these few run several times in every governed call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

Row = dict[str, object]
"""A row by column name, as the driver gave its values."""


class Cursor(Protocol):
    """What is used of a DB-API cursor (PEP 249)."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement touched."""
        ...

    def execute(self, sql: str, parameters: Mapping[str, object], /) -> object:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Sequence[Mapping[str, object]], /) -> object:
        """Run one statement for each set of parameters."""
        ...

    def fetchall(self) -> Sequence[Sequence[object]]:
        """The rows of the last statement."""
        ...


class Statement:
    """One statement with named parameters (``sqlalchemy.bindparam``). ``columns`` are those that it returns."""

    def __init__(self, clause: ClauseElement) -> None:
        self._clause = clause
        self._compiled: dict[str, tuple[str, dict[str, object]]] = {}
        self.columns = _returned(clause)

    def run(self, cursor: Cursor, dialect: Dialect, parameters: Mapping[str, object]) -> None:
        """Run it once."""
        text, constants = self._in(dialect)
        cursor.execute(text, {**constants, **parameters} if constants else parameters)

    def run_many(self, cursor: Cursor, dialect: Dialect, parameters: Sequence[Mapping[str, object]]) -> None:
        """Run it once for each set of parameters."""
        text, constants = self._in(dialect)
        assert not constants, "a statement for many rows takes all of its values from them"
        cursor.executemany(text, parameters)

    def rows(self, cursor: Cursor, dialect: Dialect, parameters: Mapping[str, object]) -> list[Row]:
        """Run it once and give what it returned."""
        self.run(cursor, dialect, parameters)
        return [dict(zip(self.columns, row, strict=True)) for row in cursor.fetchall()]

    def _in(self, dialect: Dialect) -> tuple[str, dict[str, object]]:
        """The SQL in the dialect's own words, with parameters in the named style, and the values that stand in it."""
        known = self._compiled.get(dialect.name)
        if known is None:
            style = "named" if dialect.name == "sqlite" else "pyformat"
            compiled = self._clause.compile(dialect=type(dialect)(paramstyle=style))  # pyright: ignore[reportCallIssue]
            binds = cast("SQLCompiler", compiled).binds
            constants: dict[str, object] = {name: bind.value for name, bind in binds.items() if not bind.required}
            known = self._compiled[dialect.name] = (str(compiled), constants)
        return known


def _returned(clause: ClauseElement) -> tuple[str, ...]:
    if isinstance(clause, sa.Select):
        return tuple(column.name for column in cast("sa.Select[tuple[object]]", clause).selected_columns)
    return tuple(str(column.name) for column in getattr(clause, "exported_columns", ()) or ())


__all__ = ["Cursor", "Row", "Statement"]
