"""The engine on a server: Open Policy Agent over its REST API, through the clients of opa-python-client.

Their connections and sessions are used, and not their query methods: those turn input and answers into JSON their own
way, and lose what the server says about an error. Both clients share all that asks and all that reads.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator, Mapping
from typing import cast
from urllib.parse import urlsplit

import aiohttp
import requests
from opa_client import AsyncOpaClient, OpaClient
from pydantic import JsonValue

from openclaw.decision import Decision, DecisionCode
from openclaw.errors import PolicyError, PolicyUnavailable
from openclaw.policy import web
from openclaw.policy.bundle import Bundle
from openclaw.policy.engine import ENTRY_POINT, BadInput, encode
from openclaw.policy.opa_answers import Asker, decision_of, fields, refused
from openclaw.policy.opa_upload import SERVING, look_around, upload
from openclaw.policy.results import Results, reading, reading_of
from openclaw.policy.source import read_policies
from openclaw.policy.spec import Opa
from openclaw.policy.web import Reply

ADMIN_TIMEOUT_S = 10.0
"""How long the server may take to compile what is uploaded to it, in seconds."""

_ASK = "?strict-builtin-errors=true&provenance=true"
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


class _AsyncClient(AsyncOpaClient):
    """The asynchronous client with what its base cannot be given: an authority of one's own, and a unix socket."""

    def __init__(self, *, tls: ssl.SSLContext | None, unix: str | None, **settings: object) -> None:
        super().__init__(**settings)  # pyright: ignore[reportUnknownMemberType]
        self._tls = tls
        self._unix = unix

    async def _init_session(self) -> None:
        limit = web.CONNECTIONS_MAX
        self._connector = (
            aiohttp.UnixConnector(path=self._unix, limit=limit)
            if self._unix is not None
            else aiohttp.TCPConnector(limit=limit, ssl=self._tls or True)
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            headers={**cast("Mapping[str, str]", self.headers or {}), **_HEADERS},  # pyright: ignore[reportUnknownMemberType]
            skip_auto_headers=("Accept", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    def session(self) -> aiohttp.ClientSession:
        """The session of this client, inside ``async with``."""
        assert self._session is not None
        return self._session


class OpaEngine:
    """Decides on an OPA server. Connections are kept alive; one asynchronous client serves each event loop.

    Args:
        spec: where the server is.
        bundle: what to upload, where it has been read already; else it is read from ``spec.policies``, if it names any.

    Raises:
        PolicyUnavailable: the server cannot be reached.
        PolicyError: it does not compile what is uploaded, or has no decision to give.
    """

    def __init__(self, spec: Opa, bundle: Bundle | None = None) -> None:
        self._spec = spec
        self._url = spec.url.rstrip("/")
        self._base, self._unix = web.base_of(spec.url), web.socket_of(spec.url)
        self._tls = web.tls(spec.url, spec.ca, spec.cert)
        if bundle is None and spec.policies is not None:
            bundle = Bundle.assemble(read_policies(spec.policies))
        self._bundle = bundle
        # What was uploaded is asked for with its revision, since another process may have uploaded something else.
        self._query = f"/v1/data/{ENTRY_POINT if bundle is None else SERVING}{_ASK}"
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
            return self._read(self._send("POST", self._query, body, self._spec.timeout_s))
        except _RAISED as error:
            return self._failed(error)

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        """The same decision, without blocking the event loop."""
        try:
            body = self._body(input)
            client = await self._async_client()
            async with client.session().post(self._base + self._query, data=body, allow_redirects=False) as response:
                return self._read(Reply(response.status, await response.read()))
        except _RAISED as error:
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

    def _read(self, reply: Reply) -> Decision:
        asker = Asker(self._name, self._revision, self._bundle is not None)
        decision, self._revision = decision_of(reply, asker)
        return decision

    def _failed(self, error: Exception) -> Decision:
        """The denial for whatever the clients and their libraries raise."""
        if isinstance(error, BadInput):
            return self._deny(str(error), "bad_input")
        if isinstance(error, _Closed):
            return self._deny("the policy engine is closed", "engine_error")
        if isinstance(error, web.TIMEOUTS):
            return self._deny(f"no decision within {self._spec.timeout_s * 1000:g} ms", "deadline")
        return self._deny(f"the policy server `{self._url}` cannot be reached: {web.one_line(error)}", "unreachable")

    def _deny(self, reason: str, code: DecisionCode) -> Decision:
        return Decision.deny(reason, code=code, revision=self._revision, engine=self._name)

    # Clients.

    def _client(self) -> OpaClient:
        client = OpaClient(**self._settings())
        web.arm(_session(client), ca=self._spec.ca, unix=self._unix)
        return client

    def _settings(self) -> dict[str, object]:
        parts = urlsplit(self._base)
        secure = parts.scheme == "https"
        return {
            "host": parts.hostname or "",
            "port": parts.port or (443 if secure else 80),
            "ssl": secure,
            "cert": web.cert_setting(self._spec.cert),
            "token": self._spec.token,
            "retries": 0,
            "timeout": self._spec.timeout_s,
        }

    def _send(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Reply:
        """One request of the synchronous client."""
        return web.send(
            _session(self._sync), method, self._base + path, body=body, headers=_HEADERS, timeout_s=timeout_s
        )

    def _administer(self, method: str, path: str, body: bytes | None = None) -> Reply:
        return self._send(method, path, body, ADMIN_TIMEOUT_S)

    async def _async_client(self) -> _AsyncClient:
        loop = asyncio.get_running_loop()
        found = self._async.get(loop)
        if found is not None:
            return found[0]
        client = _AsyncClient(tls=self._tls, unix=self._unix, **self._settings())
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
        if self._bundle is not None:
            self.put(self._bundle)
            self._revision = self._bundle.revision
        try:
            provenance = self._check_decision()
            self._name = f"opa {provenance.get('version', '')}".strip()
            if self._bundle is None:
                self._revision, modules = look_around(self._administer, provenance, url=self._url)
                self._results = reading(modules, {})
            self._looked_at = self._revision
        except _RAISED as error:
            raise self._unavailable(error) from error

    def put(self, bundle: Bundle) -> None:
        """Put policies on the server in the place of those that are there. Calls are denied while that goes on.

        Raises:
            PolicyUnavailable: the server cannot be reached.
            PolicyError: it does not take them; then it is left without a decision.
        """
        try:
            upload(self._administer, bundle, url=self._url)
            self._results = reading_of(bundle)
        except _RAISED as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> PolicyUnavailable:
        return PolicyUnavailable(
            f"the policy server `{self._url}` cannot be reached: {web.one_line(error)}",
            hint="start it, or correct url, token and certificates",
        )

    def _check_decision(self) -> Mapping[str, JsonValue]:
        reply = self._send("POST", self._query, b'{"input":{}}', ADMIN_TIMEOUT_S)
        said = fields(reply)
        if reply.status != requests.codes.ok or "provenance" not in said:
            raise PolicyError(f"`{self._url}` does not answer as an OPA server does: {refused(reply, said)[0]}")
        decision = said.get("result")
        if self._bundle is not None and isinstance(decision, dict):
            decision = decision.get("decision")
        if not isinstance(decision, dict):
            raise PolicyError(
                f"the policy server `{self._url}` has no `data.openclaw.decision`",
                hint="add the shipped decision.rego to its bundle, or give `Opa(…, policies=folder)` to upload",
            )
        return cast("Mapping[str, JsonValue]", said["provenance"])


def _session(client: OpaClient) -> requests.Session:
    return client._session  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


class _Closed(Exception):
    """The engine has been closed."""


_RAISED = (BadInput, _Closed, *web.FOREIGN)


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
