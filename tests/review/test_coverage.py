"""What a log has exercised of policies: lines, rules that had no part, tools that no rule denied, and what cannot be known."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.action import Principal, ToolCall
from openclaw.audit import Draft
from openclaw.gate import Outcome, Permit, Request
from openclaw.governance import Governance
from openclaw.policy import regorus
from openclaw.policy.bundle import Bundle
from openclaw.policy.coverage import Meter
from openclaw.policy.explain import explain
from openclaw.review.coverage import LogCoverage, cover
from tests.policy.support import policy, write_folder
from tests.support.story import DESK_REGO, tell_on, told

pytestmark = pytest.mark.skipif(not regorus.available(), reason="coverage is of the native engine")

MORE = """
deny contains "nobody refunds a refund" if {
	input.tool.name == "refund_refund"
	input.tool.args.amount > 0
}

ask contains "strangers" if input.principal.org == "elsewhere"
"""


def covering(tmp_path: Path, store_url: str, text: str, *drafts: Draft) -> LogCoverage:
    bundle = Bundle.read(write_folder(tmp_path / "candidate", {"desk": text}))
    with told(store_url, tmp_path) as story:
        tell_on(story)
        for draft in drafts:
            story.governance.audit.append(draft)
        return cover(story.governance.audit, bundle)


def test_lines_rules_and_tools_of_a_story(store_url: str, tmp_path: Path) -> None:
    found = covering(tmp_path, store_url, DESK_REGO + MORE)
    (file,) = found.files
    lines = (DESK_REGO + MORE).splitlines()
    assert [lines[at - 1].strip() for at in file.uncovered] == [
        'deny contains "nobody refunds a refund" if {',
        "input.tool.args.amount > 0",
    ]
    assert [(rule.name, rule.evaluated, rule.held) for rule in found.dead] == [
        ("policies.desk.deny", True, 0),
        ("policies.desk.ask", True, 0),
    ]
    held = {rule.line: rule.held for rule in found.rules if not rule.dead}
    (refund,) = (tool for tool in found.tools if tool.tool == "refund")
    # The one that was denied was too large as well, and that rule held: a deny overrules it.
    assert (refund.denied, refund.asked) == (1, 3)
    assert held == {3: 2, 4: 10, 6: 1, 11: 4}
    assert [(tool.kind, tool.tool, tool.allowed, tool.asked) for tool in found.never_denied] == [
        ("model", "small-1", 2, 0),
        ("tool", "lookup_order", 3, 0),
    ]
    assert (found.decided, found.under, found.undecidable, found.unanswered) == (12, 0, 0, 0)


def entry(document: JsonValue, **decision: JsonValue) -> Draft:
    fields: dict[str, JsonValue] = {"effect": "allow", "code": "policy", "revision": "r", **decision}
    return Draft(kind="decision", tool="pay", effect="allow", body={"input": document, "decision": fields})


def test_what_is_masked_or_was_never_answered_is_counted_and_not_guessed(store_url: str, tmp_path: Path) -> None:
    hiding = policy(
        'allow if true\n\noblige contains {"kind": "mask", "fields": ["args.iban"]} if input.tool.args.iban'
    )
    folder = write_folder(tmp_path / "hiding", {"main": hiding})
    reading = policy('allow if input.tool.name == "pay"\n\ndeny contains "x" if input.tool.args.iban')
    with Governance.open(store_url, policies=folder, key=tmp_path / "log.key") as governance:
        for args in ({"iban": "DE-77"}, {"iban": "DE-78"}):
            action = ToolCall(principal=Principal(agent="clerk"), name="pay", args=args)
            permit = governance.gate.admit(Request(action=action))
            assert isinstance(permit, Permit)
            governance.gate.finish(permit, Outcome(status="done"))
        governance.audit.append(entry({"kind": "tool", "tool": {"name": "pay"}}, code="deadline", effect="deny"))
        governance.audit.append(Draft(kind="decision", body={"input": "gone", "decision": {}}))
        found = cover(governance.audit, Bundle.read(write_folder(tmp_path / "reading", {"main": reading})))
    assert (found.decided, found.undecidable, found.unanswered) == (0, 2, 2)
    assert len(found.dead) == 2, "nothing was decided again"
    assert [(tool.tool, tool.allowed) for tool in found.tools] == [("pay", 2)], "what was decided then is known"


def test_what_no_rule_reads_may_be_masked_and_the_own_revision_is_counted(store_url: str, tmp_path: Path) -> None:
    rules = 'allow if input.tool.args.amount > 5\n\noblige contains {"kind": "mask", "fields": ["args.iban"]} if true'
    folder = write_folder(tmp_path / "policies", {"main": policy(rules)})
    with Governance.open(store_url, policies=folder, key=tmp_path / "log.key") as governance:
        action = ToolCall(principal=Principal(agent="clerk"), name="pay", args={"iban": "DE-77", "amount": 10})
        permit = governance.gate.admit(Request(action=action))
        assert isinstance(permit, Permit)
        governance.gate.finish(permit, Outcome(status="done"))
        found = cover(governance.audit, Bundle.read(folder))
    assert (found.decided, found.under, found.undecidable) == (1, 1, 0)


def test_a_denial_for_want_of_a_rule_is_no_denial_by_a_rule(store_url: str, tmp_path: Path) -> None:
    draft = entry({"kind": "tool", "tool": {"name": "pay"}}, effect="deny", code="no_policy", rules=[])
    found = covering(tmp_path, store_url, DESK_REGO, draft)
    (pay,) = (tool for tool in found.never_denied if tool.tool == "pay")
    assert (pay.denied, pay.ungranted) == (0, 1)


def test_inputs_that_the_policies_cannot_tell_apart_count_each(tmp_path: Path) -> None:
    bundle = Bundle.read(write_folder(tmp_path, {"main": policy('allow if input.tool.name == "a"')}))
    with contextlib.closing(Meter(bundle)) as meter:
        for number in range(5):
            meter.add({"kind": "tool", "tool": {"name": "a", "args": {"number": number}}})
        meter.add({"kind": "tool", "tool": {"name": "b"}})
        (rule,) = meter.rules()
        assert (rule.held, rule.dead) == (5, False)


def test_a_rule_that_holds_for_an_input_is_one_that_explain_tells(tmp_path: Path) -> None:
    """Two ways to ask the same: helpers, several bodies, `else` and `every` included."""
    text = policy(
        """large if input.tool.args.amount > 50

allow if input.tool.name == "pay"
allow if {
	input.tool.name == "look"
	not large
}

deny contains sprintf("too much: %d", [input.tool.args.amount]) if large

deny contains "all are negative" if {
	count(input.tool.args.list) > 0
	every it in input.tool.args.list { it < 0 }
}

ask contains reason if {
	some reason in input.tool.args.why
	reason != ""
}"""
    )
    bundle = Bundle.read(write_folder(tmp_path, {"main": text}))
    inputs: list[dict[str, JsonValue]] = [
        {"kind": "tool", "tool": {"name": name, "args": args}}
        for name in ("pay", "look", "else")
        for args in ({"amount": 10}, {"amount": 60}, {"list": [-1]}, {"list": [1]}, {"why": ["", "x"]}, {"why": [""]})
    ]
    for document in inputs:
        with contextlib.closing(Meter(bundle)) as meter:
            meter.add(document)
            held = {rule.line for rule in meter.rules() if rule.held}
        told_of = explain(bundle, document, every=True)
        assert held == {it.line for it in (*told_of.rules, *told_of.others) if it.holds}, json.dumps(document)
