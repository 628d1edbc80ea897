"""LangChain's ``create_agent``, governed in three lines.

pip install langchain
python -m examples.assistant
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain_core.tools import tool

sys.path.insert(0, str(Path(__file__).parents[1]))  # also as `python examples/assistant.py`, from anywhere

from examples.stage import Stage, declared, perform


@declared("read")
@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"{city}: 12 degrees, rain"


@declared("delete")
@tool
def delete_notes(folder: str) -> str:
    """Delete the notes of a folder."""
    return f"{folder} is empty"


SCRIPT = [
    ("weather", {"city": "Bergen"}),
    ("delete_notes", {"folder": "travel"}),
    "It rains in Bergen, and your notes stay.",
]


def story(stage: Stage) -> None:
    """An agent as LangChain makes it; the line with the middleware is all that is new in it."""
    from langchain.agents import create_agent

    # The three lines: `from openclaw import Governance`, `gov = Governance.open(…)`, and the middleware.
    gov = stage.gov
    agent = create_agent(
        stage.model("assistant", SCRIPT),
        [weather, delete_notes],
        middleware=[gov.middleware(agent="assistant", roles=["reader"])],
    )
    stage.drive(agent, "How is the weather in Bergen? And tidy up.")


if __name__ == "__main__":
    sys.exit(perform("LangChain's create_agent with one line more", "assistant", story))
