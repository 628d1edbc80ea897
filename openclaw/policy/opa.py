"""The engine on a server: Open Policy Agent over its REST API, through the clients of opa-python-client.

Their connections and sessions are used, and not their query methods: those turn input and answers into JSON their own
way, and lose what the server says about an error. Both clients share all that asks and all that reads.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote, urlsplit

import aiohttp
import requests
import urllib3
from opa_client import AsyncOpaClient, OpaClient
from opa_client.errors import ConnectionsError
from pydantic import JsonValue
from requests.adapters import HTTPAdapter

from openclaw.canonical import canonical, digest
from openclaw.decision import Decision, DecisionCode
from openclaw.errors import Diagnostic, PolicyError
from openclaw.policy.bundle import DECISION_FILE, Bundle, Module, misplaced
from openclaw.policy.engine import ENTRY_POINT, BadInput, encode, read_answer
from openclaw.policy.results import Results, reading, reading_of
from openclaw.policy.scan import scan
from openclaw.policy.spec import Opa

CONNECTIONS_MAX = 64
ADMIN_TIMEOUT_S = 10.0
"""How long the server may take to compile what is uploaded to it, in seconds."""

_QUERY = f"/v1/data/{ENTRY_POINT}?strict-builtin-errors=true&provenance=true"
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_OURS = "openclaw/"  # What we upload is named so; other policies of the server are left alone.


class _AsyncClient(AsyncOpaClient):
    """The asynchronous client with a certificate authority of one's own, which its base cannot be given."""

    def __init__(self, *, tls: ssl.SSLContext | None, **settings: object) -> None:
        super().__init__(**settings)  # pyright: ignore[reportUnknownMemberType]
        self._tls = tls

    async def _init_session(self) -> None:
        self._connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=self._tls or True)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            headers=cast("Mapping[str, str] | None", self.headers),  # pyright: ignore[reportUnknownMemberType]
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    def session(self) -> aiohttp.ClientSession:
        """The session of this client, inside ``async with``."""
        assert self._session is not None
        return self._session


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes


