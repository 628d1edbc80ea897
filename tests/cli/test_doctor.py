"""``openclaw doctor``: each part, and what to do about what is not live."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from openclaw.review import health
from tests.cli.conftest import Command


def findings(openclaw: Command, *arguments: str) -> dict[str, dict[str, str]]:
    return {finding["part"]: finding for finding in openclaw("doctor", "--json", *arguments).json["findings"]}


def test_doctor_finds_the_store_and_its_key(desk: Path, openclaw: Command) -> None:
    found = findings(openclaw)
    assert found["store"]["state"] == "ok"
    assert "log `openclaw-0001`, at sqlite:///openclaw.db" in found["store"]["says"]
    assert found["key"]["says"].startswith("openclaw-0001+")


def test_a_missing_store_is_absent_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, openclaw: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    said = openclaw("doctor")
    assert said.code == 0
    assert "store            absent  there is no database at `openclaw.db`" in said.out
    assert list(tmp_path.iterdir()) == []


def test_a_broken_store_is_exit_code_1(tmp_path: Path, openclaw: Command) -> None:
    (tmp_path / "notes.txt").write_text("x" * 5000)
    said = openclaw("doctor", "--store", f"sqlite:///{tmp_path / 'notes.txt'}")
    assert said.code == 1
    assert "store            broken" in said.out


def test_a_key_that_others_can_read_is_broken(desk: Path, openclaw: Command) -> None:
    (desk / "openclaw.db.key").chmod(0o644)
    assert findings(openclaw)["key"] == {
        "part": "key",
        "state": "broken",
        "says": "the signing key `openclaw.db.key` can be read by others on this machine",
        "todo": "chmod 600 openclaw.db.key",
    }


def test_without_the_native_engine_doctor_says_how_to_get_it(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openclaw._native", None)
    engine = findings(openclaw)["engine"]
    assert engine["state"] == "absent"
    assert engine["says"].startswith("regopy 1.")
    assert "install a Rust compiler" in engine["todo"]
    assert openclaw("doctor").code == 0


def test_a_native_engine_that_does_not_load_is_broken(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: object() if name == "openclaw._native" else find_spec(name)
    )
    monkeypatch.setitem(sys.modules, "openclaw._native", None)
    said = openclaw("doctor")
    assert said.code == 1
    assert "engine           broken" in said.out


def test_without_opa_doctor_says_when_it_is_wanted(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert findings(openclaw)["opa"]["state"] == "absent"


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)
def test_the_wal_reset_bug_is_known_by_version(version: tuple[int, ...], affected: bool) -> None:
    assert health.has_wal_reset_bug(version) is affected
