"""Retention: how long entries must stay, and removing those that need not, behind a signed statement.

Entries are removed from the first on. What is left of them are the complete subtrees at the right edge of what was removed: the
roots of every later tree, and every proof of what remains, can still be computed from those.

INVARIANT: entries and the record of their removal go in one commit: there is no state between.
INVARIANT: nothing goes that is younger than the minimum age, under a legal hold, or an action or a question that is still open.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Connection

from openclaw.action import utc
from openclaw.audit.holds import first_held, read_holds
from openclaw.audit.keeper import Keeper
from openclaw.audit.merkle import Edge, peaks
from openclaw.audit.notary import Notary, rotations_in
from openclaw.audit.pruned import sign_pruned
from openclaw.audit.report import VerifyReport
from openclaw.audit.rows import ACTION, ENTRY, NODE, read_head, subtree, tells_rotation
from openclaw.audit.traces import overwrite_deleted, scrub
from openclaw.errors import AuditError
from openclaw.store import Store, Transaction
from openclaw.store.tables import ApprovalRow, Table

MINIMUM_AGE = dt.timedelta(days=183)
"""How long entries stay at least: six months (Regulation (EU) 2024/1689, the AI Act, Articles 19 (1) and 26 (6))."""

STEP = 20_000
"""Entries removed in one commit. Writers wait for it, so a large prune is many commits, each of them whole."""

TREE_LEVELS = 63

UNENDED = ("running", "suspended")
"""States of an action that has not come to its end (see ``openclaw.executions``)."""

_APPROVAL: sa.Table = Table.metadata.tables[str(ApprovalRow.__tablename__)]


class PrunePlan(BaseModel):
    """What a prune would remove, or has removed.

    Attributes:
        before: entries older than this may go.
        first: the first entry that would go.
        last: the last one; ``first - 1`` where none would.
        kept_by: what stands against removing more, a line for each reason.
        remains: where a copy of what was removed may still lie.
    """

    model_config = ConfigDict(frozen=True)

    before: dt.datetime
    first: int
    last: int
    kept_by: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many entries that is."""
        return self.last - self.first + 1


class Retention:
    """Removes old entries of one log.

    Args:
        store: where it lives.
        notary: signs the statements.
        keeper: the places outside, which must have the checkpoints first.
        verify: verifies the log: what does not hold is evidence, and is not removed.
    """

    def __init__(self, store: Store, notary: Notary, keeper: Keeper, verify: Callable[[], VerifyReport]) -> None:
        self._store = store
        self._notary = notary
        self._keeper = keeper
        self._verify = verify

    def plan(self, before: dt.datetime, minimum_age: dt.timedelta = MINIMUM_AGE) -> PrunePlan:
        """What would go.

        Raises:
            AuditError: entries are meant to go that are younger than the minimum age.
        """
        _check_age(before, minimum_age, self._store.clock.now())
        with self._store.read() as connection:
            return _plan(connection, before, self._store.clock.now(), read_head(connection).size)

    def prune(
        self, before: dt.datetime, *, by: str, reason: str = "", minimum_age: dt.timedelta = MINIMUM_AGE
    ) -> PrunePlan:
        """Remove what may go.

        Raises:
            AuditError: nobody is named, entries are meant to go that are younger than the minimum age, there is no key, or
                a place outside does not take the checkpoint behind which they would go.
            VerificationError: the log does not hold.
        """
        if not by.strip():
            raise AuditError("a prune needs a name", hint="say who does it: `by=`, or `--by NAME`")
        plan = self.plan(before, minimum_age)
        if not plan.count:
            return plan
        self._verify().require()
        self._notary.checkpoint()
        complaints = self._keeper.flush()
        if complaints:
            raise AuditError(f"nothing is pruned while a place outside takes no checkpoints: {complaints[0]}")
        members: dict[str, JsonValue] = {
            "before": utc(before),
            "minimum_age_days": minimum_age.days,
            "by": by,
            "reason": reason,
        }
        for size in [*range(plan.first - 1 + STEP, plan.last, STEP), plan.last]:
            self._step(size, before, minimum_age, members)
        remains = scrub(self._store)
        complaints = self._keeper.flush()
        if complaints:
            raise AuditError(f"entries {plan.first} to {plan.last} were pruned; {complaints[0]}")
        return plan.model_copy(update={"remains": remains})

    def _step(self, size: int, before: dt.datetime, minimum_age: dt.timedelta, members: dict[str, JsonValue]) -> None:
        """Remove the entries up to ``size``, in one commit."""
        with self._store.read() as connection:
            hashes = [subtree(connection, level, index) for level, index in peaks(0, size)]
            edge = Edge(size, hashes)
            head = read_head(connection)
            carried = _carried(connection, size)
        statement = sign_pruned(self._notary.key, origin=self._store.origin, edge=edge, before=utc(before))
        signed = self._notary.signed(head)
        record: dict[str, JsonValue] = {
            **members,
            "pruned": statement,
            "pruned_size": size,
            "edge": [step.hex() for step in hashes],
        }
        if carried:
            record["rotations"] = [*carried]

        def unit(transaction: Transaction) -> None:
            _check_age(before, minimum_age, transaction.now)
            plan = _plan(transaction.connection, before, transaction.now, size)
            if plan.last < size:  # a hold was laid, or an action of that time was tried again
                kept = plan.kept_by[0] if plan.kept_by else "somebody else prunes too"
                raise AuditError(f"the entries up to {size} may no longer be pruned: {kept}", hint="plan anew")
            _remove(transaction, edge)
            self._notary.note(transaction, signed, **record)

        self._store.run(unit)
        self._keeper.hand(signed)


