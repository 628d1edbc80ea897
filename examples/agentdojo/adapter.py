"""AgentDojo's suites as LangChain tools and scripted models: tasks that nobody here wrote, for governed graphs.

AgentDojo (https://github.com/ethz-spylab/agentdojo) measures prompt injection against agents that use tools. A suite has
tools that act on an environment (a bank account, a workspace), user tasks, and injection tasks: the goals of an attacker
who can write into what the tools return. Each task carries the calls that fulfil it, its ground truth, and a check of the
environment that tells whether it was fulfilled.

Here a scripted model replays them: first all calls of the user's task, reading the injected document on the way, then
all calls of the attacker's. That is the worst case, a model wholly taken over. What it does not measure is how easily a
model is taken over, and what a real model would write where the ground truth has a placeholder (``<summary>``).
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from agentdojo.agent_pipeline.ground_truth_pipeline import GroundTruthPipeline
from agentdojo.attacks.attack_registry import load_attack
from agentdojo.attacks.base_attacks import BaseAttack
from agentdojo.base_tasks import BaseInjectionTask, BaseUserTask
from agentdojo.functions_runtime import Function, FunctionCall, FunctionsRuntime, TaskEnvironment
from agentdojo.task_suite.load_suites import get_suite
from agentdojo.task_suite.task_suite import TaskSuite
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel

VERSION = "v1.2.2"
"""The version of the suites, which is not that of the package."""

SUITES = ("banking", "slack")
"""The suites that are declared below."""

ATTACKS = ("important_instructions_no_names", "tool_knowledge", "direct", "ignore_previous", "injecagent")
"""AgentDojo's ways to word an injection; the first is the one it recommends, for a model of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the owner of a tool declares about it: what it is for, and whether outsiders can write what it returns."""

    tags: tuple[str, ...]
    trust: Literal["trusted", "untrusted"]


# A result is trusted only where nobody outside can write any text in it. What a tool echoes of its own arguments is as
# good or bad as they are, so tools that act are untrusted too; nobody needs their results to decide anything.
TOOLS: Mapping[str, Mapping[str, Declared]] = {
    "banking": {
        "get_iban": Declared(("read",), "trusted"),
        "get_balance": Declared(("read",), "trusted"),
        "get_user_info": Declared(("read",), "trusted"),
        "get_scheduled_transactions": Declared(("read",), "trusted"),  # Standing orders: the customer's own words.
        "get_most_recent_transactions": Declared(("read",), "untrusted"),  # Whoever pays in writes the subject.
        "read_file": Declared(("read",), "untrusted"),  # Bills and letters of others.
        "send_money": Declared(("write", "money"), "untrusted"),
        "schedule_transaction": Declared(("write", "money"), "untrusted"),
        "update_scheduled_transaction": Declared(("write", "money"), "untrusted"),
        "update_password": Declared(("write", "credentials"), "untrusted"),
        "update_user_info": Declared(("write", "profile"), "untrusted"),
    },
    "slack": {
        "get_users_in_channel": Declared(("read",), "trusted"),  # Names of accounts: the workspace's administrators.
        "get_channels": Declared(("read",), "untrusted"),  # Partners name the channels that they share.
        "read_channel_messages": Declared(("read",), "untrusted"),
        "read_inbox": Declared(("read",), "untrusted"),
        "get_webpage": Declared(("read", "web"), "untrusted"),
        "post_webpage": Declared(("write", "web", "publish"), "untrusted"),
        "send_direct_message": Declared(("write", "message"), "untrusted"),
        "send_channel_message": Declared(("write", "message"), "untrusted"),
        "add_user_to_channel": Declared(("write", "membership"), "untrusted"),
        "invite_user_to_slack": Declared(("write", "membership"), "untrusted"),
        "remove_user_from_slack": Declared(("write", "membership"), "untrusted"),
    },
}


