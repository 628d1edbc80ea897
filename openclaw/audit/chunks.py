"""The subtrees of a chunk of rows: by the native extension where it is built, in Python otherwise, with the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from openclaw.audit.entry import rows_bytes
from openclaw.audit.merkle import HASH_SIZE, rows_of
from openclaw.audit.rows import NODES

Rows = list[tuple[object, ...]]
Subtrees = Callable[[Rows], "list[bytes] | None"]


def subtrees(rows: Rows) -> list[bytes] | None:
    """The hashes of all complete subtrees over ``rows``, one joined text of hashes for each level, the leaves first.

    None where a row does not fit the leaf hash that is stored with it, or is not of the form that the log writes.
    """
    return _subtrees(rows)


def nodes_fit(rows: Rows, built: Sequence[bytes]) -> bool | None:
    """Whether the nodes beside the entries of a chunk are those that ``subtrees`` has ``built``; None where there are none.

    Nodes above the chunk, which its last entry may have completed too, are not looked at.
    """
    return _nodes_fit(rows, built)


def nodes_in_python(rows: Rows, built: Sequence[bytes]) -> bool | None:
    """``nodes_fit`` without the native extension."""
    stored = [row[NODES] for row in rows]
    if not any(nodes is not None for nodes in stored):
        return None
    top = (len(built) - 1) * HASH_SIZE
    for number, nodes in enumerate(stored, 1):
        completed = (number & -number).bit_length() - 1
        expected = b"".join(at(built[level], (number >> level) - 1) for level in range(1, completed + 1))
        if (nodes[:top] if isinstance(nodes, bytes) else nodes) != (expected or None):
            return False
    return True


def in_python(rows: Rows) -> list[bytes] | None:
    """``subtrees`` without the native extension."""
    sha256 = hashlib.sha256
    try:
        leaves = [sha256(b"\x00" + data).digest() for data in rows_bytes(rows)]
    except (TypeError, ValueError):
        return None
    if leaves != [row[10] for row in rows]:
        return None
    return [b"".join(level) for level in rows_of(leaves)]


def at(level: bytes, index: int) -> bytes:
    """One hash of a joined level."""
    return level[index * HASH_SIZE : (index + 1) * HASH_SIZE]


def joined(column: Sequence[tuple[object, ...]]) -> bytes | None:
    """The hashes in a column of rows, joined; None where one of them is no bytes."""
    try:
        return b"".join([digest for (digest,) in column])  # pyright: ignore[reportArgumentType] - told by the error
    except TypeError:
        return None


def _chosen() -> tuple[Subtrees, Callable[[Rows, Sequence[bytes]], bool | None]]:
    try:
        from openclaw._native import nodes_fit as native_fit
        from openclaw._native import subtrees as native
    except ImportError:  # not built, or built before it could do this
        return in_python, nodes_in_python
    return native, native_fit


_subtrees, _nodes_fit = _chosen()

__all__ = ["at", "in_python", "joined", "nodes_fit", "nodes_in_python", "subtrees"]
