"""The server engine over a unix socket, on a real server, and what it puts on servers."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import multiprocessing
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw.decision import Decision
from openclaw.errors import ConfigurationError, PolicyError, PolicyUnavailable
from openclaw.policy import Opa, open_engine
from openclaw.policy.bundle import Bundle
from openclaw.policy.opa import OpaEngine
from tests.policy.support import ALLOW_ALL, policy, write_folder
from tests.support import opa


@pytest.fixture
def unix(opa_binary: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a real server on a socket in a folder whose name must be quoted."""
    (tmp_path / "run 1").mkdir()
    with opa.server(opa_binary, unix=tmp_path / "run 1" / "opa.sock") as url:
        yield url


def both(engine: OpaEngine, document: dict[str, object]) -> Decision:
    first = engine.evaluate(document)  # type: ignore[arg-type]
    assert asyncio.run(engine.aevaluate(document)) == first  # type: ignore[arg-type]
    return first


def test_policies_are_uploaded_and_decide_over_a_unix_socket(unix: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", {"main": policy('allow if input.n < 5\n\ndeny contains "no" if input.bad')})
    with contextlib.closing(OpaEngine(Opa(unix, policies=folder, timeout_s=5))) as engine:
        assert both(engine, {"n": 4}).allowed
        assert both(engine, {"n": 4, "bad": True}).reasons == ("no",)
        assert both(engine, {"n": 5}).code == "no_policy"
        assert engine.revision == Bundle.read(folder).revision == both(engine, {"n": 4}).revision
    with contextlib.closing(OpaEngine(Opa(unix.replace(" ", "%20"), timeout_s=5))) as quoted:
        assert both(quoted, {"n": 4}).allowed


def test_a_token_is_sent_over_the_socket_and_the_environment_changes_nothing(
    opa_binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authz = tmp_path / "authz.rego"
    authz.write_text('package system.authz\n\ndefault allow := false\n\nallow if input.identity == "secret"\n')
    folder = write_folder(tmp_path / "p", {"main": ALLOW_ALL})
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login thief password thief\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    path = tmp_path / "opa.sock"
    arguments = ("--authentication=token", "--authorization=basic", str(authz))
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.settimeout(0)
        with contextlib.ExitStack() as opened:
            # The health check has no token, and 401 is an answer too.
            monkeypatch.setattr(opa, "_answers", lambda url: path.exists())
            url = opened.enter_context(opa.server(opa_binary, *arguments, unix=path))
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
            with contextlib.closing(OpaEngine(Opa(url, token="secret", policies=folder, timeout_s=5))) as engine:
                assert both(engine, {}).allowed
            with pytest.raises(PolicyError, match="does not show its policies"):
                OpaEngine(Opa(url, token="wrong", policies=folder))
        with pytest.raises(BlockingIOError):
            proxy.accept()


def _ask_in_fork(engine: OpaEngine, answers: multiprocessing.Queue[list[str]]) -> None:
    answers.put([engine.evaluate({"n": 1}).code for _ in range(20)])


def test_a_forked_process_has_connections_to_the_socket_of_its_own(unix: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", {"main": ALLOW_ALL})
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[list[str]] = context.Queue()
    with contextlib.closing(OpaEngine(Opa(unix, policies=folder, timeout_s=5))) as engine:
        engine.evaluate({})
        process = context.Process(target=_ask_in_fork, args=(engine, answers))
        process.start()
        mine = [engine.evaluate({"n": 1}).code for _ in range(20)]
        assert answers.get(timeout=30) == mine == ["policy"] * 20
        process.join()


class SocketServer(socketserver.ThreadingUnixStreamServer):
    """An HTTP server on a socket that counts who connects, and answers every request the same, or not at all."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.connections = 0
        self.answering = threading.Event()
        self.answering.set()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SocketServer

    def handle(self) -> None:
        self.server.connections += 1
        super().handle()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answering.wait()
        self.reply(b'{"result": {"effect": "allow"}, "provenance": {"version": "9"}}')

    def do_GET(self) -> None:
        self.reply(b'{"result": []}')

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # Whoever asked may have gone.
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[SocketServer]:
    with SocketServer(tmp_path / "opa.sock") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_connections_to_a_socket_are_kept_alive(impostor: SocketServer, tmp_path: Path) -> None:
    with contextlib.closing(OpaEngine(Opa(f"unix://{tmp_path}/opa.sock", timeout_s=5))) as engine:

        async def ask() -> None:
            for _ in range(5):
                assert (await engine.aevaluate({})).allowed

        asyncio.run(ask())
        for _ in range(5):
            assert engine.evaluate({}).allowed
    assert impostor.connections == 2


def test_a_socket_that_does_not_answer_meets_the_deadline(impostor: SocketServer, tmp_path: Path) -> None:
    with contextlib.closing(OpaEngine(Opa(f"unix://{tmp_path}/opa.sock", timeout_s=0.2))) as engine:
        impostor.answering.clear()
        assert both(engine, {}).code == "deadline"
        impostor.answering.set()
        assert both(engine, {}).allowed


def test_a_server_that_has_ended_denies(opa_binary: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", {"main": ALLOW_ALL})
    with opa.server(opa_binary, unix=tmp_path / "opa.sock") as url:
        engine = OpaEngine(Opa(url, policies=folder, timeout_s=5))
        assert both(engine, {}).allowed
    with contextlib.closing(engine):
        assert {engine.evaluate({}).code, asyncio.run(engine.aevaluate({})).code} == {"unreachable"}


@pytest.mark.parametrize("name", ["nowhere.sock", "x" * 200])
def test_opening_without_a_socket_says_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyUnavailable, match=rf"`unix://.*{name}` cannot be reached: .*; start it, or correct url"):
        open_engine(Opa(f"unix://{tmp_path}/{name}"))


@pytest.mark.parametrize("url", ["unix:", "unix://", "unix:///", "unix://run/opa.sock", "unix:opa.sock", "unix:///a?b"])
def test_a_url_that_names_no_socket_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the URL of a policy server"):
        Opa(url)


def test_a_socket_has_no_certificates() -> None:
    for wrong in ({"ca": "ca.pem"}, {"cert": "client.pem"}):
        with pytest.raises(ConfigurationError, match="a unix socket has no TLS"):
            Opa("unix:///run/opa.sock", **wrong)  # type: ignore[arg-type]


# What is uploaded.


def test_data_that_is_no_longer_wanted_is_taken_away(unix: str, tmp_path: Path) -> None:
    rules = policy("allow if data.limits.max > 1\n\nallow if data.more.yes")
    first = write_folder(tmp_path / "1", {"main": rules, "limits/data.json": '{"max": 5}', "more/data.json": "{}"})
    second = write_folder(tmp_path / "2", {"main": rules, "more/data.json": '{"no": 1}'})
    with contextlib.closing(OpaEngine(Opa(unix, policies=first, timeout_s=5))) as engine:
        assert both(engine, {}).allowed
        with contextlib.closing(OpaEngine(Opa(unix, policies=second, timeout_s=5))) as other:
            assert both(other, {}).code == "no_policy"
        # The first process asks on, and its answers name the policies that gave them.
        assert both(engine, {}).revision == Bundle.read(second).revision != engine.revision


def test_files_whose_names_would_be_taken_for_ours_are_uploaded_too(unix: str, tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "p",
        {
            "decision.rego": policy("allow if true", "one"),
            "serving.rego": policy('deny contains "two" if input.two', "two"),
            "openclaw/serving.rego": policy('deny contains "three" if input.three', "three"),
        },
    )
    with contextlib.closing(OpaEngine(Opa(unix, policies=folder, timeout_s=5))) as engine:
        assert both(engine, {}).allowed
        assert both(engine, {"two": 1}).reasons == ("two",)
        assert both(engine, {"three": 1}).reasons == ("three",)


def test_a_server_that_others_upload_to_can_be_used_as_it_is(unix: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", {"main": ALLOW_ALL})
    with (
        contextlib.closing(OpaEngine(Opa(unix, policies=folder, timeout_s=5))),
        contextlib.closing(OpaEngine(Opa(unix, timeout_s=5))) as reader,
    ):
        assert both(reader, {}).allowed
