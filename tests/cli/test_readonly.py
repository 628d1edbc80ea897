"""A reviewer without write access, on both databases: every command that reads works, and each that must write says so."""

from __future__ import annotations

import io
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from openclaw.audit import AuditLog, Proof, Signer
from openclaw.cli import books
from openclaw.store import Store
from tests.cli.conftest import Command, Said
from tests.support import nobody
from tests.support.readers import reading_only
from tests.support.story import DESK_REGO, SEED, StillClock, tell_on, told

READING = [
    ("audit", "list"),
    ("audit", "list", "--all", "--csv"),
    ("audit", "list", "--text", "ACME", "--where", 'effect == "deny"'),
    ("audit", "tail"),
    ("audit", "show", "11"),
    ("audit", "explain", "11"),
    ("audit", "open"),
    ("audit", "timeline"),
    ("audit", "timeline", "run-0001", "--svg", "run.svg"),
    ("audit", "stats"),
    ("audit", "diff", "run-0001", "run-0001"),
    ("audit", "query", "SELECT count(*) FROM openclaw_entry"),
    ("audit", "verify"),
    ("audit", "report", "--period", "2026-11-23", "--out", "report.html"),
    ("audit", "hold", "list"),
    ("review",),
    ("budget", "list"),
    ("budget", "show", "org/default"),
    ("budget", "audit"),
    ("approvals", "list", "--all"),
    ("approvals", "show", "ask-0002"),
    ("approvals", "approvers"),
    ("halts",),
]
WRITING = [
    ("audit", "note", "11", "--by", "eva", "--verdict", "agreed"),
    ("review", "--by", "eva"),
    ("audit", "checkpoint"),
    ("audit", "hold", "add", "--by", "eva", "--reason", "case", "--run", "run-0001"),
    ("budget", "set", "org/default", "--calls", "1"),
    ("approvals", "approve", "ask-0002", "--by", "eva"),
    ("approvals", "reject", "ask-0002", "--by", "eva"),
    ("approvals", "enroll", "ada", "--by", "root"),
    ("halt", "--all", "--by", "eva"),
]
KEYED = ("verify", "report", "checkpoint", "note", "hold")


@dataclass(frozen=True)
class Reviewer:
    """A database with a story in it, as who owns it sees it and as somebody sees it who may only read."""

    owner: str
    reads: str
    key: str


@pytest.fixture
def reviewer(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reviewer]:
    clock = StillClock()
    with told(store_url, tmp_path, clock=clock) as story:
        tell_on(story)
    clock.pass_ms(60_000)
    monkeypatch.setattr(books, "CLOCK", clock)
    monkeypatch.chdir(tmp_path)
    with reading_only(store_url) as reads:
        yield Reviewer(store_url, reads, str(tmp_path / "openclaw.db.key"))


def test_every_command_that_reads_needs_no_write_access(reviewer: Reviewer, openclaw: Command) -> None:
    for command in READING:
        keyed = ("--key", reviewer.key) if set(command) & set(KEYED[:2]) else ()
        mine = openclaw(*command, "--store", reviewer.reads, *keyed)
        assert mine.code == 0, (command, mine)
        owners = openclaw(*command, "--store", reviewer.owner, *keyed)
        if command[:2] == ("audit", "query") and not reviewer.owner.startswith("sqlite"):
            assert "superuser" in owners.err
        else:
            assert owners.out == mine.out


