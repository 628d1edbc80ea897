"""What is called proven holds for every argument: calls that nobody tried are decided as the report says."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from openclaw.policy import regorus
from openclaw.policy.agents import AgentSpec, ToolSpec
from openclaw.policy.bundle import Bundle, Module, combining_rules
from openclaw.policy.reach import Reachable, reach
from openclaw.policy.situations import Call
from tests.conftest import require
from tests.policy.support import HOW_NATIVE

NOW = dt.datetime(2026, 11, 23, 10, 0, tzinfo=dt.UTC)
NAMES = ("amount", "urgent", "to", "way")
SCHEMAS: dict[str, JsonValue] = {
    "amount": {"type": "integer", "minimum": 0, "maximum": 3},
    "urgent": {"type": "boolean"},
    "to": {"type": "string"},
    "way": {"enum": ["p", "q"]},
}
VALUES: dict[str, st.SearchStrategy[JsonValue]] = {
    "amount": st.integers(0, 3),
    "urgent": st.booleans(),
    "to": st.sampled_from(["ann", "bob", "", "x"]) | st.text(max_size=3),
    "way": st.sampled_from(["p", "q"]),
}
guards = st.sampled_from(
    [
        "true",
        'input.tool.name == "t"',
        'input.tool.name == "other"',
        'input.tool.args.way == "p"',
        'input.tool.name == "t"\n\tinput.tool.args.way in {"q"}',
        '"payer" in input.principal.roles',
    ]
)
conditions = st.sampled_from(
    [
        "input.tool.args.amount > 1",
        "input.tool.args.urgent",
        'input.tool.args["to"] == "bob"',
        "count(input.tool.args) > 2",
        "some k; input.tool.args[k] == 2",
        "to_number(input.tool.args.to) > 1",
        'input.flow.args.to.trust == "unknown"',
        "true",
    ]
)
rules = st.lists(
    st.tuples(st.sampled_from(["allow", 'deny contains "d"', 'ask contains "a"']), guards, conditions), max_size=4
)


@settings(max_examples=150)
@given(rules, st.sets(st.sampled_from(NAMES), min_size=2), st.data())
def test_what_is_proven_holds(rules: list[Any], names: set[str], data: st.DataObject) -> None:
    require("native", regorus.available(), HOW_NATIVE)
    body = "\n\n".join(f"{head} if {{\n\t{guard}\n\t{condition}\n}}" for head, guard, condition in rules)
    text = f"package openclaw.policies.p\n\nimport rego.v1\n\nallow if input.kind\n\n{body}\n"
    bundle = Bundle.of([combining_rules(), Module("p.rego", "p.rego", text)], {})
    tool = ToolSpec(name="t", args={name: SCHEMAS[name] for name in sorted(names)})
    agent = AgentSpec(name="a", roles=("payer",), tools=(tool,))
    with contextlib.closing(regorus.RegorusEngine(bundle, deadline_s=20)) as engine:
        (found,) = reach(agent, bundle, engine.evaluate, now=NOW).calls
        for _ in range(5):
            args = {name: data.draw(VALUES[name]) for name in sorted(names)}
            decision = engine.evaluate(Call(agent, tool, NOW).document(args))
            if found.proven:
                check(found, decision.effect.value)


def check(found: Reachable, effect: str) -> None:
    effects = {
        finding.effect.value
        for finding in found.findings
        if not finding.when.startswith(("only", "no source", "something"))
    }
    assert effect in effects
    if [finding.when for finding in found.findings] == ["always"]:
        assert effect == found.findings[0].effect.value
