"""Signed notes, checkpoints and cosignatures, as C2SP specifies them, with Ed25519 (signed-note v1.0.0, tlog-checkpoint
v1.0.0, tlog-cosignature v1.0.1). Pure: texts in, values out.

A checkpoint is three lines (origin, tree size, base64 root hash), an empty line, and signature lines:

    openclaw/6b1f…
    1042
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — openclaw/6b1f… Az3grl…
    — witness.example/w1 jWbPPwAA…

The first signature is the log's own. Those below it are cosignatures of witnesses, each with the time at which it was given.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from openclaw.errors import AuditError, VerificationError

Algorithm = Literal[1, 4]
"""Signature types of C2SP signed-note: 1 signs the text of a note, 4 is a witness's timestamped cosignature."""

ED25519: Algorithm = 1
COSIGNATURE: Algorithm = 4

NOTE_BYTES_MAX = 65_536
"""A longer note is none of ours: some hundred signatures fit."""

_DASH = "— "
_TIMESTAMP_BYTES = 8
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s+\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log promises at one moment: its name, its size and its root hash; ``note`` is the signed text."""

    origin: str
    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name. Its text form is ``name+hex key id+base64 key`` (a C2SP "vkey").

    Attributes:
        name: of the log or the witness.
        key: the Ed25519 public key.
        algorithm: ``ED25519`` for a log's own key, ``COSIGNATURE`` for a witness's.
    """

    name: str
    key: Ed25519PublicKey
    algorithm: Algorithm = ED25519

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256 over name, newline, algorithm byte and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._encoded()).digest()[:4]

    def _encoded(self) -> bytes:
        return bytes([self.algorithm]) + self.key.public_bytes_raw()

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(self._encoded())}"

    @classmethod
    def parse(cls, text: str, *, algorithm: Algorithm = ED25519) -> Verifier:
        """The key in a vkey text.

        Raises:
            AuditError: it is not one, is of another algorithm, or its key id does not match.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            data = base64.b64decode(encoded, validate=True)
            if data[:1] != bytes([algorithm]):
                wanted = "an Ed25519 key" if algorithm == ED25519 else "a key for cosignatures (type 4)"
                raise AuditError(f"the public key is not {wanted}")
            verifier = cls(check_name(name), Ed25519PublicKey.from_public_bytes(data[1:]), algorithm)
        except (binascii.Error, ValueError) as error:
            raise AuditError("the public key cannot be read", hint="expected `name+keyid+base64`") from error
        if verifier.key_id.hex() != key_id:
            raise AuditError("the public key's id does not match its name and key")
        return verifier


def check_name(name: str) -> str:
    """``name``, if it may stand in a note.

    Raises:
        ValueError: it is empty, or has a space, a plus or a control character in it.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"`{name}` cannot be the name of a key")
    return name


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The text of a checkpoint, which is what is signed."""
    return f"{origin}\n{size}\n{b64(root)}\n"


def signature_line(verifier: Verifier, signature: bytes) -> str:
    """The line that carries a signature in a note."""
    return f"{_DASH}{verifier.name} {b64(verifier.key_id + signature)}\n"


def open_note(note: str, verifier: Verifier) -> str:
    """The text of a note, which ``verifier`` has signed. Signatures of keys that are not known are passed over.

    Raises:
        VerificationError: it is no note, or carries no good signature of this key.
    """
    text, signatures = _parts(note)
    found = False
    for blob in _signatures(signatures, verifier):
        try:
            verifier.key.verify(blob, text.encode())
        except InvalidSignature as error:
            raise VerificationError(f"the signature of `{verifier.name}` on the checkpoint is not good") from error
        found = True
    if not found:
        raise VerificationError(f"the checkpoint is not signed by `{verifier.name}` ({verifier.key_id.hex()})")
    return text


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """The checkpoint in a signed note.

    Raises:
        VerificationError: it is not a checkpoint, or carries no good signature of this key.
    """
    return read_checkpoint(open_note(note, verifier), note)


def read_checkpoint(text: str, note: str) -> Checkpoint:
    """The checkpoint that a text states. Lines after the third are extensions, which C2SP allows and we pass over.

    Raises:
        VerificationError: it states none.
    """
    lines = text.split("\n")
    try:
        size, root = int(lines[1]), unb64(lines[2])
        if str(size) != lines[1] or size < 0 or len(root) != hashlib.sha256().digest_size or not lines[0]:
            raise ValueError(lines[1])
    except (IndexError, ValueError) as error:
        raise VerificationError("the checkpoint is malformed") from error
    return Checkpoint(lines[0], size, root, note)


def cosignature_message(text: str, timestamp: int) -> bytes:
    """What a witness signs: a header, the time in seconds since 1970, and the text of the checkpoint."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def open_cosignature(note: str, witness: Verifier) -> dt.datetime:
    """When ``witness`` cosigned the checkpoint in a note.

    Raises:
        VerificationError: it carries no good cosignature of this witness.
    """
    assert witness.algorithm == COSIGNATURE
    text, signatures = _parts(note)
    for blob in _signatures(signatures, witness):
        timestamp = int.from_bytes(blob[:_TIMESTAMP_BYTES], "big")
        try:
            witness.key.verify(blob[_TIMESTAMP_BYTES:], cosignature_message(text, timestamp))
            return dt.datetime.fromtimestamp(timestamp, dt.UTC)
        except (InvalidSignature, ValueError, OverflowError, OSError) as error:
            raise VerificationError(f"the cosignature of `{witness.name}` on the checkpoint is not good") from error
    raise VerificationError(f"the checkpoint is not cosigned by `{witness.name}`")


def with_cosignatures(note: str, lines: str, witness: Verifier) -> str:
    """``note`` with those of the signature ``lines`` that are of ``witness``, each of which must be good.

    Raises:
        VerificationError: there is none, or one of them is not good.
    """
    text, signatures = _parts(note)
    known = set(signatures.splitlines())
    ours = [line for line in lines.splitlines() if _blob(line, witness) is not None and line not in known]
    cosigned = note + "".join(f"{line}\n" for line in ours)
    for line in ours:
        open_cosignature(f"{text}\n{line}\n", witness)
    open_cosignature(cosigned, witness)
    return cosigned


def _parts(note: str) -> tuple[str, str]:
    """Text (with its last newline) and signature lines of a note."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n") or len(note) > NOTE_BYTES_MAX or _CONTROL.search(note):
        raise VerificationError("the checkpoint has no signature")
    return text + "\n", signatures


def _signatures(lines: str, verifier: Verifier) -> Iterator[bytes]:
    for line in lines.splitlines():
        blob = _blob(line, verifier)
        if blob is not None:
            yield blob


def _blob(line: str, verifier: Verifier) -> bytes | None:
    """The signature in a line, without its key id; None where the line is of another key."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or name != verifier.name:
        return None
    try:
        blob = unb64(encoded)
    except ValueError as error:
        raise VerificationError(f"the signature of `{name}` on the checkpoint cannot be read") from error
    return blob[4:] if blob[:4] == verifier.key_id else None


def b64(data: bytes) -> str:
    """Standard base64 (RFC 4648 section 4)."""
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Base64 in its one canonical spelling: the last character may carry no stray bits, or two texts would mean one thing.

    Raises:
        ValueError: it is not.
    """
    data = base64.b64decode(text, validate=True)
    if b64(data) != text:
        raise ValueError("base64 with stray bits")
    return data
