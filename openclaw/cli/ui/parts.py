"""What screens are made of: texts from logs made safe, bars of budgets, and a run as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from openclaw.approvals import Approval
from openclaw.audit import Entry
from openclaw.budget import UNITS, Balance
from openclaw.cli import show
from openclaw.review.entries import brief_call, detail, event, texts
from openclaw.review.queue import Item
from openclaw.review.timeline import Step, Timeline

BAR = 24
"""Columns of a budget's bar."""

ACCOUNT_MAX = 34

Row = tuple[str, tuple[Text, ...]]
"""A row of a table: its key, and its cells."""


def told(pairs: Iterable[tuple[str, str | Text]]) -> Text:
    """Names and values, one a line."""
    shown = list(pairs)
    width = max((len(name) for name, _ in shown), default=0) + 2
    out = Text()
    for name, value in shown:
        out.append(show.safe(name).ljust(width), style="bold")
        out.append_text(show.plain_text(value) if isinstance(value, str) else value)
        out.append("\n")
    return out


def entry_row(entry: Entry) -> Row:
    """An entry of the log."""
    return str(entry.seq), (
        Text(str(entry.seq), justify="right"),
        Text(f"{entry.at:%m-%d %H:%M:%S}"),
        show.word(event(entry)),
        show.plain_text(entry.agent),
        show.plain_text(entry.tool),
        show.plain_text(detail(entry)),
    )


def ask_row(question: Approval, agreed: str) -> Row:
    """A question that waits; ``agreed`` is how many have agreed where several must."""
    why = [f"{agreed} agreed"] if agreed else []
    why += texts(question.request, "reasons")
    return question.id, (
        show.plain_text(question.id),
        Text(f"{question.requested_at:%m-%d %H:%M:%S}"),
        show.plain_text(question.agent),
        show.plain_text(brief_call(question.request.get("input"), question.tool)),
        show.plain_text("; ".join(why)),
    )


def review_row(item: Item, state: str) -> Row:
    """An entry that waits for a reviewer; ``state`` is how it stands."""
    entry = item.entry
    return str(entry.seq), (
        Text(str(entry.seq), justify="right"),
        Text(f"{entry.at:%m-%d %H:%M:%S}"),
        show.plain_text(item.name),
        show.word(state),
        show.plain_text(entry.agent),
        show.plain_text(detail(entry)),
    )


def budget_rows(balances: Iterable[Balance]) -> Iterator[Row]:
    """Each limit of each account, with a bar of what is spent and held."""
    for balance in balances:
        for unit in UNITS:
            limit = balance.limits.get(unit)
            if limit is None:
                continue
            spent, held = balance.posted.amount(unit), balance.pending.amount(unit)
            left = limit - spent - held
            said = [Text(show.amount(unit, it), justify="right") for it in (limit, spent, held)]
            yield (
                f"{balance.account} {balance.window} {unit}",
                (
                    show.plain_text(_end_of(balance.account)),
                    Text(show.unit_name(unit)),
                    bar(spent, held, limit),
                    Text(show.amount(unit, left), justify="right", style="red" if left <= 0 else ""),
                    *said,
                    Text(balance.window),
                ),
            )


def _end_of(account: str) -> str:
    """The end of a path, which says more than its beginning."""
    return account if len(account) <= ACCOUNT_MAX else f"…{account[1 - ACCOUNT_MAX :]}"


def bar(spent: int, held: int, limit: int) -> Text:
    """``███▒▒░░░``: what is spent, what is held, what is left of a limit."""
    if limit <= 0:
        return Text("█" * BAR, style="red")
    solid = min(BAR, -(-spent * BAR // limit))
    shaded = min(BAR - solid, -(-held * BAR // limit))
    style = "red" if spent + held >= limit else "yellow" if 5 * (spent + held) >= 4 * limit else "green"
    return Text.assemble(("█" * solid, style), ("▒" * shaded, style), ("░" * (BAR - solid - shaded), "dim"))


def run_lines(story: Timeline) -> Text:
    """A run as an outline: its agents in turn, below each what it asked for."""
    out = Text()
    for turn in story.turns:
        out.append(show.safe(turn.agent or "(no agent)") + "\n", style="bold")
        for step in turn.steps:
            out.append_text(_step(step))
    return out


def _step(step: Step) -> Text:
    what = step.label if step.kind == "tool" else f"{step.kind} {step.label}"
    used = [show.duration(step.duration_ms / 1000)] if step.duration_ms is not None else []
    used += [f"{show.count(step.tokens)} tokens"] if step.tokens else []
    used += [show.usd(step.microusd)] if step.microusd else []
    line = Text.assemble((f"  {step.seq:>5}  ", "dim"), show.plain_text(what), "  ", show.word(step.state))
    line.append(f"  {', '.join(used)}\n" if used else "\n", style="dim")
    notes = list(step.reasons) if step.effect != "allow" else []
    notes += [f"{step.answer.answer} by {step.answer.by}"] if step.answer else []
    notes += [step.error] if step.error else []
    for one in notes:
        line.append(f"         {show.safe(one)}\n", style="italic")
    return line


__all__ = ["Row", "ask_row", "bar", "budget_rows", "entry_row", "review_row", "run_lines", "told"]
