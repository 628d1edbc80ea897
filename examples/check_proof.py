"""Check a proof made by `openclaw audit prove SEQ`, with nothing of openclaw: the standard library and `cryptography`.

    python check_proof.py proof.json NAME+ID+KEY

Prints the entry if it is in the log that the checkpoint describes, else exit code 1. The key may be any that the log has had.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def signed(note: str, *vkeys: str) -> list[str]:
    """The lines of a note that one of the keys has signed."""
    text, _, signatures = note.rpartition("\n\n")
    for name, key_id, encoded in (vkey.split("+", 2) for vkey in vkeys):
        for line in signatures.splitlines():
            signer, _, blob = line.removeprefix("— ").partition(" ")
            if signer == name and base64.b64decode(blob)[:4].hex() == key_id:
                public = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
                public.verify(base64.b64decode(blob)[4:], (text + "\n").encode())
                return text.split("\n")
    raise ValueError("a note is not signed by the key of its time")


def signed_root(note: str, rotations: list[str], trusted: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint that the log's key of that time has signed; rotations join it to the trusted key."""
    origin, size, root = note.split("\n")[:3]
    keys, since = [rotations[0].split("\n")[4] if rotations else trusted], [0]
    for rotation in rotations:
        mark, of, at, _, old, new = signed(rotation, keys[-1])
        if (mark, of, old) != ("openclaw key rotation v1", origin, keys[-1]) or int(at) < since[-1]:
            raise ValueError("a key rotation does not follow from the one before")
        keys, since = [*keys, signed(rotation, new)[5]], [*since, int(at)]
    if trusted not in keys:
        raise ValueError("no key rotation leads to the trusted key")
    terms = zip(
        keys, since, [*since[1:], int(size)], strict=True
    )  # two keys share the size at which one followed the other
    signed(note, *(key for key, first, last in terms if first <= int(size) <= last))
    return int(size), base64.b64decode(root)


def root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3), by the definition of the tree."""
    if size > 1 and path:
        half, below = 1 << (size - 1).bit_length() - 1, path[:-1]
        if index < half:
            return hashlib.sha256(b"\x01" + root_from(leaf, index, half, below) + path[-1]).digest()
        return hashlib.sha256(b"\x01" + path[-1] + root_from(leaf, index - half, size - half, below)).digest()
    if size > 1 or path:
        raise ValueError("the proof has another length than the tree")
    return leaf


def main(file: str, trusted: str) -> str:
    proof = json.loads(Path(file).read_text(encoding="utf-8"))
    (size, root), index = signed_root(proof["checkpoint"], proof["rotations"], trusted), proof["index"]
    leaf = hashlib.sha256(b"\x00" + proof["entry"].encode())
    if not 0 <= index < size or root_from(leaf.digest(), index, size, [*map(bytes.fromhex, proof["path"])]) != root:
        raise ValueError("the entry is not in the log that the checkpoint describes")
    return proof["entry"]


if __name__ == "__main__":
    try:
        print(main(*sys.argv[1:3]))
    except (ValueError, KeyError, OSError, InvalidSignature) as error:
        sys.exit(f"does not hold: {error or type(error).__name__}")
