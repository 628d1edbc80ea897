"""How comparisons of answers are shown: a row for each tool and agent, with what would change and where to look."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from openclaw.cli import show
from openclaw.review.comparing import Change, Group


def print_groups(groups: Sequence[Group], counts: Sequence[str]) -> None:
    """Print a table; ``counts`` are the names of those that are columns of it."""
    columns = [show.Column("tool"), show.Column("agent")]
    columns += [show.Column(name, justify="right") for name in counts]
    columns.append(show.Column("changes", wide=True))
    rows = [
        (
            group.tool,
            group.agent,
            *(show.count(getattr(group, name)) for name in counts),
            "; ".join(map(_said, group.changes)),
        )
        for group in groups
    ]
    if rows:
        show.table(columns, rows)
        show.lines("")


def groups_json(groups: Sequence[Group]) -> list[JsonValue]:
    """The same for programs."""
    return [
        {**group.model_dump(mode="json"), "decisions": group.decisions, "changed": group.changed} for group in groups
    ]


def _said(change: Change) -> str:
    seqs = ", ".join(map(str, change.examples)) + (", …" if change.count > len(change.examples) else "")
    return f"{change.before} → {change.after} × {show.count(change.count)} (entry {seqs})"
