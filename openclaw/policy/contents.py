"""The files of a policy folder or of a bundle, read once, before anything is made of them.

Both are read as OPA reads a bundle: every ``*.rego`` file, and every ``data.json`` or ``data.yaml`` mounted at the path of
the folder that it lies in. Names that start with a dot are skipped, but for the manifest at the top.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from openclaw.errors import PolicyError
from openclaw.policy.manifest import Manifest, read_manifest

MANIFEST = ".manifest"
DATA_FILES = frozenset({"data.json", "data.yaml", "data.yml"})
CASES = ("_cases.yaml", "_cases.yml")
TEST_RULES = "_test.rego"


class Contents(NamedTuple):
    """Files by their path below ``root``, which is how people know the place.

    Attributes:
        what: the place in the words of a message, such as "policy folder `policies`".
        unread: files that are there and cannot be read, with what the system said.
        signed: with which key a bundle was signed, in words; empty where that was not asked for.
    """

    what: str
    root: str
    files: Mapping[str, bytes]
    manifest: Manifest = Manifest()
    unread: Mapping[str, str] = MappingProxyType({})
    signed: str = ""

    def shown(self, path: str) -> str:
        """How people know a file."""
        return f"{self.root}/{path}" if "://" in self.root else str(Path(self.root, path))

    def names(self) -> Iterator[str]:
        """The paths of all files, in order, those that cannot be read included."""
        yield from sorted({*self.files, *self.unread})

    @property
    def identity(self) -> str:
        """Digest of every byte that was read: tests, comments and manifest too."""
        whole = hashlib.sha256()
        for name in self.names():
            content = self.files.get(name, b"")
            whole.update(f"{len(name.encode())} {len(content)} {self.unread.get(name, '')}\n".encode())
            whole.update(name.encode() + content)
        whole.update(self.manifest.encode())
        return whole.hexdigest()


def is_rules(path: str) -> bool:
    """Whether this is a file of rules that decide."""
    return path.endswith(".rego") and not path.endswith(TEST_RULES)


def is_data(path: str) -> bool:
    """Whether this is a file of data."""
    return PurePosixPath(path).name in DATA_FILES


def is_test(path: str) -> bool:
    """Whether this is a file of tests."""
    return path.endswith((TEST_RULES, *CASES))


def is_read(path: str) -> bool:
    """Whether anything is made of the file at this path; dotted names are other programs' business."""
    parts = PurePosixPath(path).parts
    return not any(part.startswith(".") for part in parts) and (path.endswith((".rego", *CASES)) or is_data(path))


def read_folder(folder: str | Path) -> Contents:
    """The contents of a policy folder.

    Raises:
        PolicyError: there is no such folder, or its manifest cannot be used.
    """
    root = Path(folder)
    what = f"policy folder `{root}`"
    if not root.is_dir():
        wrong = "is not a folder" if root.exists() else "does not exist"
        raise PolicyError(f"{what} {wrong}", hint="give the folder that holds the .rego files")
    files: dict[str, bytes] = {}
    unread: dict[str, str] = {}

    def unreadable(error: OSError) -> None:
        unread[Path(error.filename).relative_to(root).as_posix()] = error.strerror or "it cannot be read"

    for place, below, names in os.walk(root, onerror=unreadable):
        # A mounted Kubernetes ConfigMap keeps its versions in dotted folders and links to the files of one of them.
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            file = Path(place) / name
            path = file.relative_to(root).as_posix()
            if not is_read(path) and path != MANIFEST:
                continue
            try:
                files[path] = file.read_bytes()
            except OSError as error:
                unread[path] = error.strerror or "it cannot be read"
    manifest = files.pop(MANIFEST, None)
    if manifest is None:
        return Contents(what, str(root), files, unread=unread)
    return Contents(what, str(root), files, read_manifest(manifest, str(root / MANIFEST)), unread)
