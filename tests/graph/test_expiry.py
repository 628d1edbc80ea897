"""Questions whose time goes by while the graph is parked: silence is a no, on both stores, restarts in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from openclaw import Agent, Governance
from openclaw.approvals import WAIT_SECONDS
from openclaw.errors import ApprovalError
from openclaw.testing import FakeClock, ScriptedModel
from tests.graph.checkpoint_worker import GO, POLICY, THREAD, conninfo
from tests.graph.test_agent import assert_valid


class Desk:
    """A deployment that is started anew for every turn: store and checkpoints are what is left of it in between."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.clock, self.did = url, folder, FakeClock(), list[str]()
        (folder / "policies").mkdir()
        (folder / "policies" / "desk.rego").write_text(POLICY)

    @contextmanager
    def governed(self) -> Iterator[Governance]:
        with Governance.open(
            self.url, policies=self.folder / "policies", key=self.folder / "key", clock=self.clock
        ) as governance:
            yield governance

    def turn(self, given: Any) -> dict[str, Any]:
        @tool
        def look(x: int) -> str:
            """Look."""
            self.did.append("look")
            return f"looked {x}"

        @tool
        def risky(x: int) -> str:
            """Act."""
            self.did.append("risky")
            return f"acted {x}"

        model = ScriptedModel([[("look", {"x": 1}), ("risky", {"x": 2})], "All done."])
        agent = Agent("solo", model=model, tools=[look, risky])
        postgres = self.url.startswith("postgresql")
        opened: Any = (
            PostgresSaver.from_conn_string(conninfo(self.url))
            if postgres
            else SqliteSaver.from_conn_string(str(self.folder / "checkpoints.db"))
        )
        with opened as saver, self.governed() as governance:
            saver.setup()
            return dict(governance.compile(agent, checkpointer=saver).invoke(given, THREAD))

    def approve(self, question: str, by: str = "eva") -> str:
        with self.governed() as governance:
            return governance.approvals.approve(question, by=by).state

    def told(self, said: dict[str, Any]) -> str:
        """What the model heard of the risky call."""
        assert_valid(said["messages"])
        return next(it.text for it in said["messages"] if isinstance(it, ToolMessage) and it.name == "risky")


@pytest.fixture
def desk(store_url: str, tmp_path: Path) -> Desk:
    return Desk(store_url, tmp_path)


def test_what_nobody_has_answered_in_time_is_denied_and_everything_else_is_there(desk: Desk) -> None:
    assert "__interrupt__" in desk.turn(GO)
    desk.clock.advance(WAIT_SECONDS + 1)
    said = desk.turn(Command(resume=True))
    assert desk.told(said) == "Refused by approval: nobody approved it in time"
    assert said["messages"][-1].content == "All done."
    assert desk.did == ["look"]
    with desk.governed() as governance:
        decided = list(governance.audit.entries(kind="decision", tool="risky"))
        assert [entry.effect for entry in decided] == ["ask", "deny"]
        assert decided[-1].body["refused_by"] == "approval"
        governance.audit.verify().require()


def test_up_to_its_last_moment_it_can_be_answered_and_used(desk: Desk) -> None:
    [asked] = desk.turn(GO)["__interrupt__"]
    desk.clock.advance(WAIT_SECONDS)
    said = desk.turn(Command(resume={asked.id: {"approve": True, "by": "eva"}}))
    assert desk.told(said) == "acted 2"
    assert desk.did == ["look", "risky"]


@pytest.mark.parametrize("how", ["api", "command"])
def test_an_answer_that_comes_too_late_is_none_and_says_so(desk: Desk, how: str) -> None:
    [asked] = desk.turn(GO)["__interrupt__"]
    desk.clock.advance(WAIT_SECONDS + 1)
    late: Any = Command(resume={asked.id: {"approve": True, "by": "eva"}})
    with pytest.raises(ApprovalError, match=r"nobody can answer .* any more: its time was over at 2026-11-30T10:00"):
        desk.turn(late) if how == "command" else desk.approve(asked.id)
    with desk.governed() as governance:
        assert governance.approvals.get(asked.id).answers == ()
    assert desk.told(desk.turn(None)) == "Refused by approval: nobody approved it in time"
    assert desk.did == ["look"]


def test_an_approval_that_was_not_used_in_time_is_over_and_is_not_said_to_be_nobodys(desk: Desk) -> None:
    [asked] = desk.turn(GO)["__interrupt__"]
    with desk.governed() as governance:
        governance.approvals.approve(asked.id, by="eva")
    desk.clock.advance(WAIT_SECONDS + 1)
    with desk.governed() as governance, pytest.raises(ApprovalError, match="any more") as caught:
        governance.approvals.approve(asked.id, by="tom")
    assert "an approval by `eva` that was not used by then counts as no" in str(caught.value.hint)
    assert desk.told(desk.turn(None)) == "Refused by approval: eva approved it, and it was not made in time"
    assert desk.did == ["look"]


def test_a_quorum_that_was_not_complete_in_time_is_a_no(desk: Desk) -> None:
    (desk.folder / "policies" / "two.rego").write_text(
        "package openclaw.policies.two\n\nimport rego.v1\n\n"
        'oblige contains {"kind": "approve", "quorum": 2} if input.tool.name == "risky"\n'
    )
    [asked] = desk.turn(GO)["__interrupt__"]
    with desk.governed() as governance:
        assert governance.approvals.approve(asked.id, by="eva").state == "pending"
    desk.clock.advance(WAIT_SECONDS + 1)
    with desk.governed() as governance, pytest.raises(ApprovalError, match="nobody can answer"):
        governance.approvals.approve(asked.id, by="tom")
    assert desk.told(desk.turn(None)) == "Refused by approval: nobody approved it in time"
    assert desk.did == ["look"]
