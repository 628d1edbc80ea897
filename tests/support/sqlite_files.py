"""A SQLite database at hand: what was changed is committed at the end of the block, and the file closed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def sqlite_file(path: Path | str) -> Iterator[sqlite3.Connection]:
    """The database, also by a ``file:`` address; ``with sqlite3.connect(…)`` alone commits and leaves it open."""
    with contextlib.closing(sqlite3.connect(path, uri=str(path).startswith("file:"))) as connection, connection:
        yield connection
