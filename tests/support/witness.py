"""A small witness, strictly after C2SP tlog-witness and tlog-cosignature, as a process of its own.

``python -m tests.support.witness STATE NAME SEED LOGKEY…`` listens on a free port of the loopback interface, prints it, and keeps
what it has cosigned in the file STATE. Nothing of openclaw is used, so that what one side gets wrong the other does not forgive.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PROJECT = Path(__file__).parents[2]
SEED = bytes(range(100, 132))
NAME = "witness.example/w1"


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, body: str = "", kind: str = "text/plain") -> None:
        super().__init__(status, body)
        self.status, self.body, self.kind = status, body, kind


def vkey(name: str = NAME, seed: bytes = SEED) -> str:
    """The witness's public key for cosignatures, as C2SP writes it."""
    encoded = b"\x04" + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + encoded).digest()[:4]
    return f"{name}+{key_id.hex()}+{base64.b64encode(encoded).decode()}"


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """RFC 6962 section 2.1.2, by the recursion of its definition read backwards."""

    def roots(old: int, new: int, whole: bool) -> tuple[bytes, bytes]:
        if old == new:
            root = old_root if whole else proof.pop()
            return root, root
        split = 1 << ((new - 1).bit_length() - 1)
        if old <= split:
            right = proof.pop()
            one, other = roots(old, split, whole)
            return one, node(other, right)
        left = proof.pop()
        one, other = roots(old - split, new - split, False)
        return node(left, one), node(left, other)

    proof = list(proof)
    try:
        # The proof's last hash belongs to the outermost step.
        found = roots(old, new, True)
    except IndexError:
        return False
    return not proof and found == (old_root, new_root)


class Witness:
    """What it knows, and how it answers."""

    def __init__(self, state: Path, name: str, seed: bytes, logs: list[str]) -> None:
        self.state, self.name, self.key = state, name, Ed25519PrivateKey.from_private_bytes(seed)
        self.logs = [log.split("+", 2) for log in logs]
        self.lock = threading.Lock()

    def add_checkpoint(self, body: bytes) -> str:
        old, proof, text, signatures = self.parse(body)
        origin, size_text, root_text = text.split("\n")[:3]
        size, root = int(size_text), base64.b64decode(root_text, validate=True)
        keys = [log for log in self.logs if log[0] == origin]
        if not keys:
            raise Refused(404)
        if not any(self.signed(text, signatures, log) for log in keys):
            raise Refused(403)
        if old > size:
            raise Refused(400)
        with self.lock:
            known = json.loads(self.state.read_text()) if self.state.exists() else {}
            seen, seen_root = known.get(origin, [0, ""])
            if old != seen:
                raise Refused(409, f"{seen}\n", "text/x.tlog.size")
            if old == size and old and base64.b64encode(root).decode() != seen_root:
                raise Refused(409, f"{seen}\n", "text/x.tlog.size")
            if (old == 0 and proof) or (
                0 < old < size and not consistent(old, size, base64.b64decode(seen_root), root, proof)
            ):
                raise Refused(422)
            known[origin] = [size, base64.b64encode(root).decode()]
            draft = self.state.with_suffix(".new")
            draft.write_text(json.dumps(known))
            draft.replace(self.state)
        return self.cosign(text)

    def parse(self, body: bytes) -> tuple[int, list[bytes], str, list[str]]:
        head, separator, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        word, _, number = first.partition(" ")
        text, blank, signatures = note.rpartition("\n\n")
        if word != "old" or not number.isdigit() or str(int(number)) != number or not separator or not blank:
            raise Refused(400)
        if len(lines) > 63 or not note.endswith("\n"):
            raise Refused(400)
        try:
            proof = [base64.b64decode(line, validate=True) for line in lines]
        except ValueError:
            raise Refused(400) from None
        return int(number), proof, text + "\n", signatures.splitlines()

    def signed(self, text: str, signatures: list[str], log: list[str]) -> bool:
        name, key_id, encoded = log
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
        for line in signatures:
            dash, signer, blob = line.split(" ", 2)
            data = base64.b64decode(blob)
            if (dash, signer, data[:4].hex()) != ("—", name, key_id):
                continue
            with contextlib.suppress(InvalidSignature):
                key.verify(data[4:], text.encode())
                return True
        return False

    def cosign(self, text: str) -> str:
        now = int(time.time())
        signature = self.key.sign(f"cosignature/v1\ntime {now}\n{text}".encode())
        key_id = bytes.fromhex(vkey(self.name, self.key.private_bytes_raw()).split("+")[1])
        return f"— {self.name} {base64.b64encode(key_id + now.to_bytes(8, 'big') + signature).decode()}\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    witness: Witness

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.path != "/add-checkpoint":
                raise Refused(404)
            answer = Refused(200, self.witness.add_checkpoint(body))
        except Refused as refused:
            answer = refused
        data = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextlib.contextmanager
def running(state: Path, *logs: str, name: str = NAME, seed: bytes = SEED) -> Iterator[str]:
    """A witness of these logs as a process; its URL."""
    command = [sys.executable, "-m", "tests.support.witness", str(state), name, seed.hex(), *logs]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), "the witness did not start"
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def main(state: str, name: str, seed: str, *logs: str) -> None:
    Handler.witness = Witness(Path(state), name, bytes.fromhex(seed), list(logs))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
