"""One turn of a graph whose store and checkpoints are in one PostgreSQL, in a process of its own that may die at its end.

``python -m tests.graph.checkpoint_worker URL FOLDER HOW TURN END`` with HOW ``sync`` or ``async``, TURN ``ask`` or ``resume`` and
END ``kill`` or ``close``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from openclaw.governance import Governance
from openclaw.graph import Agent
from openclaw.testing import ScriptedModel

THREAD: Any = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": [("user", "go")]}

POLICY = """package openclaw.policies.desk

import rego.v1

allow if true

ask contains "a person looks at this" if input.tool.name == "risky"
"""


def conninfo(url: str) -> str:
    """The same database as psycopg names it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def noting(folder: str, name: str) -> BaseTool:
    """A tool that notes in a file of ``folder`` that it ran: what it did outlives its process."""

    @tool(name)
    def act(x: int) -> str:
        """Act."""
        with open(f"{folder}/effects", "a") as file:  # noqa: PTH123
            file.write(f"{name} {x}\n")
        return f"{name} did {x}"

    return act


def agent(folder: str) -> Agent:
    """An agent that makes a harmless and a risky call side by side."""
    model = ScriptedModel([[("look", {"x": 1}), ("risky", {"x": 2})], "All done."])
    return Agent("solo", model=model, tools=[noting(folder, "look"), noting(folder, "risky")])


def governed(url: str, folder: str) -> Governance:
    return Governance.open(url, policies=f"{folder}/policies", key=f"{folder}/key")


def turn(url: str, folder: str, how: str, given: Any) -> dict[str, Any]:
    """One turn; what the graph says in the end."""
    with governed(url, folder) as governance:
        if how == "sync":
            with PostgresSaver.from_conn_string(conninfo(url)) as saver:
                saver.setup()
                return dict(governance.compile(agent(folder), checkpointer=saver).invoke(given, THREAD))

        async def run() -> dict[str, Any]:
            async with AsyncPostgresSaver.from_conn_string(conninfo(url)) as saver:
                await saver.setup()
                return dict(await governance.compile(agent(folder), checkpointer=saver).ainvoke(given, THREAD))

        return asyncio.run(run())


if __name__ == "__main__":
    url, folder, how, when, end = sys.argv[1:]
    said = turn(url, folder, how, GO if when == "ask" else None)
    print(
        said["__interrupt__"][0].value["name"] if "__interrupt__" in said else said["messages"][-1].content, flush=True
    )
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
