"""The people who may answer: by name, with their roles, and with what proves that it is they who answer.

A person proves it by a signature (Ed25519) over the statement that they make, or by a token of which the store keeps the digest.
A statement is signed as a C2SP note, so that anybody who has the public key can check it offline:

    openclaw answer v1
    <origin of the log>
    <question>
    <digest of its arguments>
    <digest of the changed arguments, or ->
    approved | rejected
    <by>
    <when the question expires>

    — <name of the key> <signature>

Whoever has a key or a token answers with it, always: a name alone is not taken from them. Changes of this list are entries of
the log, of kind ``approval``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, JsonValue, field_validator

from openclaw.audit import AuditLog, Draft, SigningKey
from openclaw.audit.note import Verifier, open_note, signature_line
from openclaw.errors import ApprovalError, AuditError, ConfigurationError, VerificationError
from openclaw.quorum import Voice, person
from openclaw.store import Row, Statement, Store, Transaction
from openclaw.store.tables import ApproverRow, Table

Act = Literal["answer", "exception", "review"]
"""What somebody states, and proves that it is they who state it."""

_DOES: Mapping[Act, str] = {"answer": "answers", "exception": "opens it", "review": "reviews it"}
_TOKEN_MARK = "oct-"  # noqa: S105 - how a token begins, not one
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_APPROVER: sa.Table = Table.metadata.tables[str(ApproverRow.__tablename__)]


class Approver(BaseModel):
    """A person who may answer.

    Args:
        name: as they answer, and as the log names them. ``user:eva`` and ``eva`` are one person.
        roles: what they may agree for.
        key: their public key, ``name+id+base64`` (a C2SP vkey).
        token: the digest of their token, ``sha256:…`` (``new_token`` makes both).

    Raises:
        ConfigurationError: one of these is malformed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    roles: tuple[str, ...] = ()
    key: str = ""
    token: str = ""

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _NAME.fullmatch(name) or not person(name):
            raise ConfigurationError(f"`{name}` cannot name an approver", hint="use 1 to 200 printable characters")
        return name

    @field_validator("roles")
    @classmethod
    def _in_order(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_NAME.fullmatch(role) for role in roles):
            raise ConfigurationError("a role is named by 1 to 200 printable characters", hint="leave empty roles out")
        return tuple(sorted(set(roles)))

    @field_validator("key")
    @classmethod
    def _readable(cls, key: str) -> str:
        try:
            return str(Verifier.parse(key)) if key else ""
        except AuditError as error:
            raise ConfigurationError(error.message, hint=error.hint) from error

    @field_validator("token")
    @classmethod
    def _digested(cls, token: str) -> str:
        if token and not _DIGEST.fullmatch(token):
            raise ConfigurationError(
                "an approver's token is kept by its digest", hint="give what `new_token` returned second"
            )
        return token

    @property
    def proves(self) -> bool:
        """Whether there is anything to prove who they are."""
        return bool(self.key or self.token)