def test_every_command_that_must_write_says_so(
    reviewer: Reviewer, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reviewer.owner.startswith("sqlite") and os.geteuid() == 0:
        pytest.skip("nothing is read-only for root: the next test is for that")
    monkeypatch.setenv("OPENCLAW_KEY", reviewer.key)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    before = openclaw("audit", "list", "--all", "--json", "--store", reviewer.reads).out
    for command in WRITING:
        says_that_it_writes(command, openclaw(*command, "--store", reviewer.reads))
    assert openclaw("audit", "list", "--all", "--json", "--store", reviewer.reads).out == before


def says_that_it_writes(command: tuple[str, ...], said: Said | nobody.Said) -> None:
    if command == ("review", "--by", "eva") and said.code == 0:
        return  # on PostgreSQL nothing has been written before the first verdict
    assert said.code == 2, (command, said)
    assert said.err.startswith("error: this command writes, and the database"), (command, said.err)


@pytest.fixture
def anybodys(desk: Path) -> Iterator[Path]:
    """The desk in a folder that everybody can read, and only its owner write; with a key that everybody has."""
    with nobody.public_folder() as folder:
        for name in ("openclaw.db", "openclaw.db.checkpoints"):
            shutil.copy(desk / name, folder)
            (folder / name).chmod(0o444)
        folder.chmod(0o555)
        yield folder


def test_somebody_without_rights_is_told_which_commands_write(anybodys: Path, desk: Path) -> None:
    before = (anybodys / "openclaw.db").read_bytes()
    told = {"OPENCLAW_KEY": (desk / "openclaw.db.key").read_text().split()[0]}
    for command, said in zip(WRITING, nobody.as_nobody(WRITING, folder=anybodys, environment=told), strict=True):
        says_that_it_writes(command, said)
    assert (anybodys / "openclaw.db").read_bytes() == before


def test_somebody_without_rights_and_without_the_key_proves_what_the_last_checkpoint_covers(
    anybodys: Path, desk: Path
) -> None:
    store = Store.open(f"sqlite:///{desk / 'openclaw.db'}", readonly=True)
    log = AuditLog(store, None)
    newest, size = log.last_checkpoint(), log.size()
    store.close()
    assert newest is not None
    assert newest.size < size
    before = (anybodys / "openclaw.db").read_bytes()
    covered, joined, bare = nobody.as_nobody(
        [
            ("audit", "prove", str(newest.size)),
            ("audit", "prove", "--from", str(newest.size)),
            ("audit", "prove", str(size)),
        ],
        folder=anybodys,
    )
    assert (covered.code, joined.code) == (0, 0), (covered, joined)
    assert Proof.model_validate_json(covered.out).check(Signer("openclaw-0001", SEED).verifier) == newest
    assert bare.code == 2
    assert bare.err.startswith(
        f"error: no checkpoint covers entry {size} yet (there is one of {newest.size} entries), and none can be made:"
    )
    assert sorted(path.name for path in anybodys.iterdir()) == ["openclaw.db", "openclaw.db.checkpoints"]
    assert (anybodys / "openclaw.db").read_bytes() == before


def test_a_copy_in_a_folder_that_takes_no_writes_is_read(desk: Path, openclaw: Command) -> None:
    (desk / "openclaw.db-wal").unlink(missing_ok=True)
    (desk / "openclaw.db-shm").unlink(missing_ok=True)
    mode = desk.stat().st_mode
    desk.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        for command in (("audit", "list"), ("audit", "stats"), ("review",), ("audit", "query", "SELECT 1 AS one")):
            assert openclaw(*command).code == 0
    finally:
        desk.chmod(mode)


def test_somebody_without_rights_can_ask_everything(anybodys: Path, desk: Path) -> None:
    """In a folder that takes no writes, without the key; with a key of the log that is public where signatures are checked."""
    public = Signer.parse((desk / "openclaw.db.key").read_text().strip()).verifier
    anybodys.chmod(0o755)
    (anybodys / "policies").mkdir()
    (anybodys / "policies" / "desk.rego").write_text(DESK_REGO)
    anybodys.chmod(0o555)
    beside = [
        ("audit", "export"),
        ("audit", "export", "--format", "ocsf", "--kind", "decision"),
        ("audit", "explain", "12", "--policies", "policies"),
        ("audit", "prove", "2"),
        ("policy", "replay", "--policies", "policies"),
        ("policy", "coverage", "--from-log", "--policies", "policies"),
        ("policy", "shadow"),
        ("budget", "report"),
        ("budget", "forecast"),
        ("audit", "view", "list"),
        ("doctor",),
    ]
    asked = [command for command in (*READING, *beside) if not {"run.svg", "report.html"} & {*command}]
    asked = [
        (*command, "--public-key", str(public), "--inside-only") if command[:2] == ("audit", "verify") else command
        for command in asked
    ]
    before = sorted(path.name for path in anybodys.iterdir())
    for command, said in zip(asked, nobody.as_nobody(asked, folder=anybodys), strict=True):
        assert said.code in (0, 1), (command, said)
        assert "writes" not in said.err, (command, said)
        assert said.out or said.err, command
    assert sorted(path.name for path in anybodys.iterdir()) == before
