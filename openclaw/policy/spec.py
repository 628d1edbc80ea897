"""Where policies are and how they are reached: what ``Governance.open(policies=…)`` takes besides a path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from openclaw.errors import ConfigurationError

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512"
]
"""How a bundle is signed (RFC 7518 section 3.1): RSA PKCS#1, RSA PSS, ECDSA, or HMAC with a shared secret."""

BYTES_MAX = 64 * 1024 * 1024
"""Most bytes of a bundle, packed and unpacked."""

POLL_S = (60.0, 120.0)
"""Seconds between two looks at a bundle server, drawn evenly from this range so that a fleet does not ask at once."""

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Opa:
    """An Open Policy Agent server.

    Args:
        url: ``http://host:8181``, ``https://…`` or ``unix:///path/opa.sock``. Proxies and .netrc files of the environment
            are not used.
        token: sent as a bearer token.
        ca: PEM file of the authority that signed the server's certificate; None for the system's authorities.
        cert: PEM file of a client certificate with its key, or the two files of both.
        timeout_s: how long one decision may take, the network included, in seconds.
        policies: what to upload, with the combining rules, when the engine is opened: a folder, or a bundle; None where
            the server has its own.

    Raises:
        ConfigurationError: the URL, the token or the timeout has no meaning.
    """

    url: str
    token: str | None = None
    ca: str | Path | None = None
    cert: str | Path | tuple[str | Path, str | Path] | None = None
    timeout_s: float = 0.25
    policies: str | Path | PolicyFolder | BundleFile | BundleServer | None = None

    def __post_init__(self) -> None:
        if not (_is_unix(self.url) if self.url.startswith("unix:") else _is_web(self.url)):
            raise ConfigurationError(
                f"`{self.url}` is not the URL of a policy server",
                hint="write `http://host:8181` or `unix:///path/opa.sock`",
            )
        if self.url.startswith("unix:") and (self.ca or self.cert):
            raise ConfigurationError("a unix socket has no TLS", hint="leave out `ca` and `cert`")
        _check_token(self.token)
        _check_timeout(self.timeout_s, "0.25 is usual")

    def __repr__(self) -> str:
        # The token is a secret, and values like this one end up in logs.
        return f"Opa(url={self.url!r}, policies={self.policies!r})"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that signs bundles, or that they must be signed with.

    Args:
        value: to verify, the PEM file of a public key or certificate; to sign, that of a private key; with HS256, HS384
            and HS512 the secret itself, or its file as a ``Path``. A text that begins with ``-----BEGIN`` is PEM itself.
        algorithm: the only one that is accepted with this key, whatever a signature says of itself.
        id: the key's name (``kid``). To sign: put into the signature. To verify: a signature that names another key is
            not tried; empty: whatever it names.
        scope: must be that of the signature, which has none where it is empty.

    Raises:
        ConfigurationError: there is no such algorithm, or no key.
    """

    value: str | Path
    algorithm: Algorithm = "RS256"
    id: str = ""
    scope: str = ""

    def __post_init__(self) -> None:
        if self.algorithm not in get_args(Algorithm):
            known = ", ".join(get_args(Algorithm))
            raise ConfigurationError(f"`{self.algorithm}` is no algorithm that bundles are signed with", hint=known)
        if not str(self.value):
            raise ConfigurationError("the key is empty", hint="give the file of the key, or the secret")

    def __repr__(self) -> str:
        shown = self.value if isinstance(self.value, Path) else "…"
        return f"Key({shown!r}, algorithm={self.algorithm!r}, id={self.id!r}, scope={self.scope!r})"


@dataclass(frozen=True, slots=True)
class PolicyFolder:
    """A folder of policies, as a path says it too, with more to say.

    Args:
        path: the folder.
        poll_s: look for changes by itself, so many seconds apart: one number, or a range to draw from. None: only when
            ``Governance.reload()`` is called.
        tests: run the folder's tests before a change goes live.

    Raises:
        ConfigurationError: the interval has no meaning.
    """

    path: str | Path
    poll_s: float | Interval | None = None
    tests: bool = True

    def __post_init__(self) -> None:
        _check_interval(self.poll_s)


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A bundle of Open Policy Agent (openpolicyagent.org, "Bundles"): a .tar.gz, such as ``opa build`` writes.

    Args:
        path: the file.
        key: what it must be signed with (``.signatures.json``); several while keys are changed. A path stands for
            ``Key(path)``. None: it must not be signed.
        poll_s: look for changes by itself, as in ``PolicyFolder``.
        tests: run the tests in it before it goes live.
        bytes_max: most bytes, packed and unpacked.

    Raises:
        ConfigurationError: an interval or a limit has no meaning.
    """

    path: str | Path
    key: Key | str | Path | tuple[Key, ...] | None = None
    poll_s: float | Interval | None = None
    tests: bool = True
    bytes_max: int = BYTES_MAX

    def __post_init__(self) -> None:
        _check_key(self.key)
        _check_interval(self.poll_s)
        _check_bytes(self.bytes_max)


