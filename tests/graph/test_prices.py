"""What a model call costs, from the provider's report to the log: cached input, the source of the price, energy, no price."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from openclaw.budget import Budget, Energy, Price, Prices
from openclaw.graph import Agent, Workflow
from openclaw.testing import ScriptedModel
from tests.graph.house import House

ACCOUNT = "org/default/workflow/desk/agent/one"
GO: Any = {"messages": [("user", "go")]}


class Caching(BaseChatModel):
    """A model whose provider reports what it has read from its cache, and written to it."""

    name_: str = "gpt-4o"
    provider: str = "openai"

    @property
    def _llm_type(self) -> str:
        return "caching"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": self.name_, "ls_model_type": "chat"}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        usage = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}
        usage["input_token_details"] = {"cache_read": 600, "cache_creation": 100}  # type: ignore[assignment]
        message = AIMessage("hello", usage_metadata=usage)  # type: ignore[arg-type]
        return ChatResult(generations=[ChatGeneration(message=message)])


def outcome(house: House, model: BaseChatModel, name: str) -> dict[str, Any]:
    house.compile(Workflow("desk", agents=[Agent("one", model=model)])).invoke(GO)
    [found] = house.outcomes(name)
    return found


def test_cached_input_is_a_part_of_the_input_with_a_price_of_its_own(house: House) -> None:
    house.gate.prices = Prices({"gpt-4o": Price(input="2", output="10", cached_input="0.5", cache_write="3")})  # type: ignore[arg-type]
    found = outcome(house, Caching(), "gpt-4o")
    assert found["used"] == {"tokens": 1_100, "input_tokens": 1_000, "output_tokens": 100, "microusd": 2_200}
    assert found["cached"] == {"read": 600, "written": 100}
    assert found["price"]["source"] == "own"
    assert house.ledger.balance(ACCOUNT).posted.microusd == 2_200


def test_the_log_says_which_list_the_price_is_from(house: House) -> None:
    found = outcome(house, Caching(), "gpt-4o")
    version = importlib.metadata.version("genai-prices")
    assert found["price"] == {"source": f"genai-prices {version}", "provider": "openai", "model": "gpt-4o"}
    assert "energy" not in found


def test_energy_is_in_the_record_where_it_is_asked_for(house: House) -> None:
    house.gate.energy = Energy(zone="DEU")
    found = outcome(house, Caching(), "gpt-4o")
    assert (found["energy"]["source"].split()[0], found["energy"]["zone"]) == ("ecologits", "DEU")
    assert found["energy"]["mwh"][0] < found["energy"]["mwh"][1]


def test_energy_of_an_unknown_model_is_unknown_in_the_record(house: House) -> None:
    house.gate.energy = Energy()
    found = outcome(house, Caching(name_="no-such-model-9"), "no-such-model-9")
    assert found["energy"]["unknown"] == "model-not-registered"
    assert "mwh" not in found["energy"]


def test_an_unknown_price_is_unknown_in_the_record_and_posts_no_money(house: House) -> None:
    found = outcome(house, ScriptedModel(["hello"], usage=(120, 7)), "scripted")
    assert found["price"] == {"source": "unknown"}
    assert "microusd" not in found["used"]


@pytest.mark.parametrize("account", ["org/default", "org/default/workflow/desk", ACCOUNT])
def test_a_model_without_a_price_is_refused_where_a_money_budget_applies(house: House, account: str) -> None:
    house.ledger.set_limit(account, Budget(usd="1000"))
    answer = house.compile(Workflow("desk", agents=[Agent("one", model=ScriptedModel(["hello"]))])).invoke(GO)
    assert "no price is known for model `scripted`, and a money budget applies" in answer["messages"][-1].content
    assert house.outcomes("scripted") == []
    assert house.ledger.balance(account).posted.present() == {}


def test_a_money_budget_of_each_run_or_of_a_label_refuses_from_the_first_call_on(house: House) -> None:
    per_run = Agent("one", model=ScriptedModel(["hello"]), budget=Budget(usd="1", window="run"))
    answer = house.compile(per_run, ledger=house.ledger).invoke(GO)
    assert "no price is known for model `scripted`, and a money budget applies" in answer["messages"][-1].content
    house.ledger.set_limit("org/default/customer/acme", Budget(usd="1"))
    config: Any = {"configurable": {"openclaw_labels": {"customer": "acme"}}}
    answer = house.compile(Agent("two", model=ScriptedModel(["hello"]))).invoke(GO, config)
    assert "no price is known for model `scripted`, and a money budget applies" in answer["messages"][-1].content
    assert house.outcomes("scripted") == []
