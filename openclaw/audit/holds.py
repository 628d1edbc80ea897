"""Legal holds: entries that must stay, whatever their age. A hold is an entry of the log itself, and so is its release.

Body of a ``hold`` entry: ``{"event": "add", "hold": id, "by": …, "reason": …, "filter": {"agent": …, …}}``, or
``{"event": "release", "hold": id, "by": …, "reason": …}``. An empty filter holds everything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Literal, cast, get_args

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Connection

from openclaw.action import utc
from openclaw.audit.entry import moment
from openclaw.audit.notary import fields_of
from openclaw.audit.rows import ENTRY
from openclaw.errors import AuditError

HoldField = Literal["kind", "run", "workflow", "agent", "tool", "call_id", "since", "until"]
"""What a hold may ask of an entry: equality of a column, or its time (``since`` and ``until``, RFC 3339, UTC)."""

FIELDS: tuple[str, ...] = get_args(HoldField)


class Hold(BaseModel):
    """One legal hold.

    Attributes:
        id: to release it by.
        seq: the entry that records it.
        by: who laid it.
        reason: why.
        at: when.
        filter: what it holds; everything, where it is empty.
        released_by: who released it; empty while it is active.
        released_at: when.
        release_reason: why.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    seq: int
    by: str
    reason: str
    at: dt.datetime
    filter: dict[str, str] = {}
    released_by: str = ""
    released_at: dt.datetime | None = None
    release_reason: str = ""

    @property
    def active(self) -> bool:
        """Whether it still holds."""
        return not self.released_by


def hold_body(hold: str, *, by: str, reason: str, what: Mapping[str, object]) -> dict[str, JsonValue]:
    """The body of an entry that lays a hold.

    Raises:
        AuditError: nobody is named, no reason is given, or the filter asks for what entries do not have.
    """
    _require(by, reason, "a hold")
    wanted: dict[str, JsonValue] = {}
    for name, value in what.items():
        if name not in FIELDS:
            raise AuditError(f"a hold cannot ask for `{name}`", hint=f"one of {', '.join(FIELDS)}")
        wanted[name] = _time(value) if name in ("since", "until") else str(value)
    return {"event": "add", "hold": hold, "by": by, "reason": reason, "filter": wanted}


def release_body(hold: str, *, by: str, reason: str) -> dict[str, JsonValue]:
    """The body of an entry that releases a hold.

    Raises:
        AuditError: nobody is named, or no reason is given.
    """
    _require(by, reason, "a release")
    return {"event": "release", "hold": hold, "by": by, "reason": reason}


def read_holds(connection: Connection) -> list[Hold]:
    """All holds on record, oldest first."""
    query = sa.select(ENTRY.c.seq, ENTRY.c.at, ENTRY.c.body).where(ENTRY.c.kind == "hold").order_by(ENTRY.c.seq)
    holds: dict[str, Hold] = {}
    for seq, at, body in connection.execute(query):
        fields = fields_of(body)
        name, by, reason = (str(fields.get(member, "")) for member in ("hold", "by", "reason"))
        if fields.get("event") == "add":
            what = cast("dict[str, object]", fields.get("filter") or {})
            wanted = {key: str(value) for key, value in what.items()}
            holds[name] = Hold(id=name, seq=seq, by=by, reason=reason, at=moment(at), filter=wanted)
        elif name in holds and holds[name].active:
            released = {"released_by": by, "released_at": moment(at), "release_reason": reason}
            holds[name] = holds[name].model_copy(update=released)
    return list(holds.values())


def first_held(connection: Connection, hold: Hold) -> int:
    """The first entry that an active hold keeps: the first that its filter meets, or the one that records it."""
    conditions = [ENTRY.c[name] == value for name, value in hold.filter.items() if name not in ("since", "until")]
    if "since" in hold.filter:
        conditions.append(ENTRY.c.at >= hold.filter["since"])
    if "until" in hold.filter:
        conditions.append(ENTRY.c.at < hold.filter["until"])
    query = sa.select(ENTRY.c.seq).where(*conditions).order_by(ENTRY.c.seq).limit(1)
    found = connection.execute(query).scalar_one_or_none()
    return hold.seq if found is None else min(found, hold.seq)


def _require(by: str, reason: str, what: str) -> None:
    if not by.strip():
        raise AuditError(f"{what} needs a name", hint="say who does it: `by=`, or `--by NAME`")
    if not reason.strip():
        raise AuditError(f"{what} needs a reason", hint="say why: `reason=`, or `--reason TEXT`")


def _time(value: object) -> str:
    try:
        parsed = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    except ValueError as error:
        raise AuditError(f"`{value}` is no time", hint="write it as 2026-11-23 or 2026-11-23T10:00:00Z") from error
    return utc(parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC))


__all__ = ["FIELDS", "Hold", "HoldField", "first_held", "hold_body", "read_holds", "release_body"]
