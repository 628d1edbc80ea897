"""Signs checkpoints: into the log, and then into the places outside the database.

A key of our own signs inside the commit that makes a checkpoint due, which takes microseconds. A key service signs in a
thread of its own, between two commits: however long it takes, no writer waits for it.

INVARIANT: only the log's present key signs. A process that still holds a key that was rotated away reads the new one, or
signs nothing and says so.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import sqlalchemy as sa
from pydantic import JsonValue

from openclaw.audit.entry import Draft, moment
from openclaw.audit.keeper import Keeper
from openclaw.audit.keys import SigningKey, sign_checkpoint
from openclaw.audit.merkle import Edge
from openclaw.audit.note import Checkpoint, read_checkpoint
from openclaw.audit.rotation import Rotation, open_rotation, sign_rotation
from openclaw.audit.rows import ENTRY, IS_CHECKPOINT, read_head
from openclaw.errors import AuditError, OpenClawError, VerificationError
from openclaw.store import Statement, Store, Transaction

ROTATION_TRIES = 5

Record = Callable[[Transaction, Draft], int]

_LAST_CHECKPOINT = Statement(
    sa.select(ENTRY.c.seq, ENTRY.c.at, ENTRY.c.body).where(IS_CHECKPOINT).order_by(ENTRY.c.seq.desc()).limit(1)
)
_LAST_SEQ = sa.select(sa.func.max(ENTRY.c.seq)).where(IS_CHECKPOINT)


class Notary:
    """The checkpoints of one log.

    Args:
        store: where the log lives.
        key: signs; None where this process has none, and signs nothing.
        keeper: the places outside.
        record: adds an entry to a transaction.
        edge: the right edge of the log as a transaction has grown it.
        every_entries: a checkpoint is due after so many entries.
        every_seconds: or after so much time, once anything comes.
    """

    def __init__(
        self,
        store: Store,
        key: SigningKey | None,
        keeper: Keeper,
        *,
        record: Record,
        edge: Callable[[Transaction], Edge],
        every_entries: int,
        every_seconds: float,
    ) -> None:
        self._store = store
        self._key = key
        self._keeper = keeper
        self._record = record
        self._edge = edge
        self._every_entries = every_entries
        self._every = dt.timedelta(seconds=every_seconds)
        # Entry and time of the last checkpoint that this process knows; None before it has looked.
        self._last: tuple[int, dt.datetime] | None = None
        self._errand: threading.Thread | None = None
        self.trouble = ""

    @property
    def at_hand(self) -> bool:
        """Whether this process has a key of the log."""
        return self._key is not None

    @property
    def key(self) -> SigningKey:
        """The key that signs.

        Raises:
            AuditError: this process has none.
        """
        if self._key is None:
            raise AuditError(
                "this process has no key of the log", hint="name the key's file with --key or OPENCLAW_KEY, or `key=`"
            )
        return self._key

    def checkpoint(self) -> Checkpoint:
        """Sign the log as it stands and hand the checkpoint to the places; durable in the log when it returns.

        Raises:
            AuditError: the log is empty, there is no key, or the key does not sign.
        """
        if not self.key.remote:
            checkpoint = self._store.run(self._sign_here)
        else:
            with self._store.read() as connection:
                edge = read_head(connection)
            signed = self.signed(edge)
            self._store.run(lambda transaction: self.note(transaction, signed))
            checkpoint = signed
        self._keeper.hand(checkpoint)
        return checkpoint

    def rotate(self, new: SigningKey, *, by: str, reason: str, stage: Callable[[], None]) -> Rotation:
        """Let ``new`` follow the present key: both sign, the log records it, and from now on ``new`` signs.

        Args:
            new: the new key, from which the same secrets derive.
            by: who does it.
            reason: why.
            stage: called when everything is signed, before it is recorded: puts the new key where a crash cannot lose it.

        Raises:
            AuditError: nobody is named, there is no key, the log is empty, a key does not sign, or the new key would key
                the digests of masked values differently.
        """
        if not by.strip():
            raise AuditError("a key rotation needs a name", hint="say who does it: `by=`, or `--by NAME`")
        if new.secret("rotation") != self.key.secret("rotation"):
            raise AuditError(
                "the new key has another secret: equal values would no longer have equal digests when they are masked",
                hint="make it with `Signer.successor()`, or give it the old one's secret",
            )
        for _ in range(ROTATION_TRIES):
            self.checkpoint()  # the old key's last word, after which only the rotation may come
            with self._store.read() as connection:
                edge = read_head(connection)
                last = connection.execute(_LAST_SEQ).scalar_one()
            rotation = sign_rotation(self.key, new, origin=self._store.origin, size=edge.size, root=edge.root())
            signed = self.signed(edge)
            stage()
            if self._store.run(
                lambda transaction, at=(rotation, signed, last): self._turn(transaction, *at, by, reason)
            ):
                self._key = new
                self._keeper.hand(signed)
                return rotation
        raise AuditError("other processes sign checkpoints all the time", hint="try again")

    def _turn(
        self, transaction: Transaction, rotation: Rotation, signed: Checkpoint, last: int, by: str, reason: str
    ) -> bool:
        """Record a rotation; False if a checkpoint of the old key came after the size at which it hands over."""
        if transaction.rows(_LAST_CHECKPOINT, {})[0]["seq"] != last:
            return False
        members: dict[str, JsonValue] = {"rotation": rotation.note, "next_key": str(rotation.new), "by": by}
        self.note(transaction, signed, **members, reason=reason)
        return True

    def sign_if_due(self, transaction: Transaction) -> None:
        """Called before each commit. A checkpoint that cannot be signed does not stop the log; ``trouble`` says why."""
        if self._key is None:
            return
        edge = self._edge(transaction)
        if self._last is None:
            self._remember(transaction)
        assert self._last is not None
        size, at = self._last
        if edge.size - size < self._every_entries and transaction.now - at < self._every:
            return
        if self._key.remote:
            self._last = (edge.size, transaction.now)
            transaction.after.append(self._send_errand)
            return
        try:
            checkpoint = self._sign_here(transaction)
        except AuditError as error:
            self.trouble = str(error)
            self._last = (edge.size, transaction.now)  # not tried again with every commit
        else:
            self.trouble = ""
            transaction.after.append(lambda: self._keeper.hand(checkpoint))

    def close(self, seconds: float) -> None:
        """Wait for a key service that is signing."""
        errand = self._errand
        if errand is not None:
            errand.join(seconds)

    # -- signing -------------------------------------------------------------------------------------------------

    def _sign_here(self, transaction: Transaction) -> Checkpoint:
        self._check_key(transaction)
        checkpoint = self.signed(self._edge(transaction))
        self.note(transaction, checkpoint)
        return checkpoint

    def signed(self, edge: Edge) -> Checkpoint:
        """A checkpoint of the tree with this edge, not recorded yet."""
        if edge.size == 0:
            raise AuditError("the log is empty: there is nothing to sign yet")
        return sign_checkpoint(self.key, self._store.origin, edge.size, edge.root())

    def note(self, transaction: Transaction, checkpoint: Checkpoint, **members: JsonValue) -> None:
        """Record a checkpoint, with further members of its entry's body."""
        self._check_key(transaction)
        body: dict[str, JsonValue] = {
            "note": checkpoint.note,
            "key": str(self.key.verifier),
            "size": checkpoint.size,
            **members,
        }
        if self._keeper.places:
            body["kept"] = [*sorted({place.label for place in self._keeper.places})]
        self._last = (self._record(transaction, Draft(kind="checkpoint", body=body)), transaction.now)

    def _check_key(self, transaction: Transaction) -> None:
        """See that this key is the log's present one; read it anew where it is not."""
        found = transaction.rows(_LAST_CHECKPOINT, {})
        if not found:
            return
        present = present_key(str(found[0]["body"]))
        if not present or present == str(self.key.verifier):
            return
        renewed = self.key.renewed()
        if renewed is None or str(renewed.verifier) != present:
            raise AuditError(
                f"this log's checkpoints are signed by `{present}`, and the key at hand is `{self.key.verifier}`",
                hint="open the log with its own key; `openclaw audit rotate-key` lets one key follow another",
            )
        self._key = renewed

    def _remember(self, transaction: Transaction) -> None:
        """What is known of the last checkpoint, whoever signed it; a crash may have kept it from the places."""
        found = transaction.rows(_LAST_CHECKPOINT, {})
        if not found:
            self._last = (0, transaction.now)
            return
        self._last = (cast("int", found[0]["seq"]), moment(str(found[0]["at"])))
        checkpoint = noted(str(found[0]["body"]))
        if checkpoint is not None:
            self._keeper.hand(checkpoint)

    def _send_errand(self) -> None:
        if self._errand is None or not self._errand.is_alive():
            self._errand = threading.Thread(target=self._run_errand, name="openclaw-notary", daemon=True)
            self._errand.start()

    def _run_errand(self) -> None:
        try:
            self.checkpoint()
        except OpenClawError as error:
            self.trouble = str(error)
        else:
            self.trouble = ""


