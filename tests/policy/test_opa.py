"""The server engine where the server, the network or the environment is not as it should be."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.server
import json
import multiprocessing
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from openclaw.decision import Decision, Effect
from openclaw.errors import ConfigurationError, PolicyError
from openclaw.policy import Opa, open_engine
from openclaw.policy.bundle import combining_rules
from openclaw.policy.opa import OpaEngine
from tests.policy.support import ALLOW_ALL, policy, thieves_around, write_folder
from tests.support import opa

Answer = tuple[int, bytes]
GOOD: Answer = (200, json.dumps({"result": {"effect": "allow"}, "provenance": {"version": "9"}}).encode())


class Impostor(http.server.ThreadingHTTPServer):
    """An HTTP server in the place of OPA: well-behaved until a test gives it something else to say."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Answer | Callable[[_Handler], None] = GOOD
        self.seen: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Impostor

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, dict(self.headers), body))
        if callable(self.server.answer):
            self.server.answer(self)
        else:
            self.reply(*self.server.answer)

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers), b""))
        self.reply(200, b'{"result": []}')

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    with Impostor() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def both(engine: OpaEngine, document: dict[str, object]) -> Decision:
    """The decision of both clients, which must be one."""
    first = engine.evaluate(document)  # type: ignore[arg-type]
    assert asyncio.run(engine.aevaluate(document)) == first  # type: ignore[arg-type]
    return first


@pytest.fixture
def against(impostor: Impostor) -> Iterator[OpaEngine]:
    with contextlib.closing(OpaEngine(Opa(impostor.url, timeout_s=5))) as engine:
        yield engine


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"", "malformed"),
        (200, b"<html>", "malformed"),
        (200, b"[]", "malformed"),
        (200, b"[" * 100_000, "malformed"),
        (200, b"{}", "undefined"),
        (200, b'{"result": null}', "malformed"),
        (200, b'{"result": true}', "malformed"),
        (200, b'{"result": {"allow": false}}', "malformed"),
        (200, b'{"result": "deny"}', "malformed"),
        (200, b'{"result": []}', "malformed"),
        (200, b'{"result": ["blocked"]}', "malformed"),
        (200, b'{"result": {"effect": NaN}}', "malformed"),
        (201, b'{"result": {"effect": "allow"}}', "engine_error"),
        (302, b'{"result": {"effect": "allow"}}', "engine_error"),
        (401, b'{"code": "unauthorized", "message": "no token"}', "engine_error"),
        (404, b"not found", "engine_error"),
        (500, b'{"code": "internal_error", "message": "broken", "result": {"effect": "allow"}}', "engine_error"),
        (502, b"bad gateway", "unreachable"),
        (503, b"", "unreachable"),
    ],
)
def test_c2_no_answer_but_a_clear_allow_allows(
    impostor: Impostor, against: OpaEngine, status: int, body: bytes, code: str
) -> None:
    impostor.answer = status, body
    decision = both(against, {})
    assert (decision.effect, decision.code) == (Effect.DENY, code)


def test_an_error_of_the_server_is_told_with_its_place(impostor: Impostor, against: OpaEngine) -> None:
    error = {"message": "to_number: no", "location": {"file": "pay.rego", "row": 3, "col": 7}}
    impostor.answer = 500, json.dumps({"code": "internal_error", "message": "failed", "errors": [error]}).encode()
    assert both(against, {}).reasons == ("the policy failed: failed; pay.rego:3:7: to_number: no",)


def test_c1_a_server_that_is_gone_denies(impostor: Impostor, against: OpaEngine) -> None:
    impostor.answer = lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)
    assert {against.evaluate({}).code, asyncio.run(against.aevaluate({})).code} == {"unreachable"}