class Approvers:
    """The people who may answer, as they stand in a store. Those that a program declares stand above the store's in it.

    Methods that take a transaction join it.
    """

    def __init__(self, store: Store, log: AuditLog) -> None:
        self._store = store
        self._log = log
        self._declared: dict[str, Approver] = {}

    def list(self) -> list[Approver]:
        """Everybody who is enrolled, by name."""
        return sorted(map(_approver, self._store.fetch(_ALL, {})), key=lambda found: found.name)

    def find(self, name: str, transaction: Transaction | None = None) -> Approver | None:
        """Who is meant by a name; None where nobody of that name is enrolled."""
        declared = self._declared.get(person(name))
        if declared is not None:
            return declared
        known = {"of": person(name)}
        rows = self._store.fetch(_ONE, known) if transaction is None else transaction.rows(_ONE, known)
        return _approver(rows[0]) if rows else None

    def declare(self, approvers: Sequence[Approver]) -> None:
        """Enrol those that a program names; what changes is recorded.

        Raises:
            ConfigurationError: two of them are one person.
        """
        named = {person(approver.name): approver for approver in approvers}
        if len(named) < len(approvers):
            raise ConfigurationError("two approvers have one name", hint="name each person once")
        self._declared = named
        for approver in approvers:
            self.enroll(approver, by="")

    def enroll(self, approver: Approver, *, by: str) -> None:
        """Enrol a person, or change what is known of them; ``by`` whom, empty for the program itself. No change, no entry.

        Raises:
            AuditError: the log's key is needed to record it and is not here.
        """

        def unit(transaction: Transaction) -> None:
            rows = transaction.rows(_ONE, {"of": person(approver.name)})
            if rows and _approver(rows[0]) == approver:
                return
            event = "changed" if rows else "enrolled"
            seq = self._record(transaction, event, approver, by)
            transaction.count(_DELETE, {"of": person(approver.name)})
            row = {**approver.model_dump(), "roles": json.dumps(approver.roles), "person": person(approver.name)}
            transaction.count(_ADD, {**row, "seq": seq})

        self._store.run(unit)

    def withdraw(self, name: str, *, by: str) -> Approver:
        """Take a person off the list: what they have proved and nobody has acted on yet counts no more.

        Raises:
            ApprovalError: nobody of that name is enrolled.
        """

        def unit(transaction: Transaction) -> Approver | None:
            rows = transaction.rows(_ONE, {"of": person(name)})
            if not rows:
                return None
            self._record(transaction, "withdrawn", _approver(rows[0]), by)
            transaction.count(_DELETE, {"of": person(name)})
            return _approver(rows[0])

        found = self._store.run(unit)
        if found is None:
            raise ApprovalError(f"nobody named `{name}` is enrolled", hint="see `openclaw approvals approvers`")
        return found

    # -- proofs --------------------------------------------------------------------------------------------------

    def voice(self, by: str, statement: str, proof: str, transaction: Transaction | None = None) -> Voice | None:
        """What an answer that was given before is worth now, with the roles and the keys of this moment; None for nothing.

        Args:
            by: who gave it.
            statement: what they must have signed.
            proof: what was kept of it: a signed note, the digest of a token, or nothing.
            transaction: looks there, where one is under way.
        """
        found = self.find(by, transaction)
        if found is None:
            return None if proof else Voice(by)
        proved = bool(proof) and (proof == found.token or not _fault(found, statement, proof))
        if (proof or found.proves) and not proved:
            return None  # Their key or token is another one since: nobody knows any more whether it was they.
        return Voice(by, frozenset(found.roles), proved)

    def recorded(
        self, voice: Voice, by: str, proof: str, transaction: Transaction | None = None
    ) -> dict[str, JsonValue]:
        """What an entry says of whoever has proved to be ``by``: their roles, how, and what stands to be compared later."""
        said: dict[str, JsonValue] = {"roles": [*sorted(voice.roles)]} if voice.roles else {}
        proved = how_proved(proof)
        if proved:
            said["proof"] = proved
        if proved == "signature":
            known = self.find(by, transaction)
            if known is None:  # Withdrawn since the check, where no transaction holds both.
                raise ApprovalError(f"`{by}` is not enrolled any more", hint="see `openclaw approvals approvers`")
            said |= {"signed": proof, "key": known.key}
        return said

    def prove(
        self,
        by: str,
        statement: str,
        *,
        signed: str,
        token: str,
        needed: bool,
        transaction: Transaction | None = None,
        act: Act = "answer",
    ) -> tuple[Voice, str]:
        """Check what is given as proof with an answer, or with another act; whose it is, and what to keep of the proof.

        Raises:
            ApprovalError: it proves nothing, or is missing and ``needed``, or this person always gives one.
        """
        found = self.find(by, transaction)
        if found is None:
            if needed or signed or token:
                raise ApprovalError(
                    f"`{by}` is not enrolled, so nothing proves who {_DOES[act]}",
                    hint="see `openclaw approvals enroll`",
                )
            return Voice(by), ""
        roles = frozenset(found.roles)
        if signed:
            fault = _fault(found, statement, signed, act)
            if fault:
                raise ApprovalError(fault, hint=f"sign the statement of this very {act} with the enrolled key")
            return Voice(by, roles, authenticated=True), signed
        if token:
            if not found.token or not hmac.compare_digest(token_digest(token), found.token):
                raise ApprovalError(f"the token is not that of `{by}`", hint="use the one that was given at enrolment")
            return Voice(by, roles, authenticated=True), found.token
        if found.proves or needed:
            how = " or ".join(filter(None, (found.key and "`--sign-with FILE`", found.token and "a token")))
            raise ApprovalError(
                f"{'a' if act == 'review' else 'an'} {act} of `{by}` must be authenticated, and this one is not",
                hint=f"give {how}" if how else "enrol them with a key or a token",
            )
        return Voice(by, roles), ""

    def _record(self, transaction: Transaction, event: str, approver: Approver, by: str) -> int:
        body = {"event": event, "approver": approver.name, "roles": [*approver.roles], "key": approver.key}
        body |= {"token": approver.token, "by": by or "program"}
        return self._log.record(transaction, Draft.model_validate({"kind": "approval", "body": body}))


