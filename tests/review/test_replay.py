"""The log decided again: what counts as a change, what cannot be decided, and what no policy had decided."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.audit import Entry
from openclaw.decision import Decision, Effect
from openclaw.policy import open_bundle
from openclaw.policy.bundle import Bundle
from openclaw.review.replay import Replay, compare, replay
from tests.policy.support import policy, write_folder
from tests.support.story import BEGAN, DeskPolicy, tell_on, told


class Always:
    """A candidate that says the same about everything, and remembers what it was asked."""

    name = "scripted 1.0"
    revision = "sha256:" + "ab" * 32

    def __init__(self, effect: str, *obligations: dict[str, JsonValue], code: str = "policy") -> None:
        fields = {"effect": effect, "obligations": obligations, "code": code}
        self.decision = Decision.model_validate(fields)
        self.asked: list[Mapping[str, JsonValue]] = []

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        self.asked.append(input)
        return self.decision

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        return self.evaluate(input)

    def close(self) -> None:
        pass


def decided(effect: str, /, *, seq: int = 1, code: str = "policy", args: object = None, **body: object) -> Entry:
    obligations = body.pop("obligations", [])
    decision = {"effect": effect, "code": code, "reasons": [], "rules": [], "obligations": obligations}
    asked = {"kind": "tool", "tool": {"name": "pay", "args": args or {}}}
    fields = {"seq": seq, "at": BEGAN, "kind": "decision", "agent": "a", "tool": "pay", "effect": effect, "leaf": "00"}
    return Entry.model_validate({**fields, "body": {"input": asked, "decision": decision, **body}})


def changes(found: Replay) -> list[tuple[str, str, int, tuple[int, ...]]]:
    return [
        (change.before, change.after, change.count, change.examples)
        for group in found.groups
        for change in group.changes
    ]


def test_the_same_policy_changes_nothing(store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        tell_on(story)
        found = replay(story.governance.audit, DeskPolicy())
        entries = story.governance.audit.entries(kind="decision")
    assert found.changed == 0
    assert sum(group.same for group in found.groups) == len(entries)


def test_a_refusal_of_the_budget_is_compared_by_what_the_policy_had_said() -> None:
    refused = decided("allow", refused_by="budget", reasons=["no calls left"]).model_copy(update={"effect": "deny"})
    assert compare([refused], Always("allow")).changed == 0
    assert changes(compare([refused], Always("deny"))) == [("allow", "deny", 1, (1,))]


def test_changes_are_counted_by_kind_with_the_first_entries_as_examples() -> None:
    entries = [decided("allow", seq=seq) for seq in (1, 2, 4, 5)] + [decided("ask", seq=3), decided("deny", seq=6)]
    found = compare(entries, Always("deny"))
    assert changes(found) == [("allow", "deny", 4, (1, 2, 4)), ("ask", "deny", 1, (3,))]
    assert (found.groups[0].same, found.groups[0].decisions) == (1, 6)


@pytest.mark.parametrize("code", ["bad_input", "engine_error", "engine_crashed", "deadline", "unreachable"])
def test_what_no_policy_had_answered_is_not_compared(code: str) -> None:
    candidate = Always("allow")
    found = compare([decided("deny", code=code)], candidate)
    assert (found.changed, found.groups[0].unanswered, candidate.asked) == (0, 1, [])


def test_a_call_that_no_rule_had_allowed_is_compared() -> None:
    assert changes(compare([decided("deny", code="no_policy")], Always("allow"))) == [("deny", "allow", 1, (1,))]


@pytest.mark.parametrize(
    "args", [{"$masked": "hmac-sha256:00"}, {"iban": {"$masked": "x"}}, {"to": [{"iban": {"$masked": "x"}}]}]
)
def test_a_masked_value_is_undecidable_where_nothing_is_known_of_the_candidate(args: object) -> None:
    for effect in Effect:
        found = compare([decided("allow", args=args)], Always(effect.value))
        assert (found.changed, found.groups[0].undecidable, found.groups[0].same) == (0, 1, 0)


def test_a_failing_candidate_is_a_change_also_where_both_deny() -> None:
    candidate = Always("deny", code="engine_error")
    assert changes(compare([decided("deny")], candidate)) == [("deny", "deny, engine_error", 1, (1,))]


def test_other_obligations_are_a_change_where_the_action_goes_on() -> None:
    mask: dict[str, JsonValue] = {"kind": "mask", "fields": ["args.iban"]}
    assert changes(compare([decided("allow")], Always("allow", mask))) == [
        ("allow", "allow, other obligations", 1, (1,))
    ]
    assert compare([decided("allow", obligations=[mask])], Always("allow", mask)).changed == 0
    assert compare([decided("deny")], Always("deny", mask)).changed == 0


def test_an_obligation_that_the_gate_cannot_carry_out_is_a_deny() -> None:
    found = compare([decided("allow")], Always("allow", {"kind": "mask", "fields": 5}))
    assert changes(found) == [("allow", "deny", 1, (1,))]


def test_a_damaged_entry_is_not_compared() -> None:
    damaged = decided("allow").model_copy(update={"body": {"decision": "yes"}})
    assert compare([damaged], Always("deny")).groups[0].unanswered == 1


def test_since_leaves_out_what_came_before(store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        log = story.governance.audit
        entries = log.entries(kind="decision")
        found = replay(log, Always("deny"), since=entries[2].at)
    assert sum(group.decisions for group in found.groups) == len(entries) - 2


def test_a_masked_value_that_no_rule_of_the_candidate_reads_makes_no_difference(tmp_path: Path) -> None:
    args = {"amount": 60, "iban": {"$masked": "hmac-sha256:00"}}
    for rule, expected in (
        ("input.tool.args.amount > 50", (1, 0)),
        ('startswith(input.tool.args.iban, "DE")', (0, 1)),
        ("some text in input.tool.args; text == 1", (0, 1)),
    ):
        rules = f'allow if true\n\ndeny contains "no" if {{ {rule} }}'
        bundle = Bundle.read(write_folder(tmp_path, {"main": policy(rules)}))
        with contextlib.closing(open_bundle(bundle)) as engine:
            found = compare([decided("allow", args=args)], engine, bundle)
        assert (found.changed, found.groups[0].undecidable) == expected
