"""Opening a store for review: for reading only unless a command must write, and never made by looking at it."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
import re
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from pydantic import JsonValue

from openclaw.cli.options import store_url
from openclaw.clock import Clock
from openclaw.errors import AuditError, StoreError
from openclaw.review.period import moment_since
from openclaw.store import Store, Transaction

if TYPE_CHECKING:
    from openclaw.answers import Answers
    from openclaw.approvals import Approvals
    from openclaw.approvers import Approvers
    from openclaw.audit import AuditLog, SigningKey
    from openclaw.budget import Ledger
    from openclaw.exceptions import Exceptions
    from openclaw.halts import Halts

CLOCK: Clock | None = None
"""The clock of opened stores; None means the database's. Tests hold it still."""


class Books:
    """What a reviewer looks into. Each part is there, and imported, when it is looked for.

    ``answers`` are given where the store was opened for writing.
    """

    def __init__(self, store: Store, log: Callable[[], AuditLog]) -> None:
        self.store = store
        self._open_log = log
        self._log: AuditLog | None = None

    @property
    def log(self) -> AuditLog:
        """The log, which is closed with the books."""
        if self._log is None:
            self._log = self._open_log()
        return self._log

    @functools.cached_property
    def approvals(self) -> Approvals:
        """The questions to people."""
        from openclaw.approvals import Approvals

        return Approvals(self.store)

    @functools.cached_property
    def approvers(self) -> Approvers:
        """The people who are enrolled."""
        from openclaw.approvers import Approvers

        return Approvers(self.store, self.log)

    @functools.cached_property
    def answers(self) -> Answers:
        """Answering the questions."""
        from openclaw.answers import Answers

        return Answers(self.store, self.log, self.approvals, self.approvers)

    @functools.cached_property
    def exceptions(self) -> Exceptions:
        """Break-glass: what a person has lifted for a time."""
        from openclaw.exceptions import Exceptions

        return Exceptions(self.store, self.log, self.approvers)

    @functools.cached_property
    def halts(self) -> Halts:
        """What is halted."""
        from openclaw.halts import Halts

        return Halts(self.store, self.log)

    @functools.cached_property
    def ledger(self) -> Ledger:
        """The budgets, whose changes are recorded in the log."""
        from openclaw.audit import Draft
        from openclaw.budget import Ledger

        def record(transaction: Transaction, effect: str, body: dict[str, JsonValue]) -> None:
            self.log.record(transaction, Draft.model_validate({"kind": "reservation", "effect": effect, "body": body}))

        return Ledger(self.store, recorder=record)

    def moment(self, told: str | None, zone: dt.tzinfo = dt.UTC) -> dt.datetime | None:
        """The moment that is meant by a span before now or a time (see ``moment_since``); None where nothing was said."""
        return moment_since(told, self.store.clock.now(), zone) if told else None

    def close(self) -> None:
        """Close the log, if anybody has looked for it; the store stays open."""
        if self._log is not None:
            self._log.close()


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
        books = Books(
            store, lambda: _log(store, key=key, signs=signs, outside=signs or compares or write, places=places)
        )
        try:
            if signs is not False or compares or write:
                _ = books.log  # what is wrong with its key or its places is said before anything is done
            yield books
        finally:
            books.close()
    finally:
        store.close()


def _log(
    store: Store, *, key: str | None, signs: bool | None, outside: bool | None, places: Sequence[str] | None
) -> AuditLog:
    from openclaw.audit import AuditLog, key_files, open_places

    found = open_places(store, places, key=key) if outside else ()
    if signs is None:  # one that is there and no good is not passed over
        signs = key is not None or os.path.exists(key_files(store)[0])  # noqa: PTH110 - in a folder that is closed to us
    return AuditLog(store, _signer(store, key, needed=signs), outside=found)


def beside_the_key(store: Store, name: str) -> Path:
    """The file of an export's cursor that has only a name."""
    from openclaw.audit import key_files

    secret, _ = key_files(store)
    return secret.with_name(f"{secret.stem}.{name}.cursor")


def _signer(store: Store, key: str | None, *, needed: bool) -> SigningKey | None:
    """The log's key; None where it cannot be had and the command needs none: nothing is signed then, by no other key."""
    from openclaw.audit import open_key

    try:
        return open_key(store, key)
    except AuditError:
        if needed:
            raise
        return None
