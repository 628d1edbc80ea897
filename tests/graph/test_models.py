"""Sealed models: what is held, what is settled, and how a refused call ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from openclaw.budget import Budget, Price, Prices
from openclaw.errors import BudgetExceeded, ConfigurationError, Refused, Ungoverned
from openclaw.graph import Agent, Workflow, govern_model
from openclaw.graph.counting import DEFAULT_OUTPUT_TOKENS
from openclaw.graph.metering import seal_model
from openclaw.testing import ScriptedModel
from tests.graph.house import House

ACCOUNT = "org/default/workflow/own/agent/own"
GO: Any = {"messages": [("user", "go")]}


def drawn(node: Any) -> StateGraph[Any, Any, Any, Any]:
    return StateGraph(MessagesState).add_node("act", node).add_edge(START, "act")


def settled(house: House, account: str = ACCOUNT) -> tuple[int, int]:
    house.gate.flush()
    balance = house.ledger.balance(account)
    assert not balance.pending.present()
    return balance.posted.input_tokens, balance.posted.output_tokens


def test_reported_usage_is_settled_exactly_and_charged_to_every_level(house: House) -> None:
    for account in ("org/default", "org/default/workflow/desk", "org/default/workflow/desk/agent/one"):
        house.ledger.set_limit(account, Budget(tokens=1_000_000))
    desk = Workflow("desk", agents=[Agent("one", model=ScriptedModel(["hello"], usage=(120, 7)))])
    house.compile(desk).invoke(GO)
    for account in ("org/default", "org/default/workflow/desk", "org/default/workflow/desk/agent/one"):
        assert settled(house, account) == (120, 7)
    [outcome] = house.outcomes("scripted")
    assert outcome["used"] == {"tokens": 127, "input_tokens": 120, "output_tokens": 7}
    assert "estimated" not in outcome


@pytest.mark.parametrize("how", ["invoke", "stream", "ainvoke", "astream", "batch", "bound"])
def test_every_way_of_calling_is_charged_once(house: House, how: str) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=1_000_000))
    model = govern_model(ScriptedModel(["one two three"], usage=(50, 3)), agent="own", gate=house.gate)

    def act(state: MessagesState) -> dict[str, Any]:
        match how:
            case "invoke":
                model.bind_tools([house.tool("look")]).with_retry().invoke(state["messages"])
            case "stream":
                assert len(list(model.stream(state["messages"]))) > 1
            case "batch":
                model.with_config(tags=["x"]).batch([state["messages"]])
            case _:
                model.bind(stop=["x"]).invoke(state["messages"])
        return {}

    async def aact(state: MessagesState) -> dict[str, Any]:
        if how == "astream":
            assert len([chunk async for chunk in model.astream(state["messages"])]) > 1
        else:
            await model.ainvoke(state["messages"])
        return {}

    if how in {"ainvoke", "astream"}:
        asyncio.run(house.compile(drawn(aact), name="own").ainvoke(GO))
    else:
        house.compile(drawn(act), name="own").invoke(GO)
    assert settled(house) == (50, 3)
    assert house.decisions("scripted") == ["allow"]


class Route(BaseModel):
    """Where to go next."""

    to: str


STRUCTURED_WAYS = ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"]


async def said_by(chain: Any, how: str, asked: str) -> list[Any]:
    """What a model or a chain says when it is asked in one of LangChain's ways."""
    match how:
        case "invoke":
            return [chain.invoke(asked)]
        case "ainvoke":
            return [await chain.ainvoke(asked)]
        case "stream":
            return [*chain.stream(asked)]
        case "astream":
            return [part async for part in chain.astream(asked)]
        case "batch":
            return [*chain.batch([asked])]
        case _:
            return [*await chain.abatch([asked])]


async def structured(house: House, how: str, *, limit: int) -> list[Any]:
    """What a node gets that asks a model, whose chain was made before it was sealed, for an object."""
    house.ledger.set_limit(ACCOUNT, Budget(calls=10, tokens=limit))
    chain: Any = ScriptedModel([("Route", {"to": "billing"})], usage=(10, 3)).with_structured_output(Route)
    got: list[Any] = []

    async def act(state: MessagesState) -> dict[str, Any]:
        got.extend(await said_by(chain, how, "where?"))
        return {}

    await house.compile(drawn(act), name="own").ainvoke(GO)
    return got


@pytest.mark.parametrize("how", STRUCTURED_WAYS)
async def test_structured_output_is_metered(house: House, how: str) -> None:
    assert await structured(house, how, limit=100_000) == [Route(to="billing")]
    assert settled(house) == (10, 3)


