"""The audit log: appended inside the transactions of others, read by everyone, provable offline.

INVARIANT: ``seq`` counts from 1 without gaps and equals commit order; leaf ``seq - 1`` of the tree is entry ``seq``.
INVARIANT: entries, interior nodes and the head (size and right edge) change in one commit, or not at all.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import sqlalchemy as sa
from pydantic import JsonValue, ValidationError

from openclaw.audit.entry import Draft, Entry, EntryKind, Line, written
from openclaw.audit.erasure import Forgotten, forget
from openclaw.audit.holds import Hold, hold_body, read_holds, release_body
from openclaw.audit.keeper import CLOSE_SECONDS, Keeper, PlaceState
from openclaw.audit.keys import Signer, SigningKey
from openclaw.audit.lookup import Match, look_up, values_of
from openclaw.audit.merkle import Edge
from openclaw.audit.notary import Notary, noted
from openclaw.audit.note import Checkpoint, Verifier
from openclaw.audit.places import FilePlace, Place
from openclaw.audit.privacy import Privacy, text_without_key
from openclaw.audit.proof import ConsistencyProof, Proof
from openclaw.audit.prover import Prover
from openclaw.audit.reading import Seen
from openclaw.audit.report import VerifyReport
from openclaw.audit.retention import MINIMUM_AGE, PrunePlan, Retention
from openclaw.audit.rotation import Rotation
from openclaw.audit.rows import ACTION, COLUMNS, ENTRY, HALT, HEAD, to_entry
from openclaw.audit.verify import Verification
from openclaw.audit.witness import Witness
from openclaw.canonical import plain, storable
from openclaw.errors import AuditError
from openclaw.store import Statement, Store, Transaction
from openclaw.store.transaction import HALTS_NOTE

CHECKPOINT_ENTRIES = 1_000
CHECKPOINT_SECONDS = 300
"""A commit signs a checkpoint by itself once so many entries, or so much time, have come since the last one."""

_GET_HEAD = Statement(
    # Whether anything is halted is asked along with it: every commit of the gate needs both.
    sa.select(HEAD.c.size, HEAD.c.edge, sa.select(sa.func.count()).select_from(HALT).scalar_subquery().label("halts"))
)
_SET_HEAD = Statement(sa.update(HEAD).values(size=sa.bindparam("new_size"), edge=sa.bindparam("new_edge")))
_ADD_ENTRY = Statement(sa.insert(ENTRY))


@dataclass(slots=True)
class _Growth:
    """What a transaction is about to add to the log: rows in the order of the table's columns, the last one's kind."""

    edge: Edge
    rows: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    kind: str = ""


class AuditLog:
    """The log in a store. Inside the gate, ``record`` joins the gate's transaction; ``append`` opens one of its own.

    Args:
        store: where it lives.
        signer: signs checkpoints and keys the digests of masked values; None where this process has no key: then it
            signs nothing and masks nothing.
        outside: where every checkpoint is also kept, so that a cut tail is noticed: a file, a place, or several of them.
        every_entries: see ``CHECKPOINT_ENTRIES``.
        every_seconds: see ``CHECKPOINT_SECONDS``.
    """

    def __init__(
        self,
        store: Store,
        signer: SigningKey | None,
        *,
        outside: Path | Place | Sequence[Path | Place] | None = None,
        every_entries: int = CHECKPOINT_ENTRIES,
        every_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self._store = store
        self._keeper = Keeper([self._place(one) for one in _listed(outside)])
        self._privacy = Privacy(signer) if signer is not None else None
        self._notary = Notary(
            store,
            signer,
            self._keeper,
            record=self.record,
            edge=lambda transaction: self._growth(transaction).edge,
            every_entries=every_entries,
            every_seconds=every_seconds,
        )
        self._prover = Prover(store, self._notary, self._keeper)
        self._retention = Retention(store, self._notary, self._keeper, lambda: self.verify())
        if not store.readonly:
            store.hooks += (*([self._privacy.sweep] if self._privacy is not None else []), self._write)

    @property
    def privacy(self) -> Privacy:
        """What this log hides, and the keys to it.

        Raises:
            AuditError: the log was opened without its key.
        """
        if self._privacy is None:
            raise AuditError("nothing can be masked without the key of the log", hint="open the log with its key")
        return self._privacy

    def text(self, text: str) -> str:
        """A text of a person or a program, as it may be stored.

        Raises:
            AuditError: the log was opened without its key, and the text holds what only the key can hide.
        """
        return text_without_key(text) if self._privacy is None else self._privacy.text(text)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._store.origin

    @property
    def verifier(self) -> Verifier:
        """The public key of this log's checkpoints.

        Raises:
            AuditError: this process has no key of the log.
        """
        return self._notary.key.verifier

    @property
    def places(self) -> tuple[PlaceState, ...]:
        """How the places outside stand in this process: what they took, what waits for them, what went wrong."""
        return self._keeper.states()

    @property
    def outside(self) -> tuple[Place, ...]:
        """The places outside the database."""
        return self._keeper.places

    def last_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint in the log, unchecked; None where nothing was signed yet."""
        found = self.entries(kind="checkpoint", newest_first=True, limit=1)
        return noted(json.dumps(found[0].body)) if found else None

    def close(self, seconds: float = CLOSE_SECONDS) -> list[str]:
        """Wait until the places outside have what they were handed; a line for each that does not take it."""
        self._notary.close(seconds)
        return self._keeper.close(seconds)

    def _place(self, one: Path | Place) -> Place:
        if isinstance(one, Path):
            return FilePlace(one)
        return one.with_prove(lambda old, new: self._prover.growth(old, new)) if isinstance(one, Witness) else one

    # -- writing -------------------------------------------------------------------------------------------------

    def record(self, transaction: Transaction, draft: Draft | Line) -> int:
        """Add an entry to ``transaction``; its sequence number, final if the transaction commits."""
        growth = self._growth(transaction)
        line = draft if isinstance(draft, Line) else Line.of(draft)
        seq, at = growth.edge.size + 1, transaction.at
        body, leaf = written(seq, at, line)
        completed = growth.edge.append(leaf)
        nodes = b"".join([digest for _, _, digest in completed]) if completed else None
        growth.rows.append((seq, at, *line[:7], body, leaf, nodes))
        growth.kind = line.kind
        return seq

    def append(self, entry: Draft | Mapping[str, object]) -> Entry:
        """Add one entry in a transaction of its own; returns when it is durable. Any value may stand in its body.

        Raises:
            AuditError: it is not an entry: an unknown kind or field.
        """
        if isinstance(entry, Mapping):
            entry = _draft(entry)
        body = {key: plain(value) for key, value in entry.body.items()}
        draft = entry.model_copy(update={"body": body})
        return self.entry(self._store.run(lambda transaction: self.record(transaction, draft)))

    def forget(self, who: str, *, by: str) -> Forgotten:
        """Destroy the data key of a person, so that what is sealed for them cannot be read any more; every proof still holds.

        Raises:
            AuditError: nothing is sealed for that person, or nobody is named.
        """
        return forget(self._store, self.privacy, self.record, who, by=by)

    def lookup(self, text: str) -> list[Match]:
        """The entries in which a value stands, masked or not; ``text`` is the value, as text or as JSON.

        Raises:
            AuditError: the log has another signing key.
        """
        values = values_of(text)
        with self._store.read() as connection:
            keys = self.privacy.keys(connection)
            return [*look_up(connection, values, digests={self.privacy.keyed(value) for value in values}, keys=keys)]

    def revealed(self, entry: Entry) -> Entry:
        """An entry with the values in the clear that were sealed for persons who are not forgotten.

        Raises:
            AuditError: the log has another signing key, or a sealed value was changed.
        """
        with self._store.read() as connection:
            body = self.privacy.reveal(entry.body, self.privacy.keys(connection))
        return entry.model_copy(update={"body": body})

    def checkpoint(self) -> Checkpoint:
        """Sign the log as it stands: into the log, and into the places outside.

        Raises:
            AuditError: the log is empty, the key does not sign, or a place does not take the checkpoint: then it stands
                in the log, and is tried again there.
        """
        made = self._notary.checkpoint()
        complaints = self._keeper.flush()
        if complaints:
            raise AuditError("; ".join(complaints))
        return made

    def rotate_key(
        self, new: SigningKey | None = None, *, by: str, reason: str = "", to: Path | None = None
    ) -> Rotation:
        """Let a new key follow the present one, from now on and on record; earlier checkpoints stay good.

        Args:
            new: the new key. Default: one is made that has the old one's secrets.
            by: who does it.
            reason: why.
            to: the file in which a key that is made is written, new; by default it takes the old one's place in its file.

        Raises:
            AuditError: nobody is named, the log is empty, a key does not sign, the present key is in no file and no other is
                named, or the file cannot be written.
        """
        present = self._notary.key
        made: Signer | None = None
        if new is None:
            if not isinstance(present, Signer) or (present.source is None and to is None):
                raise AuditError(
                    "the present key is in no file that could be replaced",
                    hint="name a file for the new key with `to=` or --to, or give the key itself: `new=`",
                )
            new = made = present.successor(to)
        rotation = self._notary.rotate(new, by=by, reason=reason, stage=made.stage if made else _nothing)
        if made is not None:
            made.promote()
        self._keeper.flush()
        return rotation

    def checkpoint_if_grown(self) -> Checkpoint | None:
        """A checkpoint, unless nothing but checkpoints has come since the last one."""
        if self._store.readonly:
            return None
        with self._store.read() as connection:
            last = connection.execute(
                sa.select(ENTRY.c.kind).order_by(ENTRY.c.seq.desc()).limit(1)
            ).scalar_one_or_none()
        return None if last in (None, "checkpoint") else self.checkpoint()

    def _growth(self, transaction: Transaction) -> _Growth:
        growth = transaction.notes.get("audit")
        if growth is None:
            heads = transaction.tuples(_GET_HEAD, {})
            if len(heads) != 1:
                raise AuditError(
                    f"the log has {len(heads)} heads: it must have one", hint="run `openclaw audit verify`"
                )
            size, packed, halts = heads[0]
            edge = Edge.from_bytes(cast("int", size), bytes(cast("bytes", packed)))
            growth = transaction.notes["audit"] = _Growth(edge)
            if not halts:
                transaction.notes.setdefault(HALTS_NOTE, ())
        assert isinstance(growth, _Growth)
        return growth

    def _write(self, transaction: Transaction) -> None:
        """The hook before each commit: one insert for all entries, one update of the head."""
        growth = transaction.notes.get("audit")
        if not isinstance(growth, _Growth) or not growth.rows:
            return
        if growth.kind != "checkpoint":
            self._notary.sign_if_due(transaction)
        # A trigger that somebody has put there can make the database ignore what it is told: then nothing may pass.
        taken = transaction.many(_ADD_ENTRY, growth.rows)
        headed = transaction.count(_SET_HEAD, {"new_size": growth.edge.size, "new_edge": growth.edge.to_bytes()})
        if taken != len(growth.rows) or headed != 1:
            raise AuditError(
                f"the database took {taken} of {len(growth.rows)} entries and {headed} heads",
                hint="look for triggers and rules on openclaw_entry and openclaw_head, and run `openclaw audit verify`",
            )
        growth.rows = []  # written once, also where two logs were opened on one store

    # -- reading -------------------------------------------------------------------------------------------------

    def entry(self, seq: int) -> Entry:
        """Entry number ``seq``.

        Raises:
            AuditError: there is none.
        """
        with self._store.read() as connection:
            row = connection.execute(sa.select(*COLUMNS).where(ENTRY.c.seq == seq)).mappings().one_or_none()
            if row is None:
                size = connection.execute(sa.select(HEAD.c.size)).scalar_one()
                raise AuditError(f"there is no entry {seq}", hint=f"the log has {size} entries, counted from 1")
        return to_entry(row)

    def entries(
        self,
        *,
        kind: EntryKind | None = None,
        run: str | None = None,
        workflow: str | None = None,
        agent: str | None = None,
        tool: str | None = None,
        effect: str | None = None,
        after: int = 0,
        before: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Entry]:
        """Entries in order of ``seq``, filtered by equality of their columns.

        Args:
            after: only entries with a larger ``seq``; the way to page.
            before: only entries with a smaller one; the way to page from the end.
            limit: at most so many; None for all.
            newest_first: turn the order round before the limit cuts.
        """
        wanted = {"kind": kind, "run": run, "workflow": workflow, "agent": agent, "tool": tool, "effect": effect}
        query = sa.select(*COLUMNS).where(
            ENTRY.c.seq > after,
            *(ENTRY.c[name] == storable(value) for name, value in wanted.items() if value is not None),
        )
        if before is not None:
            query = query.where(ENTRY.c.seq < before)
        query = query.order_by(ENTRY.c.seq.desc() if newest_first else ENTRY.c.seq).limit(limit)
        with self._store.read() as connection:
            return [to_entry(row) for row in connection.execute(query).mappings()]

    def size(self) -> int:
        """How many entries the log has."""
        with self._store.read() as connection:
            return connection.execute(sa.select(HEAD.c.size)).scalar_one()

    def open_actions(self) -> list[Entry]:
        """The decisions whose action was let through and has no outcome: running now, or cut off by a crash."""
        query = (
            sa.select(*COLUMNS)
            .join(ACTION, ACTION.c.seq == ENTRY.c.seq)
            .where(ACTION.c.state == "running")
            .order_by(ENTRY.c.seq)
        )
        with self._store.read() as connection:
            return [to_entry(row) for row in connection.execute(query).mappings()]

    def prove(self, seq: int) -> Proof:
        """A self-contained proof that entry ``seq`` is in the log, under a checkpoint made now.

        The checkpoint carries the cosignatures of the witnesses that answer in time. Where nothing may be written, or the key
        is not here, the last checkpoint in the log takes its place, if it covers the entry.

        Raises:
            AuditError: there is no such entry, it was pruned, or no checkpoint covers it and none can be made.
            VerificationError: the entry, the tree above it or the checkpoint was changed: there is no proof.
        """
        return self._prover.inclusion(self.entry(seq))

    def prove_consistency(self, old: int, new: int | None = None) -> ConsistencyProof:
        """A self-contained proof that the log of ``old`` entries is the beginning of the log of ``new`` entries.

        Args:
            old: a size, usually that of a checkpoint which somebody kept.
            new: a larger one; by default the present size, or that of the last checkpoint where none can be made.

        Raises:
            AuditError: the log has not so many entries, what is needed was pruned, or a checkpoint is needed that is not in
                the log and cannot be made.
            VerificationError: the tree or a checkpoint was changed.
        """
        return self._prover.consistency(old, new)

    def rotations(self) -> list[Rotation]:
        """The key rotations on record, in their order; empty where the log still has its first key.

        Raises:
            VerificationError: one of them is malformed or not signed.
        """
        return self._prover.rotations()

    def cosigned(self, checkpoint: Checkpoint) -> str:
        """The note of a checkpoint made by this log, with the cosignatures that its witnesses have given so far."""
        return self._prover.cosigned(checkpoint)

    # -- keeping and removing ------------------------------------------------------------------------------------

    def hold(self, *, by: str, reason: str, **what: object) -> Hold:
        """Lay a legal hold: the entries that it meets are not pruned until it is released. It is recorded.

        Args:
            by: who lays it.
            reason: why.
            what: ``kind``, ``run``, ``workflow``, ``agent``, ``tool``, ``call_id``: entries with that value; ``since`` and
                ``until``: entries of that time. All of them must fit; none given holds everything.

        Raises:
            AuditError: nobody is named, no reason is given, or entries have no such member.
        """
        name = self._store.clock.new_id("legal-hold")
        self.append(Draft(kind="hold", body=hold_body(name, by=by, reason=reason, what=what)))
        return self._hold(name)

    def release(self, hold: str, *, by: str, reason: str) -> Hold:
        """Release a legal hold, once. It is recorded.

        Raises:
            AuditError: nobody is named, no reason is given, there is no such hold, or it is released already.
        """
        body = release_body(hold, by=by, reason=reason)

        def unit(transaction: Transaction) -> None:
            found = [one for one in read_holds(transaction.connection) if one.id == hold]
            if not found:
                raise AuditError(f"there is no legal hold `{hold}`", hint="see `openclaw audit hold list`")
            if not found[0].active:
                raise AuditError(f"`{hold}` was released already by `{found[0].released_by}`")
            self.record(transaction, Draft(kind="hold", body=cast("dict[str, JsonValue]", plain(body))))

        self._store.run(unit)
        return self._hold(hold)

    def holds(self, *, active: bool = True) -> list[Hold]:
        """The legal holds, oldest first; the released ones too, where ``active`` is false."""
        with self._store.read() as connection:
            return [hold for hold in read_holds(connection) if hold.active or not active]

    def _hold(self, name: str) -> Hold:
        return next(hold for hold in self.holds(active=False) if hold.id == name)

    def plan_prune(self, before: dt.datetime, *, minimum_age: dt.timedelta = MINIMUM_AGE) -> PrunePlan:
        """What ``prune`` would remove, and what stands against more. Changes nothing.

        Raises:
            AuditError: entries are meant to go that are younger than the minimum age.
        """
        return self._retention.plan(before, minimum_age)

    def prune(
        self, before: dt.datetime, *, by: str, reason: str = "", minimum_age: dt.timedelta = MINIMUM_AGE
    ) -> PrunePlan:
        """Remove the entries that were written before a time, as far as nothing keeps them. It is recorded, and signed.

        The log is verified first: what does not hold is evidence. Afterwards the rest is verified, and proven, behind the
        signed right edge of what was removed.

        Args:
            before: entries older than this may go.
            by: who does it.
            reason: why.
            minimum_age: how old entries must be to go; what was said here is recorded.

        Raises:
            AuditError: nobody is named, entries are meant to go that are younger than the minimum age, there is no key, or
                a place outside does not take the checkpoint behind which they would go.
            VerificationError: the log does not hold.
        """
        return self._retention.prune(before, by=by, reason=reason, minimum_age=minimum_age)

    # -- verifying -----------------------------------------------------------------------------------------------

    def verify(self, verifier: Verifier | None = None, *, seen: Seen | None = None) -> VerifyReport:
        """Read the whole log again: every leaf, every interior node, the head, and every checkpoint in reach.

        Args:
            verifier: a public key of the log that is trusted, to and from which its key rotations must lead; by default the
                key that this process signs with.
            seen: hears how far the reading has come.
        """
        trouble = self._notary.trouble
        return Verification(self._store, verifier or self.verifier, self._keeper, trouble=trouble, seen=seen).run()


def _listed(outside: Path | Place | Sequence[Path | Place] | None) -> Sequence[Path | Place]:
    if outside is None:
        return ()
    return outside if isinstance(outside, Sequence) else (outside,)


def _nothing() -> None:
    pass


def _draft(fields: Mapping[str, object]) -> Draft:
    body = fields.get("body", {})
    if not isinstance(body, Mapping):
        raise AuditError("the body of an entry is an object", hint="give it as a dict")
    try:
        empty = Draft.model_validate({**fields, "body": {}})
    except ValidationError as error:
        first = error.errors()[0]
        raise AuditError(f"this is not an entry: `{'.'.join(map(str, first['loc']))}`: {first['msg']}") from error
    return empty.model_copy(update={"body": dict(cast("Mapping[str, JsonValue]", body))})


__all__ = ["AuditLog"]
