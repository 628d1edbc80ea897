"""An HTTP server on loopback that serves bundles as real ones do: with ETags, and whatever else a test wants of it."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator


class FileServer(http.server.ThreadingHTTPServer):
    """Serves ``content`` under every path; ``answer``, where a test sets it, answers instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = b""
        self.etags = True
        self.headers: dict[str, str] = {}
        self.answer: Callable[[_Handler], None] | None = None
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.answered: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/bundle.tar.gz"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        if self.server.answer is not None:
            self.server.answer(self)
            return
        etag = f'"{hashlib.sha256(self.server.content).hexdigest()[:16]}"' if self.server.etags else ""
        headers = {**self.server.headers, **({"ETag": etag} if etag else {})}
        if etag and self.headers.get("If-None-Match") == etag:
            self.reply(304, b"", headers)
        else:
            self.reply(200, self.server.content, headers)

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.server.answered.append(status)
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # Whoever asked may have had enough.
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def file_server() -> Iterator[FileServer]:
    """One that serves until the block ends."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