@pytest.mark.parametrize("how", STRUCTURED_WAYS)
async def test_a_refusal_is_raised_where_an_object_is_expected_and_not_taken_for_none(house: House, how: str) -> None:
    with pytest.raises(Refused, match="cannot carry") as caught:
        await structured(house, how, limit=1)
    assert caught.value.source == "budget"
    assert caught.value.seq == house.entries("decision")[-1].seq


def test_missing_usage_is_estimated_and_says_so(house: House) -> None:
    house.ledger.set_limit("org/default/agent/solo", Budget(tokens=1_000_000))
    house.compile(Agent("solo", model=ScriptedModel(["some words"], reports_usage=False))).invoke(GO)
    [outcome] = house.outcomes("scripted")
    assert outcome["estimated"] is True
    given, produced = settled(house, "org/default/agent/solo")
    assert given > 0
    assert produced > 0


def test_an_abandoned_stream_is_settled_with_what_had_come_out(house: House) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=1_000_000))
    model = ScriptedModel([" ".join(["word"] * 400)], usage=(50, 400))

    def act(state: MessagesState) -> dict[str, Any]:
        stream = model.stream(state["messages"])
        for _ in range(5):
            next(stream)
        stream.close()  # type: ignore[attr-defined]
        return {}

    house.compile(drawn(act), name="own").invoke(GO)
    [outcome] = house.outcomes("scripted")
    assert outcome["status"] == "cancelled"
    assert outcome["estimated"] is True
    given, produced = settled(house)
    assert given > 0
    assert 0 < produced < 50


class Broken(ScriptedModel):
    """A provider that fails."""

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise ConnectionError("provider is down")


def test_a_provider_error_charges_the_input(house: House) -> None:
    house.ledger.set_limit("org/default/agent/solo", Budget(tokens=1_000_000))
    with pytest.raises(ConnectionError):
        house.compile(Agent("solo", model=Broken([]))).invoke(GO)
    [outcome] = house.outcomes("scripted")
    assert (outcome["status"], outcome["error"]) == ("failed", "ConnectionError: provider is down")
    given, produced = settled(house, "org/default/agent/solo")
    assert given > 0
    assert produced == 0