def test_c1_a_server_that_has_ended_denies(opa_binary: str, tmp_path: Path) -> None:
    with opa.server(opa_binary) as url:
        engine = OpaEngine(Opa(url, policies=write_folder(tmp_path, {"main": ALLOW_ALL})))
        assert both(engine, {}).allowed
    with contextlib.closing(engine):
        assert {engine.evaluate({}).code, asyncio.run(engine.aevaluate({})).code} == {"unreachable"}


@pytest.mark.parametrize("dribble", [False, True])
def test_a_server_that_does_not_come_to_an_end_meets_the_deadline(impostor: Impostor, dribble: bool) -> None:
    done = threading.Event()

    def hang(handler: _Handler) -> None:
        if dribble:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
        with contextlib.suppress(OSError):
            while not done.wait(0.02):
                if dribble:
                    handler.wfile.write(b" ")

    engine = OpaEngine(Opa(impostor.url, timeout_s=0.2))
    impostor.answer = hang
    with contextlib.closing(engine):
        decision = both(engine, {})
        assert (decision.effect, decision.code) == (Effect.DENY, "deadline")
        assert decision.reasons == ("no decision within 200 ms",)
        impostor.answer = GOOD
        assert both(engine, {}).allowed
    done.set()


async def test_cancellation_passes_through(impostor: Impostor) -> None:
    done, entered = threading.Event(), threading.Event()

    def hang(handler: _Handler) -> None:
        entered.set()
        done.wait()

    engine = await asyncio.to_thread(OpaEngine, Opa(impostor.url, timeout_s=30))
    impostor.answer = hang
    task = asyncio.create_task(engine.aevaluate({}))
    await asyncio.to_thread(entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    done.set()
    impostor.answer = GOOD
    assert (await engine.aevaluate({})).allowed
    engine.close()
    await asyncio.sleep(0)


def test_the_request_is_canonical_json_with_the_token_and_strict_built_ins(impostor: Impostor) -> None:
    engine = OpaEngine(Opa(impostor.url, token="secret"))
    impostor.seen.clear()
    with contextlib.closing(engine):
        both(engine, {"b": 1.0, "a": "é"})
    (one, two) = impostor.seen
    assert one[2] == two[2] == '{"input":{"a":"é","b":1}}'.encode()
    for path, headers, _ in impostor.seen:
        assert path == "/v1/data/openclaw/decision?strict-builtin-errors=true&provenance=true"
        assert headers["Authorization"] == "Bearer secret"
    assert "secret" not in repr(Opa(impostor.url, token="secret"))


def test_the_environment_neither_sees_the_input_nor_replaces_the_token(
    impostor: Impostor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (
        thieves_around(monkeypatch, tmp_path),
        contextlib.closing(OpaEngine(Opa(impostor.url, token="secret"))) as engine,
    ):
        assert both(engine, {}).allowed
    assert {headers["Authorization"] for _, headers, _ in impostor.seen} == {"Bearer secret"}


def test_connections_are_kept_alive(impostor: Impostor, against: OpaEngine) -> None:
    peers: set[object] = set()

    def remember(handler: _Handler) -> None:
        peers.add(handler.client_address)
        handler.reply(*GOOD)

    impostor.answer = remember

    async def ask() -> None:
        for _ in range(5):
            await against.aevaluate({})

    asyncio.run(ask())
    for _ in range(5):
        against.evaluate({})
    assert len(peers) == 2


def _ask_in_fork(engine: OpaEngine, answers: multiprocessing.Queue[list[str]]) -> None:
    answers.put([engine.evaluate({"n": 1}).code for _ in range(20)])


def test_a_forked_process_has_connections_of_its_own(impostor: Impostor, against: OpaEngine) -> None:
    peers: dict[object, int] = {}

    def remember(handler: _Handler) -> None:
        peers[handler.client_address] = peers.get(handler.client_address, 0) + 1
        handler.reply(*GOOD)

    against.evaluate({})
    impostor.answer = remember
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[list[str]] = context.Queue()
    process = context.Process(target=_ask_in_fork, args=(against, answers))
    process.start()
    mine = [against.evaluate({}).code for _ in range(20)]
    assert answers.get(timeout=30) == mine == ["policy"] * 20
    process.join()
    assert sorted(peers.values()) == [20, 20]


def test_the_revision_is_the_one_that_the_server_names_with_the_answer(impostor: Impostor, against: OpaEngine) -> None:
    def answer(revision: str) -> Answer:
        provenance = {"version": "9", "bundles": {"main": {"revision": revision}}}
        return 200, json.dumps({"result": {"effect": "allow"}, "provenance": provenance}).encode()

    impostor.answer = answer("one")
    assert both(against, {}).revision == "main=one"
    impostor.answer = answer("two")
    assert both(against, {}).revision == against.revision == "main=two"


def test_an_answer_that_is_given_again_is_each_callers_own(impostor: Impostor, against: OpaEngine) -> None:
    duty = {"kind": "mask", "fields": ["args.iban"]}
    impostor.answer = 200, json.dumps({"result": {"effect": "allow", "obligations": [duty]}, "provenance": {}}).encode()
    first = against.evaluate({})
    first.obligations[0].params["fields"].append("args.note")  # type: ignore[union-attr]
    assert both(against, {}).obligations[0].params == {"fields": ["args.iban"]}


def test_the_same_answer_to_another_who_asks_names_that_one(impostor: Impostor, against: OpaEngine) -> None:
    assert both(against, {}).engine == "opa 9"
    impostor.answer = 200, GOOD[1].replace(b'"9"', b'"10"')
    with contextlib.closing(OpaEngine(Opa(impostor.url, timeout_s=5))) as other:
        impostor.answer = GOOD
        assert both(other, {}).engine == "opa 10"


@pytest.mark.parametrize(
    "url", ["", "localhost:8181", "ftp://host", "http://", "http://host:port", "http://host:0", "/data"]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the URL of a policy server"):
        Opa(url)


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout_s: float) -> None:
    with pytest.raises(ConfigurationError, match="is no time"):
        Opa("http://host", timeout_s=timeout_s)


def test_opening_without_a_server_says_so() -> None:
    with pytest.raises(PolicyError, match="cannot be reached: connection refused; start it, or correct url"):
        open_engine(Opa("http://127.0.0.1:1"))


# A real server.


def test_a_server_without_the_combining_rules_is_refused(opa_binary: str) -> None:
    with opa.server(opa_binary) as url, pytest.raises(PolicyError, match=r"has no `data\.openclaw\.decision`"):
        open_engine(Opa(url))


def test_a_server_with_its_own_policies_decides_by_them(opa_binary: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"main": ALLOW_ALL, "decision.rego": combining_rules().text})
    with opa.server(opa_binary, str(folder)) as url, contextlib.closing(OpaEngine(Opa(url))) as engine:
        assert both(engine, {}).allowed
        assert engine.revision.startswith("sha256:")
        assert engine.name.startswith("opa 1.")


def test_a_nested_package_on_the_server_is_refused_since_it_would_not_be_asked(opa_binary: str, tmp_path: Path) -> None:
    nested = 'package openclaw.policies.eu.payments\n\ndeny contains "no" if true\n'
    folder = write_folder(tmp_path, {"main": ALLOW_ALL, "eu": nested, "decision.rego": combining_rules().text})
    with (
        opa.server(opa_binary, str(folder)) as url,
        pytest.raises(PolicyError, match=r"openclaw\.policies\.eu_payments"),
    ):
        open_engine(Opa(url))


def test_an_upload_replaces_what_was_uploaded_before_and_nothing_else(opa_binary: str, tmp_path: Path) -> None:
    lib = "package lib.limits\n\nwithin(n) if n <= data.settings.max\n"
    uses = policy("import data.lib.limits\n\nallow if limits.within(input.n)", "uses")
    first = write_folder(
        tmp_path / "first",
        {"uses": uses, "lib": lib, "settings/data.json": '{"max": 5}', "old": policy("deny if true", "old")},
    )
    renamed = lib.replace("within", "inside")
    second = write_folder(
        tmp_path / "second",
        {"uses": uses.replace("within", "inside"), "lib": renamed, "settings/data.json": '{"max": 7}'},
    )
    others = write_folder(tmp_path / "others", {"other.rego": "package other\n\nx := 1\n"})
    with opa.server(opa_binary, str(others)) as url:
        with contextlib.closing(OpaEngine(Opa(url, policies=first))) as engine:
            assert both(engine, {"n": 5}).rules == ("policies.old.deny",)
        with contextlib.closing(OpaEngine(Opa(url, policies=second))) as engine:
            assert [both(engine, {"n": number}).allowed for number in (7, 8)] == [True, False]
            listed = [found["id"] for found in json.loads(engine._administer("GET", "/v1/policies").body)["result"]]
    assert sorted(name for name in listed if name.startswith("openclaw/")) == [
        "openclaw/decision.rego",
        "openclaw/lib.rego",
        "openclaw/serving.rego",
        "openclaw/uses.rego",
    ]
    assert len(listed) == 5


def test_an_upload_that_does_not_compile_leaves_no_decision(opa_binary: str, tmp_path: Path) -> None:
    good = write_folder(tmp_path / "good", {"main": ALLOW_ALL})
    bad = write_folder(tmp_path / "bad", {"main": policy("allow if nobody(input.x)")})
    with opa.server(opa_binary) as url, contextlib.closing(OpaEngine(Opa(url, policies=good))) as engine:
        assert both(engine, {}).allowed
        with pytest.raises(PolicyError) as caught:
            open_engine(Opa(url, policies=bad))
        assert [(Path(found.file).name, found.line, found.column) for found in caught.value.diagnostics] == [
            ("main.rego", 3, 10)
        ]
        assert both(engine, {}).code == "undefined"


def test_policies_of_others_in_our_packages_are_refused(opa_binary: str, tmp_path: Path) -> None:
    theirs = write_folder(tmp_path / "theirs", {"theirs": policy("allow if true", "theirs")})
    ours = write_folder(tmp_path / "ours", {"main": policy("deny if true")})
    with opa.server(opa_binary, str(theirs)) as url, pytest.raises(PolicyError, match="has policies of its own"):
        open_engine(Opa(url, policies=ours))


def certificate(folder: Path, name: str, issuer: str | None = None) -> None:
    """Write ``name.pem`` and ``name.key``: an authority, or a certificate for 127.0.0.1 that ``issuer`` signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signer, signer_name = key, subject
    if issuer is not None:
        loaded = serialization.load_pem_private_key((folder / f"{issuer}.key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer, signer_name = loaded, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
    import ipaddress

    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_tls_with_an_authority_and_a_client_certificate_of_ones_own(impostor: Impostor, tmp_path: Path) -> None:
    certificate(tmp_path, "authority")
    certificate(tmp_path, "server", "authority")
    certificate(tmp_path, "client", "authority")
    certificate(tmp_path, "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(tmp_path / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    impostor.socket = context.wrap_socket(impostor.socket, server_side=True)
    url = impostor.url.replace("http:", "https:")
    pair = (tmp_path / "client.pem", tmp_path / "client.key")
    with contextlib.closing(OpaEngine(Opa(url, ca=tmp_path / "authority.pem", cert=pair, timeout_s=5))) as engine:
        assert both(engine, {}).allowed
    for wrong in (
        Opa(url, cert=pair),
        Opa(url, ca=tmp_path / "stranger.pem", cert=pair),
        Opa(url, ca=tmp_path / "authority.pem"),
        Opa(url, ca=tmp_path / "nowhere.pem"),
        Opa(url, ca=tmp_path / "client.key"),
    ):
        with pytest.raises(PolicyError):
            OpaEngine(wrong)
