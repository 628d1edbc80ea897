"""A reviewer without write access: a role of PostgreSQL that may only read, or a SQLite file that nobody may write."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url


@contextlib.contextmanager
def reading_only(url: str) -> Iterator[str]:
    """The URL under which the same database can be read and not written."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        assert parsed.database
        path = Path(parsed.database)
        mode = path.stat().st_mode
        path.chmod(0o444)
        yield url
        path.chmod(mode)
        return
    import psycopg
    from psycopg import sql

    role = f"openclaw_reader_{os.getpid()}"
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    named = sql.Identifier(role)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'reads' IN ROLE pg_read_all_data").format(named))
    try:
        yield parsed.set(username=role, password="reads").render_as_string(hide_password=False)
    finally:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(named))
            connection.execute(sql.SQL("DROP ROLE {}").format(named))
