"""What an agent could do before it ever runs: every call that it could make, with the answer and what would change it.

The policies are asked, not read: each call is decided as in service, with the values that ``samples`` finds worth trying.
What the policies read (``reads``) says what the answers are worth. Where no rule reads the arguments of a call, or where all
combinations of the values that rules read have been decided, the answer is ``proven``: no arguments are decided otherwise,
as long as what is held fixed stays so. Everything else is ``sampled``: true of the calls that were decided, and a guess about
those between them.

Held fixed is what an input holds besides the call (the time, budgets, approvals, where values come from). What a rule reads of
it is varied too, one situation at a time.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from math import prod
from typing import Literal

from pydantic import JsonValue

from openclaw.decision import Decision, Effect
from openclaw.policy.agents import AgentSpec, ToolSpec
from openclaw.policy.bundle import Bundle
from openclaw.policy.reads import Reads, reads_of
from openclaw.policy.samples import Absent, Mine, Value, ordinary_text, samples_of
from openclaw.policy.situations import FIXED, USUAL, Call, Situation, calls_of, held, situations
from openclaw.policy.wording import Answered, borders, conditions, shown_args

EXHAUSTIVE_MAX = 2_000
"""Combinations of arguments that are all decided, where there are no more of them."""

COMBINED_MAX = 200
"""Random combinations that are decided where there are more."""

Decide = Callable[[dict[str, JsonValue]], Decision]
"""Answers an input as the gate would."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One call that was decided: the arguments that differ from the first call, and the answer."""

    args: dict[str, JsonValue]
    effect: Effect
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer, and when it is given.

    Attributes:
        effect: the answer.
        when: in words: ``always``, ``50 < amount ≤ 500``, ``no person has agreed``.
        reasons: that the policies gave, some of them.
        trials: decided calls that show it, with the one on the other side of the border where there is one.
    """

    effect: Effect
    when: str
    reasons: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True, slots=True)
class Reachable:
    """One call that an agent could make.

    Attributes:
        kind: what it is to a policy.
        name: of the tool, of the model (with its provider), or of the agent that is handed over to.
        proven: no arguments are decided otherwise than the findings say.
        basis: why that is so, or what was sampled.
        decisions: how many inputs were decided.
        findings: the answers, the most permissive first.
    """

    kind: Literal["tool", "model", "handoff"]
    name: str
    proven: bool
    basis: str
    decisions: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything that one agent could do. ``held``: what was held fixed of what rules read, by part of the input."""

    agent: AgentSpec
    revision: str
    held: dict[str, str]
    calls: tuple[Reachable, ...]


def reach(agent: AgentSpec, bundle: Bundle, decide: Decide, *, now: dt.datetime) -> Reach:
    """What ``agent`` could do under the policies of ``bundle``, which ``decide`` asks at the moment ``now``."""
    reads, mine = reads_of(bundle), Mine.of(bundle)
    calls = calls_of(agent, now)
    found = tuple(_Explorer(call, reads, mine, decide).explore() for call in calls)
    circumstances: dict[str, str] = {}
    for call in calls:
        circumstances |= held(reads.where(call.document({}), known=FIXED), now)
    return Reach(agent, bundle.revision, circumstances, found)


_SEVERITY = {effect: at for at, effect in enumerate(Effect)}
_SEED = 7
_ROUNDS = 3
_REASONS_MAX = 3
_TOGETHER_MAX = 3

_Args = dict[str, Value]


