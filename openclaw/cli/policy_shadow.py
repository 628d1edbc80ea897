"""``openclaw policy shadow``: what a candidate that decides beside the live policies would have changed."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.cli import DOES_NOT_HOLD, changes, show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.review.shadowed import Shadowed, shadowed


def run(
    context: typer.Context,
    candidate: Annotated[
        str, typer.Option(metavar="REVISION", help="Another candidate than the last; the beginning is enough.")
    ] = "",
    since: Annotated[
        str | None,
        typer.Option(metavar="SPAN|DATE", show_default=False, help="Only what was reported since: 2h, 7d, 2026-11-23."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a candidate, opened with `shadow=`, differs from what was decided. Exit code 1 if it does."""
    with opened(context, store) as books:
        found = shadowed(books.log, candidate=candidate, since=books.moment(since))
    if as_json:
        show.as_json(_json(found))
    else:
        _print(found)
    if found.changed:
        raise typer.Exit(DOES_NOT_HOLD)


def _print(found: Shadowed) -> None:
    changes.print_groups(found.groups, ("same", "changed", "unanswered"))
    show.fields(
        [
            ("compared", show.count(found.compared)),
            ("changed", show.count(found.changed)),
            ("dropped", show.count(found.dropped)),
            ("candidate", found.candidate or "none"),
            *(("live", revision) for revision in found.live),
            *(("other", revision) for revision in found.others),
        ]
    )
    if found.dropped:
        show.note(
            "dropped: decisions came faster than the candidate answered, or it was not there; none of them waited"
        )
    if any(group.unanswered for group in found.groups):
        show.note("unanswered: no policy was asked, or its engine failed")
    if found.trouble is not None:
        show.note(
            f"the candidate is {found.trouble.event} (entry {found.trouble.seq}): {'; '.join(found.trouble.reasons)}"
        )
    elif not found.candidate:
        show.note("no candidate has decided beside the policies of this log: `Governance.open(…, shadow=…)` opens one")


def _json(found: Shadowed) -> JsonValue:
    return {
        "candidate": found.candidate,
        "engine": found.engine,
        "live": [*found.live],
        "compared": found.compared,
        "changed": found.changed,
        "dropped": found.dropped,
        "groups": changes.groups_json(found.groups),
        "others": [*found.others],
        "trouble": found.trouble.model_dump(mode="json") if found.trouble is not None else None,
    }
