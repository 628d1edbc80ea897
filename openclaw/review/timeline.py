"""One run as a tree: its agents in turn, below each what it asked for, what was answered, and what became of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from openclaw.audit import AuditLog, Entry
from openclaw.errors import AuditError
from openclaw.review.entries import call, lifted, number, part, reasons, text

PAGE = 500


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Answer(_Frozen):
    """A person's answer to a question. ``seq`` is its entry."""

    seq: int
    approval: str
    answer: str
    by: str
    reason: str = ""
    at: dt.datetime


class Step(_Frozen):
    """One action: the decision on it, a person's answer if there was a question, and its outcome if it has one.

    ``seq`` is the entry of the decision that counted last, which came at ``decided``; ``asked`` is that of the question
    before it, and ``at`` the time of whichever came first. ``duration_ms`` is
    from permission to outcome; tokens and money are what was posted for it. ``state`` is the last thing known:

        denied     refused                      waiting    a question without an answer
        approved   answered, not yet run again  rejected   answered, not yet run again
        open       permitted, without outcome   done, failed, cancelled
        suspended  waits by itself              unknown    its process is gone

    ``excepted`` names the exception that it passed under, if it did, and what that has lifted.
    ``shown`` says what became of the result on its way to the model: ``cut``, ``withheld`` (then ``reasons`` say why), or
    nothing.
    """

    seq: int
    at: dt.datetime
    decided: dt.datetime
    kind: str
    label: str
    call_id: str = ""
    effect: str
    state: str
    reasons: tuple[str, ...] = ()
    refused_by: str = ""
    asked: int | None = None
    answer: Answer | None = None
    outcome: int | None = None
    duration_ms: int | None = None
    tokens: int = 0
    microusd: int = 0
    calls: int = 0
    estimated: bool = False
    error: str = ""
    shown: str = ""
    excepted: str = ""


class Turn(_Frozen):
    """What one agent did before another took over."""

    agent: str
    steps: tuple[Step, ...]


class Timeline(_Frozen):
    """One run, from its first entry to its last. Totals are over its steps."""

    run: str
    workflow: str
    thread: str
    began: dt.datetime
    ended: dt.datetime
    entries: int
    turns: tuple[Turn, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in the order in which they were first asked for."""
        return tuple(step for turn in self.turns for step in turn.steps)

    def count(self, state: str) -> int:
        """How many steps ended in ``state``."""
        return sum(step.state == state for step in self.steps)

    @property
    def tokens(self) -> int:
        """Tokens posted."""
        return sum(step.tokens for step in self.steps)

    @property
    def microusd(self) -> int:
        """Money posted, in micro-USD."""
        return sum(step.microusd for step in self.steps)


def timeline(log: AuditLog, run: str | None = None) -> Timeline:
    """The timeline of one run, or of the last one in the log.

    Raises:
        AuditError: the log has no entry of that run, or none of any run.
    """
    wanted = run or last_run(log)
    if wanted is None:
        raise AuditError("the log has no runs yet", hint="they appear when a governed graph is invoked")
    entries = log.entries(run=wanted)
    if not entries:
        raise AuditError(
            f"there is no run `{wanted}` in the log", hint="see the run of an entry with `openclaw audit show`"
        )
    return build(entries)


def last_run(log: AuditLog) -> str | None:
    """The run of the newest entry that belongs to one."""
    before: int | None = None
    while page := log.entries(before=before, newest_first=True, limit=PAGE):
        for entry in page:
            if entry.run:
                return entry.run
        before = page[-1].seq  # rare: hundreds of entries outside of any run
    return None


def build(entries: Iterable[Entry]) -> Timeline:
    """The timeline of the entries of one run, in log order."""
    found = list(entries)
    known = [entry for entry in found if entry.kind != "review"] or found  # what was said of it later is no part of it
    steps: dict[int, tuple[str, Step]] = {}  # by the decision that came first, with its agent
    begun: dict[int, int] = {}  # any decision → the one that came first
    asks: dict[str, int] = {}  # question → the decision that asked it
    for entry in known:
        match entry.kind:
            case "decision" if text(entry.body, "input", "kind") == "result":
                if entry.effect == "deny":
                    _extend(steps, begun, number(entry.body, "of"), {"reasons": reasons(entry)})
            case "decision":
                first = asks.get(text(entry.body, "approval"), entry.seq)
                begun[entry.seq] = first
                agent, earlier = steps.get(first, (entry.agent, None))
                steps[first] = (agent, _decided(entry, earlier))
            case "approval" if text(entry.body, "answer"):
                _extend(steps, begun, number(entry.body, "decision"), _answered(entry))
                asks[text(entry.body, "approval")] = begun.get(number(entry.body, "decision"), 0)
            case "outcome":
                _extend(steps, begun, number(entry.body, "decision"), _ended(entry))
            case _:
                pass  # a checkpoint or halt inside a run is no step of it
    turns: list[tuple[str, list[Step]]] = []
    for agent, step in steps.values():
        if not turns or turns[-1][0] != agent:
            turns.append((agent, []))
        turns[-1][1].append(step)
    return Timeline(
        run=known[0].run,
        workflow=next((entry.workflow for entry in known if entry.workflow), ""),
        thread=next((found for entry in known if (found := text(entry.body, "input", "run", "thread"))), ""),
        began=known[0].at,
        ended=known[-1].at,
        entries=len(known),
        turns=tuple(Turn(agent=agent, steps=tuple(steps)) for agent, steps in turns),
    )


_STATES: dict[str, Literal["open", "waiting", "denied"]] = {"allow": "open", "ask": "waiting", "deny": "denied"}


def _decided(entry: Entry, earlier: Step | None) -> Step:
    return Step(
        seq=entry.seq,
        at=earlier.at if earlier else entry.at,
        decided=entry.at,
        kind=text(entry.body, "input", "kind") or "tool",
        label=call(entry),
        call_id=entry.call_id,
        effect=entry.effect,
        state=_STATES.get(entry.effect, "open"),
        reasons=reasons(entry),
        refused_by=text(entry.body, "refused_by"),
        asked=entry.seq if entry.effect == "ask" else earlier.asked if earlier else None,
        answer=earlier.answer if earlier else None,
        excepted=lifted(entry) if part(entry.body, "exception", "use") else "",
    )


def _answered(entry: Entry) -> dict[str, object]:
    answer = Answer(
        seq=entry.seq,
        approval=text(entry.body, "approval"),
        answer=text(entry.body, "answer"),
        by=text(entry.body, "by"),
        reason=text(entry.body, "reason"),
        at=entry.at,
    )
    # One of several who must agree: the step waits on.
    waits = text(entry.body, "state") == "pending"
    return {"answer": answer, "state": "waiting" if waits else answer.answer}


def _ended(entry: Entry) -> dict[str, object]:
    return {
        "outcome": entry.seq,
        "state": text(entry.body, "status"),
        "duration_ms": number(entry.body, "duration_ms"),
        "tokens": number(entry.body, "used", "tokens"),
        "microusd": number(entry.body, "used", "microusd"),
        "calls": number(entry.body, "used", "calls"),
        "estimated": part(entry.body, "estimated") is True,
        "error": text(entry.body, "error"),
        "shown": text(entry.body, "shown"),
    }


def _extend(steps: dict[int, tuple[str, Step]], begun: dict[int, int], decision: int, known: dict[str, object]) -> None:
    """Add to the step of a decision; an answer to a decision that is not in the log has no step to go to."""
    first = begun.get(decision)
    if first is not None:
        agent, step = steps[first]
        steps[first] = (agent, step.model_copy(update=known))
