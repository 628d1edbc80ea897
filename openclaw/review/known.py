"""The names that a log knows, by how they begin: found one after the other through an index, however long the log is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import sqlalchemy as sa

from openclaw.audit.reading import Reader, Selection
from openclaw.audit.rows import ENTRY
from openclaw.store import Store

Column = Literal["run", "workflow", "agent", "tool"]
NAMES_MAX = 100
RECENT = 2_000
"""Entries at the end of the log whose runs come first."""


def names(store: Store, column: Column, beginning: str = "", *, limit: int = NAMES_MAX) -> Iterator[str]:
    """The values of a column that begin so, in their order; one look into its index for each of them."""
    last, found, name = "", 0, ENTRY.c[column]
    with store.peek() as connection:
        while found < limit:
            behind = name > last if last else name >= (beginning or " ")
            value = connection.execute(sa.select(name).where(behind).order_by(name).limit(1)).scalar_one_or_none()
            if value is None or not value.startswith(beginning):
                return
            yield value
            last, found = value, found + 1


def runs(store: Store, beginning: str = "", *, limit: int = NAMES_MAX) -> Iterator[str]:
    """Runs that begin so: those of the end of the log first, the newest before the others."""
    reader = Reader(store)
    recent: dict[str, None] = {}
    after = max(0, reader.size() - RECENT)
    for page in reader.entries(Selection(), after=after, newest_first=True):
        recent.update(dict.fromkeys(entry.run for entry in page if entry.run and entry.run.startswith(beginning)))
    yield from [*recent][:limit]
    if len(recent) < limit:
        yield from (name for name in names(store, "run", beginning, limit=limit) if name not in recent)


__all__ = ["NAMES_MAX", "Column", "names", "runs"]
