"""Why the policies decided so: which rule of which file, with the values that made it true.

``explain`` asks for the decision, and then tells the rules that made it (``telling``). Nothing is recorded, and nothing is
read of how the engine came to its answer: the rules are asked again, so the explanation is of the policies and the input.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from openclaw.decision import Decision
from openclaw.policy.bundle import DECISION_FILE, Bundle
from openclaw.policy.engine import BadInput, encode
from openclaw.policy.probing import DEADLINE_US, Prober
from openclaw.policy.ruleset import DECIDING, Definition, Ruleset, Source
from openclaw.policy.telling import Teller, Told

DEPTH_MAX = 20
"""How many levels of rules that use others are told at most."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and how it came about.

    Attributes:
        decision: what the policies answer.
        rules: the rules that made it, in the order of files and lines: those of the effect that won, and those whose
            obligations are part of it. Empty where no rule did.
        others: the deciding rules that did not make it, where they were asked for; where no rule allowed the action,
            those that could have.
    """

    decision: Decision
    rules: tuple[Told, ...]
    others: tuple[Told, ...] = ()


def explain(
    policies: str | Path | Bundle,
    input: Mapping[str, JsonValue],  # noqa: A002 - the contract's own name
    *,
    every: bool = False,
    depth: int = 1,
) -> Explanation:
    """Why the policies decide so about an input.

    Args:
        policies: a folder, or what has been read of one.
        input: as ``openclaw schema input`` describes it.
        every: tell the rules that had no part in the decision too.
        depth: how many levels of the rules and functions that a rule uses are told with it, ``DEPTH_MAX`` at most.

    Raises:
        PolicyError: the policies cannot be read or used.
        ConfigurationError: the native engine is not installed.
    """
    from openclaw.policy.regorus import RegorusEngine

    bundle = policies if isinstance(policies, Bundle) else Bundle.read(policies)
    try:
        encoded = encode(input)
    except BadInput:
        encoded = b"{}"  # Nobody can be asked about it, and the decision says so.
    prober = Prober(bundle, encoded)
    with contextlib.closing(RegorusEngine(bundle, deadline_s=DEADLINE_US / 1_000_000)) as engine:
        decision = engine.evaluate(input)
    if decision.code not in {"policy", "no_policy", "obligation"}:
        return Explanation(decision, ())
    sources = tuple(Source.of(module) for module in bundle.modules if module.path != DECISION_FILE)
    ruleset = Ruleset(sources, cast("dict[str, JsonValue]", json.loads(bundle.data)))
    teller = Teller(ruleset, prober, max(0, min(depth, DEPTH_MAX)))
    deciding = [it for it in ruleset.definitions if it.source.policy and it.rule.path[0] in DECIDING]
    asked = deciding if every or decision.code == "no_policy" else [it for it in deciding if _may_decide(it, decision)]
    told = list(zip(asked, teller.tell(asked), strict=True))
    made = tuple(one for it, one in told if one.holds and not one.default and _made(it, decision))
    others = [(it, one) for it, one in told if one not in made and not one.default]
    if not every:
        others = [(it, one) for it, one in others if decision.code == "no_policy" and it.rule.path[0] == "allow"]
    return Explanation(decision, made, tuple(one for _, one in others))


def _name(definition: Definition) -> str:
    """The name of a rule as a decision has it."""
    return ".".join(definition.path[1:])


def _may_decide(definition: Definition, decision: Decision) -> bool:
    return _name(definition) in decision.rules or definition.rule.path[0] == "oblige"


def _made(definition: Definition, decision: Decision) -> bool:
    return _may_decide(definition, decision) and (bool(decision.obligations) or definition.rule.path[0] != "oblige")
