"""HTTP to policy servers, the same for all who speak it: what the environment says (proxies, .netrc) changes nothing.

A proxy would be shown every input and every policy, and an entry of a .netrc file would replace the token.
"""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiohttp
import requests
import urllib3
from opa_client.errors import ConnectionsError
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import NewConnectionError

from openclaw.errors import PolicyError

CONNECTIONS_MAX = 64
_PIECE = 1 << 16

Certificate = str | Path | tuple[str | Path, str | Path] | None
"""A PEM file with a certificate and its key, or the two files of both."""

FOREIGN = (
    TimeoutError,
    ConnectionsError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    aiohttp.ClientError,
    http.client.HTTPException,
    OSError,
    ValueError,
    RuntimeError,
)
"""Everything that the clients and what they stand on raise: requests, urllib3, aiohttp, sockets, TLS, and their own
complaints about values (headers, addresses, closed sessions)."""


TIMEOUTS = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
"""Those among them that say that it took too long."""


class TooLarge(ValueError):
    """The answer has more bytes than are taken."""


class Stopped(RuntimeError):
    """Whoever asked does not want the answer any more."""


class Flag(Protocol):
    """What can be seen to be set, such as ``threading.Event``."""

    def is_set(self) -> bool:
        """Whether it is."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole. Names of headers are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def socket_of(url: str) -> str | None:
    """The path of the unix socket in ``unix:///path``; None where ``url`` is of another kind."""
    return unquote(urlsplit(url).path) if url.startswith("unix:") else None


def base_of(url: str) -> str:
    """What the paths of requests are put after. A unix socket has no host, so its requests name the own machine."""
    return "http://localhost" if socket_of(url) is not None else url.rstrip("/")


def arm(session: requests.Session, *, ca: str | Path | None, unix: str | None = None) -> None:
    """Make a session blind to the environment, without retries, with connections that are kept alive."""
    session.trust_env = False
    session.verify = str(ca) if ca else True
    adapter = _Adapter(unix)
    session.mount("http://", adapter)
    session.mount("https://", adapter)


def send(
    session: requests.Session,
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str],
    timeout_s: float,
    bytes_max: int | None = None,
    stop: Flag | None = None,
) -> Reply:
    """One request, whole, within ``timeout_s``. Redirections are not followed.

    Args:
        bytes_max: most bytes of the answer, which is then a file and is taken as it comes; None: JSON, decompressed.
        stop: looked at between the pieces of the answer.

    Raises:
        TooLarge: the answer has more than ``bytes_max`` bytes.
        Stopped: ``stop`` was set meanwhile.
        TimeoutError: the answer did not come to an end in time. And whatever else is in ``FOREIGN``.
    """
    until = time.monotonic() + timeout_s
    with session.request(
        method, url, data=body, headers=dict(headers), timeout=timeout_s, allow_redirects=False, stream=True
    ) as response:
        named = response.headers.get("Content-Length", "")
        if bytes_max is not None and named.isdecimal() and int(named) > bytes_max:
            raise TooLarge
        content = bytearray()
        # Piece by piece: the session's own timeout is for one piece, however many there are.
        while part := response.raw.read1(_PIECE, decode_content=bytes_max is None):
            content += part
            if bytes_max is not None and len(content) > bytes_max:
                raise TooLarge
            if stop is not None and stop.is_set():
                raise Stopped("it is not wanted any more")
            if time.monotonic() > until:
                raise TimeoutError
        return Reply(
            response.status_code, bytes(content), {name.lower(): value for name, value in response.headers.items()}
        )


def tls(url: str, ca: str | Path | None, cert: Certificate) -> ssl.SSLContext | None:
    """The certificates for an https address, loaded; None for other addresses.

    Raises:
        PolicyError: they cannot be used.
    """
    if not url.startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        if cert:
            context.load_cert_chain(*map(str, cert if isinstance(cert, tuple) else (cert,)))
    except (OSError, ssl.SSLError) as error:
        raise PolicyError(
            f"the certificates for `{url}` cannot be used: {one_line(error)}", hint="`ca` and `cert` are PEM files"
        ) from error
    return context


def cert_setting(cert: Certificate) -> str | tuple[str, str] | None:
    """A client certificate as requests wants it."""
    if isinstance(cert, tuple):
        return str(cert[0]), str(cert[1])
    return str(cert) if cert else None


def one_line(error: BaseException) -> str:
    """What the operating system said, where it said something; else the error's own words, cut."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.strerror:
            return at.strerror.splitlines()[0].lower()
        at = at.__cause__ or at.__context__
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"


class _Adapter(HTTPAdapter):
    """No retries, connections kept alive; over a unix socket where one is named."""

    def __init__(self, unix: str | None) -> None:
        self._unix = unix
        super().__init__(max_retries=0, pool_connections=1, pool_maxsize=CONNECTIONS_MAX)

    def init_poolmanager(self, *arguments: object, **settings: object) -> None:
        super().init_poolmanager(*arguments, **settings)  # pyright: ignore[reportArgumentType, reportUnknownMemberType]
        if self._unix is not None:
            # By scheme the manager chooses the class of its pools; to it anything that makes one is as good.
            self.poolmanager.pool_classes_by_scheme = {"http": functools.partial(_UnixPool, self._unix)}


class _UnixPool(HTTPConnectionPool):
    def __init__(self, path: str, host: str, port: int | None = None, **settings: object) -> None:
        super().__init__(host, port, **settings)  # pyright: ignore[reportArgumentType]
        self._path = path

    def _new_conn(self) -> HTTPConnection:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.num_connections += 1
        return _UnixConnection(self._path, timeout=self.timeout.connect_timeout)


class _UnixConnection(HTTPConnection):
    """A connection to a socket in the file system, such as ``opa run --server --addr unix:///run/opa.sock`` opens."""

    def __init__(self, path: str, *, timeout: object) -> None:
        super().__init__("localhost", timeout=timeout)  # pyright: ignore[reportArgumentType]
        self._path = path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if isinstance(self.timeout, int | float):
                connection.settimeout(self.timeout)
            connection.connect(self._path)
        except TimeoutError as error:
            connection.close()
            raise urllib3.exceptions.ConnectTimeoutError(self, "the socket does not answer") from error
        except (OSError, ValueError) as error:
            connection.close()
            raise NewConnectionError(self, str(error)) from error
        return connection
