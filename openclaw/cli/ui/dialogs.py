"""Screens over the screen: an entry, a run, and the answer to a question."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from openclaw.approvals import Approval
from openclaw.cli import show
from openclaw.cli.ui.desk import Detail, Pairs
from openclaw.cli.ui.parts import run_lines, told
from openclaw.review.asks import answers_of, background, brief_args
from openclaw.review.entries import brief_call, detail, texts
from openclaw.review.queue import Item
from openclaw.review.timeline import Timeline
from openclaw.review.verdicts import Verdict


class Reading(ModalScreen[None]):
    """Something to read, with the keys of a pager; Escape leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back"),
        Binding("j,down", "down", "Down", show=False),
        Binding("k,up", "up", "Up", show=False),
    ]

    def __init__(self, title: str, parts: list[tuple[str, Text]]) -> None:
        super().__init__()
        self._title = title
        self._parts = parts

    def compose(self) -> ComposeResult:
        """The parts, one below the other."""
        with VerticalScroll(classes="dialog") as box:
            box.border_title = self._title  # textual reads markup in it: nothing from outside stands there
            for heading, content in self._parts:
                if heading:
                    yield Static(Text(heading, style="bold underline"), classes="heading")
                yield Static(content, markup=False)
        yield Footer()

    def action_leave(self) -> None:
        """Back to where one was."""
        self.dismiss(None)

    def action_down(self) -> None:
        """Further down."""
        self.query_one(VerticalScroll).scroll_down()

    def action_up(self) -> None:
        """Further up."""
        self.query_one(VerticalScroll).scroll_up()


def entry_screen(found: Detail) -> Reading:
    """An entry with its explanation and its proof."""
    body = json.dumps(found.entry.body, indent=2, ensure_ascii=False)
    shown = Text("\n".join(show.safe(line) for line in body.split("\n")))
    parts = [("", told(found.pairs))]
    parts += [("why", told(found.explained))] if found.explained else []
    return Reading(f"entry {found.entry.seq}", [*parts, ("body", shown)])


def run_screen(story: Timeline) -> Reading:
    """A run as a tree."""
    states = ("done", "failed", "denied", "rejected", "waiting", "open", "unknown", "cancelled", "suspended")
    counts = ", ".join(f"{found} {state}" for state in states if (found := story.count(state)))
    span = show.duration((story.ended - story.began).total_seconds())
    spent = f"{show.count(story.tokens)} tokens, {show.usd(story.microusd)}"
    whole = told(
        [("run", story.run), ("began", show.moment(story.began)), ("lasted", span), ("steps", counts), ("spent", spent)]
    )
    return Reading("run", [("", whole), ("steps", run_lines(story))])


@dataclass(frozen=True, slots=True)
class Signed:
    """What a person says, and who they say they are."""

    by: str
    reason: str


class Saying(ModalScreen[Signed | None]):
    """What a person says of something: in whose name, and why. Nothing is said before Enter in the last field."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back, nothing is said")]

    def __init__(self, verb: str, pairs: Pairs, *, by: str, asked: str) -> None:
        super().__init__()
        self._verb = verb
        self._pairs = pairs
        self._by = by
        self._asked = asked

    def compose(self) -> ComposeResult:
        """What it is about, and the two fields."""
        with Vertical(classes="dialog answering") as box:
            box.border_title = self._verb
            yield Static(told(self._pairs), markup=False)
            yield Input(value=self._by, placeholder="your name; it is recorded", id="by")
            yield Input(placeholder=f"{self._asked}; it is recorded. Enter says it, Escape does not", id="reason")
        yield Footer()

    def on_mount(self) -> None:
        """Begin where something is missing."""
        self.query_one("#reason" if self._by else "#by", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on to the reason, and from there it is said."""
        by = self.query_one("#by", Input)
        if event.input.id == "by" or not by.value.strip():
            (self.query_one("#reason", Input) if by.value.strip() else by).focus()
            return
        self.dismiss(Signed(by.value.strip(), self.query_one("#reason", Input).value.strip()))

    def action_leave(self) -> None:
        """Nothing is said."""
        self.dismiss(None)


def answering(question: Approval, *, approve: bool, by: str) -> Saying:
    """The answer to one question."""
    verb = "approve" if approve else "reject"
    pairs: Pairs = [
        ("question", question.id),
        ("call", brief_call(question.request.get("input"), question.tool)),
        ("agent", question.agent),
        ("run", question.run),
        *(("why asked", reason) for reason in texts(question.request, "reasons")),
        *background(question),
        *(("needs", str(quorum)) for quorum in question.demand.quorums),
        *answers_of(question),
    ]
    if question.amendment is not None:
        pairs.append(("changed", f"{brief_args(question.amendment.args)}, by {question.amendment.by}"))
    return Saying(verb, pairs, by=by, asked=f"why you {verb}")


def judging(item: Item, verdict: Verdict, state: str, *, by: str) -> Saying:
    """What a reviewer thinks of an entry."""
    entry = item.entry
    pairs: Pairs = [
        ("entry", f"{entry.seq}: {item.name}"),
        ("agent", entry.agent),
        ("run", entry.run),
        ("detail", detail(entry)),
        *((("state", state),) if state else ()),
        *((("said", f"{item.last.verdict} by {item.last.by}: {item.last.comment}"),) if item.last else ()),
    ]
    return Saying(verdict, pairs, by=by, asked="a comment")


__all__ = ["Reading", "Saying", "Signed", "answering", "entry_screen", "judging", "run_screen"]