def _check_age(before: dt.datetime, minimum_age: dt.timedelta, now: dt.datetime) -> None:
    if before > now - minimum_age:
        raise AuditError(
            f"entries stay for at least {minimum_age.days} days: none after {now - minimum_age:%Y-%m-%d %H:%M} UTC may go",
            hint="prune before an earlier time; a shorter minimum age is said, and recorded, with --minimum-age",
        )


def _plan(connection: Connection, before: dt.datetime, now: dt.datetime, size: int) -> PrunePlan:
    """What may go of the first ``size`` entries."""
    first = connection.execute(sa.select(sa.func.min(ENTRY.c.seq))).scalar_one() or 1
    younger = sa.select(ENTRY.c.seq).where(ENTRY.c.at >= utc(before), ENTRY.c.seq <= size)
    young = connection.execute(younger.order_by(ENTRY.c.seq).limit(1)).scalar_one_or_none()
    last = size if young is None else young - 1
    kept_by: list[str] = []
    for seq, why in _guarded(connection, now):
        if seq <= last:
            kept_by.append(f"entry {seq}: {why}")
            last = min(last, seq - 1)
    return PrunePlan(before=before, first=first, last=max(last, first - 1), kept_by=tuple(kept_by))


def _guarded(connection: Connection, now: dt.datetime) -> list[tuple[int, str]]:
    """The first entry of each kind that must stay, and why; the earliest first."""
    found: list[tuple[int, str]] = []
    running = sa.select(sa.func.min(ACTION.c.seq)).where(ACTION.c.state.in_(UNENDED))
    if (seq := connection.execute(running).scalar_one()) is not None:
        found.append((seq, "an action is open: it has no outcome yet"))
    asked = sa.select(sa.func.min(_APPROVAL.c.seq)).where(
        _APPROVAL.c.state.in_(["pending", "approved"]), _APPROVAL.c.expires_at >= utc(now)
    )
    if (seq := connection.execute(asked).scalar_one()) is not None:
        found.append((seq, "a question waits for its answer, or an approval for its use"))
    found += [
        (first_held(connection, hold), f"legal hold `{hold.id}` by {hold.by}: {hold.reason}")
        for hold in read_holds(connection)
        if hold.active
    ]
    return sorted(found)


def _carried(connection: Connection, size: int) -> list[str]:
    """The key rotations on record up to ``size``, which must outlive the entries that hold them."""
    query = sa.select(ENTRY.c.body).where(tells_rotation(connection), ENTRY.c.seq <= size).order_by(ENTRY.c.seq)
    return [rotation.note for rotation in rotations_in(connection.execute(query).scalars().all())]


def _remove(transaction: Transaction, edge: Edge) -> None:
    """Remove the entries below ``edge`` and every node over them but those of the edge itself."""
    connection, size = transaction.connection, edge.size
    overwrite_deleted(transaction)
    connection.execute(sa.delete(ENTRY).where(ENTRY.c.seq <= size))
    for level in range(TREE_LEVELS):
        # The subtree of a level that belongs to the edge, if one does, has the next index, which is even.
        connection.execute(sa.delete(NODE).where(NODE.c.level == level, NODE.c.index < size >> (level + 1) << 1))
    connection.execute(sa.delete(NODE).where(NODE.c.level == 0))  # one that was pruned to before
    for (level, index), digest in zip(peaks(0, size), edge.hashes, strict=True):  # those entries are gone
        connection.execute(sa.delete(NODE).where(NODE.c.level == level, NODE.c.index == index))
        connection.execute(sa.insert(NODE).values(level=level, index=index, hash=digest))
    # What cannot be asked for again needs no answer kept.
    connection.execute(
        sa.delete(ACTION).where(ACTION.c.seq <= size, ACTION.c.key == "", ACTION.c.state.not_in(UNENDED))
    )


__all__ = ["MINIMUM_AGE", "PrunePlan", "Retention"]
