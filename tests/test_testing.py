"""What `openclaw.testing` hands to the tests of others."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool

from openclaw import Agent, Governance, Principal, ToolCall
from openclaw.errors import StoreError
from openclaw.testing import OVER, FakeClock, ScriptedModel, failing_store
from tests.policy.support import ALLOW_ALL, write_folder

ran: list[int] = []


@tool
def act(number: int) -> str:
    """Do something."""
    ran.append(number)
    return f"did {number}"


@pytest.fixture
def governance(tmp_path: Path) -> Iterator[Governance]:
    ran.clear()
    folder = write_folder(tmp_path / "policies", {"main": ALLOW_ALL})
    with Governance.open(f"sqlite:///{tmp_path}/openclaw.db", policies=folder, clock=FakeClock()) as opened:
        yield opened


def answers(governance: Governance, *numbers: int) -> list[str]:
    model = ScriptedModel([[("act", {"number": number}) for number in numbers]])
    graph = governance.compile(Agent("one", model=model, tools=[act]))
    messages = graph.invoke({"messages": [("user", "go")]})["messages"]
    return [message.content for message in messages if message.type == "tool"]


def test_nothing_runs_while_the_store_fails_and_all_of_it_afterwards(governance: Governance) -> None:
    with failing_store(governance, after=1):
        refused = answers(governance, 1, 2, 3)
    assert ran == []
    assert all("cannot be recorded" in answer and "database or disk is full" in answer for answer in refused)
    assert answers(governance, 4, 5) == ["did 4", "did 5"]
    assert governance.audit.open_actions() == []
    governance.audit.verify().require()


def test_what_fails_is_what_a_full_disk_would_say(governance: Governance) -> None:
    with (
        failing_store(governance),
        pytest.raises(StoreError, match="cannot be written: database or disk is full") as found,
    ):
        governance.ledger.reserve("org/default", tokens=1, key="k")
    assert "free some space" in (found.value.hint or "")
    with (
        failing_store(governance, reason="server closed the connection"),
        pytest.raises(StoreError, match="server closed"),
    ):
        governance.ledger.reserve("org/default", tokens=1, key="k")
    assert governance.ledger.reserve("org/default", tokens=1, key="k").key == "k"
    assert governance.ledger.balance("org/default").pending.tokens == 1


def test_reading_and_asking_go_on(governance: Governance) -> None:
    with failing_store(governance):
        assert governance.decide(ToolCall(principal=Principal(agent="one"), name="act", args={}, call_id="c")).allowed
        assert list(governance.audit.entries(kind="decision")) == []


def test_commits_are_counted_over_all_threads(governance: Governance) -> None:
    def reserve(number: int) -> bool:
        try:
            governance.ledger.reserve("org/default", tokens=1, key=f"k{number}")
        except StoreError:
            return False
        return True

    with failing_store(governance, after=1):
        assert reserve(0)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert not any(pool.map(reserve, range(1, 40)))
    assert governance.ledger.balance("org/default").pending.tokens == 1


def test_one_inside_of_another_ends_by_itself(governance: Governance) -> None:
    with failing_store(governance):
        with failing_store(governance):
            assert answers(governance, 1) == []
        assert answers(governance, 1) == [], "the model is not called either"
    assert answers(governance, 2) == ["did 2"]


def test_a_number_of_commits_that_is_none_is_refused(governance: Governance) -> None:
    with pytest.raises(ValueError, match="counted from 0"), failing_store(governance, after=-1):
        pass


def test_the_clock_stands_still_until_it_is_moved_and_never_goes_back() -> None:
    clock = FakeClock()
    begun = clock.now()
    assert clock.now() == begun
    clock.advance(1.5)
    assert (clock.now() - begun).total_seconds() == 1.5
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    assert [clock.new_id("run"), clock.new_id("hold")] == ["run-000001", "hold-000002"]


def test_a_script_goes_on_where_the_transcript_stands_and_ends() -> None:
    model = ScriptedModel(["one", ("act", {"number": 1})], usage=(7, 3))
    first = model.invoke("hello")
    assert (first.content, first.usage_metadata["total_tokens"]) == ("one", 10)  # type: ignore[index]
    second = model.invoke([HumanMessage("hello"), first, HumanMessage("go on")])
    assert isinstance(second, AIMessage)
    assert [(call["name"], call["args"]) for call in second.tool_calls] == [("act", {"number": 1})]
    assert model.invoke([HumanMessage("hello"), first, HumanMessage("go on"), second]).content == OVER
