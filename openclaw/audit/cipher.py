"""Sealing bytes under a key: AES-256-GCM (NIST SP 800-38D), with a random nonce of 96 bits in front."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openclaw.errors import AuditError

KEY_BYTES = 32
NONCE_BYTES = 12


def new_key() -> bytes:
    """A random key."""
    return os.urandom(KEY_BYTES)


def seal(key: bytes, data: bytes, about: str) -> bytes:
    """``data`` that only the holder of ``key`` can read, bound to ``about``, which stays in the clear elsewhere."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, about.encode())


def unseal(key: bytes, sealed: bytes, about: str) -> bytes:
    """What ``seal`` sealed.

    Raises:
        AuditError: another key or subject sealed it, or it was changed.
    """
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
    except (InvalidTag, ValueError) as error:
        raise AuditError(
            f"what is sealed for {about} does not open with the key of this log",
            hint="use the signing key that the log was written with: --key or OPENCLAW_KEY",
        ) from error


__all__ = ["KEY_BYTES", "new_key", "seal", "unseal"]
