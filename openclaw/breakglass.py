"""Break-glass: an exception that a named person opens, bounded in scope, uses and time, with a reason.

open ──uses──▶ spent
  ├── expires ──▶ expired
  └── a person ──▶ closed
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, JsonValue, field_validator

from openclaw.action import Action, utc
from openclaw.canonical import encode, storable
from openclaw.conditions import ArgCondition
from openclaw.decision import Decision
from openclaw.errors import ConfigurationError
from openclaw.quorum import Voice, person

SECONDS_DEFAULT = 3600
SECONDS_MAX = 7 * 24 * 3600
"""How long an exception may stand at most, whatever policies say; they may say less."""

USES_MAX = 1_000
TEXT_MAX = 4_000
NAME_MAX = 200
CONDITIONS_MAX = 20
State = Literal["open", "spent", "expired", "closed"]


class Scope(BaseModel):
    """What an exception covers: what all of the given names and conditions fit. One name at least is given.

    Args:
        workflow, agent: whose actions; of an agent only those that it does itself.
        tool: of which tool, model, hand-off or operation on memory.
        args: conditions on the arguments, such as ``amount<=500`` (``openclaw.conditions``).

    Raises:
        ConfigurationError: a name is too long, or a condition is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: str = ""
    agent: str = ""
    tool: str = ""
    args: tuple[str, ...] = ()

    @field_validator("workflow", "agent", "tool")
    @classmethod
    def _named(cls, name: str) -> str:
        if len(name) > NAME_MAX:
            raise ConfigurationError(f"a name has {NAME_MAX} characters at most", hint="name what there is")
        return storable(name)

    @field_validator("args")
    @classmethod
    def _conditions(cls, args: tuple[str, ...]) -> tuple[str, ...]:
        if len(args) > CONDITIONS_MAX or any(len(text) > TEXT_MAX for text in args):
            raise ConfigurationError(
                f"an exception has {CONDITIONS_MAX} conditions at most, of {TEXT_MAX:,} characters",
                hint="say it shorter",
            )
        for text in args:
            ArgCondition.parse(text)
        return tuple(map(storable, args))

    def covers(self, action: Action, args: Mapping[str, JsonValue] | None) -> bool:
        """Whether an action with these arguments (None: it has none) is meant."""
        principal = action.principal
        have = {"workflow": principal.workflow, "agent": principal.agent, "tool": action.name}
        if any(storable(have[name]) != value for name, value in self.names().items()):
            return False
        return not self.args or (args is not None and all(ArgCondition.parse(text).holds(args) for text in self.args))

    def names(self) -> dict[str, str]:
        """The names that are given."""
        return {name: value for name in ("workflow", "agent", "tool") if (value := cast("str", getattr(self, name)))}

    def present(self) -> dict[str, JsonValue]:
        """What is given of it."""
        return {**self.names(), **({"args": [*self.args]} if self.args else {})}

    def __str__(self) -> str:
        named = ", ".join(f"{name} {value}" for name, value in self.names().items())
        return f"{named} with {', '.join(self.args)}" if self.args else named


class PolicyException(BaseModel):
    """One exception. ``seq`` is the entry that records it; ``proof`` is what proves who opened it: a signed note, the digest
    of a token, or nothing.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    seq: int = 0
    scope: Scope
    uses: int
    used: int = 0
    by: str
    reason: str
    opened_at: dt.datetime
    expires_at: dt.datetime
    closed_at: dt.datetime | None = None
    closed_by: str = ""
    proof: str = ""
    seal: str = ""

    def state(self, now: dt.datetime) -> State:
        """How it stands at a moment."""
        if self.closed_at is not None:
            return "closed"
        if self.expires_at < now:
            return "expired"
        return "spent" if self.used >= self.uses else "open"

    @property
    def seconds(self) -> int:
        """How long it stands in all."""
        return max(0, round((self.expires_at - self.opened_at).total_seconds()))


@dataclass(frozen=True, slots=True)
class Lift:
    """An exception that covers an action, at this moment.

    Args:
        exception: the exception.
        voice: who opened it, with the roles and the proof that count now.
        own: the action may go on under a use that it has already.
        fault: why it does not count, if it does not.
    """

    exception: PolicyException
    voice: Voice
    own: bool = False
    fault: str = ""

    def as_input(self) -> dict[str, JsonValue]:
        """The ``exception`` part of the policy input."""
        it = self.exception
        return {
            "id": it.id,
            "by": it.by,
            "reason": it.reason,
            "opened_at": utc(it.opened_at),
            "expires_at": utc(it.expires_at),
            "seconds": it.seconds,
            "uses": it.uses,
            "scope": it.scope.present(),
            "roles": [*sorted(self.voice.roles)],
            "authenticated": self.voice.authenticated,
        }


@dataclass(frozen=True, slots=True)
class Excepted:
    """What an exception has to do with a decision: ``lifted`` what the policy said without it (``plain``), or did not."""

    lift: Lift
    plain: Decision
    lifted: bool

    @property
    def note(self) -> str:
        """Why an exception that covers the action does not count; empty where it does."""
        return f"the exception `{self.lift.exception.id}` {self.lift.fault}" if self.lift.fault else ""


def check(scope: Scope, *, by: str, reason: str, uses: int, seconds: int) -> None:
    """Whether such an exception may be opened.

    Raises:
        ConfigurationError: it has no scope, no reason or no name, or is longer or larger than exceptions may be.
    """
    if not scope.names():
        raise ConfigurationError(
            "an exception from everything is none", hint="name what it covers: `--agent`, `--workflow` or `--tool`"
        )
    if not person(by) or len(by) > NAME_MAX or any(ord(one) < 32 or ord(one) == 127 for one in by):
        raise ConfigurationError(
            f"an exception needs the name of a person, of {NAME_MAX} characters at most",
            hint="say who opens it: `by=`, or `--by NAME`",
        )
    if not reason.strip() or len(reason) > TEXT_MAX:
        raise ConfigurationError(
            f"an exception needs a reason, of {TEXT_MAX:,} characters at most", hint="say why: `--reason TEXT`"
        )
    if not 1 <= uses <= USES_MAX:
        raise ConfigurationError(
            f"an exception is used 1 to {USES_MAX:,} times, not {uses:,}", hint="say how often: `--uses N`"
        )
    if not 0 < seconds <= SECONDS_MAX:
        raise ConfigurationError(
            f"an exception stands for {SECONDS_MAX // 86_400} days at most, and for a second at least",
            hint="say how long: `--for 1h`; another can be opened when it is over",
        )


def over(it: PolicyException, now: dt.datetime) -> str:
    """Why an exception cannot be used any more."""
    match it.state(now):
        case "closed":
            return f"was closed by {it.closed_by}"
        case "expired":
            return "has expired"
        case "spent":
            return f"is used up: {it.used} of {it.uses}"
        case "open":
            return "was changed meanwhile"


def statement(origin: str, it: PolicyException) -> str:
    """What whoever opens an exception of the log ``origin`` states: the text that is signed."""
    lines = ["openclaw exception v1", origin, it.id, _json(it.scope.present()), str(it.uses)]
    return "\n".join([*lines, utc(it.expires_at), it.by, _json(it.reason), ""])


def _json(value: JsonValue) -> str:
    return encode(value).decode()


__all__ = ["Excepted", "Lift", "PolicyException", "Scope", "State", "check", "over", "statement"]
