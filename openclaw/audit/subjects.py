"""One data key for each person whose values are sealed: destroying it makes all of them unreadable, and no proof untrue.

A policy says whose a value is: ``{"kind": "mask", "fields": ["args.iban"], "subject": "principal.on_behalf_of"}``. The
value is then stored as

    {"$sealed": {"subject": "hmac-sha256:…", "key": "…", "nonce": base64, "ciphertext": base64, "digest": "hmac-sha256:…"}}

AES-256-GCM over its canonical bytes, under the data key that ``key`` names. ``digest`` is keyed by that data key too: once
the key is gone, nobody can try values against it any more. Data keys are random, and stored wrapped (AES-256-GCM) under a
secret that is derived from the log's signing key.
"""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy import Connection

from openclaw.audit.cipher import NONCE_BYTES, new_key, seal, unseal
from openclaw.audit.mask import SEALED, keyed_digest
from openclaw.encoding import encode
from openclaw.errors import AuditError
from openclaw.store import Statement, Transaction
from openclaw.store.tables import SubjectRow, Table

_SUBJECT: sa.Table = Table.metadata.tables[str(SubjectRow.__tablename__)]
_FIND = Statement(sa.select(_SUBJECT.c.key, _SUBJECT.c.wrapped).where(_SUBJECT.c.subject == sa.bindparam("of_subject")))
_ADD = Statement(sa.insert(_SUBJECT))
_REMOVE = Statement(sa.delete(_SUBJECT).where(_SUBJECT.c.subject == sa.bindparam("of_subject")))


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """The data key of one person. ``subject`` is the keyed digest of who it is, ``name`` tells this key from a later one."""

    subject: str
    name: str
    data_key: bytes

    def seal(self, value: JsonValue) -> JsonValue:
        """The ``$sealed`` form of a value."""
        sealed = seal(self.data_key, encode(value), self.name)
        return {
            SEALED: {
                "subject": self.subject,
                "key": self.name,
                "nonce": base64.b64encode(sealed[:NONCE_BYTES]).decode(),
                "ciphertext": base64.b64encode(sealed[NONCE_BYTES:]).decode(),
                "digest": self.digest(value),
            }
        }

    def open(self, form: JsonValue) -> JsonValue:
        """The value in a ``$sealed`` form of this key.

        Raises:
            AuditError: it is malformed, or was changed.
        """
        try:
            fields = cast("dict[str, dict[str, str]]", form)[SEALED]
            sealed = base64.b64decode(fields["nonce"], validate=True)
            sealed += base64.b64decode(fields["ciphertext"], validate=True)
        except (KeyError, TypeError, ValueError) as error:
            raise AuditError(f"a sealed value is malformed: {error}") from error
        return cast("JsonValue", json.loads(unseal(self.data_key, sealed, self.name)))

    def digest(self, value: JsonValue) -> str:
        """The digest of a value as it stands in its ``$sealed`` form."""
        return keyed_digest(value, hmac.digest(self.data_key, b"openclaw digest v1", "sha256"))


class Subjects:
    """The data keys in a store, wrapped under ``wrapping``. ``naming`` keys the digests of who the persons are."""

    def __init__(self, *, wrapping: bytes, naming: bytes) -> None:
        self._wrapping = wrapping
        self._naming = naming

    def subject(self, who: str) -> str:
        """The keyed digest of a person, as it stands in the log."""
        return keyed_digest(who, self._naming)

    def key(self, transaction: Transaction, who: str) -> SubjectKey:
        """The data key of a person; made in ``transaction`` where there is none, durable with what it seals.

        Raises:
            AuditError: it was wrapped under another signing key.
        """
        subject = self.subject(who)
        for row in transaction.rows(_FIND, {"of_subject": subject}):
            return self._unwrap(subject, str(row["key"]), bytes(cast("bytes", row["wrapped"])))
        key = SubjectKey(subject, new_key()[:8].hex(), new_key())
        wrapped = seal(self._wrapping, key.data_key, f"{subject} {key.name}")
        made = {"subject": subject, "key": key.name, "wrapped": wrapped, "made_at": transaction.at}
        transaction.count(_ADD, made)
        return key

    def keys(self, connection: Connection) -> dict[str, SubjectKey]:
        """All data keys that are left, by name.

        Raises:
            AuditError: they were wrapped under another signing key.
        """
        rows = connection.execute(sa.select(_SUBJECT)).all()
        return {str(row.key): self._unwrap(row.subject, row.key, bytes(row.wrapped)) for row in rows}

    def remove(self, transaction: Transaction, who: str) -> str | None:
        """Take a data key out of the store; its name, or None where there is none."""
        subject = self.subject(who)
        found = transaction.rows(_FIND, {"of_subject": subject})
        if not found:
            return None
        transaction.count(_REMOVE, {"of_subject": subject})
        return str(found[0]["key"])

    def _unwrap(self, subject: str, name: str, wrapped: bytes) -> SubjectKey:
        return SubjectKey(subject, name, unseal(self._wrapping, wrapped, f"{subject} {name}"))


__all__ = ["SubjectKey", "Subjects"]
