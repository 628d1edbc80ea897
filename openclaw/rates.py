"""Rate limits: at most so many calls in any span of so many seconds, counted in the commit that lets the call pass.

The calls of one key are numbered, and a call passes if the one that lies ``calls`` numbers before it is older than the span.
So the promise holds for every span, not for the minutes of a clock, and costs the same however high the limit is.

    INVARIANT: of what has passed, no more than ``calls`` lie within any span; many processes on one store included.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Iterable
from typing import cast

import sqlalchemy as sa

from openclaw.action import utc
from openclaw.duties import Limit
from openclaw.errors import RateLimited
from openclaw.store import Statement, Transaction
from openclaw.store.tables import RateRow, Table

FORGET_MAX = 20
"""How many calls of any key that are past counting are removed for each one that is counted."""

_RATE: sa.Table = Table.metadata.tables[str(RateRow.__tablename__)]


def take(transaction: Transaction, limits: Iterable[Limit]) -> RateLimited | None:
    """Count one call against all of these limits; the refusal of the first that is reached, with some of them counted."""
    for limit in limits:
        refused = _take(transaction, limit)
        if refused is not None:
            return refused
    return None


def _take(transaction: Transaction, limit: Limit) -> RateLimited | None:
    if limit.calls == 0:
        return _refused(limit, None)
    now, span = transaction.now, dt.timedelta(seconds=limit.seconds)
    counter: dict[str, object] = {"of_key": hashlib.sha256(limit.key.encode("utf-8", "surrogatepass")).hexdigest()}
    counter["of_seconds"] = limit.seconds
    back = {**counter, "back": limit.calls}
    counted = {**back, "now": utc(now), "past": utc(now - span), "over": utc(now + span)}
    for row in transaction.rows(_COUNT, counted):
        transaction.count(_DROP, {**counter, "upto": cast("int", row["number"]) - limit.calls})
        transaction.count(_FORGET, {"now": utc(now)})
        return None
    for row in transaction.rows(_OLDEST, back):
        wait = dt.datetime.fromisoformat(str(row["at"])) + span - now
        return _refused(limit, max(1, math.ceil(wait.total_seconds())))
    return _refused(limit, limit.seconds)


def _refused(limit: Limit, retry_after: int | None) -> RateLimited:
    return RateLimited(
        key=limit.key, calls=limit.calls, seconds=limit.seconds, span=limit.span, retry_after=retry_after
    )


_OURS = (_RATE.c.key == sa.bindparam("of_key"), _RATE.c.seconds == sa.bindparam("of_seconds"))
_LAST = sa.func.coalesce(
    sa.select(_RATE.c.number).where(*_OURS).order_by(_RATE.c.number.desc()).limit(1).scalar_subquery(), 0
)
_BACK = _RATE.alias("back")
_COUNT = Statement(
    sa.insert(_RATE)
    .from_select(
        ["key", "seconds", "number", "at", "until"],
        sa.select(
            sa.bindparam("of_key", type_=sa.String),
            sa.cast(sa.bindparam("of_seconds"), sa.BigInteger),
            _LAST + 1,
            sa.bindparam("now", type_=sa.String),
            sa.bindparam("over", type_=sa.String),
        ).where(
            ~sa.exists().where(
                _BACK.c.key == sa.bindparam("of_key"),
                _BACK.c.seconds == sa.bindparam("of_seconds"),
                _BACK.c.number == _LAST + 1 - sa.cast(sa.bindparam("back"), sa.BigInteger),
                _BACK.c.at > sa.bindparam("past"),
            )
        ),
    )
    .returning(_RATE.c.number)
)
_OLDEST = Statement(
    sa.select(_RATE.c.at).where(*_OURS, _RATE.c.number == _LAST + 1 - sa.cast(sa.bindparam("back"), sa.BigInteger))
)
_DROP = Statement(sa.delete(_RATE).where(*_OURS, _RATE.c.number <= sa.bindparam("upto")))
_ROW = sa.tuple_(_RATE.c.key, _RATE.c.seconds, _RATE.c.number)
_OVER = sa.select(_RATE.c.key, _RATE.c.seconds, _RATE.c.number).where(_RATE.c.until < sa.bindparam("now"))
_FORGET = Statement(
    sa.delete(_RATE).where(_ROW.in_(_OVER.order_by(_RATE.c.until).limit(sa.literal_column(str(FORGET_MAX)))))
)


__all__ = ["take"]
