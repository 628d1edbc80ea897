"""``openclaw policy replay``: what other policies would have answered."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from pydantic import JsonValue

from openclaw.cli import DOES_NOT_HOLD, changes, show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, SinceOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.policy import open_bundle
from openclaw.policy.bundle import Bundle
from openclaw.policy.late_cache import LateCache
from openclaw.policy.source import read_policies
from openclaw.review.comparing import Change
from openclaw.review.entries import call
from openclaw.review.replay import Replay, replay


def run(
    context: typer.Context,
    policies: Annotated[Path, typer.Option("--policies", metavar="FOLDER", help="The folder of the candidate.")],
    since: SinceOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide the log's decisions again under other policies. Exit code 1 if an answer changes. Nothing is recorded."""
    bundle = Bundle.assemble(read_policies(policies))
    with (
        contextlib.closing(LateCache(open_bundle(bundle), bundle, cache=True)) as engine,
        opened(context, store) as books,
        reading("deciding again") as seen,
    ):
        found = replay(books.log, engine, bundle=bundle, since=books.moment(since), seen=seen)
        examples = [_Example(seq, change, call(books.log.entry(seq))) for seq, change in _examples(found)]
    if as_json:
        show.as_json(_json(found, examples))
    else:
        _print(found, examples)
    if found.changed:
        raise typer.Exit(DOES_NOT_HOLD)


class _Example(NamedTuple):
    """An entry, what its answer would change to, and the call that it was about."""

    seq: int
    change: Change
    call: str


def _examples(found: Replay) -> list[tuple[int, Change]]:
    """Entries whose answers would change, in their order, each with what it would change to."""
    return sorted(
        ((seq, change) for group in found.groups for change in group.changes for seq in change.examples),
        key=lambda it: it[0],
    )


def _print(found: Replay, examples: Sequence[_Example]) -> None:
    changes.print_groups(found.groups, ("same", "changed", "undecidable", "unanswered"))
    if examples:
        columns = [show.Column("entry", justify="right"), show.Column("change"), show.Column("call", wide=True)]
        show.table(columns, [(str(it.seq), f"{it.change.before} → {it.change.after}", it.call) for it in examples])
        show.lines("")
    show.fields(
        [
            ("decisions", show.count(found.compared)),
            ("changed", show.count(found.changed)),
            ("candidate", found.revision),
        ]
    )
    if any(group.undecidable for group in found.groups):
        show.note("undecidable: the log hides a value that a rule of the candidate may ask about")
    if any(group.unanswered for group in found.groups):
        show.note("unanswered: no policy was asked then, or its engine failed")


def _json(found: Replay, examples: Sequence[_Example]) -> JsonValue:
    return {
        "revision": found.revision,
        "decisions": found.compared,
        "changed": found.changed,
        "groups": changes.groups_json(found.groups),
        "examples": [
            {"entry": it.seq, "before": it.change.before, "after": it.change.after, "call": it.call} for it in examples
        ],
    }
