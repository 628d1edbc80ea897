"""Bundles for tests: archives made by hand, and keys."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

MAIN = "package openclaw.policies.main\n\nallow if input.n < data.limits.max\n"

PLAIN = {"main.rego": MAIN, "limits/data.json": '{"max": 5}'}
"""The files of a small bundle."""


def gzip(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=31)
    return stream.compress(content) + stream.flush()


def tar(files: Mapping[str, str | bytes], *, kind: bytes = tarfile.REGTYPE, **more: object) -> bytes:
    """A tar archive of these files, as the standard library writes it; ``more`` are attributes of each member."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            data = content.encode() if isinstance(content, str) else content
            member.size, member.type = len(data), kind
            for attribute, value in more.items():
                setattr(member, attribute, value)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def archive(files: Mapping[str, str | bytes], **more: object) -> bytes:
    return gzip(tar(files, **more))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Pair:
    """Two files with the halves of one key."""

    private: Path
    public: Path


def pair(folder: Path, name: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Pair:
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return Pair(private, public)


def make_pairs(folder: Path) -> dict[str, Pair]:
    """A pair for each family of algorithms: ``RS`` and ``PS`` share one, each ``ES`` has its own curve."""
    made = pair(folder, "rsa", rsa.generate_private_key(65537, 2048))
    return {
        "RS": made,
        "PS": made,
        "ES256": pair(folder, "es256", ec.generate_private_key(ec.SECP256R1())),
        "ES384": pair(folder, "es384", ec.generate_private_key(ec.SECP384R1())),
        "ES512": pair(folder, "es512", ec.generate_private_key(ec.SECP521R1())),
    }
