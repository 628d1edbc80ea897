"""The one interface that every policy engine implements, and the one reading of what engines answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from pydantic import JsonValue, ValidationError

from openclaw.decision import OBLIGATION_KINDS, Decision, DecisionCode

ENTRY_POINT = "openclaw/decision"
"""Path of the rule that every engine is asked for: ``data.openclaw.decision``."""

NO_POLICY = "no policy allows this"
"""The reason that the shipped combining rules give where no rule of the author applies."""


class PolicyEngine(Protocol):
    """Decides on policy inputs. Safe to use from many threads and event loops at once.

    ``evaluate`` and ``aevaluate`` never raise for what happens while deciding: a clear answer of the policy is that
    answer, and anything else is a deny whose ``code`` says what happened. Cancellation passes through.
    """

    @property
    def name(self) -> str:
        """Engine and version, such as ``regorus 0.14.1``."""
        ...

    @property
    def revision(self) -> str:
        """``sha256:…`` of the policies and data that are loaded."""
        ...

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002 - the contract's own name
        """Decide on one input, within the engine's deadline."""
        ...

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        """The same decision, without blocking the event loop for longer than an embedded evaluation takes."""
        ...

    def close(self) -> None:
        """Give back processes and connections. Decisions after this are denials."""
        ...


def read_answer(answer: JsonValue, *, revision: str, engine: str) -> Decision:
    """The decision in what an engine returned for the entry point.

    Strict, and the same for all engines: only an object with a known effect and known obligations is a decision, and an
    ``allow`` with anything amiss is a deny. ``None`` stands for undefined.
    """

    def deny(reason: str, code: DecisionCode) -> Decision:
        return Decision.deny(reason, code=code, revision=revision, engine=engine)

    if answer is None:
        return deny("the policy gives no decision: `data.openclaw.decision` is undefined", "undefined")
    if not isinstance(answer, dict):
        return deny(f"the policy's decision is not an object but {type(answer).__name__}", "malformed")
    unknown = sorted(answer.keys() - {"effect", "reasons", "rules", "obligations"})
    if unknown:
        return deny(f"the policy's decision has unknown fields: {', '.join(unknown)}", "malformed")
    try:
        decision = Decision.model_validate({**answer, "revision": revision, "engine": engine})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return deny(f"the policy's decision is malformed at `{where}`: {first['msg']}", "malformed")
    foreign = sorted({duty.kind for duty in decision.obligations} - OBLIGATION_KINDS)
    if foreign:
        return deny(f"the policy demands what the gate does not understand: obligation {', '.join(foreign)}", "obligation")
    if decision.reasons == (NO_POLICY,) and not decision.allowed and not cast("tuple[str, ...]", decision.rules):
        return decision.model_copy(update={"code": "no_policy"})
    return decision
