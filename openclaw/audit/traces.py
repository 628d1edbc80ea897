"""What a database itself still holds of rows that were deleted, and overwriting it."""

from __future__ import annotations

from openclaw.store import Store, Transaction
from openclaw.store.opening import BUSY_SECONDS

EMPTYING_MS = 500
"""How long writers may wait for readers, so that SQLite's write-ahead file can be emptied."""

BACKUPS = "backups of the database"


def overwrite_deleted(transaction: Transaction) -> None:
    """Let SQLite overwrite what this transaction deletes, and not only unlink it."""
    if transaction.connection.dialect.name == "sqlite":
        transaction.cursor.execute("PRAGMA secure_delete = ON", {})


def scrub(store: Store, *tables: str) -> tuple[str, ...]:
    """Overwrite what is still there of rows that were deleted; where a copy may be left all the same.

    Args:
        store: where they were.
        tables: what PostgreSQL is to vacuum now; it vacuums the others by itself.
    """
    with store.peek() as connection:
        if connection.dialect.name == "sqlite":
            # The pages as they were before stand in the write-ahead file until it is emptied. Whoever waits for that holds the
            # writers up, so it is not waited for long: a reader may be slow, or stuck.
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {EMPTYING_MS}")
            try:
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
            left = ["the write-ahead file of the database, until no reader holds it open"] if busy else []
        else:
            for table in tables:
                connection.exec_driver_sql(f"VACUUM {table}")
            left = ["free space in the table's file", "the write-ahead files and replicas of PostgreSQL"]
    return (*left, BACKUPS)


__all__ = ["overwrite_deleted", "scrub"]
