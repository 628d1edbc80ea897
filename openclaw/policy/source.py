"""Where policies come from: a folder, a bundle file, or a bundle server. Each can be looked at again for changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from openclaw.errors import ConfigurationError, PolicyUnavailable
from openclaw.policy.contents import Contents, read_folder

if TYPE_CHECKING:
    from openclaw.policy.spec import BundleFile, BundleServer, Interval, PolicyFolder

READS_MAX = 5
"""Times that a folder is read again to find it as it was the time before."""


class Fetched(NamedTuple):
    """What lies at a source. ``identity`` tells one state of it from another; ``read`` makes its contents of it.

    ``etag`` is what a server calls this state; empty elsewhere.
    """

    identity: str
    read: Callable[[], Contents]
    etag: str = ""


class Source(Protocol):
    """A place of policies.

    Attributes:
        where: how people know it.
        poll_s: how far apart two looks are, in seconds; None where nobody looks by himself.
        tests: whether tests that lie there are run before a change goes live.
        tested_first: whether they are also run before the first that is found there goes live.
    """

    @property
    def where(self) -> str: ...  # noqa: D102 - described by the class
    @property
    def poll_s(self) -> Interval | None: ...  # noqa: D102
    @property
    def tests(self) -> bool: ...  # noqa: D102
    @property
    def tested_first(self) -> bool: ...  # noqa: D102

    def fetch(self, etag: str = "") -> Fetched | None:
        """What lies there now; None where it is still what the server calls ``etag``.

        Raises:
            PolicyUnavailable: it cannot be reached, or gives nothing.
            PolicyError: there is something that cannot be policies.
        """
        ...

    def fork(self) -> None:
        """In a forked process: take nothing from the parent's connections."""
        ...

    def close(self) -> None:
        """Give up a fetch that is going on, and close the connections."""
        ...


class FolderSource:
    """A policy folder."""

    tested_first = False
    """A folder is worked in: it is opened as it is, and `openclaw policy test` says what fails."""

    def __init__(self, path: str | Path, *, poll_s: Interval | None = None, tests: bool = True) -> None:
        self._path = path
        self.where = str(path)
        self.poll_s = poll_s
        self.tests = tests

    def fetch(self, etag: str = "") -> Fetched | None:
        """The folder's files; ``etag`` means nothing here.

        Raises:
            PolicyUnavailable: they are being changed right now.
            PolicyError: there is no such folder.
        """
        contents = read_folder(self._path)
        for _ in range(READS_MAX):
            # Files are read one after another: what somebody is writing meanwhile would be half old and half new.
            again = read_folder(self._path)
            if again.identity == contents.identity:
                return _as_it_is(again)
            contents = again
        raise PolicyUnavailable(f"{contents.what} is being changed", hint="try again when nobody writes to it")

    def fork(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def source_of(policies: str | Path | PolicyFolder | BundleFile | BundleServer) -> Source:
    """The source that is meant. A path is a folder, or a file that is a bundle.

    Raises:
        ConfigurationError: it is none of these.
        PolicyError: its certificates cannot be used.
    """
    if isinstance(policies, str | Path):
        return _of_path(policies)
    # Late, as all that a path does not need: each takes its time to be imported, cryptography and HTTP most of all.
    from openclaw.policy.spec import BundleFile, PolicyFolder, span

    if isinstance(policies, PolicyFolder):
        poll_s = span(policies.poll_s) if policies.poll_s is not None else None
        return FolderSource(policies.path, poll_s=poll_s, tests=policies.tests)
    if isinstance(policies, BundleFile):
        from openclaw.policy.bundle_file import FileSource

        return FileSource(policies)
    from openclaw.policy.bundle_server import ServerSource

    return ServerSource(policies)


def _of_path(path: str | Path) -> Source:
    if isinstance(path, str) and path.startswith(("http:", "https:", "unix:")):
        from openclaw.policy.spec import shown_url

        raise ConfigurationError(
            f"`{shown_url(path)}` is neither a folder nor a bundle file",
            hint="write `BundleServer(url)` for a bundle, or `Opa(url)` for an Open Policy Agent server",
        )
    if Path(path).name.endswith((".tar.gz", ".tgz")) and not Path(path).is_dir():
        from openclaw.policy.spec import BundleFile

        return source_of(BundleFile(path))
    return FolderSource(Path(path))


def _as_it_is(contents: Contents) -> Fetched:
    return Fetched(contents.identity, lambda: contents)


def read_policies(policies: str | Path | PolicyFolder | BundleFile | BundleServer) -> Contents:
    """The contents of policies as they are now.

    Raises:
        PolicyError: they cannot be had or read.
        ConfigurationError: it is nothing that holds policies.
    """
    source = source_of(policies)
    try:
        fetched = source.fetch()
        assert fetched is not None, "INVARIANT: without an etag a source gives what it has"
        return fetched.read()
    finally:
        source.close()
