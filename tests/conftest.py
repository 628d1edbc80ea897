"""What all tests share: real parts, or a skip that says how to get them, and databases that nobody else uses."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import opa, postgres

# Nothing is timed in a test. In CI the same examples come every time, so that a red run is about the change in it.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

PARTS = ("native", "opa", "postgres")
_numbers = itertools.count()


def require(part: str, available: object, how: str) -> None:
    """Skip the test where a real part is absent, and say how to get it; fail where ``OPENCLAW_REQUIRE`` names the part.

    Args:
        part: ``native``, ``opa`` or ``postgres``.
        available: true where the part is there.
        how: what a person has to do to get it.
    """
    if part not in PARTS:
        raise ValueError(f"unknown part `{part}`: expected one of {', '.join(PARTS)}")
    if available:
        return
    if part in os.environ.get("OPENCLAW_REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"`{part}` is required here and absent: {how}", pytrace=False)
    pytest.skip(f"`{part}` is absent: {how}")


@pytest.fixture(scope="session")
def opa_binary() -> str:
    """The path of a real ``opa``."""
    found = opa.binary()
    require("opa", found, opa.HOW)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def opa_server(opa_binary: str) -> Iterator[str]:
    """The URL of a real OPA server without policies, for this test process alone."""
    with opa.server(opa_binary) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server on which databases may be made: the one that is named, or one of our own."""
    named = os.environ.get("OPENCLAW_TEST_POSTGRES")
    if named:
        yield named
        return
    require("postgres", postgres.binaries(), postgres.HOW)
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def new_postgres_url(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Make an empty database on the server and give its URL; all of them are gone at the end.

    Dropped one by one where the server stays: each takes a checkpoint of the server, hundreds of them minutes.
    """
    try:
        import psycopg
        from psycopg import sql
    except ImportError:
        require("postgres", False, "install the driver: pip install 'openclaw-governance[postgres]'")
        raise
    base, made = postgres_server.rsplit("/", 1)[0], list[str]()
    plain = postgres_server.replace("postgresql+psycopg://", "postgresql://", 1)

    def new() -> str:
        name = f"openclaw_test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append(name)
        return f"{base}/{name}"

    yield new
    if postgres.THROW_AWAY in os.environ or "OPENCLAW_TEST_POSTGRES" not in os.environ:
        return
    with psycopg.connect(plain, autocommit=True) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """The URL of an empty PostgreSQL database that belongs to this test."""
    return new_postgres_url()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite database that belongs to this test and does not exist yet."""
    return f"sqlite:///{tmp_path / 'openclaw.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store that belongs to this test, once for each kind of database."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))
