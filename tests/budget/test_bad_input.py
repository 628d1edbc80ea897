"""Bad input, case by case: each is a clear error or a refused call, and nothing is held or changed by it."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from openclaw.budget import Budget, Ledger
from openclaw.budget.amount import AMOUNT_MAX
from openclaw.errors import BudgetError, BudgetExceeded, ConfigurationError
from openclaw.governance import Governance
from openclaw.graph import Agent, Workflow, read_workflow
from openclaw.testing import FakeClock, ScriptedModel
from tests.support.story import DeskPolicy

AGENT = "org/default/agent/solo"
COUNTED = ("tokens", "input_tokens", "output_tokens", "calls", "seconds", "mwh")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def governance(tmp_path: Path) -> Any:
    url = f"sqlite:///{tmp_path / 'openclaw.db'}"
    with Governance.open(url, policies=DeskPolicy(), key=tmp_path / "key", clock=FakeClock()) as opened:
        yield opened


@pytest.mark.parametrize("unit", COUNTED)
@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), 1.5, "5", True, AMOUNT_MAX + 1, 10**40])
def test_a_limit_that_is_no_amount_is_an_error(unit: str, amount: object) -> None:
    with pytest.raises(ValidationError, match=unit):
        Budget.model_validate({unit: amount})


@pytest.mark.parametrize(
    "usd", [-1, "-0.01", "NaN", "Infinity", Decimal("sNaN"), 0.5, True, "1e40", "0.0000001", "much"]
)
def test_money_that_is_no_amount_is_an_error(usd: object) -> None:
    with pytest.raises(ValidationError, match="usd"):
        Budget.model_validate({"usd": usd})


def test_seconds_that_are_too_many_in_milliseconds_are_an_error() -> None:
    assert Budget(seconds=AMOUNT_MAX // 1000).limits() == {"milliseconds": AMOUNT_MAX // 1000 * 1000}
    with pytest.raises(ValidationError, match="seconds"):
        Budget(seconds=AMOUNT_MAX // 1000 + 1)


@pytest.mark.parametrize("unit", ["token", "hours", "milliseconds", "microusd", "kwh"])
def test_an_unknown_unit_is_an_error(unit: str) -> None:
    with pytest.raises(ValidationError, match=unit):
        Budget.model_validate({"tokens": 1, unit: 1})


@pytest.mark.parametrize("amount", [-1, float("nan"), 1.5, True, AMOUNT_MAX + 1])
@pytest.mark.parametrize("unit", ["tokens", "milliseconds", "mwh"])
def test_an_amount_that_is_none_is_not_held(ledger: Ledger, unit: str, amount: Any) -> None:
    with pytest.raises(BudgetError, match=f"`{unit}` is not an amount"):
        ledger.reserve(AGENT, **{unit: amount})
    assert ledger.accounts() == []


def test_holds_that_would_overflow_together_are_refused_where_there_is_a_limit(ledger: Ledger) -> None:
    ledger.set_limit(AGENT, Budget(tokens=AMOUNT_MAX))
    ledger.reserve(AGENT, tokens=AMOUNT_MAX)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(AGENT, tokens=AMOUNT_MAX)


def test_a_limit_lowered_below_what_is_spent_is_taken_and_admits_nothing(ledger: Ledger) -> None:
    ledger.set_limit(AGENT, Budget(seconds=60, mwh=100))
    ledger.settle(ledger.reserve(AGENT, milliseconds=50_000, mwh=80), milliseconds=50_000, mwh=80)
    ledger.set_limit(AGENT, Budget(seconds=10, mwh=100))
    with pytest.raises(BudgetExceeded, match=r"overdrawn by 40\.000 seconds"):
        ledger.reserve(AGENT, calls=1)
    ledger.set_limit(AGENT, Budget(seconds=60, mwh=100))
    ledger.reserve(AGENT, mwh=20)


def test_a_clock_set_back_opens_no_window_again(ledger: Ledger, clock: FakeClock) -> None:
    ledger.set_limit(AGENT, Budget(seconds=60, window="hour"))
    ledger.settle(ledger.reserve(AGENT, milliseconds=60_000), milliseconds=60_000)
    clock._now -= dt.timedelta(hours=3)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(AGENT, milliseconds=1)


# -- two budgets under one name ------------------------------------------------------------------------------------------


def test_two_agents_of_one_name_with_different_budgets_are_an_error(governance: Governance) -> None:
    governance.compile(Agent("solo", model=ScriptedModel(), budget=Budget(tokens=100)))
    governance.compile(Agent("solo", model=ScriptedModel(), budget=Budget(tokens=100)))  # the same one again
    with pytest.raises(BudgetError) as caught:
        governance.compile(Agent("solo", model=ScriptedModel(), budget=Budget(tokens=200)))
    assert caught.value.message == (
        f"`{AGENT}` has two budgets in this program: `tokens 100` of `total`, and `tokens 200` of `total`"
    )
    assert "different names" in caught.value.hint
    assert governance.ledger.balance(AGENT).limits == {"tokens": 100}


@pytest.mark.parametrize("other", [Budget(tokens=100, window="day"), Budget(tokens=100, window="run"), Budget(calls=1)])
def test_another_window_or_unit_is_another_budget(governance: Governance, other: Budget) -> None:
    governance.compile(Agent("solo", model=ScriptedModel(), budget=Budget(tokens=100)))
    with pytest.raises(BudgetError, match="has two budgets in this program"):
        governance.compile(Agent("solo", model=ScriptedModel(), budget=other))


def test_two_workflows_of_one_name_with_different_budgets_are_an_error(governance: Governance) -> None:
    for tokens, agent_tokens, account in ((100, None, ""), (50, None, "workflow/desk"), (100, 7, "")):
        agent = Agent("one", model=ScriptedModel(), budget=agent_tokens and Budget(tokens=agent_tokens))
        desk = Workflow("desk", agents=[agent], budget=Budget(tokens=tokens))
        if not account:
            governance.compile(desk)
            continue
        with pytest.raises(BudgetError, match=rf"`org/default/{account}` has two budgets in this program"):
            governance.compile(desk)


def test_two_agents_of_one_name_in_one_workflow_are_an_error() -> None:
    agents = [Agent("one", model=ScriptedModel(), budget=Budget(tokens=tokens)) for tokens in (1, 2)]
    with pytest.raises(ConfigurationError, match="has two agents named `one`"):
        Workflow("desk", agents=agents)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: desk\nbudget: {tokens: 1}\nbudget: {tokens: 2}\nagents: [{name: a, model: m}]\n", "the same key twice"),
        ("name: desk\nbudget: {tokens: 1, tokens: 2}\nagents: [{name: a, model: m}]\n", "the same key twice"),
        ("name: desk\nbudget: {seconds: -1}\nagents: [{name: a, model: m}]\n", "budget.seconds"),
        ("name: desk\nbudget: {minutes: 1}\nagents: [{name: a, model: m}]\n", "budget.minutes"),
        ("name: desk\nagents: [{name: a, model: m, budget: {mwh: 1.5}}]\n", "agents.0.budget.mwh"),
    ],
)
def test_in_a_file_it_is_an_error_that_names_the_place(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "desk.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_workflow(path, models={"m": ScriptedModel()})
    assert says in caught.value.message


def test_time_energy_and_priority_of_a_file_are_declared(governance: Governance, tmp_path: Path) -> None:
    path = tmp_path / "desk.json"
    described = {
        "name": "desk",
        "priority": 3,
        "budget": {"seconds": 60, "mwh": 500, "window": "day"},
        "agents": [{"name": "a", "model": "m"}],
    }
    path.write_text(json.dumps(described))
    governance.ledger.set_limit("org/default", Budget(tokens=1_000))
    governance.compile(read_workflow(path, models={"m": ScriptedModel()}))
    assert governance.ledger.balance("org/default/workflow/desk", "day").limits == {"milliseconds": 60_000, "mwh": 500}
    shares = {it.account: (it.priority, it.share) for it in governance.ledger.shares("org/default")}
    assert shares == {"org/default": (1, 250), "org/default/workflow/desk": (3, 750)}
    recorded = [it.body for it in governance.audit.entries(kind="reservation") if it.body["event"] == "priority"]
    assert recorded == [{"event": "priority", "account": "org/default/workflow/desk", "priority": 3, "declared": True}]


def test_two_priorities_of_one_workflow_are_an_error(governance: Governance) -> None:
    def desk(priority: int) -> Workflow:
        return Workflow("desk", agents=[Agent("one", model=ScriptedModel())], priority=priority)

    governance.compile(desk(3))
    governance.compile(desk(3))  # the same one again
    with pytest.raises(BudgetError, match="`org/default/workflow/desk` has two priorities in this program: 3, and 4"):
        governance.compile(desk(4))
    recorded = [it.body["priority"] for it in governance.audit.entries() if it.body.get("event") == "priority"]
    assert recorded == [3]
