"""``openclaw policy coverage``: which rules and lines real traffic has exercised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.cli import covering, show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, SinceOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.policy.bundle import Bundle
from openclaw.policy.coverage import percent
from openclaw.policy.source import read_policies
from openclaw.review.coverage import LogCoverage, ToolUse, cover


def run(
    context: typer.Context,
    from_log: Annotated[bool, typer.Option("--from-log", help="By the decisions of the log.")] = False,
    policies: Annotated[
        Path, typer.Option("--policies", metavar="FOLDER", help="The folder of the policies, or a bundle.")
    ] = Path("policies"),
    since: SinceOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which rules and lines the decisions of the log exercise, dead rules, and tools that no rule has ever denied."""
    if not from_log:
        raise typer.BadParameter("say `--from-log`; coverage by tests is `openclaw policy test --coverage`")
    bundle = Bundle.assemble(read_policies(policies))
    with opened(context, store) as books, reading("deciding again") as seen:
        found = cover(books.log, bundle, since=books.moment(since), seen=seen)
    if as_json:
        show.as_json(_json(found))
    else:
        _print(found)


def _print(found: LogCoverage) -> None:
    covering.print_files(found.files)
    if found.dead:
        show.heading("rules that had no part in any decision")
        rows = [
            (f"{rule.file}:{rule.line}", rule.name, "never held" if rule.evaluated else "never evaluated")
            for rule in found.dead
        ]
        show.table([show.Column("rule", wide=True), show.Column("name"), show.Column("why")], rows)
    if found.never_denied:
        show.heading("tools and models that no rule has ever denied")
        columns = [show.Column("tool"), show.Column("kind")]
        columns += [show.Column(name, justify="right") for name in ("allowed", "asked", "ungranted")]
        show.table(columns, [_row(tool) for tool in found.never_denied])
    show.lines("")
    show.fields(
        [
            ("decisions", f"{show.count(found.decided)}, {show.count(found.under)} of them by this revision"),
            ("rules", f"{show.count(len(found.rules) - len(found.dead))} of {show.count(len(found.rules))} had a part"),
            ("revision", found.revision),
        ]
    )
    if found.undecidable:
        show.note(f"{show.count(found.undecidable)} not decided again: the log hides a value that a rule may ask about")
    if found.unanswered:
        show.note(f"{show.count(found.unanswered)} not decided again: no policy was asked then, or its engine failed")


def _row(tool: ToolUse) -> Sequence[str]:
    return tool.tool, tool.kind, *map(show.count, (tool.allowed, tool.asked, tool.ungranted))


def _json(found: LogCoverage) -> JsonValue:
    return {
        "revision": found.revision,
        "decided": found.decided,
        "under_this_revision": found.under,
        "undecidable": found.undecidable,
        "unanswered": found.unanswered,
        "percent": round(percent(found.files), 3),
        "files": covering.files_json(found.files),
        "rules": [{**asdict(rule), "dead": rule.dead} for rule in found.rules],
        "tools": [tool.model_dump() for tool in found.tools],
    }