class OpaEngine:
    """Decides on an OPA server. Connections are kept alive; one asynchronous client serves each event loop.

    Raises:
        PolicyError: the server cannot be reached, does not compile what is uploaded, or has no decision to give.
    """

    def __init__(self, spec: Opa) -> None:
        self._spec = spec
        self._url = spec.url.rstrip("/")
        self._tls = _tls(spec)
        self._closed = False
        self._lock = threading.Lock()
        self._sync = self._client()
        self._async: dict[asyncio.AbstractEventLoop, tuple[_AsyncClient, AsyncGenerator[None]]] = {}
        self._name = "opa"
        self._revision = self._looked_at = ""
        self._results = Results.UNREAD
        engine = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: (alive := engine()) and alive.fork())
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """Engine and version."""
        return self._name

    @property
    def revision(self) -> str:
        """Digest of what was uploaded; else the bundle revisions that the server named last, or its policies' digest."""
        return self._revision

    @property
    def results(self) -> Results:
        """What the policies say of results. A server that has got others since is asked about every result."""
        changed = self._revision != self._looked_at and self._results is Results.UNREAD
        return Results.GUARDED if changed else self._results

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002 - the contract's own name
        """Decide on one input; never raises."""
        try:
            body = self._body(input)
            return self._read(self._send("POST", _QUERY, body, self._spec.timeout_s))
        except _FOREIGN as error:
            return self._failed(error)

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        """The same decision, without blocking the event loop."""
        try:
            body = self._body(input)
            client = await self._async_client()
            async with client.session().post(
                self._url + _QUERY, data=body, headers=_HEADERS, allow_redirects=False
            ) as response:
                return self._read(_Reply(response.status, await response.read()))
        except _FOREIGN as error:
            return self._failed(error)

    def close(self) -> None:
        """Close all connections. Decisions after this are denials."""
        with self._lock:
            self._closed = True
            clients, self._async = dict(self._async), {}
        self._sync.close_connection()
        for loop, (_, lifetime) in clients.items():
            if loop.is_running():
                _close_in(loop, lifetime)

    # One way of asking and one of reading, for both clients.

    def _body(self, input: Mapping[str, JsonValue]) -> bytes:  # noqa: A002
        if self._closed:
            raise _Closed
        return b'{"input":' + encode(input) + b"}"

    def _read(self, reply: _Reply) -> Decision:
        try:
            answer = json.loads(reply.body, parse_constant=_not_json)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            return self._deny(*_unexpected(reply))
        fields = cast("dict[str, JsonValue]", answer)
        if reply.status != requests.codes.ok:
            return self._deny(*_refused(reply, fields))
        revision = self._served_revision(fields)
        if "result" not in fields:
            return read_answer(None, revision=revision, engine=self._name)
        if fields["result"] is None:
            return self._deny("the policy's decision is null", "malformed")
        return read_answer(fields["result"], revision=revision, engine=self._name)

    def _failed(self, error: Exception) -> Decision:
        """The denial for whatever the clients and their libraries raise."""
        if isinstance(error, BadInput):
            return self._deny(str(error), "bad_input")
        if isinstance(error, _Closed):
            return self._deny("the policy engine is closed", "engine_error")
        if isinstance(error, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError):
            return self._deny(f"no decision within {self._spec.timeout_s * 1000:g} ms", "deadline")
        return self._deny(f"the policy server `{self._url}` cannot be reached: {_one_line(error)}", "unreachable")

    def _deny(self, reason: str, code: DecisionCode) -> Decision:
        return Decision.deny(reason, code=code, revision=self._revision, engine=self._name)

    def _served_revision(self, fields: Mapping[str, JsonValue]) -> str:
        if self._spec.policies is not None:
            return self._revision
        named = _bundle_revisions(fields.get("provenance"))
        if named:
            self._revision = named
        return self._revision

    # Clients.

    def _client(self) -> OpaClient:
        client = OpaClient(**self._settings())
        session = client._session  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        # A proxy would be shown every input, and a .netrc entry would replace the token.
        session.trust_env = False
        session.verify = str(self._spec.ca) if self._spec.ca else True
        adapter = HTTPAdapter(max_retries=0, pool_connections=1, pool_maxsize=CONNECTIONS_MAX)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return client

    def _settings(self) -> dict[str, object]:
        parts = urlsplit(self._url)
        secure = parts.scheme == "https"
        cert = self._spec.cert
        return {
            "host": parts.hostname or "",
            "port": parts.port or (443 if secure else 80),
            "ssl": secure,
            "cert": tuple(map(str, cert)) if isinstance(cert, tuple) else str(cert) if cert else None,
            "token": self._spec.token,
            "retries": 0,
            "timeout": self._spec.timeout_s,
        }

    def _send(self, method: str, path: str, body: bytes | None, timeout_s: float) -> _Reply:
        """One request of the synchronous client, whole, within ``timeout_s``."""
        until = time.monotonic() + timeout_s
        session = self._sync._session  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        with session.request(
            method,
            self._url + path,
            data=body,
            headers=_HEADERS,
            timeout=timeout_s,
            allow_redirects=False,
            stream=True,
        ) as response:
            content = bytearray()
            # Piece by piece: the session's own timeout is for one piece, however many there are.
            while part := response.raw.read1(1 << 16, decode_content=True):
                content += part
                if time.monotonic() > until:
                    raise TimeoutError
            return _Reply(response.status_code, bytes(content))

    async def _async_client(self) -> _AsyncClient:
        loop = asyncio.get_running_loop()
        found = self._async.get(loop)
        if found is not None:
            return found[0]
        client = _AsyncClient(tls=self._tls, **self._settings())
        lifetime = _lifetime(client)
        # Runs to its yield without giving way, so that no other task of this loop makes a second client meanwhile.
        await anext(lifetime)
        with self._lock:
            for ended in [other for other in self._async if other.is_closed()]:
                del self._async[ended]
            self._async[loop] = client, lifetime
        return client

    def fork(self) -> None:
        """In a forked process: connections are the parent's, and would mix up the answers of both."""
        self._lock = threading.Lock()
        self._async = {}
        self._sync = self._client()

    # Opening: upload, or see what is there.

    def _open(self) -> None:
        try:
            if self._spec.policies is not None:
                bundle = Bundle.read(self._spec.policies)
                self._upload(bundle)
                self._revision = bundle.revision
                self._results = reading_of(bundle)
            provenance = self._check_decision()
            self._name = f"opa {provenance.get('version', '')}".strip()
            if self._spec.policies is None:
                self._revision = self._look_around(provenance)
            self._looked_at = self._revision
        except _FOREIGN as error:
            raise PolicyError(
                f"the policy server `{self._url}` cannot be reached: {_one_line(error)}",
                hint="start it, or correct url, token and certificates",
            ) from error

    def _check_decision(self) -> Mapping[str, JsonValue]:
        reply = self._send("POST", _QUERY, b'{"input":{}}', ADMIN_TIMEOUT_S)
        fields = _fields(reply)
        if reply.status != requests.codes.ok or "provenance" not in fields:
            raise PolicyError(f"`{self._url}` does not answer as an OPA server does: {_refused(reply, fields)[0]}")
        if not isinstance(fields.get("result"), dict):
            raise PolicyError(
                f"the policy server `{self._url}` has no `data.openclaw.decision`",
                hint="add the shipped decision.rego to its bundle, or give `Opa(…, policies=folder)` to upload",
            )
        return cast("Mapping[str, JsonValue]", fields["provenance"])

    def _policies(self) -> dict[str, str]:
        """The source of every policy on the server, by its name there."""
        reply = self._send("GET", "/v1/policies", None, ADMIN_TIMEOUT_S)
        found = _fields(reply).get("result")
        if reply.status != requests.codes.ok or not isinstance(found, list):
            raise PolicyError(
                f"the policy server `{self._url}` does not show its policies: {_refused(reply, _fields(reply))[0]}",
                hint="let this client read /v1/policies",
            )
        policies = cast("list[dict[str, str]]", found)
        return {policy["id"]: policy.get("raw", "") for policy in policies}

    def _look_around(self, provenance: Mapping[str, JsonValue]) -> str:
        """The revision of what the server has by itself, having made sure that all of it takes part."""
        policies = self._policies()
        modules = [Module(path=name, shown=name, text=text) for name, text in policies.items()]
        _check_placement(modules)
        self._results = reading(modules, {})
        return _bundle_revisions(provenance) or digest(policies)

    def _upload(self, bundle: Bundle) -> None:
        wanted = {_OURS + module.path.removeprefix(_OURS): module.text for module in bundle.modules}
        present = self._policies()
        foreign = [
            Diagnostic(
                name, found.package.line, found.package.column, f"package `{found.package.dotted}` is already there"
            )
            for name, found in ((name, scan(text)) for name, text in present.items() if not name.startswith(_OURS))
            if found.package is not None and found.package.path[:1] == ("openclaw",)
        ]
        if foreign:
            raise PolicyError(
                f"the policy server `{self._url}` has policies of its own that would take part",
                diagnostics=foreign,
                hint="remove them there, or do not upload",
            )
        ours = {name: text for name, text in present.items() if name.startswith(_OURS)}
        data = cast("dict[str, JsonValue]", json.loads(bundle.data))
        if ours == wanted and all(self._data(key) == value for key, value in data.items()):
            return  # Another worker, or this one before a restart, has done it.
        # Without the combining rules there is no decision, and so no call is decided by half of the policies.
        decision = wanted.pop(DECISION_FILE)
        if DECISION_FILE in ours:
            self._change("DELETE", f"/v1/policies/{quote(DECISION_FILE)}", None, bundle)
            del ours[DECISION_FILE]
        for key, value in data.items():
            self._change("PUT", f"/v1/data/{quote(key, safe='')}", canonical(value), bundle)
        deletions = [("DELETE", name, None) for name in ours if name not in wanted]
        additions = [("PUT", name, text.encode()) for name, text in wanted.items() if ours.get(name) != text]
        if self._change_all([*additions, *deletions]):
            # Old and new policies do not go together: away with the old ones first.
            self._change_all([("DELETE", name, None) for name in ours])
            failed = self._change_all([("PUT", name, text.encode()) for name, text in wanted.items()])
            if failed:
                raise _compile_error(failed, bundle)
        self._change("PUT", f"/v1/policies/{quote(DECISION_FILE)}", decision.encode(), bundle)

    def _data(self, key: str) -> JsonValue:
        return _fields(self._send("GET", f"/v1/data/{quote(key, safe='')}", None, ADMIN_TIMEOUT_S)).get("result")

    def _change_all(self, changes: Sequence[tuple[str, str, bytes | None]]) -> list[_Reply]:
        """Make changes of policies (method, name, text) in whatever order the server takes them; gives what it refuses.

        A policy that calls a function of another needs the other to be there first, and to stay as long as itself.
        """
        waiting = list(changes)
        while waiting:
            replies = [
                self._send(method, f"/v1/policies/{quote(name)}", text, ADMIN_TIMEOUT_S)
                for method, name, text in waiting
            ]
            refused = [reply.status not in {requests.codes.ok, requests.codes.not_found} for reply in replies]
            if all(refused):
                return replies
            waiting = [change for change, again in zip(waiting, refused, strict=True) if again]
        return []

    def _change(self, method: str, path: str, body: bytes | None, bundle: Bundle) -> None:
        reply = self._send(method, path, body, ADMIN_TIMEOUT_S)
        if reply.status not in {requests.codes.ok, requests.codes.no_content}:
            raise _compile_error([reply], bundle)


