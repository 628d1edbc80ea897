"""``openclaw audit hold`` and ``openclaw audit prune``: what must stay, and removing what need not."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from openclaw.audit import MINIMUM_AGE, Hold
from openclaw.cli import show
from openclaw.cli.books import opened
from openclaw.cli.options import ByOption, JsonOption, KeyOption, PlacesOption, ReasonOption, StoreOption
from openclaw.errors import AuditError

Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; recorded.")]


def add(
    context: typer.Context,
    by: ByOption,
    reason: Why,
    run: Annotated[str | None, typer.Option(help="Only entries of this run.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only entries of this workflow.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only entries of this agent.")] = None,
    tool: Annotated[str | None, typer.Option(help="Only entries about this tool or model.")] = None,
    call_id: Annotated[str | None, typer.Option(help="Only entries of this call.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only entries from this time on (UTC).")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only entries before this time (UTC).")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lay a legal hold on the entries that fit all that is said; on every entry if nothing is. It is recorded."""
    asked = {"run": run, "workflow": workflow, "agent": agent, "tool": tool, "call_id": call_id, "kind": kind}
    asked |= {"since": since, "until": until}
    what = {name: value for name, value in asked.items() if value is not None}
    with opened(context, store, write=True) as books:
        laid = books.log.hold(by=by, reason=reason, **what)
    _print(laid, as_json=as_json)


def list_holds(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="The released ones too.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the legal holds that are active."""
    with opened(context, store) as books:
        found = books.log.holds(active=not everything)
    if as_json:
        show.as_json_list({**hold.model_dump(mode="json"), "active": hold.active} for hold in found)
        return
    if not found:
        show.note("no legal holds")
        return
    columns = [
        show.Column("hold"),
        show.Column("since"),
        show.Column("by"),
        show.Column("what"),
        show.Column("reason", wide=True),
    ]
    show.table(columns, [(hold.id, show.moment(hold.at), hold.by, _what(hold), _why(hold)) for hold in found])


def release(
    context: typer.Context,
    hold: Annotated[str, typer.Argument(metavar="HOLD", help="The hold, as `hold list` shows it.")],
    by: ByOption,
    reason: Why,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Release a legal hold, once. It is recorded."""
    with opened(context, store, write=True) as books:
        released = books.log.release(hold, by=by, reason=reason)
    _print(released, as_json=as_json)


def prune(
    context: typer.Context,
    before: Annotated[
        str, typer.Option("--before", metavar="TIME", help="Entries written before this time (UTC) may go.")
    ],
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who does it; recorded. Needed unless --dry-run.")
    ] = "",
    reason: ReasonOption = "",
    minimum_age: Annotated[
        int, typer.Option("--minimum-age", metavar="DAYS", min=0, help="How old entries must be to go; recorded.")
    ] = MINIMUM_AGE.days,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    key: KeyOption = None,
    checkpoints: PlacesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove old entries, as far as nothing keeps them, behind a signed statement that keeps the rest verifiable."""
    time, age = _time(before), dt.timedelta(days=minimum_age)
    if dry_run:
        with opened(context, store) as books:
            plan = books.log.plan_prune(time, minimum_age=age)
    else:
        with opened(context, store, write=True, key=key, signs=True, places=checkpoints or None) as books:
            plan = books.log.prune(time, by=by, reason=reason, minimum_age=age)
    if as_json:
        show.as_json({**plan.model_dump(mode="json"), "count": plan.count, "dry_run": dry_run})
        return
    said = f"{show.count(plan.first)} to {show.count(plan.last)}" if plan.count else "none"
    show.fields([("would go" if dry_run else "pruned", said), *(("kept by", why) for why in plan.kept_by)])
    for place in plan.remains:
        show.note(f"a copy of what was removed may still lie in {place}")


def _time(text: str) -> dt.datetime:
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise AuditError(f"`{text}` is no time", hint="write it as 2026-11-23 or 2026-11-23T10:00:00Z") from error
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def _print(hold: Hold, *, as_json: bool) -> None:
    if as_json:
        show.as_json({**hold.model_dump(mode="json"), "active": hold.active})
        return
    show.fields([("hold", hold.id), ("holds", _what(hold)), ("by", hold.by), ("reason", hold.reason)])
    if not hold.active:
        show.fields([("released by", hold.released_by), ("reason", hold.release_reason)])


def _what(hold: Hold) -> str:
    return ", ".join(f"{name} {value}" for name, value in hold.filter.items()) or "everything"


def _why(hold: Hold) -> str:
    return hold.reason if hold.active else f"{hold.reason}; released by {hold.released_by}: {hold.release_reason}"


__all__ = ["add", "list_holds", "prune", "release"]
