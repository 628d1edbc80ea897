"""Policy folders for tests, and the three engines over the same folder."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

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


@contextlib.contextmanager
def thieves_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment with a proxy and a .netrc file for this machine; nobody may come to the proxy."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password thief\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.settimeout(0)
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield
        with pytest.raises(BlockingIOError):
            proxy.accept()


ENGINES = {"regorus": open_regorus, "regopy": open_regopy, "opa": open_opa}
