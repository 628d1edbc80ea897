"""The obligations of a decision, read: what the gate must do for the decision to hold.

    {"kind": "mask", "fields": ["args.iban"]}            stored as a keyed digest (paths of the policy input, or result.…)
    {"kind": "rewrite", "args": {"limit": 10}}           arguments set before the action runs
    {"kind": "charge", "microusd": 500}                  held and posted on top of what the action uses
    {"kind": "audit", "level": "metadata"}               metadata: arguments by digest; request; full: small results too

What cannot be carried out is a deny: an obligation that is not met would make the decision untrue. The kinds ``redact``,
``route`` and ``limit`` of the contract are of that sort until the gate can carry them out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue, ValidationError

from openclaw.budget import UNITS, Usage
from openclaw.decision import Decision, Obligation

AuditLevel = Literal["metadata", "request", "full"]
LEVELS: tuple[AuditLevel, ...] = ("metadata", "request", "full")
"""What is stored, from least to most. Where several are demanded, the least is."""


@dataclass(frozen=True, slots=True)
class Duties:
    """What to do. ``unmet`` is empty, or says which obligation cannot be carried out and why."""

    mask: tuple[str, ...] = ()
    rewrite: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    charge: Usage = field(default_factory=Usage)
    level: AuditLevel = "request"
    unmet: str = ""


def read_duties(decision: Decision) -> Duties:
    """The duties of a decision. Where one is unmet, all arguments are masked: a mask that fails masks everything."""
    mask: list[str] = []
    rewrite: dict[str, JsonValue] = {}
    charge = Usage()
    levels: list[AuditLevel] = []
    for obligation in decision.obligations:
        try:
            match obligation.kind:
                case "mask":
                    mask += _fields(obligation)
                case "rewrite":
                    rewrite |= _arguments(obligation)
                case "charge":
                    charge = total(charge, Usage.model_validate(obligation.params))
                case "audit":
                    levels.append(_level(obligation))
                case _:
                    return _unmet(f"the policy demands what the gate cannot carry out: obligation `{obligation.kind}`")
        except (ValidationError, ValueError) as error:
            said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            return _unmet(f"the obligation `{obligation.kind}` is malformed: {said}")
    level = min(levels, key=LEVELS.index) if levels else "request"
    return Duties(tuple(mask), rewrite, charge, level)


def total(left: Usage, right: Usage) -> Usage:
    """The sum of two amounts, unit by unit."""
    if not right.present():
        return left
    return Usage(**{unit: left.amount(unit) + right.amount(unit) for unit in UNITS})


def _unmet(why: str) -> Duties:
    return Duties(level="metadata", unmet=why)


def _fields(obligation: Obligation) -> list[str]:
    fields = obligation.params.get("fields")
    if not isinstance(fields, list) or not fields or not all(isinstance(field, str) and field for field in fields):
        raise ValueError('expected "fields", a list of paths such as "args.iban"')
    return [str(field) for field in fields]


def _arguments(obligation: Obligation) -> dict[str, JsonValue]:
    args = obligation.params.get("args")
    if not isinstance(args, dict) or not args:
        raise ValueError('expected "args", an object of arguments to set')
    return args


def _level(obligation: Obligation) -> AuditLevel:
    for level in LEVELS:
        if obligation.params.get("level") == level:
            return level
    raise ValueError(f'expected "level", one of {", ".join(LEVELS)}')
