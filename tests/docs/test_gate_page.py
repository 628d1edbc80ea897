"""What docs/gate.md says a policy can demand, the gate can carry out; the policy in it decides as the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

from openclaw.decision import OBLIGATION_KINDS, Decision, Effect, Obligation
from openclaw.duties import ActionKind, read_duties
from openclaw.policy import open_engine
from openclaw.policy.results import Results

PAGE = (Path(__file__).parents[2] / "docs" / "gate.md").read_text()
OBLIGATIONS = [
    Obligation.model_validate(json.loads(block)) for block in re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
]


def test_every_kind_is_described_with_an_example() -> None:
    assert {obligation.kind for obligation in OBLIGATIONS} == OBLIGATION_KINDS


def test_the_table_says_which_actions_a_kind_makes_sense_for() -> None:
    rows = re.findall(r"^\| (`.*?`) \| ((?:yes|no)(?: \| (?:yes|no)){4}) \|$", PAGE, re.MULTILINE)
    said: dict[str, list[str]] = {
        kind: answers.split(" | ") for kinds, answers in rows for kind in re.findall("`(.*?)`", kinds)
    }
    assert said.keys() == OBLIGATION_KINDS
    for obligation in OBLIGATIONS:
        for kind, answer in zip(get_args(ActionKind), said[obligation.kind], strict=True):
            decision = Decision(effect=Effect.ALLOW, obligations=(obligation,))
            assert (read_duties(decision, kind).unmet == "") == (answer == "yes"), (obligation, kind)


def test_the_policy_for_results_does_what_it_is_there_for(tmp_path: Path) -> None:
    [rego] = re.findall(r"```rego\n(.*?)\n```", PAGE, re.DOTALL)
    (tmp_path / "files.rego").write_text(rego)
    engine = open_engine(tmp_path)
    assert engine.results is Results.GUARDED
    denied = engine.evaluate({"kind": "result", "result": "INTERNAL USE ONLY"})
    assert denied.reasons == ("an internal document",)
    cut = engine.evaluate({"kind": "result", "result": "see TICKET-17"})
    assert read_duties(cut, "result").redact.cut("see TICKET-17") == "see [ticket]"
    engine.close()
