"""What the examples share: a governance in a folder of its own, a scripted or a real model, and a person who answers.

Each example plays offline in a second or two. ``--model provider:name`` puts a real model in the place of the script, by
LangChain's ``init_chat_model``; what is missing for it is said before anything runs. ``--store`` keeps the log.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
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


NEEDED = {
    "anthropic": ("langchain-anthropic", "ANTHROPIC_API_KEY"),
    "google_genai": ("langchain-google-genai", "GOOGLE_API_KEY"),
    "groq": ("langchain-groq", "GROQ_API_KEY"),
    "mistralai": ("langchain-mistralai", "MISTRAL_API_KEY"),
    "ollama": ("langchain-ollama", ""),
    "openai": ("langchain-openai", "OPENAI_API_KEY"),
}
"""What the usual providers need: a package, and a key in the environment. Others say it themselves."""


def opened(name: str) -> BaseChatModel:
    """A real model by its name, ``provider:name``. What is missing for it is said in one line, and nothing runs."""
    provider, colon, model = name.partition(":")
    if not (provider and colon and model):
        raise SystemExit(f"`{name}` names no model: write `provider:name`, such as `--model openai:gpt-4o-mini`")
    package, key = NEEDED.get(provider, ("", ""))
    wanted = [
        *(["langchain"] if find_spec("langchain") is None else []),
        *([package] if package and find_spec(package.replace("-", "_")) is None else []),
    ]
    if wanted:
        raise SystemExit(f"the model `{name}` needs a package that is not installed: pip install {' '.join(wanted)}")
    if key and not os.environ.get(key):
        raise SystemExit(f"the model `{name}` needs a key, and there is none: set {key} in the environment")
    from langchain.chat_models import init_chat_model

    try:
        return init_chat_model(name)
    except Exception as error:  # each provider has errors of its own
        raise SystemExit(f"the model `{name}` cannot be opened: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error says first, which is mostly what it is about."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where an example plays. ``real`` is the name of a real model, or empty."""

    gov: Governance
    real: str = ""

    def model(self, name: str, script: Sequence[Line]) -> BaseChatModel:
        """The real model; without one, the script, which does what a model would do here."""
        if not self.real:
            return ScriptedModel(script, model_name=name)
        return opened(self.real)

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
        except Exception as error:
            if not given.model:
                raise
            # A key that is wrong, a network that is not there, a model that nobody knows: each provider has its own words for it.
            print(
                f"error: the model `{given.model}` failed: {type(error).__name__}: {first_line(error)}", file=sys.stderr
            )
            return 2
