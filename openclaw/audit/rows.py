"""Reading the tables of the log: entries, interior nodes, head. Writing them is ``log``'s business alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import NoSuchTableError

from openclaw.audit.entry import ROW_COLUMNS, Entry, moment
from openclaw.audit.merkle import HASH_SIZE, Edge
from openclaw.errors import AuditError, VerificationError
from openclaw.store import Statement
from openclaw.store.opening import UNREADABLE, driver_error
from openclaw.store.statement import Cursor
from openclaw.store.tables import ActionRow, EntryRow, HaltRow, HeadRow, NodeRow, Table

ENTRY: sa.Table = Table.metadata.tables[str(EntryRow.__tablename__)]
NODE: sa.Table = Table.metadata.tables[str(NodeRow.__tablename__)]
HEAD: sa.Table = Table.metadata.tables[str(HeadRow.__tablename__)]
HALT: sa.Table = Table.metadata.tables[str(HaltRow.__tablename__)]
ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]

IS_CHECKPOINT = ENTRY.c.kind == sa.literal_column("'checkpoint'")
"""In the very words of the index of checkpoints, and never as a bound value: a prepared query would not use it."""

CHUNK_LEVEL = 10
CHUNK = 1 << CHUNK_LEVEL
"""Entries that ``verify`` reads at a time: a whole subtree, so that its nodes are read in one query too."""

RawRow = Sequence[object]
"""One row as the driver gave it: ``ROW_COLUMNS``, and the nodes that its entry has completed."""

NODES = len(ROW_COLUMNS)
"""Where in a raw row the nodes stand that its entry has completed: behind the columns of the entry itself."""

COLUMNS = tuple(ENTRY.c[name] for name in ROW_COLUMNS)


def _page(nodes: sa.ColumnElement[bytes | None] | sa.ColumnElement[None]) -> Statement:
    return Statement(
        sa.select(*COLUMNS, nodes)
        .where(ENTRY.c.seq > sa.bindparam("after", type_=sa.BigInteger))
        .order_by(ENTRY.c.seq)
        .limit(sa.bindparam("count", type_=sa.Integer))
    )


_PAGE, _PAGE_BEFORE = _page(ENTRY.c.nodes), _page(sa.null().label("nodes"))

_CHUNK_NODES = Statement(
    sa.union_all(
        *(
            sa.select(NODE.c.hash).where(
                NODE.c.level == sa.literal_column(str(level)),
                NODE.c.index >= sa.bindparam(f"from{level}", type_=sa.BigInteger),
                NODE.c.index < sa.bindparam(f"to{level}", type_=sa.BigInteger),
            )
            for level in range(1, CHUNK_LEVEL + 1)
        )
    )
)


_ONE_NODE = Statement(
    sa.select(NODE.c.hash).where(
        NODE.c.level == sa.bindparam("at_level", type_=sa.Integer),
        NODE.c.index == sa.bindparam("at_index", type_=sa.BigInteger),
    )
)
_ALL_NODES = Statement(sa.select(sa.func.count(NODE.c.hash)))  # by name: where the table itself was damaged, this tells
_HEADS = Statement(sa.select(HEAD.c.id, HEAD.c.size, HEAD.c.edge))
_CHECKPOINTS = Statement(sa.select(ENTRY.c.seq, ENTRY.c.body).where(IS_CHECKPOINT).order_by(ENTRY.c.seq))


class Raw:
    """A connection read through the driver's own cursor: what ``verify`` reads a million rows with.

    Attributes:
        errors: what the driver raises where it cannot read.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.errors = (driver_error(connection.engine), *UNREADABLE)
        self._dialect = connection.dialect
        self._page = _PAGE if has_nodes(connection) else _PAGE_BEFORE
        self._cursor = cast("Cursor", connection.connection.cursor())

    def page(self, after: int, count: int) -> Sequence[RawRow]:
        """At most ``count`` entries behind ``after``, in order."""
        self._page.run(self._cursor, self._dialect, {"after": after, "count": count})
        return self._cursor.fetchall()

    def chunk_nodes(self, chunk: int) -> Sequence[tuple[object, ...]]:
        """The hashes of the nodes of levels 1 to ``CHUNK_LEVEL`` over the leaves ``[chunk * CHUNK, (chunk + 1) * CHUNK)``, as an
        older version has stored them, level by level. If they are as many as they must be, each is at its own place: the key
        allows no place twice."""
        bounds: dict[str, object] = {}
        for level in range(1, CHUNK_LEVEL + 1):
            bounds[f"from{level}"] = chunk << (CHUNK_LEVEL - level)
            bounds[f"to{level}"] = (chunk + 1) << (CHUNK_LEVEL - level)
        _CHUNK_NODES.run(self._cursor, self._dialect, bounds)
        return cast("Sequence[tuple[object, ...]]", self._cursor.fetchall())

    def node(self, level: int, index: int) -> object:
        """The hash of one node that stands beside no entry, or None."""
        _ONE_NODE.run(self._cursor, self._dialect, {"at_level": level, "at_index": index})
        found = self._cursor.fetchall()
        return found[0][0] if found else None

    def nodes(self) -> int:
        """How many nodes stand beside no entry."""
        _ALL_NODES.run(self._cursor, self._dialect, {})
        return cast("int", self._cursor.fetchall()[0][0])

    def heads(self) -> Sequence[Sequence[object]]:
        """Id, size and edge of each head; there should be one, with the id 1."""
        _HEADS.run(self._cursor, self._dialect, {})
        return self._cursor.fetchall()

    def checkpoints(self) -> Sequence[Sequence[object]]:
        """Number and body of each checkpoint entry, in order."""
        _CHECKPOINTS.run(self._cursor, self._dialect, {})
        return self._cursor.fetchall()


