"""The secrets of a log, and what is done with them: digests, data keys of persons, and results that are kept for a while.

All of them derive from the signing key. Whoever holds that key and the database can read what is sealed, and try values
against digests; whoever holds the database alone can do neither.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy import Connection

from openclaw.action import utc
from openclaw.audit.cipher import seal, unseal
from openclaw.audit.keys import SigningKey
from openclaw.audit.mask import SEALED, hides, keyed_digest
from openclaw.audit.subjects import SubjectKey, Subjects
from openclaw.audit.veil import Seal, Veil
from openclaw.errors import AuditError
from openclaw.store import Statement, Transaction
from openclaw.store.tables import ActionRow, Table

KEEP_SECONDS = 7 * 24 * 3600
"""How long a result is kept for a node that runs again: as long as a question waits for its answer."""

SWEEP_SECONDS = 600
_SWEEP_EVERY = dt.timedelta(seconds=SWEEP_SECONDS)

_ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]
_SWEEP = Statement(
    sa.update(_ACTION)
    .where(_ACTION.c.kept_until != sa.bindparam("nothing"), _ACTION.c.kept_until < sa.bindparam("over"))
    .values(result=sa.bindparam("empty"), kept_until=sa.bindparam("none"))
)


class Privacy:
    """What a log hides, and the keys to it. Made from the log's signer; safe to use from many threads."""

    def __init__(self, signer: SigningKey) -> None:
        self._mask_key = signer.secret("openclaw mask v1")
        self._kept_key = signer.secret("openclaw kept v1")
        self._label_key = signer.secret("openclaw label v1")
        self._subjects = Subjects(wrapping=signer.secret("openclaw subjects v1"), naming=self._mask_key)
        self._swept: dt.datetime | None = None

    # -- hiding --------------------------------------------------------------------------------------------------

    def veil(
        self,
        transaction: Transaction,
        document: Mapping[str, JsonValue],
        *,
        fields: Sequence[str] = (),
        seals: Sequence[Seal] = (),
    ) -> Veil:
        """The veil over one action: see ``openclaw.audit.veil``. Data keys that it needs are made in ``transaction``.

        Args:
            transaction: the one that writes the entry.
            document: the policy input.
            fields: the paths to mask.
            seals: the fields to seal, and whose they are.

        Raises:
            AuditError: a data key was wrapped under another signing key.
        """
        found: list[tuple[Seal, str, SubjectKey] | tuple[Seal, None, None]] = []
        for each in seals:
            who = each.who(document)
            found.append((each, who, self._subjects.key(transaction, who)) if who else (each, None, None))
        return Veil(document, key=self._mask_key, fields=fields, seals=found)

    def text(self, text: str) -> str:
        """A text of a person or a program, as it may be stored."""
        return Veil({}, key=self._mask_key).text(text)

    def keyed(self, value: JsonValue) -> str:
        """The keyed digest of a value."""
        return keyed_digest(value, self._mask_key)

    # -- labels of values that are kept elsewhere -------------------------------------------------------------

    def seal_label(self, label: bytes, about: str) -> bytes:
        """A label that nobody else can make, bound to what it is about."""
        return seal(self._label_key, label, about)

    def open_label(self, sealed: bytes, about: str) -> bytes:
        """The label that ``seal_label`` sealed.

        Raises:
            AuditError: it was made for something else, under another key, or by somebody else.
        """
        return unseal(self._label_key, sealed, about)

    # -- results that are kept for a node that runs again --------------------------------------------------------

    def keep(self, seq: int, result: bytes) -> bytes:
        """A result as it may be stored beside decision ``seq``; nothing stays nothing."""
        return seal(self._kept_key, result, f"entry {seq}") if result else b""

    def kept(self, seq: int, stored: bytes) -> bytes:
        """The result that ``keep`` sealed; empty where it is not kept any more.

        Raises:
            AuditError: the log has another signing key now.
        """
        return unseal(self._kept_key, stored, f"entry {seq}") if stored else b""

    def keep_until(self, now: dt.datetime) -> str:
        """When a result that is kept from ``now`` on is deleted."""
        return utc(now + dt.timedelta(seconds=KEEP_SECONDS))

    def sweep(self, transaction: Transaction) -> None:
        """The hook before each commit: now and then, delete the results whose time is over."""
        if self._swept is not None and transaction.now - self._swept < _SWEEP_EVERY:
            return
        self._swept = transaction.now
        transaction.count(_SWEEP, {"nothing": "", "over": transaction.at, "empty": b"", "none": ""})

    # -- persons -------------------------------------------------------------------------------------------------

    def subject(self, who: str) -> str:
        """The keyed digest under which a person stands in the log."""
        return self._subjects.subject(who)

    def destroy_key(self, transaction: Transaction, who: str) -> tuple[str, str]:
        """Take a person's data key out of the store; the digest of the person, and the name of the key.

        Raises:
            AuditError: nothing is sealed for that person.
        """
        key = self._subjects.remove(transaction, who)
        if key is None:
            raise AuditError(
                f"nothing is sealed for `{who}`",
                hint="only values under a `mask` with that `subject` are, and each person is forgotten once",
            )
        return self._subjects.subject(who), key

    def keys(self, connection: Connection) -> dict[str, SubjectKey]:
        """The data keys that are left, by name.

        Raises:
            AuditError: they were wrapped under another signing key.
        """
        return self._subjects.keys(connection)

    def reveal(self, value: JsonValue, keys: Mapping[str, SubjectKey]) -> JsonValue:
        """A stored value with what is sealed in it in the clear again, where its key is left.

        Raises:
            AuditError: a sealed value was changed.
        """
        if isinstance(value, list):
            return [self.reveal(item, keys) for item in value]
        if not isinstance(value, dict):
            return value
        sealed = value.get(SEALED)
        if value.keys() == {SEALED} and isinstance(sealed, dict):
            key = keys.get(str(sealed.get("key")))
            return value if key is None else key.open(value)
        return {name: self.reveal(item, keys) for name, item in value.items()}


def text_without_key(text: str) -> str:
    """``Privacy.text`` of a log whose key is not here: a text in which nothing must be hidden needs none.

    Raises:
        AuditError: something in it must be.
    """
    stored = Veil({}, key=b"").text(text)
    if hides(stored):
        raise AuditError(
            "this text holds what looks like a secret, and nothing can be masked without the key of the log",
            hint="leave it out, or name the key: OPENCLAW_KEY",
        )
    return stored


__all__ = ["KEEP_SECONDS", "Privacy"]