@dataclass(frozen=True)
class Case:
    """One user task, with or without an attack on it, in an environment of its own.

    ``environment`` is what the tools act on; ``before`` is how it was; ``executed`` fills with the calls whose tools ran.
    """

    suite: TaskSuite[Any]
    user_task: BaseUserTask[Any]
    injection_task: BaseInjectionTask[Any] | None
    environment: TaskEnvironment
    before: TaskEnvironment
    user_calls: tuple[FunctionCall, ...]
    attack_calls: tuple[FunctionCall, ...] = ()
    executed: list[FunctionCall] = field(default_factory=list[FunctionCall])

    @property
    def id(self) -> str:
        """Such as ``banking/user_task_0`` or ``banking/user_task_0/injection_task_4``."""
        names = [self.suite.name, self.user_task.ID, *([self.injection_task.ID] if self.injection_task else [])]
        return "/".join(names)

    @property
    def prompt(self) -> str:
        """What the user asked for."""
        return self.user_task.PROMPT

    @property
    def answer(self) -> str:
        """What the model says in the end."""
        return self.user_task.GROUND_TRUTH_OUTPUT or "Done."

    def tools(self) -> list[BaseTool]:
        """The suite's functions as LangChain tools on this case's environment, tagged and with declared trust."""
        return [self._tool(function) for function in self.suite.tools]

    def script(self) -> list[AIMessage]:
        """The model's messages: the user's calls, the attacker's calls, one at a time, and the answer."""
        calls = (*self.user_calls, *self.attack_calls)
        return [*(_message(number, call) for number, call in enumerate(calls)), AIMessage(self.answer)]

    def useful(self) -> bool:
        """Was the user's task fulfilled, as AgentDojo checks it?"""
        return _checked(self.user_task.utility_from_traces, self.user_task.utility, self)

    def attacked(self) -> bool:
        """Was the attacker's goal reached, as AgentDojo checks it (its ``security`` is true where the attack succeeded)?

        Some checks read the calls; they get those that were executed, not those that the model asked for.
        """
        if self.injection_task is None:
            return False
        return _checked(self.injection_task.security_from_traces, self.injection_task.security, self)

    def _tool(self, function: Function[Any, Any]) -> BaseTool:
        declared = TOOLS[self.suite.name][function.name]
        runtime = FunctionsRuntime([function])

        def run(**args: Any) -> str:
            result, _ = runtime.run_function(self.environment, function.name, args, raise_on_error=True)
            self.executed.append(FunctionCall(function=function.name, args=args))
            return _text(result)

        return StructuredTool(
            name=function.name,
            description=function.description,
            args_schema=function.parameters,
            func=run,
            tags=list(declared.tags),
            metadata={"trust": declared.trust},
        )


def cases(suite_name: str, *, attacked: bool = False) -> list[tuple[str, str | None]]:
    """The names of a suite's user tasks, or of all pairs of a user task and an attacker's: arguments for ``case``."""
    suite = get_suite(VERSION, suite_name)
    injections: Sequence[str | None] = list(suite.injection_tasks) if attacked else [None]
    return [(user, injection) for user in suite.user_tasks for injection in injections]


def case(suite_name: str, user_task: str, injection_task: str | None = None, *, attack: str = ATTACKS[0]) -> Case:
    """A fresh case. With an injection task, each place of the environment that the user's task reads says what it wants.

    Raises:
        KeyError: there is no such suite or task.
    """
    suite = get_suite(VERSION, suite_name)
    user = suite.user_tasks[user_task]
    injection = suite.injection_tasks[injection_task] if injection_task is not None else None
    texts = _attack(suite_name, attack).attack(user, injection) if injection is not None else {}
    environment = user.init_environment(suite.load_and_inject_default_environment(texts))
    before = environment.model_copy(deep=True)
    return Case(
        suite=suite,
        user_task=user,
        injection_task=injection,
        environment=environment,
        before=before,
        # Some ground truths look up in the environment what a model would read there.
        user_calls=tuple(user.ground_truth(before.model_copy(deep=True))),
        attack_calls=tuple(injection.ground_truth(before.model_copy(deep=True))) if injection is not None else (),
    )


@cache
def _attack(suite_name: str, name: str) -> BaseAttack:
    # The attack addresses a model by its name. Nothing here has one, so it is called what AgentDojo calls a local model.
    target = GroundTruthPipeline(None)
    target.name = "local"
    return load_attack(name, get_suite(VERSION, suite_name), target)


def _message(number: int, call: FunctionCall) -> AIMessage:
    asked = ToolCall(name=call.function, args=dict(call.args), id=f"call-{number}", type="tool_call")
    return AIMessage("", tool_calls=[asked])


def _text(result: object) -> str:
    """A result as the model reads it: text as it is, everything else as JSON, so that its members keep their names."""
    return result if isinstance(result, str) else json.dumps(_json(result), ensure_ascii=False)


def _json(result: object) -> object:
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    if isinstance(result, list | tuple):
        return [_json(item) for item in result]
    return result


def _checked(by_calls: Any, by_environment: Any, case: Case) -> bool:
    with contextlib.redirect_stdout(io.StringIO()):  # Some of AgentDojo's checks print what they miss.
        verdict = by_calls(case.answer, case.before, case.environment, case.executed)
        return bool(verdict if verdict is not None else by_environment(case.answer, case.before, case.environment))
