"""Executions: what stands between the decision on an action and its outcome, under the name of that very execution.

running ──▶ done | withheld | failed | cancelled          refused

(withheld: done, and the policy lets nobody see the result)

    INVARIANT: a key belongs to at most one execution; one that failed or was cut off gives its key to the next try.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa

from openclaw.store import Row, Statement, Store, Transaction
from openclaw.store.tables import ActionRow, Table

_ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution: the entry of its decision, how it stands, and what it keeps for a node that runs again."""

    seq: int
    state: str
    kept: bytes


class Executions:
    """The executions in a store. Methods that take a transaction join it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def peek(self, key: str) -> Execution | None:
        """The execution of this key, as far as commits have come."""
        return _first(self._store.fetch(_BY_KEY, {"key": key}))

    def find(self, transaction: Transaction, key: str) -> Execution | None:
        """The execution of this key."""
        return _first(transaction.rows(_BY_KEY, {"key": key}))

    def note(self, transaction: Transaction, seq: int, key: str | None, state: str, kept: bytes = b"") -> None:
        """Begin an execution, or note that it was refused. The key of an earlier try passes on."""
        if key is not None:
            transaction.count(_FREE_KEY, {"of_key": key})
        transaction.count(_NOTE, {"seq": seq, "key": key or "", "state": state, "result": kept})

    def end(self, transaction: Transaction, seq: int, state: str, kept: bytes) -> bool:
        """End a running execution. False if it does not run any more."""
        return transaction.count(_END, {"of_seq": seq, "to": state, "with_result": kept}) == 1

    def keep(self, transaction: Transaction, seq: int, kept: bytes) -> None:
        """What an execution keeps for a node that runs again, where that is known only after its end."""
        transaction.count(_KEEP, {"of_seq": seq, "with_result": kept})


_BY_KEY = Statement(
    sa.select(_ACTION.c.seq, _ACTION.c.state, _ACTION.c.result).where(_ACTION.c.key == sa.bindparam("key"))
)
_NOTE = Statement(sa.insert(_ACTION))
_FREE_KEY = Statement(sa.update(_ACTION).where(_ACTION.c.key == sa.bindparam("of_key")).values(key=""))
_END = Statement(
    sa.update(_ACTION)
    .where(_ACTION.c.seq == sa.bindparam("of_seq"), _ACTION.c.state == "running")
    .values(state=sa.bindparam("to"), result=sa.bindparam("with_result"))
)
_KEEP = Statement(
    sa.update(_ACTION).where(_ACTION.c.seq == sa.bindparam("of_seq")).values(result=sa.bindparam("with_result"))
)


def _first(rows: list[Row]) -> Execution | None:
    for row in rows:
        return Execution(cast("int", row["seq"]), str(row["state"]), bytes(cast("bytes", row["result"])))
    return None


__all__ = ["Execution", "Executions"]
