"""What a policy engine answers: an effect, why, by which rules, and what must be done about it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Generator

    from pydantic import JsonValue

OBLIGATION_KINDS = frozenset({"mask", "redact", "rewrite", "route", "audit", "charge", "limit", "approve", "amend"})
"""The obligations that the contract names. Any other kind is not understood, and what is not understood is denied."""


class Effect(StrEnum):
    """The three answers; severity rises from left to right."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


DecisionCode = Literal[
    "policy",  # a rule of the author decided
    "no_policy",  # no rule allowed it
    "undefined",  # data.openclaw.decision has no value
    "malformed",  # the answer is not a decision object
    "obligation",  # an obligation that the gate does not understand
    "engine_error",  # the engine reported an error while evaluating
    "engine_crashed",  # the engine's process died
    "deadline",  # no answer in time
    "unreachable",  # the policy server cannot be reached
    "bad_input",  # the input cannot be given to an engine
]
"""Why the answer is what it is, for programs. Everything but ``policy`` is a deny."""


class Obligation(BaseModel):
    """Something that the gate must do for the decision to hold, such as ``{"kind": "mask", "fields": ["args.iban"]}``.

    All keys besides ``kind`` are the parameters of that kind; they stay as the policy wrote them. Lists and objects among
    them are handed out as copies: engines give one and the same decision to many callers.
    """

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    kind: str

    @property
    def params(self) -> dict[str, JsonValue]:
        """The parameters: every key besides ``kind``."""
        return {name: _own(value) for name, value in (self.__pydantic_extra__ or {}).items()}

    @property
    def model_extra(self) -> dict[str, JsonValue]:
        """The same, by the name that pydantic has for it."""
        return self.params

    if not TYPE_CHECKING:  # A type checker is to know `kind` and `params`, and to find fault with any other name.

        def __getattr__(self, name: str) -> JsonValue:
            return _own(super().__getattr__(name))

    def __iter__(self) -> Generator[tuple[str, JsonValue], None, None]:  # noqa: PYI058 - as pydantic declares it
        yield "kind", self.kind
        yield from self.params.items()


def _own(value: JsonValue) -> JsonValue:
    """A value that nobody else has: lists and objects are copied, all else cannot be changed."""
    if isinstance(value, dict):
        return {key: _own(member) for key, member in value.items()}
    return [_own(member) for member in value] if isinstance(value, list) else value


class Decision(BaseModel):
    """One answer of a policy engine, with enough about the engine to ask it again.

    Engines return it and never raise: whatever goes wrong while deciding is a deny with its own ``code``.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    effect: Effect
    reasons: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    code: DecisionCode = "policy"
    revision: str = ""
    engine: str = ""

    @property
    def allowed(self) -> bool:
        """True only for a clear allow."""
        return self.effect is Effect.ALLOW

    @classmethod
    def deny(cls, reason: str, *, code: DecisionCode, revision: str = "", engine: str = "") -> Decision:
        """A refusal that no rule of the author made: something could not be decided, so it is denied."""
        return cls(effect=Effect.DENY, reasons=(reason,), code=code, revision=revision, engine=engine)
