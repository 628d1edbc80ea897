"""The engine that decides without a server: the one place where it is chosen."""

from __future__ import annotations

from openclaw.errors import ConfigurationError
from openclaw.policy import regopy, regorus
from openclaw.policy.bundle import Bundle
from openclaw.policy.engine import PolicyEngine


def available() -> bool:
    """Whether there is such an engine here."""
    return regorus.available() or regopy.available()


def open_bundle(bundle: Bundle) -> PolicyEngine:
    """The fastest embedded engine that is installed, with these policies.

    Raises:
        PolicyError: they do not compile, or call functions that it does not have.
        ConfigurationError: there is none.
    """
    if regorus.available():
        return regorus.RegorusEngine(bundle)
    if regopy.available():
        return regopy.RegopyEngine(bundle)
    raise ConfigurationError(
        "no policy engine is installed",
        hint="install a Rust compiler or regopy and reinstall openclaw-governance, or use an OPA server",
    )
