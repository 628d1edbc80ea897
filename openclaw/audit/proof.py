"""Proofs that stand alone: one entry is in the log, or one checkpoint extends another. A public key is all that is needed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from openclaw.audit.entry import Entry
from openclaw.audit.merkle import HASH_SIZE, check_consistency, leaf_hash, root_from_inclusion
from openclaw.audit.note import Checkpoint, Verifier, open_cosignature
from openclaw.audit.rotation import KeyChain, open_rotation
from openclaw.errors import AuditError, VerificationError

PATH_MAX = 63
"""Hashes in a proof: a tree is at most so high (C2SP tlog-witness sets the same limit)."""


class Proof(BaseModel):
    """One entry with everything needed to check offline that it is in the log: ``check`` needs the public key alone.

    Attributes:
        entry: the canonical JSON text of the entry, whose UTF-8 bytes are those of its leaf: a checker only hashes them.
        index: of the leaf, from 0.
        path: inclusion proof (RFC 9162 section 2.1.3), hex hashes, leaf first.
        checkpoint: the signed note that covers it, with the cosignatures of witnesses, if any.
        key: the public key that signed (a C2SP vkey). Trust the one that you were given elsewhere, not this one.
        rotations: the notes that lead from the log's first key to the present one; empty where it still has its first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: str
    index: int
    path: tuple[str, ...]
    checkpoint: str
    key: str
    rotations: tuple[str, ...] = ()

    def check(self, verifier: Verifier, *, witnesses: Sequence[Verifier] = ()) -> Checkpoint:
        """The checkpoint that covers the entry.

        Args:
            verifier: a key of the log that is trusted: the one that signed, or one that rotations join to it.
            witnesses: keys whose cosignature the checkpoint must carry, each of them.

        Raises:
            VerificationError: entry, proof, checkpoint and keys do not fit together.
        """
        checkpoint = _chain(verifier, self.rotations).open_checkpoint(self.checkpoint)
        for witness in witnesses:
            open_cosignature(self.checkpoint, witness)
        path = _hashes(self.path)
        try:
            leaf = leaf_hash(self.entry.encode())
        except UnicodeEncodeError as error:
            raise VerificationError(f"the proof cannot be read: {error}") from error
        if root_from_inclusion(leaf, self.index, checkpoint.size, path) != checkpoint.root:
            raise VerificationError("the entry is not in the log that the checkpoint describes", seq=self.index + 1)
        return checkpoint

    def read(self) -> Entry:
        """The entry, for people. Check the proof first."""
        fields = json.loads(self.entry)
        return Entry.model_validate({**fields, "leaf": leaf_hash(self.entry.encode()).hex()})

    def cosigned(self, witness: Verifier) -> dt.datetime:
        """When ``witness`` cosigned the checkpoint.

        Raises:
            VerificationError: it did not.
        """
        return open_cosignature(self.checkpoint, witness)


class ConsistencyProof(BaseModel):
    """That the log of one checkpoint is the beginning of the log of another: nothing in between was changed or removed.

    Attributes:
        old: the signed note of the smaller tree.
        new: the signed note of the larger tree.
        path: consistency proof (RFC 9162 section 2.1.4), hex hashes.
        key: the public key that signed the larger one (a C2SP vkey). Trust the one that you were given elsewhere.
        rotations: as in ``Proof``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    old: str
    new: str
    path: tuple[str, ...]
    key: str
    rotations: tuple[str, ...] = ()

    def check(self, verifier: Verifier) -> tuple[Checkpoint, Checkpoint]:
        """Both checkpoints.

        Raises:
            VerificationError: the proof does not join them, or they are not signed by the keys of the log.
        """
        chain = _chain(verifier, self.rotations)
        old, new = chain.open_checkpoint(self.old), chain.open_checkpoint(self.new)
        if old.origin != new.origin:
            raise VerificationError(f"the checkpoints are of two logs, `{old.origin}` and `{new.origin}`")
        check_consistency(old.size, new.size, old.root, new.root, _hashes(self.path))
        return old, new


def read_proof(file: Path) -> Proof | ConsistencyProof:
    """The proof in a file, of either kind.

    Raises:
        AuditError: it holds none.
    """
    hint = "make one with `openclaw audit prove SEQ`"
    try:
        fields: object = json.loads(file.read_bytes())
        if not isinstance(fields, dict):
            raise AuditError(f"`{file}` holds no proof: expected an object", hint=hint)
        return (ConsistencyProof if "old" in fields else Proof).model_validate(fields)
    except (OSError, ValueError, RecursionError) as error:
        said = str(error).splitlines()[0]
        raise AuditError(f"`{file}` holds no proof: {said}", hint=hint) from error


def _chain(verifier: Verifier, rotations: Sequence[str]) -> KeyChain:
    return KeyChain(verifier, [open_rotation(note) for note in rotations])


def _hashes(path: Sequence[str]) -> list[bytes]:
    if len(path) > PATH_MAX:
        raise VerificationError(f"the proof has {len(path)} hashes: no tree is so high")
    try:
        hashes = [bytes.fromhex(step) for step in path]
    except ValueError as error:
        raise VerificationError(f"the proof cannot be read: {error}") from error
    if any(len(step) != HASH_SIZE or step.hex() != text for step, text in zip(hashes, path, strict=True)):
        raise VerificationError("the proof cannot be read: a hash is not 64 hexadecimal digits")
    return hashes


__all__ = ["ConsistencyProof", "Proof", "read_proof"]
