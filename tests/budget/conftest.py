"""A ledger on each store, under the clock of the module that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openclaw.budget import Ledger
from openclaw.clock import Clock
from openclaw.store import Store


@pytest.fixture
def ledger(store_url: str, clock: Clock) -> Iterator[Ledger]:
    store = Store.open(store_url, clock=clock)
    yield Ledger(store)
    store.close()
