"""Screens over the screen: an entry, a run, and the answer to a question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import JsonValue
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from openclaw.approvals import Approval
from openclaw.cli import show
from openclaw.cli.ui.desk import Detail
from openclaw.cli.ui.parts import run_lines, told
from openclaw.review.asks import answers_of, brief_args
from openclaw.review.entries import brief_call, texts
from openclaw.review.timeline import Timeline


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


def entry_screen(detail: Detail) -> Reading:
    """An entry with its explanation and its proof."""
    body = json.dumps(detail.entry.body, indent=2, ensure_ascii=False)
    shown = Text("\n".join(show.safe(line) for line in body.split("\n")))
    parts = [("", told(detail.pairs))]
    parts += [("why", told(detail.explained))] if detail.explained else []
    return Reading(f"entry {detail.entry.seq}", [*parts, ("body", shown)])


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
class Answer:
    """What a person says to a question; ``args`` are the changed arguments that they have seen."""

    question: str
    approve: bool
    by: str
    reason: str
    args: Mapping[str, JsonValue]


class Answering(ModalScreen[Answer | None]):
    """The answer to one question: in whose name, and why. Nothing is answered before Enter in the last field."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back, without an answer")]

    def __init__(self, question: Approval, *, approve: bool, by: str) -> None:
        super().__init__()
        self._question = question
        self._approve = approve
        self._by = by

    def compose(self) -> ComposeResult:
        """What is asked, and the two fields."""
        question = self._question
        verb = "approve" if self._approve else "reject"
        with Vertical(classes="dialog answering") as box:
            box.border_title = verb
            pairs = [
                ("question", question.id),
                ("call", brief_call(question.request.get("input"), question.tool)),
                ("agent", question.agent),
                ("run", question.run),
                *(("why asked", reason) for reason in texts(question.request, "reasons")),
                *(("needs", str(quorum)) for quorum in question.demand.quorums),
                *answers_of(question),
            ]
            if question.amendment is not None:
                changed = brief_args(question.amendment.args)
                pairs.append(("changed", f"{changed}, by {question.amendment.by}"))
            yield Static(told(pairs), markup=False)
            yield Input(value=self._by, placeholder="your name; it is recorded", id="by")
            yield Input(placeholder=f"why you {verb}; it is recorded. Enter answers, Escape does not", id="reason")
        yield Footer()

    def on_mount(self) -> None:
        """Begin where something is missing."""
        self.query_one("#reason" if self._by else "#by", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on to the reason, and from there it answers."""
        by = self.query_one("#by", Input)
        if event.input.id == "by" or not by.value.strip():
            (self.query_one("#reason", Input) if by.value.strip() else by).focus()
            return
        reason = self.query_one("#reason", Input).value.strip()
        amendment = self._question.amendment
        args = amendment.args if amendment is not None and self._approve else {}
        self.dismiss(Answer(self._question.id, self._approve, by.value.strip(), reason, args))

    def action_leave(self) -> None:
        """No answer."""
        self.dismiss(None)


__all__ = ["Answer", "Answering", "Reading", "entry_screen", "run_screen"]
