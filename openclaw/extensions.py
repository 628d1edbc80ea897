"""What a running call holds in addition, because more comes of it than was held when it began.

Each extension is a reservation of its own, recorded like any other: the accounts carry it, or it is refused and the call ends.
It is given back when the call is settled, since all that was used is posted to the reservation of the call itself.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from functools import partial

from openclaw.budget import CALL_SECONDS, Also, Fit, Ledger, Reservation, Usage
from openclaw.errors import BudgetExceeded
from openclaw.passing import Permit
from openclaw.store import Job, Store, Transaction


class Extensions:
    """The extensions in a store. Safe to use from many threads and event loops at once."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def more(self, permit: Permit, usage: Usage, fit: Fit, also: Also) -> Reservation | BudgetExceeded:
        """Hold ``usage`` in addition, or what ``fit`` makes of what is left.

        Raises:
            StoreError: the database takes no writes; the call must not go on.
        """
        return self._submit(permit, usage, fit, also).wait()

    async def amore(self, permit: Permit, usage: Usage, fit: Fit, also: Also) -> Reservation | BudgetExceeded:
        """``more`` without blocking the event loop."""
        job = self._submit(permit, usage, fit, also)
        try:
            return await asyncio.wrap_future(job.future)
        except BaseException:  # cancelled: the commit goes on without its caller, who will never settle it
            job.future.add_done_callback(self._give_back)
            raise

    def _submit(self, permit: Permit, usage: Usage, fit: Fit, also: Also) -> Job[Reservation | BudgetExceeded]:
        account = permit.action.principal.account

        def unit(transaction: Transaction) -> Reservation | BudgetExceeded:
            return self._ledger.reserve_in(transaction, account, usage, ttl_seconds=CALL_SECONDS, fit=fit, also=also)

        return self._store.submit(unit)

    def _give_back(self, done: Future[Reservation | BudgetExceeded]) -> None:
        if done.exception() is None and isinstance(held := done.result(), Reservation):
            self._store.defer(partial(self._ledger.release_in, reservation=held))


__all__ = ["Extensions"]