async def test_a_cancelled_call_is_settled(house: House) -> None:
    house.ledger.set_limit("org/default/agent/solo", Budget(tokens=1_000_000))
    started = asyncio.Event()

    class Slow(ScriptedModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

    work = asyncio.create_task(house.compile(Agent("solo", model=Slow([]))).ainvoke(GO))
    await started.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    [outcome] = house.outcomes("scripted")
    assert outcome["status"] == "cancelled"
    given, produced = settled(house, "org/default/agent/solo")
    assert given > 0
    assert produced == DEFAULT_OUTPUT_TOKENS, "nobody knows what the provider went on to write: all that was held"


def test_output_is_capped_at_what_is_held(house: House) -> None:
    house.ledger.set_limit("org/default/agent/solo", Budget(tokens=1_000_000))
    long = "x" * (DEFAULT_OUTPUT_TOKENS * 8)
    messages = house.compile(Agent("solo", model=ScriptedModel([long]))).invoke(GO)["messages"]
    assert len(messages[-1].content) == DEFAULT_OUTPUT_TOKENS * 4


@pytest.mark.parametrize("how", ["of the model", "of the call"])
@pytest.mark.parametrize("budget", [Budget(tokens=60), Budget(output_tokens=20)])
def test_output_is_lowered_to_what_is_left(house: House, how: str, budget: Budget) -> None:
    house.ledger.set_limit(ACCOUNT, budget)
    model = ScriptedModel(["x" * 4000], max_tokens=900 if how == "of the model" else None)
    given = {} if how == "of the model" else {"max_tokens": 900}

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"], **given)]}

    last = house.compile(drawn(act), name="own").invoke(GO)["messages"][-1]
    assert 0 < len(last.content) <= 60 * 4
    assert set(last.content) == {"x"}
    [decision] = [entry for entry in house.entries("decision") if entry.tool == "scripted"]
    held: Any = decision.body["reservation"]
    assert all(held["held"][unit] == limit for unit, limit in budget.limits().items())


def test_output_is_lowered_to_what_money_is_left(house: House) -> None:
    house.gate.prices = Prices({"scripted": Price(input="1", output="10")})  # type: ignore[arg-type]
    house.ledger.set_limit(ACCOUNT, Budget(usd="0.0002"))
    model = ScriptedModel(["x" * 4000], max_tokens=900)

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    last = house.compile(drawn(act), name="own").invoke(GO)["messages"][-1]
    assert 0 < len(last.content) <= 20 * 4
    assert house.decisions("scripted") == ["allow"]


def test_a_model_that_cannot_be_told_a_lower_limit_is_refused(house: House) -> None:
    class Deaf(ScriptedModel):
        num_predict: int = 900

    house.ledger.set_limit(ACCOUNT, Budget(tokens=60))
    model = Deaf(["x" * 4000])

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    last = house.compile(drawn(act), name="own").invoke(GO)["messages"][-1]
    assert "60 tokens left" in last.content
    assert house.decisions("scripted") == ["deny"]


def test_an_absurd_limit_is_an_error_and_no_call(house: House) -> None:
    model = ScriptedModel(["ok"], max_tokens=2**60)
    with pytest.raises(ConfigurationError, match="`max_tokens` is 1152921504606846976, and no call may ask for more"):
        house.compile(Agent("solo", model=model)).invoke(GO)
    assert house.decisions("scripted") == []


@pytest.mark.parametrize("absurd", [0, -4, float("nan"), 1e9, "many"])
def test_a_limit_that_is_no_number_of_tokens_is_an_error_and_no_call(house: House, absurd: object) -> None:
    model = ScriptedModel(["ok"])

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"], max_tokens=absurd)]}

    with pytest.raises(ConfigurationError, match="which is no number of tokens"):
        house.compile(drawn(act), name="own").invoke(GO)
    assert house.decisions("scripted") == []


def test_a_limit_that_means_none_is_held_as_one(house: House) -> None:
    model = ScriptedModel(["ok"], max_tokens=-1)

    def act(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    house.compile(drawn(act), name="own").invoke(GO)
    (entry,) = house.entries("decision")
    body: Any = entry.body
    assert body["reservation"]["held"]["output_tokens"] == DEFAULT_OUTPUT_TOKENS


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream", "batch"])
def test_a_fallback_is_governed_as_the_model_before_it(house: House, how: str) -> None:
    class Down(ScriptedModel):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("the provider is down")

        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("the provider is down")

    spare = ScriptedModel(["saved"], model_name="spare", usage=(10, 3))
    chain: Any = Down(["never"]).with_fallbacks([spare])
    got: list[Any] = []

    async def act(state: MessagesState) -> dict[str, Any]:
        got.extend(await said_by(chain, how, "hello"))
        return {}

    asyncio.run(house.compile(drawn(act), name="own").ainvoke(GO))
    assert "".join(part.content for part in got) == "saved"
    assert house.decisions("scripted") == house.decisions("spare") == ["allow"]
    given, produced = settled(house)
    assert given > 10, "the input of the call that failed is charged too"
    assert produced == 3


def test_parallel_calls_never_overspend(house: House) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=250))
    model = ScriptedModel(["ok"], usage=(20, 50), max_tokens=50)
    refused: list[bool] = []

    async def act(state: MessagesState) -> dict[str, Any]:
        said = await asyncio.gather(*(model.ainvoke([("user", "x" * 40)]) for _ in range(20)))
        refused.extend("openclaw" in answer.response_metadata for answer in said)
        return {}

    asyncio.run(house.compile(drawn(act), name="own").ainvoke(GO))
    given, produced = settled(house)
    assert given + produced <= 250
    assert 0 < refused.count(False) < 20


def test_a_refused_model_call_is_a_message_without_tool_calls_or_raises(house: House) -> None:
    house.ledger.set_limit("org/default/agent/solo", Budget(tokens=10))
    agent = Agent("solo", model=ScriptedModel([("look", {})]), tools=[house.tool("look")])
    last = house.compile(agent).invoke(GO)["messages"][-1]
    assert isinstance(last, AIMessage)
    assert not last.tool_calls
    assert last.response_metadata["openclaw"]["source"] == "budget"
    with pytest.raises(BudgetExceeded):
        house.compile(agent, on_refusal="raise").invoke(GO)
    assert list(house.compile(agent).stream(GO, stream_mode="messages"))
    assert house.did == []


def test_tools_that_run_at_the_provider_are_refused(house: House) -> None:
    model = ScriptedModel(["ok"])

    def act(state: MessagesState) -> dict[str, Any]:
        bound = model.bind(tools=[{"type": "web_search_20250305", "name": "web_search"}])
        return {"messages": [bound.invoke(state["messages"])]}

    last = house.compile(drawn(act)).invoke(GO)["messages"][-1]
    assert "`web_search` would run at the provider" in last.content
    assert house.decisions("scripted") == ["deny"]


def test_a_sealed_model_is_still_of_its_class_and_refuses_outside_of_runs() -> None:
    model = seal_model(ScriptedModel(["ok"]))
    assert isinstance(model, ScriptedModel)
    assert type(model).__name__ == "ScriptedModel"
    assert seal_model(model) is model
    with pytest.raises(Ungoverned, match="outside of any run"):
        model.invoke("hi")
    with pytest.raises(Ungoverned):
        list(model.stream("hi"))
