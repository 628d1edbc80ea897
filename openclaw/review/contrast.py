"""Two runs, or two times, side by side: what one has and the other has not."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from openclaw.review.stats import Stats, Tally
from openclaw.review.timeline import Step, Timeline


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Line(_Frozen):
    """A step that only the first run has (``-``), only the second (``+``), or both; ``seqs`` are its entries in them."""

    sign: Literal["-", "+", " "]
    agent: str
    what: str
    state: str
    seqs: tuple[int, ...]


class Change(_Frozen):
    """A figure in both. ``of`` says of what: ``whole``, ``agent``, ``tool``, ``reason``, ``run``."""

    of: str
    name: str
    figure: str
    before: int
    after: int


class Contrast(_Frozen):
    """What differs. ``lines`` are of two runs, whole and in order; ``changes`` are the figures that are not the same."""

    first: str
    second: str
    changes: tuple[Change, ...]
    lines: tuple[Line, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything does but times and amounts."""
        return any(line.sign != " " for line in self.lines) or (not self.lines and bool(self.changes))


def of_runs(one: Timeline, other: Timeline) -> Contrast:
    """Two runs, step by step: the same are those of the same agent with the same call and the same end."""
    changes = _changes("run", "", _figures_of_run(one), _figures_of_run(other))
    return Contrast(first=one.run, second=other.run, changes=tuple(changes), lines=tuple(_lines(one, other)))


def of_times(first: str, one: Stats, second: str, other: Stats) -> Contrast:
    """Two times, by their counts; ``first`` and ``second`` are how they are called."""
    changes = [*_changes("whole", "", _figures(one.whole), _figures(other.whole))]
    changes += _of_tallies("agent", one.agents, other.agents)
    changes += _of_tallies("tool", one.tools, other.tools)
    before = {(reason.reason, reason.effect): reason.count for reason in one.reasons}
    after = {(reason.reason, reason.effect): reason.count for reason in other.reasons}
    for key in sorted({*before, *after}):
        changes += _changes("reason", key[0], {key[1]: before.get(key, 0)}, {key[1]: after.get(key, 0)})
    return Contrast(first=first, second=second, changes=tuple(changes))


def _of_tallies(of: str, one: Sequence[Tally], other: Sequence[Tally]) -> Iterator[Change]:
    before, after = {tally.name: tally for tally in one}, {tally.name: tally for tally in other}
    for name in sorted({*before, *after}):
        none = Tally(name=name)
        yield from _changes(of, name, _figures(before.get(name, none)), _figures(after.get(name, none)))


def _changes(of: str, name: str, before: dict[str, int], after: dict[str, int]) -> Iterator[Change]:
    for figure, value in before.items():
        if value != after[figure]:
            yield Change(of=of, name=name, figure=figure, before=value, after=after[figure])


def _figures(tally: Tally) -> dict[str, int]:
    return {name: getattr(tally, name) for name in ("allowed", "asked", "denied", "failed", "tokens", "microusd")}


def _figures_of_run(run: Timeline) -> dict[str, int]:
    states = ("done", "failed", "denied", "rejected", "waiting", "open", "unknown", "cancelled", "suspended")
    lasted = round((run.ended - run.began).total_seconds() * 1000)
    figures = {"steps": len(run.steps), **{state: run.count(state) for state in states}}
    return {**figures, "tokens": run.tokens, "microusd": run.microusd, "duration_ms": lasted}


def _lines(one: Timeline, other: Timeline) -> Iterator[Line]:
    left, right = [*_steps(one)], [*_steps(other)]
    same = difflib.SequenceMatcher(a=[_key(*step) for step in left], b=[_key(*step) for step in right], autojunk=False)
    for tag, a, b, c, d in same.get_opcodes():
        if tag == "equal":
            for (agent, step), (_, twin) in zip(left[a:b], right[c:d], strict=True):
                yield _line(" ", agent, step, (step.seq, twin.seq))
            continue
        yield from (_line("-", agent, step, (step.seq,)) for agent, step in left[a:b])
        yield from (_line("+", agent, step, (step.seq,)) for agent, step in right[c:d])


def _steps(run: Timeline) -> Iterator[tuple[str, Step]]:
    for turn in run.turns:
        yield from ((turn.agent, step) for step in turn.steps)


def _key(agent: str, step: Step) -> tuple[str, str, str, str]:
    return agent, step.kind, step.label, step.state


def _line(sign: Literal["-", "+", " "], agent: str, step: Step, seqs: tuple[int, ...]) -> Line:
    what = step.label if step.kind == "tool" else f"{step.kind} {step.label}"
    return Line(sign=sign, agent=agent, what=what, state=step.state, seqs=seqs)


__all__ = ["Change", "Contrast", "Line", "of_runs", "of_times"]
