"""``openclaw audit``: read the log, check it, prove its entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from openclaw.audit import Entry
from openclaw.audit.reading import Reader
from openclaw.audit.standing import Standing, standing
from openclaw.cli import show
from openclaw.cli.audit_list import print_entries
from openclaw.cli.books import opened
from openclaw.cli.files import write_file
from openclaw.cli.options import JsonOption, KeyOption, Seq, StoreOption
from openclaw.review.drawing import draw
from openclaw.review.drawing_png import as_png
from openclaw.review.entries import call, detail, event, lifted, reasons, text, texts
from openclaw.review.signatures import Signed, signature_of
from openclaw.review.timeline import Step, Timeline, timeline
from openclaw.review.verdicts import Review, reviews


def show_entry(
    context: typer.Context,
    seq: Seq,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show what is sealed for persons who are not forgotten.")
    ] = False,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one entry whole, and how it stands in the tree.

    With --reveal and the log's key, values that are sealed for persons are in the clear.
    """
    with opened(context, store, key=key, signs=reveal) as books:
        entry = books.log.entry(seq)
        entry = books.log.revealed(entry) if reveal else entry
        stands = standing(books.store, books.log, seq)
        said = [*reviews(Reader(books.store), entry)]
        signed = signature_of(books.log, entry)
    if as_json:
        show.as_json(entry.model_dump(mode="json"))
        return
    print_entry(entry, stands, said, signed)
    show.lines("")
    body = json.dumps(entry.body, indent=2, ensure_ascii=False)
    show.lines("\n".join(show.safe(line) for line in body.split("\n")))


def print_entry(entry: Entry, stands: Standing, said: Sequence[Review] = (), signed: Signed | None = None) -> None:
    """Print what an entry says, how it stands in the tree, and what reviewers have said of it."""
    show.fields(entry_pairs(entry, stands, said, signed))


def entry_pairs(
    entry: Entry, stands: Standing, said: Sequence[Review] = (), signed: Signed | None = None
) -> list[tuple[str, str | Text]]:
    """The same as names and values."""
    pairs: list[tuple[str, str | Text]] = [
        ("entry", str(entry.seq)),
        ("at", show.moment(entry.at)),
        ("kind", entry.kind),
        ("event", show.word(event(entry))),
    ]
    pairs += [(name, value) for name in ("run", "workflow", "agent", "tool") if (value := str(getattr(entry, name)))]
    if entry.call_id:
        pairs.append(("call id", entry.call_id))
    if entry.kind == "decision":
        pairs.append(("call", call(entry)))
        pairs += [("reason", reason) for reason in reasons(entry)]
        pairs += [("rule", rule) for rule in texts(entry.body, "decision", "rules")]
        pairs += [("exception", under)] if (under := lifted(entry)) else []
        pairs += [("refused by", by)] if (by := text(entry.body, "refused_by")) else []
        pairs += [("engine", text(entry.body, "engine")), ("revision", text(entry.body, "revision"))]
    if entry.kind in ("approval", "exception"):
        pairs.append(("said", detail(entry)))
        pairs += [("signed", str(signed))] if signed is not None else []
    verdict = Text.assemble(show.word(stands.verdict), f": {stands.told}")
    remarks = [("reviewed", f"{one.verdict or 'note'} by {one.by}, entry {one.seq}{told_of(one)}") for one in said]
    return [*pairs, ("leaf", entry.leaf), ("proof", verdict), *remarks]


def told_of(review: Review) -> str:
    """The flags and the comment of a review, after a colon."""
    words = [*(f"#{flag}" for flag in review.flags), *filter(None, [review.comment])]
    return f": {'; '.join(words)}" if words else ""


def open_actions(context: typer.Context, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the actions that were let through and have no outcome: running now, or cut off by a crash."""
    with opened(context, store) as books:
        found = books.log.open_actions()
    print_entries(found, as_json=as_json)
    if not found and not as_json:
        show.note("no open actions: everything that was let through has an outcome")


def show_timeline(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="The run; the last one if left out.")] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Draw it instead: bars of time, as an SVG picture.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="The same as a PNG; needs the extra `report`.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run as a tree: its agents in turn, what they asked for, what was answered, what became of it."""
    with opened(context, store) as books:
        story = timeline(books.log, run)
    pictures = [(svg, lambda: draw(story).encode()), (png, lambda: as_png(draw(story)))]
    drawn = [(path, made()) for path, made in pictures if path is not None]
    for path, content in drawn:
        write_file(path, content)
        show.note(f"drew the run `{story.run}` in {path}")
    if drawn:
        return
    if as_json:
        show.as_json(story.model_dump(mode="json"))
    else:
        print_timeline(story)


def print_timeline(story: Timeline) -> None:
    """Print a timeline for people."""
    spent = [f"{show.count(story.tokens)} tokens"] if story.tokens else []
    spent += [show.usd(story.microusd)] if story.microusd else []
    states = (
        *("done", "failed", "cancelled", "suspended", "unknown"),
        *("denied", "rejected", "waiting", "approved", "open"),
    )
    counts = [f"{count} {state}" for state in states if (count := story.count(state))]
    span = show.duration((story.ended - story.began).total_seconds())
    title = Text.assemble(
        ("run ", "bold"),
        show.plain_text(story.run, "bold"),
        show.plain_text(f"  {story.workflow}" if story.workflow else ""),
        show.plain_text(f"  thread {story.thread}" if story.thread else ""),
    )
    tree = Tree(title)
    digits = max((len(str(step.seq)) for step in story.steps), default=1)
    for turn in story.turns:
        branch = tree.add(show.plain_text(turn.agent or "(no agent)", "bold"))
        for step in turn.steps:
            leaf = branch.add(_step(step, digits))
            for line in _notes(step):
                leaf.add(line)
    out = show.screen()
    out.print(tree)
    out.print(f"{show.moment(story.began)}, {span}: {', '.join([*counts, *spent])}")


def _step(step: Step, digits: int) -> Text:
    used = [show.duration(step.duration_ms / 1000)] if step.duration_ms is not None else []
    used += [f"{'about ' if step.estimated else ''}{show.count(step.tokens)} tokens"] if step.tokens else []
    used += [show.usd(step.microusd)] if step.microusd else []
    states = ["ask"] if step.asked is not None else []
    states += [step.answer.answer] if step.answer is not None else []
    states += [step.state] if step.state not in (*states, "rejected", "denied") else []
    states += ["deny"] if step.state == "denied" else []
    what = step.label if step.kind == "tool" else f"{step.kind} {step.label}"
    line = Text.assemble((f"{step.seq:>{digits}}  ", "dim"), show.plain_text(what), "  ")
    for at, state in enumerate(states):
        line.append(" → " if at else "")
        line.append_text(show.word(state))
    return line.append(f"  {', '.join(used)}" if used else "", style="dim")


def _notes(step: Step) -> list[Text]:
    telling = step.effect != "allow" or step.shown == "withheld"
    notes = [show.plain_text(reason) for reason in step.reasons] if telling else []
    if step.excepted:
        notes.append(show.plain_text(f"under exception {step.excepted}"))
    if step.shown == "cut":
        notes.append(show.plain_text("the model saw a part of the result"))
    if step.answer is not None:
        why = f": {step.answer.reason}" if step.answer.reason else ""
        notes.append(show.plain_text(f"{step.answer.answer} by {step.answer.by}{why}"))
    elif step.state == "waiting":
        notes.append(show.plain_text("waiting for a person: see `openclaw approvals list`"))
    if step.error:
        notes.append(show.plain_text(step.error))
    return notes
