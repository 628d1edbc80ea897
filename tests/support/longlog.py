"""A long log, made by the database itself: for questions of speed and size. Its hashes are none, so it is not to be verified."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from openclaw.audit import AuditLog
from openclaw.store import Store

_FILL = """
WITH RECURSIVE number(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM number WHERE n < :last)
INSERT INTO openclaw_entry (seq, at, kind, run, workflow, agent, tool, call_id, effect, body, leaf)
SELECT n,
       strftime('%Y-%m-%dT%H:%M:%S', 1767225600 + n / 4, 'unixepoch') || '.000000Z',
       CASE WHEN n % 10007 = 0 THEN 'approval' WHEN n % 2 THEN 'decision' ELSE 'outcome' END,
       'run-' || (n / 40),
       CASE WHEN n BETWEEN 5000 AND 5100 THEN 'closed' ELSE 'flow-' || (n / 40 % 3) END,
       CASE WHEN n % 100003 = 0 THEN 'rare' ELSE 'agent-' || (n / 40 % 20) END,
       'tool-' || ((n + 1) / 2 % 50),
       'call_' || ((n + 1) / 2),
       CASE WHEN n % 10007 = 0 OR n % 2 = 0 THEN '' WHEN n % 1001 = 0 THEN 'deny' WHEN n % 501 = 0 THEN 'ask' ELSE 'allow' END,
       CASE WHEN n % 2 THEN
           '{"decision":{"code":"policy","effect":"allow","obligations":[],"reasons":["number ' || n
           || '"],"rules":["policies.desk.allow"]},"engine":"regorus 0.14.1","input":{"approval":null,"kind":"tool",'
           || '"principal":{"agent":"agent","chain":["agent"],"org":"default","roles":["payer"]},"run":{"id":"run"},'
           || '"tool":{"args":{"account":"DE-77","amount":' || (n % 1000) || ',"order":"A-' || n
           || '"},"call_id":"call","name":"tool","tags":["write","money"]}},"revision":"sha256:5c5c5c5c"}'
       ELSE '{"decision":' || (n - 1) || ',"duration_ms":3,"status":"done","used":{"calls":1,"tokens":120}}' END,
       zeroblob(32)
FROM number
"""


def fill(path: Path, count: int) -> None:
    """Make a log of ``count`` entries in a new SQLite file: four a second, decisions and outcomes in turn, few refusals."""
    store = Store.open(f"sqlite:///{path}")
    AuditLog(store, None).close()
    store.close()
    database = sqlite3.connect(path, isolation_level=None)
    for first in range(1, count + 1, 250_000):
        database.execute("BEGIN")
        database.execute(_FILL, {"first": first, "last": min(first + 249_999, count)})
        database.execute("COMMIT")
    database.execute("UPDATE openclaw_head SET size = ?", (count,))
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
