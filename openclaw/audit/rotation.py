"""How one signing key follows another, and which of them may have signed what (the format stands in ``keys``).

INVARIANT: a checkpoint of size n is good only under the key that was the log's when it had n entries: a key that was rotated
away signs nothing that came later.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from openclaw.audit.keys import SigningKey
from openclaw.audit.note import Checkpoint, Verifier, b64, open_note, read_checkpoint, signature_line
from openclaw.errors import AuditError, VerificationError

ROTATION = "openclaw key rotation v1"


@dataclass(frozen=True, slots=True)
class Rotation:
    """A log of ``size`` entries and root hash ``root`` went from key ``old`` to key ``new``; ``note`` says so, signed by both."""

    origin: str
    size: int
    root: bytes
    old: Verifier
    new: Verifier
    note: str


def sign_rotation(old: SigningKey, new: SigningKey, *, origin: str, size: int, root: bytes) -> Rotation:
    """The rotation from ``old`` to ``new``.

    Raises:
        AuditError: a key does not sign, or both are one.
    """
    if str(old.verifier) == str(new.verifier):
        raise AuditError("the new key is the old one", hint="give another key")
    text = f"{ROTATION}\n{origin}\n{size}\n{b64(root)}\n{old.verifier}\n{new.verifier}\n"
    lines = "".join(signature_line(key.verifier, key.sign(text.encode())) for key in (old, new))
    return Rotation(origin, size, root, old.verifier, new.verifier, f"{text}\n{lines}")


def open_rotation(note: str) -> Rotation:
    """The rotation in a note, both of whose signatures are good. Whether its keys may be trusted is ``KeyChain``'s business.

    Raises:
        VerificationError: it is none, or a signature is not good.
    """
    lines = note.split("\n")
    try:
        mark, *described, old, new = lines[:6]
        if mark != ROTATION:
            raise VerificationError("the key rotation is malformed")
        keys = Verifier.parse(old), Verifier.parse(new)
    except (AuditError, ValueError) as error:
        raise VerificationError("the key rotation is malformed") from error
    texts = {open_note(note, key) for key in keys}
    if texts != {"\n".join(lines[:6]) + "\n"}:
        raise VerificationError("the key rotation is malformed")
    found = read_checkpoint("\n".join(described) + "\n", note)
    return Rotation(found.origin, found.size, found.root, *keys, note)


class KeyChain:
    """The keys of one log, one after another, as far as they lead to and from a key that is trusted.

    Args:
        trusted: a key of the log that was given by somebody who is trusted: the first one, the present one, or any between.
        rotations: from the first key on, in order.

    Raises:
        VerificationError: the rotations do not follow from each other, or the trusted key is none of theirs.
    """

    def __init__(self, trusted: Verifier, rotations: Sequence[Rotation] = ()) -> None:
        keys = [rotations[0].old, *(rotation.new for rotation in rotations)] if rotations else [trusted]
        if str(trusted) not in map(str, keys):
            raise VerificationError(
                f"the log is signed by `{keys[-1]}`, to which no rotation leads from the trusted key `{trusted}`"
            )
        for before, after in itertools.pairwise(rotations):
            if str(before.new) != str(after.old) or before.size > after.size or before.origin != after.origin:
                raise VerificationError(f"the key rotation at {after.size} entries does not follow from the one before")
        self.rotations = tuple(rotations)
        self.keys = tuple(keys)
        self._terms = [
            (key, rotations[at - 1].size if at else 0, rotations[at].size if at < len(rotations) else None)
            for at, key in enumerate(keys)
        ]

    @property
    def present(self) -> Verifier:
        """The key that signs now."""
        return self._terms[-1][0]

    def open_checkpoint(self, note: str) -> Checkpoint:
        """The checkpoint in a note that the key of its time has signed.

        Raises:
            VerificationError: it is no checkpoint, or not signed by that key.
        """
        checkpoint = read_checkpoint(note.rpartition("\n\n")[0] + "\n", note)
        if self.rotations and self.rotations[0].origin != checkpoint.origin:
            raise VerificationError(f"the keys are those of another log, `{self.rotations[0].origin}`")
        in_office = [key for key, since, until in self._terms if since <= checkpoint.size <= (until or checkpoint.size)]
        assert in_office, "INVARIANT: the terms of the keys leave no gap"
        for key in in_office[:-1]:  # two keys share the size at which one followed the other
            try:
                open_note(note, key)
            except VerificationError:
                continue
            return checkpoint
        try:
            open_note(note, in_office[-1])
        except VerificationError as error:
            if self._signed_by_another(note, in_office):
                raise VerificationError(
                    f"the checkpoint of {checkpoint.size} entries is signed by a key that was not the log's at that size"
                ) from error
            raise
        return checkpoint

    def _signed_by_another(self, note: str, in_office: Sequence[Verifier]) -> bool:
        for key, _, _ in self._terms:
            if key in in_office:
                continue
            try:
                open_note(note, key)
            except VerificationError:
                continue
            return True
        return False


__all__ = ["KeyChain", "Rotation", "open_rotation", "sign_rotation"]
