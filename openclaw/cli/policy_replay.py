"""``openclaw policy replay``: what other policies would have answered."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.cli import DOES_NOT_HOLD, changes, show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, SinceOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.policy import open_engine
from openclaw.review.replay import Replay, replay


def run(
    context: typer.Context,
    policies: Annotated[Path, typer.Option("--policies", metavar="FOLDER", help="The folder of the candidate.")],
    since: SinceOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide the log's decisions again under other policies. Exit code 1 if an answer changes. Nothing is recorded."""
    with (
        contextlib.closing(open_engine(policies)) as engine,
        opened(context, store) as books,
        reading("deciding again") as seen,
    ):
        found = replay(books.log, engine, since=books.moment(since), seen=seen)
    if as_json:
        show.as_json(_json(found))
    else:
        _print(found)
    if found.changed:
        raise typer.Exit(DOES_NOT_HOLD)


def _print(found: Replay) -> None:
    changes.print_groups(found.groups, ("same", "changed", "undecidable", "unanswered"))
    show.fields(
        [
            ("decisions", show.count(found.compared)),
            ("changed", show.count(found.changed)),
            ("candidate", found.revision),
        ]
    )
    if any(group.undecidable for group in found.groups):
        show.note("undecidable: the log keeps a masked value of the input, and a rule may ask about it")
    if any(group.unanswered for group in found.groups):
        show.note("unanswered: no policy was asked then, or its engine failed")


def _json(found: Replay) -> JsonValue:
    return {
        "revision": found.revision,
        "decisions": found.compared,
        "changed": found.changed,
        "groups": changes.groups_json(found.groups),
    }
