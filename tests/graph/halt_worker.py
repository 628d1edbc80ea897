"""A stream that never ends by itself, in a process of its own. It says ``streaming`` when something has come, and at the end what
it heard last.

``python -m tests.graph.halt_worker URL FOLDER HOW`` with HOW ``sync``, ``async`` or ``stalled``: then nothing more comes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from openclaw.governance import Governance
from openclaw.graph import Agent
from openclaw.testing import ScriptedModel

GO: Any = {"messages": [("user", "go")]}


class Endless(ScriptedModel):
    """Says one word after another."""

    stalls: bool = False

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        while True:
            yield ChatGenerationChunk(message=AIMessageChunk("word "))
            time.sleep(0.02)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        while True:
            yield ChatGenerationChunk(message=AIMessageChunk("word "))
            if self.stalls:
                await asyncio.Event().wait()
            await asyncio.sleep(0.02)


def governed(url: str, folder: str) -> Governance:
    """The governance of the store ``url``, which all these processes share."""
    return Governance.open(url, policies=f"{folder}/policies", key=f"{folder}/log.key")


def main(url: str, folder: str, how: str) -> None:
    """Stream until somebody stops it."""
    last: BaseMessageChunk | None = None

    def heard(chunk: BaseMessageChunk) -> None:
        nonlocal last
        if last is None:
            print("streaming", flush=True)
        last = chunk

    async def drive() -> None:
        async for chunk, _ in graph.astream(GO, stream_mode="messages"):
            heard(chunk)

    with governed(url, folder) as governance:
        graph: Any = governance.compile(Agent("clerk", model=Endless(stalls=how == "stalled")))
        if how == "sync":
            for chunk, _ in graph.stream(GO, stream_mode="messages"):
                heard(chunk)
        else:
            asyncio.run(drive())
    print(last.content if last is not None else "nothing")


if __name__ == "__main__":
    main(*sys.argv[1:])
