"""``openclaw approvals``: the questions that agents put to people."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.approvals import Approval
from openclaw.cli import show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.review.entries import brief_call, texts

app = typer.Typer(help="The questions that agents put to people.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="The question, as `openclaw approvals list` names it.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who answers; it is recorded.")]


@app.command("list")
def list_questions(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Answered and expired ones too.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the questions that wait for an answer, oldest first."""
    with opened(context, store) as books:
        found = books.approvals.list(None if everything else "pending")
    if as_json:
        show.as_json_list(_as_json(question) for question in found)
        return
    if not found:
        show.note("no questions" if everything else "no questions wait for an answer")
        return
    columns = [
        show.Column("id"),
        show.Column("state"),
        show.Column("agent"),
        show.Column("call", wide=True),
        show.Column("why", wide=True),
    ]
    show.table(
        columns,
        [
            (
                question.id,
                show.word(question.state),
                question.agent,
                brief_call(question.request.get("input"), question.tool),
                "; ".join(texts(question.request, "reasons")),
            )
            for question in found
        ],
    )


@app.command()
def approve(
    context: typer.Context,
    question: Id,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve one action with exactly the arguments that were asked for. The graph acts when it is resumed."""
    _answer(context, store, question, by=by, approve=True, reason=reason, as_json=as_json)


@app.command()
def reject(
    context: typer.Context,
    question: Id,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; the agent is told, and it is recorded.")] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reject one action. The agent is told so when its graph is resumed."""
    _answer(context, store, question, by=by, approve=False, reason=reason, as_json=as_json)


def _answer(
    context: typer.Context, store: str | None, question: str, *, by: str, approve: bool, reason: str, as_json: bool
) -> None:
    with opened(context, store, write=True) as books:
        answered = books.answer(question, by=by, approve=approve, reason=reason)
    if as_json:
        show.as_json(_as_json(answered))
        return
    what = brief_call(answered.request.get("input"), answered.tool)
    show.fields([(answered.state, f"{what} of {answered.agent}, by {answered.answered_by}")])


def _as_json(question: Approval) -> dict[str, JsonValue]:
    return question.model_dump(mode="json")
