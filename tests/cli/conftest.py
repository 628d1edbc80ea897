"""Real commands on real databases, in this process, with a clock that stands still."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from openclaw.cli import books, main
from tests.support.story import StillClock, tell_on, told


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        return json.loads(self.out)


Command = Callable[..., Said]


@pytest.fixture(scope="session")
def _told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StillClock]:
    folder, clock = tmp_path_factory.mktemp("story"), StillClock()
    with told(f"sqlite:///{folder / 'openclaw.db'}", folder, clock=clock) as story:
        tell_on(story)
    return folder, clock


@pytest.fixture
def desk(_told: tuple[Path, StillClock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the database of the whole story; the present folder and time while the test lasts."""
    folder, clock = _told
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    later = StillClock(clock.at)
    later.made = dict(clock.made)
    later.pass_ms(60_000)
    monkeypatch.setattr(books, "CLOCK", later)
    return tmp_path


@pytest.fixture
def openclaw(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``openclaw`` with arguments and give what it said."""
    for name in ("OPENCLAW_STORE", "OPENCLAW_KEY", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, captured.out, captured.err)

    return run
