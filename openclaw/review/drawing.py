"""A timeline as a picture (SVG 1.1): a line for each action, a bar for the time that it waited for a person and ran.

The same timeline gives the same bytes. Texts are escaped, and the picture holds no script, link or font of elsewhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from xml.sax.saxutils import escape

from openclaw.review.timeline import Step, Timeline
from openclaw.review.wording import count, duration, moment, safe, shortened, usd

WIDTH, ROW, TOP, MARGIN = 1280, 22, 92, 16
LABELS, BARS = 470, 460
"""Pixels for what was asked for, and for when it ran; what it came to has the rest."""

LABEL_MAX, FIGURES_MAX = 60, 44
BAR_MIN = 3

COLOURS = {
    "done": "#2e7d32",
    "approved": "#2e7d32",
    "failed": "#c62828",
    "denied": "#c62828",
    "rejected": "#c62828",
    "unknown": "#c62828",
    "waiting": "#b26a00",
    "open": "#1565c0",
    "suspended": "#b26a00",
    "cancelled": "#6d6d6d",
}
ASKED = "#f0c36d"
"""The time in which a question waited for its answer."""

_STYLE = "text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1f2328}.h{font-weight:bold}.d{fill:#59636e}"


def draw(story: Timeline) -> str:
    """One run as an SVG document."""
    scale = _Scale(story)
    rows = [*_rows(story)]
    height = TOP + ROW * len(rows) + MARGIN
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{_text(f'run {story.run}')}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *_head(story, scale),
    ]
    for number, row in enumerate(rows):
        y = TOP + ROW * number
        parts += _agent(row, y) if isinstance(row, str) else _step(row, y, scale)
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Scale:
    """Where a moment of the run stands, from the left."""

    def __init__(self, story: Timeline) -> None:
        self.began = story.began
        self.seconds = max((story.ended - story.began).total_seconds(), 0.001)

    def x(self, at: dt.datetime) -> float:
        share = (at - self.began).total_seconds() / self.seconds
        return LABELS + BARS * min(1.0, max(0.0, share))


def _rows(story: Timeline) -> Iterator[str | Step]:
    for turn in story.turns:
        yield turn.agent or "(no agent)"
        yield from turn.steps


def _head(story: Timeline, scale: _Scale) -> Iterator[str]:
    named = "  ".join(filter(None, (f"run {story.run}", story.workflow, story.thread and f"thread {story.thread}")))
    yield _line(MARGIN, 26, named, "h", 140)
    spent = [f"{count(story.tokens)} tokens"] if story.tokens else []
    spent += [usd(story.microusd)] if story.microusd else []
    states = [f"{found} {state}" for state in COLOURS if (found := story.count(state))]
    lasted = f"{moment(story.began)}, {duration(scale.seconds)}"
    yield _line(MARGIN, 46, ": ".join(filter(None, (lasted, ", ".join([*states, *spent])))), "d", 140)
    for quarter in range(5):
        x = LABELS + BARS * quarter / 4
        yield f'<line x1="{x:.1f}" y1="{TOP - 16}" x2="{x:.1f}" y2="{TOP + ROW * len([*_rows(story)])}" stroke="#e3e6ea"/>'
        yield _line(x, TOP - 22, duration(scale.seconds * quarter / 4) if quarter else "0", "d", 12, middle=True)


def _agent(name: str, y: int) -> Iterator[str]:
    yield _line(MARGIN, y + 15, name, "h", LABEL_MAX)


def _step(step: Step, y: int, scale: _Scale) -> Iterator[str]:
    what = step.label if step.kind == "tool" else f"{step.kind} {step.label}"
    yield "<g>"
    yield f"<title>{_text('; '.join((f'entry {step.seq}: {what}', step.state, *step.reasons)))}</title>"
    yield _line(MARGIN + 14, y + 15, f"{step.seq}  {what}", "", LABEL_MAX)
    colour = COLOURS.get(step.state, "#59636e")
    if step.asked is not None:
        until = step.answer.at if step.answer else scale.began + dt.timedelta(seconds=scale.seconds)
        yield _bar(scale.x(step.at), scale.x(until), y, ASKED)
    if step.asked is None or step.outcome is not None:
        ran = dt.timedelta(milliseconds=step.duration_ms or 0)
        if step.state == "open":
            ran = dt.timedelta(seconds=scale.seconds)  # it runs still, as far as the log knows
        yield _bar(scale.x(step.decided), scale.x(step.decided + ran), y, colour)
    figures = [step.state, *([duration(step.duration_ms / 1000)] if step.duration_ms is not None else [])]
    figures += [f"{count(step.tokens)} tokens"] if step.tokens else []
    figures += [usd(step.microusd)] if step.microusd else []
    yield _line(LABELS + BARS + 14, y + 15, ", ".join(figures), "", FIGURES_MAX, fill=colour)
    yield "</g>"


def _bar(start: float, end: float, y: int, colour: str) -> str:
    width = max(BAR_MIN, end - start)
    return f'<rect x="{start:.1f}" y="{y + 5}" width="{width:.1f}" height="{ROW - 10}" rx="2" fill="{colour}"/>'


def _line(x: float, y: int, text: str, kind: str, length: int, *, middle: bool = False, fill: str = "") -> str:
    attributes = f' class="{kind}"' if kind else ""
    attributes += ' text-anchor="middle"' if middle else ""
    attributes += f' style="fill:{fill}"' if fill else ""
    return f'<text x="{x:.1f}" y="{y}"{attributes}>{_text(shortened(text, length))}</text>'


def _text(text: str) -> str:
    return escape(safe(text))


__all__ = ["draw"]
