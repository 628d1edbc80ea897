"""Reading a tar archive: plain files by their paths, each once, to the end of the archive, or not at all.

The standard library's reader ends without a word at a damaged or missing header, and what came after it would be gone from
the policies; and it knows kinds of members (links, devices, sparse files) that a bundle has no use for. The format is POSIX
pax (IEEE 1003.1, "pax Interchange Format") with GNU's long names.
"""

from __future__ import annotations

from collections.abc import Iterator

FILES_MAX = 10_000
"""Most files of an archive."""

_BLOCK = 512
_FILE, _FOLDER = frozenset({b"0", b"\0"}), b"5"
_LONG_NAME, _PAX, _PAX_GLOBAL = b"L", b"x", b"g"


class BadArchive(ValueError):
    """What is wrong with an archive, in words that go on after "it cannot be read"."""


def read_tar(content: bytes) -> dict[str, bytes]:
    """The files of an archive.

    Raises:
        BadArchive: it is damaged or cut off, holds something else than files and folders, a path twice, one that leads out
            of it, or more than ``FILES_MAX`` files.
    """
    files: dict[str, bytes] = {}
    for name, data in _members(content):
        path = _path(name)
        if path in files:
            raise BadArchive(f"`{path}` is in it twice")
        if len(files) == FILES_MAX:
            raise BadArchive(f"it has more than {FILES_MAX:,} files")
        files[path] = data
    return files


def _members(content: bytes) -> Iterator[tuple[str, bytes]]:
    at, said = 0, dict[str, str]()
    while (header := content[at : at + _BLOCK]) != bytes(_BLOCK):
        if len(header) < _BLOCK:
            raise BadArchive("it is cut off")
        size, kind = _checked(header), header[156:157]
        data = content[at + _BLOCK : at + _BLOCK + size]
        if len(data) < size:
            raise BadArchive("it is cut off")
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
        if kind == _PAX_GLOBAL and not {"path", "size"} & _records(data).keys():
            continue  # A comment, such as the commit that `git archive` writes.
        if kind == _PAX:
            said |= _records(data)
        elif kind == _LONG_NAME:
            said["path"] = _text(data.rstrip(b"\0"))
        else:
            name = said.get("path") or _name(header)
            sparse = any(key.startswith("GNU.sparse") for key in said)
            if (kind not in _FILE and kind != _FOLDER) or sparse or said.get("size", str(size)) != str(size):
                raise BadArchive(f"`{_shown(name)}` is no plain file")
            if kind in _FILE and not name.endswith("/"):
                yield name, data
            said = {}


def _checked(header: bytes) -> int:
    """The size that a header gives, if its checksum is right."""
    blank = header[:148] + b" " * 8 + header[156:]
    try:
        if int(header[148:156].strip(b" \0"), 8) == sum(blank):
            return int(header[124:136].strip(b" \0") or b"0", 8)
    except ValueError:
        pass
    raise BadArchive("it is damaged, or no tar archive")


def _name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    # GNU's own format has something else in the place of the prefix.
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _records(data: bytes) -> dict[str, str]:
    """The records of a pax header: ``length key=value``, each with a line feed after it."""
    records: dict[str, str] = {}
    while data:
        length, _, rest = data.partition(b" ")
        size = int(length) if length.isdigit() and len(length) < 10 else 0
        key, sign, value = data[len(length) + 1 : size - 1].partition(b"=")
        if not rest or not sign or data[size - 1 : size] != b"\n":
            raise BadArchive("it has a damaged pax header")
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse"):
            records[key.decode()] = _text(value)
        data = data[size:]
    return records


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise BadArchive(f"the name `{_shown(name.decode(errors='backslashreplace'))}` is not UTF-8") from error


def _path(name: str) -> str:
    """The path of a member below the top, which `opa build` writes as `/`, and `tar` as `.`."""
    parts = name.removeprefix("/").split("/")
    while len(parts) > 1 and parts[0] == ".":
        del parts[0]
    if any(part in ("", ".", "..") or not part.isprintable() or "\\" in part for part in parts):
        raise BadArchive(f"`{_shown(name)}` is no path within it")
    return "/".join(parts)


def _shown(name: str) -> str:
    """A name as it may stand in a message: on one line, and not longer than that."""
    escaped = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)
    return escaped if len(escaped) <= 200 else escaped[:199] + "…"
