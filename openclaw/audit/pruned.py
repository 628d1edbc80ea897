"""What is left of entries that were removed for their age: a signed statement, behind which the rest is still a tree.

The statement is a signed note of its own kind:

    openclaw prune v1
    <origin>
    <how many entries were removed, from the first on>
    <base64 root hash of the tree over them>
    <time before which they were written>

    — <origin> <signature>

It stands in the body of a checkpoint entry, with the right edge of the tree at that size (hex hashes of its complete subtrees,
largest first; they fold to the root), and with the key rotations that stood in what was removed.
"""

from __future__ import annotations

from dataclasses import dataclass

from openclaw.audit.keys import SigningKey
from openclaw.audit.merkle import HASH_SIZE, Edge
from openclaw.audit.notary import fields_of, texts_of
from openclaw.audit.note import checkpoint_text, open_note, read_checkpoint, signature_line
from openclaw.audit.rotation import KeyChain
from openclaw.errors import VerificationError

PRUNE = "openclaw prune v1"


@dataclass(frozen=True, slots=True)
class Pruned:
    """Entries 1 to ``size`` were removed; ``edge`` is what the tree goes on from, ``seq`` the entry that records it."""

    size: int
    edge: tuple[bytes, ...]
    before: str
    seq: int


def sign_pruned(key: SigningKey, *, origin: str, edge: Edge, before: str) -> str:
    """The signed statement that the entries below ``edge`` were removed.

    Raises:
        AuditError: the key does not sign.
    """
    text = f"{PRUNE}\n{checkpoint_text(origin, edge.size, edge.root())}{before}\n"
    return f"{text}\n{signature_line(key.verifier, key.sign(text.encode()))}"


def open_pruned(body: str, seq: int, origin: str, chain: KeyChain) -> Pruned:
    """The prune that an entry's body records.

    Raises:
        VerificationError: the statement is not signed by a key of the log, or the edge does not fit it.
    """
    fields = fields_of(body)
    note, hashes = fields.get("pruned"), texts_of(fields, "edge")
    if not isinstance(note, str):
        raise VerificationError("the record of the prune is malformed")
    text = _signed_by_any(note, chain)
    mark, _, rest = text.partition("\n")
    stated = read_checkpoint(rest, note)
    try:
        edge = Edge(stated.size, [bytes.fromhex(step) for step in hashes])
        before = rest.split("\n")[3]
    except (ValueError, IndexError) as error:
        raise VerificationError("the record of the prune is malformed") from error
    if mark != PRUNE or stated.origin != origin or any(len(step) != HASH_SIZE for step in edge.hashes):
        raise VerificationError("the record of the prune is of another log, or no such record")
    if edge.root() != stated.root:
        raise VerificationError("the right edge in the record of the prune does not fit its signed root")
    return Pruned(stated.size, tuple(edge.hashes), before, seq)


def _signed_by_any(note: str, chain: KeyChain) -> str:
    """A statement is signed by the key of the time at which it was made, which its size does not tell."""
    for key in chain.keys[:-1]:
        try:
            return open_note(note, key)
        except VerificationError:
            continue
    return open_note(note, chain.present)


__all__ = ["Pruned", "open_pruned", "sign_pruned"]
