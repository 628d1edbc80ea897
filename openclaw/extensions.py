"""What a running call holds in addition, because more comes of it, or it takes longer, than was held when it began.

Each extension is a reservation of its own, recorded like any other with the decision that it belongs to: the accounts carry
it, or it is refused and the call ends. It lasts as long as the hold of the call does: renewed while the call runs. It is given
back when the call is settled, since all that was used is posted to the reservation of the call itself.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial

from openclaw.budget import CALL_SECONDS, Also, Fit, Ledger, Reservation, Unit, Usage
from openclaw.errors import BudgetExceeded, StoreError
from openclaw.measures import HELD_MS, time_held, time_of
from openclaw.passing import Permit
from openclaw.store import Job, Store, Transaction


class Extensions:
    """The extensions in a store. Safe to use from many threads and event loops at once."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        self._lock = threading.Lock()
        self._open: set[str] = set()  # those that are renewed
        self._times: dict[int, list[Reservation]] = {}  # those of time, by the decision of their call

    def more(self, permit: Permit, usage: Usage, fit: Fit, also: Also) -> Reservation | BudgetExceeded:
        """Hold ``usage`` in addition, or what ``fit`` makes of what is left.

        Raises:
            StoreError: the database takes no writes; the call must not go on.
        """
        return self._kept(self._submit(permit, usage, fit, also).wait())

    async def amore(self, permit: Permit, usage: Usage, fit: Fit, also: Also) -> Reservation | BudgetExceeded:
        """``more`` without blocking the event loop."""
        job = self._submit(permit, usage, fit, also)
        try:
            return self._kept(await asyncio.wrap_future(job.future))
        except BaseException:  # cancelled: the commit goes on without its caller, who will never settle it
            job.future.add_done_callback(partial(self._give_back, permit))
            raise

    def release(self, transaction: Transaction, permit: Permit, extension: Reservation) -> None:
        """Give an extension back, inside a transaction."""
        self._ledger.release_in(transaction, extension, decision=permit.seq)
        with self._lock:
            self._open.discard(extension.id)

    def renew(self, transaction: Transaction) -> int:
        """Let what running calls of this process hold in addition last ``CALL_SECONDS`` from now; how many holds that are."""
        with self._lock:
            held = sorted(self._open)
        return self._ledger.renew_holds(transaction, held)

    # -- time ----------------------------------------------------------------------------------------------------

    def due(self, permit: Permit) -> bool:
        """Whether the time that a call holds is over. Never for one that holds none."""
        held = self._time_held(permit)
        return held is not None and self._store.clock.now() - permit.began >= held

    def overtime(self, permit: Permit) -> BudgetExceeded | None:
        """Hold more time for a call whose time is over; why it must stop, where its accounts carry no more.

        A store that takes no writes stops nothing that runs already.
        """
        if not self.due(permit):
            return None

        def fit(left: Mapping[Unit, int]) -> Usage | None:
            more = left.get("milliseconds", HELD_MS)
            return Usage(milliseconds=time_of(more)) if more > 0 else None

        try:
            answer = self.more(permit, Usage(milliseconds=HELD_MS), fit, permit.also)
        except StoreError:
            return None
        if isinstance(answer, BudgetExceeded):
            return answer
        with self._lock:
            self._times.setdefault(permit.seq, []).append(answer)
        return None

    def times(self, permit: Permit) -> tuple[Reservation, ...]:
        """What a call that ends has held in addition of time; asked again, nothing."""
        with self._lock:
            return tuple(self._times.pop(permit.seq, ()))

    def _time_held(self, permit: Permit) -> dt.timedelta | None:
        if not (own := time_held(permit)):
            return None
        more = self._times.get(permit.seq, ())
        return dt.timedelta(milliseconds=own + sum(it.held.milliseconds for it in more))

    # -- small parts ---------------------------------------------------------------------------------------------

    def _submit(self, permit: Permit, usage: Usage, fit: Fit, also: Also) -> Job[Reservation | BudgetExceeded]:
        account = permit.action.principal.account

        def unit(transaction: Transaction) -> Reservation | BudgetExceeded:
            return self._ledger.reserve_in(
                transaction, account, usage, ttl_seconds=CALL_SECONDS, fit=fit, also=also, decision=permit.seq
            )

        return self._store.submit(unit)

    def _kept(self, answer: Reservation | BudgetExceeded) -> Reservation | BudgetExceeded:
        if isinstance(answer, Reservation):
            with self._lock:
                self._open.add(answer.id)
        return answer

    def _give_back(self, permit: Permit, done: Future[Reservation | BudgetExceeded]) -> None:
        if done.exception() is None and isinstance(held := done.result(), Reservation):
            self._store.defer(partial(self.release, permit=permit, extension=held))


__all__ = ["Extensions"]
