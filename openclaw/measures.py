"""What of an action is measured and not counted: the wall-clock time that it takes, and the energy of a model call.

Time is held and posted where a budget on the path limits it; who holds none is not timed by the ledger (the outcome says how long
it took all the same). Held are ``CALL_SECONDS``, or a part of what is left where that is less, so that calls side by side find
some, too. Posted is what has passed by the store's clock between admission and end, rounded up to a millisecond; of a clock that
was set back in between, nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from pydantic import JsonValue

from openclaw.budget import CALL_SECONDS, UNITS, Unit, Usage
from openclaw.budget.amount import MILLISECONDS
from openclaw.passing import Permit

HELD_MS = CALL_SECONDS * MILLISECONDS
"""What a call holds of time where there is plenty."""

LEAST_MS = 10 * MILLISECONDS
"""Where less is left than ``HELD_MS``, a call holds half of what is left, but not less than this, or else all of it."""


def timed(held: Usage, left: Mapping[Unit, int]) -> Usage:
    """``held`` with the time that a call holds besides, where so much is left of it; as it was where no budget limits time."""
    if "milliseconds" not in left:
        return held
    return with_amount(held, "milliseconds", time_of(left["milliseconds"]))


def time_of(left_ms: int) -> int:
    """How much time to hold where ``left_ms`` are left; all that a call asks for where nothing is, so that it is refused."""
    if left_ms >= HELD_MS or left_ms <= 0:
        return HELD_MS
    return max(left_ms // 2, min(left_ms, LEAST_MS))


def measured(used: Usage, permit: Permit, ended: dt.datetime, factors: Mapping[str, JsonValue]) -> Usage:
    """What is posted for an action: what was counted, the time that it took if it held any, and the energy on record."""
    if time_held(permit):
        took = (ended - permit.began) / dt.timedelta(milliseconds=1)
        used = with_amount(used, "milliseconds", max(0, -int(-took // 1)))
    if used.mwh or "energy" in factors:
        used = with_amount(used, "mwh", _most(factors.get("energy")))
    return used


def time_held(permit: Permit) -> int:
    """How much time a call holds for itself, without what a policy charges on top; 0 where none was to be held."""
    return permit.reservation.held.milliseconds - permit.duties.charge.milliseconds if permit.reservation else 0


def _most(energy: JsonValue) -> int:
    """The upper end of an estimate; what is unknown was let through only where no budget limits it, and counts nothing."""
    match energy:
        case {"mwh": [int(), int(most)]}:
            return most
        case _:
            return 0


def with_amount(usage: Usage, unit: Unit, amount: int) -> Usage:
    """``usage`` with another amount of one unit."""
    return Usage(**{**{it: usage.amount(it) for it in UNITS}, unit: amount})


__all__ = ["HELD_MS", "LEAST_MS", "measured", "time_held", "time_of", "timed", "with_amount"]
