"""What an agent could do before it runs: found by asking the real engine, and proven only where it is."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.policy import open_bundle
from openclaw.policy.agents import AgentSpec, ModelSpec, Schema, ToolSpec
from openclaw.policy.bundle import Bundle, Module, combining_rules
from openclaw.policy.reach import Reach, Reachable, reach

NOW = dt.datetime(2026, 11, 23, 10, 0, tzinfo=dt.UTC)
Look = Callable[..., Reach]


@pytest.fixture
def look() -> Iterator[Look]:
    with contextlib.ExitStack() as opened:

        def found(rules: str, *tools: ToolSpec, data: dict[str, JsonValue] | None = None, **agent: object) -> Reach:
            text = f"package openclaw.policies.desk\n\nimport rego.v1\n\n{rules}\n"
            bundle = Bundle.of([combining_rules(), Module("desk.rego", "desk.rego", text)], data or {})
            engine = opened.enter_context(contextlib.closing(open_bundle(bundle, deadline_s=20)))
            spec = AgentSpec.model_validate({"name": "refunds", "roles": ["payer"], "tools": tools, **agent})
            return reach(spec, bundle, engine.evaluate, now=NOW)

        yield found


def said(call: Reachable) -> list[tuple[str, str]]:
    return [(finding.effect.value, finding.when) for finding in call.findings]


def tool(name: str = "refund", /, *, validated: bool = True, **args: Schema) -> ToolSpec:
    return ToolSpec(name=name, args={**args}, validated=validated)


TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 1}

REFUND = """\
allow if input.tool.name in {"refund", "lookup"}

ask contains "over 100" if {
	input.tool.name == "refund"
	input.tool.args.amount > 100
}

deny contains "over 1000" if {
	input.tool.name == "refund"
	input.tool.args.amount > 1000
}
"""


def test_borders_are_found_to_the_unit_and_told_with_both_sides(look: Look) -> None:
    (call,) = look(REFUND, tool(amount=WHOLE, note=TEXT)).calls
    assert said(call) == [("allow", "amount ≤ 100"), ("ask", "100 < amount ≤ 1000"), ("deny", "amount > 1000")]
    ask = call.findings[1]
    assert [(trial.args, trial.effect.value) for trial in ask.trials] == [
        ({"amount": 100}, "allow"),
        ({"amount": 101}, "ask"),
    ]
    assert ask.reasons == ("over 100",)
    assert (call.proven, call.basis) == (False, "rules read `amount`")


def test_a_border_that_stands_nowhere_is_found_between_the_samples(look: Look) -> None:
    rules = 'allow if input.kind == "tool"\n\ndeny contains "x" if input.tool.args.amount * 7 > 4000'
    (call,) = look(rules, tool(amount=WHOLE)).calls
    assert said(call) == [("allow", "amount ≤ 571"), ("deny", "amount > 571")]


def test_what_no_rule_reads_is_proven(look: Look) -> None:
    lookup, refund = look(REFUND, tool("lookup", order=TEXT), tool("refund", order=TEXT)).calls
    assert (lookup.proven, lookup.basis, lookup.decisions) == (True, "no rule reads its arguments", 1)
    # It has no argument of the name that the rules read, and nothing that does not fit its schema reaches them.
    assert refund.proven
    assert said(refund) == [("allow", "always")]


def test_a_rule_about_another_tool_does_not_count(look: Look) -> None:
    (call,) = look(REFUND, tool("lookup", amount=WHOLE)).calls
    assert (call.proven, said(call)) == (True, [("allow", "always")])


def test_where_nothing_is_validated_nothing_about_arguments_is_proven(look: Look) -> None:
    (call,) = look(REFUND, tool(validated=False)).calls
    assert not call.proven
    assert ("deny", "amount > 1000 or amount is a text or amount is a list or amount is an object") in said(call)
    assert call.findings[0].effect == "allow"


def test_all_combinations_of_finite_arguments_prove(look: Look) -> None:
    rules = """\
allow if input.kind == "tool"

deny contains "urgent pounds" if {
	input.tool.args.currency == "GBP"
	input.tool.args.urgent
}
"""
    currency: Schema = {"enum": ["EUR", "GBP"]}
    (call,) = look(rules, tool(currency=currency, urgent={"type": "boolean"}, note=TEXT)).calls
    assert call.proven
    assert call.basis == "every combination of `currency` and `urgent` was decided"
    assert said(call) == [("allow", "always"), ("deny", 'together, such as currency = "GBP", urgent = true')]
    assert call.decisions == 4


def test_values_of_the_data_are_tried(look: Look) -> None:
    rules = (
        "allow if input.tool.args.amount <= data.limits[input.tool.name]\n\nallow if input.tool.args.to in data.friends"
    )
    data: dict[str, JsonValue] = {"limits": {"refund": 77}, "friends": ["ann"]}
    (call,) = look(rules, tool(amount=WHOLE), data=data).calls
    assert said(call) == [("allow", "amount ≤ 77"), ("deny", "amount > 77")]
    (call,) = look(rules, tool(to=TEXT), data=data).calls
    assert said(call) == [("allow", 'to is "ann"'), ("deny", 'to is not "ann"')]


def test_the_most_permissive_call_is_looked_for(look: Look) -> None:
    rules = """\
