"""What is asked: the four governed actions and the result of one, and the policy input made from them.

The shape of the input is public (``openclaw schema input``). Missing parts are absent, never null, except ``approval``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator

from openclaw.canonical import digest, plain
from openclaw.errors import ConfigurationError

DEFAULT_ORG = "default"
_PATH_PART = re.compile(r"[^/\x00-\x1f\x7f]{1,200}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)


class Principal(_Frozen):
    """Who acts: an agent, inside a workflow of an organisation, perhaps on behalf of a person.

    ``chain`` is the delegation path, outermost first, ending with ``agent`` itself. ``delegators`` are those in it that the
    policy is asked about too, outermost first, each as it was when it handed work on (see ``openclaw.delegation``).

    Raises:
        ConfigurationError: a name cannot stand in an account's path: it is empty, holds a ``/`` or a control character, or
            is longer than 200 characters. ``workflow`` may be empty: an agent outside of any.
    """

    agent: str
    workflow: str = ""
    org: str = DEFAULT_ORG
    roles: tuple[str, ...] = ()
    on_behalf_of: str | None = None
    chain: tuple[str, ...] = ()
    delegators: tuple[Principal, ...] = ()

    @field_validator("agent", "workflow", "org")
    @classmethod
    def _in_a_path(cls, name: str, about: ValidationInfo) -> str:
        # With a `/` in its name, an agent would be charged to somebody else's account.
        if not _PATH_PART.fullmatch(name) and (name or about.field_name != "workflow"):
            raise ConfigurationError(
                f"{about.field_name} name `{name}` cannot be used",
                hint="a principal is named by 1 to 200 characters without `/` and control characters",
            )
        return name

    @property
    def account(self) -> str:
        """The path of this principal's own budget account, such as ``org/default/workflow/returns/agent/refunds``."""
        path = f"org/{self.org}"
        if self.workflow:
            path += f"/workflow/{self.workflow}"
        return f"{path}/agent/{self.agent}"


_PRINCIPAL_PARTS = tuple(name for name in Principal.model_fields if name != "delegators")


class Run(_Frozen):
    """Where in time the action stands: one run of one graph on one thread.

    ``calls`` are the tool calls before this one, ``repeats`` those of them that were this very call: the same tool with the
    same arguments. ``resumed_at`` is when the run went on after it had waited for somebody.
    """

    id: str
    thread: str | None = None
    step: int = 0
    calls: int = 0
    repeats: int = 0
    started_at: dt.datetime | None = None
    resumed_at: dt.datetime | None = None


class ToolCall(_Frozen):
    """A call of a tool with validated arguments."""

    kind: Literal["tool"] = "tool"
    principal: Principal
    name: str
    args: Mapping[str, object] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    call_id: str = ""


class ModelCall(_Frozen):
    """A call of a chat model. ``sites`` are the places where it may run, such as ``("eu", "on-premises")``."""

    kind: Literal["model"] = "model"
    principal: Principal
    name: str
    provider: str = ""
    sites: tuple[str, ...] = ()
    call_id: str = ""


class Handoff(_Frozen):
    """Control passes from one agent to another."""

    kind: Literal["handoff"] = "handoff"
    principal: Principal
    name: str
    args: Mapping[str, object] = Field(default_factory=dict)
    call_id: str = ""


class MemoryAccess(_Frozen):
    """A read or write of shared memory. ``name`` is the operation: get, put, search or delete."""

    kind: Literal["memory"] = "memory"
    principal: Principal
    name: Literal["get", "put", "search", "delete"]
    args: Mapping[str, object] = Field(default_factory=dict)
    call_id: str = ""


Action = ToolCall | ModelCall | Handoff | MemoryAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the gate knows about an action besides the action itself. Each part that is None is absent from the input."""

    run: Run | None = None
    flow: Mapping[str, JsonValue] | None = None
    budget: Mapping[str, JsonValue] | None = None
    approval: Mapping[str, JsonValue] | None = None
    now: dt.datetime


def policy_input(action: Action, context: Context) -> dict[str, JsonValue]:
    """The input document that a policy sees: JSON inside the domain of RFC 8785 (see ``canonical.plain``)."""
    document: dict[str, JsonValue] = {
        "kind": action.kind,
        "principal": _who(action.principal),
        "approval": dict(context.approval) if context.approval is not None else None,
        "now": utc(context.now),
    }
    if context.run is not None:
        document["run"] = _run_part(context.run, context.now)
    if isinstance(action, ModelCall):
        document["model"] = {"provider": action.provider, "name": action.name, "sites": list(action.sites)}
    else:
        subject: dict[str, JsonValue] = {"name": action.name, "args": plain(action.args), "call_id": action.call_id}
        if isinstance(action, ToolCall):
            subject["tags"] = list(action.tags)
        document["tool"] = subject
    if context.flow is not None:
        document["flow"] = dict(context.flow)
    if context.budget is not None:
        document["budget"] = dict(context.budget)
    return document


def args_digest(action: Action) -> str:
    """The digest that an approval is bound to: kind, name and exact arguments."""
    args: Mapping[str, object] = {} if isinstance(action, ModelCall) else action.args
    return digest([action.kind, action.name, args])


def utc(moment: dt.datetime) -> str:
    """RFC 3339 in UTC with microseconds, such as ``2026-11-23T10:00:00.000000Z``: text order is time order."""
    if moment.tzinfo is not dt.UTC:
        moment = moment.astimezone(dt.UTC)
    return moment.isoformat("T", "microseconds")[:-6] + "Z"  # without its `+00:00`


def _who(principal: Principal) -> dict[str, JsonValue]:
    it = principal
    known = _known_who(it.agent, it.workflow, it.org, it.roles, it.on_behalf_of, it.chain)
    part = {name: [*value] if isinstance(value, list) else value for name, value in known.items()}
    return {**part, "delegators": [_who(one) for one in it.delegators]} if it.delegators else part


@lru_cache(maxsize=1000)
def _known_who(*values: object) -> dict[str, JsonValue]:
    """The same few agents act again and again."""
    return _kept(zip(_PRINCIPAL_PARTS, values, strict=True))


def _run_part(run: Run, now: dt.datetime) -> dict[str, JsonValue]:
    """The run with the whole seconds since it was started or last resumed: waiting for a person costs none."""
    part: dict[str, JsonValue] = {"step": plain(run.step), "calls": plain(run.calls), "repeats": plain(run.repeats)}
    if run.id:
        part["id"] = plain(run.id)
    if run.thread:
        part["thread"] = plain(run.thread)
    if run.started_at is not None:
        part["started_at"] = utc(run.started_at)
    since = run.resumed_at or run.started_at
    if since is not None:
        part["elapsed_s"] = max(0, int((now - since).total_seconds()))
    return part


def _kept(fields: Iterable[tuple[str, object]]) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = {}
    for name, value in fields:
        if value is not None and value != "":
            document[name] = utc(value) if isinstance(value, dt.datetime) else plain(value)
    return document
