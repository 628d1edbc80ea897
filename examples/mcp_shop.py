"""The tools of an MCP server, governed: the server is a process of its own, and the only way to it leads through the gate.

pip install langchain-mcp-adapters
python -m examples.mcp_shop
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

sys.path.insert(0, str(Path(__file__).parents[1]))  # also as `python examples/mcp_shop.py`, from anywhere

from examples.stage import Stage, perform, show
from openclaw import Agent

SERVER = Path(__file__).with_name("mcp_shop_server.py")
SCRIPT = [
    ("stock", {"item": "rope"}),
    [("order", {"item": "rope", "amount": 5}), ("drop_item", {"item": "lamp"})],
    "Five ropes are ordered. Lamps stay in the catalogue: I may not take them out.",
]


async def shopping(stage: Stage) -> None:
    """One errand; the order waits for a person."""
    try:
        from langchain_mcp_adapters.client import MultiServerMCPClient
    except ImportError as error:
        raise SystemExit("this example needs `langchain-mcp-adapters`: pip install langchain-mcp-adapters") from error
    connection = {"transport": "stdio", "command": sys.executable, "args": [str(SERVER)]}
    tools = await MultiServerMCPClient({"shop": connection}).get_tools()  # type: ignore[dict-item]
    agent = Agent("buyer", model=stage.model("buyer", SCRIPT), tools=tools, roles=["buyer"])
    graph = stage.gov.compile(agent, checkpointer=InMemorySaver())
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    result = await graph.ainvoke({"messages": [("user", "Five ropes, please, and no more lamps.")]}, config)
    while "__interrupt__" in result and await asyncio.to_thread(stage.answer):
        result = await graph.ainvoke(None, config)
    show(result["messages"])


def story(stage: Stage) -> None:
    """The same on an event loop, which MCP needs."""
    asyncio.run(shopping(stage))


if __name__ == "__main__":
    sys.exit(perform("the tools of an MCP server, behind the gate", "mcp_shop", story))
