"""``openclaw policy`` and ``openclaw schema``."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from openclaw.action import Context, Handoff, MemoryAccess, ModelCall, Principal, Run, ToolCall, policy_input
from openclaw.review.schemas import SCHEMAS, PolicyDecision, PolicyInput
from tests.cli.conftest import Command
from tests.support.story import BEGAN, DESK_REGO


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "desk.rego").write_text(DESK_REGO)
    return folder


def asked(amount: int) -> dict[str, object]:
    principal = Principal(agent="refunds", workflow="returns")
    action = ToolCall(principal=principal, name="refund", args={"amount": amount}, call_id="call_1")
    return policy_input(action, Context(now=BEGAN))


def test_check_passes_good_policies(policies: Path, openclaw: Command) -> None:
    said = openclaw("policy", "check", str(policies), "--json")
    assert said.code == 0, said.err
    assert said.json["ok"] is True
    assert said.json["revision"].startswith("sha256:")


def test_check_names_file_and_line_of_what_is_wrong(policies: Path, openclaw: Command) -> None:
    (policies / "broken.rego").write_text("package openclaw.policies.broken\n\nallow if {\n")
    said = openclaw("policy", "check", str(policies))
    assert said.code == 1
    assert "broken.rego:" in said.out
    assert said.err.startswith("error: ")
    found = openclaw("policy", "check", str(policies), "--json").json
    assert found["ok"] is False
    assert found["diagnostics"][0]["line"] >= 3


def test_check_of_no_folder_is_wrong_usage(tmp_path: Path, openclaw: Command) -> None:
    said = openclaw("policy", "check", str(tmp_path / "nothing"))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ")


@pytest.mark.parametrize(("amount", "effect"), [(40, "allow"), (120, "ask")])
def test_eval_reads_the_input_from_a_file(policies: Path, openclaw: Command, amount: int, effect: str) -> None:
    (policies.parent / "input.json").write_text(json.dumps(asked(amount)))
    said = openclaw("policy", "eval", str(policies), str(policies.parent / "input.json"), "--json")
    assert (said.code, said.json["effect"]) == (0, effect)


def test_eval_reads_the_input_from_stdin(policies: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asked(120))))
    said = openclaw("policy", "eval", str(policies))
    assert said.code == 0
    assert said.out.splitlines()[:2] == ["effect    ask", "reason    a refund above 50 needs a person"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not a JSON object but list"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_eval_of_what_is_no_input_is_wrong_usage(policies: Path, openclaw: Command, text: str, message: str) -> None:
    (policies.parent / "input.json").write_text(text)
    said = openclaw("policy", "eval", str(policies), str(policies.parent / "input.json"))
    assert said.code == 2
    assert message in said.err


@pytest.mark.parametrize("document", sorted(SCHEMAS))
def test_schema_prints_a_json_schema(openclaw: Command, document: str) -> None:
    said = openclaw("schema", document)
    assert said.code == 0
    assert said.json["type"] == "object"


@pytest.mark.parametrize(
    "action",
    [
        ToolCall(
            principal=Principal(agent="a", on_behalf_of="user:1"), name="t", args={"x": [1, None]}, tags=("write",)
        ),
        ModelCall(principal=Principal(agent="a"), name="m", provider="p", sites=("eu",)),
        Handoff(principal=Principal(agent="a"), name="transfer_to_b", args={"agent": "b"}),
        MemoryAccess(principal=Principal(agent="a"), name="get", args={"key": "k"}),
    ],
    ids=lambda action: action.kind,
)
@pytest.mark.parametrize("whole", [True, False])
def test_the_schema_describes_the_input_that_is_built(action: ToolCall, whole: bool) -> None:
    context = Context(now=BEGAN)
    if whole:
        context = Context(
            now=BEGAN,
            run=Run(id="run-1", thread="t", step=1, calls=2, started_at=BEGAN),
            flow={"sources": [{"tool": "read", "trust": "untrusted"}], "args": {}},
            budget={"remaining": {"tokens": 1}},
            approval={"by": "eva", "at": "2026-11-23T10:00:00Z"},
        )
    built = policy_input(action, context)
    assert PolicyInput.model_validate(built).model_dump(exclude_unset=True).keys() == built.keys()


def test_the_schema_of_a_decision_is_what_the_reader_of_decisions_takes() -> None:
    from openclaw.policy.engine import read_answer

    answer = {"effect": "deny", "reasons": ["r"], "rules": ["x"], "obligations": [{"kind": "mask", "fields": ["a"]}]}
    PolicyDecision.model_validate(answer)
    assert read_answer(answer, revision="", engine="").code == "policy"


def test_opa_finds_a_misspelt_field_with_the_schema(opa_binary: str, policies: Path, openclaw: Command) -> None:
    schema = policies.parent / "input.json"
    schema.write_text(openclaw("schema", "input").out)
    check = [opa_binary, "check", "--schema", str(schema), str(policies)]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    (policies / "typo.rego").write_text(
        'package openclaw.policies.typo\n\ndeny contains "no" if input.principal.agnt == "x"\n'
    )
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "agnt" in done.stderr