@dataclass(frozen=True, slots=True)
class BundleServer:
    """A bundle on an HTTP server, looked at from time to time (``ETag``, ``If-None-Match``).

    Args:
        url: ``http://…`` or ``https://…`` of the bundle itself; redirections are not followed. Proxies and .netrc files of
            the environment are not used.
        key: what it must be signed with, as in ``BundleFile``.
        token: sent as a bearer token.
        ca: PEM file of the authority that signed the server's certificate; None for the system's authorities.
        cert: PEM file of a client certificate with its key, or the two files of both.
        poll_s: seconds between two looks: one number, or a range to draw from. None: only ``Governance.reload()`` looks.
        timeout_s: how long one download may take, in seconds.
        tests: run the tests in it before it goes live.
        bytes_max: most bytes, packed and unpacked.

    Raises:
        ConfigurationError: the URL, the token, the interval, the timeout or the limit has no meaning.
    """

    url: str
    key: Key | str | Path | tuple[Key, ...] | None = None
    token: str | None = None
    ca: str | Path | None = None
    cert: str | Path | tuple[str | Path, str | Path] | None = None
    poll_s: float | Interval | None = POLL_S
    timeout_s: float = 10.0
    tests: bool = True
    bytes_max: int = BYTES_MAX

    def __post_init__(self) -> None:
        if not _is_web(self.url):
            raise ConfigurationError(
                f"`{shown_url(self.url)}` is not the URL of a bundle", hint="write `https://host/path/bundle.tar.gz`"
            )
        if "@" in urlsplit(self.url).netloc:
            raise ConfigurationError("a password in a URL ends up in logs", hint="give a `token`, or a `cert`")
        _check_key(self.key)
        _check_token(self.token)
        _check_interval(self.poll_s)
        _check_timeout(self.timeout_s, "10 is usual")
        _check_bytes(self.bytes_max)

    def __repr__(self) -> str:
        return f"BundleServer(url={shown_url(self.url)!r})"


Policies: TypeAlias = str | Path | PolicyFolder | BundleFile | BundleServer | Opa
"""Everything that says where policies are. A path is a folder, or a file that is a bundle."""


def shown_url(url: str) -> str:
    """A URL as it may be shown: without user and query, where passwords and the signatures of storage servers stand."""
    return re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", url)[0])


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # A port that is no number.
        return False


def _is_unix(url: str) -> bool:
    parts = urlsplit(url)
    return not parts.netloc and len(parts.path) > 1 and parts.path.startswith("/") and not parts.query


def _check_timeout(seconds: float, usual: str) -> None:
    if not 0 < seconds < float("inf"):
        raise ConfigurationError(f"a timeout of {seconds} s is no time", hint=usual)


def _check_interval(interval: float | Interval | None) -> None:
    if interval is None:
        return
    low, high = span(interval)
    if not 0 < low <= high < float("inf"):
        raise ConfigurationError(
            f"an interval of {interval} s is none", hint="give seconds, or the least and the most: (60, 120)"
        )


def _check_token(token: str | None) -> None:
    if token is not None and not (token and token.isascii() and token.isprintable()):
        raise ConfigurationError(
            "the token is empty, or has letters that no header can hold", hint="check where it is read"
        )


def _check_key(key: object) -> None:
    if key == ():
        raise ConfigurationError("no key is given", hint="give one, or leave `key` out where nothing is signed")


def _check_bytes(limit: int) -> None:
    if limit <= 0:
        raise ConfigurationError(f"a limit of {limit} bytes lets nothing in", hint=f"{BYTES_MAX} is usual")


def span(interval: float | Interval) -> Interval:
    """The least and the most seconds of an interval."""
    return interval if isinstance(interval, tuple) else (interval, interval)
