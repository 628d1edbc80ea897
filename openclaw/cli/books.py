"""Opening a store for review: for reading only unless a command must write, and never made by looking at it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import typer
from pydantic import JsonValue

from openclaw.approvals import Approval, Approvals
from openclaw.audit import AuditLog, Draft, Signer
from openclaw.budget import Ledger
from openclaw.cli.options import store_url
from openclaw.clock import Clock
from openclaw.errors import AuditError
from openclaw.gate import give_answer
from openclaw.governance import key_files
from openclaw.store import Store, Transaction

CLOCK: Clock | None = None
"""The clock of opened stores; None means the database's. Tests hold it still."""


@dataclass(frozen=True, slots=True)
class Books:
    """What a reviewer looks into. ``answer`` works where the store was opened for writing."""

    store: Store
    log: AuditLog
    ledger: Ledger
    approvals: Approvals

    def answer(self, question: str, *, by: str, approve: bool, reason: str) -> Approval:
        """Answer a question and record who did, as the gate does it."""
        return give_answer(self.store, self.log, self.approvals, question, by=by, approve=approve, reason=reason)


@contextlib.contextmanager
def opened(
    context: typer.Context, told: str | None, *, write: bool = False, key: Path | None = None, signs: bool = False
) -> Generator[Books]:
    """Open the store that the command line means, for one command.

    Args:
        context: of the command.
        told: the command's own ``--store``.
        write: the command changes something.
        key: the command's own ``--key``.
        signs: the command signs, or checks signatures: the log's key must be there.

    Raises:
        StoreError: there is no database at that place, or it is not ours.
        AuditError: the key is needed and not there.
    """
    store = Store.open(store_url(context, told), clock=CLOCK, create=False, readonly=not write)
    try:
        secret, outside = key_files(store, key)
        log = AuditLog(store, _signer(store, secret, needed=signs), outside=outside)

        def record(transaction: Transaction, effect: str, body: dict[str, JsonValue]) -> None:
            log.record(transaction, Draft.model_validate({"kind": "reservation", "effect": effect, "body": body}))

        yield Books(store, log, Ledger(store, recorder=record), Approvals(store))
    finally:
        store.close()


def _signer(store: Store, secret: Path, *, needed: bool) -> Signer:
    if secret.is_file():
        try:
            return Signer.load(secret, store.origin)
        except AuditError:
            if needed:
                raise
    elif needed:
        raise AuditError(
            f"the signing key of this log is not at `{secret}`", hint="name its file with --key or OPENCLAW_KEY"
        )
    # Nothing is signed or checked with it: the command only reads entries, or writes some that need no key.
    return Signer(store.origin, os.urandom(32))
