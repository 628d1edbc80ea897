"""Where work is handed down, and rights are to shrink: hand-offs, graphs within graphs, bound tools, middleware."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from openclaw.errors import ConfigurationError
from openclaw.governance import Governance
from openclaw.graph import Agent, Workflow, govern_tools, middleware, read_workflow
from openclaw.testing import ScriptedModel
from tests.graph.house import POLICY, House
from tests.graph.house import house as open_house

GO: Any = {"messages": [("user", "go")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}

ROLES = """
deny contains "only payers act" if {
	input.tool.name == "act"
	not "payer" in input.principal.roles
}
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path, POLICY + ROLES) as opened:
        yield opened


def desk(house: House, roles: list[str], **options: Any) -> Workflow:
    def agent(name: str, to: str, granted: list[str]) -> Agent:
        script = [(f"transfer_to_{to}", {})] if to else [("act", {"x": 1}), "done"]
        return Agent(
            name, model=ScriptedModel(script, model_name=f"m-{name}"), tools=[house.tool("act")], roles=granted
        )

    agents = [agent("first", "second", roles), agent("second", "third", ["payer"]), agent("third", "", ["payer"])]
    return Workflow("desk", agents=agents, **options)


def principal_of(house: House, name: str = "act") -> Any:
    entry = [entry for entry in house.entries("decision") if entry.tool == name][-1]
    return entry.body["input"]["principal"]  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("roles", "rights", "did"),
    [
        ([], None, 1),
        ([], "own", 1),
        ([], "shrinking", 0),
        (["payer"], "shrinking", 1),
    ],
)
def test_after_hand_offs_an_agent_has_its_own_rights_or_at_most_those_of_all(
    house: House, roles: list[str], rights: Any, did: int
) -> None:
    house.compile(desk(house, roles, rights=rights)).invoke(GO)
    assert house.did == [("act", 1)] * did
    principal = principal_of(house)
    assert principal["chain"] == ["first", "second", "third"]
    named = [(one["agent"], one["roles"], one["chain"]) for one in principal.get("delegators", [])]
    expected = [("first", roles, ["first"]), ("second", ["payer"], ["first", "second"])]
    assert named == (expected if rights == "shrinking" else [])


def test_the_rights_of_a_governance_are_those_of_workflows_that_say_nothing(house: House) -> None:
    house.compile(desk(house, []), rights="shrinking").invoke(GO)
    assert house.did == []
    house.compile(desk(house, [], rights="own"), rights="shrinking").invoke(GO)
    assert house.did == [("act", 1)]


