"""Questions to people. A row authorises, never a message: it is bound to one execution with exact arguments.

pending ──enough say yes──▶ approved ──claim──▶ used
   │                           └── expires ──▶ expired
   ├──one says no──▶ rejected
   └── expires ──▶ expired

INVARIANT: an approval is claimed at most once, in the transaction that records and reserves for its action.
INVARIANT: a person has one answer to a question. It is to the arguments as asked, or to one change of them, by its digest.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, JsonValue

from openclaw.action import utc
from openclaw.canonical import storable
from openclaw.errors import ApprovalError
from openclaw.quorum import NO_DEMAND, Demand, Quorum, person
from openclaw.store import Statement, Store, Transaction
from openclaw.store.tables import AmendmentRow, AnswerRow, ApprovalRow, Table

State = Literal["pending", "approved", "rejected", "used", "expired"]

WAIT_SECONDS = 7 * 24 * 3600
"""How long a question waits for its answer, and an approval for its use. Afterwards it counts as no."""

_APPROVAL: sa.Table = Table.metadata.tables[str(ApprovalRow.__tablename__)]
_ANSWER: sa.Table = Table.metadata.tables[str(AnswerRow.__tablename__)]
_AMENDMENT: sa.Table = Table.metadata.tables[str(AmendmentRow.__tablename__)]


class Answer(BaseModel):
    """What one person has said to a question.

    ``changed`` is the digest of the arguments as they changed them; ``proof`` a signed note, the digest of a token, or nothing.
    """

    model_config = ConfigDict(frozen=True)

    by: str
    answer: Literal["approved", "rejected"]
    at: dt.datetime
    reason: str = ""
    changed: str = ""
    proof: str = ""


class Amendment(BaseModel):
    """The arguments that an approver has changed, as they may be stored, and the keyed digest of what they are now."""

    model_config = ConfigDict(frozen=True)

    by: str
    args: dict[str, JsonValue]
    digest: str


class Approval(BaseModel):
    """A question and the answers given so far. ``request`` is what a person needs to judge it.

    ``answered_by``, ``answered_at`` and ``reason`` are those of the answer that decided it.
    """

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
    answers: tuple[Answer, ...] = ()
    amendment: Amendment | None = None

    @property
    def demand(self) -> Demand:
        """What the policy demanded of the answers when it asked."""
        said = self.request.get("demand")
        if not isinstance(said, dict):
            return NO_DEMAND
        texts = {name: cast("list[str]", said.get(name, [])) for name in ("amend", "apart")}
        return Demand(
            quorums=tuple(Quorum.read(one) for one in cast("list[dict[str, JsonValue]]", said.get("approve", []))),
            authenticated=said.get("authenticated") is True,
            amend=tuple(texts["amend"]),
            apart=frozenset(texts["apart"]),
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is asked, as it may be stored."""
        said = self.request.get("reasons")
        return tuple(map(str, said)) if isinstance(said, list) else ()

    @property
    def yes(self) -> tuple[Answer, ...]:
        """The answers that agree to it as it stands now: as asked, or as it was changed last."""
        digest = self.amendment.digest if self.amendment is not None else ""
        return tuple(said for said in self.answers if said.answer == "approved" and said.changed == digest)


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
    demand: Demand = NO_DEMAND


