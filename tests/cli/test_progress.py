"""Bars on a real terminal: there while the work lasts, gone when it is done; and Ctrl-C, which leaves everything whole."""

from __future__ import annotations

import hashlib
import shlex
import sys
from pathlib import Path

import pytest

from openclaw.audit.reading import Reader, Selection
from openclaw.store import Store
from tests.cli.conftest import Command
from tests.support.story import DESK_REGO
from tests.support.terminal import program, seen

LONG = {
    "verifying": ("audit", "verify"),
    "exporting": ("audit", "export", "--to", "out.jsonl", "--force"),
    "deciding again": ("policy", "replay", "--policies", "candidate"),
    "reading": ("audit", "report", "--period", "2026-11-23", "--out", "out.html"),
    "counting": ("audit", "stats", "--since", "2026-11-01"),
    "checking": ("budget", "audit"),
    "searching": ("audit", "list", "--text", "refund"),
}
LATER = {
    "reading": ("budget", "report"),
    "counting": ("audit", "diff", "2026-11-01..2026-11-23T10:01:00", "2026-11-23T10:01:00..2026-12-01"),
    "deciding again": ("policy", "coverage", "--from-log", "--policies", "candidate"),
}
# Stands still once the bar has heard something, so that Ctrl-C comes in the middle of the work.
HELD = """
import os, signal, sys
from openclaw.cli import main, progress

# A signal that comes before anybody waits for it is not missed: it stands in the pipe.
waits, woken = os.pipe()
os.set_blocking(woken, False)
signal.set_wakeup_fd(woken)

made = progress._bar

def held(*told):
    seen = made(*told)

    def hear(done, total):
        seen(done, total)
        os.read(waits, 1)

    return hear

progress._bar = held
main(sys.argv[1:])
"""


@pytest.fixture
def candidate(desk: Path) -> Path:
    (desk / "candidate").mkdir()
    (desk / "candidate" / "desk.rego").write_text(DESK_REGO)
    return desk


def digests(folder: Path) -> dict[str, str]:
    # A reader of SQLite takes its place in shared memory, and may leave an empty journal behind: no content.
    files = (
        path for path in folder.rglob("*") if path.is_file() and path.stat().st_size and not path.name.endswith("-shm")
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("doing", "command"), [*LONG.items(), *LATER.items()], ids=lambda it: it if isinstance(it, str) else None
)
def test_long_work_shows_how_far_it_has_come_and_leaves_nothing_behind(
    doing: str, command: tuple[str, ...], candidate: Path
) -> None:
    child = program(*command)
    written = child.read()
    child.close()
    assert doing in written
    assert "/23" in written
    left = "\n".join(seen(written))
    assert "━" not in left
    assert f"{doing} " not in left
    assert "\x1b[?25h" in written  # the cursor is there again
    assert child.exitstatus in (0, 1)


def test_where_nobody_looks_there_is_no_bar(candidate: Path, openclaw: Command) -> None:
    for command in LONG.values():
        said = openclaw(*command)
        assert "━" not in said.out + said.err
        assert "\x1b" not in said.out + said.err


@pytest.mark.parametrize("dumb", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_terminal_that_cannot_move_its_cursor_gets_no_bar(dumb: dict[str, str], desk: Path) -> None:
    assert "━" not in program("audit", "verify", **dumb).read()


@pytest.mark.parametrize(
    "command",
    [
        ("audit", "list", "--all", "--json", "--text", "refund"),
        ("audit", "export"),
        ("audit", "stats", "--since", "2026-11-01", "--json"),
    ],
    ids=lambda command: command[1],
)
def test_data_goes_where_it_was_sent_and_not_to_the_bar(
    command: tuple[str, ...], desk: Path, openclaw: Command
) -> None:
    line = f"exec {shlex.join((sys.executable, '-m', 'openclaw', *command))} > out.txt"
    child = program("-c", line, start=(), command="/bin/sh")
    written = child.read()
    child.close()
    assert child.exitstatus == 0
    assert "/23" in written
    assert seen(written) == []
    assert (desk / "out.txt").read_text() == openclaw(*command).out


@pytest.mark.parametrize("doing", LONG)
def test_ctrl_c_ends_it_with_one_line_and_leaves_everything_whole(doing: str, candidate: Path) -> None:
    before = digests(candidate)
    child = program(*LONG[doing], start=("-c", HELD))
    child.expect("/23")
    child.sendintr()
    written = child.before + child.after + child.read()
    child.close()
    assert child.exitstatus == 130
    left = [line for line in seen(written) if line and line != "^C"]
    if doing == "exporting":
        assert left == ["interrupted after entry 23: nothing was written"]
    else:
        assert [line.removeprefix("^C") for line in left] == ["interrupted"]
    assert "\x1b[?25h" in written
    assert digests(candidate) == before


def test_verify_that_was_interrupted_leaves_a_log_that_holds(desk: Path, openclaw: Command) -> None:
    child = program("audit", "verify", start=("-c", HELD))
    child.expect("/23")
    child.sendintr()
    child.read()
    assert openclaw("audit", "verify").code == 0


def test_a_search_that_finds_nothing_tells_how_far_it_has_come_all_the_same(desk: Path) -> None:
    store = Store.open(f"sqlite:///{desk / 'openclaw.db'}", create=False, readonly=True)
    heard: list[tuple[int, int]] = []
    try:
        wanted = Selection(body_holds=("nowhere",))
        found = Reader(store).entries(wanted, seen=lambda done, total: heard.append((done, total)))
        assert [page for page in found if page] == []
        newest: list[tuple[int, int]] = []
        for _ in Reader(store).entries(Selection(), newest_first=True, page_max=10, seen=lambda *it: newest.append(it)):
            pass
    finally:
        store.close()
    assert heard == [(23, 23)]
    assert newest == [(10, 23), (20, 23), (23, 23)]
