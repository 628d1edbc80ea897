"""Check a proof made by `openclaw audit prove SEQ`, with nothing of openclaw: the standard library and `cryptography`.

    python check_proof.py proof.json NAME+ID+KEY

Prints the entry if it is in the log that the signed checkpoint describes; exit code 1 if not. The tree is that of
RFC 9162 section 2.1, the checkpoint a C2SP signed note with Ed25519.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def signed_root(note: str, vkey: str) -> tuple[int, bytes]:
    """Size and root of the checkpoint in a note that the key has signed."""
    name, key_id, encoded = vkey.split("+", 2)
    text, _, signatures = note.rpartition("\n\n")
    for line in signatures.splitlines():
        signer, _, blob = line.removeprefix("— ").partition(" ")
        if signer == name and base64.b64decode(blob)[:4].hex() == key_id:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
            key.verify(base64.b64decode(blob)[4:], (text + "\n").encode())
            _, size, root = text.split("\n")[:3]
            return int(size), base64.b64decode(root)
    raise ValueError(f"the checkpoint is not signed by {name}")


def root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2)."""
    last = size - 1
    for step in path:
        if index & 1 or index == last:
            leaf = hashlib.sha256(b"\x01" + step + leaf).digest()
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            leaf = hashlib.sha256(b"\x01" + leaf + step).digest()
        index, last = index >> 1, last >> 1
    if last:
        raise ValueError("the proof is too short")
    return leaf


def main(file: str, vkey: str) -> str:
    proof = json.loads(Path(file).read_text(encoding="utf-8"))
    size, root = signed_root(proof["checkpoint"], vkey)
    leaf = hashlib.sha256(b"\x00" + proof["entry"].encode()).digest()
    if (
        not 0 <= proof["index"] < size
        or root_from(leaf, proof["index"], size, list(map(bytes.fromhex, proof["path"]))) != root
    ):
        raise ValueError("the entry is not in the log that the checkpoint describes")
    return proof["entry"]


if __name__ == "__main__":
    try:
        print(main(*sys.argv[1:3]))
    except (ValueError, KeyError, OSError, InvalidSignature) as error:
        sys.exit(f"does not hold: {error or type(error).__name__}")