class _Closed(Exception):
    """The engine has been closed."""


# Everything that the clients and what they stand on raise: requests, urllib3, aiohttp, sockets, TLS, and their own
# complaints about values (headers, addresses, closed sessions).
_FOREIGN = (
    BadInput,
    _Closed,
    TimeoutError,
    ConnectionsError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    aiohttp.ClientError,
    OSError,
    ValueError,
    RuntimeError,
)


async def _lifetime(client: _AsyncClient) -> AsyncGenerator[None]:
    """Holds a client open. An event loop ends its asynchronous generators before it closes, and this one with them."""
    async with client:
        yield


def _close_in(loop: asyncio.AbstractEventLoop, lifetime: AsyncGenerator[None]) -> None:
    """Close what belongs to a running loop, from inside or from another thread; the loop does it when it comes to it."""

    async def close() -> None:
        await lifetime.aclose()

    loop.call_soon_threadsafe(lambda: _keep(loop.create_task(close())))


_closing: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    # A loop holds its tasks weakly.
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def _tls(spec: Opa) -> ssl.SSLContext | None:
    if not spec.url.startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=str(spec.ca) if spec.ca else None)
        if spec.cert:
            files = spec.cert if isinstance(spec.cert, tuple) else (spec.cert,)
            context.load_cert_chain(*map(str, files))
    except (OSError, ssl.SSLError) as error:
        raise PolicyError(
            f"the certificates for `{spec.url}` cannot be used: {_one_line(error)}",
            hint="`ca` and `cert` are PEM files",
        ) from error
    return context


