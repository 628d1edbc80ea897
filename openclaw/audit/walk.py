"""Reads a whole log again and rebuilds its tree from the entries themselves.

Entries are read a chunk at a time. A chunk in which every leaf, every stored node and the order are as they must be is done
with by a few list operations; only one in which something is wrong is looked at entry by entry, to name what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

from openclaw.audit.chunks import at, joined, nodes_fit, subtrees
from openclaw.audit.entry import Draft, entry_bytes
from openclaw.audit.merkle import HASH_SIZE, Edge, Node, fold, leaf_hash, peaks
from openclaw.audit.reading import Seen
from openclaw.audit.report import Problem
from openclaw.audit.rows import CHUNK, CHUNK_LEVEL, NODES, Raw, RawRow, node_at

FIRST = -(2**63)

STRAYS_MAX = 20
"""Entries that are named of those that stand before the first, or before the first that is left: none may."""

AtSize = Callable[[int, bytes], Iterator[Problem]]
"""Called with the size and the root at each size that is wanted, in order; gives what is wrong with it."""


class Walk:
    """One reading of a log.

    Args:
        raw: reads the tables, all at one moment.
        edge: where to begin: empty, or the edge at which the log was pruned. It grows with the walk.
        sizes: the sizes at which the root is wanted.
        at_size: see ``AtSize``. Not called behind a problem that was found: every later root follows from it.
        seen: hears how far the reading has come.
    """

    def __init__(
        self, raw: Raw, edge: Edge, sizes: Sequence[int], at_size: AtSize, *, seen: Seen | None = None
    ) -> None:
        self._raw = raw
        self.edge = edge
        self._sizes = sorted({size for size in sizes if size > edge.size}, reverse=True)
        self._at_size = at_size
        self._seen = seen
        self._size = _told_size(raw) if seen is not None else 0
        self._named: list[int] = []
        self._gap = False
        self._strays = 0
        self.apart = 0
        """Nodes of the tree that must stand in the table of their own, since they stand beside no entry."""

    def problems(self) -> Iterator[Problem]:
        """Read to the end, or to the first gap: behind it every number is shifted."""
        if self.edge.size:
            yield from self._at_size(self.edge.size, self.edge.root())
        after, count = FIRST, CHUNK
        while True:
            count = 1 if count == 1 else CHUNK - self.edge.size % CHUNK
            try:
                rows = self._raw.page(after, count)
            except self._raw.errors as error:
                if count > 1:
                    count = 1  # from here on one by one, to name the entry
                    continue
                seq = self.edge.size + 1
                yield Problem(message=f"entry {seq} cannot be read: {error}", seq=seq)
                return
            if not rows:
                return
            if len(rows) == CHUNK and (built := self._whole(rows)) is not None:
                yield from self._take(built, rows[-1])
            else:
                yield from self._one_by_one(rows)
                if self._gap:
                    return
            last = cast("int", rows[-1][0])
            if last <= after:  # in a damaged file a query can give what it was not asked for, again and again
                message = f"the entries behind {after} do not come in the order of their numbers: the file is damaged"
                yield Problem(message=message, seq=self.edge.size + 1)
                return
            after = last
            if self._seen is not None:
                self._seen(self.edge.size, max(self._size, self.edge.size))

    def _whole(self, rows: Sequence[RawRow]) -> list[bytes] | None:
        """All subtrees of a whole chunk, level by level, if everything in it is as it must be."""
        first = self.edge.size + 1
        if rows[0][0] != first or rows[-1][0] != first + CHUNK - 1:
            return None  # ascending and distinct as they are, the numbers between are right if both ends are
        built = subtrees(cast("list[tuple[object, ...]]", rows))
        if built is None:
            return None
        fit = nodes_fit(cast("list[tuple[object, ...]]", rows), built)
        if fit is None:
            # Each level comes in the order of its index, as its key gives it; any other order is looked at with care.
            fit = joined(self._raw.chunk_nodes(self.edge.size >> CHUNK_LEVEL)) == b"".join(built[1:])
            self.apart += CHUNK - 1 if fit else 0
        return built if fit else None

    def _take(self, built: list[bytes], last: RawRow) -> Iterator[Problem]:
        """Go on behind a whole chunk, stopping at the sizes that are wanted inside it."""
        before, hashes = self.edge.size, list(self.edge.hashes)
        above = self.edge.absorb(CHUNK_LEVEL, built[CHUNK_LEVEL])
        yield from self._compare_nodes(last[NODES], above, CHUNK_LEVEL + len(above))
        while self._sizes and self._sizes[-1] <= self.edge.size:
            size = self._sizes.pop()
            if not self._named:
                inside = [at(built[level], index) for level, index in peaks(0, size - before)]
                yield from self._at_size(size, fold([*hashes, *inside]) if size < self.edge.size else self.edge.root())

    def _one_by_one(self, rows: Sequence[RawRow]) -> Iterator[Problem]:
        """Name what is wrong. What follows from a problem already named is not named again."""
        for row in rows:
            seq = self.edge.size + 1
            if isinstance(row[0], int) and row[0] < seq:
                self._strays += 1
                if self._strays <= STRAYS_MAX:
                    message = f"entry {row[0]} stands where none may be: the log goes on with {seq}"
                    yield Problem(message=message, seq=row[0])
                continue  # it shifts nothing: what comes behind it is looked at as if it were not there
            if row[0] != seq:
                self._gap = True
                yield _missing(seq, row[0])
                return
            leaf, complaint = recompute(row)
            if complaint:
                self._named.append(seq)
                yield Problem(message=f"entry {seq} was changed: {complaint}", seq=seq)
            completed = self.edge.append(leaf)
            yield from self._compare_nodes(row[NODES], completed, len(completed))
            if self._sizes and self._sizes[-1] == seq:
                self._sizes.pop()
                if not self._named:
                    yield from self._at_size(seq, self.edge.root())

    def _compare_nodes(self, beside: object, completed: Sequence[Node], count: int) -> Iterator[Problem]:
        """Compare nodes with those beside the entry that has completed them, ``count`` in all, or in the table of their own."""
        if beside is None:
            self.apart += len(completed)
        for level, index, digest in completed:
            stored = node_at(beside, level) if isinstance(beside, bytes) else self._raw.node(level, index)
            if stored != digest and not self._covers_named(level, index):
                yield self._unfit(level, index)
        if beside is not None and (not isinstance(beside, bytes) or len(beside) != count * HASH_SIZE or not count):
            seq = self.edge.size
            if seq not in self._named:
                yield Problem(message=f"the nodes beside entry {seq} are not those that it completes", seq=seq)

    def _covers_named(self, level: int, index: int) -> bool:
        first, last = (index << level) + 1, (index + 1) << level
        return any(first <= named <= last for named in self._named)

    def _unfit(self, level: int, index: int) -> Problem:
        first, last = (index << level) + 1, (index + 1) << level
        self._named.append(first)
        return Problem(message=f"entries {first} to {last} do not fit the tree above them", seq=first)


def _told_size(raw: Raw) -> int:
    """How many entries the log says that it has; 0 where it says nothing that can be believed."""
    return max((head[1] for head in raw.heads() if isinstance(head[1], int)), default=0)


def recompute(row: RawRow) -> tuple[bytes, str]:
    """The leaf hash of a stored row, and what is wrong with the row, if anything. Takes whatever a forger may have left."""
    seq, at, kind, run, workflow, agent, tool, call_id, effect, body, stored = row[:NODES]
    fields = {"kind": kind, "run": run, "workflow": workflow, "agent": agent, "tool": tool}
    fields |= {"call_id": call_id, "effect": effect}
    texts = {name: _text(value) for name, value in fields.items()}
    draft = Draft.model_construct(**texts)  # pyright: ignore[reportArgumentType] - unchecked: it may be forged
    encoded = _text(body).encode("utf-8", "surrogatepass")
    try:
        leaf = leaf_hash(entry_bytes(cast("int", seq), _text(at), draft, encoded))
    except UnicodeEncodeError:
        return leaf_hash(b""), "it holds a text that has no UTF-8 form"
    return leaf, "" if leaf == stored else "it does not fit its leaf hash"


def _text(value: object) -> str:
    return value if isinstance(value, str) else f"{type(value).__name__} {value!r}"


def _missing(expected: int, found: object) -> Problem:
    if not isinstance(found, int):
        return Problem(message=f"entry {expected} cannot be read: it has no number", seq=expected)
    return Problem(message=f"entry {expected} is missing: the log goes on with {found}", seq=expected)


__all__ = ["Walk", "recompute"]
