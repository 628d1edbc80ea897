"""A shop as a server of the Model Context Protocol, over stdio: what ``examples.mcp_shop`` starts in a process of its own."""

from __future__ import annotations

from mcp.server.fastmcp import FastMCP

server = FastMCP("shop", log_level="ERROR")
STOCK = {"rope": 7, "lamp": 2}


@server.tool()
def stock(item: str) -> str:
    """How many of an item there are."""
    return f"{STOCK.get(item, 0)} of {item}"


@server.tool()
def order(item: str, amount: int) -> str:
    """Order some of an item."""
    STOCK[item] = STOCK.get(item, 0) - amount
    return f"ordered {amount} of {item}"


@server.tool()
def drop_item(item: str) -> str:
    """Take an item out of the catalogue."""
    STOCK.pop(item, None)
    return f"{item} is gone"


if __name__ == "__main__":
    server.run("stdio")
