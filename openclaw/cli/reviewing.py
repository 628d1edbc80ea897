"""``openclaw review`` and ``audit note``: what waits for a reviewer, one entry after the other, and what they say of it."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from openclaw.approvals import Approval
from openclaw.audit import Entry
from openclaw.audit.reading import Reader
from openclaw.audit.standing import standing
from openclaw.cli import show
from openclaw.cli.audit import print_entry, told_of
from openclaw.cli.books import Books, opened
from openclaw.cli.credentials import SignWithOption, TokenOption, prover_of
from openclaw.cli.filters import Filters, filtered
from openclaw.cli.options import JsonOption, KeyOption, Seq, StoreOption
from openclaw.errors import ApprovalError
from openclaw.review.entries import detail
from openclaw.review.queue import Item, queue
from openclaw.review.verdicts import Prover, Review, Verdict, add_review, counts, reviews

PAGE = 50
LETTERS: dict[str, Verdict] = {"a": "agreed", "d": "disputed", "f": "follow-up"}
QUESTION = "[a]greed, [d]isputed, [f]ollow-up, [s]kip, [q]uit"


class VerdictName(StrEnum):
    """What a reviewer thinks of an entry."""

    AGREED = "agreed"
    DISPUTED = "disputed"
    FOLLOW_UP = "follow-up"


def note(
    context: typer.Context,
    seq: Seq,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who reviews; recorded.")],
    verdict: Annotated[VerdictName | None, typer.Option(help="What you think of it.")] = None,
    flag: Annotated[list[str] | None, typer.Option(metavar="WORD", help="A flag. May be given again.")] = None,
    comment: Annotated[str, typer.Option(metavar="TEXT", help="A comment; recorded.")] = "",
    sign_with: SignWithOption = None,
    token_file: TokenOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say something of an entry: a verdict, flags, a comment. It becomes an entry of the log itself. This writes."""
    with opened(context, store, write=True, key=key) as books:
        said = add_review(
            books.log,
            seq,
            by=by,
            verdict=verdict.value if verdict else None,
            flags=flag or (),
            comment=comment,
            prover=prover_of(books, sign_with, token_file),
        )
        entry = books.log.entry(seq)
    if as_json:
        show.as_json(said.model_dump(mode="json"))
    else:
        show.fields([("entry", f"{said.seq}: {said.verdict or 'note'} of {said.of} by {said.by}{told_of(said)}")])
    _say_whether_it_counts(entry, said)


@filtered
def review(
    context: typer.Context,
    filters: Filters,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Work through them, in this name. This writes.")
    ] = None,
    listed: Annotated[bool, typer.Option("--queue", help="Only list them, as without --by.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many entries.")] = PAGE,
    sign_with: SignWithOption = None,
    token_file: TokenOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for a reviewer: denials, asks, halts and exceptions without a verdict; with --by, judge them one by one."""
    works = by is not None and not listed and not as_json
    with opened(context, store, write=works, key=key) as books:
        reader = Reader(books.store)
        items = list(queue(reader, filters.query(books.store.clock.now()), limit=limit))
        answers = books.approvals.of({item.entry.seq: item.entry.at for item in items if item.name == "ask"})
        if works:
            _work_through(books, reader, items, answers, by or "", prover_of(books, sign_with, token_file))
            return
    if as_json:
        show.as_json_list(_as_json(item, answers) for item in items)
        return
    _print(items, answers)
    if len(items) == limit:
        show.note(f"the oldest {show.count(limit)}; --limit shows more")


def _work_through(
    books: Books, reader: Reader, items: list[Item], answers: dict[int, Approval], by: str, prover: Prover
) -> None:
    judged = 0
    if items:
        books.store.run(lambda _: None)  # who may not write hears it now, and not when they have judged and said why
    for number, item in enumerate(items, start=1):
        show.heading(f"{number} of {len(items)}: {item.name}")
        seq = item.entry.seq
        print_entry(item.entry, standing(books.store, books.log, seq), [*reviews(reader, item.entry)])
        if seq in answers:
            show.fields([("answered", _answered(answers[seq]))])
        letter = _asked()
        if letter == "q":
            break
        if letter == "s":
            continue
        comment = _line("comment (may be empty)")
        try:
            said = add_review(books.log, seq, by=by, verdict=LETTERS[letter], comment=comment or "", prover=prover)
        except ApprovalError as error:  # of an exception; the others can be judged all the same
            show.failure(str(error))
            continue
        judged += 1
        show.note(f"entry {said.seq}: {said.verdict} by {said.by}")
        _say_whether_it_counts(item.entry, said)
    show.note(f"{judged} of {len(items)} judged" if items else "nothing waits for a reviewer")


def _say_whether_it_counts(entry: Entry, said: Review) -> None:
    if said.verdict and not counts(entry, said):
        show.note(f"`{said.by}` has opened the exception: entry {entry.seq} waits until somebody else has judged it")


def _asked() -> str:
    while (said := _line(QUESTION)) is not None:
        letter = said.strip()[:1].lower()
        if letter in (*LETTERS, "s", "q"):
            return letter
    return "q"


def _line(question: str) -> str | None:
    """A line from the reviewer; None at the end of the input. The question is no data."""
    out = show.messages()
    out.print(show.plain_text(f"{question}: "), end="")
    said = sys.stdin.readline()
    return said.rstrip("\n") if said else None


def _print(items: list[Item], answers: dict[int, Approval]) -> None:
    if not items:
        show.note("nothing waits for a reviewer")
        return
    columns = [show.Column("seq", justify="right"), show.Column("time (UTC)"), show.Column("what")]
    columns += [show.Column("state"), show.Column("agent"), show.Column("detail", wide=True)]
    rows = [
        (
            str(item.entry.seq),
            f"{item.entry.at:%Y-%m-%d %H:%M:%S}",
            item.name,
            show.word(state_of(item, answers)),
            item.entry.agent,
            detail(item.entry),
        )
        for item in items
    ]
    show.table(columns, rows)


def state_of(item: Item, answers: dict[int, Approval]) -> str:
    """In a word, how an entry stands that waits for a reviewer: the last verdict, or what a person has answered."""
    if item.last is not None:
        return item.last.verdict
    return _said(answers[item.entry.seq]) if item.entry.seq in answers else ""


def _said(question: Approval) -> str:
    """What a person said; that the approval has been used since is no other answer."""
    return "approved" if question.state == "used" else question.state


def _answered(question: Approval) -> str:
    why = f": {question.reason}" if question.reason else ""
    return f"{_said(question)} by {question.answered_by}{why}" if question.answered_by else _said(question)


def _as_json(item: Item, answers: dict[int, Approval]) -> dict[str, object]:
    question = answers.get(item.entry.seq)
    return {
        "what": item.name,
        "entry": item.entry.model_dump(mode="json"),
        "last": item.last.model_dump(mode="json") if item.last else None,
        "answer": question.model_dump(mode="json") if question else None,
    }


__all__ = ["note", "review", "state_of"]
