"""``openclaw exceptions``: break-glass. A person lifts something for a time, and somebody else looks at it afterwards."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from openclaw.approvers import how_proved
from openclaw.audit.reading import Reader
from openclaw.breakglass import SECONDS_MAX, PolicyException
from openclaw.cli import show
from openclaw.cli.audit import told_of
from openclaw.cli.books import Books, opened
from openclaw.cli.credentials import SignWithOption, TokenOption, approver_key, approver_token
from openclaw.cli.halts import WorkflowOption
from openclaw.cli.options import ByOption, JsonOption, KeyOption, ReasonOption, StoreOption
from openclaw.errors import ConfigurationError
from openclaw.review.entries import call, number, texts
from openclaw.review.exceptions import Watched, watched
from openclaw.review.period import span_of

Id = Annotated[str, typer.Argument(metavar="ID", help="The exception, as `openclaw exceptions list` names it.")]


def open_exception(
    context: typer.Context,
    by: ByOption,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; recorded.")],
    agent: Annotated[str, typer.Option("--agent", metavar="NAME", help="For this agent.")] = "",
    workflow: WorkflowOption = "",
    tool: Annotated[str, typer.Option("--tool", metavar="NAME", help="For this tool, or model.")] = "",
    arg: Annotated[
        list[str] | None,
        typer.Option(
            "--arg", metavar="CONDITION", help="Only calls with such an argument: amount<=500. May be given again."
        ),
    ] = None,
    uses: Annotated[int, typer.Option("--uses", metavar="N", help="How many actions may pass under it.")] = 1,
    span: Annotated[str, typer.Option("--for", metavar="SPAN", help="How long it stands: 30m, 2h, 1d.")] = "1h",
    sign_with: SignWithOption = None,
    token_file: TokenOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open an exception. It lifts what policies let exceptions lift, and waits in `openclaw review` until somebody else has
    judged it and each of its uses."""
    seconds = _seconds(span)
    with opened(context, store, write=True, key=key) as books:
        signer = approver_key(sign_with)
        found = books.exceptions.open(
            workflow=workflow,
            agent=agent,
            tool=tool,
            args=arg or (),
            by=by,
            reason=reason,
            uses=uses,
            seconds=seconds,
            sign_with=signer,
            token="" if signer is not None else approver_token(token_file),
        )
        if as_json:
            show.as_json(_as_json(books, found, None))
            return
    many = f"{show.count(found.uses)} {'use' if found.uses == 1 else 'uses'}"
    show.fields([("opened", f"{found.id}: {found.scope}, {many} until {show.moment(found.expires_at)}, by {found.by}")])
    show.note(f"entry {found.seq} waits for the review of somebody else: see `openclaw review`")


