"""Opening a store for review: for reading only unless a command must write, and never made by looking at it."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from pydantic import JsonValue

from openclaw.answers import Answers
from openclaw.approvals import Approvals
from openclaw.approvers import Approvers
from openclaw.audit import AuditLog, Draft, SigningKey, key_files, open_key, open_places
from openclaw.budget import Ledger
from openclaw.budget.amount import UTC, zone_of
from openclaw.cli.options import store_url
from openclaw.clock import Clock
from openclaw.errors import AuditError, StoreError
from openclaw.exceptions import Exceptions
from openclaw.halts import Halts
from openclaw.review.replay import moment_since
from openclaw.store import Store, Transaction

CLOCK: Clock | None = None
"""The clock of opened stores; None means the database's. Tests hold it still."""


@dataclass(frozen=True, slots=True)
class Books:
    """What a reviewer looks into. ``answers`` are given where the store was opened for writing."""

    store: Store
    log: AuditLog
    ledger: Ledger
    approvals: Approvals
    approvers: Approvers
    answers: Answers
    exceptions: Exceptions
    halts: Halts

    def moment(self, told: str | None, zone: str = UTC) -> dt.datetime | None:
        """The moment that is meant by a span before now or a time (see ``moment_since``); None where nothing was said."""
        return moment_since(told, self.store.clock.now(), zone_of(zone)) if told else None


@contextlib.contextmanager
def opened(
    context: typer.Context,
    told: str | None,
    *,
    write: bool = False,
    key: str | None = None,
    signs: bool | None = False,
    compares: bool = False,
    places: Sequence[str] | None = None,
) -> Generator[Books]:
    """Open the store that the command line means, for one command.

    Args:
        context: of the command.
        told: the command's own ``--store``.
        write: the command changes something.
        key: the command's own ``--key``.
        signs: the command signs, or checks signatures: the log's key must be there. None where it signs if the key is there.
        compares: the command compares the log with the places outside.
        places: the command's own ``--checkpoints``; None where it has none or none was said.

    Raises:
        StoreError: there is no database at that place, or it is not ours.
        AuditError: the key is needed and not there.
    """
    with _says_that_it_writes() if write else contextlib.nullcontext():
        yield from _books(context, told, write=write, key=key, signs=signs, compares=compares, places=places)


def cannot_be_written(error: StoreError) -> bool:
    """Whether a database was not written because this person may not."""
    return _UNWRITABLE.search(error.message) is not None


@contextlib.contextmanager
def _says_that_it_writes() -> Generator[None]:
    """A reviewer may have no write access: then it is said that this command needs it, and not only what the driver says."""
    try:
        yield
    except StoreError as error:
        if not cannot_be_written(error):
            raise
        raise StoreError(f"this command writes, and {error.message}", hint=error.hint) from error


_UNWRITABLE = re.compile(r"readonly|read-only|permission denied", re.IGNORECASE)


def _books(
    context: typer.Context,
    told: str | None,
    *,
    write: bool,
    key: str | None,
    signs: bool | None,
    compares: bool,
    places: Sequence[str] | None,
) -> Generator[Books]:
    store = Store.open(store_url(context, told), clock=CLOCK, create=False, readonly=not write)
    try:
        outside = open_places(store, places, key=key) if signs or compares or write else ()
        if signs is None:  # one that is there and no good is not passed over
            signs = key is not None or os.path.exists(key_files(store)[0])  # noqa: PTH110 - in a folder that is closed to us
        log = AuditLog(store, _signer(store, key, needed=signs), outside=outside)

        def record(transaction: Transaction, effect: str, body: dict[str, JsonValue]) -> None:
            log.record(transaction, Draft.model_validate({"kind": "reservation", "effect": effect, "body": body}))

        try:
            approvals, approvers = Approvals(store), Approvers(store, log)
            yield Books(
                store=store,
                log=log,
                ledger=Ledger(store, recorder=record),
                approvals=approvals,
                approvers=approvers,
                answers=Answers(store, log, approvals, approvers),
                exceptions=Exceptions(store, log, approvers),
                halts=Halts(store, log),
            )
        finally:
            log.close()
    finally:
        store.close()


def beside_the_key(store: Store, name: str) -> Path:
    """The file of an export's cursor that has only a name."""
    secret, _ = key_files(store)
    return secret.with_name(f"{secret.stem}.{name}.cursor")


def _signer(store: Store, key: str | None, *, needed: bool) -> SigningKey | None:
    """The log's key; None where it cannot be had and the command needs none: nothing is signed then, by no other key."""
    try:
        return open_key(store, key)
    except AuditError:
        if needed:
            raise
        return None
