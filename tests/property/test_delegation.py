"""Along a chain of delegation rights never grow, whatever the policies say: about agents, roles, chains, or with Rego."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from openclaw import delegation
from openclaw.action import Context, Principal, ToolCall, policy_input
from openclaw.canonical import digest
from openclaw.decision import Decision, Effect, Obligation
from openclaw.delegation import DELEGATORS_MAX
from openclaw.errors import Refused
from openclaw.graph.scope import delegate, delegated
from openclaw.policy import regorus
from openclaw.policy.bundle import Bundle, Module, combining_rules
from openclaw.policy.results import Results
from tests.conftest import require
from tests.policy.support import HOW_NATIVE

NOW = dt.datetime(2026, 11, 30, 10, 0, tzinfo=dt.UTC)
SEVERITY = (Effect.ALLOW, Effect.ASK, Effect.DENY)
ROLES = ("reader", "payer", "intern")


class Whatever:
    """An engine that answers as a function of the question says, which may be any."""

    name = "whatever"
    revision = "sha256:1"
    results = Results.UNREAD

    def __init__(self, answer: Callable[[Mapping[str, JsonValue]], Decision]) -> None:
        self._answer = answer

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        return self._answer(input)

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        return self._answer(input)

    def close(self) -> None:
        pass


def arbitrary(salt: int, *, chains: bool = True) -> Whatever:
    """Some policy, told apart by ``salt``; a strange one, for which every detail of a principal counts."""

    def answer(document: Mapping[str, JsonValue]) -> Decision:
        principal: Any = document["principal"]
        known = {key: value for key, value in principal.items() if chains or key not in {"chain", "delegators"}}
        number = int(digest([salt, known])[-8:], 16)
        duties = [Obligation.model_validate({"kind": "mask", "fields": [f"args.f{number % 5}"]})] if number % 3 else []
        return Decision(effect=SEVERITY[number % 7 % 3], reasons=(str(number),), obligations=tuple(duties))

    return Whatever(answer)


def members(most: int) -> st.SearchStrategy[list[tuple[str, tuple[str, ...]]]]:
    one = st.tuples(st.sampled_from("abcd"), st.lists(st.sampled_from(ROLES), unique=True, max_size=2).map(tuple))
    return st.lists(one, min_size=1, max_size=most)


def chain_of(agents: list[tuple[str, tuple[str, ...]]]) -> list[Principal]:
    """Each of them as it acts, when the one before has handed work down to it."""
    acting: list[Principal] = []
    for name, roles in agents:
        before = acting[-1] if acting else None
        chain = delegated(before.chain if before else (), name)
        principal = Principal(agent=name, workflow="w", roles=roles, chain=chain)
        acting.append(delegate(principal, before, "shrinking") if before else principal)
    return acting


def asked(principal: Principal) -> dict[str, JsonValue]:
    return policy_input(ToolCall(principal=principal, name="pay", args={"amount": 3}), Context(now=NOW))


def duties_of(decision: Decision) -> set[str]:
    return {duty.model_dump_json() for duty in decision.obligations}


@given(agents=members(DELEGATORS_MAX), salt=st.integers(0, 2**32))
def test_rights_never_grow_along_a_chain_under_any_policy(agents: list[Any], salt: int) -> None:
    engine = arbitrary(salt)
    answers = [delegation.evaluate(engine, asked(principal)) for principal in chain_of(agents)]
    for before, after in itertools.pairwise(answers):
        assert SEVERITY.index(after.effect) >= SEVERITY.index(before.effect)
        # What had to be done before still has to be; `principal` is in no path here, so the paths are the same.
        assert duties_of(before) <= duties_of(after)


@given(agents=members(12), salt=st.integers(0, 2**32))
def test_it_is_never_more_than_what_each_may_do_and_never_less_than_all_of_them(agents: list[Any], salt: int) -> None:
    engine = arbitrary(salt, chains=False)
    acting = chain_of(agents)
    alone = [engine.evaluate(asked(one.model_copy(update={"delegators": ()}))).effect for one in acting]
    assert delegation.evaluate(engine, asked(acting[-1])).effect is max(alone, key=SEVERITY.index)


@given(agents=members(120), salt=st.integers(0, 2**32))
@settings(max_examples=30)
def test_a_chain_beyond_what_can_be_asked_keeps_everybody_who_is_different(agents: list[Any], salt: int) -> None:
    engine = arbitrary(salt, chains=False)
    if len(set(agents[:-1])) > DELEGATORS_MAX:
        with pytest.raises(Refused):
            chain_of(agents)
        return
    acting = chain_of(agents)
    assert all(len(one.delegators) <= DELEGATORS_MAX for one in acting)
    answers = [delegation.evaluate(engine, asked(principal)).effect for principal in acting]
    assert answers == sorted(answers, key=SEVERITY.index)


def test_more_different_agents_than_can_be_asked_for_are_refused() -> None:
    agents: list[tuple[str, tuple[str, ...]]] = [(f"a{number}", ()) for number in range(DELEGATORS_MAX + 2)]
    assert len(chain_of(agents[:-1])[-1].delegators) == DELEGATORS_MAX
    with pytest.raises(Refused, match=f"act for more than {DELEGATORS_MAX} others"):
        chain_of(agents)


CONDITIONS = st.sampled_from(
    [
        "true",
        '"payer" in input.principal.roles',
        '"intern" in input.principal.roles',
        'not "intern" in input.principal.roles',
        'input.principal.agent == "a"',
        'input.principal.agent != "b"',
        "count(input.principal.chain) > 2",
        "count(input.principal.chain) < 3",
        'input.principal.chain[0] == "a"',
        'count(object.get(input.principal, "delegators", [])) == 1',
    ]
)


@given(
    agents=members(6),
    allow=st.lists(CONDITIONS, min_size=1, max_size=3),
    ask=st.lists(CONDITIONS, max_size=1),
    deny=st.lists(CONDITIONS, max_size=2),
)
@settings(max_examples=60, deadline=None)
def test_nor_under_policies_in_rego(agents: list[Any], allow: list[str], ask: list[str], deny: list[str]) -> None:
    require("native", regorus.available(), HOW_NATIVE)
    rules = [f"allow if {condition}" for condition in allow]
    rules += [f'{kind} contains "no" if {one}' for kind, of in (("ask", ask), ("deny", deny)) for one in of]
    text = "package openclaw.policies.p\n\nimport rego.v1\n\n" + "\n\n".join(rules) + "\n"
    bundle = Bundle.of([combining_rules(), Module("p.rego", "p.rego", text)], {})
    with contextlib.closing(regorus.RegorusEngine(bundle, deadline_s=20)) as engine:
        effects = [delegation.evaluate(engine, asked(principal)).effect for principal in chain_of(agents)]
    assert effects == sorted(effects, key=SEVERITY.index)
