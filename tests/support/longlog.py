"""A long log, made by the database itself in bulk, for questions of speed and size. It is whole, tree and all."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

from openclaw.audit import AuditLog, Signer
from openclaw.audit.chunks import subtrees
from openclaw.audit.entry import ROW_COLUMNS, rows_bytes
from openclaw.audit.merkle import Edge, Node
from openclaw.audit.rows import CHUNK, CHUNK_LEVEL
from openclaw.store import Store

BATCH = 250_000

_FILL = """
WITH RECURSIVE number(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM number WHERE n < :last)
INSERT INTO openclaw_entry (seq, at, kind, run, workflow, agent, tool, call_id, effect, body, leaf)
SELECT seq, at, kind, run, workflow, agent, tool, call_id, effect, body,
       leaf_of(seq, at, kind, run, workflow, agent, tool, call_id, effect, body)
FROM (SELECT n AS seq,
       strftime('%Y-%m-%dT%H:%M:%S', 1767225600 + n / 4, 'unixepoch') || '.000000Z' AS at,
       CASE WHEN n % 10007 = 0 THEN 'approval' WHEN n % 2 THEN 'decision' ELSE 'outcome' END AS kind,
       'run-' || (n / 40) AS run,
       CASE WHEN n BETWEEN 5000 AND 5100 THEN 'closed' ELSE 'flow-' || (n / 40 % 3) END AS workflow,
       CASE WHEN n % 100003 = 0 THEN 'rare' ELSE 'agent-' || (n / 40 % 20) END AS agent,
       'tool-' || ((n + 1) / 2 % 50) AS tool,
       'call_' || ((n + 1) / 2) AS call_id,
       CASE WHEN n % 10007 = 0 OR n % 2 = 0 THEN '' WHEN n % 1001 = 0 THEN 'deny'
            WHEN n % 501 = 0 THEN 'ask' ELSE 'allow' END AS effect,
       CASE WHEN n % 2 THEN
           '{"decision":{"code":"policy","effect":"allow","obligations":[],"reasons":["number ' || n
           || '"],"rules":["policies.desk.allow"]},"engine":"regorus 0.14.1","input":{"approval":null,"kind":"tool",'
           || '"principal":{"agent":"agent","chain":["agent"],"org":"default","roles":["payer"]},"run":{"id":"run"},'
           || '"tool":{"args":{"account":"DE-77","amount":' || (n % 1000) || ',"order":"A-' || n
           || '"},"call_id":"call","name":"tool","tags":["write","money"]}},"revision":"sha256:5c5c5c5c"}'
       ELSE '{"decision":' || (n - 1) || ',"duration_ms":3,"status":"done","used":{"calls":1,"tokens":120}}' END AS body
FROM number)
"""


def fill(path: Path, count: int) -> None:
    """Make a log of ``count`` entries in a new SQLite file: four a second, decisions and outcomes in turn, few refusals.

    A checkpoint of all of them is one more; the key that signed it is beside the file, as ``openclaw`` looks for it.
    """
    store = Store.open(f"sqlite:///{path}")
    AuditLog(store, None).close()
    store.close()
    database = sqlite3.connect(path, isolation_level=None)
    database.create_function("leaf_of", len(ROW_COLUMNS) - 1, _leaf, deterministic=True)
    database.execute("PRAGMA synchronous = OFF")
    for first in range(1, count + 1, BATCH):
        database.execute("BEGIN")
        database.execute(_FILL, {"first": first, "last": min(first + BATCH - 1, count)})
        database.execute("COMMIT")
    database.execute("BEGIN")
    edge = _grow(database, count)
    database.execute("UPDATE openclaw_head SET size = ?, edge = ?", (count, edge.to_bytes()))
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    store = Store.open(f"sqlite:///{path}")
    key = Signer.load(path.with_name(f"{path.name}.key"), store.origin, create=True)
    log = AuditLog(store, key, outside=path.with_name(f"{path.name}.checkpoints"))
    log.checkpoint()
    log.close()
    store.close()


def _leaf(*row: object) -> bytes:
    return hashlib.sha256(b"\x00" + rows_bytes([(*row, b"")])[0]).digest()


def _grow(database: sqlite3.Connection, count: int) -> Edge:
    """Store the nodes over the entries beside those that complete them, a chunk at a time; the right edge."""
    edge = Edge()
    page = f"SELECT {', '.join(ROW_COLUMNS)} FROM openclaw_entry WHERE seq > ? ORDER BY seq LIMIT {CHUNK}"
    while chunk := database.execute(page, (edge.size,)).fetchall():
        nodes: list[Node] = []
        if len(chunk) == CHUNK:
            built = subtrees(chunk)
            assert built is not None
            for level in range(1, CHUNK_LEVEL + 1):
                before = edge.size >> level
                hashes = (built[level][at : at + 32] for at in range(0, len(built[level]), 32))
                nodes += [(level, before + number, digest) for number, digest in enumerate(hashes)]
            nodes += edge.absorb(CHUNK_LEVEL, built[CHUNK_LEVEL])
        else:
            for row in chunk:
                nodes += edge.append(row[-1])
        beside: dict[int, bytes] = {}
        for level, index, digest in sorted(nodes):
            seq = (index + 1) << level
            beside[seq] = beside.get(seq, b"") + digest
        database.executemany(
            "UPDATE openclaw_entry SET nodes = ? WHERE seq = ?", [(it, seq) for seq, it in beside.items()]
        )
    assert edge.size == count
    return edge


__all__ = ["fill"]
