"""Results pass the gate too: cut, refused or let through, as the policy says of the call and of its result."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.action import Handoff, ModelCall, Principal, Run, ToolCall
from openclaw.audit import Entry
from openclaw.budget import Usage
from openclaw.errors import StoreError
from openclaw.gate import Outcome, Permit, Refusal, Request, Shown, Waiting
from openclaw.governance import Governance
from openclaw.review.schemas import PolicyInput
from openclaw.showing import ASKED_BYTES_MAX
from openclaw.store import Store
from tests.support.engines import Scripted

CALLS = """\
package openclaw.policies.calls

import rego.v1

allow if input.kind in {"tool", "model"}

ask contains "a person looks" if input.tool.name == "asked"

oblige contains {"kind": "redact", "fields": ["result.rows.*.iban"]} if input.tool.name == "query"

oblige contains {"kind": "audit", "level": "full"} if input.tool.args.full

oblige contains {"kind": "mask", "fields": ["result.name"]} if input.tool.args.full

oblige contains {"kind": "limit", "key": "all", "calls": 5, "per": "hour"} if input.tool.args.limited
"""

GUARD = """\
package openclaw.policies.guard

import rego.v1

deny contains "it holds a key" if {
	input.kind == "result"
	walk(input.result, [_, text])
	is_string(text)
	contains(text, "AKIA")
}

deny contains "failed too loudly" if input.outcome.status == "failed"

oblige contains {"kind": "redact", "texts": [text], "replacement": "[pin]"} if {
	walk(input.result, [_, words])
	is_string(words)
	some text in regex.find_n("PIN[0-9]+", words, -1)
}

oblige contains {"kind": "charge", "calls": 1} if input.result == "charged"
"""

GRANT = """\
package openclaw.policies.grant

import rego.v1

