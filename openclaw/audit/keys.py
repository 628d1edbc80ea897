"""What signs: a key of our own (in a file, or given as text), or a key service's, and how one key follows another.

A log has one signing key at a time. A rotation is a signed note of its own kind, which the old key and the new one both sign:

    openclaw key rotation v1
    <origin>
    <tree size>
    <base64 root hash>
    <public key of the old key>
    <public key of the new key>

    — <old name> <signature>
    — <new name> <signature>

It stands in an entry of the log (see ``openclaw.audit.rotation``). The old key's signature lets those who trust it trust the
new one; the new key's lets those who were given the new one trust what the old one signed before.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from openclaw.audit.note import ED25519, Checkpoint, Verifier, b64, check_name, checkpoint_text, signature_line
from openclaw.errors import AuditError

KEY_MARK = "PRIVATE+KEY+"
"""How the text form of a signing key begins; ``OPENCLAW_KEY`` may hold that text itself instead of the name of a file."""

SECRET_BYTES_MIN = 32

_SECRET_MARK = "SECRET+"  # noqa: S105 - how a secret begins, not one
_OTHERS = 0o077


class SigningKey(Protocol):
    """What the log needs of a key: ``Signer`` is one, and so is ``ExternalKey``.

    Attributes:
        verifier: the public key.
        remote: signing may take long, or fail for reasons of its own: it is never done while writers wait.
    """

    @property
    def verifier(self) -> Verifier:
        """The public key."""
        ...

    @property
    def remote(self) -> bool:
        """Whether signing may take long."""
        ...

    def sign(self, text: bytes) -> bytes:
        """The Ed25519 signature of ``text``, 64 bytes."""
        ...

    def secret(self, purpose: str) -> bytes:
        """32 bytes that only the holder of this key can derive, another for each purpose; the same after a rotation."""
        ...

    def renewed(self) -> SigningKey | None:
        """The key as it stands now where it is kept, if it has changed since it was read."""
        ...


class Signer:
    """A private key with its name, held in this process.

    Args:
        name: the log's origin.
        seed: 32 bytes, the Ed25519 private key (RFC 8032).
        root: what ``secret`` derives from; the seed of the first key of the log. Default: ``seed``.
        source: the file that holds the key.
    """

    remote = False

    def __init__(self, name: str, seed: bytes, *, root: bytes | None = None, source: Path | None = None) -> None:
        self._seed = seed
        self._root = root or seed
        self._source = source
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(check_name(name), self._key.public_key())

    @classmethod
    def load(cls, path: Path, name: str, *, create: bool = True) -> Signer:
        """The key in the file at ``path``; made there on first use, readable by its owner only.

        Raises:
            AuditError: the file cannot be read or made, holds something else, others may read it, or it is not there
                and ``create`` is false.
        """
        try:
            mode = path.stat().st_mode
            text = path.read_text()
        except FileNotFoundError:
            if not create:
                raise AuditError(
                    f"the signing key of this log is not at `{path}`", hint="name its file with --key or OPENCLAW_KEY"
                ) from None
            return cls._create(path, name)
        except (OSError, UnicodeDecodeError) as error:
            raise AuditError(
                f"the signing key `{path}` cannot be read: {error}", hint="give this user the right"
            ) from error
        signer = cls.parse(text, where=str(path), source=path)
        if mode & _OTHERS and os.name == "posix":
            raise AuditError(
                f"the signing key `{path}` can be read by others on this machine", hint=f"chmod 600 {path}"
            )
        return signer

    @classmethod
    def parse(cls, text: str, *, where: str = "OPENCLAW_KEY", source: Path | None = None) -> Signer:
        """The key in ``PRIVATE+KEY+name+id+base64``, the common text form of note signing keys.

        After a rotation a second word follows, ``SECRET+base64``: what the first key's secrets derive from.

        Raises:
            AuditError: the text holds no key. It is never shown.
        """
        line, *more = text.split()[:2] or [""]
        parts = line.split("+", 4)
        try:
            data = base64.b64decode(parts[4], validate=True)
            if not line.startswith(KEY_MARK) or data[:1] != bytes([ED25519]):
                raise ValueError("wrong form")
            root = base64.b64decode(more[0].removeprefix(_SECRET_MARK), validate=True) if more else None
            if more and not more[0].startswith(_SECRET_MARK):
                raise ValueError("wrong form")
            signer = cls(parts[2], data[1:], root=root, source=source)
        except (IndexError, ValueError):
            raise AuditError(
                f"`{where}` holds no signing key", hint="expected one line `PRIVATE+KEY+name+id+base64`"
            ) from None
        if signer.verifier.key_id.hex() != parts[3]:
            raise AuditError(
                f"the key in `{where}` does not fit its own id: it is damaged", hint="restore a copy of it"
            )
        return signer

    @classmethod
    def generate(cls, name: str) -> Signer:
        """A new key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def _create(cls, path: Path, name: str) -> Signer:
        write_new(path, cls.generate(name).text(), what="signing key")
        return cls.load(path, name)  # ours, or that of a process that was quicker

    def successor(self, source: Path | None = None) -> Signer:
        """A new key of the same name, from which the same secrets derive: what was masked before still matches.

        Args:
            source: the file in which it is going to be kept; that of this key by default.

        Raises:
            AuditError: there is a file of that name already.
        """
        if source is not None and source.exists():
            raise AuditError(f"`{source}` is there already", hint="name a file that is not")
        seed = Ed25519PrivateKey.generate().private_bytes_raw()
        return Signer(self.verifier.name, seed, root=self._root, source=source or self._source)

    def text(self) -> str:
        """The text form, which is the key itself: keep it where only its owner reads."""
        line = f"{KEY_MARK}{self.verifier.name}+{self.verifier.key_id.hex()}+{b64(bytes([ED25519]) + self._seed)}\n"
        return line if self._root == self._seed else f"{line}{_SECRET_MARK}{b64(self._root)}\n"

    def sign(self, text: bytes) -> bytes:
        """The Ed25519 signature of ``text``."""
        return self._key.sign(text)

    def checkpoint(self, origin: str, size: int, root: bytes) -> Checkpoint:
        """A signed checkpoint of a tree."""
        return sign_checkpoint(self, origin, size, root)

    def secret(self, purpose: str) -> bytes:
        """32 bytes that only the holder of this key can derive, another for each purpose."""
        return hashlib.blake2b(purpose.encode(), key=self._root, digest_size=32).digest()

    def _at(self, source: Path) -> Signer:
        return Signer(self.verifier.name, self._seed, root=self._root, source=source)

    @property
    def root(self) -> bytes:
        """What ``secret`` derives from. Give it to the ``ExternalKey`` that follows this key, and to nobody else."""
        return self._root

    @property
    def source(self) -> Path | None:
        """The file that holds the key."""
        return self._source

    def stage(self) -> None:
        """Write this key beside the file whose key it is to follow, where ``renewed`` finds it after a crash."""
        assert self._source is not None
        replace_private(_staged(self._source), self.text(), what="signing key")

    def promote(self) -> None:
        """Put this key in the place of the one that it has followed."""
        assert self._source is not None
        replace_private(self._source, self.text(), what="signing key")
        _staged(self._source).unlink(missing_ok=True)

    def renewed(self) -> Signer | None:
        """The key that stands in this key's file now, or beside it after a rotation that a crash cut off."""
        if self._source is None:
            return None
        for path in (self._source, _staged(self._source)):
            if path.exists():
                found = Signer.load(path, self.verifier.name, create=False)
                if str(found.verifier) != str(self.verifier):
                    return found._at(self._source)  # noqa: SLF001 - one of our own
        return None


