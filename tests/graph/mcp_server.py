"""A server of the Model Context Protocol over stdio: what it did stands in the file that it is started with."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from mcp.server.fastmcp import FastMCP

server = FastMCP("shop", log_level="ERROR")
did = Path(sys.argv[1])


def note(what: str) -> None:
    with did.open("a") as file:
        file.write(what + "\n")


@server.tool()
def stock(item: str) -> str:
    """How many there are."""
    note(f"stock {item}")
    return f"7 of {item}"


@server.tool()
def risky(item: str, amount: int = 1) -> dict[str, int]:
    """Order some."""
    note(f"risky {item} {amount}")
    return {"ordered": amount}


@server.tool()
def forbidden(item: str) -> str:
    """Throw one away."""
    note(f"forbidden {item}")
    return "gone"


@server.tool()
def broken(item: str) -> str:
    """Fail."""
    note(f"broken {item}")
    raise ValueError("no such item")


@server.tool()
def die(item: str) -> str:
    """End the whole server in the middle of a call."""
    note(f"die {item}")
    os._exit(3)


@server.tool()
async def hang(item: str) -> str:
    """Never answer."""
    note(f"hang {item}")
    await asyncio.Event().wait()
    return "never"


if __name__ == "__main__":
    server.run("stdio")
