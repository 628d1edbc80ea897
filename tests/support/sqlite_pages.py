"""What each byte of a SQLite file is for, after the file format's own document: so that a flipped byte has a name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.sqlite_files import sqlite_file

HEADER = 100
LEAF_INDEX, LEAF_TABLE, INNER_INDEX, INNER_TABLE = 0x0A, 0x0D, 0x02, 0x05


@dataclass(frozen=True)
class Region:
    """``start`` to ``end`` of the file: ``owner`` is a table or index, ``part`` what stands there."""

    start: int
    end: int
    owner: str
    part: str


def regions(path: Path) -> list[Region]:
    """The whole file, in order."""
    data = path.read_bytes()
    size = int.from_bytes(data[16:18], "big")
    with sqlite_file(f"file:{path}?mode=ro&immutable=1") as connection:
        roots = connection.execute("SELECT name, tbl_name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall()
    owners: dict[int, str] = {}
    for page in _tree(data, size, 1):
        owners[page] = "sqlite_master"
    for name, table, root in roots:
        label = table if name == table else f"{table}/{name}"
        for page in _tree(data, size, root):
            owners[page] = label
    found = [Region(0, HEADER, "file header", "header")]
    for page in range(1, len(data) // size + 1):
        found += _page(data, size, page, owners.get(page, "free pages"))
    return found


def _tree(data: bytes, size: int, page: int) -> list[int]:
    base = (page - 1) * size
    at = base + (HEADER if page == 1 else 0)
    kind, cells = data[at], int.from_bytes(data[at + 3 : at + 5], "big")
    pages = [page]
    inner = kind in (INNER_INDEX, INNER_TABLE)
    for cell in range(cells):
        pointer = at + (12 if inner else 8) + 2 * cell
        where = base + int.from_bytes(data[pointer : pointer + 2], "big")
        if inner:
            pages += _tree(data, size, int.from_bytes(data[where : where + 4], "big"))
        pages += _overflow(data, size, where, kind)
    if inner:
        pages += _tree(data, size, int.from_bytes(data[at + 8 : at + 12], "big"))
    return pages


def _overflow(data: bytes, size: int, where: int, kind: int) -> list[int]:
    length, local = _cell(data, size, where, kind)
    payload, stored = length
    if payload <= stored:
        return []
    pages, page = [], int.from_bytes(data[where + local - 4 : where + local], "big")
    while page:
        pages.append(page)
        page = int.from_bytes(data[(page - 1) * size : (page - 1) * size + 4], "big")
    return pages


def _cell(data: bytes, size: int, where: int, kind: int) -> tuple[tuple[int, int], int]:
    """Payload length and what of it is on this page, and the whole length of the cell."""
    at = where + (4 if kind in (INNER_INDEX, INNER_TABLE) else 0)
    if kind == INNER_TABLE:
        _, at = _varint(data, at)
        return (0, 0), at - where
    payload, at = _varint(data, at)
    if kind == LEAF_TABLE:
        _, at = _varint(data, at)
    most = size - 35 if kind == LEAF_TABLE else (size - 12) * 64 // 255 - 23
    least = (size - 12) * 32 // 255 - 23
    stored = payload
    if payload > most:
        spill = least + (payload - least) % (size - 4)
        stored = spill if spill <= most else least
    return (payload, stored), at - where + stored + (4 if payload > stored else 0)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for step in range(8):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    return value << 8 | data[at + 8], at + 9


def _page(data: bytes, size: int, page: int, owner: str) -> list[Region]:
    base = (page - 1) * size
    at = base + (HEADER if page == 1 else 0)
    if owner == "free pages":
        return [Region(at, base + size, owner, "free page")]
    kind, cells = data[at], int.from_bytes(data[at + 3 : at + 5], "big")
    if kind not in (LEAF_INDEX, LEAF_TABLE, INNER_INDEX, INNER_TABLE):
        return [Region(at, base + size, owner, "overflow")]
    head = 12 if kind in (INNER_INDEX, INNER_TABLE) else 8
    end = at + head + 2 * cells
    spans = sorted(
        (base + offset, base + offset + _cell(data, size, base + offset, kind)[1])
        for offset in (int.from_bytes(data[at + head + 2 * n : at + head + 2 * n + 2], "big") for n in range(cells))
    )
    found = [Region(at, end, owner, "page header")]
    reached = end
    for start, stop in spans:
        if start > reached:
            found.append(Region(reached, start, owner, "unused space"))
        found.append(Region(start, stop, owner, "cell"))
        reached = stop
    if reached < base + size:
        found.append(Region(reached, base + size, owner, "unused space"))
    return found
