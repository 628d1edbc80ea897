"""The README is true: its program runs under its policy, and the log looks as it is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool

from openclaw.testing import ScriptedModel

PATH = Path(__file__).parents[2] / "README.md"
README = PATH.read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None, f"the README has no {language} block"
    return found[1]


def steady(text: str) -> str:
    """Output without what differs from run to run: identifiers, hashes, dates and durations."""
    text = re.sub(r"(run|openclaw)-[0-9a-f]{12}-[0-9a-f]{8}", r"\1-…", text)
    text = re.sub(r"[0-9a-f]{64}", "…", text)
    text = re.sub(r"\d{4}-\d\d-\d\d [\d:.]+Z, [\d.]+ (µs|ms|s)", "(when)", text)
    return re.sub(r"\d+ (µs|ms|s)(, )?", "", text).replace(" \n", "\n").replace(" \n", "\n")


def test_the_ten_lines_run_and_the_log_looks_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "desk.rego").write_text(block("rego"))
    paid: list[float] = []

    @tool
    def lookup_order(order: str) -> str:
        """Find an order."""
        return f"order {order}: one chair, 240 EUR"

    @tool
    def refund(order: str, amount: int) -> str:
        """Pay an amount back."""
        paid.append(amount)
        return "refunded"

    script: Any = {"usage": (50, 10)}
    world = {
        "lookup_order": lookup_order,
        "refund": refund,
        "triage_model": ScriptedModel(
            [("lookup_order", {"order": "17"}), ("transfer_to_refunds", {})], model_name="gpt-4o-mini", **script
        ),
        "refund_model": ScriptedModel([("refund", {"order": "17", "amount": 240})], model_name="gpt-4o", **script),
    }
    exec(block("python"), world)
    governance = world["gov"]
    assert paid == []
    (question,) = governance.approvals.list()
    assert question.request["reasons"] == ["a refund over 100 needs a person"]
    governance.approvals.approve(question.id, by="ann", reason="receipt seen")
    state = world["graph"].invoke(None, {"configurable": {"thread_id": "1"}})
    assert paid == [240]
    assert state["messages"][-1].text == "Done."
    governance.close()

    shown, said = block("console"), ""
    for command in re.findall(r"^\$ openclaw (.*)$", shown, re.MULTILINE):
        ran = subprocess.run(
            [sys.executable, "-m", "openclaw", *command.split()],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "COLUMNS": "100"},
        )
        said += f"$ openclaw {command}\n{ran.stdout}"
    if os.environ.get("OPENCLAW_UPDATE_DOCS"):
        PATH.write_text(README.replace(shown, said))
        return
    assert steady(said) == steady(shown)
