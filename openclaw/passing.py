"""What passes the door: a request on its way in, what it gets for an answer, and what became of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from openclaw.action import Action, Run
from openclaw.budget import Also, Budget, Fit, Reservation, Soft, Usage
from openclaw.decision import Decision
from openclaw.duties import Duties
from openclaw.errors import Refused

NOTHING = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One action that asks to pass.

    Args:
        action: what is to be done, by whom.
        run: where in time it stands; None outside of any run.
        hold: what to reserve for it: one call for a tool, tokens and money for a model call.
        fit: what it would hold instead, where no more than so much is left; None if nothing less will do.
        spare: what must be left besides, and is not held.
        also: accounts that it is held on besides those of its principal: of labels, of the run.
        soft: the soft limits of who acts.
        flow: the ``flow`` part of the policy input, where information flow is tracked.
        key: names this very execution, so that a node that runs again does not act again. None: it cannot run again.
        can_wait: there is a checkpointer, so that an ``ask`` may wait for a person.
        unpriced: no price is known for this model; refused where a money budget applies.
        fits: checks arguments that an approver has changed, and gives them as the tool takes them; raises ``ValueError``.
        unmeasured: no estimate of its energy is known; refused where an energy budget applies.
        remembers: a refusal ends this execution for good, because the transcript goes on with it. False where a refusal
            is raised and the node may run again after a budget or a policy has changed: then it is decided again.
    """

    action: Action
    run: Run | None = None
    hold: Usage = NOTHING
    fit: Fit | None = None
    spare: Usage = NOTHING
    also: Also = field(default_factory=dict[str, Budget | None])
    soft: Soft | None = None
    flow: Mapping[str, JsonValue] | None = None
    key: str | None = None
    can_wait: bool = False
    unpriced: bool = False
    fits: Callable[[Mapping[str, object]], Mapping[str, object]] | None = None
    unmeasured: bool = False
    remembers: bool = True


@dataclass(frozen=True, slots=True)
class Amended:
    """What an approver has changed: the arguments by name, as they are now."""

    by: str
    args: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The action may run, with ``action`` as it stands here (arguments may have been rewritten). ``finish`` it.

    ``document`` is what the policy was asked, ``duties`` what it demands, ``also`` the accounts that it draws on besides its own,
    ``amended`` what an approver has changed.
    """

    seq: int
    decision: Decision
    duties: Duties
    document: Mapping[str, JsonValue]
    action: Action
    run: Run | None
    reservation: Reservation | None
    key: str | None
    began: dt.datetime
    amended: Amended | None = None
    also: Also = field(default_factory=dict[str, Budget | None])


@dataclass(frozen=True, slots=True)
class Replayed:
    """This execution has run to its end before: hand back ``result``, do nothing."""

    seq: int
    result: bytes
    amended: Amended | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A person must answer ``approval`` first."""

    seq: int
    approval: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The action may not run. ``error`` says why, by whom, and which entry records it."""

    error: Refused


Admission = Permit | Replayed | Waiting | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a permitted action.

    Args:
        status: it returned, it raised, it was cut off, or it waits for a person by itself and will be run again.
        usage: what it really used; posted in full, also above the hold.
        result: what it returned; the log keeps its digest, and at audit level ``full`` the value if it is small.
        error: type and message of what it raised.
        replay: what to hand back if the same execution is asked for again.
        estimated: the usage is an estimate, because the provider gave none.
        extra: what was held in addition while it ran, and is given back now that all is posted.
        shown: what the policy said of the result, where it was asked or demanded that something be cut.
        cached: of a model call's input, the tokens that were read from the provider's cache, and those written to it.
    """

    status: Literal["done", "failed", "cancelled", "suspended"]
    usage: Usage = NOTHING
    result: object = None
    error: str = ""
    replay: bytes = b""
    estimated: bool = False
    extra: tuple[Reservation, ...] = ()
    shown: Shown | None = None
    cached: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a model may see of a result.

    Args:
        value: the result, cut as the policy demands.
        changed: something was cut, so that ``value`` and not the result itself is handed on.
        refused: why nothing of it may be seen, if so; ``value`` is None then.
        duties: what the policy demands, of the call and of its result together.
        decision: what the policy said of the result; None where it was not asked.
        document: what it was asked.
    """

    value: JsonValue
    changed: bool = False
    refused: Refused | None = None
    duties: Duties
    decision: Decision | None = None
    document: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A decision of the policy that has been recorded, for whoever watches; ``document`` is what the policy was asked."""

    seq: int
    tool: str
    agent: str
    document: Mapping[str, JsonValue]
    decision: Decision

    @classmethod
    def of(cls, action: Action, seq: int, document: Mapping[str, JsonValue], decision: Decision) -> Seen:
        """The decision about ``action`` in entry ``seq``."""
        return cls(seq=seq, tool=action.name, agent=action.principal.agent, document=document, decision=decision)


__all__ = [
    "NOTHING",
    "Admission",
    "Amended",
    "Outcome",
    "Permit",
    "Refusal",
    "Replayed",
    "Request",
    "Seen",
    "Shown",
    "Waiting",
]
