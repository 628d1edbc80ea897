"""What a policy is asked and what it answers, as JSON Schemas: the policy input, and a policy's decision.

The models here describe documents and build none: ``openclaw.action.policy_input`` builds the input, and a test holds the
two together. The schemas serve editors, ``opa check --schema`` and ``openclaw policy check``.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from openclaw.decision import Effect, Obligation

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DelegatorPart(_Part):
    """Somebody who has handed work down, as it was then; the policy is asked for it with this as ``principal``."""

    agent: str
    workflow: str = ""
    org: str
    roles: list[str]
    on_behalf_of: str = ""
    chain: list[str]


class PrincipalPart(_Part):
    """Who acts. ``chain`` is the delegation path, outermost first, ending with ``agent``. ``delegators`` are those in it who
    are asked about too, outermost first: an action on their behalf is one that each of them may do.
    """

    agent: str
    workflow: str = ""
    org: str
    roles: list[str]
    on_behalf_of: str = ""
    chain: list[str]
    delegators: list[DelegatorPart] = []


class RunPart(_Part):
    """Where in time the action stands: one run of one graph on one thread."""

    id: str
    thread: str = ""
    step: int
    calls: int
    repeats: int
    elapsed_s: int = 0
    started_at: dt.datetime = Field(default=None)  # pyright: ignore[reportAssignmentType] - absent, never null


class ToolPart(_Part):
    """What is called, with validated arguments. Also a hand-off's or a memory access's name and arguments."""

    name: str
    args: dict[str, JsonValue]
    tags: list[str] = []
    call_id: str


class ModelPart(_Part):
    """Which chat model is called, and where it may run."""

    provider: str
    name: str
    sites: list[str]


class SourcePart(_Part):
    """One thing that has entered the context: the prompt, or a tool's result. ``via``: where it was kept in between."""

    kind: Literal["prompt", "tool"] = "tool"
    tool: str = ""
    via: str = ""
    trust: Literal["trusted", "untrusted"]


class FoundPart(_Part):
    """A significant part of an argument that stood in no trusted source, and where it stood instead."""

    kind: Literal["url", "host", "email", "iban", "handle", "file", "number", "token", "text"]
    seen_in: list[str]


class OriginPart(_Part):
    """Where the value of one argument has been seen before (``openclaw.flow``)."""

    seen_in: list[str]
    trust: Literal["trusted", "untrusted", "unknown"]
    whole: bool = False
    fields: list[str] = []
    parts: list[FoundPart] = []
    trivial: bool = False


class FlowPart(_Part):
    """Information flow: what the context holds, and where the values of this call came from. ``untrusted``: anything
    untrusted has been read; ``complete`` is false where something was too long to be compared whole.
    """

    untrusted: bool = False
    complete: bool = False
    sources: list[SourcePart] = []
    args: dict[str, OriginPart] = {}


class BudgetPart(_Part):
    """What is left to the principal after its holds, by unit; money in micro-USD. ``soft``: the soft limits it has reached."""

    remaining: dict[str, int] = {}
    soft: tuple[Literal["warn", "cheaper", "shorten"], ...] = ()


class AnswerPart(_Part):
    """One person who agrees to this very action: with the roles that they are enrolled for, and whether they have proved it."""

    by: str
    at: dt.datetime
    roles: list[str]
    authenticated: bool


class ApprovalPart(_Part):
    """Who approved this very action last, and when; who agrees to it; and which arguments they have ``changed``."""

    by: str
    at: dt.datetime
    answers: list[AnswerPart] = []
    changed: list[str] = []


class ScopePart(_Part):
    """What an exception covers: what all that is given fits; ``args`` are conditions, such as ``amount<=500``."""

    workflow: str = ""
    agent: str = ""
    tool: str = ""
    args: list[str] = []


class ExceptionPart(_Part):
    """An open exception that covers this action (break-glass). It is there only where the policy has refused, or asked, without
    it: a policy that lifts something for exceptions says so. ``seconds``: how long it stands in all; ``roles`` and
    ``authenticated``: of whoever opened it.
    """

    id: str
    by: str
    reason: str
    opened_at: dt.datetime
    expires_at: dt.datetime
    seconds: int
    uses: int
    scope: ScopePart
    roles: list[str]
    authenticated: bool


class OutcomePart(_Part):
    """How the call ended whose result is asked about. ``whole`` is false where ``result`` is the head of a larger one."""

    status: Literal["done", "failed"]
    bytes: int
    whole: bool


class PolicyInput(_Part):
    """What a policy sees as ``input``. Missing parts are absent, never null, except ``approval``."""

    kind: Literal["tool", "model", "handoff", "memory", "result"]
    principal: PrincipalPart
    run: RunPart = Field(default=None)  # pyright: ignore[reportAssignmentType]
    tool: ToolPart = Field(default=None)  # pyright: ignore[reportAssignmentType]
    model: ModelPart = Field(default=None)  # pyright: ignore[reportAssignmentType]
    flow: FlowPart = Field(default=None)  # pyright: ignore[reportAssignmentType]
    budget: BudgetPart = Field(default=None)  # pyright: ignore[reportAssignmentType]
    approval: ApprovalPart | None
    exception: ExceptionPart = Field(default=None)  # pyright: ignore[reportAssignmentType]
    now: dt.datetime
    result: JsonValue = Field(default=None)
    outcome: OutcomePart = Field(default=None)  # pyright: ignore[reportAssignmentType]


class PolicyDecision(_Part):
    """What ``data.openclaw.decision`` must be. Anything else is a deny that says so."""

    effect: Effect
    reasons: list[str] = []
    rules: list[str] = []
    obligations: list[Obligation] = []


def input_schema() -> dict[str, JsonValue]:
    """The schema of the policy input."""
    return schema_of(PolicyInput, "openclaw policy input")


def decision_schema() -> dict[str, JsonValue]:
    """The schema of a policy's decision."""
    return schema_of(PolicyDecision, "openclaw policy decision")


def schema_of(model: type[BaseModel], title: str) -> dict[str, JsonValue]:
    """The schema of the documents that a model describes."""
    document = _without_defaults(model.model_json_schema(mode="validation"))
    assert isinstance(document, dict)
    return {"$schema": DIALECT, **document, "title": title}


def _without_defaults(value: JsonValue) -> JsonValue:
    """Defaults stand here for "may be absent", which ``required`` says already; as defaults they would be untrue."""
    if isinstance(value, dict):
        return {key: _without_defaults(item) for key, item in value.items() if key != "default"}
    if isinstance(value, list):
        return [_without_defaults(item) for item in value]
    return value
