"""The test frame itself: absent parts skip with advice, required parts fail, servers come and go."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.conftest import require
from tests.support import opa, postgres


def test_an_absent_part_skips_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENCLAW_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="`opa` is absent: brew install opa"):
        require("opa", None, "brew install opa")


def test_an_absent_part_that_is_required_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_REQUIRE", "native,opa")
    with pytest.raises(pytest.fail.Exception, match="`opa` is required here and absent: brew install opa"):
        require("opa", None, "brew install opa")


def test_a_part_that_is_there_neither_skips_nor_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_REQUIRE", "native,opa,postgres")
    require("postgres", available=True, how="")


def test_a_misspelt_part_is_an_error_not_a_skip() -> None:
    with pytest.raises(ValueError, match="unknown part `postgre`"):
        require("postgre", available=False, how="")


def test_the_opa_server_answers_and_is_gone_afterwards(opa_binary: str) -> None:
    with opa.server(opa_binary) as url:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/health") as answer:
            assert answer.status == 200
    assert not _listens(url)


def test_an_opa_that_cannot_start_says_why(opa_binary: str) -> None:
    with pytest.raises(RuntimeError, match="no/such/folder"), opa.server(opa_binary, "no/such/folder"):
        pass


@pytest.mark.slow
def test_the_postgresql_server_answers_and_is_gone_afterwards() -> None:
    require("postgres", postgres.binaries(), postgres.HOW)
    with postgres.server() as url:
        assert _listens(url)
    assert not _listens(url)


def test_each_test_gets_a_postgresql_database_of_its_own(
    postgres_url: str, new_postgres_url: Callable[[], str]
) -> None:
    import psycopg

    def databases(url: str) -> tuple[str, bool]:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            row = connection.execute("SELECT current_database(), to_regclass('public.mark') IS NOT NULL").fetchone()
            connection.execute("CREATE TABLE IF NOT EXISTS mark (id int)")
        assert row is not None
        return row

    first, marked_first = databases(postgres_url)
    second, marked_second = databases(new_postgres_url())
    assert first != second
    assert not marked_first
    assert not marked_second


def _listens(url: str) -> bool:
    where = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((where.hostname, where.port)) == 0
