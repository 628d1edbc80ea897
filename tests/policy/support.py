"""Policy folders for tests, and the three engines over the same folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from openclaw.policy import Opa, PolicyEngine
from openclaw.policy.bundle import Bundle
from tests.conftest import require

HOW_NATIVE = "install a Rust compiler and reinstall: pip install -e ."

ALLOW_ALL = "package openclaw.policies.main\n\nallow if true\n"


def write_folder(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write ``files`` below ``folder``; a name without a suffix is a Rego policy of that package."""
    for name, content in files.items():
        path = folder / (name if "." in name else f"{name}.rego")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        # Whole or not at all: somebody may be looking for changes.
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(content)
        beside.replace(path)
    return folder


def policy(rules: str, name: str = "main") -> str:
    """A policy package with these rules."""
    return f"package openclaw.policies.{name}\n\n{rules}\n"


@contextlib.contextmanager
def open_regorus(folder: Path, server: Callable[[], str], *, deadline_s: float) -> Iterator[PolicyEngine]:
    from openclaw.policy import regorus

    require("native", regorus.available(), HOW_NATIVE)
    engine = regorus.RegorusEngine(Bundle.read(folder), deadline_s=deadline_s)
    yield engine
    engine.close()


@contextlib.contextmanager
def open_regopy(folder: Path, server: Callable[[], str], *, deadline_s: float) -> Iterator[PolicyEngine]:
    from openclaw.policy.regopy import RegopyEngine

    engine = RegopyEngine(Bundle.read(folder), deadline_s=deadline_s)
    with contextlib.closing(engine):
        yield engine


@contextlib.contextmanager
def open_opa(folder: Path, server: Callable[[], str], *, deadline_s: float) -> Iterator[PolicyEngine]:
    from openclaw.policy.opa import OpaEngine

    engine = OpaEngine(Opa(server(), policies=folder, timeout_s=deadline_s))
    with contextlib.closing(engine):
        yield engine


ENGINES = {"regorus": open_regorus, "regopy": open_regopy, "opa": open_opa}
