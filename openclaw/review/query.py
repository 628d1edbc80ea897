"""Which entries are meant: filters that compose, asked of the database as far as it can tell, and of each entry beyond that."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from openclaw.audit import Entry
from openclaw.audit.reading import Reader, Seen, Selection
from openclaw.canonical import plain
from openclaw.conditions import ArgCondition
from openclaw.review import fields
from openclaw.review.condition import Expression
from openclaw.review.entries import reasons


class Query(BaseModel):
    """Filters; all of them must fit. None, or empty, asks for nothing.

    ``reason`` and ``text`` are parts of a text, as written. ``args`` are conditions as in ``amount>100``, ``where`` is an
    expression (see ``openclaw.review.condition``). ``since`` is included, ``until`` is not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str | None = None
    run: str | None = None
    workflow: str | None = None
    agent: str | None = None
    tool: str | None = None
    call_id: str | None = None
    effect: str | None = None
    reason: str | None = None
    text: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    args: tuple[str, ...] = ()
    where: str | None = None


class Search:
    """A query, ready to be asked of a log.

    Raises:
        ConfigurationError: a condition in it is none.
    """

    def __init__(self, query: Query) -> None:
        self._args = [ArgCondition.parse(text) for text in query.args]
        self._where = Expression(query.where) if query.where else None
        self._reason = query.reason
        names = ("kind", "run", "workflow", "agent", "tool", "call_id", "effect")
        said = {name: found for name in names if (found := getattr(query, name)) is not None}
        learned = self._where.columns() if self._where is not None else {}
        holds = [condition.needle for condition in self._args]
        if self._reason:
            holds.append(_written(self._reason))
        self.selection = Selection(
            equal={**learned, **said},
            body_holds=tuple(holds),
            anywhere=(query.text, _written(query.text)) if query.text else None,
            since=query.since,
            until=query.until,
        )

    @property
    def looks_inside(self) -> bool:
        """Whether entries have to be read to know, so that a search may take long."""
        return self._where is not None or self.selection.looks_inside

    def fits(self, entry: Entry) -> bool:
        """Whether an entry that the database has found is meant."""
        if self._reason and not any(self._reason in reason for reason in reasons(entry)):
            return False
        if self._args and entry.kind != "decision":
            return False
        return all(condition.meets(fields.value(entry, f"args.{condition.name}")) for condition in self._args) and (
            self._where is None or self._where.holds(entry)
        )

    def entries(
        self,
        reader: Reader,
        *,
        after: int = 0,
        before: int | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        seen: Seen | None = None,
    ) -> Iterator[Entry]:
        """The entries that are meant, as they are found; a log of any length is never held whole.

        Args:
            reader: of the log.
            after, before: only entries between these numbers, without them: the way to page.
            newest_first: from the end.
            limit: at most so many.
            seen: hears how far the search has come.
        """
        pages = reader.entries(
            self.selection,
            after=after,
            before=before,
            newest_first=newest_first,
            inside=self._where is not None,
            page_max=None if self.looks_inside else limit,
            seen=seen,
        )
        return itertools.islice((entry for page in pages for entry in page if self.fits(entry)), limit)


def _written(text: str) -> str:
    """How a text stands inside a stored body: canonical JSON escapes what JSON must, and nothing else."""
    return json.dumps(plain(text), ensure_ascii=False)[1:-1]


__all__ = ["Query", "Search"]
