"""Files that commands write: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from openclaw.errors import ConfigurationError


def write_file(path: Path, content: bytes) -> None:
    """Write a file; whoever looks finds the old one or the new one, and an interrupted command leaves nothing behind.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritable(path, error) from error
    draft = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)
        draft.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"`{path}` cannot be written: {(error.strerror or str(error)).lower()}",
        hint="name a file where you may write",
    )


__all__ = ["write_file"]
