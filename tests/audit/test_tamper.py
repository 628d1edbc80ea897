"""Every byte of a small database is flipped in turn: each flip is found, or harmless by name.

*Found* is a problem that `verify` reports, or a file that can no longer be opened. *Harmless* is a flip after which every entry
still reads as it was, in every way in which entries are asked for, and which lies in a part of the file that is named here.
"""

from __future__ import annotations

import collections
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw.audit import AuditLog, Draft, Signer
from openclaw.errors import OpenClawError
from openclaw.store import Store
from openclaw.store.tables import Table
from tests.support.sqlite_files import sqlite_file
from tests.support.sqlite_pages import Region, regions

PAGE = 512  # SQLite's smallest: more kinds of pages in fewer bytes

HARMLESS = {
    "header": "SQLite reads little of it: counters, versions and sizes of others, which no query depends on",
    "unused space": "space between cells, and behind them, which SQLite does not read",
    "free page": "pages that no table uses",
    "not the log": "tables of budgets, approvals and runs: what happened stands in the log, and is checked there",
    "not the log's": "when the database was made, which nothing depends on; its origin stands in every checkpoint",
    "not a value": "a byte of SQLite's own bookkeeping, after which every query gives the same rows",
}


def build(folder: Path) -> Path:
    """A log with entries of several kinds, an overflowing one, checkpoints, and a database that is nothing but a file."""
    path = folder / "small.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA page_size={PAGE}")
    connection.execute("VACUUM")
    connection.close()
    store = Store.open(f"sqlite:///{path}")
    log = AuditLog(store, Signer(store.origin, bytes(range(32))), outside=folder / "small.checkpoints")
    for number in range(9):
        log.append(
            Draft(
                kind="decision",
                run=f"r{number % 2}",
                agent="a",
                tool=f"t{number % 3}",
                effect="allow",
                body={"n": number},
            )
        )
    log.append(Draft(kind="outcome", run="r1", agent="a", tool="t1", body={"text": "long " * 150}))
    log.rotate_key(Signer(store.origin, bytes(range(1, 33)), root=bytes(range(32))), by="eva")
    log.append(Draft(kind="halt", agent="b", body={"by": "eva"}))
    log.close()
    store.close()
    with sqlite_file(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    return path


QUERIES = (
    "SELECT * FROM openclaw_entry ORDER BY seq",
    "SELECT * FROM openclaw_entry ORDER BY seq DESC",
    "SELECT * FROM openclaw_entry INDEXED BY openclaw_entry_run WHERE run = 'r1' ORDER BY seq",
    "SELECT * FROM openclaw_entry INDEXED BY openclaw_entry_tool WHERE tool = 't1' ORDER BY seq",
    "SELECT * FROM openclaw_entry INDEXED BY openclaw_entry_agent WHERE agent = 'a' ORDER BY seq",
    "SELECT run, seq FROM openclaw_entry INDEXED BY openclaw_entry_run ORDER BY run, seq",
    "SELECT tool, seq FROM openclaw_entry INDEXED BY openclaw_entry_tool ORDER BY tool, seq",
    "SELECT agent, seq FROM openclaw_entry INDEXED BY openclaw_entry_agent ORDER BY agent, seq",
    "SELECT workflow, seq FROM openclaw_entry INDEXED BY openclaw_entry_workflow ORDER BY workflow, seq",
    "SELECT effect, seq FROM openclaw_entry INDEXED BY openclaw_entry_refused"
    " WHERE effect IN ('ask', 'deny') ORDER BY effect, seq",
    "SELECT kind, seq FROM openclaw_entry INDEXED BY openclaw_entry_rare"
    " WHERE kind NOT IN ('decision', 'outcome') ORDER BY kind, seq",
    "SELECT seq FROM openclaw_entry INDEXED BY openclaw_entry_checkpoint WHERE kind = 'checkpoint' ORDER BY seq",
    "SELECT seq FROM openclaw_entry INDEXED BY openclaw_entry_rotation"
    " WHERE kind = 'checkpoint' AND instr(body, '\"rotation') > 0 ORDER BY seq",
    'SELECT * FROM openclaw_node ORDER BY level, "index"',
    "SELECT * FROM openclaw_head",
    "SELECT id, origin FROM openclaw_meta",
)
"""The log in every way in which it is asked for: through the table, and through each of its indexes."""


def asked(path: Path) -> list[object]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [connection.execute(query).fetchall() for query in QUERIES]
    finally:
        connection.close()


def look(path: Path, key: Signer, outside: Path) -> tuple[bool, list[object]]:
    """Whether something was found, and what the log says if nothing was."""
    try:
        store = Store.open(f"sqlite:///{path}", create=False, readonly=True)
    except OpenClawError:
        return True, []
    log = AuditLog(store, key, outside=outside)
    try:
        report = log.verify()
    finally:
        log.close(0)
        store.close()
    return not report.ok, asked(path) if report.ok else []


def why_harmless(region: Region) -> str:
    """The name under which a flip in this region may go unnoticed; empty where it may not."""
    if region.owner == "file header":
        return "header"
    if region.part in ("unused space", "free page"):
        return region.part
    table = region.owner.partition("/")[0]
    if table in {str(name) for name in Table.metadata.tables} - {
        "openclaw_entry",
        "openclaw_node",
        "openclaw_head",
        "openclaw_meta",
    }:
        return "not the log"
    if table == "openclaw_meta":
        return "not the log's"
    return "not a value" if table == "sqlite_master" or region.part == "page header" else ""


def flipped(path: Path, every: int, masks: tuple[int, ...]) -> Iterator[tuple[Region, int, int]]:
    """Flip bytes of the file at ``path``, one at a time, and put each back."""
    intact = path.read_bytes()
    for region in regions(path):
        for at in range(region.start, region.end):
            if at % every:
                continue
            mask = masks[at % len(masks)]
            with path.open("r+b") as file:
                file.seek(at)
                file.write(bytes([intact[at] ^ mask]))
            yield region, at, mask
            with path.open("r+b") as file:
                file.seek(at)
                file.write(intact[at : at + 1])


def flip_all(folder: Path, every: int, masks: tuple[int, ...]) -> collections.Counter[str]:
    path = build(folder)
    probe = Store.open(f"sqlite:///{path}", create=False, readonly=True)
    key = Signer(probe.origin, bytes(range(32)))
    probe.close()
    outside = folder / "small.checkpoints"
    found, expected = look(path, key, outside)
    assert not found, "the intact log holds"
    seen: collections.Counter[str] = collections.Counter()
    silent: list[str] = []
    for region, at, mask in flipped(path, every, masks):
        found, said = look(path, key, outside)
        if found:
            seen[f"found in {region.owner}"] += 1
            continue
        where = f"byte {at} ^ {mask:#04x}: {region.part} of {region.owner}"
        if said != expected:
            silent.append(f"{where}: the log reads otherwise, and nothing was found")
        elif not why_harmless(region):
            silent.append(f"{where}: nothing was found, and no name makes it harmless")
        else:
            seen[f"harmless: {why_harmless(region)}"] += 1
    assert silent == [], f"{len(silent)} flips: " + "\n".join(silent[:40])
    assert {name.partition(": ")[2] for name in seen if name.startswith("harmless")} <= set(HARMLESS)
    return seen


def test_flipped_bytes_are_found_or_harmless_by_name(tmp_path: Path) -> None:
    """A sample, coprime to the page size, so that it meets every kind of byte."""
    seen = flip_all(tmp_path, 37, (0x01, 0x80, 0xFF))
    assert sum(count for name, count in seen.items() if name.startswith("found in openclaw_entry")) > 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_flipped_byte_is_found_or_harmless_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = flip_all(tmp_path, 1, (0x01, 0x80, 0xFF, 0x20, 0x02, 0x10, 0x40))
    with capsys.disabled():
        print()
        for name, count in sorted(seen.items()):
            print(f"{count:6}  {name}")
