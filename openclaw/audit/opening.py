"""Where a log's signing key is, and where its checkpoints are kept outside, unless it is said otherwise.

| | said by | otherwise |
| --- | --- | --- |
| key | a file's name, the key itself, or a key object; ``OPENCLAW_KEY`` likewise | beside the database, or ``~/.openclaw`` |
| places | files and URLs (see ``openclaw.audit.places``); ``OPENCLAW_CHECKPOINTS``, separated by spaces | a file beside the key |
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from openclaw.audit.keys import KEY_MARK, ExternalKey, Signer, SigningKey
from openclaw.audit.places import Place, open_place
from openclaw.audit.rows import ENTRY, IS_CHECKPOINT
from openclaw.errors import AuditError
from openclaw.store import Store

KEY_VARIABLE = "OPENCLAW_KEY"
PLACES_VARIABLE = "OPENCLAW_CHECKPOINTS"

Where = str | Path | Place
"""A place outside the database, or what names one."""


def key_files(store: Store, key: str | Path | None = None) -> tuple[Path, Path]:
    """Where a store's signing key is kept, and beside it the checkpoints, unless said otherwise."""
    named = str(key or os.environ.get(KEY_VARIABLE) or "")
    path = Path(named) if named and not named.startswith(KEY_MARK) else beside_database(store)
    return path, path.with_suffix(".checkpoints")


def beside_database(store: Store) -> Path:
    """The key file of a store whose key nobody has named."""
    database = store.engine.url.database
    if store.engine.dialect.name == "sqlite" and database:
        # The prefix stands there when it is open for reading only.
        return Path(f"{database.removeprefix('file:')}.key")
    return Path.home() / ".openclaw" / f"{store.origin}.key"


def open_key(store: Store, key: str | Path | SigningKey | None = None, *, create: bool = False) -> SigningKey:
    """The signing key of a store.

    Args:
        store: the store.
        key: the key, its file, or its text (``PRIVATE+KEY+…``); by default what ``OPENCLAW_KEY`` holds, else a file beside
            the database.
        create: make the file if it is not there, unless the log has been signed by a key already.

    Raises:
        AuditError: it is not there, cannot be read or made, others may read it, or it holds something else.
    """
    if isinstance(key, ExternalKey):
        return key.named(store.origin)
    if key is not None and not isinstance(key, str | Path):
        return key
    told = str(key or os.environ.get(KEY_VARIABLE) or "")
    if told.startswith(KEY_MARK):
        return Signer.parse(told, where="key" if key else KEY_VARIABLE)
    path, _ = key_files(store, key)
    if create and not path.exists() and _is_signed(store):
        raise AuditError(
            f"the signing key of this log is not at `{path}`, and another one could not go on in its place",
            hint="restore it from a copy, or name its place with --key, `key=` or OPENCLAW_KEY",
        )
    return Signer.load(path, store.origin, create=create)


def open_places(store: Store, told: Where | Sequence[Where] | None, *, key: object = None) -> list[Place]:
    """The places outside in which a store's checkpoints are kept.

    Args:
        store: the store.
        told: the places, or what names them; by default what ``OPENCLAW_CHECKPOINTS`` holds, else a file beside the key.
        key: as said for ``open_key``.

    Raises:
        AuditError: one of them is none, or needs what is not installed.
    """
    if told is None:
        named = os.environ.get(PLACES_VARIABLE, "").split()
        told = [*named] or [key_files(store, key if isinstance(key, str | Path) else None)[1]]
    listed: Sequence[Where] = told if isinstance(told, Sequence) and not isinstance(told, str) else [told]
    return [open_place(one) if isinstance(one, str | Path) else one for one in listed]


def _is_signed(store: Store) -> bool:
    with store.peek() as connection:
        query = sa.select(ENTRY.c.seq).where(IS_CHECKPOINT).limit(1)
        return connection.execute(query).first() is not None


__all__ = ["KEY_VARIABLE", "PLACES_VARIABLE", "Where", "beside_database", "key_files", "open_key", "open_places"]
