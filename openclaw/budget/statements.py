"""The SQL of the ledger, prepared once: conditional updates, never a value that was read before and is written back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from openclaw.budget.amount import UNITS
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
def take(count: int) -> Statement:
    """One conditional UPDATE over ``count`` accounts: never read-then-write.

    Every unit is judged, also one that is not asked for: an account above any limit admits nothing.
    """
    amounts = {unit: sa.bindparam(f"take_{unit}", type_=sa.BigInteger) for unit in UNITS}
    fits = [
        sa.or_(
            ACCOUNT.c[f"{unit}_limit"].is_(None),
            ACCOUNT.c[f"{unit}_posted"] + ACCOUNT.c[f"{unit}_pending"] + amounts[unit] <= ACCOUNT.c[f"{unit}_limit"],
        )
        for unit in UNITS
    ]
    return Statement(
        sa.update(ACCOUNT)
        .values({f"{unit}_pending": ACCOUNT.c[f"{unit}_pending"] + amounts[unit] for unit in UNITS})
        .where(ids_of(count), *fits)
        .returning(ACCOUNT.c.id)
    )


@cache
def moving(count: int) -> Statement:
    """What is added to posted and pending of ``count`` accounts."""
    changes = {
        f"{unit}_{column}": ACCOUNT.c[f"{unit}_{column}"] + sa.bindparam(f"{column}_{unit}", type_=sa.BigInteger)
        for unit in UNITS
        for column in ("posted", "pending")
    }
    return Statement(sa.update(ACCOUNT).values(changes).where(ids_of(count)))


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