def statement(origin: str, *, question: str, digest: str, changed: str, approve: bool, by: str, expires_at: str) -> str:
    """What an answer states: the text that is signed."""
    verdict = "approved" if approve else "rejected"
    return "\n".join(["openclaw answer v1", origin, question, digest, changed or "-", verdict, by, expires_at, ""])


def sign(text: str, key: SigningKey) -> str:
    """A statement as a signed note."""
    return f"{text}\n{signature_line(key.verifier, key.sign(text.encode()))}"


def check_signed(note: str, key: str) -> str:
    """The statement in a signed note, checked offline with a public key.

    Raises:
        VerificationError: that key has not signed it.
        AuditError: the public key cannot be read.
    """
    try:
        return open_note(note, Verifier.parse(key))
    except VerificationError as error:
        raise VerificationError("the answer is not signed with this key, or has been changed since") from error


def how_proved(proof: str) -> Literal["", "token", "signature"]:
    """In a word, what an answer was proved by."""
    if not proof:
        return ""
    return "token" if _DIGEST.fullmatch(proof) else "signature"


def new_token() -> tuple[str, str]:
    """A token for a person, and the digest that is kept of it: 256 random bits, so that a plain digest tells nothing."""
    secret = Ed25519PrivateKey.generate().private_bytes_raw()  # where randomness for keys comes from
    token = _TOKEN_MARK + base64.urlsafe_b64encode(secret).decode().rstrip("=")
    return token, token_digest(token)


def token_digest(token: str) -> str:
    """The digest that is kept of a token."""
    return f"sha256:{hashlib.sha256(token.strip().encode()).hexdigest()}"


def _fault(approver: Approver, said: str, note: str, act: Act = "answer") -> str:
    """Why a note does not prove that this person has stated this; empty where it does."""
    if not approver.key:
        return f"`{approver.name}` has no key, so nothing can be signed in that name"
    try:
        signed = open_note(note, Verifier.parse(approver.key))
    except VerificationError:
        return f"the {act} is not signed by the key of `{approver.name}`"
    return "" if signed == said else f"what `{approver.name}` has signed is another statement than this {act}"


def _approver(row: Row) -> Approver:
    roles: Iterable[str] = json.loads(str(row["roles"]))
    return Approver(
        name=str(row["name"]), roles=tuple(roles), key=cast("str", row["key"]), token=cast("str", row["token"])
    )


_COLUMNS = (_APPROVER.c.name, _APPROVER.c.roles, _APPROVER.c.key, _APPROVER.c.token)
_ALL = Statement(sa.select(*_COLUMNS))
_ONE = Statement(sa.select(*_COLUMNS).where(_APPROVER.c.person == sa.bindparam("of")))
_ADD = Statement(sa.insert(_APPROVER))
_DELETE = Statement(sa.delete(_APPROVER).where(_APPROVER.c.person == sa.bindparam("of")))


__all__ = ["Approver", "Approvers", "check_signed", "how_proved", "new_token", "sign", "statement", "token_digest"]
