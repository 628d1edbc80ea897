"""The circumstances of a call that has not been made yet: what its input says besides who calls what with which arguments.

The usual ones: the first call of a run, everything in it named by the user, budgets that are hardly used, nobody has been
asked. The others differ from that in one thing each, and only those count of which a rule reads something.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from openclaw.action import Action, Context, Handoff, ModelCall, Principal, Run, ToolCall, policy_input, utc
from openclaw.flow import Flow, Source
from openclaw.policy.agents import AgentSpec, ModelSpec, ToolSpec
from openclaw.policy.reads import InputPath, Reads
from openclaw.policy.samples import Constants

PERSON = "a person"
"""Who has agreed, where somebody has."""

HANDOFF_PREFIX = "transfer_to_"

FIXED: tuple[InputPath, ...] = (("kind",), ("principal",), ("model",), ("tool", "name"), ("tool", "tags"))
"""What an input says of a call whatever its arguments and circumstances are."""

_PLENTY = 1_000_000_000
_UNITS = ("tokens", "input_tokens", "output_tokens", "calls", "microusd", "milliseconds", "mwh")
_MOMENTS_MAX = 12
_ROLES_MAX = 50
_PROMPT = Source(kind="prompt", name="prompt", trust="trusted")
_OUTSIDER = Source(kind="tool", name="read_untrusted", trust="untrusted")

Origin = Literal["prompt", "nowhere", "outsider"]


@dataclass(frozen=True, slots=True)
class Situation:
    """One set of circumstances. ``words`` say what is unusual about it, ``about`` the path of the input that tells so.

    Attributes:
        origins: where the values of single arguments come from; the others come from the user's prompt.
        tainted: something untrusted has been read, though no argument comes from there.
        approved: somebody has agreed.
        excepted: somebody has opened an exception, with these roles; None: nobody has.
        left: what is left of the budgets, by unit.
        calls: calls that the run has made before.
        repeats: how many of them were equal to this one.
        step: the step of the run.
        elapsed_s: seconds since the run started.
        later: the moment, where it is another than the one held fixed.
    """

    words: str = ""
    about: InputPath = ()
    origins: tuple[tuple[str, Origin], ...] = ()
    tainted: bool = False
    approved: bool = False
    excepted: tuple[str, ...] | None = None
    left: tuple[tuple[str, int], ...] = tuple((unit, _PLENTY) for unit in _UNITS)
    calls: int = 0
    repeats: int = 0
    step: int = 1
    elapsed_s: int = 0
    later: dt.datetime | None = None


USUAL = Situation()


@dataclass(frozen=True, slots=True)
class Call:
    """A call without its arguments: who makes it, of what, at which moment."""

    agent: AgentSpec
    subject: ToolSpec | ModelSpec | str
    now: dt.datetime

    @property
    def kind(self) -> Literal["tool", "model", "handoff"]:
        """What it is to a policy."""
        return (
            "tool"
            if isinstance(self.subject, ToolSpec)
            else "model"
            if isinstance(self.subject, ModelSpec)
            else "handoff"
        )

    @property
    def name(self) -> str:
        """How people call it: the tool, ``provider/model``, or the tool that hands over."""
        match self.subject:
            case ToolSpec(name=name):
                return name
            case ModelSpec(name=name, provider=provider):
                return f"{provider}/{name}" if provider else name
            case target:
                return HANDOFF_PREFIX + target

    def document(self, args: Mapping[str, JsonValue], situation: Situation = USUAL) -> dict[str, JsonValue]:
        """The policy input of this call, as the gate would make it."""
        action = self._action(args)
        now = situation.later or self.now
        context = Context(
            run=Run(
                id="run-reach",
                thread="reach",
                step=situation.step,
                calls=max(situation.calls, situation.repeats),
                repeats=situation.repeats,
                started_at=now - dt.timedelta(seconds=situation.elapsed_s),
            ),
            flow=_flow({} if isinstance(action, ModelCall) else action.args, situation),
            budget={"remaining": {**dict(situation.left)}},
            approval={"by": PERSON, "at": utc(now)} if situation.approved else None,
            now=now,
        )
        document = policy_input(action, context)
        return (
            document if situation.excepted is None else {**document, "exception": _exception(now, situation.excepted)}
        )

    def _action(self, args: Mapping[str, JsonValue]) -> Action:
        agent = self.agent
        principal = Principal(
            agent=agent.name,
            workflow=agent.workflow,
            org=agent.org,
            roles=agent.roles,
            on_behalf_of=agent.on_behalf_of,
            chain=agent.chain or (agent.name,),
        )
        match self.subject:
            case ToolSpec(name=name, tags=tags):
                return ToolCall(principal=principal, name=name, args=dict(args), tags=tags, call_id="call-reach")
            case ModelSpec(name=name, provider=provider, sites=sites):
                return ModelCall(principal=principal, name=name, provider=provider, sites=sites, call_id="call-reach")
            case target:
                given = {"agent": target, **args}
                return Handoff(principal=principal, name=HANDOFF_PREFIX + target, args=given, call_id="call-reach")


def calls_of(agent: AgentSpec, now: dt.datetime) -> list[Call]:
    """Every call that an agent could make, models first."""
    return [Call(agent, subject, now) for subject in (*agent.models, *agent.handoffs, *agent.tools)]


def situations(reads: Reads, args: Sequence[str], constants: Constants, now: dt.datetime) -> Iterator[Situation]:
    """The unusual circumstances of which a rule reads something. ``args`` are the arguments that a call has."""
    if reads.touching(("approval",)):
        yield Situation(f"{PERSON} has agreed", ("approval",), approved=True)
    if reads.touching(("exception",)):
        yield Situation(f"{PERSON} has opened an exception", ("exception",), excepted=constants.texts[:_ROLES_MAX])
    if reads.touching(("flow",)):
        yield Situation("something untrusted has been read", ("flow",), tainted=True)
        for name in args:
            if reads.touching(("flow", "args", name)):
                about = ("flow", "args", name)
                yield Situation(f"only an untrusted source names `{name}`", about, origins=((name, "outsider"),))
                yield Situation(f"no source names `{name}`", about, origins=((name, "nowhere"),))
    for unit in _UNITS:
        path = ("budget", "remaining", unit)
        if reads.touching(path):
            left = tuple((it, 0 if it == unit else _PLENTY) for it in _UNITS)
            yield Situation(f"no {unit.replace('_', ' ')} are left", path, left=left)
            without = tuple((it, _PLENTY) for it in _UNITS if it != unit)
            yield Situation(f"no budget limits {unit.replace('_', ' ')}", path, left=without)
    numbers = (10, 100, 1_000, *(int(it) + 1 for it in constants.numbers[:5] if it >= 0))
    if reads.touching(("run", "calls")):
        for number in numbers:
            yield Situation(f"{number:,} calls before it in the run", ("run", "calls"), calls=number)
    if reads.touching(("run", "repeats")):
        for number in numbers:
            yield Situation(f"{number:,} equal calls before it in the run", ("run", "repeats"), repeats=number)
    if reads.touching(("run", "step")):
        for number in numbers:
            yield Situation(f"step {number:,} of the run", ("run", "step"), step=number)
    if reads.touching(("run", "elapsed_s")):
        for number in (*numbers, 86_400):
            yield Situation(f"the run has gone on for {number:,} s", ("run", "elapsed_s"), elapsed_s=number)
    if reads.touching(("now",)):
        for moment in _moments(now, constants):
            yield Situation(f"the time is {moment:%a %Y-%m-%d %H:%M}", ("now",), later=moment)


def held(reads: Reads, now: dt.datetime) -> dict[str, str]:
    """The usual circumstances as far as rules read of them, part by part of the input, in words."""
    words = {
        "run": "the first call of a run",
        "flow": "every value stands in the user's prompt, and nothing untrusted has been read",
        "budget": f"{_PLENTY:,} are left of every unit",
        "approval": "nobody has agreed",
        "exception": "no exception is open",
        "now": utc(now),
    }
    return {part: said for part, said in words.items() if reads.touching((part,))}


def _moments(now: dt.datetime, constants: Constants) -> list[dt.datetime]:
    """Night, evening, the days of the weekend, and what the policies name as a moment."""
    day = now.replace(hour=12, minute=0, second=0, microsecond=0)
    found = [day.replace(hour=hour) for hour in (3, 7, 12, 22)]
    found += [day + dt.timedelta(days=(weekday - now.weekday()) % 7) for weekday in (5, 6)]
    for text in constants.texts:
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            continue
        if len(text) >= len("2026-11-23"):
            found.append(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    return list(dict.fromkeys(found))[:_MOMENTS_MAX]


def _exception(now: dt.datetime, roles: Sequence[str]) -> dict[str, JsonValue]:
    """An exception that a person with every role that the policies speak of has opened a minute ago, for five minutes."""
    opened = now - dt.timedelta(minutes=1)
    return {
        "id": "exc-reach",
        "by": PERSON,
        "reason": "an emergency",
        "opened_at": utc(opened),
        "expires_at": utc(opened + dt.timedelta(minutes=5)),
        "seconds": 300,
        "uses": 1,
        "scope": {},
        "roles": [*roles],
        "authenticated": True,
    }


def _flow(args: Mapping[str, object], situation: Situation) -> dict[str, JsonValue]:
    origins = dict(situation.origins)
    flow = Flow()
    flow.see(_PROMPT, [value for name, value in args.items() if origins.get(name, "prompt") == "prompt"])
    outside = [value for name, value in args.items() if origins.get(name) == "outsider"]
    if situation.tainted or outside:
        flow.see(_OUTSIDER, outside or "nothing of interest")
    return flow.describe(args)
