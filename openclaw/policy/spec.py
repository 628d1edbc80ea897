"""Where a policy server is and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from openclaw.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Opa:
    """An Open Policy Agent server.

    Args:
        url: ``http://host:8181`` or ``https://…``. Proxies and .netrc files of the environment are not used.
        token: sent as a bearer token.
        ca: PEM file of the authority that signed the server's certificate; None for the system's authorities.
        cert: PEM file of a client certificate with its key, or the two files of both.
        timeout_s: how long one decision may take, the network included, in seconds.
        policies: a policy folder to upload, with the combining rules, when the engine is opened; None where the server
            has its own bundle, which must then hold the shipped ``decision.rego``.

    Raises:
        ConfigurationError: the URL or the timeout has no meaning.
    """

    url: str
    token: str | None = None
    ca: str | Path | None = None
    cert: str | Path | tuple[str | Path, str | Path] | None = None
    timeout_s: float = 0.25
    policies: str | Path | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:  # A port that is no number.
            known = False
        if not known:
            raise ConfigurationError(f"`{self.url}` is not the URL of a policy server", hint="write `http://host:8181`")
        if not self.timeout_s > 0:
            raise ConfigurationError(f"a timeout of {self.timeout_s} s is no time", hint="0.25 is usual")

    def __repr__(self) -> str:
        # The token is a secret, and values like this one end up in logs.
        return f"Opa(url={self.url!r}, policies={self.policies!r})"
