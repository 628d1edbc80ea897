"""A process to be killed in the middle of a governed graph: inside a tool, or when its result has just been kept."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver

from openclaw.governance import Governance
from openclaw.graph import Agent
from openclaw.testing import ScriptedModel

THREAD: Any = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": [("user", "go")]}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hold_up(governance: Governance, folder: str) -> None:
    """Let nothing be committed after the tool: its outcome, which waits for the next commit, dies with the process."""
    admit = governance.gate.admit

    def waiting(request: Any) -> Any:
        if request.action.kind == "model" and os.path.exists(f"{folder}/effects"):  # noqa: PTH110
            threading.Event().wait()
        return admit(request)

    governance.gate.admit = waiting  # type: ignore[method-assign]


class Saver(SqliteSaver):
    """Dies as soon as it has kept the result of a tool."""

    deadly = False

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        super().put_writes(config, writes, task_id, task_path)
        if self.deadly and "done with" in str(writes):
            self.conn.commit()
            die()


def run(url: str, folder: str, when: str) -> list[Any]:
    """One run of the graph, or the resumption of one; the messages of it."""

    @tool
    def act(x: int) -> str:
        """Act."""
        with open(f"{folder}/effects", "a") as file:  # noqa: PTH123
            file.write(f"{x}\n")
        if when == "inside":
            die()
        return f"done with {x}"

    model = ScriptedModel([("act", {"x": 1}), "the end"])
    with (
        Governance.open(url, policies=f"{folder}/policies", key=f"{folder}/key") as governance,
        Saver.from_conn_string(f"{folder}/graph.db") as saver,
    ):
        if when == "after":
            saver.deadly = True  # type: ignore[attr-defined]
            hold_up(governance, folder)
        graph = governance.compile(Agent("solo", model=model, tools=[act]), checkpointer=saver)
        return graph.invoke(None if when == "resume" else GO, THREAD)["messages"]


if __name__ == "__main__":
    run(*sys.argv[1:])
