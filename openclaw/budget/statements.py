"""The SQL of the ledger, prepared once: conditional updates, never a value that was read before and is written back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from openclaw.budget.amount import UNITS, Unit
from openclaw.store import Statement
from openclaw.store.tables import AccountRow, ActionRow, ReservationRow, Table

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
    return Statement(
        sa.update(ACCOUNT)
        .values(changed)
        .where(ACCOUNT.c.path.in_(paths), ACCOUNT.c.current, *fits)
        .returning(
            ACCOUNT.c.id, ACCOUNT.c.window, ACCOUNT.c.opens_at, there.scalar_subquery().label("there"), ACCOUNT.c.shared
        )
    )


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
