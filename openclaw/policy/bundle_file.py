"""A bundle as a source of policies: the file, and what is made of its bytes wherever they come from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from openclaw.errors import PolicyError, PolicyUnavailable
from openclaw.policy.archive import unpack
from openclaw.policy.source import Fetched
from openclaw.policy.spec import BundleFile, Key, span


class FileSource:
    """A bundle file."""

    tested_first = True

    def __init__(self, spec: BundleFile) -> None:
        self._spec = spec
        self.where = str(spec.path)
        self.poll_s = span(spec.poll_s) if spec.poll_s is not None else None
        self.tests = spec.tests

    def fetch(self, etag: str = "") -> Fetched | None:
        """The file's bytes, verified when they are read; ``etag`` means nothing here."""
        path = Path(self._spec.path)
        try:
            if path.is_dir():
                raise PolicyError(f"bundle `{path}` is a folder", hint="give the folder itself, or a .tar.gz file")
            with path.open("rb") as file:
                content = file.read(self._spec.bytes_max + 1)
        except OSError as error:
            said = (error.strerror or "it cannot be opened").lower()
            raise PolicyUnavailable(f"bundle `{path}` cannot be read: {said}") from error
        return as_fetched(content, self.where, all_keys(self._spec.key), self._spec.bytes_max)

    def fork(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def as_fetched(content: bytes, where: str, keys: tuple[Key, ...], bytes_max: int, etag: str = "") -> Fetched:
    """A bundle's bytes, which are verified and unpacked when they are read."""
    identity = hashlib.sha256(content).hexdigest()
    return Fetched(identity, lambda: unpack(content, shown=where, keys=keys, bytes_max=bytes_max), etag)


def all_keys(key: Key | str | Path | tuple[Key, ...] | None) -> tuple[Key, ...]:
    """The keys that are meant; none where nothing is signed."""
    if key is None:
        return ()
    if isinstance(key, tuple):
        return key
    return (key if isinstance(key, Key) else Key(key),)
