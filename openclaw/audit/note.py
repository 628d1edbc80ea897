"""Signed notes and checkpoints, as C2SP specifies them (signed-note v1.0.0, tlog-checkpoint v1.0.0), with Ed25519.

A checkpoint is three lines (origin, tree size, base64 root hash), an empty line, and signature lines:

    openclaw/6b1f…
    1042
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — openclaw/6b1f… Az3grl…
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from openclaw.errors import AuditError, VerificationError

_ED25519 = b"\x01"
_DASH = "— "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log promises at one moment: its name, its size and its root hash; ``note`` is the signed text."""

    origin: str
    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name. Its text form is ``name+hex key id+base64 key`` (a C2SP "vkey")."""

    name: str
    key: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256 over name, newline, algorithm byte and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key.public_bytes_raw()).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_b64(_ED25519 + self.key.public_bytes_raw())}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """The key in a vkey text.

        Raises:
            AuditError: it is not one, or its key id does not match.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            data = base64.b64decode(encoded, validate=True)
            if data[:1] != _ED25519:
                raise AuditError("the public key is not an Ed25519 key")
            verifier = cls(name, Ed25519PublicKey.from_public_bytes(data[1:]))
        except (binascii.Error, ValueError) as error:
            raise AuditError("the public key cannot be read", hint="expected `name+keyid+base64`") from error
        if verifier.key_id.hex() != key_id:
            raise AuditError("the public key's id does not match its name and key")
        return verifier


class Signer:
    """A private key with its name, which signs checkpoints. ``secret`` derives other keys from it, one per purpose."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key())

    @classmethod
    def load(cls, path: Path, name: str) -> Signer:
        """The key in the file at ``path``; made there on first use, readable by its owner only.

        Raises:
            AuditError: the file cannot be read or made, or holds something else.
        """
        try:
            text = path.read_text()
        except FileNotFoundError:
            return cls._create(path, name)
        except (OSError, UnicodeDecodeError) as error:
            raise AuditError(
                f"the signing key `{path}` cannot be read: {error}", hint="give this user the right"
            ) from error
        return cls.parse(text, where=str(path))

    @classmethod
    def parse(cls, text: str, *, where: str = "OPENCLAW_KEY") -> Signer:
        """The key in ``PRIVATE+KEY+name+id+base64``, the common text form of note signing keys."""
        parts = text.strip().split("+", 4)
        try:
            data = base64.b64decode(parts[4], validate=True)
            if parts[:2] != ["PRIVATE", "KEY"] or data[:1] != _ED25519:
                raise ValueError("wrong form")
            return cls(parts[2], data[1:])
        except (IndexError, ValueError) as error:
            raise AuditError(
                f"`{where}` holds no signing key", hint="expected one line `PRIVATE+KEY+name+id+base64`"
            ) from error

    @classmethod
    def _create(cls, path: Path, name: str) -> Signer:
        signer = cls(name, Ed25519PrivateKey.generate().private_bytes_raw())
        line = f"PRIVATE+KEY+{name}+{signer.verifier.key_id.hex()}+{_b64(_ED25519 + signer._seed)}\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written whole under another name first: a second process never reads half a key, and the first one wins.
            draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                return cls.load(path, name)
            finally:
                draft.unlink()
        except OSError as error:
            raise AuditError(
                f"the signing key `{path}` cannot be made: {error}", hint="choose a place that can be written"
            ) from error
        return signer

    def checkpoint(self, origin: str, size: int, root: bytes) -> Checkpoint:
        """A signed checkpoint of a tree."""
        text = f"{origin}\n{size}\n{_b64(root)}\n"
        signature = _b64(self.verifier.key_id + self._key.sign(text.encode()))
        return Checkpoint(origin, size, root, f"{text}\n{_DASH}{self.verifier.name} {signature}\n")

    def secret(self, purpose: str) -> bytes:
        """32 bytes that only the holder of this key can derive, another for each purpose."""
        return hashlib.blake2b(purpose.encode(), key=self._seed, digest_size=32).digest()


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """The checkpoint in a signed note.

    Raises:
        VerificationError: it is not a checkpoint, or carries no good signature of this key.
    """
    text, separator, signatures = note.rpartition("\n\n")
    if not separator:
        raise VerificationError("the checkpoint has no signature")
    text += "\n"
    _check_signature(text, signatures, verifier)
    lines = text.split("\n")
    try:
        size, root = int(lines[1]), _unb64(lines[2])
        if str(size) != lines[1] or size < 0 or len(root) != 32:
            raise ValueError(lines[1])
    except (IndexError, ValueError) as error:
        raise VerificationError("the checkpoint is malformed") from error
    return Checkpoint(lines[0], size, root, note)


def _check_signature(text: str, signatures: str, verifier: Verifier) -> None:
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or name != verifier.name:
            continue
        try:
            blob = _unb64(encoded)
            if blob[:4] != verifier.key_id:
                continue
            verifier.key.verify(blob[4:], text.encode())
        except (InvalidSignature, ValueError) as error:
            raise VerificationError(f"the signature of `{name}` on the checkpoint is not good") from error
        return
    raise VerificationError(f"the checkpoint is not signed by `{verifier.name}`")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    """Base64 in its one canonical spelling: the last character may carry no stray bits, or two texts would mean one thing."""
    data = base64.b64decode(text, validate=True)
    if _b64(data) != text:
        raise ValueError("base64 with stray bits")
    return data
