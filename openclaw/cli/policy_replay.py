"""``openclaw policy replay``: what other policies would have answered."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.cli import DOES_NOT_HOLD, changes, show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, SinceOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.policy import open_bundle
from openclaw.policy.bundle import Bundle
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
    with (
        contextlib.closing(open_bundle(bundle := Bundle.assemble(read_policies(policies)))) as engine,
        opened(context, store) as books,
        reading("deciding again") as seen,
    ):
        found = replay(books.log, engine, bundle=bundle, since=books.moment(since), seen=seen)
        calls = {seq: call(books.log.entry(seq)) for seq, _ in _examples(found)}
    if as_json:
        show.as_json(_json(found, calls))
    else:
        _print(found, calls)
    if found.changed:
        raise typer.Exit(DOES_NOT_HOLD)


def _examples(found: Replay) -> list[tuple[int, Change]]:
    """Entries whose answers would change, in their order, each with what it would change to."""
    return sorted(
        ((seq, change) for group in found.groups for change in group.changes for seq in change.examples),
        key=lambda it: it[0],
    )


def _print(found: Replay, calls: Mapping[int, str]) -> None:
    changes.print_groups(found.groups, ("same", "changed", "undecidable", "unanswered"))
    if calls:
        columns = [show.Column("entry", justify="right"), show.Column("change"), show.Column("call", wide=True)]
        show.table(columns, [(str(seq), f"{it.before} → {it.after}", calls[seq]) for seq, it in _examples(found)])
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


def _json(found: Replay, calls: Mapping[int, str]) -> JsonValue:
    return {
        "revision": found.revision,
        "decisions": found.compared,
        "changed": found.changed,
        "groups": changes.groups_json(found.groups),
        "examples": [
            {"entry": seq, "before": it.before, "after": it.after, "call": calls[seq]} for seq, it in _examples(found)
        ],
    }
