"""What the examples share: a governance in a folder of its own, a scripted or a real model, and a person who answers.

Each example plays offline in a second or two. ``--model provider:name`` puts a real model in the place of the script (the
``langchain`` package and the provider's are needed, and its key in the environment); ``--store`` keeps the log.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from openclaw import Governance, OpenClawError
from openclaw.testing import Line, ScriptedModel

POLICIES = Path(__file__).parent / "policies"
PERSON = "ann"


def declared(*tags: str, trust: str = "untrusted") -> Callable[[BaseTool], BaseTool]:
    """Say of a tool what it is for, and whether outsiders can write what it returns: what policies go by."""

    def declare(tool: BaseTool) -> BaseTool:
        tool.tags = list(tags)
        tool.metadata = {"trust": trust}
        return tool

    return declare


@dataclass(frozen=True, slots=True)
class Stage:
    """Where an example plays. ``real`` is the name of a real model, or empty."""

    gov: Governance
    real: str = ""

    def model(self, name: str, script: Sequence[Line]) -> BaseChatModel:
        """The real model; without one, the script, which does what a model would do here."""
        if not self.real:
            return ScriptedModel(script, model_name=name)
        try:
            from langchain.chat_models import init_chat_model
        except ImportError as error:
            raise SystemExit("a real model needs the `langchain` package: pip install langchain") from error
        try:
            return init_chat_model(self.real)
        except (ImportError, ValueError) as error:
            raise SystemExit(f"the model `{self.real}` cannot be opened: {error}") from error

    def answer(self) -> int:
        """Answer what waits for a person: here everything is approved, by a person with a name. How many there were."""
        waiting = self.gov.approvals.list()
        for question in waiting:
            reasons = ", ".join(map(str, question.request["reasons"]))  # type: ignore[arg-type]
            print(f"{'':10}? {question.tool}: {reasons}; {PERSON} approves")
            self.gov.approvals.approve(question.id, by=PERSON, reason="seen")
        return len(waiting)

    def drive(self, graph: Any, said: str, *, thread: str = "1") -> list[BaseMessage]:
        """One turn of a graph, up to its end: as often as it waits for a person, one answers."""
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        given: Any = {"messages": [("user", said)]}
        result = graph.invoke(given, config)
        while "__interrupt__" in result and self.answer():
            result = graph.invoke(None, config)
        show(result["messages"])
        return list(result["messages"])


def show(messages: Sequence[BaseMessage]) -> None:
    """A transcript, a line for each thing that was said or done."""
    for message in messages:
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                args = ", ".join(f"{key}={value!r}" for key, value in call["args"].items())
                print(f"{message.name or 'model':10}> {call['name']}({args})")
            if message.text:
                print(f"{message.name or 'model':10}  {message.text}")
        elif isinstance(message, ToolMessage):
            print(f"{'':10}{'!' if message.status == 'error' else '<'} {message.text}")
        else:
            print(f"{'user':10}  {message.text}")


def perform(title: str, policies: str, story: Callable[[Stage], object], args: Sequence[str] | None = None) -> int:
    """Play an example: 0 if its log holds."""
    parser = argparse.ArgumentParser(prog=f"python -m examples.{policies}", description=title)
    parser.add_argument("--model", default="", metavar="PROVIDER:NAME", help="a real model instead of the script")
    parser.add_argument(
        "--store", default="", metavar="URL", help="keep the log there, instead of in a folder that goes"
    )
    given = parser.parse_args(args)
    print(title)
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or f"sqlite:///{folder}/openclaw.db"
        try:
            with Governance.open(store, policies=POLICIES / policies) as gov:
                story(Stage(gov, given.model))
                gov.gate.flush()
                report = gov.audit.verify()
                refused = sum(entry.effect == "deny" for entry in gov.audit.entries(kind="decision"))
                print(
                    f"log         {report.size} entries, {refused} refused, {'holds' if report.ok else 'DOES NOT HOLD'}"
                )
                return 0 if report.ok else 1
        except OpenClawError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
