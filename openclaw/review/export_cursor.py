"""How far an export has come, in a file that is whole at every moment and used by one export at a time."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from openclaw.errors import ExportError

if sys.platform != "win32":
    import fcntl


@dataclass(frozen=True, slots=True)
class Position:
    """The last entry that was taken, and what the format has to remember until later ones come."""

    after: int = 0
    state: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: str
    format: str
    after: int
    state: dict[str, JsonValue] = {}


class Cursor:
    """A cursor file. Opening it locks it, so that two exports never move one cursor; ``close`` gives it back.

    Args:
        path: the file; made on the first ``save``.
        origin: the log's name: the cursor of another log is refused.
        form: the format's name: what one format remembers, another does not understand.

    Raises:
        ExportError: another export uses it, it belongs to another log or format, or it cannot be read.
    """

    def __init__(self, path: Path, *, origin: str, form: str) -> None:
        self._path = path
        self._origin = origin
        self._form = form
        self._lock = self._locked()

    def load(self) -> Position:
        """Where to go on; the beginning, if nothing was kept yet."""
        try:
            kept = _Kept.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Position()
        except (OSError, ValidationError) as error:
            said = str(error).splitlines()[0]
            raise ExportError(
                f"the cursor `{self._path}` cannot be read: {said}", hint="remove it to export from the first entry"
            ) from error
        for what, found, expected in (("log", kept.origin, self._origin), ("format", kept.format, self._form)):
            if found != expected:
                raise ExportError(
                    f"the cursor `{self._path}` is of {what} `{found}`, not `{expected}`", hint="name another cursor"
                )
        return Position(kept.after, kept.state)

    def save(self, position: Position) -> None:
        """Keep a position: durable when this returns, and the old one or the new one at every moment.

        Raises:
            ExportError: it cannot be written.
        """
        kept = {"origin": self._origin, "format": self._form, "after": position.after, "state": position.state}
        draft = self._path.with_name(f"{self._path.name}.new")
        try:
            with draft.open("w") as file:
                json.dump(kept, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            raise ExportError(
                f"the cursor `{self._path}` cannot be written: {error.strerror}", hint="make its folder writable"
            ) from error

    def close(self) -> None:
        """Let others use it."""
        self._lock.close()

    def _locked(self) -> IO[bytes]:
        path = self._path.with_name(f"{self._path.name}.lock")
        try:
            file = path.open("ab")
        except OSError as error:
            raise ExportError(
                f"the cursor `{self._path}` cannot be made: {error.strerror}", hint="check that its folder exists"
            ) from error
        if sys.platform != "win32":
            with contextlib.ExitStack() as stack:
                stack.callback(file.close)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    raise ExportError(
                        f"another export uses the cursor `{self._path}`", hint="end it, or name another cursor"
                    ) from error
                stack.pop_all()
        return file


__all__ = ["Cursor", "Position"]