def list_exceptions(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Used up, expired and closed ones too.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the exceptions that stand, oldest first, and whether somebody else has looked at them."""
    with opened(context, store) as books:
        found = books.exceptions.list(None if everything else "open")
        looked = watched(Reader(books.store), after=found[0].seq - 1) if found else {}
        if as_json:
            show.as_json_list(_as_json(books, one, looked.get(one.id)) for one in found)
            return
        now = books.store.clock.now()
    if not found:
        show.note("no exceptions" if everything else "no exceptions are open")
        return
    columns = [
        show.Column("id"),
        show.Column("state"),
        show.Column("used", justify="right"),
        show.Column("until (UTC)"),
    ]
    columns += [show.Column("by"), show.Column("covers", wide=True)]
    columns += [show.Column("reviewed")]
    rows = [
        (
            one.id,
            show.word(one.state(now)),
            f"{one.used} of {one.uses}",
            f"{one.expires_at:%m-%d %H:%M}",
            one.by,
            str(one.scope),
            looked[one.id].reviewed if one.id in looked else "",
        )
        for one in found
    ]
    show.table(columns, rows)


def show_exception(
    context: typer.Context, exception: Id, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Show one exception: what it covers, what has passed under it, and who has looked at that."""
    with opened(context, store) as books:
        found = books.exceptions.get(exception)
        looked = watched(Reader(books.store), after=found.seq - 1).get(found.id)
        if as_json:
            show.as_json(_as_json(books, found, looked))
            return
        show.fields([*_pairs(books, found), *(_looked(books, looked) if looked is not None else ())])


def close_exception(
    context: typer.Context,
    exception: Id,
    by: ByOption,
    reason: ReasonOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close an exception before its time. What has passed under it stays to be reviewed."""
    with opened(context, store, write=True) as books:
        found = books.exceptions.close(exception, by=by, reason=reason)
        if as_json:
            show.as_json(_as_json(books, found, None))
            return
    why = f": {reason}" if reason else ""
    show.fields([("closed", f"{found.id}: {found.scope}, {found.used} of {found.uses} used, by {by}{why}")])


def _seconds(span: str) -> int:
    length = span_of(span.strip())
    if length is None or not 0 < length.total_seconds() <= SECONDS_MAX:
        raise ConfigurationError(
            f"`--for {span}` is no time that an exception may stand",
            hint=f"write 30m, 2h or 1d, {SECONDS_MAX // 86_400}d at most",
        )
    return int(length.total_seconds())


def _pairs(books: Books, one: PolicyException) -> list[tuple[str, str | Text]]:
    proved = {"": "by name alone", "token": "with a token", "signature": "signed"}[how_proved(one.proof)]
    pairs: list[tuple[str, str | Text]] = [
        ("exception", one.id),
        ("state", show.word(one.state(books.store.clock.now()))),
        ("covers", str(one.scope)),
        ("by", f"{one.by}, {proved}"),
        ("reason", one.reason),
        ("opened", f"{show.moment(one.opened_at)}, entry {one.seq}"),
        ("until", show.moment(one.expires_at)),
        ("used", f"{one.used} of {one.uses}"),
    ]
    if fault := books.exceptions.fault(one.id):
        pairs.insert(2, ("fault", Text(fault, style="red")))
    if one.closed_at is not None:
        pairs.append(("closed", f"{show.moment(one.closed_at)} by {one.closed_by}"))
    return pairs


def _looked(books: Books, looked: Watched) -> list[tuple[str, str | Text]]:
    pairs: list[tuple[str, str | Text]] = []
    for entry in looked.uses:
        decision = books.log.entry(number(entry.body, "decision"))
        lifted = "; ".join(texts(entry.body, "plain", "reasons"))
        pairs.append(
            (f"use {number(entry.body, 'use')}", f"{call(decision)} of {decision.agent}, entry {decision.seq}")
        )
        pairs += [("in spite of", lifted)] if lifted else []
    pairs += [
        ("reviewed", f"entry {seq}: {one.verdict} by {one.by}, entry {one.seq}{told_of(one)}")
        for seq, one in looked.verdicts.items()
    ]
    if looked.waiting:
        waiting = ", ".join(map(str, looked.waiting))
        pairs.append(
            (
                "waits",
                f"{'entry' if len(looked.waiting) == 1 else 'entries'} {waiting}, for the review of somebody else",
            )
        )
    return pairs


def _as_json(books: Books, one: PolicyException, looked: Watched | None) -> dict[str, JsonValue]:
    said: dict[str, JsonValue] = one.model_dump(mode="json", exclude={"proof", "seal"})
    said |= {
        "scope": one.scope.present(),
        "state": one.state(books.store.clock.now()),
        "seconds": one.seconds,
        "proof": how_proved(one.proof),
    }
    if looked is not None:
        said["decisions"] = [number(entry.body, "decision") for entry in looked.uses]
        said["waiting"] = [*looked.waiting]
        said["verdicts"] = [review.model_dump(mode="json") for review in looked.verdicts.values()]
    return said


__all__ = ["close_exception", "list_exceptions", "open_exception", "show_exception"]
