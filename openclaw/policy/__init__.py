"""Decides: the policy decision point, its engines and the bundles that they load."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from openclaw.errors import ConfigurationError, Diagnostic
from openclaw.policy.bundle import Bundle
from openclaw.policy.embedded import open_bundle
from openclaw.policy.engine import PolicyEngine
from openclaw.policy.late_cache import LateCache
from openclaw.policy.source import read_policies

if TYPE_CHECKING:
    from openclaw.policy.spec import BundleFile, BundleServer, Key, Opa, Policies, PolicyFolder

_SPECS = frozenset({"BundleFile", "BundleServer", "Key", "Opa", "Policies", "PolicyFolder"})

__all__ = [
    "BundleFile",
    "BundleServer",
    "Key",
    "Opa",
    "Policies",
    "PolicyEngine",
    "PolicyFolder",
    "check",
    "describe_engine",
    "open_bundle",
    "open_engine",
]


def open_engine(policies: Policies | PolicyEngine, *, cache: bool | int = True) -> PolicyEngine:
    """The engine that decides by ``policies`` as they are now; ``openclaw.policy.live`` has one that follows changes.

    Args:
        policies: a folder or a bundle, decided in this process by regorus where the native extension is installed and by
            regopy in child processes where it is not; an ``Opa`` server; or an engine, which is returned as it is.
        cache: whether decisions of a folder or a bundle are kept where they cannot have changed (see ``policy.cache``), or
            how many of them at most. A server and an engine of one's own are always asked.

    Raises:
        PolicyError: the policies cannot be read or used, or the server cannot be reached; each diagnostic names file,
            line and column.
        ConfigurationError: it is none of these, there is no engine here that could decide, or the size of the cache has
            no meaning.
    """
    if isinstance(policies, str | Path):
        return _embedded(policies, cache)
    from openclaw.policy.spec import BundleFile, BundleServer, Opa, PolicyFolder

    if isinstance(policies, Opa):
        from openclaw.policy.opa import OpaEngine

        return OpaEngine(policies)
    if isinstance(policies, PolicyFolder | BundleFile | BundleServer):
        return _embedded(policies, cache)
    if not callable(getattr(policies, "evaluate", None)):
        raise ConfigurationError(
            f"`policies` is {type(policies).__name__}",
            hint="give a folder of Rego files, a `BundleFile`, a `BundleServer`, an `Opa(url)`, or an engine",
        )
    return policies


def _embedded(policies: str | Path | PolicyFolder | BundleFile | BundleServer, cache: bool | int) -> PolicyEngine:
    if not isinstance(cache, bool):
        from openclaw.policy.cache import entries_of

        entries_of(cache)  # raises before anything is opened
    bundle = Bundle.assemble(read_policies(policies))
    engine = open_bundle(bundle)
    return LateCache(engine, bundle, cache=cache) if cache else engine


def __getattr__(name: str) -> object:
    # Most programs name a folder: what else there is to name is not imported before somebody does.
    if name in _SPECS:
        return getattr(importlib.import_module("openclaw.policy.spec"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
