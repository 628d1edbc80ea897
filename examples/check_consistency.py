"""Check a proof made by `openclaw audit prove --from SIZE`: that nothing was changed or removed between two checkpoints.

    python check_consistency.py proof.json NAME+ID+KEY

With nothing of openclaw: the standard library, `cryptography`, and `check_proof.py` beside this file. Both checkpoints must be
signed by the log's key of their time; the key may be any that the log has had. Exit code 1 if the log of the smaller one is not
the beginning of the log of the larger one.
"""

import hashlib
import json
import sys
from pathlib import Path

from check_proof import signed_root
from cryptography.exceptions import InvalidSignature


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def roots_from(old: int, new: int, old_root: bytes, path: list[bytes]) -> tuple[bytes, bytes]:
    """The two roots that a consistency proof leads to (RFC 9162 section 2.1.4.2), if old < new."""
    path = path if old & (old - 1) else [old_root, *path]
    first = second = path[0]
    old, last = old - 1, new - 1
    while old & 1:
        old, last = old >> 1, last >> 1
    for step in path[1:]:
        if last == 0:
            raise ValueError("the proof is too long")
        if old & 1 or old == last:
            first, second = node(step, first), node(step, second)
            while old and not old & 1:
                old, last = old >> 1, last >> 1
        else:
            second = node(second, step)
        old, last = old >> 1, last >> 1
    if last:
        raise ValueError("the proof is too short")
    return first, second


def main(file: str, vkey: str) -> str:
    proof = json.loads(Path(file).read_text(encoding="utf-8"))
    (old, old_root), (new, new_root) = (signed_root(proof[one], proof["rotations"], vkey) for one in ("old", "new"))
    path = [bytes.fromhex(step) for step in proof["path"]]
    if proof["old"].split("\n")[0] != proof["new"].split("\n")[0] or not 0 < old <= new:
        raise ValueError("the checkpoints are not of one log, the smaller one first")
    if (old == new and (path or old_root != new_root)) or (
        old < new and roots_from(old, new, old_root, path) != (old_root, new_root)
    ):
        raise ValueError("the larger log does not begin with the smaller one")
    return f"the log of {old} entries is the beginning of the log of {new} entries"


if __name__ == "__main__":
    try:
        print(main(*sys.argv[1:3]))
    except (ValueError, KeyError, IndexError, OSError, InvalidSignature) as error:
        sys.exit(f"does not hold: {error or type(error).__name__}")
