"""Makes proofs: of one entry, and between two sizes. Each costs O(log n) reads, and is checked before it is handed out.

Where the log may be written and its key is at hand, a checkpoint is signed for the purpose; elsewhere (a reviewer's copy, a role
that may only read) the last one that is in the log has to cover what is to be proven.
"""

from __future__ import annotations

from typing import NoReturn

import sqlalchemy as sa

from openclaw.action import utc
from openclaw.audit.entry import Entry, body_bytes, entry_bytes
from openclaw.audit.keeper import Keeper
from openclaw.audit.keys import sign_checkpoint
from openclaw.audit.merkle import consistency_proof, inclusion_proof, range_root
from openclaw.audit.notary import Notary, noted, present_key, rotations_in
from openclaw.audit.note import Checkpoint, Verifier
from openclaw.audit.proof import ConsistencyProof, Proof
from openclaw.audit.rotation import Rotation
from openclaw.audit.rows import ENTRY, IS_CHECKPOINT, read_head, subtree, tells_rotation
from openclaw.audit.witness import Witness
from openclaw.errors import AuditError
from openclaw.store import Store

_ELSEWHERE = (
    "make one where the log is written and its key is (`openclaw audit checkpoint`), and look again, or copy it anew"
)


class Prover:
    """The proofs of one log.

    Args:
        store: where the log lives; reading is enough.
        notary: signs checkpoints, where it may.
        keeper: the places outside; witnesses among them cosign.
    """

    def __init__(self, store: Store, notary: Notary, keeper: Keeper) -> None:
        self._store = store
        self._notary = notary
        self._keeper = keeper

    def inclusion(self, entry: Entry) -> Proof:
        """That ``entry`` is in the log.

        Raises:
            AuditError: no checkpoint covers it, and none can be made.
            VerificationError: the entry, the tree above it or the checkpoint was changed.
        """
        seq = entry.seq
        checkpoint, key = self._covering(seq)
        with self._store.read() as connection:
            path = inclusion_proof(seq - 1, checkpoint.size, lambda level, index: subtree(connection, level, index))
        proof = Proof(
            entry=entry_bytes(seq, utc(entry.at), entry, body_bytes(entry)).decode(),
            index=seq - 1,
            path=tuple(step.hex() for step in path),
            checkpoint=self.cosigned(checkpoint),
            key=str(key),
            rotations=tuple(rotation.note for rotation in self.rotations()),
        )
        proof.check(key)
        return proof

    def consistency(self, old: int, new: int | None = None) -> ConsistencyProof:
        """That the log of ``old`` entries is the beginning of the log of ``new`` ones.

        Raises:
            AuditError: the log has not so many entries, what is needed was pruned, or a checkpoint is needed that is not in
                the log and cannot be made.
            VerificationError: the tree or a checkpoint was changed.
        """
        covering, key = self._covering(old) if new is None else (None, self._key())
        new = new if covering is None else covering.size
        assert new is not None, "either told or of the covering checkpoint"
        path = self.growth(old, new)
        rotations = self.rotations()
        proof = ConsistencyProof(
            old=self._at(old, rotations).note,
            new=self._at(new, rotations).note,
            path=tuple(step.hex() for step in path),
            key=str(key),
            rotations=tuple(rotation.note for rotation in rotations),
        )
        proof.check(key)
        return proof

    def growth(self, old: int, new: int) -> list[bytes]:
        """The path of a consistency proof.

        Raises:
            AuditError: the log has not so many entries, or what is needed was pruned.
        """
        with self._store.read() as connection:
            size = read_head(connection).size
            if not 0 < old <= new:
                raise AuditError(
                    f"there is no consistency proof from {old} to {new} entries", hint="the smaller one first"
                )
            if new > size:
                raise AuditError(f"the log has {size} entries, not {new}")
            return consistency_proof(old, new, lambda level, index: subtree(connection, level, index))

    def rotations(self) -> list[Rotation]:
        """The key rotations on record, in their order.

        Raises:
            VerificationError: one of them is malformed or not signed.
        """
        with self._store.read() as connection:
            query = sa.select(ENTRY.c.body).where(tells_rotation(connection)).order_by(ENTRY.c.seq)
            bodies = connection.execute(query).scalars().all()
        return rotations_in(bodies)

    def cosigned(self, checkpoint: Checkpoint) -> str:
        """The note of a checkpoint made by this process, with the cosignatures that witnesses have given so far."""
        note = checkpoint.note
        for place in self._keeper.places:
            if isinstance(place, Witness):
                note += place.cosignature(checkpoint)
        return note

    @property
    def _signs(self) -> bool:
        return self._notary.at_hand and not self._store.readonly

    def _covering(self, size: int) -> tuple[Checkpoint, Verifier]:
        """A checkpoint of at least ``size`` entries, and the log's present key."""
        if self._signs:
            made = self._notary.checkpoint()
            self._keeper.flush()
            return made, self._notary.key.verifier
        last = self._last_body()
        made = noted(last)
        if made is None or made.size < size:
            self._refuse(f"no checkpoint covers entry {size} yet", made)
        return made, Verifier.parse(present_key(last))

    def _key(self) -> Verifier:
        """The log's present key: the one at hand, or else the one that the last checkpoint names."""
        if self._notary.at_hand:
            return self._notary.key.verifier
        last = self._last_body()
        if not last:
            self._refuse("the log has no checkpoint yet", None)
        return Verifier.parse(present_key(last))

    def _last_body(self) -> str:
        query = sa.select(ENTRY.c.body).where(IS_CHECKPOINT).order_by(ENTRY.c.seq.desc()).limit(1)
        with self._store.read() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def _at(self, size: int, rotations: list[Rotation]) -> Checkpoint:
        """The checkpoint of that size in the log; one signed now, where none was."""
        query = sa.select(ENTRY.c.body).where(IS_CHECKPOINT, ENTRY.c.seq > size).order_by(ENTRY.c.seq).limit(1)
        with self._store.read() as connection:
            found = noted(connection.execute(query).scalar_one_or_none() or "")
            if found is not None and found.size == size:
                return found
            if not self._notary.at_hand:
                self._refuse(f"the log has no checkpoint of {size} entries", found)
            if rotations and size < rotations[-1].size:
                raise AuditError(
                    f"the log has no checkpoint of {size} entries, and the key of that time signs no more",
                    hint=f"take a size of which there is a checkpoint{'' if found is None else f', as {found.size}'}",
                )
            root = range_root(0, size, lambda level, index: subtree(connection, level, index))
        return sign_checkpoint(self._notary.key, self._store.origin, size, root)

    def _refuse(self, what: str, near: Checkpoint | None) -> NoReturn:
        why = "this database is open for reading only" if self._store.readonly else "the log's key is not here"
        told = f" (there is one of {near.size} entries)" if near is not None else ""
        raise AuditError(f"{what}{told}, and none can be made: {why}", hint=_ELSEWHERE)


__all__ = ["Prover"]
