"""Where an export goes: standard output, a file, or an HTTP collector. None of them can hold anybody up but the export."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import urlsplit

import requests

from openclaw.canonical import printable
from openclaw.errors import ExportError

LIMIT_SECONDS = 30.0
"""How long a sink may take for one parcel before it is cut off."""

HANGING_MAX = 8
"""Attempts that were cut off and have not come back; there are no new ones while so many are out."""

ANSWER_BYTES_MAX = 64 << 10
_LATER = frozenset({408, 425, 429, *range(500, 600)})
"""Status codes that ask to come again; any other refusal is for good."""

Rejected = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Parcel:
    """Some entries, packed.

    Attributes:
        data: the bytes; where the sink takes text, whole lines.
        content_type: what they are.
        route: below the sink's address, where the format has several (``/v1/traces``).
        rejected: reads from a sink's answer how much of the parcel it left out, and why.
    """

    data: bytes
    content_type: str = "application/x-ndjson"
    route: str = ""
    rejected: Callable[[bytes], Rejected] | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The sink has the parcel; ``rejected`` counts what it said that it left out."""

    rejected: int = 0
    message: str = ""


class SinkFailed(Exception):
    """The sink did not take a parcel.

    Attributes:
        hung: it was cut off.
        final: trying again is no use.
        after: seconds that it asked to wait.
    """

    def __init__(
        self, message: str, *, hung: bool = False, final: bool = False, after: float = 0, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hung = hung
        self.final = final
        self.after = after
        self.hint = hint


class Sink(Protocol):
    """What takes parcels. ``text`` says that it takes lines of JSON, not bodies of requests."""

    @property
    def text(self) -> bool:
        """Whether it takes lines."""
        ...

    def deliver(self, parcel: Parcel) -> Taken:
        """Take a parcel; it is durable there when this returns.

        Raises:
            SinkFailed: it is not, or nobody knows.
        """
        ...

    def close(self, *, whole: bool = True) -> None:
        """Give everything back; ``whole`` says that nothing is going to follow any more."""
        ...


def open_sink(
    to: str,
    *,
    append: bool = False,
    force: bool = False,
    headers: Mapping[str, str] | None = None,
    limit_seconds: float = LIMIT_SECONDS,
    out: IO[bytes] | None = None,
) -> Sink:
    """The sink that ``to`` names: ``-`` (standard output, ``out``), a file, or ``http://…`` or ``https://…``.

    Args:
        to: its name.
        append: go on behind what a file holds. Without it, the file appears whole at the end, or not at all.
        force: take the place of a file that is there.
        headers: of HTTP requests, such as ``Authorization``.
        limit_seconds: see ``LIMIT_SECONDS``.
        out: what ``-`` is.

    Raises:
        ExportError: there is no such sink, or the file is there already.
    """
    if to == "-":
        if out is None:
            raise ExportError("there is no standard output to write to", hint="name a file")
        return StreamSink(out)
    if to.startswith(("http://", "https://")):
        if not urlsplit(to).hostname:
            raise ExportError(f"`{to}` names no host", hint="write `https://collector.example:4318`")
        return LimitedSink(HttpSink(to, headers or {}, limit_seconds), limit_seconds)
    if "://" in to:
        raise ExportError(f"no sink for `{to}`", hint="name a file, an http(s) address, or - for standard output")
    return LimitedSink(FileSink(Path(to), append=append, force=force), limit_seconds)


class StreamSink:
    """Standard output. Whoever reads it sets the pace; when nobody reads any more, ``BrokenPipeError`` ends the export."""

    text = True

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def deliver(self, parcel: Parcel) -> Taken:
        """Write lines."""
        self._out.write(parcel.data)
        self._out.flush()
        return Taken()

    def close(self, *, whole: bool = True) -> None:
        """Nothing to give back."""


class FileSink:
    """A file of lines. Appending goes on behind its last whole line: one that a crash has torn comes again."""

    text = True

    def __init__(self, path: Path, *, append: bool = False, force: bool = False) -> None:
        if path.is_dir():
            raise ExportError(f"`{path}` is a folder", hint="name a file in it")
        self._path = path
        self._partial = None if append else path.with_name(f".{path.name}.partial")
        if not append and not force and path.exists():
            raise ExportError(
                f"`{path}` is there already", hint="go on behind it with --cursor, or replace it with --force"
            )
        self._lock = threading.Lock()  # an attempt that was cut off may still be writing when the next one comes
        self._file: IO[bytes] | None = None
        self._end: int | None = None
        if not path.exists() or path.is_file():  # a pipe is opened when it is written to: that may wait for its reader
            try:
                self._file = self._opened()
                self._end = _last_line_end(self._file) if append else 0
            except OSError as error:
                raise ExportError(
                    f"`{path}` cannot be written: {error.strerror}", hint="choose another place"
                ) from error

    def deliver(self, parcel: Parcel) -> Taken:
        """Append lines; durable when this returns."""
        try:
            with self._lock:
                self._file = file = self._file or self._opened()
                if self._end is not None:
                    file.truncate(self._end)  # what an attempt that failed has left
                    file.seek(self._end)
                file.write(parcel.data)
                file.flush()
                if self._end is not None:
                    os.fsync(file.fileno())
                    self._end += len(parcel.data)
        except OSError as error:
            raise SinkFailed(f"`{self._path}` cannot be written: {error.strerror}") from error
        return Taken()

    def _opened(self) -> IO[bytes]:
        if self._partial is not None:
            return self._partial.open("w+b")
        return self._path.open("r+b" if self._path.is_file() else "wb")

    def close(self, *, whole: bool = True) -> None:
        """Put the file in its place, if it is whole."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        if self._partial is None:
            return
        if whole:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)


def _last_line_end(file: IO[bytes]) -> int:
    """Where the last whole line ends."""
    at = file.seek(0, os.SEEK_END)
    while at > 0:
        start = max(0, at - (1 << 16))
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


class HttpSink:
    """A collector that takes POST requests. Redirects are not followed: they could take the headers elsewhere."""

    text = False

    def __init__(self, url: str, headers: Mapping[str, str], limit_seconds: float) -> None:
        self._url = url.rstrip("/")
        self._headers = dict(headers)
        self._limit = limit_seconds
        self._sessions = threading.local()  # an attempt that was cut off keeps its own

    def deliver(self, parcel: Parcel) -> Taken:
        """Post a parcel."""
        headers = {**self._headers, "Content-Type": parcel.content_type}
        url = self._url if self._url.endswith(parcel.route or "\0") else self._url + parcel.route
        session = getattr(self._sessions, "session", None) or requests.Session()
        self._sessions.session = session
        try:
            with session.post(
                url, data=parcel.data, headers=headers, timeout=self._limit, allow_redirects=False, stream=True
            ) as answer:
                body = answer.raw.read(ANSWER_BYTES_MAX, decode_content=True) or b""
                return self._judged(answer, bytes(body), parcel)
        except requests.Timeout as error:
            raise SinkFailed(f"`{url}` did not answer within {self._limit:g} s", hung=True) from error
        except (requests.RequestException, OSError) as error:
            raise SinkFailed(f"`{url}` cannot be reached: {printable(error)}") from error
        except ValueError as error:
            raise SinkFailed(f"`{url}` cannot be asked: {printable(error)}", final=True) from error

    def close(self, *, whole: bool = True) -> None:
        """The connections end with the threads that made them."""

    def _judged(self, answer: requests.Response, body: bytes, parcel: Parcel) -> Taken:
        if 200 <= answer.status_code < 300:
            return Taken(*parcel.rejected(body)) if parcel.rejected is not None and body else Taken()
        said = body[:200].decode(errors="replace").strip()
        message = f"`{self._url}{parcel.route}` answered {answer.status_code}" + (f": {said}" if said else "")
        wait = answer.headers.get("Retry-After", "")
        raise SinkFailed(
            message,
            final=answer.status_code not in _LATER,
            after=min(float(wait), 300.0) if wait.isdecimal() else 0,
            hint="" if answer.status_code in _LATER else "check the address, the rights (--header) and the format",
        )


class LimitedSink:
    """Another sink, each of whose deliveries is cut off after a while: it hangs in a thread of its own, not in ours."""

    def __init__(self, inner: Sink, limit_seconds: float) -> None:
        self._inner = inner
        self._limit = limit_seconds
        self._jobs: queue.SimpleQueue[tuple[Parcel, Future[Taken]] | None] | None = None
        self._threads: list[threading.Thread] = []

    @property
    def text(self) -> bool:
        """As the other sink."""
        return self._inner.text

    def deliver(self, parcel: Parcel) -> Taken:
        """Hand a parcel to the other sink, and wait for no longer than the limit."""
        if self._jobs is None:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if len(self._threads) >= HANGING_MAX:
                raise SinkFailed(f"{HANGING_MAX} attempts hang at the sink", hung=True)
            self._jobs = queue.SimpleQueue()
            thread = threading.Thread(target=_work, args=(self._inner, self._jobs), name="openclaw-export", daemon=True)
            self._threads.append(thread)
            thread.start()
        done: Future[Taken] = Future()
        self._jobs.put((parcel, done))
        try:
            return done.result(timeout=self._limit)
        except TimeoutError as error:
            self._jobs.put(None)  # that thread ends when its delivery does; another one makes the next attempt
            self._jobs = None
            raise SinkFailed(f"the sink was cut off after {self._limit:g} s", hung=True) from error

    def close(self, *, whole: bool = True) -> None:
        """Close the other sink, unless it hangs."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None
        self._inner.close(whole=whole)


def _work(sink: Sink, jobs: queue.SimpleQueue[tuple[Parcel, Future[Taken]] | None]) -> None:
    while (job := jobs.get()) is not None:
        parcel, done = job
        try:
            done.set_result(sink.deliver(parcel))
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits, whatever it is
            done.set_exception(error)


__all__ = [
    "LIMIT_SECONDS",
    "FileSink",
    "HttpSink",
    "LimitedSink",
    "Parcel",
    "Sink",
    "SinkFailed",
    "StreamSink",
    "Taken",
    "open_sink",
]
