"""The ledger: limits on accounts, and reservations that are settled exactly once, released, or expire.

An account is a path of pairs, such as ``org/default/workflow/returns/agent/refunds``. A reservation takes from the account
and from every account above it, or from none.

    INVARIANT: at admission, posted + pending ≤ limit for every unit of every account and window of the path.
    INVARIANT: pending of an account is the sum of what its pending reservations hold.
    INVARIANT: what was used is posted in full, also above what was held; an account above a limit admits nothing.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import sqlalchemy as sa
from pydantic import JsonValue, ValidationError

from openclaw.action import utc
from openclaw.budget.account import (
    Balance,
    Reservation,
    balance_of,
    kept_of,
    label_accounts,
    left_of,
    levels,
    limits_of,
    opened,
    opening_of,
    refusal_of,
    reservation_of,
)
from openclaw.budget.amount import UNITS, UTC, Budget, Unit, Usage, Window
from openclaw.budget.rows import NOTHING, Taken, close, current_rows, move
from openclaw.budget.shares import Share, check_priority, owner, room_of, set_priority, shares_of
from openclaw.budget.soft import Use
from openclaw.budget.statements import (
    ACCOUNT,
    BY_KEY,
    CLOSE,
    EXPIRE,
    KNOWN,
    ONE,
    RENEW,
    RENEW_ONE,
    limited_of,
    named,
)
from openclaw.errors import BudgetError, BudgetExceeded
from openclaw.store import Row, Store, Transaction

HOLD_SECONDS = 900
"""How long a reservation holds before it expires, unless it is asked for otherwise."""

CALL_SECONDS = 180
"""How long the hold of a call lasts without a sign of life of its worker, who renews it much more often while it runs."""


Also = Mapping[str, Budget | None]
"""Accounts that a reservation takes from besides those of its path, and the limits of those that are new."""

_NOBODY: Also = MappingProxyType({})

Recorder = Callable[[Transaction, Literal["", "allow", "deny"], dict[str, JsonValue]], object]
"""Writes a movement that was asked of the ledger directly into the log: transaction, effect, body."""

Fit = Callable[[Mapping[Unit, int]], Usage | None]
"""What to hold instead, where no more is left than this of each limited unit; None if nothing less will do."""


class Ledger:
    """The accounts in a store. The methods that take a transaction join it; the others open one per call."""

    def __init__(self, store: Store, *, recorder: Recorder | None = None) -> None:
        self._store = store
        self._recorder = recorder
        self._declared: dict[str, Budget] = {}
        self._priorities: dict[str, int] = {}

    # -- limits --------------------------------------------------------------------------------------------------

    def set_limit(self, account: str, budget: Budget) -> None:
        """Set the limits of an account in the budget's window. Units that the budget leaves out become unlimited there.

        A limit below what is already spent is taken: the account admits nothing until it is raised or starts afresh.
        """
        self._check(account)
        if budget.window == "run":
            raise BudgetError(
                "a budget of each run belongs to no account that is there already",
                hint='declare it: Agent(…, budget=Budget(…, window="run")), or the same of a Workflow',
            )
        self._store.run(lambda transaction: self._set_limit(transaction, account, budget, declared=False))

    def declare(self, budgets: Mapping[str, Budget]) -> None:
        """Set the limits that a program declares, except where ``set_limit`` has set others: operators overrule code.

        What changes is recorded; what is declared again as it was, is not. Budgets of each run are set when the run begins.

        Raises:
            BudgetError: this program has declared another budget for one of these accounts.
        """
        for account, budget in budgets.items():
            self._check(account)
            known = self._declared.get(account, budget)
            if known != budget:
                raise BudgetError(
                    f"`{account}` has two budgets in this program: {known.words}, and {budget.words}",
                    hint="declare one of them, or give what they belong to different names",
                )
        self._declared |= budgets
        lasting = {account: budget for account, budget in budgets.items() if budget.window != "run"}

        def unit(transaction: Transaction) -> None:
            for account, budget in lasting.items():
                self._set_limit(transaction, account, budget, declared=True)

        if lasting:
            self._store.run(unit)

    def declare_once(self, account: str, budget: Budget) -> None:
        """``declare`` unless this program has declared this very budget before: cheap, where that has to be made sure."""
        if self._declared.get(account) is not budget:
            self.declare({account: budget})

    def _set_limit(self, transaction: Transaction, account: str, budget: Budget, *, declared: bool) -> None:
        row = current_rows(transaction, [account], create=[(account, budget.calendar)])[account, budget.calendar]
        if declared and not row["declared"]:
            return
        limits = budget.limits()
        if declared and limits == limits_of(row):
            return  # as it was when the program was last opened
        values = {f"{unit}_limit": limits.get(unit) for unit in UNITS}
        transaction.connection.execute(
            sa.update(ACCOUNT).where(ACCOUNT.c.id == row["id"]).values(**values, declared=declared)
        )
        body: dict[str, JsonValue] = {"account": account, "window": budget.calendar, "limits": {**limits}}
        self._record(transaction, "", {"event": "limit", **body} | ({"declared": True} if declared else {}))

    def set_priority(self, account: str, priority: int) -> None:
        """Give a workflow a priority, by which it has a share of its organisation's limits; 0 takes it away.

        ``openclaw.budget.shares`` has the rule.

        Raises:
            BudgetError: it is no whole number from 0 to 1,000, or the account is not that of a workflow.
        """
        check_priority(account, priority)
        self._store.run(lambda transaction: self._set_priority(transaction, account, priority, declared=False))

    def declare_priority(self, account: str, priority: int) -> None:
        """The same of a priority that a program declares, except where ``set_priority`` has set another.

        Raises:
            BudgetError: as above, or this program has declared another one for this workflow.
        """
        check_priority(account, priority)
        known = self._priorities.setdefault(account, priority)
        if known != priority:
            raise BudgetError(
                f"`{account}` has two priorities in this program: {known}, and {priority}",
                hint="declare one of them, or give the workflows different names",
            )
        self._store.run(lambda transaction: self._set_priority(transaction, account, priority, declared=True))

    def _set_priority(self, transaction: Transaction, account: str, priority: int, *, declared: bool) -> None:
        org = levels(account)[0]
        current_rows(transaction, [org], create=[(org, "total")])
        if set_priority(transaction, account, priority, declared=declared):
            body: dict[str, JsonValue] = {"event": "priority", "account": account, "priority": priority}
            self._record(transaction, "", body | ({"declared": True} if declared else {}))

    # -- movements -----------------------------------------------------------------------------------------------

    def reserve(
        self,
        account: str,
        *,
        key: str = "",
        ttl_seconds: int = HOLD_SECONDS,
        labels: Mapping[str, str] = MappingProxyType({}),
        tokens: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        calls: int = 0,
        microusd: int = 0,
        milliseconds: int = 0,
        mwh: int = 0,
    ) -> Reservation:
        """Hold an amount on the account and on every account above it.

        Args:
            account: path of the lowest account.
            key: idempotency key: the same key gives the same reservation again.
            ttl_seconds: when the hold expires by itself.
            labels: such as ``{"team": "payments"}``: it is held on the organisation's account of each label, too.

        Raises:
            BudgetExceeded: an account of the path cannot carry it; nothing is held.
            BudgetError: an amount is negative or not an integer, or the path is malformed.
        """
        self._check(account)
        also: Also = dict.fromkeys(label_accounts(account, labels)) if labels else _NOBODY
        held = _usage(
            tokens=tokens,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            calls=calls,
            microusd=microusd,
            milliseconds=milliseconds,
            mwh=mwh,
        )

        answer = self._store.run(
            lambda transaction: self.reserve_in(transaction, account, held, key=key, ttl_seconds=ttl_seconds, also=also)
        )
        if isinstance(answer, BudgetExceeded):
            raise answer
        return answer

    def settle(
        self,
        reservation: Reservation,
        *,
        tokens: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        calls: int = 0,
        microusd: int = 0,
        milliseconds: int = 0,
        mwh: int = 0,
    ) -> Reservation:
        """Post what was really used and give back the rest of the hold. Settling again changes nothing.

        Raises:
            BudgetError: the reservation is unknown, or an amount is negative or not an integer.
        """
        used = _usage(
            tokens=tokens,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            calls=calls,
            microusd=microusd,
            milliseconds=milliseconds,
            mwh=mwh,
        )
        return self._close(reservation, used, "settled")

    def release(self, reservation: Reservation) -> Reservation:
        """Give the whole hold back: nothing was used."""
        return self._close(reservation, Usage(), "released")

    def _close(self, reservation: Reservation, used: Usage, state: Literal["settled", "released"]) -> Reservation:
        def unit(transaction: Transaction) -> Reservation | BudgetError:
            try:
                return self._close_in(transaction, reservation, used, state)
            except BudgetError as error:
                return error

        answer = self._store.run(unit)
        if isinstance(answer, BudgetError):
            raise answer
        return answer

    def _close_in(
        self,
        transaction: Transaction,
        reservation: Reservation,
        used: Usage,
        state: Literal["settled", "released"],
        decision: int | None = None,
    ) -> Reservation:
        posted = self.post(transaction, reservation.id, used, state=state, held=reservation.held)
        if posted is not None and self._recorder is not None:
            event = "settle" if state == "settled" else "release"
            body: dict[str, JsonValue] = {"event": event, "reservation": reservation.id, "used": dict(used.present())}
            self._record(transaction, "", body | _link(decision))
        return reservation.model_copy(update={"state": state})

    def reserve_in(
        self,
        transaction: Transaction,
        account: str,
        held: Usage,
        *,
        key: str = "",
        ttl_seconds: int = HOLD_SECONDS,
        fit: Fit | None = None,
        also: Also = _NOBODY,
        decision: int | None = None,
    ) -> Reservation | BudgetExceeded:
        """``reserve`` inside a transaction, recorded by an entry of its own: what ``hold`` leaves to who calls it.

        ``decision`` is the entry of the action that it belongs to, where there is one.
        """
        answer = self.hold(transaction, account, held, key=key, ttl_seconds=ttl_seconds, fit=fit, also=also)
        if self._recorder is None:
            return answer
        body: dict[str, JsonValue] = {"event": "reserve", "account": account, **_link(decision)}
        body |= {"also": [*also]} if also else {}
        if isinstance(answer, BudgetExceeded):
            body |= {"refused": answer.message, "held": dict(held.present())}
            self._record(transaction, "deny", body)
        else:
            body |= {"reservation": answer.id, "held": dict(answer.held.present())}
            self._record(transaction, "allow", body)
        return answer

    def release_in(
        self, transaction: Transaction, reservation: Reservation, *, decision: int | None = None
    ) -> Reservation:
        """``release`` inside a transaction."""
        return self._close_in(transaction, reservation, Usage(), "released", decision)

    def renew(self, transaction: Transaction, worker: str) -> int:
        """Let what the running actions of ``worker`` hold last ``CALL_SECONDS`` from now; how many holds that are."""
        until = transaction.now + dt.timedelta(seconds=CALL_SECONDS)
        return transaction.count(RENEW, {"of_worker": worker, "until": utc(until)})

    def renew_holds(self, transaction: Transaction, reservations: Sequence[str]) -> int:
        """The same of these reservations, which belong to no action of their own: what running calls hold in addition."""
        until = utc(transaction.now + dt.timedelta(seconds=CALL_SECONDS))
        return sum(transaction.count(RENEW_ONE, {"hold": it, "until": until}) for it in reservations)

    def hold(
        self,
        transaction: Transaction,
        account: str,
        held: Usage,
        *,
        key: str = "",
        ttl_seconds: int = HOLD_SECONDS,
        fit: Fit | None = None,
        spare: Usage = NOTHING,
        also: Also = _NOBODY,
    ) -> Reservation | BudgetExceeded:
        """``reserve`` inside a transaction; the refusal is an answer, so that it can be recorded in the same one.

        Where ``held`` is more than the path can carry, what ``fit`` makes of what is left is held instead, if anything.
        ``spare`` must be left besides, and is not held. ``also`` are accounts besides those of the path: of labels, of the run.
        """
        if key and (known := _by_key(transaction, key)) is not None:
            return known
        reservation = Reservation(
            id=self._store.clock.new_id("hold"),
            account=account,
            held=held,
            key=key,
            expires_at=transaction.now + dt.timedelta(seconds=ttl_seconds),
        )
        taken = self._take(transaction, reservation, spare, also)
        if isinstance(taken, BudgetExceeded) and self._expire(transaction):
            taken = self._take(transaction, reservation, spare, also)
        if isinstance(taken, BudgetExceeded) and fit is not None:
            paths = [*levels(account), *also]
            rows = current_rows(transaction, paths, create=())
            left = left_of(rows.values(), transaction.now)
            left |= room_of(shares_of(transaction.rows, rows.values(), account, transaction.now), account, left)
            lesser = fit({unit: amount - spare.amount(unit) for unit, amount in left.items()})
            if lesser is not None:
                reservation = reservation.model_copy(update={"held": lesser})
                taken = self._take(transaction, reservation, spare, also)
        if isinstance(taken, BudgetExceeded):
            return taken
        taken.open(transaction)
        return reservation

    def post(
        self,
        transaction: Transaction,
        reservation_id: str,
        used: Usage,
        *,
        state: Literal["settled", "released"],
        held: Usage | None = None,
    ) -> Usage | None:
        """Close a reservation inside a transaction: post ``used``, return the hold. None if it was closed already.

        A reservation that has expired gave its hold back already; what was used is posted all the same. ``held``: what it holds,
        where that is known.
        """
        if held is not None and close(transaction, reservation_id, used, state=state, held=held):
            return used
        closing = {"hold": reservation_id, "to": state, "used": used.text(), "closed_at": transaction.at}
        for was in ("pending", "expired"):
            for row in transaction.rows(CLOSE, {**closing, "was": was}):
                returned = _held(row) if was == "pending" else Usage()
                move(transaction, json.loads(str(row["accounts"])), pending=returned, sign=-1, posted=used)
                return used
        if not transaction.rows(KNOWN, {"hold": reservation_id}):
            raise BudgetError(f"there is no reservation `{reservation_id}`", hint="reserve before you settle")
        return None

    def settle_held(self, transaction: Transaction, reservation_id: str) -> Usage:
        """Close a reservation whose use nobody knows: all that it holds counts as used. Empty if it was closed already."""
        for row in transaction.rows(ONE, {"hold": reservation_id}):
            return self.post(transaction, reservation_id, _held(row), state="settled") or Usage()
        return Usage()

    def settle_late(self, transaction: Transaction, reservation_id: str, used: Usage) -> None:
        """Post what was used beyond what was posted by ``settle_held``, now that it is known. Nothing is taken back."""
        for row in transaction.rows(ONE, {"hold": reservation_id}):
            posted = Usage.model_validate(json.loads(str(row["used"]) or "{}"))
            more = Usage(**{unit: max(0, used.amount(unit) - posted.amount(unit)) for unit in UNITS})
            if more.present():
                move(transaction, json.loads(str(row["accounts"])), pending=Usage(), sign=1, posted=more)

    def _take(
        self, transaction: Transaction, reservation: Reservation, spare: Usage, also: Also
    ) -> Taken | BudgetExceeded:
        """Add what is held to pending of every account that can carry it and ``spare`` besides; undo all if one cannot.

        One conditional UPDATE, where all accounts are there with their windows open; a second one after they were made so.
        """
        account, held = reservation.account, reservation.held
        paths = [*levels(account), *also]
        whole = Usage(**{unit: held.amount(unit) + spare.amount(unit) for unit in UNITS}) if spare.present() else held
        opening = opening_of(reservation, transaction.at)
        taken = Taken(transaction, paths, whole, opening) if not any(also.values()) else None
        if taken is None or not taken.all_there:
            if taken is not None:
                taken.undo(transaction)
            rows = self._rows_for(transaction, paths, also)
            taken = Taken(transaction, paths, whole, opening)
            if len(taken.ids) < len(rows):
                taken.undo(transaction)
                return refusal_of([row for row in rows.values() if row["id"] not in taken.ids], whole)
        if taken.shared and (refusal := self._share(transaction, account, held, whole, taken)) is not None:
            taken.undo(transaction)
            return refusal
        if spare.present():
            move(transaction, taken.ids, pending=spare, sign=-1, posted=NOTHING)
        return taken

    def _share(
        self, transaction: Transaction, account: str, held: Usage, whole: Usage, taken: Taken
    ) -> BudgetExceeded | None:
        """Judge what was taken by the shares of the organisation, as they were before; why it must be given back, if it must.

        Nobody has changed them since: transactions that write come one after another.
        """
        own, org = owner(account), levels(account)[0]
        rows = current_rows(transaction, [org], create=())
        shares = shares_of(transaction.rows, rows.values(), account, transaction.now, but=(taken.ids, whole))
        if shares is None:
            return None
        taken.make(transaction, own, shares.uncounted(own))
        short = shares.short(account, whole)
        if short is not None:
            row, unit, room, kept = short
            return kept_of(account, row, unit, whole.amount(unit), room, kept)
        shares.take(transaction, account, held)
        return None

    def _rows_for(self, transaction: Transaction, paths: Sequence[str], also: Also) -> dict[tuple[str, str], Row]:
        """The rows of what is taken from, made or rolled over where they must be; with the limits that ``also`` declares."""
        rows = current_rows(transaction, paths, create=[(path, "total") for path in paths])
        for path, budget in also.items():
            row = rows[path, "total"]
            if budget is not None and row["declared"] and limits_of(row) != budget.limits():
                self._set_limit(transaction, path, budget.model_copy(update={"window": "total"}), declared=True)
                rows = current_rows(transaction, paths, create=())
        return rows

    def _expire(self, transaction: Transaction) -> int:
        """Return the holds whose time has come, by the database's clock, and record each; how many there were."""
        due = transaction.rows(EXPIRE, {"now": transaction.at})
        for row in due:
            move(transaction, json.loads(str(row["accounts"])), pending=_held(row), sign=-1, posted=Usage())
            body: dict[str, JsonValue] = {"event": "expire", "reservation": str(row["id"])}
            self._record(transaction, "", {**body, "held": dict(_held(row).present())})
        return len(due)

    # -- reading -------------------------------------------------------------------------------------------------

    def balance(self, account: str, window: Window = "total", zone: str = UTC) -> Balance:
        """The balance of one account; an account that nobody has used yet is empty and unlimited."""
        self._check(account)
        for balance in self.accounts(account):
            if (balance.account, balance.window, balance.zone) == (account, window, zone):
                return balance
        return Balance(
            account=account, window=window, zone=zone, opens_at=None, limits={}, posted=Usage(), pending=Usage()
        )

    def accounts(self, below: str = "") -> list[Balance]:
        """The balances of all accounts in their present windows, or of ``below`` and the accounts under it."""
        query = sa.select(ACCOUNT).where(ACCOUNT.c.current).order_by(ACCOUNT.c.path, ACCOUNT.c.window)
        if below:
            query = query.where(
                sa.or_(ACCOUNT.c.path == below, ACCOUNT.c.path.startswith(f"{below}/", autoescape=True))
            )
        with self._store.read() as connection:
            return [balance_of({**row}) for row in connection.execute(query).mappings()]

    def remaining(self, account: str, also: Also = _NOBODY) -> dict[Unit, int]:
        """What is left of each limited unit: the least over the accounts of the path and ``also``, and their windows.

        For policy inputs. Of an account of ``also`` that nothing was held on yet, all that it will have is left.
        """
        paths = [*levels(account), *also]
        rows, now = self._store.fetch(limited_of(len(paths)), named("path", paths)), self._store.clock.now()
        left = left_of(rows, now)
        there = {row["path"] for row in rows}
        for path, budget in also.items():
            if budget is not None and path not in there:
                left |= {unit: min(limit, left.get(unit, limit)) for unit, limit in budget.limits().items()}
        return left | room_of(shares_of(self._store.fetch, rows, account, now), account, left)

    def shares(self, org: str) -> list[Share]:
        """The shares of the workflows of an organisation, ``org/default``, in its limits; none where no priority is declared."""
        rows, now = self._store.fetch(limited_of(1), named("path", [org])), self._store.clock.now()
        found = shares_of(self._store.fetch, rows, org, now)
        return [] if found is None else found.all()

    def uses(self, account: str, also: Iterable[str] = ()) -> list[Use]:
        """How much is used of each limit on the path and of ``also``, in the present windows; for soft limits."""
        paths = [*levels(account), *also]
        now = self._store.clock.now()
        found: list[Use] = []
        for row in self._store.fetch(limited_of(len(paths)), named("path", paths)):
            balance = balance_of(row)
            fresh = str(row["opens_at"]) < opened(row, now)
            for unit, limit in balance.limits.items():
                used = 0 if fresh else balance.posted.amount(unit) + balance.pending.amount(unit)
                found.append(
                    Use(
                        account=balance.account,
                        window=balance.window,
                        opens_at=balance.opens_at,
                        unit=unit,
                        limit=limit,
                        used=used,
                    )
                )
        return found

    def _record(
        self, transaction: Transaction, effect: Literal["", "allow", "deny"], body: dict[str, JsonValue]
    ) -> None:
        if self._recorder is not None:
            self._recorder(transaction, effect, body)

    @staticmethod
    def _check(account: str) -> None:
        levels(account)


def _held(row: Row) -> Usage:
    return Usage.model_validate_json(str(row["held"]))


def _by_key(transaction: Transaction, key: str) -> Reservation | None:
    return next((reservation_of(row) for row in transaction.rows(BY_KEY, {"key": key})), None)


def _link(decision: int | None) -> dict[str, JsonValue]:
    return {} if decision is None else {"decision": decision}


def _usage(**amounts: int) -> Usage:
    try:
        return Usage(**amounts)
    except ValidationError as error:
        first = error.errors()[0]
        raise BudgetError(f"`{first['loc'][0]}` is not an amount: {first['msg']}") from error
