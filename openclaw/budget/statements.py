"""The SQL of the ledger, prepared once: conditional updates, never a value that was read before and is written back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement

from openclaw.budget.amount import UNITS, Unit
from openclaw.store import Statement
from openclaw.store.tables import AccountRow, ActionRow, ReservationRow, Table

_COMMA: ColumnElement[str] = sa.literal_column("', '", sa.String)

ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]
ACCOUNT: sa.Table = Table.metadata.tables[str(AccountRow.__tablename__)]
RESERVATION: sa.Table = Table.metadata.tables[str(ReservationRow.__tablename__)]


@cache
def rows_of(count: int) -> Statement:
    """The rows of ``count`` paths in their present windows."""
    paths = [sa.bindparam(f"path_{at}", type_=sa.String) for at in range(count)]
    return Statement(sa.select(ACCOUNT).where(ACCOUNT.c.path.in_(paths), ACCOUNT.c.current))


@cache
def limited_of(count: int) -> Statement:
    """The same of those that limit anything, or have shares."""
    paths = [sa.bindparam(f"path_{at}", type_=sa.String) for at in range(count)]
    limited = sa.or_(*(ACCOUNT.c[f"{unit}_limit"].is_not(None) for unit in UNITS), ACCOUNT.c.shared)
    return Statement(sa.select(ACCOUNT).where(ACCOUNT.c.path.in_(paths), ACCOUNT.c.current, limited))


@cache
def take(count: int, units: Sequence[Unit]) -> Statement:
    """``taking``, prepared."""
    return Statement(taking(count, units))


def taking(count: int, units: Sequence[Unit]) -> ReturningUpdate[Any, Any, Any, int, Any]:
    """One conditional UPDATE over the present windows of ``count`` paths: never read-then-write.

    Only ``units`` are asked for, but every unit is judged: an account above any limit admits nothing. Gives the rows that could
    carry it, each with how many rows there are in all (which the UPDATE does not change).
    """
    paths = [sa.bindparam(f"path_{at}", type_=sa.String) for at in range(count)]
    every = ACCOUNT.alias("every")
    there = sa.select(sa.func.count()).select_from(every).where(every.c.path.in_(paths), every.c.current)
    more = {unit: sa.bindparam(f"take_{unit}", type_=sa.BigInteger) for unit in units}
    fits = [
        sa.or_(
            ACCOUNT.c[f"{unit}_limit"].is_(None),
            ACCOUNT.c[f"{unit}_posted"] + _more(ACCOUNT.c[f"{unit}_pending"], more.get(unit))
            <= ACCOUNT.c[f"{unit}_limit"],
        )
        for unit in UNITS
    ]
    # Where nothing is asked for, something must be set all the same.
    changed = {f"{unit}_pending": _more(ACCOUNT.c[f"{unit}_pending"], more.get(unit)) for unit in units or UNITS[:1]}
    return (
        sa.update(ACCOUNT)
        .values(changed)
        .where(ACCOUNT.c.path.in_(paths), ACCOUNT.c.current, *fits)
        .returning(
            ACCOUNT.c.id, ACCOUNT.c.window, ACCOUNT.c.opens_at, there.scalar_subquery().label("there"), ACCOUNT.c.shared
        )
    )


@cache
def take_and_open(count: int, units: Sequence[Unit]) -> Statement:
    """``take`` and ``OPEN`` in one statement, where the database takes one that changes two tables (PostgreSQL).

    The reservation is opened where every path and every row of it was taken from; that windows are open, who asks must judge.
    Gives what ``take`` gives.
    """
    taken = taking(count, units).cte("taken")
    listed = sa.func.string_agg(sa.cast(taken.c.id, sa.String), aggregate_order_by(_COMMA, taken.c.id))
    whole = sa.and_(
        sa.func.count() == sa.func.min(taken.c.there),
        sa.func.count().filter(taken.c.window == sa.literal_column("'total'")) == sa.literal_column(str(count)),
    )
    columns = [column.name for column in RESERVATION.c]
    given = {name: sa.bindparam(name, type_=sa.String) for name in columns if name != "accounts"}
    row = [given[name] if name in given else sa.func.concat("[", listed, "]") for name in columns]
    opened = sa.insert(RESERVATION).from_select(columns, sa.select(*row).select_from(taken).having(whole)).cte("opened")
    return Statement(sa.select(taken).add_cte(opened))


@cache
def close_and_move(columns: Sequence[str]) -> Statement:
    """``CLOSE`` and ``moving`` in one statement, as above, for a reservation that is pending and holds what ``held`` says.

    Gives its accounts; nothing, and nothing is changed, if it is closed already or holds something else.
    """
    closed = (
        sa.update(RESERVATION)
        .where(
            RESERVATION.c.id == sa.bindparam("hold"),
            # A parameter, lest the index of what expires be taken for the way to one row.
            RESERVATION.c.state == sa.bindparam("was"),
            RESERVATION.c.held == sa.bindparam("held", type_=sa.String),
        )
        .values(state=sa.bindparam("to"), used=sa.bindparam("used"), closed_at=sa.bindparam("closed_at"))
        .returning(RESERVATION.c.accounts)
        .cte("closed")
    )
    listed = sa.func.json_array_elements_text(sa.cast(closed.c.accounts, sa.JSON)).column_valued("listed")
    ids = sa.select(sa.cast(listed, sa.Integer)).select_from(closed)
    changes = {column: ACCOUNT.c[column] + sa.bindparam(f"more_{column}", type_=sa.BigInteger) for column in columns}
    moved = sa.update(ACCOUNT).values(changes).where(ACCOUNT.c.id.in_(ids)).cte("moved")
    return Statement(sa.select(closed.c.accounts).add_cte(moved))


@cache
def moving(count: int, columns: Sequence[str]) -> Statement:
    """What is added to ``columns`` of ``count`` accounts, such as ``tokens_posted``."""
    changes = {column: ACCOUNT.c[column] + sa.bindparam(f"more_{column}", type_=sa.BigInteger) for column in columns}
    return Statement(sa.update(ACCOUNT).values(changes).where(ids_of(count)))


def _more(column: sa.Column[int], amount: ColumnElement[int] | None) -> ColumnElement[int]:
    return column if amount is None else column + amount


def ids_of(count: int) -> ColumnElement[bool]:
    """Whether an account is one of ``count`` that are named by their row ids."""
    return ACCOUNT.c.id.in_([sa.bindparam(f"id_{at}") for at in range(count)])


def named(name: str, values: Sequence[object]) -> dict[str, object]:
    """Parameters ``name_0``, ``name_1``, … for a statement over several rows."""
    return {f"{name}_{at}": value for at, value in enumerate(values)}


OPEN = Statement(sa.insert(RESERVATION))
FORGET = Statement(sa.delete(RESERVATION).where(RESERVATION.c.id == sa.bindparam("hold")))
CLOSE = Statement(
    sa.update(RESERVATION)
    .where(RESERVATION.c.id == sa.bindparam("hold"), RESERVATION.c.state == sa.bindparam("was"))
    .values(state=sa.bindparam("to"), used=sa.bindparam("used"), closed_at=sa.bindparam("closed_at"))
    .returning(RESERVATION.c.accounts, RESERVATION.c.held)
)
ONE = Statement(
    sa.select(RESERVATION.c.accounts, RESERVATION.c.held, RESERVATION.c.used).where(
        RESERVATION.c.id == sa.bindparam("hold")
    )
)
KNOWN = Statement(sa.select(RESERVATION.c.id).where(RESERVATION.c.id == sa.bindparam("hold")))
EXPIRE = Statement(
    sa.update(RESERVATION)
    .where(RESERVATION.c.state == "pending", RESERVATION.c.expires_at < sa.bindparam("now"))
    .values(state="expired", closed_at=sa.bindparam("now"))
    .returning(RESERVATION.c.id, RESERVATION.c.accounts, RESERVATION.c.held)
)
RENEW = Statement(
    sa.update(RESERVATION)
    .where(
        RESERVATION.c.state == sa.literal_column("'pending'"),
        RESERVATION.c.expires_at < sa.bindparam("until"),
        RESERVATION.c.id.in_(
            sa.select(ACTION.c.hold).where(
                ACTION.c.state == sa.literal_column("'running'"), ACTION.c.worker == sa.bindparam("of_worker")
            )
        ),
    )
    .values(expires_at=sa.bindparam("until"))
)
RENEW_ONE = Statement(
    sa.update(RESERVATION)
    .where(
        RESERVATION.c.id == sa.bindparam("hold"),
        RESERVATION.c.state == sa.literal_column("'pending'"),
        RESERVATION.c.expires_at < sa.bindparam("until"),
    )
    .values(expires_at=sa.bindparam("until"))
)
BY_KEY = Statement(sa.select(RESERVATION).where(RESERVATION.c.key == sa.bindparam("key")))
