"""The program of the child process in which regopy evaluates. Run by file name, it imports nothing else of openclaw.

Frames in both directions: four bytes of length and four bytes of number (both big endian), then the content. An answer
has the number of its request. The first request is a JSON object ``{"modules": [[name, text], …], "data": "…",
"entry": "openclaw/decision", "calls": ["name", …]}``, answered by ``{"version": …, "missing": [names that are no
built-in], "error": null | {…}}``. Every further request is one input in canonical JSON, answered by one letter and a
text: ``A`` the answer's JSON, ``U`` undefined, ``E`` an error message.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

HEADER_BYTES = 8


def main(descriptor: int) -> None:
    """Serve the parent on the socket with this file descriptor until it closes."""
    # What the engine prints (print() in a policy, its own messages) must reach neither the parent's output nor its errors.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    with socket.socket(fileno=descriptor) as parent:
        request = _receive(parent)
        if request is None:
            return
        number, loading = request
        evaluator, reply = _load(json.loads(loading))
        _send(parent, number, json.dumps(reply).encode())
        while evaluator is not None and (request := _receive(parent)) is not None:
            number, encoded = request
            _send(parent, number, evaluator(encoded))


def _load(request: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    import regopy
    from regopy import rego_shared as rego

    interpreter = regopy.Interpreter()
    interpreter.log_level = regopy.LogLevel.NONE
    # Without it an error of a built-in is undefined, and `not failing(…)` is true.
    interpreter.strict_built_in_errors = True
    reply: dict[str, Any] = {"version": _version(), "missing": [], "error": None}
    place = ""
    try:
        interpreter.add_data_json(request["data"])
        for name, text in request["modules"]:
            place = name
            interpreter.add_module(name, text)
        place = ""
        reply["missing"] = [name for name in request["calls"] if not interpreter.is_builtin(name)]
        bundle = interpreter.build(None, [request["entry"]])
        if not bundle.ok():
            raise regopy.RegoError("the policies do not compile")
    except (regopy.RegoError, ValueError, OSError) as error:
        reply["error"] = {"file": place, "message": str(error)}
        return None, reply
    # The library's own wrapper of an answer fails on some errors; below it, each can be told.
    impl: Any = interpreter._impl  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    compiled: Any = bundle._impl  # noqa: SLF001 # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
    entry: str = request["entry"]

    def evaluate(encoded: bytes) -> bytes:
        # Keeps interpreter and bundle alive as long as itself.
        assert interpreter is not None
        assert bundle is not None
        try:
            interpreter.set_input_term(encoded.decode())
            output = rego.rego_bundle_query_entrypoint(impl, compiled, entry)
            if not output:
                return b"E" + rego.rego_get_error(impl).encode()
            try:
                text = rego.rego_output_string(output)
                if not rego.rego_output_ok(output):
                    return b"E" + (_messages(rego, rego.rego_output_node(output)) or "no message").encode()
            finally:
                rego.rego_free_output(output)
        except (regopy.RegoError, ValueError) as error:
            return b"E" + str(error).encode()
        if text == "undefined":
            return b"U"
        # Some errors come as a good output whose text is an error tree.
        return (b"A" if text.startswith('{"expressions":[') else b"E") + text.encode()

    return evaluate, reply


def _messages(rego: Any, node: Any) -> str:
    """The text of every error message below ``node``."""
    found: list[str] = []
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if rego.rego_node_type(at) == rego.NodeKind.ErrorMessage:
            found.append(rego.rego_node_value(at))
        waiting += [rego.rego_node_get(at, index) for index in range(rego.rego_node_size(at))]
    return "; ".join(dict.fromkeys(found))


def _version() -> str:
    from importlib.metadata import version

    return version("regopy")


def _receive(parent: socket.socket) -> tuple[bytes, bytes] | None:
    """The number and the content of one frame; None where the parent has closed its end."""
    header = _exactly(parent, HEADER_BYTES)
    content = None if header is None else _exactly(parent, int.from_bytes(header[:4], "big"))
    return None if header is None or content is None else (header[4:], content)


def _exactly(parent: socket.socket, size: int) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        part = parent.recv(min(size - len(content), 1 << 20))
        if not part:
            return None
        content += part
    return bytes(content)


def _send(parent: socket.socket, number: bytes, content: bytes) -> None:
    parent.sendall(len(content).to_bytes(4, "big") + number + content)


if __name__ == "__main__":
    main(int(sys.argv[1]))
