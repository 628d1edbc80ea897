"""Statements of the hot path: written with SQLAlchemy, compiled once for each dialect, run on the driver's own cursor.

Everything else goes through SQLAlchemy's connection; these few run several times in every governed call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol, cast

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

Row = dict[str, object]
"""A row by column name, as the driver gave its values."""


Parameters = Mapping[str, object] | Sequence[object]
"""By name, or by position."""

_Pick = Callable[[Mapping[str, object]], Sequence[object]]


class Cursor(Protocol):
    """What is used of a DB-API cursor (PEP 249)."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement touched."""
        ...

    def execute(self, sql: str, parameters: Parameters, /) -> object:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Sequence[Sequence[object]], /) -> object:
        """Run one statement for each set of parameters."""
        ...

    def fetchall(self) -> Sequence[Sequence[object]]:
        """The rows of the last statement."""
        ...


class Statement:
    """One statement with named parameters (``sqlalchemy.bindparam``).

    ``columns`` are those that it returns, ``compiled`` is what it is in the words of each dialect that it was run in.
    """

    def __init__(self, clause: ClauseElement) -> None:
        self._clause = clause
        self.compiled: dict[str, Compiled] = {}
        self.columns = _returned(clause)

    def run(self, cursor: Cursor, dialect: Dialect, parameters: Mapping[str, object]) -> None:
        """Run it once."""
        compiled = self.compiled.get(dialect.name) or self.compile(dialect)
        cursor.execute(compiled.text, compiled.values(parameters))

    def run_many(self, cursor: Cursor, dialect: Dialect, parameters: Sequence[Sequence[object]]) -> None:
        """Run it once for each set of parameters, which stand in the order of ``compile(dialect).names``."""
        compiled = self.compiled.get(dialect.name) or self.compile(dialect)
        cursor.executemany(compiled.text, parameters)

    def rows(self, cursor: Cursor, dialect: Dialect, parameters: Mapping[str, object]) -> list[Row]:
        """Run it once and give what it returned."""
        columns = self.columns
        return [dict(zip(columns, row, strict=True)) for row in self.tuples(cursor, dialect, parameters)]

    def tuples(self, cursor: Cursor, dialect: Dialect, parameters: Mapping[str, object]) -> Sequence[Sequence[object]]:
        """``rows`` as the driver gives them."""
        compiled = self.compiled.get(dialect.name) or self.compile(dialect)
        cursor.execute(compiled.text, compiled.values(parameters))
        return cursor.fetchall()

    def compile(self, dialect: Dialect) -> Compiled:
        """The statement in the words of a dialect."""
        style = "qmark" if dialect.name == "sqlite" else "format"
        compiled = cast(
            "SQLCompiler",
            self._clause.compile(dialect=type(dialect)(paramstyle=style)),  # pyright: ignore[reportCallIssue]
        )
        constants: dict[str, object] = {name: it.value for name, it in compiled.binds.items() if not it.required}
        names = tuple(compiled.positiontup or ())
        made = self.compiled[dialect.name] = Compiled(str(compiled), names, _picking(names, constants))
        return made


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement in a dialect's own words. ``values`` picks its parameters by position, which drivers take the quickest."""

    text: str
    names: tuple[str, ...]
    values: _Pick


def _picking(names: Sequence[str], constants: Mapping[str, object]) -> _Pick:
    if constants:
        return lambda parameters: _in_order(names, {**constants, **parameters})
    if len(names) < 2:  # then ``itemgetter`` gives no tuple
        return lambda parameters: _in_order(names, parameters)
    return cast("_Pick", itemgetter(*names))


def _in_order(names: Sequence[str], values: Mapping[str, object]) -> Sequence[object]:
    return [values[name] for name in names]


def _returned(clause: ClauseElement) -> tuple[str, ...]:
    if isinstance(clause, sa.Select):
        return tuple(column.name for column in cast("sa.Select[tuple[object]]", clause).selected_columns)
    return tuple(str(column.name) for column in getattr(clause, "exported_columns", ()) or ())


__all__ = ["Compiled", "Cursor", "Row", "Statement"]
