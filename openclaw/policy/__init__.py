"""Decides: the policy decision point, its engines and the bundles that they load."""

from __future__ import annotations

from pathlib import Path

from openclaw.errors import ConfigurationError, Diagnostic
from openclaw.policy.bundle import Bundle
from openclaw.policy.engine import PolicyEngine
from openclaw.policy.regorus import DEADLINE_S
from openclaw.policy.spec import Opa

__all__ = ["Opa", "PolicyEngine", "check", "describe_engine", "open_bundle", "open_engine"]


def open_engine(policies: str | Path | Opa | PolicyEngine, *, cache: bool | int = True) -> PolicyEngine:
    """The engine that decides by ``policies``.

    Args:
        policies: a folder, decided in this process by regorus where the native extension is installed and by regopy in
            child processes where it is not; an ``Opa`` server; or an engine, which is returned as it is.
        cache: whether decisions of a folder are kept where they cannot have changed (see ``policy.cache``), or how many
            of them at most. A server and an engine of one's own are always asked.

    Raises:
        PolicyError: the policies cannot be read or used, or the server cannot be reached; each diagnostic names file,
            line and column.
        ConfigurationError: it is none of these, there is no engine here that could decide, or the size of the cache has
            no meaning.
    """
    if isinstance(policies, Opa):
        from openclaw.policy.opa import OpaEngine

        return OpaEngine(policies)
    if not isinstance(policies, str | Path):
        if not callable(getattr(policies, "evaluate", None)):
            raise ConfigurationError(
                f"`policies` is {type(policies).__name__}",
                hint="give a folder of Rego files, an `Opa(url)`, or an engine",
            )
        return policies
    from openclaw.policy.cache import cached, entries_of

    entries_max = entries_of(cache)
    bundle = Bundle.read(policies)
    return cached(open_bundle(bundle), bundle, entries_max=entries_max)


def open_bundle(bundle: Bundle, *, deadline_s: float = DEADLINE_S) -> PolicyEngine:
    """The embedded engine that decides by what has been read already, without a cache.

    Args:
        bundle: the policies.
        deadline_s: how long one decision may take, in seconds.

    Raises:
        PolicyError: the policies cannot be used.
        ConfigurationError: there is no embedded engine here.
    """
    from openclaw.policy import regorus

    if regorus.available():
        return regorus.RegorusEngine(bundle, deadline_s=deadline_s)
    from openclaw.policy import regopy  # not before it is needed: it takes as long to import as all the rest

    if regopy.available():
        return regopy.RegopyEngine(bundle, deadline_s=deadline_s)
    raise ConfigurationError(
        "no policy engine is installed",
        hint="install a Rust compiler or regopy and reinstall openclaw-governance, or use an OPA server",
    )


def check(folder: str | Path) -> list[Diagnostic]:
    """What is wrong with a policy folder and its tests, in the order of files and lines; see ``openclaw.policy.checking``.

    A folder is good where no finding has the severity ``error``; warnings are of what is legal and yet not what it seems.

    Raises:
        PolicyError: there is no such folder, or no policy in it.
    """
    from openclaw.policy import checking

    return checking.check(folder)


def describe_engine() -> str:
    """Which embedded engine is live here and, where it is not the fast one, how to get that: one line."""
    from importlib.metadata import version

    from openclaw.policy import regopy, regorus

    if regorus.available():
        from openclaw import _native

        return f"regorus {_native.REGORUS}, in this process (native extension)"
    get_native = "for the fast engine install a Rust compiler (rustup.rs) and reinstall openclaw-governance"
    if regopy.available():
        return f"regopy {version('regopy')}, in child processes; {get_native}"
    return f"none; {get_native}, or use an OPA server"
