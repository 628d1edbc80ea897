"""Questions to people. A row authorises, never a message: it is bound to one execution with exact arguments.

pending ──answer──▶ approved ──claim──▶ used
   │                    └── expires ──▶ expired
   ├──answer──▶ rejected
   └── expires ──▶ expired

INVARIANT: an approval is claimed at most once, in the transaction that records and reserves for its action.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, JsonValue

from openclaw.action import utc
from openclaw.canonical import storable
from openclaw.errors import ApprovalError
from openclaw.store import Store, Transaction
from openclaw.store.tables import ApprovalRow, Table

State = Literal["pending", "approved", "rejected", "used", "expired"]

WAIT_SECONDS = 7 * 24 * 3600
"""How long a question waits for its answer, and an approval for its use. Afterwards it counts as no."""

_APPROVAL: sa.Table = Table.metadata.tables[str(ApprovalRow.__tablename__)]


class Approval(BaseModel):
    """A question and, once given, its answer. ``request`` is what a person needs to judge it."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: State
    seq: int
    run: str
    thread: str
    agent: str
    tool: str
    args_digest: str
    request: dict[str, JsonValue]
    requested_at: dt.datetime
    expires_at: dt.datetime
    answered_by: str = ""
    answered_at: dt.datetime | None = None
    reason: str = ""

    def as_input(self) -> dict[str, JsonValue]:
        """The ``approval`` part of the policy input."""
        assert self.answered_at is not None
        return {"by": self.answered_by, "at": utc(self.answered_at)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, before it has a row."""

    key: str
    run: str
    thread: str
    agent: str
    tool: str
    args_digest: str
    request: dict[str, JsonValue]


class Approvals:
    """The questions in a store. Methods that take a transaction join it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, key: str) -> Approval | None:
        """The question of one execution, as it stands now."""
        with self._store.peek() as connection:
            row = connection.execute(_BY_KEY, {"key": key}).mappings().one_or_none()
        return None if row is None else _approval(row, self._store.clock.now())

    def get(self, approval: str) -> Approval:
        """One question.

        Raises:
            ApprovalError: there is none of that name.
        """
        with self._store.read() as connection:
            row = connection.execute(_BY_ID, {"id": approval}).mappings().one_or_none()
        return _found(row, approval, self._store.clock.now())

    def list(self, state: State | None = "pending") -> list[Approval]:
        """The questions in one state, or all of them, oldest first."""
        with self._store.read() as connection:
            rows = (
                connection.execute(sa.select(_APPROVAL).order_by(_APPROVAL.c.requested_at, _APPROVAL.c.id))
                .mappings()
                .all()
            )
        now = self._store.clock.now()
        return [found for found in (_approval(row, now) for row in rows) if state in (None, found.state)]

    def ask(self, transaction: Transaction, question: Question, seq: int) -> Approval:
        """Put a question; the one that is already there for this execution, if there is one."""
        row = transaction.connection.execute(_BY_KEY, {"key": question.key}).mappings().one_or_none()
        if row is None:
            values: dict[str, object] = {
                "id": self._store.clock.new_id("ask"),
                "key": question.key,
                "state": "pending",
                "seq": seq,
                "run": question.run,
                "thread": storable(question.thread),
                "agent": storable(question.agent),
                "tool": storable(question.tool),
                "args_digest": question.args_digest,
                "request": json.dumps(question.request),
                "requested_at": transaction.at,
                "expires_at": utc(transaction.now + dt.timedelta(seconds=WAIT_SECONDS)),
                "answered_by": "",
                "answered_at": "",
                "reason": "",
            }
            transaction.connection.execute(sa.insert(_APPROVAL), values)
            row = transaction.connection.execute(_BY_KEY, {"key": question.key}).mappings().one()
        return _approval(row, transaction.now)

    def answer(self, transaction: Transaction, approval: str, *, by: str, approve: bool, reason: str) -> Approval:
        """Answer a pending question, once.

        Raises:
            ApprovalError: there is none of that name, it has been answered, or its time is over.
        """
        row = transaction.connection.execute(_BY_ID, {"id": approval}).mappings().one_or_none()
        found = _found(row, approval, transaction.now)
        if found.state != "pending":
            by_whom = f" by `{found.answered_by}`" if found.answered_by else ""
            raise ApprovalError(f"`{approval}` is already {found.state}{by_whom}", hint="an answer is given once")
        state: State = "approved" if approve else "rejected"
        at = transaction.at
        transaction.connection.execute(
            sa.update(_APPROVAL)
            .where(_APPROVAL.c.id == approval, _APPROVAL.c.state == "pending")
            .values(state=state, answered_by=by, answered_at=at, reason=reason)
        )
        changed = {"state": state, "answered_by": by, "answered_at": transaction.now, "reason": reason}
        return found.model_copy(update=changed)

    def claim(self, transaction: Transaction, approval: str) -> bool:
        """Use an approval up. False if it is not approved, or no longer."""
        claimed = transaction.connection.execute(
            sa.update(_APPROVAL)
            .where(
                _APPROVAL.c.id == approval,
                _APPROVAL.c.state == "approved",
                _APPROVAL.c.expires_at >= transaction.at,
            )
            .values(state="used")
        )
        return claimed.rowcount == 1


_BY_KEY = sa.select(_APPROVAL).where(_APPROVAL.c.key == sa.bindparam("key"))
_BY_ID = sa.select(_APPROVAL).where(_APPROVAL.c.id == sa.bindparam("id"))


def _found(row: sa.RowMapping | None, approval: str, now: dt.datetime) -> Approval:
    if row is None:
        raise ApprovalError(f"there is no question `{approval}`", hint="see `openclaw approvals list`")
    return _approval(row, now)


def _approval(row: sa.RowMapping, now: dt.datetime) -> Approval:
    columns = {name: row[name] for name in Approval.model_fields}
    if columns["state"] in ("pending", "approved") and columns["expires_at"] < utc(now):
        columns["state"] = "expired"
    columns["request"] = json.loads(columns["request"])
    columns["answered_at"] = columns["answered_at"] or None
    return Approval.model_validate(columns)
