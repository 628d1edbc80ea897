"""Outside of any run governed things refuse, unless a governance says as whom what they do there is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool
from langgraph.store.memory import InMemoryStore

from openclaw.errors import Refused, Ungoverned
from openclaw.governance import Governance
from openclaw.graph import Agent
from openclaw.testing import ScriptedModel
from tests.graph.house import POLICY

OUTSIDE = """
deny contains "not outside of a run" if {
	input.principal.agent == "script"
	input.tool.name == "act"
	input.tool.args.x > 10
}
"""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "house.rego").write_text(POLICY + OUTSIDE)
    return folder


@contextmanager
def opened(tmp_path: Path, policies: Path, name: str = "a", **options: Any) -> Iterator[Governance]:
    with Governance.open(f"sqlite:///{tmp_path / name}.db", policies=policies, **options) as governance:
        yield governance


def sealed(governance: Governance, did: list[int]) -> tuple[BaseTool, ScriptedModel]:
    @tool
    def act(x: int) -> str:
        """Act."""
        did.append(x)
        return f"did {x}"

    model = ScriptedModel(["said"])
    governance.compile(Agent("solo", model=model, tools=[act]))
    return act, model


def entries(governance: Governance, kind: str) -> list[Any]:
    governance.gate.flush()
    return list(governance.audit.entries(kind=kind))


def test_it_is_decided_and_recorded_as_whoever_is_named(tmp_path: Path, policies: Path) -> None:
    did: list[int] = []
    with opened(
        tmp_path, policies, outside_runs=Agent("script", model=ScriptedModel([]), roles=["cron"])
    ) as governance:
        act, model = sealed(governance, did)
        store = governance.govern_store(InMemoryStore())
        assert act.invoke({"x": 1}) == "did 1"
        assert asyncio.run(act.ainvoke({"x": 2})) == "did 2"
        with pytest.raises(Refused, match="not outside of a run"):
            act.invoke({"x": 11})
        assert model.invoke("hello").content == "said"
        store.put(("notes",), "1", {"text": "x"})
        decided = entries(governance, "decision")
        assert [(entry.tool, entry.effect) for entry in decided] == [
            ("act", "allow"),
            ("act", "allow"),
            ("act", "deny"),
            ("scripted", "allow"),
            ("put", "allow"),
        ]
        for entry in decided:
            asked = entry.body["input"]
            assert asked["principal"] == {"agent": "script", "org": "default", "roles": ["cron"], "chain": ["script"]}
            assert "flow" not in asked, "nobody knows what was read before"
        assert len({entry.run for entry in decided}) == 1
        assert len(entries(governance, "outcome")) == 4
    assert did == [1, 2]


def test_the_runs_of_graphs_are_what_they_were(tmp_path: Path, policies: Path) -> None:
    with opened(tmp_path, policies, outside_runs="script") as governance:
        act, _ = sealed(governance, [])
        graph = governance.compile(Agent("solo", model=ScriptedModel([("act", {"x": 1}), "ok"]), tools=[act]))
        graph.invoke({"messages": [("user", "go")]})
        assert {entry.agent for entry in entries(governance, "decision")} == {"solo"}


def test_a_question_has_nobody_to_wait_for_it(tmp_path: Path, policies: Path) -> None:
    @tool
    def risky() -> str:
        """Act."""
        return "did"

    with opened(tmp_path, policies, outside_runs="script") as governance:
        governance.compile(Agent("solo", model=ScriptedModel([]), tools=[risky]))
        with pytest.raises(Refused, match="a person looks at this"):
            risky.invoke({})


def test_without_the_setting_after_closing_and_where_two_would_it_is_refused(tmp_path: Path, policies: Path) -> None:
    did: list[int] = []
    with opened(tmp_path, policies) as governance:
        act, _ = sealed(governance, did)
        with pytest.raises(Ungoverned, match="outside of any run"):
            act.invoke({"x": 1})
        with opened(tmp_path, policies, "b", outside_runs="script"):
            act.invoke({"x": 2})
            with (
                opened(tmp_path, policies, "c", outside_runs="other"),
                pytest.raises(Ungoverned, match="2 governances would receive it"),
            ):
                act.invoke({"x": 3})
            act.invoke({"x": 4})
        with pytest.raises(Ungoverned):
            act.invoke({"x": 5})
    assert did == [2, 4]


@pytest.mark.parametrize(("all_of_them", "this_one"), [("message", "raise"), ("raise", "message")])
def test_one_graph_may_take_a_refusal_otherwise_than_the_others(
    tmp_path: Path, policies: Path, all_of_them: Any, this_one: Any
) -> None:
    @tool
    def forbidden() -> str:
        """Act."""
        return "done"

    def agent(name: str) -> Agent:
        return Agent(name, model=ScriptedModel([("forbidden", {}), "said"]), tools=[forbidden])

    def says(graph: Any) -> str:
        try:
            return str(graph.invoke({"messages": [("user", "go")]})["messages"][-2].status)
        except Refused as refused:
            return str(refused.reasons[0])

    said = {"message": "error", "raise": "`forbidden` is never allowed"}
    with opened(tmp_path, policies, on_refusal=all_of_them) as governance:
        assert says(governance.compile(agent("one"))) == said[all_of_them]
        assert says(governance.compile(agent("other"), on_refusal=this_one)) == said[this_one]
