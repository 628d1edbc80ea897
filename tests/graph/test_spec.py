"""Workflows from a file: what a platform team reviews is what runs, and what is wrong is refused with its place."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from openclaw.budget import Budget, Soft
from openclaw.errors import ConfigurationError
from openclaw.graph import Agent, Workflow, read_workflow, spec
from openclaw.testing import ScriptedModel
from tests.graph.house import House

ROOT = Path(__file__).parents[2]

RETURNS = """
name: returns
budget: {tokens: 100000, usd: "1.50", calls: 200, window: day}
agents:
  - name: triage
    model: small
    tools: [look]
    roles: [reader]
    prompt: Find the order.
  - name: refunds
    model: large
    alternatives: [small]
    tools: [pay, look]
    roles: [payer]
    on_behalf_of: user:ada
    budget: {tokens: 20000}
    labels: {team: payments}
    soft: {warn: 80, cheaper: 90}
    cheaper: small
"""


def written(path: Path, text: str) -> Path:
    (path / "workflow.yaml").write_text(text)
    return path / "workflow.yaml"


def test_a_file_says_what_python_would(house: House, tmp_path: Path) -> None:
    look, pay = house.tool("look"), house.tool("pay")
    small, large = ScriptedModel(model_name="small"), ScriptedModel(model_name="large")
    found = read_workflow(written(tmp_path, RETURNS), tools=[look, pay], models={"small": small, "large": large})
    assert found == Workflow(
        "returns",
        agents=[
            Agent("triage", model=small, tools=[look], roles=["reader"], prompt="Find the order."),
            Agent(
                "refunds",
                model=large,
                alternatives=[small],
                tools=[pay, look],
                roles=["payer"],
                on_behalf_of="user:ada",
                budget=Budget(tokens=20_000),
                labels={"team": "payments"},
                soft=Soft(warn=80, cheaper=90),
                cheaper=small,
            ),
        ],
        budget=Budget(tokens=100_000, usd=Decimal("1.50"), calls=200, window="day"),
    )


def test_it_runs(house: House, tmp_path: Path) -> None:
    small = ScriptedModel([("look", {"x": 1}), ("transfer_to_refunds", {})], model_name="small")
    large = ScriptedModel([("look", {"x": 2}), "ok"], model_name="large")
    workflow = read_workflow(
        written(tmp_path, RETURNS.replace('usd: "1.50", ', "")),
        tools=[house.tool("look"), house.tool("pay")],
        models={"small": small, "large": large},
    )
    house.compile(workflow, ledger=house.ledger).invoke({"messages": [("user", "go")]})
    assert house.did == [("look", 1), ("look", 2)]
    house.gate.flush()
    assert house.ledger.remaining("org/default/workflow/returns")["calls"] == 198
    assert house.ledger.balance("org/default/workflow/returns/agent/refunds").limits["tokens"] == 20_000
    house.assert_one_record_each()


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("roles: [reader]", "role: [reader]", "`agents.0.role`: there is no such part", "did you mean `roles`?"),
        ("roles: [reader]", "roles: reader", "`agents.0.roles`", ""),
        ("tools: [look]", "tools: [lock]", "`agents.0.tools`: there is no tool `lock`", "given are look, pay"),
        ("model: large", "model: huge", "`agents.1.model`: there is no model `huge`", "given are small, large"),
        (
            "alternatives: [small]",
            "alternatives: [tiny]",
            "`agents.1.alternatives`: there is no model `tiny`",
            "give it in `models=`",
        ),
        ("tools: [look]", "tools: [look, look]", "wrong at `agents.0`: agent `triage` has two tools named", "rename"),
        (
            "name: returns",
            "name: returns\npriority: 100000",
            "workflow.yaml` is wrong: `100000` is no priority",
            "1 to",
        ),
        ("name: returns", "name: returns\norg: a/b", "workflow.yaml` is wrong: organisation name `a/b`", ""),
        ("model: large", "modl: large", "`agents.1.model`: it is missing", "on_behalf_of"),
        ("{tokens: 20000}", "{tokens: 1.5}", "`agents.1.budget.tokens`", ""),
        ("cheaper: small", "cheaper: tiny", "there is no model `tiny`", "give it in `models=`"),
        ("{warn: 80", "{wan: 80", "`agents.1.soft.wan`", "did you mean `warn`?"),
        ("{tokens: 20000}", "{token: 5}", "`agents.1.budget.token`", "did you mean `tokens`?"),
        ('usd: "1.50"', "usd: 1.50", "`budget.usd`", ""),
        ("name: refunds", "name: triage", "workflow.yaml` is wrong: workflow `returns` has two agents named", "rename"),
        ("name: refunds", "name: re/funds", "wrong at `agents.1`: agent name `re/funds` cannot be used", ""),
        ("name: returns", "name: returns\nname: again", "no YAML", ""),
        ("name: returns", "nam: returns", "`name`", ""),
        ("name: returns", "name: returns\ncode: !!python/object:os.system x", "no YAML", ""),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(
    house: House, tmp_path: Path, old: str, new: str, message: str, hint: str
) -> None:
    assert old in RETURNS
    path = written(tmp_path, RETURNS.replace(old, new, 1))
    models = {"small": ScriptedModel(), "large": ScriptedModel()}
    with pytest.raises(ConfigurationError, match=re.escape(message)) as raised:
        read_workflow(path, tools=[house.tool("look"), house.tool("pay")], models=models)
    assert hint in str(raised.value.hint)


def test_files_that_cannot_be_read_and_tools_that_cannot_be_told_apart(house: House, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_workflow(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        read_workflow(tmp_path / "bytes.yaml")
    with pytest.raises(ConfigurationError, match="two of the given tools are named `look`"):
        read_workflow(written(tmp_path, RETURNS), tools=[house.tool("look"), house.tool("look")])
    for text, held in (("", "empty"), ("- a", "a list"), ("hello", "a single value")):
        with pytest.raises(ConfigurationError, match=f"workflow.yaml` is {held}, and no workflow"):
            read_workflow(written(tmp_path, text))


def test_the_form_in_the_module_is_one_that_is_read(house: House, tmp_path: Path) -> None:
    shown = "\n".join(line[4:] for line in str(spec.__doc__).split("\n\n")[1].splitlines())
    tools = [house.tool("lookup_order"), house.tool("refund")]
    found = read_workflow(written(tmp_path, shown), tools=tools, models={"small": ScriptedModel()})
    assert [agent.name for agent in found.agents] == ["triage", "refunds"]
    assert found.agents[1].models[0] == "openai:gpt-4o"
