"""Agent governance for LangGraph: every tool call passes a policy, a provable log and a budget.

``import openclaw`` opens nothing and imports no more than it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openclaw.action import Handoff, MemoryAccess, ModelCall, Principal, ToolCall
    from openclaw.budget import Budget, Price, Reservation, Usage
    from openclaw.decision import Decision, Effect, Obligation
    from openclaw.errors import BudgetExceeded, OpenClawError, PolicyError, Refused
    from openclaw.governance import Governance
    from openclaw.graph import Agent, Workflow
    from openclaw.policy import Opa

__version__ = "0.1.0"

_HOMES = {
    "Agent": "openclaw.graph",
    "Budget": "openclaw.budget",
    "BudgetExceeded": "openclaw.errors",
    "Decision": "openclaw.decision",
    "Effect": "openclaw.decision",
    "Governance": "openclaw.governance",
    "Handoff": "openclaw.action",
    "MemoryAccess": "openclaw.action",
    "ModelCall": "openclaw.action",
    "Obligation": "openclaw.decision",
    "Opa": "openclaw.policy",
    "OpenClawError": "openclaw.errors",
    "PolicyError": "openclaw.errors",
    "Price": "openclaw.budget",
    "Principal": "openclaw.action",
    "Refused": "openclaw.errors",
    "Reservation": "openclaw.budget",
    "ToolCall": "openclaw.action",
    "Usage": "openclaw.budget",
    "Workflow": "openclaw.graph",
}

__all__ = [
    "Agent",
    "Budget",
    "BudgetExceeded",
    "Decision",
    "Effect",
    "Governance",
    "Handoff",
    "MemoryAccess",
    "ModelCall",
    "Obligation",
    "Opa",
    "OpenClawError",
    "PolicyError",
    "Price",
    "Principal",
    "Refused",
    "Reservation",
    "ToolCall",
    "Usage",
    "Workflow",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module `openclaw` has no attribute `{name}`")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