def _fields(reply: _Reply) -> dict[str, JsonValue]:
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, JsonValue]", answer) if isinstance(answer, dict) else {}


def _not_json(name: str) -> object:
    raise ValueError(f"`{name}` is not a JSON number")


def _unexpected(reply: _Reply) -> tuple[str, DecisionCode]:
    if reply.status in {requests.codes.bad_gateway, requests.codes.service_unavailable, requests.codes.gateway_timeout}:
        return f"the policy server is not there: HTTP status {reply.status}", "unreachable"
    if reply.status == requests.codes.ok:
        return "the policy server's answer is not a JSON object", "malformed"
    return f"the policy server answers with HTTP status {reply.status}", "engine_error"


def _refused(reply: _Reply, fields: Mapping[str, JsonValue]) -> tuple[str, DecisionCode]:
    """What an error of the server says: ``{"code", "message", "errors": [{"message", "location"}]}``."""
    if "message" not in fields:
        return _unexpected(reply)
    said = [str(fields["message"]), *(str(finding) for finding in _server_findings(fields))]
    return f"the policy failed: {'; '.join(said)}", "engine_error"


def _server_findings(fields: Mapping[str, JsonValue]) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    errors = fields.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if not isinstance(error, dict):
            continue
        location = error.get("location")
        place = location if isinstance(location, dict) else {}
        line, column = place.get("row"), place.get("col") or 1  # 0 at the end of the file
        found.append(
            Diagnostic(
                str(place.get("file") or "policies"),
                line if isinstance(line, int) else 0,
                column if isinstance(column, int) else 0,
                str(error.get("message", "")),
            )
        )
    return found


def _compile_error(replies: Sequence[_Reply], bundle: Bundle) -> PolicyError:
    shown = {_OURS + module.path.removeprefix(_OURS): module.shown for module in bundle.modules}
    found: list[Diagnostic] = []
    said: list[str] = []
    for reply in replies:
        fields = _fields(reply)
        said.append(str(fields.get("message", f"HTTP status {reply.status}")))
        found += [
            Diagnostic(shown.get(one.file, one.file), one.line, one.column, one.message)
            for one in _server_findings(fields)
        ]
    return PolicyError(
        f"the policy server does not accept the policies: {said[0]}", diagnostics=list(dict.fromkeys(found))
    )


def _check_placement(modules: Sequence[Module]) -> None:
    findings: list[Diagnostic] = []
    for module in modules:
        found = scan(module.text)
        if found.package is None or found.package.path == ("openclaw",):
            continue  # The server's own copy of the combining rules.
        findings += misplaced(module, found)
    if findings:
        raise PolicyError("the policies on the server cannot be used", diagnostics=findings)


def _bundle_revisions(provenance: object) -> str:
    """``name=revision`` of each bundle that the server says it has decided with."""
    bundles = cast("dict[str, JsonValue]", provenance).get("bundles") if isinstance(provenance, dict) else None
    if not isinstance(bundles, dict):
        return ""
    named = {name: about.get("revision") for name, about in bundles.items() if isinstance(about, dict)}
    return ",".join(f"{name}={revision}" for name, revision in sorted(named.items()) if revision)


def _one_line(error: BaseException) -> str:
    """What the operating system said, where it said something; else the error's own words, cut."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.strerror:
            return at.strerror.splitlines()[0].lower()
        at = at.__cause__ or at.__context__
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