def present_key(body: str) -> str:
    """The key that signs after a checkpoint entry with this body; empty where it says none."""
    fields = fields_of(body)
    key = fields.get("next_key") or fields.get("key")
    return key if isinstance(key, str) else ""


def noted(body: str) -> Checkpoint | None:
    """The checkpoint that an entry's body holds, unchecked."""
    note = fields_of(body).get("note")
    try:
        return read_checkpoint(note, note) if isinstance(note, str) else None
    except VerificationError:
        return None


def rotations_in(bodies: Sequence[str]) -> list[Rotation]:
    """The key rotations that checkpoint entries hold, in their order; those that a prune carried on first.

    Raises:
        VerificationError: one of them is malformed or not signed.
    """
    notes: list[str] = []
    for body in bodies:
        fields = fields_of(body)
        # A prune record repeats those that stood in what it removed.
        notes += [note for note in texts_of(fields, "rotations") if note not in notes]
        if isinstance(rotation := fields.get("rotation"), str) and rotation not in notes:
            notes.append(rotation)
    return sorted(map(open_rotation, notes), key=lambda rotation: rotation.size)


def fields_of(body: str) -> dict[str, object]:
    """The members of an entry's body; none where it is no object, as only a damaged one is."""
    try:
        fields: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", fields) if isinstance(fields, dict) else {}


def texts_of(fields: Mapping[str, object], name: str) -> list[str]:
    """A member that is a list of texts; the empty list where it is none."""
    found = fields.get(name)
    return list(map(str, cast("list[object]", found))) if isinstance(found, list) else []


__all__ = ["Notary", "fields_of", "noted", "present_key", "rotations_in", "texts_of"]
