"""Bundles over HTTP: what is asked, what is taken, and what goes live of it. The server is on loopback, and real."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw.errors import ConfigurationError, PolicyError, PolicyUnavailable
from openclaw.policy import BundleServer, Key, Opa, PolicyEngine, open_engine
from openclaw.policy.bundle import Bundle
from openclaw.policy.bundle_server import ServerSource
from openclaw.policy.live import LivePolicy, Reload, open_live
from openclaw.policy.source import read_policies
from tests.policy.bundles import PLAIN, archive, gzip, make_pairs, tar
from tests.policy.support import policy, thieves_around, write_folder
from tests.policy.test_opa import certificate
from tests.support import opa
from tests.support.web import FileServer, file_server

ONE, TWO = policy('deny contains "one" if true'), policy('deny contains "two" if true')


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as serving:
        serving.content = archive({"main.rego": ONE})
        yield serving


def live_on(spec: BundleServer) -> LivePolicy:
    policy = open_live(spec)
    assert isinstance(policy, LivePolicy)
    return policy


def unavailable(spec: BundleServer) -> str:
    with pytest.raises(PolicyUnavailable) as caught:
        read_policies(spec)
    return str(caught.value)


def test_a_bundle_is_asked_for_again_only_if_it_has_changed(server: FileServer) -> None:
    told: list[Reload] = []
    with contextlib.closing(live_on(BundleServer(server.url))) as live:
        live.watch(told.append)
        assert live.evaluate({}).reasons == ("one",)
        assert live.poll().outcome == "unchanged"
        assert server.answered == [200, 304]
        server.content = archive({"main.rego": TWO, ".manifest": '{"revision": "v2"}'})
        found = live.poll()
        assert (found.outcome, found.where, found.named) == ("replaced", server.url, "v2")
        assert live.evaluate({}).reasons == ("two",)
        assert live.poll().outcome == "unchanged"
        assert server.answered == [200, 304, 200, 304]
    assert told == [found]
    first, second = server.seen[0][1], server.seen[1][1]
    assert "If-None-Match" not in first
    assert second["If-None-Match"].startswith('"')
    assert first["Accept-Encoding"] == "identity"
    assert {path for path, _ in server.seen} == {"/bundle.tar.gz"}


def test_a_bad_bundle_is_refused_once_and_the_old_stays(server: FileServer) -> None:
    told: list[Reload] = []
    with contextlib.closing(live_on(BundleServer(server.url))) as live:
        live.watch(told.append)
        server.content = archive({"main.rego": "package openclaw.policies.main\n\nallow if {\n"})
        assert [live.poll().outcome for _ in range(3)] == ["refused", "unchanged", "unchanged"]
        assert server.answered == [200, 200, 304, 304]
        server.content = archive({"main.rego": TWO})[:-9]
        assert live.poll().reasons[0].startswith(f"bundle `{server.url}` cannot be read: it is cut off")
        assert live.evaluate({}).reasons == ("one",)
        server.content = archive({"main.rego": ONE})
        assert live.poll().outcome == "unchanged"
    assert [found.outcome for found in told] == ["refused", "refused"]


def test_a_server_without_etags_is_followed_by_what_it_gives(server: FileServer) -> None:
    server.etags = False
    with contextlib.closing(live_on(BundleServer(server.url))) as live:
        assert live.poll().outcome == "unchanged"
        server.content = archive({"main.rego": TWO})
        assert [live.poll().outcome for _ in range(2)] == ["replaced", "unchanged"]
    assert server.answered == [200] * 4


def test_what_could_not_be_recorded_is_asked_for_again(server: FileServer) -> None:
    def fails(_: Reload) -> None:
        raise PolicyError("the log takes nothing")

    with contextlib.closing(live_on(BundleServer(server.url))) as live:
        live.watch(fails)
        server.content = archive({"main.rego": TWO})
        for _ in range(2):
            with pytest.raises(PolicyError):
                live.poll()
        live.watch(None)
        assert live.poll().outcome == "replaced"


def test_an_outage_is_told_once_and_the_old_policies_go_on(server: FileServer) -> None:
    told: list[Reload] = []
    with contextlib.closing(live_on(BundleServer(server.url, timeout_s=5))) as live:
        live.watch(told.append)
        server.answer = lambda handler: handler.reply(503, b"busy")
        assert [live.poll().outcome for _ in range(3)] == ["unavailable"] * 3
        server.answer = lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)
        assert live.poll().outcome == "unavailable"
        server.answer = None
        assert live.poll().outcome == "unchanged"
        assert live.evaluate({}).reasons == ("one",)
    assert told[0].reasons[0] == f"bundle `{server.url}` cannot be had: HTTP status 503"
    assert [found.outcome for found in told] == ["unavailable"] * 2


@pytest.mark.parametrize("status", [204, 206, 304, 401, 403, 404, 500])
def test_only_a_whole_bundle_is_taken(server: FileServer, status: int) -> None:
    server.answer = lambda handler: handler.reply(status, server.content if status not in (204, 304) else b"")
    assert f"cannot be had: HTTP status {status}" in unavailable(BundleServer(server.url))


def test_a_redirection_is_named_and_not_followed(server: FileServer) -> None:
    server.answer = lambda handler: handler.reply(302, b"", {"Location": "https://user:pw@store.example/b?sig=secret"})
    said = unavailable(BundleServer(server.url, token="secret"))
    assert said.endswith("HTTP status 302; redirections are not followed: it leads to `https://store.example/b`")
    assert len(server.seen) == 1


def test_the_size_is_limited_packed_and_unpacked(server: FileServer) -> None:
    server.content = gzip(tar({"main.rego": ONE, "x.txt": bytes(300_000)}))
    assert len(server.content) < 2_000
    with pytest.raises(PolicyError, match="it has more than 200,000 bytes"):
        read_policies(BundleServer(server.url, bytes_max=200_000))
    with pytest.raises(PolicyError, match="has more than 100 bytes"):
        read_policies(BundleServer(server.url, bytes_max=100))
    read_policies(BundleServer(server.url, bytes_max=400_000))


def test_an_endless_answer_ends_at_the_limit(server: FileServer) -> None:
    def endless(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.send_header("Connection", "close")  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"x" * 10_000)  # type: ignore[attr-defined]

    server.answer = endless
    with pytest.raises(PolicyError, match="has more than 1,000,000 bytes"):
        read_policies(BundleServer(server.url, bytes_max=1_000_000))


@pytest.mark.parametrize("dribble", [False, True])
def test_a_server_that_does_not_come_to_an_end_meets_the_time_limit(server: FileServer, dribble: bool) -> None:
    done = threading.Event()

    def hang(handler: object) -> None:
        if dribble:
            handler.send_response(200)  # type: ignore[attr-defined]
            handler.send_header("Content-Length", "1000000")  # type: ignore[attr-defined]
            handler.end_headers()  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            while not done.wait(0.02):
                if dribble:
                    handler.wfile.write(b" ")  # type: ignore[attr-defined]

    server.answer = hang
    assert "cannot be had: no answer within 0.2 s" in unavailable(BundleServer(server.url, timeout_s=0.2))
    done.set()


def test_a_body_that_is_shorter_than_it_says_is_not_taken(server: FileServer) -> None:
    def short(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.send_header("Content-Length", str(len(server.content) + 5))  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        handler.wfile.write(server.content)  # type: ignore[attr-defined]
        handler.close_connection = True  # type: ignore[attr-defined]

    server.answer = short
    assert "cannot be had" in unavailable(BundleServer(server.url))


def test_closing_gives_up_a_download(server: FileServer) -> None:
    entered, done = threading.Event(), threading.Event()

    def dribble(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.send_header("Content-Length", "1000000")  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            while not done.wait(0.01):
                handler.wfile.write(b" ")  # type: ignore[attr-defined]
                entered.set()

    live = live_on(BundleServer(server.url, timeout_s=100))
    server.answer = dribble
    thread = threading.Thread(target=live.poll)
    thread.start()
    assert entered.wait(30)
    live.close()
    thread.join(30)
    assert not thread.is_alive()
    done.set()


def test_a_server_may_call_the_file_itself_an_encoding(server: FileServer) -> None:
    server.headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-tar"}
    assert read_policies(BundleServer(server.url)).files == {"main.rego": ONE.encode()}


def test_the_environment_neither_sees_the_request_nor_replaces_the_token(
    server: FileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with thieves_around(monkeypatch, tmp_path):
        read_policies(BundleServer(server.url, token="secret"))
        read_policies(BundleServer(server.url))
    assert [headers.get("Authorization") for _, headers in server.seen] == ["Bearer secret", None]


def test_an_authority_and_a_client_certificate_of_ones_own(server: FileServer, tmp_path: Path) -> None:
    for name, issuer in (("authority", None), ("server", "authority"), ("client", "authority"), ("stranger", None)):
        certificate(tmp_path, name, issuer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(tmp_path / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    ca, pair = tmp_path / "authority.pem", (tmp_path / "client.pem", tmp_path / "client.key")
    read_policies(BundleServer(url, ca=ca, cert=pair))
    both = tmp_path / "both.pem"
    both.write_bytes(pair[0].read_bytes() + pair[1].read_bytes())
    read_policies(BundleServer(url, ca=ca, cert=both))
    for wrong in (
        BundleServer(url, cert=pair),
        BundleServer(url, ca=tmp_path / "stranger.pem", cert=pair),
        BundleServer(url, ca=ca),
    ):
        assert "cannot be had" in unavailable(wrong)
    for absent in (BundleServer(url, ca=tmp_path / "nowhere"), BundleServer(url, ca=ca, cert=tmp_path / "server.key")):
        with pytest.raises(PolicyError, match=r"the certificates for .* cannot be used"):
            ServerSource(absent)


@pytest.mark.parametrize("url", ["", "bundle.tar.gz", "ftp://host/b", "http://", "http://host:port/b", "unix:///b"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the URL of a bundle"):
        BundleServer(url)


def test_secrets_of_a_url_are_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="a password in a URL"):
        BundleServer("https://user:secret@host/b.tar.gz")
    spec = BundleServer("https://host/b.tar.gz?signature=secret", token="secret")
    assert repr(spec) == "BundleServer(url='https://host/b.tar.gz')"
    assert ServerSource(spec).where == "https://host/b.tar.gz"
    for wrong in ({"timeout_s": 0}, {"timeout_s": float("nan")}, {"bytes_max": 0}, {"poll_s": 0}, {"token": "a\n"}):
        with pytest.raises(ConfigurationError):
            BundleServer("https://host/b", **wrong)  # type: ignore[arg-type]


# With the real opa.


def opa_build(binary: str, folder: Path, out: Path, *arguments: str) -> Path:
    command = [binary, "build", "-b", ".", "-o", str(out), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_a_bundle_that_opa_built_and_signed_is_followed_and_another_key_is_refused(
    server: FileServer, opa_binary: str, tmp_path: Path
) -> None:
    pairs = make_pairs(tmp_path)
    folder = write_folder(tmp_path / "f", PLAIN)
    signing = ["--signing-alg", "ES256", "--signing-key"]
    good = opa_build(opa_binary, folder, tmp_path / "good.tar.gz", *signing, str(pairs["ES256"].private))
    server.content = good.read_bytes()
    key = Key(pairs["ES256"].public, "ES256")
    with contextlib.closing(live_on(BundleServer(server.url, key=key))) as live:
        assert live.revision == Bundle.read(folder).revision
        write_folder(folder, {"limits/data.json": '{"max": 7}'})
        server.content = opa_build(opa_binary, folder, tmp_path / "plain.tar.gz").read_bytes()
        assert "is not signed" in live.poll().reasons[0]
        rsa = opa_build(opa_binary, folder, tmp_path / "rsa.tar.gz", "--signing-key", str(pairs["RS"].private))
        server.content = rsa.read_bytes()
        assert "it says `RS256`, and the key is one for ES256" in live.poll().reasons[0]
        assert not live.evaluate({"n": 6}).allowed
        opa_build(opa_binary, folder, tmp_path / "good.tar.gz", *signing, str(pairs["ES256"].private))
        server.content = (tmp_path / "good.tar.gz").read_bytes()
        found = live.poll()
        assert (found.outcome, found.signed) == ("replaced", "ES256")
        assert live.evaluate({"n": 6}).allowed


def test_an_opa_server_is_given_what_a_bundle_server_has(server: FileServer, opa_binary: str, tmp_path: Path) -> None:
    with opa.server(opa_binary) as url:
        spec = Opa(url, policies=BundleServer(server.url), timeout_s=5)
        with contextlib.closing(open_engine(spec)) as engine:
            assert engine.evaluate({}).reasons == ("one",)
        live: PolicyEngine = open_live(spec)
        assert isinstance(live, LivePolicy)
        with contextlib.closing(live):
            server.content = archive({"main.rego": TWO})
            assert live.poll().outcome == "replaced"
            assert live.evaluate({}).reasons == ("two",)
