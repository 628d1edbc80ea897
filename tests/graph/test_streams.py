"""Streams under a budget: cut where the hold is used up and the accounts carry no more, and charged for what came out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.graph import START, MessagesState, StateGraph

from openclaw.budget import Budget
from openclaw.budget.books import check_books
from openclaw.errors import BudgetExceeded
from openclaw.graph import govern_model
from openclaw.testing import ScriptedModel
from tests.graph.house import House

ACCOUNT = "org/default/workflow/own/agent/own"
GO: Any = {"messages": [("user", "go")]}
LONG = " ".join(["word"] * 2_000)  # 2,500 tokens


class Deaf(ScriptedModel):
    """A provider that writes on whatever it is told."""

    def _next(self, messages: Sequence[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        return super()._next(messages, {})


class Native(Deaf):
    """The same for event loops, without a thread."""

    async def _astream(self, messages: list[BaseMessage], **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:  # type: ignore[override]
        for chunk in self._stream(messages, **kwargs):
            await asyncio.sleep(0)
            yield chunk


def read(house: House, model: ScriptedModel, how: str, *, on_refusal: Any = "message") -> str:
    """What a node of a graph reads from a stream."""
    model = govern_model(model, agent="own", gate=house.gate)
    read: list[str] = []

    def act(state: MessagesState) -> dict[str, Any]:
        read.extend(str(chunk.content) for chunk in model.stream(state["messages"]))
        return {}

    async def aact(state: MessagesState) -> dict[str, Any]:
        read.extend([str(chunk.content) async for chunk in model.astream(state["messages"])])
        return {}

    drawn = StateGraph(MessagesState).add_node("act", aact if how == "astream" else act).add_edge(START, "act")
    graph = house.compile(drawn, name="own", on_refusal=on_refusal)
    if how == "astream":
        asyncio.run(graph.ainvoke(GO))
    else:
        graph.invoke(GO)
    house.gate.flush()
    return "".join(read)


@pytest.mark.parametrize("how", ["stream", "astream"])
@pytest.mark.parametrize("budget", [Budget(tokens=300), Budget(output_tokens=300)])
def test_a_stream_is_cut_where_its_hold_is_used_up_and_nothing_more_is_left(
    house: House, how: str, budget: Budget
) -> None:
    house.ledger.set_limit(ACCOUNT, budget)
    text = read(house, Native([LONG], max_tokens=None), how)
    said, _, stop = text.partition("Stopped by budget: ")
    assert 150 < len(said) // 4 <= 301
    assert "tokens left" in stop
    balance = house.ledger.balance(ACCOUNT)
    assert not balance.pending.present()
    assert all(0 <= left < 100 for left in balance.remaining.values())
    [outcome] = house.outcomes("scripted")
    assert (outcome["status"], outcome["estimated"]) == ("cancelled", True)
    assert check_books(house.store).holds


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_a_stream_that_needs_more_than_was_held_goes_on_while_the_accounts_carry_it(house: House, how: str) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=10_000))
    assert read(house, Native([LONG], max_tokens=None), how) == LONG
    assert house.decisions("scripted") == ["allow"]
    balance = house.ledger.balance(ACCOUNT)
    assert not balance.pending.present()
    assert balance.posted.output_tokens == house.outcomes("scripted")[0]["used"]["output_tokens"] > 2_400
    events = [entry.body["event"] for entry in house.entries("reservation") if entry.body["event"] != "limit"]
    assert events.count("reserve") == events.count("release") >= 1


def test_a_cut_stream_raises_where_refusals_are_raised(house: House) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=300))
    with pytest.raises(BudgetExceeded, match="tokens left"):
        read(house, Native([LONG], max_tokens=None), "stream", on_refusal="raise")
    house.gate.flush()
    assert not house.ledger.balance(ACCOUNT).pending.present()
    assert 100 < house.ledger.balance(ACCOUNT).posted.output_tokens <= 300


def test_a_stream_whose_extension_is_refused_at_once_is_not_charged_beyond_it(house: House) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=300))
    house.ledger.reserve(
        "org/default/workflow/own", tokens=5
    )  # somebody else's hold, on an account that is not limited
    assert "Stopped by budget" in read(house, Native([LONG], max_tokens=None), "stream")
    assert house.ledger.balance(ACCOUNT).remaining["tokens"] >= 0


def test_a_stream_that_tells_of_no_input_is_charged_the_estimate_of_it(house: House) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=10_000))
    read(house, ScriptedModel(["one two"], usage=(0, 2)), "stream")
    posted = house.ledger.balance(ACCOUNT).posted
    assert posted.input_tokens > 0
    assert posted.output_tokens == 2
    assert house.outcomes("scripted")[0]["estimated"] is True


def test_cached_and_reasoning_tokens_are_parts_and_never_added(house: House) -> None:
    house.ledger.set_limit(ACCOUNT, Budget(tokens=10_000))
    usage: Any = {
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "input_token_details": {"cache_read": 90, "cache_creation": 5},
        "output_token_details": {"reasoning": 40},
    }
    read(house, ScriptedModel([AIMessage("one two", usage_metadata=usage)]), "stream")
    posted = house.ledger.balance(ACCOUNT).posted
    assert (posted.tokens, posted.input_tokens, posted.output_tokens) == (150, 100, 50)
