"""A log on each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw.audit import AuditLog, Signer
from openclaw.store import Store


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Where checkpoints are kept outside the database."""
    return tmp_path / "log.checkpoints"


@pytest.fixture
def log(store_url: str, tmp_path: Path, outside: Path) -> Iterator[AuditLog]:
    """An empty log."""
    store = Store.open(store_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin), outside=outside)
    yield log
    log.close(0)
    store.close()
