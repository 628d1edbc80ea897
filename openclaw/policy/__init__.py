"""Decides: the policy decision point, its engines and the bundles that they load."""

from __future__ import annotations

from pathlib import Path

from openclaw.policy.bundle import Bundle
from openclaw.policy.engine import PolicyEngine

__all__ = ["PolicyEngine", "open_engine"]


def open_engine(policies: str | Path | PolicyEngine) -> PolicyEngine:
    """The engine for ``policies``.

    Args:
        policies: a folder, decided by regorus where the native extension is installed, or an engine, which is returned
            as it is.

    Raises:
        PolicyError: the folder cannot be read or its policies cannot be used; each diagnostic names file, line and
            column.
    """
    from openclaw.policy.regorus import RegorusEngine

    if isinstance(policies, str | Path):
        return RegorusEngine(Bundle.read(policies))
    return policies
