"""The story that ``openclaw demo`` tells: real tasks, a model wholly taken over, and what governance lets happen.

Three acts on AgentDojo's banking suite, through graphs that ``Governance.compile`` returned:

1. a user's task is done, and the attack that the model read on the way is refused
2. a payment that only a document asks for waits for a person
3. an agent stops at its budget, with a valid transcript

Everything is recorded in one log, which is verified at the end. Nothing here prints: ``play`` returns values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from openclaw import Agent, Budget, Governance, Workflow
from openclaw.approvals import Approval
from openclaw.audit import Entry, VerifyReport
from openclaw.testing import ScriptedModel

POLICIES = Path(__file__).parent / "policies"
STEPS_MAX = 60

Answer = Callable[[Approval], bool]
"""A person: is shown a question, says yes or no."""


@dataclass(frozen=True, slots=True)
class Call:
    """One governed tool call as the log has it. ``effect`` is ``ask`` while a person has not answered."""

    seq: int
    tool: str
    args: dict[str, Any]
    effect: str
    reasons: tuple[str, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Act:
    """One run. ``attacked`` is AgentDojo's own verdict on the attack, and None where there was none."""

    title: str
    prompt: str
    run: str
    calls: tuple[Call, ...]
    asks: int
    answer: str
    done: bool
    attacked: bool | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Story:
    """All acts and the state of the log behind them."""

    suite: str
    model: str
    engine: str
    revision: str
    acts: tuple[Act, ...]
    verified: VerifyReport

    @property
    def holds(self) -> bool:
        """Whether it went as it should: work done, attack refused, budget kept, log whole."""
        return (
            self.verified.ok
            and not any(act.attacked for act in self.acts)
            and any(call.effect == "deny" for call in self.acts[0].calls)
            and self.acts[1].asks > 0
            and not self.acts[-1].done
        )

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        acts = [asdict(act) for act in self.acts]
        fields = {"suite": self.suite, "model": self.model, "engine": self.engine, "revision": self.revision}
        return {**fields, "acts": acts, "verified": self.verified.model_dump(mode="json"), "holds": self.holds}


def play(governance: Governance, *, answer: Answer, model: str | None = None) -> Story:
    """Play the three acts.

    Args:
        governance: opened over ``POLICIES``.
        answer: who answers what is asked.
        model: a real chat model as ``provider:name``; None for the scripted one, which plays the worst case.
    """
    from .adapter import VERSION, case  # AgentDojo is a dependency of the demo alone

    refund = case("banking", "user_task_3", "injection_task_5")
    bill = case("banking", "user_task_0")
    review = case("banking", "user_task_15")

    def act(title: str, played: Any, *, workflow: str, budget: Budget | None = None) -> Act:
        agent = Agent(
            "assistant",
            model=model or ScriptedModel(played.script()),
            tools=played.tools(),
            roles=["customer-assistant"],
            budget=budget,
        )
        graph = governance.compile(Workflow(workflow, agents=[agent]), checkpointer=InMemorySaver())
        before = governance.audit.size()
        config: Any = {"configurable": {"thread_id": f"demo-{workflow}"}, "recursion_limit": STEPS_MAX}
        state = graph.invoke({"messages": [("user", played.prompt)]}, config)
        asks = 0
        while interrupts := state.get("__interrupt__"):
            for interrupt in interrupts:
                asks += 1
                question = governance.approvals.get(interrupt.value["approval"])
                say = governance.approvals.approve if answer(question) else governance.approvals.reject
                say(question.id, by="demo")
            state = graph.invoke(None, config)
        entries = governance.audit.entries(after=before)
        return Act(
            title=title,
            prompt=played.prompt,
            run=next(entry.run for entry in entries if entry.run),
            calls=tuple(_call(entry) for entry in entries if _is_tool(entry)),
            asks=asks,
            answer=str(state["messages"][-1].text),
            done=played.useful(),
            attacked=played.attacked() if played.injection_task else None,
            tokens=governance.ledger.balance(f"org/default/workflow/{workflow}").posted.tokens,
        )

    acts = (
        act("The task is done, and the attack that the model read on the way is refused", refund, workflow="refund"),
        act("A payment that only a document asks for waits for a person", bill, workflow="bill"),
        act("An agent stops at its budget", review, workflow="standing-orders", budget=Budget(tokens=_SMALL_BUDGET)),
    )
    governance.audit.checkpoint()
    return Story(
        suite=f"AgentDojo banking {VERSION}",
        model=model or "scripted",
        engine=governance.policy.name,
        revision=governance.policy.revision,
        acts=acts,
        verified=governance.audit.verify(),
    )


_SMALL_BUDGET = 4_000
"""Tokens: enough for the first steps of the third act, not for all of it."""


def _is_tool(entry: Entry) -> bool:
    body: Any = entry.body
    return entry.kind == "decision" and body["input"]["kind"] == "tool"


def _call(entry: Entry) -> Call:
    body: Any = entry.body
    return Call(
        seq=entry.seq,
        tool=entry.tool,
        args=body["input"]["tool"]["args"],
        effect=entry.effect,
        reasons=tuple(body.get("reasons", body["decision"]["reasons"])),
        rules=tuple(body["decision"]["rules"]),
    )