allow if {
	input.tool.args.a == "x"
	input.tool.args.b == "y"
	input.tool.args.c < 10
}
"""
    (call,) = look(rules, tool(a=TEXT, b=TEXT, c=WHOLE)).calls
    assert said(call)[0] == ("allow", 'a is "x" and b is "y" and c < 10')


def test_circumstances_of_which_rules_read_are_varied(look: Look) -> None:
    rules = """\
allow if input.kind == "tool"

deny contains "outsiders" if input.flow.args.to.trust == "untrusted"

deny contains "agreed" if input.approval.by

deny contains "broke" if input.budget.remaining.calls < 1

deny contains "often" if input.run.calls > 20

deny contains "night" if substring(input.now, 11, 2) in {"03", "22"}
"""
    found = look(rules, tool(to=TEXT))
    (call,) = found.calls
    assert said(call) == [
        ("allow", "always"),
        ("deny", "a person has agreed"),
        ("deny", "only an untrusted source names `to`"),
        ("deny", "no calls are left"),
        ("deny", "100 calls before it in the run"),
        ("deny", "1,000 calls before it in the run"),
        ("deny", "21 calls before it in the run"),
        ("deny", "the time is Mon 2026-11-23 03:00"),
        ("deny", "the time is Mon 2026-11-23 22:00"),
    ]
    assert set(found.held) == {"run", "flow", "budget", "approval", "now"}
    assert not call.proven  # What the flow says of an argument depends on its value.


def test_what_is_not_read_is_not_varied(look: Look) -> None:
    found = look('allow if input.kind == "tool"', tool(to=TEXT))
    assert found.held == {}
    assert found.calls[0].decisions == 1


def test_a_refusal_of_an_approved_ask_is_told(look: Look) -> None:
    rules = 'ask contains "a person" if input.kind == "tool"\n\ndeny contains "not just anybody" if input.approval.by != "ann"'
    (call,) = look(rules, tool()).calls
    assert said(call) == [("ask", "always"), ("deny", "a person has agreed")]


def test_models_and_hand_offs_are_calls_too(look: Look) -> None:
    rules = 'allow if input.model.provider == "acme"\n\nallow if input.tool.args.agent == "orders"'
    models = [ModelSpec(name="small", provider="acme"), ModelSpec(name="large")]
    found = look(rules, models=models, handoffs=["orders", "bank"])
    assert [(call.kind, call.name, call.proven, said(call)) for call in found.calls] == [
        ("model", "acme/small", True, [("allow", "always")]),
        ("model", "large", True, [("deny", "always")]),
        ("handoff", "transfer_to_orders", True, [("allow", "always")]),
        ("handoff", "transfer_to_bank", True, [("deny", "always")]),
    ]


def test_who_the_agent_is_counts(look: Look) -> None:
    rules = 'allow if "payer" in input.principal.roles\n\ndeny contains "x" if input.principal.workflow == "bank"'
    assert said(look(rules, tool()).calls[0]) == [("allow", "always")]
    assert said(look(rules, tool(), roles=[]).calls[0]) == [("deny", "always")]
    assert said(look(rules, tool(), workflow="bank").calls[0]) == [("deny", "always")]


@pytest.mark.parametrize("rule", ["allow if time.now_ns() > 0", "allow if time.now_ns() > count(input.tool.args)"])
def test_what_is_no_function_of_the_input_proves_nothing(look: Look, rule: str) -> None:
    (call,) = look(rule, tool(to=TEXT)).calls
    assert (call.proven, call.basis) == (False, "`time.now_ns` at desk.rego:5 is no function of the input")


def test_an_error_in_a_rule_is_a_deny_with_its_reason(look: Look) -> None:
    rules = 'allow if input.kind == "tool"\n\ndeny contains "x" if to_number(input.tool.args.to) > 5'
    (call,) = look(rules, tool(to={"enum": ["1", "x"]})).calls
    assert said(call) == [("allow", 'to is "1"'), ("deny", 'to is "x"')]
    assert "the policy failed" in call.findings[1].reasons[0]


def test_it_says_the_same_each_time(look: Look) -> None:
    spec = tool(amount=WHOLE, a=TEXT, b=TEXT)
    rules = REFUND + 'deny contains "ab" if {\n\tinput.tool.args.a == "q"\n\tinput.tool.args.b == "r"\n}\n'
    assert look(rules, spec) == look(rules, spec)


def test_the_library_can_be_looked_through(look: Look) -> None:
    bundle = Bundle.read(Path(__file__).parents[2] / "policies" / "paths")
    with contextlib.closing(open_bundle(bundle, deadline_s=20)) as engine:
        spec = AgentSpec(name="a", tools=(tool("read", path=TEXT),))
        (call,) = reach(spec, bundle, engine.evaluate, now=NOW).calls
    assert {effect for effect, _ in said(call)} == {"deny"}  # This package only forbids.
    assert any("not below a folder" in reason for finding in call.findings for reason in finding.reasons)
