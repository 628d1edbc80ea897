"""``openclaw audit``: read the log, check it, prove its entries."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from openclaw.audit import Entry
from openclaw.cli import show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, KeyOption, Seq, StoreOption
from openclaw.decision import Effect
from openclaw.review.entries import call, detail, event, reasons, text, texts
from openclaw.review.timeline import Step, Timeline, timeline

app = typer.Typer(help="Read the log, check it, prove its entries.", no_args_is_help=True, rich_markup_mode=None)

PAGE = 50


class Kind(StrEnum):
    """The kinds of entries."""

    DECISION = "decision"
    OUTCOME = "outcome"
    RESERVATION = "reservation"
    APPROVAL = "approval"
    CHECKPOINT = "checkpoint"
    POLICY = "policy"
    HALT = "halt"
    HOLD = "hold"
    ERASURE = "erasure"


@app.command("list")
def list_entries(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="At most so many entries: the last ones, or the next ones.")] = PAGE,
    kind: Annotated[Kind | None, typer.Option(help="Only entries of this kind.")] = None,
    run: Annotated[str | None, typer.Option(help="Only entries of this run.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only entries of this agent.")] = None,
    tool: Annotated[str | None, typer.Option(help="Only entries about this tool or model.")] = None,
    effect: Annotated[Effect | None, typer.Option(help="Only decisions with this effect.")] = None,
    after: Annotated[int | None, typer.Option(min=0, metavar="SEQ", help="Go on after this entry.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List entries in the order of the log: the last ones, or with --after the next ones."""
    with opened(context, store) as books:
        found = books.log.entries(
            kind=kind.value if kind else None,
            run=run,
            agent=agent,
            tool=tool,
            effect=effect.value if effect else None,
            after=after or 0,
            limit=limit,
            newest_first=after is None,
        )
    _print_entries(found if after is not None else found[::-1], as_json=as_json)
    if len(found) == limit and after is None and not as_json:
        show.note(f"the last {show.count(limit)} entries; --limit shows more, --after SEQ goes on from an entry")


@app.command("show")
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
    """Show one entry whole. With --reveal and the log's key, values that are sealed for persons are in the clear."""
    with opened(context, store, key=key, signs=reveal) as books:
        entry = books.log.entry(seq)
        entry = books.log.revealed(entry) if reveal else entry
    if as_json:
        show.as_json(entry.model_dump(mode="json"))
        return
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
        pairs += [("refused by", by)] if (by := text(entry.body, "refused_by")) else []
        pairs += [("engine", text(entry.body, "engine")), ("revision", text(entry.body, "revision"))]
    show.fields([*pairs, ("leaf", entry.leaf)])
    show.lines("")
    body = json.dumps(entry.body, indent=2, ensure_ascii=False)
    show.lines("\n".join(show.safe(line) for line in body.split("\n")))


@app.command("open")
def open_actions(context: typer.Context, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the actions that were let through and have no outcome: running now, or cut off by a crash."""
    with opened(context, store) as books:
        found = books.log.open_actions()
    _print_entries(found, as_json=as_json)
    if not found and not as_json:
        show.note("no open actions: everything that was let through has an outcome")


@app.command("timeline")
def show_timeline(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="The run; the last one if left out.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run as a tree: its agents in turn, what they asked for, what was answered, what became of it."""
    with opened(context, store) as books:
        story = timeline(books.log, run)
    if as_json:
        show.as_json(story.model_dump(mode="json"))
    else:
        print_timeline(story)


def _print_entries(found: list[Entry], *, as_json: bool) -> None:
    if as_json:
        show.as_json_list(entry.model_dump(mode="json") for entry in found)
        return
    if not found:
        show.note("no entries")
        return
    # A page that lies within one day says so once, in the heading.
    days = {f"{entry.at:%Y-%m-%d}" for entry in found}
    columns = [
        show.Column("seq", justify="right"),
        show.Column(f"{days.copy().pop()} UTC" if len(days) == 1 else "time (UTC)"),
        show.Column("event"),
        show.Column("agent"),
        show.Column("tool"),
        show.Column("detail", wide=True),
    ]
    when = "%H:%M:%S" if len(days) == 1 else "%Y-%m-%d %H:%M:%S"
    rows = [
        (str(entry.seq), f"{entry.at:{when}}", show.word(event(entry)), entry.agent, entry.tool, detail(entry))
        for entry in found
    ]
    show.table(columns, rows)


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
