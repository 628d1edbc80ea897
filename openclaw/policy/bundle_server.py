"""A bundle on an HTTP server as a source of policies."""

from __future__ import annotations

import threading

import requests

from openclaw.errors import PolicyError, PolicyUnavailable
from openclaw.policy import web
from openclaw.policy.bundle_file import all_keys, as_fetched
from openclaw.policy.source import Fetched
from openclaw.policy.spec import BundleServer, shown_url, span


class ServerSource:
    """A bundle on an HTTP server."""

    tested_first = True

    def __init__(self, spec: BundleServer) -> None:
        self._spec = spec
        self.where = shown_url(spec.url)
        self.poll_s = span(spec.poll_s) if spec.poll_s is not None else None
        self.tests = spec.tests
        web.tls(spec.url, spec.ca, spec.cert)  # What is wrong with the certificates is said at once.
        self._stop = threading.Event()
        self._session = self._new_session()

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        web.arm(session, ca=self._spec.ca)
        session.cert = web.cert_setting(self._spec.cert)
        return session

    def fetch(self, etag: str = "") -> Fetched | None:
        """What the server gives, verified when it is read; None where it says that it is still ``etag``."""
        spec = self._spec
        headers = {"Accept-Encoding": "identity", "Prefer": "modes=snapshot"}
        if spec.token:
            headers["Authorization"] = f"Bearer {spec.token}"
        if etag:
            headers["If-None-Match"] = etag
        try:
            reply = web.send(
                self._session,
                "GET",
                spec.url,
                headers=headers,
                timeout_s=spec.timeout_s,
                bytes_max=spec.bytes_max,
                stop=self._stop,
            )
        except web.TooLarge as error:
            raise PolicyError(f"bundle `{self.where}` has more than {spec.bytes_max:,} bytes") from error
        except web.TIMEOUTS as error:
            raise self._unavailable(f"no answer within {spec.timeout_s:g} s") from error
        except web.FOREIGN as error:
            raise self._unavailable(web.one_line(error)) from error
        if reply.status == requests.codes.not_modified and etag:
            return None
        if reply.status != requests.codes.ok:
            moved = reply.headers.get("location")
            hint = f"redirections are not followed: it leads to `{shown_url(moved)}`" if moved else ""
            raise self._unavailable(f"HTTP status {reply.status}", hint)
        return as_fetched(reply.body, self.where, all_keys(spec.key), spec.bytes_max, reply.headers.get("etag", ""))

    def _unavailable(self, why: str, hint: str = "") -> PolicyUnavailable:
        return PolicyUnavailable(f"bundle `{self.where}` cannot be had: {why}", hint=hint)

    def fork(self) -> None:
        """Connections of one's own: the parent's would mix up the answers of both."""
        self._stop = threading.Event()
        self._session = self._new_session()

    def close(self) -> None:
        """A fetch that is going on ends with its next piece, or at its timeout."""
        self._stop.set()
        self._session.close()
