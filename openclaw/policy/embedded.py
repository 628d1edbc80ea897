"""The engine that decides without a server: the one place where it is chosen."""

from __future__ import annotations

from openclaw.errors import ConfigurationError
from openclaw.policy import regorus
from openclaw.policy.bundle import Bundle
from openclaw.policy.engine import PolicyEngine
from openclaw.policy.regorus import DEADLINE_S


def available() -> bool:
    """Whether there is such an engine here."""
    if regorus.available():
        return True
    from openclaw.policy import regopy

    return regopy.available()


def open_bundle(bundle: Bundle, *, deadline_s: float = DEADLINE_S) -> PolicyEngine:
    """The fastest embedded engine that is installed, with these policies, and without a cache.

    Args:
        bundle: the policies.
        deadline_s: how long one decision may take, in seconds.

    Raises:
        PolicyError: they do not compile, or call functions that it does not have.
        ConfigurationError: there is none.
    """
    if regorus.available():
        return regorus.RegorusEngine(bundle, deadline_s=deadline_s)
    from openclaw.policy import regopy  # not before it is needed: it takes as long to import as all the rest

    if regopy.available():
        return regopy.RegopyEngine(bundle, deadline_s=deadline_s)
    raise ConfigurationError(
        "no policy engine is installed",
        hint="install a Rust compiler or regopy and reinstall openclaw-governance, or use an OPA server",
    )