allow if {
	input.kind == "result"
	input.result == "fine"
}
"""

PRINCIPAL = Principal(agent="clerk", workflow="desk")


def opened(url: str, folder: Path, **rules: str) -> Governance:
    policies = folder / "policies"
    policies.mkdir()
    for name, text in rules.items():
        (policies / f"{name}.rego").write_text(text)
    return Governance.open(url, policies=policies, key=folder / "key")


@pytest.fixture
def governance(store_url: str, tmp_path: Path) -> Iterator[Governance]:
    with opened(store_url, tmp_path, calls=CALLS, guard=GUARD) as governance:
        yield governance


def permitted(governance: Governance, name: str = "look", key: str | None = None, **args: object) -> Permit:
    action = ToolCall(principal=PRINCIPAL, name=name, args=args, call_id="c")
    request = Request(action=action, run=Run(id="run-1"), hold=Usage(calls=1), key=key, can_wait=True)
    admission = governance.gate.admit(request)
    if isinstance(admission, Waiting):
        governance.approvals.approve(admission.approval, by="ann")
        admission = governance.gate.admit(request)
    assert isinstance(admission, Permit), admission
    return admission


def show(governance: Governance, permit: Permit, value: object, *, failed: bool = False, way: str = "sync") -> Shown:
    outcome = Outcome(
        status="failed" if failed else "done",
        usage=Usage(calls=1),
        result=None if failed else value,
        error=f"ValueError: {value}" if failed else "",
    )
    gate = governance.gate
    shown = gate.show(permit, outcome, value) if way == "sync" else asyncio.run(gate.ashow(permit, outcome, value))
    gate.finish(permit, dataclasses.replace(outcome, shown=shown))
    return shown


def entries(governance: Governance, kind: str) -> list[Entry]:
    return governance.audit.entries(kind=kind)  # type: ignore[arg-type]


def verdicts(governance: Governance) -> list[tuple[str, str, object]]:
    """Decisions and outcomes, in order."""
    found = [entry for entry in governance.audit.entries() if entry.kind in ("decision", "outcome")]
    return [(entry.kind, entry.effect or str(entry.body["status"]), entry.body.get("shown")) for entry in found]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_fields_that_the_call_demands_are_cut(governance: Governance, way: str) -> None:
    permit = permitted(governance, "query")
    assert governance.gate.reads(permit)
    shown = show(governance, permit, {"rows": [{"iban": "DE1", "name": "Eva"}]}, way=way)
    assert (shown.value, shown.changed, shown.refused) == ({"rows": [{"name": "Eva"}]}, True, None)
    assert verdicts(governance) == [
        ("decision", "allow", None),
        ("outcome", "done", "cut"),
        ("decision", "allow", None),
    ]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_texts_that_the_policy_finds_are_cut_and_not_stored(governance: Governance, way: str) -> None:
    shown = show(governance, permitted(governance, full=True), {"note": "my PIN98765432101 and PIN12"}, way=way)
    assert shown.value == {"note": "my [pin] and [pin]"}
    [outcome] = entries(governance, "outcome")
    assert outcome.body["result"]["result"] == {"note": "my [pin] and [pin]"}  # type: ignore[index, call-overload]
    everything = "".join(entry.model_dump_json() for entry in governance.audit.entries())
    assert "98765432101" not in everything
    asked = entries(governance, "decision")[-1].body
    assert list(asked["decision"]["obligations"][-1]["texts"][0]) == ["$masked"]  # type: ignore[index, call-overload, arg-type]
    assert list(asked["input"]["result"]) == ["$masked"]  # type: ignore[index, call-overload, arg-type]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_denied_result_is_withheld_and_recorded_and_the_action_stays_done(governance: Governance, way: str) -> None:
    shown = show(governance, permitted(governance, full=True), ["the key is AKIA1"], way=way)
    assert shown.value is None
    assert shown.refused is not None
    assert shown.refused.reasons == ("the call was made, and its result is withheld", "it holds a key")
    assert verdicts(governance) == [
        ("decision", "allow", None),
        ("outcome", "done", "withheld"),
        ("decision", "deny", None),
    ]
    last = governance.audit.entry(shown.refused.seq or 0)
    assert (last.effect, last.body["refused_by"], last.body["of"]) == ("deny", "policy", 2)
    assert last.body["input"]["kind"] == "result"  # type: ignore[index, call-overload]
    assert "AKIA1" not in "".join(entry.model_dump_json() for entry in governance.audit.entries())
    balance = governance.ledger.balance(PRINCIPAL.account)
    assert (balance.posted, balance.pending) == (Usage(calls=1), Usage())


def test_a_node_that_runs_again_hears_that_the_result_is_withheld(governance: Governance) -> None:
    shown = show(governance, permitted(governance, key="k"), "AKIA1")
    action = ToolCall(principal=PRINCIPAL, name="look", args={}, call_id="c")
    again = governance.gate.admit(Request(action=action, key="k"))
    assert isinstance(again, Refusal)
    assert shown.refused is not None
    assert (again.error.reasons, again.error.seq) == (shown.refused.reasons, shown.refused.seq)


def test_a_result_that_nothing_speaks_against_is_covered_by_its_call(governance: Governance) -> None:
    shown = show(governance, permitted(governance, full=True), {"name": "Eva", "x": 1})
    assert (shown.value, shown.changed) == ({"name": "Eva", "x": 1}, False)
    last = entries(governance, "decision")[-1]
    assert (last.effect, last.body["covered"], last.body["decision"]["code"]) == ("allow", True, "no_policy")  # type: ignore[index, call-overload]
    result = last.body["input"]["result"]  # type: ignore[index, call-overload]
    assert (result["x"], list(result["name"])) == (1, ["$masked"])  # type: ignore[index, call-overload, arg-type]


def test_the_answer_of_the_call_is_the_answer_of_its_result_where_a_rule_does_not_look_at_the_kind(
    governance: Governance,
) -> None:
    assert show(governance, permitted(governance, "asked", key="k"), "x").value == "x", "approved once, for both"
    assert show(governance, permitted(governance, limited=True), "x").value == "x"
    for _ in range(4):
        permitted(governance, limited=True)
    refusal = governance.gate.admit(
        Request(action=ToolCall(principal=PRINCIPAL, name="look", args={"limited": True}), run=Run(id="run-1"))
    )
    assert isinstance(refusal, Refusal), "a result is not counted against the limit of calls"


def test_what_makes_no_sense_for_a_result_withholds_it(governance: Governance) -> None:
    shown = show(governance, permitted(governance), "charged")
    assert shown.refused is not None
    assert (
        shown.refused.reasons[1] == "the policy demands what the gate cannot carry out: obligation `charge` on a result"
    )


@pytest.mark.parametrize("way", ["sync", "async"])
def test_what_a_failed_call_says_is_looked_at_too(governance: Governance, way: str) -> None:
    shown = show(governance, permitted(governance), "no such account", failed=True, way=way)
    assert shown.refused is not None
    [outcome] = entries(governance, "outcome")
    assert (outcome.body["status"], outcome.body["error"]) == ("failed", "ValueError")
    permitted(governance)


def test_where_an_allow_speaks_of_results_a_result_needs_one(sqlite_url: str, tmp_path: Path) -> None:
    with opened(sqlite_url, tmp_path, calls=CALLS, grant=GRANT) as governance:
        assert show(governance, permitted(governance), "fine").value == "fine"
        shown = show(governance, permitted(governance), "other")
        assert shown.refused is not None
        assert shown.refused.reasons[1] == "no policy allows this"


def test_where_no_policy_reads_results_nobody_is_asked(sqlite_url: str, tmp_path: Path) -> None:
    with opened(sqlite_url, tmp_path, calls=CALLS) as governance:
        assert not governance.gate.reads(permitted(governance))
        permit = permitted(governance, "query")
        assert show(governance, permit, {"rows": [{"iban": 1, "x": 2}]}).value == {"rows": [{"x": 2}]}
        assert len(entries(governance, "decision")) == 2


def test_models_and_hand_offs_have_no_results_here(governance: Governance) -> None:
    model = governance.gate.admit(Request(action=ModelCall(principal=PRINCIPAL, name="m")))
    assert isinstance(model, Permit)
    assert not governance.gate.reads(model)
    handoff = dataclasses.replace(model, action=Handoff(principal=PRINCIPAL, name="transfer_to_x"))
    assert not governance.gate.reads(handoff)


@pytest.mark.parametrize("value", ["x" * (ASKED_BYTES_MAX + 1), ["AKIA" * 10, "y" * ASKED_BYTES_MAX]])
def test_of_a_large_result_policy_and_model_see_the_head(governance: Governance, value: JsonValue) -> None:
    shown = show(governance, permitted(governance), value)
    asked = entries(governance, "decision")[-1].body["input"]["outcome"]  # type: ignore[index, call-overload]
    assert asked["whole"] is False  # type: ignore[index, call-overload]
    if isinstance(value, list):
        assert shown.refused is not None
        return
    assert isinstance(shown.value, str)
    assert shown.value.startswith("xxx")
    assert len(shown.value) < 70_000
    assert "a policy reads results" in shown.value


def test_values_outside_of_json_are_looked_at_in_their_tagged_form(governance: Governance) -> None:
    shown = show(governance, permitted(governance), {"a": float("nan"), "b": 2**70, "c": b"x"})
    assert (shown.changed, shown.refused) == (False, None)


def test_a_verdict_that_cannot_be_recorded_withholds_the_result(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(sqlite_url, tmp_path, calls=CALLS, guard=GUARD) as governance:
        permit = permitted(governance)

        def full(store: Store, unit: object) -> object:
            raise StoreError("the database cannot be written: disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(governance._store, "hooks", [lambda _: full(governance._store, None)])
            outcome = Outcome(status="done", result="AKIA")
            shown = governance.gate.show(permit, outcome, "AKIA")
        assert shown.refused is not None
        assert shown.refused.source == "audit"
        governance.gate.finish(permit, dataclasses.replace(outcome, shown=shown))
        assert verdicts(governance)[-1] == ("decision", "deny", None)


def test_an_engine_of_ones_own_that_says_nothing_of_results_is_not_asked(sqlite_url: str) -> None:
    with Governance.open(sqlite_url, policies=Scripted()) as governance:
        assert not governance.gate.reads(permitted(governance))


def test_the_schema_describes_the_input_that_is_asked(governance: Governance) -> None:
    shown = show(governance, permitted(governance), {"a": 1})
    asked = {**shown.document}
    assert PolicyInput.model_validate(asked).model_dump(exclude_unset=True).keys() == asked.keys()
