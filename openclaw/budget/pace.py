"""How fast accounts have spent: what was posted to each of them, over equal periods of the recent past."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any, cast

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from openclaw.action import utc
from openclaw.budget.amount import UNITS, Unit
from openclaw.store import Store
from openclaw.store.tables import AccountRow, ReservationRow, Table

PAGE = 2_000

_ACCOUNT: sa.Table = Table.metadata.tables[str(AccountRow.__tablename__)]
_RESERVATION: sa.Table = Table.metadata.tables[str(ReservationRow.__tablename__)]


class Pace(BaseModel):
    """What one account has posted in each period, oldest first. Before its first movement there is no period.

    The last period ends at the moment of the reading; each is ``seconds`` long. ``movements`` is how many there were.
    """

    model_config = ConfigDict(frozen=True)

    seconds: int
    movements: int
    posted: tuple[dict[Unit, int], ...]


def paces(store: Store, *, over: dt.timedelta, periods: int) -> dict[str, Pace]:
    """The pace of every account that has posted anything in the last ``over``, cut into so many periods, by its path.

    Reads the reservations that were closed in that time, by pages; what was learned late of one is not in it.
    """
    now = store.clock.now()
    seconds = max(1, int(over.total_seconds()) // periods)
    began = now - dt.timedelta(seconds=seconds * periods)
    movements: dict[str, int] = {}
    sums: dict[str, list[dict[Unit, int]]] = {}
    for path, closed_at, used in _closed(store, began):
        at = min(periods - 1, int((closed_at - began).total_seconds()) // seconds)
        period = sums.setdefault(path, [{} for _ in range(periods)])[at]
        movements[path] = movements.get(path, 0) + 1
        for unit, amount in used.items():
            period[unit] = period.get(unit, 0) + amount
    return {path: _pace(seconds, movements[path], posted) for path, posted in sums.items()}


def _pace(seconds: int, movements: int, posted: list[dict[Unit, int]]) -> Pace:
    first = next(at for at, period in enumerate(posted) if period)
    return Pace(seconds=seconds, movements=movements, posted=tuple(posted[first:]))


def _closed(store: Store, since: dt.datetime) -> Iterator[tuple[str, dt.datetime, dict[Unit, int]]]:
    """What was posted, once for each account that it was posted to."""
    with store.read() as connection:
        paths = {row.id: str(row.path) for row in connection.execute(sa.select(_ACCOUNT.c.id, _ACCOUNT.c.path))}
        columns = (_RESERVATION.c.accounts, _RESERVATION.c.used, _RESERVATION.c.closed_at)
        query = sa.select(*columns).where(_RESERVATION.c.closed_at >= utc(since))
        result = connection.execution_options(yield_per=PAGE).execute(query)
        for row in result:
            used = _amounts(str(row.used))
            if used:
                at = dt.datetime.fromisoformat(str(row.closed_at))
                # An account has a row for each of its windows; what was posted to them is one movement.
                for path in {paths[id_] for id_ in json.loads(str(row.accounts)) if id_ in paths}:
                    yield path, at, used


def _amounts(used: str) -> dict[Unit, int]:
    stored = cast("dict[str, Any]", json.loads(used or "{}"))
    return {unit: amount for unit in UNITS if (amount := int(stored.get(unit, 0)))}


__all__ = ["Pace", "paces"]
