"""``openclaw approvals``: the questions that agents put to people, and the answers to them."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from openclaw.approvals import Approval
from openclaw.cli import show
from openclaw.cli.books import Books, opened
from openclaw.cli.credentials import SignWithOption, TokenOption, said
from openclaw.cli.options import JsonOption, KeyOption, StoreOption
from openclaw.errors import ConfigurationError
from openclaw.review.asks import answers_of, background, brief_args, progress
from openclaw.review.entries import brief_call, texts

Id = Annotated[str, typer.Argument(metavar="ID", help="The question, as `openclaw approvals list` names it.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who answers; it is recorded.")]


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
            show.as_json_list(_as_json(books, question) for question in found)
            return
        if not found:
            show.note("no questions" if everything else "no questions wait for an answer")
            return
        shared = any(question.demand.people > 1 for question in found)
        columns = [
            show.Column("id"),
            show.Column("state"),
            *([show.Column("agreed")] if shared else []),
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
                    *([progress(books.answers, question)] if shared else []),
                    question.agent,
                    brief_call(question.request.get("input"), question.tool),
                    "; ".join(texts(question.request, "reasons")),
                )
                for question in found
            ],
        )


def show_question(
    context: typer.Context,
    question: Id,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one question with everything that is needed to judge it, and what has been said to it."""
    with opened(context, store) as books:
        found = books.approvals.get(question)
        if as_json:
            show.as_json(_as_json(books, found))
            return
        demand = found.demand
        pairs: list[tuple[str, str | Text]] = [
            ("question", found.id),
            ("state", show.word(found.state)),
            ("call", brief_call(found.request.get("input"), found.tool)),
            ("agent", found.agent),
            ("run", found.run),
            ("asked", f"{show.moment(found.requested_at)}, entry {found.seq}"),
            ("until", show.moment(found.expires_at)),
            *(("why", reason) for reason in texts(found.request, "reasons")),
            *background(found),
            *(("needs", str(quorum)) for quorum in demand.quorums),
            *([("needs", "every answer with proof of who gives it")] if demand.authenticated else []),
            *([("may change", ", ".join(demand.amend))] if demand.amend else []),
        ]
        if found.amendment is not None:
            pairs.append(("changed", f"{brief_args(found.amendment.args)}, by {found.amendment.by}"))
        if demand.people > 1:
            pairs.append(("agreed", progress(books.answers, found)))
        show.fields([*pairs, *answers_of(found)])


def approve(
    context: typer.Context,
    question: Id,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    arg: Annotated[
        list[str] | None,
        typer.Option(
            "--arg",
            metavar="NAME=VALUE",
            help="Change an argument, where the policy allows it: JSON, or else a text. May be given again.",
        ),
    ] = None,
    sign_with: SignWithOption = None,
    token_file: TokenOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve one action with exactly the arguments that were asked for, or with those you change. The graph acts when it is
    resumed."""
    args = dict(map(_argument, arg or ()))
    with opened(context, store, write=True, key=key) as books:
        saying = said(
            books, question, by=by, approve=True, reason=reason, args=args, sign_with=sign_with, token_file=token_file
        )
        _print(books, books.answers.give(question, saying), by, "approved", as_json=as_json)


def reject(
    context: typer.Context,
    question: Id,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; the agent is told, and it is recorded.")] = "",
    sign_with: SignWithOption = None,
    token_file: TokenOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reject one action. The agent is told so when its graph is resumed."""
    with opened(context, store, write=True) as books:
        saying = said(books, question, by=by, approve=False, reason=reason, sign_with=sign_with, token_file=token_file)
        _print(books, books.answers.give(question, saying), by, "rejected", as_json=as_json)


def _print(books: Books, answered: Approval, by: str, verdict: str, *, as_json: bool) -> None:
    if as_json:
        show.as_json(_as_json(books, answered))
        return
    what = brief_call(answered.request.get("input"), answered.tool)
    if answered.amendment is not None:
        what += f" with {brief_args(answered.amendment.args)}"
    waits = f"; {progress(books.answers, answered)} agreed so far" if answered.state == "pending" else ""
    show.fields([(verdict, f"{what} of {answered.agent}, by {by}{waits}")])


def _argument(told: str) -> tuple[str, JsonValue]:
    """A changed argument.

    Raises:
        ConfigurationError: it is no ``NAME=VALUE``.
    """
    name, equals, value = told.partition("=")
    if not equals or not name.strip():
        raise ConfigurationError(f"`{told}` is no argument", hint="write `--arg NAME=VALUE`, such as `--arg amount=90`")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value


def _as_json(books: Books, question: Approval) -> dict[str, JsonValue]:
    agreed, needed = books.answers.progress(question)
    return {**question.model_dump(mode="json"), "agreed": agreed, "needed": needed}


__all__ = ["approve", "list_questions", "reject", "show_question"]