class _Explorer:
    """Decides calls of one tool, model or hand-off, and finds out what changes the answer."""

    def __init__(self, call: Call, reads: Reads, mine: Mine, decide: Decide) -> None:
        self._call = call
        self._reads = reads.where(call.document({}), known=FIXED)
        self._decide = decide
        self._known: dict[tuple[str, Situation], Decision] = {}
        tool = call.subject if isinstance(call.subject, ToolSpec) else ToolSpec(name=call.name)
        self._open = not tool.validated
        near = {name: mine.near(self._reads, ("tool", "args", name), name, tool.name) for name in self._names(tool)}
        self._samples = {name: samples_of(tool, name, constants) for name, constants in near.items()}
        self._texts = {name: frozenset(constants.texts) for name, constants in near.items()}
        self._around = mine.near(self._reads, ("now",), tool.name)
        self._read = [name for name in self._samples if self._is_read(name)]
        sizes = [len(self._samples[name].values) for name in self._read]
        self._exhaustive = prod(sizes) <= EXHAUSTIVE_MAX and all(self._samples[name].finite for name in self._read)

    def explore(self) -> Reachable:
        """Everything about this call."""
        base = self._base()
        sweeps = {name: self._sweep(base, name) for name in self._read}
        findings = [
            *self._usual(base, sweeps),
            *self._together(base, sweeps),
            *self._elsewhere(base, sweeps),
        ]
        proven, basis = self._standing()
        ordered = sorted(findings, key=lambda it: _SEVERITY[it.effect])
        return Reachable(self._call.kind, self._call.name, proven, basis, len(self._known), tuple(ordered))

    # -- what is read --------------------------------------------------------------------------------------------------

    def _names(self, tool: ToolSpec) -> list[str]:
        """The arguments of the call; where anything may come, also those that only rules know."""
        read = [path[2] for path in self._reads.paths if path[:2] == ("tool", "args") and len(path) > 2]
        return list(dict.fromkeys([*tool.parameters, *(read if self._open else [])]))

    def _is_read(self, name: str) -> bool:
        if self._reads.touching(("tool", "args", name)):
            return True
        # What `flow` says of an argument depends on its value; members have entries under dotted names.
        origins = (path[2] for path in self._reads.paths if path[:2] == ("flow", "args") and len(path) > 2)
        whole = any(("flow", "args")[: len(path)] == path for path in self._reads.paths)
        return whole or any(key == name or key.startswith(f"{name}.") for key in origins)

    def _standing(self) -> tuple[bool, str]:
        """Whether the answers hold for all arguments, and why."""
        read = (
            " and ".join([", ".join(f"`{it}`" for it in self._read[:-1]), f"`{self._read[-1]}`"][-len(self._read) :])
            if self._read
            else ""
        )
        if self._reads.impurities:
            first = self._reads.impurities[0]
            return False, f"{first.what} at {first.file}:{first.line} is no function of the input"
        if self._open and (self._reads.touching(("tool", "args")) or self._reads.touching(("flow", "args"))):
            return False, "rules read arguments, and nothing says which can come"
        if not self._read:
            return True, "no rule reads its arguments" if self._samples else "it has no arguments"
        if self._exhaustive:
            return True, f"every combination of {read} was decided"
        return False, f"rules read {read}"

    # -- deciding ------------------------------------------------------------------------------------------------------

    def _answer(self, args: _Args, situation: Situation = USUAL) -> Decision:
        present = {name: value for name, value in args.items() if not isinstance(value, Absent)}
        key = json.dumps(present, sort_keys=True), situation
        if key not in self._known:
            self._known[key] = self._decide(self._call.document(present, situation))
        return self._known[key]

    def _effect(self, args: _Args) -> Effect:
        return self._answer(args).effect

    def _base(self) -> _Args:
        """Arguments with the most permissive answer that is found: from there it is seen what makes it stricter."""
        base = self._milder({name: samples.values[0] for name, samples in self._samples.items()})
        for args in self._combinations():
            if self._effect(base) is Effect.ALLOW:
                break
            if _SEVERITY[self._effect({**base, **args})] < _SEVERITY[self._effect(base)]:
                base = self._milder({**base, **args})
        return base

    def _milder(self, args: _Args) -> _Args:
        """One argument after the other as the rules like it best."""
        for _ in range(_ROUNDS):
            before = args
            for name in self._read:
                if self._effect(args) is Effect.ALLOW:
                    return args
                options = [args, *({**args, name: value} for value in self._samples[name].values)]
                args = min(options, key=lambda it: _SEVERITY[self._effect(it)])
            if args == before:
                break
        return args

    def _combinations(self) -> Iterator[_Args]:
        """All of them where that is possible, and random ones where it is not."""
        values = [self._samples[name].values for name in self._read]
        if self._exhaustive:
            chosen: Iterator[tuple[Value, ...]] = product(*values)
        else:
            dice = random.Random(_SEED)  # noqa: S311 - the same every time, so that a report can be compared
            chosen = (tuple(dice.choice(it) for it in values) for _ in range(COMBINED_MAX if len(values) > 1 else 0))
        for combination in chosen:
            yield dict(zip(self._read, combination, strict=True))

    def _sweep(self, base: _Args, name: str) -> list[Answered]:
        """Every value of one argument, all others as they are, and between two numbers the border, to the unit."""
        found = [self._answered(base, name, value) for value in self._samples[name].values]
        for low, high in borders(found):
            while isinstance(low.value, int) and isinstance(high.value, int) and high.value - low.value > 1:
                middle = self._answered(base, name, (low.value + high.value) // 2)
                low, high = (middle, high) if middle.effect is low.effect else (low, middle)
                found.append(middle)
        return found

    def _answered(self, base: _Args, name: str, value: Value) -> Answered:
        return Answered(value, self._effect({**base, name: value}), made_up=value == ordinary_text(name))

    # -- findings ------------------------------------------------------------------------------------------------------

    def _usual(self, base: _Args, sweeps: Mapping[str, Sequence[Answered]]) -> Iterator[Finding]:
        """The answers under the usual circumstances, by the argument that decides between them."""
        usual = self._answer(base)
        words = {name: conditions(name, answers, self._texts[name]) for name, answers in sweeps.items()}
        telling = {name: found for name, found in words.items() if len(found) > 1}
        when = " and ".join(
            f"({it})" if " or " in it and len(telling) > 1 else it
            for it in (found[usual.effect] for found in telling.values())
        )
        yield Finding(usual.effect, when or "always", usual.reasons[:_REASONS_MAX])
        for name, found in telling.items():
            for effect, said in found.items():
                if effect is usual.effect:
                    continue
                these = [it for it in sweeps[name] if it.effect is effect]
                pair = next((it for it in borders(sweeps[name]) if effect in {it[0].effect, it[1].effect}), these[:1])
                trials = tuple(self._trial(base, {name: it.value}) for it in pair)
                yield Finding(effect, said, self._reasons(base, name, these), trials)

    def _reasons(self, base: _Args, name: str, answers: Sequence[Answered]) -> tuple[str, ...]:
        said = chain(*(self._answer({**base, name: it.value}).reasons for it in answers))
        return tuple(dict.fromkeys(said))[:_REASONS_MAX]

    def _trial(self, base: _Args, changed: _Args) -> Trial:
        decision = self._answer({**base, **changed})
        return Trial(
            {name: None if isinstance(it, Absent) else it for name, it in changed.items()},
            decision.effect,
            decision.reasons,
        )

    def _together(self, base: _Args, sweeps: Mapping[str, Sequence[Answered]]) -> Iterator[Finding]:
        """Combinations that are answered otherwise than the strictest of their parts: one finding for the same parts."""
        single = {(name, _key(it.value)): it.effect for name, answers in sweeps.items() for it in answers}
        seen: set[tuple[Effect, frozenset[str]]] = set()

        def surprising(changed: _Args) -> bool:
            expected = max(
                [self._effect(base), *(single[name, _key(it)] for name, it in changed.items())],
                key=_SEVERITY.__getitem__,
            )
            return self._effect({**base, **changed}) is not expected

        for combination in self._combinations():
            changed = {name: it for name, it in combination.items() if _key(it) != _key(base[name])}
            if not surprising(changed):
                continue
            for name in list(changed):
                less = {key: it for key, it in changed.items() if key != name}
                changed = less if surprising(less) else changed
            effect = self._effect({**base, **changed})
            about = (effect, frozenset(changed))
            if about in seen or len(seen) >= _TOGETHER_MAX:
                continue
            seen.add(about)
            trial = self._trial(base, changed)
            yield Finding(effect, f"together, such as {shown_args(changed)}", trial.reasons[:_REASONS_MAX], (trial,))

    def _elsewhere(self, base: _Args, sweeps: Mapping[str, Sequence[Answered]]) -> Iterator[Finding]:
        """What other circumstances change, for one call with each answer."""
        witnesses: dict[Effect, _Args] = {self._effect(base): base}
        for name, answers in sweeps.items():
            for it in answers:
                witnesses.setdefault(it.effect, {**base, name: it.value})
        present = [name for name in self._samples if not isinstance(base[name], Absent)]
        for situation in situations(self._reads, present, self._around, self._call.now):
            told: set[Effect] = set()
            for effect, args in witnesses.items():
                there = self._answer(args, situation)
                if there.effect is effect or there.effect in told:
                    continue
                told.add(there.effect)
                where = "" if args is base else f", where it would {effect.value}"
                trial = Trial({}, there.effect, there.reasons)
                yield Finding(there.effect, f"{situation.words}{where}", there.reasons[:_REASONS_MAX], (trial,))


def _key(value: Value) -> str:
    return "" if isinstance(value, Absent) else json.dumps(value, sort_keys=True)