def _staged(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


class ExternalKey:
    """A key that never leaves a key service (KMS, HSM, agent): it signs by a callable and gives the public key.

    Args:
        sign: takes the bytes to sign, returns the 64 bytes of their Ed25519 signature; may raise whatever it likes.
        public_key: the 32 bytes of the Ed25519 public key.
        secret: what keys the digests of masked values, since the service gives no secret away: at least 32 random bytes, or
            a file that holds them (made on first use, readable by its owner only). There is no default: without it nothing
            could be masked, and a log that cannot mask must not be written.
        name: the name of the key; the log's origin by default.

    Raises:
        AuditError: the public key or the secret is none.
    """

    remote = True

    def __init__(
        self, sign: Callable[[bytes], bytes], public_key: bytes, *, secret: bytes | str | Path, name: str = ""
    ) -> None:
        try:
            self._public = Ed25519PublicKey.from_public_bytes(public_key)
        except ValueError as error:
            raise AuditError("the public key cannot be read", hint="expected the 32 bytes of an Ed25519 key") from error
        self._sign = sign
        self._root = secret if isinstance(secret, bytes) else secret_file(Path(secret))
        if len(self._root) < SECRET_BYTES_MIN:
            raise AuditError(
                f"the secret that keys masked values has {len(self._root)} bytes, which is too short",
                hint=f"give at least {SECRET_BYTES_MIN} random bytes",
            )
        self._name = name

    def named(self, origin: str) -> ExternalKey:
        """This key under the log's name, unless it has one of its own."""
        if self._name:
            return self
        return ExternalKey(self._sign, self._public.public_bytes_raw(), secret=self._root, name=origin)

    @property
    def verifier(self) -> Verifier:
        """The public key."""
        return Verifier(check_name(self._name), self._public)

    def sign(self, text: bytes) -> bytes:
        """The service's signature, checked with the public key before anyone relies on it.

        Raises:
            AuditError: the service failed, or what it gave is not a signature by this key.
        """
        try:
            signature = self._sign(text)
            self._public.verify(signature, text)
        except InvalidSignature as error:
            raise AuditError(
                "the key service gave a signature that does not fit the public key",
                hint="give the key's own public key",
            ) from error
        except Exception as error:  # foreign code: whatever it raises, the caller is told one thing
            raise AuditError(
                f"the key service does not sign: {type(error).__name__}: {error}", hint="see to the key service"
            ) from error
        return signature

    def secret(self, purpose: str) -> bytes:
        """32 bytes that derive from the secret, another for each purpose."""
        return hashlib.blake2b(purpose.encode(), key=self._root[:64], digest_size=32).digest()

    def renewed(self) -> None:
        """A program that holds a key service's key is told of another one by whoever runs it."""
        return


def sign_checkpoint(key: SigningKey, origin: str, size: int, root: bytes) -> Checkpoint:
    """A signed checkpoint of a tree.

    Raises:
        AuditError: the key does not sign.
    """
    text = checkpoint_text(origin, size, root)
    signature = key.sign(text.encode())
    return Checkpoint(origin, size, root, f"{text}\n{signature_line(key.verifier, signature)}")


def secret_file(path: Path) -> bytes:
    """The secret in the file at ``path`` (``SECRET+base64``); made there on first use, readable by its owner only.

    Raises:
        AuditError: it cannot be read or made, holds something else, or others may read it.
    """
    try:
        if not path.exists():
            write_new(path, f"{_SECRET_MARK}{b64(Ed25519PrivateKey.generate().private_bytes_raw())}\n", what="secret")
        mode, text = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"the secret `{path}` cannot be read: {error}", hint="give this user the right") from error
    if mode & _OTHERS and os.name == "posix":
        raise AuditError(f"the secret `{path}` can be read by others on this machine", hint=f"chmod 600 {path}")
    try:
        if not text.startswith(_SECRET_MARK):
            raise ValueError("wrong form")
        return base64.b64decode(text.removeprefix(_SECRET_MARK), validate=True)
    except ValueError:
        raise AuditError(f"`{path}` holds no secret", hint="expected one line `SECRET+base64`") from None


def write_new(path: Path, text: str, *, what: str) -> bool:
    """Make a file that only its owner reads, whole or not at all; False if another process was quicker.

    Raises:
        AuditError: it cannot be made.
    """
    draft = _draft(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_private(draft, text)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise AuditError(
            f"the {what} `{path}` cannot be made: {error}", hint="choose a place that can be written"
        ) from error
    return True


def replace_private(path: Path, text: str, *, what: str) -> None:
    """Put a file in the place of another, whole: readers see the one or the other.

    Raises:
        AuditError: it cannot be written.
    """
    draft = _draft(path)
    try:
        _write_private(draft, text)
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise AuditError(
            f"the {what} `{path}` cannot be written: {error}", hint="choose a place that can be written"
        ) from error


def _draft(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")


def _write_private(draft: Path, text: str) -> None:
    """Written whole under another name first: no process ever reads half a key."""
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)  # a umask may only take rights away, and 0600 is what the owner needs
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """A name is durable once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["KEY_MARK", "ExternalKey", "Signer", "SigningKey", "secret_file", "sign_checkpoint", "write_new"]
