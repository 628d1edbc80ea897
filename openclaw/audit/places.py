"""Places outside the database in which checkpoints are kept, so that a cut tail or an older copy of the database is noticed.

A place is a file, a folder of an object store, or a witness (see ``openclaw.audit.witness``). ``open_place`` reads one from text:

    audit/log.checkpoints                          a file: one JSON object a line, {"note": "…"}
    s3://bucket/audit, memory://x, file:///x       an object store, through fsspec: one object a checkpoint, never overwritten
    witness+https://w.example/prefix#NAME+ID+KEY   a witness (C2SP tlog-witness) with the key of its cosignatures
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol, cast

from openclaw.audit.note import Checkpoint, read_checkpoint
from openclaw.errors import AuditError, VerificationError

_TAIL_BYTES = 65_536
"""How much of a file's end is read to see whether a checkpoint stands there already."""


class Place(Protocol):
    """Keeps checkpoints. Each place has a thread of its own (see ``Keeper``), so its methods may take their time."""

    @property
    def label(self) -> str:
        """What the log calls it in its checkpoint entries; names no machine and holds no password."""
        ...

    def keep(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Keep what is not kept there already; oldest first. Durable when it returns.

        Raises:
            AuditError: it cannot.
        """
        ...

    def kept(self, origin: str) -> list[str]:
        """The notes that are kept there for one log, in no particular order; empty where there are none.

        Raises:
            AuditError: they cannot be read.
        """
        ...


class FilePlace:
    """A file to which each checkpoint is appended."""

    label = "file"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._met = False

    def __str__(self) -> str:
        return str(self.path)

    def keep(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Append them, and fsync."""
        lines = [json.dumps({"note": checkpoint.note}) for checkpoint in checkpoints]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self._met and self.path.exists():
                there = set(self._tail().splitlines())
                lines = [line for line in lines if line not in there]
            with self.path.open("a") as file:
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise AuditError(
                f"the checkpoint cannot be kept outside the database in `{self.path}`: {error}",
                hint="it stands in the log and is tried again; make the file writable",
            ) from error
        self._met = True

    def kept(self, origin: str) -> list[str]:
        """The notes in the file. What stands in it that is no note is an error: somebody wrote there."""
        if not self.path.exists():
            return []
        try:
            lines = self.path.read_text().splitlines()
            return [str(json.loads(line)["note"]) for line in lines if line.strip()]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AuditError(f"the checkpoints in `{self.path}` cannot be read: {error}") from error

    def _tail(self) -> str:
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")


class ObjectPlace:
    """A folder of an object store: one object a checkpoint, named by size and digest, never overwritten.

    Args:
        url: any URL that fsspec knows; the log's origin is added to it. Credentials come from the environment, as fsspec's
            implementation for that kind of store documents.

    Raises:
        AuditError: fsspec, or its implementation for this kind of store, is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._files, self._root = _filesystem(self.url)
        self._known: set[str] = set()

    @property
    def label(self) -> str:
        """The URL without what may be a secret in it."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"

    def __str__(self) -> str:
        return self.label

    def keep(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Write those objects that are not there; one that is there with other bytes is an error, not replaced."""
        try:
            for checkpoint in checkpoints:
                self._write(checkpoint)
        except (OSError, ValueError, NotImplementedError) as error:
            raise AuditError(
                f"the checkpoint cannot be kept in `{self.label}`: {error}",
                hint="it stands in the log and is tried again; check the store and its rights",
            ) from error

    def _write(self, checkpoint: Checkpoint) -> None:
        note = checkpoint.note.encode()
        name = f"{checkpoint.size:020d}-{hashlib.sha256(note).hexdigest()[:16]}.checkpoint"
        path = f"{self._folder(checkpoint.origin)}/{name}"
        if path in self._known:
            return
        if not self._files.exists(path):
            self._files.makedirs(self._folder(checkpoint.origin), exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was quicker: its bytes are compared below
                self._create(path, note)
        if bytes(self._files.cat_file(path)) != note:
            raise AuditError(f"the object `{path}` in `{self.label}` holds something else", hint="somebody changed it")
        self._known.add(path)

    def _create(self, path: str, note: bytes) -> None:
        try:
            with self._files.open(path, "xb") as file:
                file.write(note)
        except (ValueError, NotImplementedError):  # a store without exclusive creation; it was not there a moment ago
            with self._files.open(path, "wb") as file:
                file.write(note)

    def kept(self, origin: str) -> list[str]:
        """The notes of all objects."""
        folder = self._folder(origin)
        try:
            self._files.invalidate_cache()
            if not self._files.exists(folder):
                return []
            names = [name for name in self._files.find(folder) if name.endswith(".checkpoint")]
            if not names:
                return []
            return [self._files.cat_file(name).decode() for name in names]
        except (OSError, ValueError, NotImplementedError) as error:
            raise AuditError(f"the checkpoints in `{self.label}` cannot be read: {error}") from error

    def _folder(self, origin: str) -> str:
        return f"{self._root}/{origin}"


def open_place(text: str | Path, prove: Prove | None = None) -> Place:
    """The place that ``text`` names; the forms stand above.

    Args:
        text: a file's name, or a URL.
        prove: gives the consistency proofs that a witness wants.

    Raises:
        AuditError: it names none, or needs what is not installed.
    """
    if isinstance(text, Path) or "://" not in text:
        return FilePlace(Path(text))
    if text.startswith("witness+"):
        from openclaw.audit.witness import Witness

        return Witness.parse(text, prove)
    return ObjectPlace(text)


Prove = Callable[[int, int], list[bytes]]
"""The consistency proof from an old size to a new one; raises AuditError where the log is not so large."""


def newest(notes: Sequence[str]) -> int:
    """The largest size that any of the notes states, unchecked; 0 without any."""
    return max((size for note in notes if (size := _size(note)) is not None), default=0)


def _size(note: str) -> int | None:
    try:
        return read_checkpoint(note, note).size
    except VerificationError:
        return None


class _Files(Protocol):
    """What is used of an fsspec file system."""

    def exists(self, path: str) -> bool: ...

    def makedirs(self, path: str, exist_ok: bool) -> None: ...

    def open(self, path: str, mode: str) -> IO[bytes]: ...

    def cat_file(self, path: str) -> bytes: ...

    def find(self, path: str) -> list[str]: ...

    def invalidate_cache(self) -> None: ...


def _filesystem(url: str) -> tuple[_Files, str]:
    try:
        from fsspec.core import url_to_fs  # pyright: ignore[reportUnknownVariableType] - it has no types
    except ModuleNotFoundError as error:
        raise AuditError(
            "checkpoints in an object store need fsspec, which is not installed",
            hint="pip install 'openclaw-governance[object-store]'",
        ) from error
    try:
        # Listings must not be remembered: what others wrote or removed since is what is asked for.
        opened = cast("tuple[_Files, object]", url_to_fs(url, use_listings_cache=False, skip_instance_cache=True))
    except (ImportError, ValueError) as error:
        raise AuditError(f"no object store can be reached by `{url.partition('://')[0]}://`: {error}") from error
    return opened[0], str(opened[1]).rstrip("/")


__all__ = ["FilePlace", "ObjectPlace", "Place", "Prove", "newest", "open_place"]
