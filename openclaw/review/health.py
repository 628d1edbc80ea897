"""What is live on this machine and what is not, with what to do about it. Changes nothing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy.engine import make_url

from openclaw.policy import describe_engine, regorus

State = Literal["ok", "absent", "broken"]

WAL_RESET_FIXED = (3, 51, 3)
"""The SQLite that no longer may corrupt a WAL database when two connections write or checkpoint at one instant."""

WAL_RESET_BACKPORTS = ((3, 50, 7), (3, 44, 6))


class Finding(BaseModel):
    """One part: ``ok``, ``absent`` (it works without) or ``broken`` (it does not), and what to do about it."""

    model_config = ConfigDict(frozen=True)

    part: str
    state: State
    says: str
    todo: str = ""


def without_password(url: str) -> str:
    """A store's URL as it may be shown."""
    return make_url(url).render_as_string(hide_password=True)


def engine() -> Finding:
    """Which policy engine would decide here."""
    if not regorus.available() and importlib.util.find_spec("openclaw._native") is not None:
        return Finding(
            part="engine",
            state="broken",
            says="the native extension is there and does not load: it was built for another Python or platform",
            todo="rebuild it: `make native` in a checkout, or reinstall openclaw-governance",
        )
    says, _, todo = describe_engine().partition("; ")
    state: State = "ok" if regorus.available() else "broken" if says == "none" else "absent"
    return Finding(part="engine", state=state, says=says, todo=todo)


def sqlite() -> Finding:
    """The SQLite library of this Python."""
    version = sqlite3.sqlite_version_info
    if has_wal_reset_bug(version):
        return Finding(
            part="sqlite",
            state="ok",
            says=f"{sqlite3.sqlite_version}, which has the WAL-reset bug: two processes that write at one instant can,"
            " very rarely, corrupt the file",
            todo="use 3.51.3 or newer (or 3.50.7, 3.44.6) where several processes write, or PostgreSQL;"
            " see docs/operating.md",
        )
    return Finding(part="sqlite", state="ok", says=sqlite3.sqlite_version)


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether a version of SQLite may corrupt a WAL database, very rarely, under several writers."""
    if version >= WAL_RESET_FIXED or version < (3, 7, 0):
        return False
    return not any(version[:2] == fixed[:2] and version >= fixed for fixed in WAL_RESET_BACKPORTS)


def optional_parts() -> Iterator[Finding]:
    """What is not needed but may be wanted."""
    yield _package(
        "postgres driver", "psycopg", "psycopg", "to use PostgreSQL: pip install 'openclaw-governance[postgres]'"
    )
    yield opa()
    yield _package(
        "langchain", "langchain", "langchain", "to use create_agent and init_chat_model: pip install langchain"
    )
    yield _package(
        "opentelemetry",
        "opentelemetry.proto",
        "opentelemetry-proto",
        "to export to OpenTelemetry: pip install 'openclaw-governance[otel]'",
    )
    yield _package(
        "agentdojo", "agentdojo", "agentdojo", "to run `openclaw demo`: pip install 'openclaw-governance[demo]'"
    )


def opa() -> Finding:
    """The ``opa`` program, which authors and servers use."""
    found = shutil.which("opa")
    if found is None:
        return Finding(
            part="opa",
            state="absent",
            says="no `opa` on the PATH",
            todo="only for a policy server of your own: brew install opa, its container, or its release binary",
        )
    try:
        said = subprocess.run([found, "version"], capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603 - found on the PATH
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(part="opa", state="broken", says=f"`{found}` does not run: {error}", todo="install it afresh")
    return Finding(part="opa", state="ok", says=said.splitlines()[0].removeprefix("Version: ") if said else "")


def _package(part: str, module: str, distribution: str, todo: str) -> Finding:
    if not _is_there(module):
        return Finding(part=part, state="absent", says="not installed", todo=todo)
    return Finding(part=part, state="ok", says=importlib.metadata.version(distribution))


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package that it would be in
        return False
