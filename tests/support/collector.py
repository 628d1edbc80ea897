"""A collector on loopback: takes what an export posts, decodes OTLP, and misbehaves on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Got:
    """One request that was taken."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Collector:
    """What came in, and how to answer. ``behave`` may answer by itself, or hang until ``let_go`` is set."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    behave: list[Callable[[Got], Answer | None]] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)
    asked: int = 0

    def fail(self, status: int, times: int = 1, headers: dict[str, str] | None = None, body: bytes = b"no") -> None:
        """Refuse the next requests."""
        self.behave += [lambda _: (status, headers or {}, body)] * times

    def hang(self, times: int = 1) -> None:
        """Say nothing to the next requests."""

        def silent(_: Got) -> Answer:
            self.let_go.wait(60)
            return 503, {}, b""

        self.behave += [silent] * times

    def bodies(self, path: str = "/") -> list[bytes]:
        return [one.body for one in self.got if one.path == path]

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies("/v1/traces")]
        return [
            span for one in requests for res in one.resource_spans for scope in res.scope_spans for span in scope.spans
        ]

    def metrics(self) -> list[Any]:
        requests = [ExportMetricsServiceRequest.FromString(body) for body in self.bodies("/v1/metrics")]
        return [
            item
            for one in requests
            for res in one.resource_metrics
            for scope in res.scope_metrics
            for item in scope.metrics
        ]

    def records(self) -> list[Any]:
        requests = [ExportLogsServiceRequest.FromString(body) for body in self.bodies("/v1/logs")]
        return [
            item
            for one in requests
            for res in one.resource_logs
            for scope in res.scope_logs
            for item in scope.log_records
        ]


def attributes(thing: Any) -> dict[str, Any]:
    """The attributes of a span, record or point."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in thing.attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector while the block lasts."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            got = Got(self.path, dict(self.headers.items()), body)
            found.asked += 1
            answer = found.behave.pop(0)(got) if found.behave else None
            if answer is None:
                found.got.append(got)
            status, headers, data = answer or (200, {}, b"")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # an exporter that cut us off is gone when we answer

    server = Server(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