class Approvals:
    """The questions in a store. Methods that take a transaction join it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, key: str) -> Approval | None:
        """The question of one execution, as it stands now."""
        with self._store.peek() as connection:
            rows = connection.execute(_BY_KEY, {"key": key}).mappings().all()
            return next(iter(_read(connection, rows, self._store.clock.now())), None)

    def get(self, approval: str) -> Approval:
        """One question.

        Raises:
            ApprovalError: there is none of that name.
        """
        with self._store.read() as connection:
            row = connection.execute(_BY_ID, {"id": approval}).mappings().one_or_none()
            return _found(connection, row, approval, self._store.clock.now())

    def list(self, state: State | None = "pending") -> list[Approval]:
        """The questions in one state, or all of them, oldest first."""
        query = sa.select(_APPROVAL).order_by(_APPROVAL.c.requested_at, _APPROVAL.c.id)
        with self._store.read() as connection:
            now = self._store.clock.now()
            if state is not None:
                query = query.where(_APPROVAL.c.state.in_(_STORED[state]))
            if state == "pending":  # those that wait are few, and those that nobody has answered in time are not
                query = query.where(_APPROVAL.c.expires_at >= utc(now))
            rows = connection.execute(query).mappings().all()
            return _read(connection, [row for row in rows if state in (None, _state(row, now))], now)

    def of(self, asks: Mapping[int, dt.datetime]) -> dict[int, Approval]:
        """The questions that these entries asked, by the entry; ``asks`` are the numbers of entries and their times."""
        found: list[sa.RowMapping] = []
        with self._store.read() as connection:
            wanted = [*asks]
            for page in (wanted[at : at + _PAGE] for at in range(0, len(wanted), _PAGE)):
                query = sa.select(_APPROVAL).where(
                    _APPROVAL.c.state.in_(get_args(State)),
                    # The time of the entry, and in the index.
                    _APPROVAL.c.requested_at.in_(sorted({utc(asks[seq]) for seq in page})),
                    _APPROVAL.c.seq.in_(page),
                )
                found += connection.execute(query).mappings()
            return {one.seq: one for one in _read(connection, found, self._store.clock.now())}

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
                "request": json.dumps(question.request | _demanded(question.demand)),
                "requested_at": transaction.at,
                "expires_at": utc(transaction.now + dt.timedelta(seconds=WAIT_SECONDS)),
                "answered_by": "",
                "answered_at": "",
                "reason": "",
            }
            transaction.connection.execute(sa.insert(_APPROVAL), values)
            row = transaction.connection.execute(_BY_KEY, {"key": question.key}).mappings().one()
            transaction.count(_SWEEP, {"over": utc(transaction.now), "empty": b"", "none": ""})
        return _approval(row, transaction.now)

    def pending(self, transaction: Transaction, approval: str) -> Approval:
        """A question that waits for an answer.

        Raises:
            ApprovalError: there is none of that name, it has been answered, or its time is over.
        """
        row = transaction.connection.execute(_BY_ID, {"id": approval}).mappings().one_or_none()
        found = _found(transaction.connection, row, approval, transaction.now)
        if found.state == "expired":
            said = f"by `{found.answered_by}` " if found.answered_by else ""
            raise ApprovalError(
                f"nobody can answer `{approval}` any more: its time was over at {utc(found.expires_at)}",
                hint=f"an approval {said}that was not used by then counts as no, as silence does: the agent has to ask again",
            )
        if found.state != "pending":
            by_whom = f" by `{found.answered_by}`" if found.answered_by else ""
            raise ApprovalError(f"`{approval}` is already {found.state}{by_whom}", hint="an answer is given once")
        return found

    def answer(
        self, transaction: Transaction, found: Approval, answer: Answer, amended: tuple[Amendment, bytes] | None
    ) -> Approval:
        """Note what a person says to a pending question; the question as it stands then, not yet decided.

        Args:
            transaction: the one to join.
            found: the question, of this transaction.
            answer: takes the place of what this person has said before.
            amended: a change of the arguments, with their values as they may be stored.
        """
        known = {"of": found.id, "who": person(answer.by)}
        transaction.count(_FORGET, known)
        row = {**answer.model_dump(), "approval": found.id, "person": known["who"], "at": utc(answer.at)}
        transaction.count(_SAY, row)
        others = tuple(said for said in found.answers if person(said.by) != known["who"])
        if amended is None:
            return found.model_copy(update={"answers": (*others, answer)})
        amendment, sealed = amended
        transaction.count(_UNAMEND, {"of": found.id})
        kept_until = utc(transaction.now + dt.timedelta(seconds=2 * WAIT_SECONDS))
        stored = {"approval": found.id, "by": amendment.by, "args": json.dumps(amendment.args)}
        transaction.count(_AMEND, {**stored, "digest": amendment.digest, "sealed": sealed, "kept_until": kept_until})
        return found.model_copy(update={"answers": (*others, answer), "amendment": amendment})

    def decide(self, transaction: Transaction, found: Approval, last: Answer) -> Approval:
        """A question is decided by this answer."""
        at = {"answered_by": last.by, "reason": last.reason}
        transaction.connection.execute(
            sa.update(_APPROVAL)
            .where(_APPROVAL.c.id == found.id, _APPROVAL.c.state == "pending")
            .values(state=last.answer, answered_at=utc(last.at), **at)
        )
        return found.model_copy(update={"state": last.answer, "answered_at": last.at, **at})

    def amended(self, approval: str) -> bytes:
        """The values of the changed arguments as they are stored; empty where they are kept no more."""
        rows = self._store.fetch(_VALUES, {"of": approval})
        return bytes(cast("bytes", rows[0]["sealed"])) if rows else b""

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


_PAGE = 500
_ANSWERS = (
    sa.select(_ANSWER)
    .where(_ANSWER.c.approval.in_(sa.bindparam("of", expanding=True)))
    .order_by(_ANSWER.c.at, _ANSWER.c.person)
)
_AMENDED = sa.select(_AMENDMENT.c.approval, _AMENDMENT.c.by, _AMENDMENT.c.args, _AMENDMENT.c.digest).where(
    _AMENDMENT.c.approval.in_(sa.bindparam("of", expanding=True))
)
_VALUES = Statement(sa.select(_AMENDMENT.c.sealed).where(_AMENDMENT.c.approval == sa.bindparam("of")))
_SAY = Statement(sa.insert(_ANSWER))
_FORGET = Statement(
    sa.delete(_ANSWER).where(_ANSWER.c.approval == sa.bindparam("of"), _ANSWER.c.person == sa.bindparam("who"))
)
_AMEND = Statement(sa.insert(_AMENDMENT))
_UNAMEND = Statement(sa.delete(_AMENDMENT).where(_AMENDMENT.c.approval == sa.bindparam("of")))
_SWEEP = Statement(
    sa.update(_AMENDMENT)
    .where(_AMENDMENT.c.kept_until != sa.bindparam("none"), _AMENDMENT.c.kept_until < sa.bindparam("over"))
    .values(sealed=sa.bindparam("empty"), kept_until=sa.bindparam("none"))
)


def _found(connection: sa.Connection, row: sa.RowMapping | None, approval: str, now: dt.datetime) -> Approval:
    if row is None:
        raise ApprovalError(f"there is no question `{approval}`", hint="see `openclaw approvals list`")
    return _read(connection, [row], now)[0]


def _read(connection: sa.Connection, rows: Sequence[sa.RowMapping], now: dt.datetime) -> list[Approval]:
    """Questions with what has been said to them."""
    found: list[Approval] = []
    for page in (rows[at : at + _PAGE] for at in range(0, len(rows), _PAGE)):
        of = {"of": [row["id"] for row in page]}
        said: dict[str, list[Answer]] = {}
        for one in connection.execute(_ANSWERS, of).mappings():
            said.setdefault(one["approval"], []).append(Answer.model_validate(dict(one)))
        changed = {one["approval"]: one for one in connection.execute(_AMENDED, of).mappings()}
        for row in page:
            amended = changed.get(row["id"])
            amendment = None
            if amended is not None:
                args = json.loads(amended["args"])
                amendment = Amendment(by=amended["by"], args=args, digest=amended["digest"])
            answers = tuple(said.get(row["id"], ()))
            found.append(_approval(row, now).model_copy(update={"answers": answers, "amendment": amendment}))
    return found


def _approval(row: sa.RowMapping, now: dt.datetime) -> Approval:
    columns = {name: row[name] for name in Approval.model_fields if name not in _ELSEWHERE}
    columns["state"] = _state(row, now)
    columns["request"] = json.loads(columns["request"])
    columns["answered_at"] = columns["answered_at"] or None
    return Approval.model_validate(columns)


_STORED: dict[State, tuple[State, ...]] = {
    "pending": ("pending",),
    "approved": ("approved",),
    "rejected": ("rejected",),
    "used": ("used",),
    "expired": ("pending", "approved", "expired"),
}
"""What stands in the rows of the questions in a state: that time is over is not written there."""

_ELSEWHERE = frozenset({"answers", "amendment"})


def _state(row: sa.RowMapping, now: dt.datetime) -> State:
    over = row["state"] in ("pending", "approved") and row["expires_at"] < utc(now)
    return "expired" if over else row["state"]


def _demanded(demand: Demand) -> dict[str, JsonValue]:
    """The demand as a question keeps it; nothing where there is none."""
    said: dict[str, JsonValue] = {}
    if demand.quorums:
        said["approve"] = [quorum.params() for quorum in demand.quorums]
        said["apart"] = [*sorted(demand.apart)]
    if demand.authenticated:
        said["authenticated"] = True
    if demand.amend:
        said["amend"] = [*demand.amend]
    return {"demand": said} if said else {}
