"""The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1), pure: hashes in, hashes and proofs out. No I/O.

A leaf is ``SHA-256(0x00 || bytes)``, an interior node ``SHA-256(0x01 || left || right)``. A tree of n leaves is the row of
complete subtrees given by the binary digits of n, largest first: its *edge*. Appending touches only the edge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from openclaw.errors import VerificationError

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves (RFC 6962 section 2.1)."""

Node = tuple[int, int, bytes]
"""Level, index and hash of a complete subtree: it covers the leaves ``[index << level, (index + 1) << level)``."""

Subtree = Callable[[int, int], bytes]
"""The hash of the complete subtree at a level and index."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf with the bytes ``data``."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an interior node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Edge:
    """The right edge of a growing tree: enough to append and to compute the root, in O(log n) memory."""

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if len(hashes) != size.bit_count():
            raise VerificationError(
                f"a tree of {size} leaves has {size.bit_count()} subtrees at its edge, not {len(hashes)}"
            )
        self.size = size
        self.hashes = list(hashes)

    @classmethod
    def from_bytes(cls, size: int, packed: bytes) -> Edge:
        """An edge from its stored form: the hashes one after another."""
        return cls(size, [packed[at : at + HASH_SIZE] for at in range(0, len(packed), HASH_SIZE)])

    def to_bytes(self) -> bytes:
        """The hashes one after another, largest subtree first."""
        return b"".join(self.hashes)

    def append(self, leaf: bytes) -> list[Node]:
        """Add a leaf hash; the interior nodes (level ≥ 1) that it completed, smallest first."""
        return self.absorb(0, leaf)

    def absorb(self, level: int, digest: bytes) -> list[Node]:
        """Add the hash of a complete subtree of ``2**level`` leaves; the interior nodes above it that it completed.

        INVARIANT: the tree's size is a multiple of ``2**level``, or the subtree would not be one of the tree's.
        """
        assert not self.size & ((1 << level) - 1)
        made: list[Node] = []
        hashes, index, carry = self.hashes, self.size >> level, digest
        self.size += 1 << level
        while index & 1:
            carry = node_hash(hashes.pop(), carry)
            index >>= 1
            level += 1
            made.append((level, index, carry))
        hashes.append(carry)
        return made

    def root(self) -> bytes:
        """The tree's root hash: the subtrees of the edge folded from the right."""
        return fold(self.hashes)


def rows_of(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All complete subtrees over ``leaves``, a list for each level: the leaves themselves, then the nodes above them."""
    sha256, rows = hashlib.sha256, [list(leaves)]
    while len(rows[-1]) > 1:
        below = rows[-1]
        pairs = zip(below[::2], below[1::2], strict=False)  # an odd one at the end is no part of a complete subtree
        rows.append([sha256(b"\x01" + left + right).digest() for left, right in pairs])
    return rows


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over the complete subtrees of an edge, largest first."""
    *rest, root = hashes or (EMPTY_ROOT,)
    for left in reversed(rest):
        root = node_hash(left, root)
    return root


def peaks(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees, as (level, index), that make up the leaves ``[begin, end)``, from left to right.

    ``begin`` must be a multiple of the largest power of two that is less than or equal to ``end - begin``.
    """
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def range_root(begin: int, end: int, subtree: Subtree) -> bytes:
    """MTH(D[begin:end]) of RFC 6962 section 2.1, from complete subtrees."""
    return fold([subtree(level, index) for level, index in peaks(begin, end)])


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1: the hashes that lead from a leaf to the root, leaf first."""
    if not 0 <= index < size:
        raise VerificationError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(range_root(middle, end, subtree))
            end = middle
        else:
            path.append(range_root(begin, middle, subtree))
            begin = middle
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 6962 section 2.1.2: that the tree of ``old`` leaves is a prefix of that of ``new``."""
    if not 0 < old <= new:
        raise VerificationError(f"there is no consistency proof from {old} to {new} leaves")
    path: list[bytes] = []
    begin, end, whole = 0, new, True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(range_root(middle, end, subtree))
            end = middle
        else:
            path.append(range_root(begin, middle, subtree))
            begin, whole = middle, False
    if not whole:
        path.append(range_root(begin, end, subtree))
    return path[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2).

    Raises:
        VerificationError: the proof has not the length that index and size demand.
    """
    if not 0 <= index < size:
        raise VerificationError(f"a tree of {size} leaves has no leaf {index}")
    position, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise VerificationError("the inclusion proof is longer than the tree is high")
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise VerificationError("the inclusion proof is shorter than the tree is high")
    return root


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Check a consistency proof (RFC 9162 section 2.1.4.2).

    Raises:
        VerificationError: the proof does not lead from ``old_root`` to ``new_root``.
    """
    if not 0 < old <= new:
        raise VerificationError(f"there is no consistency proof from {old} to {new} leaves")
    if old == new:
        if path or old_root != new_root:
            raise VerificationError("two trees of one size have different roots")
        return
    proof = list(path) if old & (old - 1) else [old_root, *path]
    if not proof:
        raise VerificationError("the consistency proof is empty")
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    first = second = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            raise VerificationError("the consistency proof is longer than the tree is high")
        if position & 1 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        position >>= 1
        last >>= 1
    if last or first != old_root or second != new_root:
        raise VerificationError("the consistency proof does not join the two roots")


def _split(width: int) -> int:
    """The largest power of two that is less than ``width`` (k of RFC 6962 section 2.1)."""
    return 1 << ((width - 1).bit_length() - 1)