def test_in_the_next_turn_of_a_thread_it_is_still_for_whom_it_was(house: House) -> None:
    workflow = desk(house, [], rights="shrinking")
    graph = house.compile(workflow, checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    again = house.compile(workflow, checkpointer=graph.checkpointer)
    again.invoke({"messages": [("user", "once more")]}, THREAD)
    assert [one["agent"] for one in principal_of(house, "m-third")["delegators"]] == ["first", "second"]


def test_of_an_agent_that_is_gone_the_policy_hears_no_roles(house: House) -> None:
    workflow = desk(house, ["payer"], rights="shrinking")
    graph = house.compile(workflow, checkpointer=InMemorySaver())
    graph.invoke(GO, THREAD)
    assert house.did == [("act", 1)]
    left = Workflow("desk", agents=workflow.agents[1:], rights="shrinking")
    house.compile(left, checkpointer=graph.checkpointer).invoke({"messages": [("user", "more")]}, THREAD)
    gone = principal_of(house, "m-third")["delegators"][0]
    assert (gone["agent"], gone["roles"]) == ("first", [])


def inside(graph: Any) -> StateGraph[Any, Any, Any, Any]:
    return StateGraph(MessagesState).add_node("inner", lambda state: graph.invoke(GO) and {}).add_edge(START, "inner")


def solo(house: House) -> Agent:
    return Agent("solo", model=ScriptedModel([("act", {"x": 1}), "ok"]), tools=[house.tool("act")], roles=["payer"])


@pytest.mark.parametrize("rights", ["own", "shrinking"])
def test_a_graph_within_a_graph(house: House, rights: Any) -> None:
    inner = house.compile(solo(house), rights="own")
    house.compile(inside(inner), name="outer", rights=rights).invoke(GO)
    assert house.did == ([("act", 1)] if rights == "own" else [])
    delegators = principal_of(house).get("delegators", [])
    assert [one["agent"] for one in delegators] == ([] if rights == "own" else ["outer"])


def test_where_rights_shrink_they_shrink_for_all_that_is_below(house: House) -> None:
    inner = house.compile(solo(house), rights="own")
    middle = house.compile(inside(inner), name="middle", rights="own")
    house.compile(inside(middle), name="outer", rights="shrinking").invoke(GO)
    assert [one["agent"] for one in principal_of(house)["delegators"]] == ["outer", "middle"]


def test_those_that_one_acts_for_stay_also_where_rights_are_ones_own(house: House) -> None:
    inner = house.compile(desk(house, ["payer"], rights="own"))
    middle = house.compile(inside(inner), name="middle", rights="shrinking")
    house.compile(inside(middle), name="outer").invoke(GO)
    assert [one["agent"] for one in principal_of(house)["delegators"]][:2] == ["outer", "middle"]


@pytest.mark.parametrize("rights", ["own", "shrinking"])
def test_a_tool_that_is_bound_to_an_agent(house: House, rights: Any) -> None:
    tools: list[BaseTool] = govern_tools([house.tool("act")], agent="payer", roles=["payer"], gate=house.gate)

    def node(state: MessagesState) -> dict[str, Any]:
        call = {"name": "act", "args": {"x": 1}, "id": "a", "type": "tool_call"}
        return {"messages": [tools[0].invoke(call)]}

    graph = StateGraph(MessagesState).add_node("act", node).add_edge(START, "act")
    house.compile(graph, name="outer", rights=rights).invoke(GO)
    assert house.did == ([("act", 1)] if rights == "own" else [])


@pytest.mark.parametrize("rights", ["own", "shrinking"])
def test_a_tool_that_is_bound_to_an_agent_of_the_name_of_its_graph_has_the_roles_of_the_agent(
    house: House, rights: Any
) -> None:
    payer = Agent("payer", model=ScriptedModel([]), roles=["payer"], on_behalf_of="user:ada")
    [tool] = govern_tools([house.tool("act")], agent=payer, gate=house.gate)

    def node(state: MessagesState) -> dict[str, Any]:
        call = {"name": "act", "args": {"x": 1}, "id": "a", "type": "tool_call"}
        return {"messages": [tool.invoke(call)]}

    graph = StateGraph(MessagesState).add_node("act", node).add_edge(START, "act")
    house.compile(graph, name="payer", rights=rights).invoke(GO)
    # Where rights shrink, the graph is asked about too, as one of any other name is: it has no roles.
    assert house.did == ([("act", 1)] if rights == "own" else [])
    principal = principal_of(house)
    assert (principal["roles"], principal["on_behalf_of"], principal["chain"]) == (["payer"], "user:ada", ["payer"])


def test_a_tool_that_is_bound_to_a_name_alone_acts_as_the_agent_of_that_name(house: House) -> None:
    [tool] = govern_tools([house.tool("act")], agent="payer", gate=house.gate)
    agent = Agent("payer", model=ScriptedModel([("act", {"x": 1}), "ok"]), tools=[tool], roles=["payer"])
    house.compile(agent).invoke(GO)
    assert house.did == [("act", 1)]
    assert principal_of(house)["roles"] == ["payer"]


@pytest.mark.parametrize("rights", ["own", "shrinking"])
def test_the_agent_of_a_middleware_within_a_governed_graph(house: House, rights: Any) -> None:
    escort = middleware(agent="payer", roles=["payer"], gate=house.gate, rights=rights)
    agent = create_agent(ScriptedModel([("act", {"x": 1}), "ok"]), [house.tool("act")], middleware=[escort])
    house.compile(agent, name="outer").invoke(GO)
    assert house.did == ([("act", 1)] if rights == "own" else [])


def test_a_governance_and_a_file_say_it(tmp_path: Path, house: House) -> None:
    (tmp_path / "w.yaml").write_text(
        "name: desk\nrights: shrinking\nagents:\n  - {name: a, model: m, tools: [act], roles: [payer]}\n"
    )
    model = ScriptedModel([("act", {"x": 1}), "ok"])
    read = read_workflow(tmp_path / "w.yaml", tools=[house.tool("act")], models={"m": model})
    assert read.rights == "shrinking"
    (tmp_path / "w.yaml").write_text("name: desk\nrights: all\nagents:\n  - {name: a, model: m}\n")
    with pytest.raises(ConfigurationError, match="is wrong at `rights`"):
        read_workflow(tmp_path / "w.yaml", models={"m": model})
    with pytest.raises(ConfigurationError, match="rights of workflow `desk` are `all`"):
        desk(house, [], rights="all")
    with Governance.open(
        f"sqlite:///{tmp_path / 'g.db'}", policies=tmp_path / "policies", rights="shrinking"
    ) as governance:
        governance.compile(desk(house, [])).invoke(GO)
        assert house.did == []
        inner = governance.compile(solo(house))
        governance.compile(inside(inner), name="outer").invoke(GO)
        assert house.did == []


def test_rights_that_are_none_are_refused(tmp_path: Path, house: House) -> None:
    with pytest.raises(ConfigurationError, match="rights are `all`"):
        house.compile(solo(house), rights="all")
    with pytest.raises(ConfigurationError, match="rights of the governance are `all`"):
        Governance.open(f"sqlite:///{tmp_path / 'g.db'}", policies=tmp_path / "policies", rights="all")  # type: ignore[arg-type]