def to_entry(row: sa.RowMapping) -> Entry:
    """The entry in a row.

    Raises:
        VerificationError: the row holds none, as only a forged one does.
    """
    columns = dict(row)
    try:
        return Entry.model_validate(
            {
                **columns,
                "at": moment(columns["at"]),
                "body": json.loads(columns["body"]),
                "leaf": bytes(columns["leaf"]).hex(),
            }
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise VerificationError(
            f"entry {columns['seq']} cannot be read: it was changed",
            seq=columns["seq"],
            hint="run `openclaw audit verify`",
        ) from error


def read_head(connection: Connection) -> Edge:
    """Size and right edge, as the head states them."""
    size, packed = connection.execute(sa.select(HEAD.c.size, HEAD.c.edge)).one()
    return Edge.from_bytes(size, bytes(packed))


def stored_node(connection: Connection, level: int, index: int) -> bytes | None:
    """The stored hash of a complete subtree, or None: beside the entry that has completed it, or in the table of the others."""
    if level and has_nodes(connection):
        beside = sa.select(ENTRY.c.nodes).where(ENTRY.c.seq == (index + 1) << level)
        nodes = connection.execute(beside).scalar_one_or_none()
        if nodes is not None:
            return node_at(bytes(nodes), level)
    query = sa.select(NODE.c.hash).where(NODE.c.level == level, NODE.c.index == index)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else bytes(found)


def has_nodes(connection: Connection) -> bool:
    """Whether nodes may stand beside entries; not in a copy that an older version wrote, and that nobody may write to now."""
    if "nodes" not in connection.info:
        try:
            found = {str(column["name"]) for column in sa.inspect(connection).get_columns(str(ENTRY.name))}
        except NoSuchTableError:
            found = set[str]()  # whoever reads from it is told
        if "nodes" not in found:
            return False  # asked again: somebody may add it
        connection.info["nodes"] = True
    return True


def node_at(nodes: bytes, level: int) -> bytes:
    """The node of one level among those that an entry has completed; of a forged row, whatever stands there."""
    return nodes[(level - 1) * HASH_SIZE : level * HASH_SIZE]


def tells_rotation(connection: Connection) -> sa.ColumnElement[bool]:
    """Whether an entry records a key rotation, or a prune that carried some on; in the very words of their index."""
    find = "instr" if connection.dialect.name == "sqlite" else "strpos"
    return sa.and_(IS_CHECKPOINT, sa.literal_column(f"{find}(body, '\"rotation')") > sa.literal_column("0"))


def subtree(connection: Connection, level: int, index: int) -> bytes:
    """The hash of a complete subtree, for proofs: one read.

    Raises:
        AuditError: it is not stored; what it covers was pruned, or removed.
    """
    if level == 0:
        query = sa.select(ENTRY.c.leaf).where(ENTRY.c.seq == index + 1)
        leaf = connection.execute(query).scalar_one_or_none()
        stored = bytes(leaf) if leaf is not None else stored_node(connection, 0, index)
    else:
        stored = stored_node(connection, level, index)
    if stored is None:
        first, last = (index << level) + 1, (index + 1) << level
        raise AuditError(
            f"the tree over entries {first} to {last} is not in the database: they were pruned, or removed",
            hint="see `openclaw audit verify`",
        )
    return stored


__all__ = [
    "ACTION",
    "CHUNK",
    "CHUNK_LEVEL",
    "COLUMNS",
    "ENTRY",
    "HALT",
    "HEAD",
    "IS_CHECKPOINT",
    "NODE",
    "NODES",
    "Raw",
    "RawRow",
    "node_at",
    "read_head",
    "stored_node",
    "subtree",
    "tells_rotation",
    "to_entry",
]
