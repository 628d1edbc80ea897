"""docs/authoring.md is true: its files are written, its commands and programs run. ``OPENCLAW_UPDATE_DOCS=1`` writes it anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from openclaw.cli import main
from openclaw.policy import check, checking
from openclaw.policy.regorus import available
from tests.cli.test_docs import same
from tests.conftest import require

PATH = Path(__file__).parents[2] / "docs" / "authoring.md"
BLOCK = re.compile(r"(?P<before>[^\n]*)\n\n```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
FILE = re.compile(r"`([\w/.]+)`:$")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    require("native", available(), "a Rust toolchain, then `make native`")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")
    return tmp_path


def ran(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(command.split()[1:])
    said = capsys.readouterr()
    code = f"[exit code {ended.value.code}]\n" if ended.value.code else ""
    return f"$ {command}\n{said.out}{said.err}{code}"


def test_every_file_command_and_program_of_the_page_is_what_it_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = PATH.read_text()
    wrong: list[str] = []

    def take(block: re.Match[str]) -> str:
        before, kind, text = block["before"], block["kind"], block["text"]
        named = FILE.search(before)
        if named:
            path = folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif kind == "console":
            said = ran(text.splitlines()[0].removeprefix("$ "), capsys)
            if same(said) != same(text):
                wrong.append(f"--- shown\n{text}--- said\n{said}")
                return f"{before}\n\n```console\n{said}```"
        elif kind == "python":
            exec(text, {})
        else:
            assert kind == "rego"
            mended = re.sub(r"deny contains \"outside.*?\n", text, (folder / "broken" / "money.rego").read_text())
            (folder / "broken" / "money.rego").write_text(mended)
            assert [it.code for it in check("broken") if it.severity == "warning"] == []
        return block.group()

    renewed = BLOCK.sub(take, page)
    if os.environ.get("OPENCLAW_UPDATE_DOCS"):
        PATH.write_text(renewed)
    else:
        assert wrong == [], "\n".join(wrong)


def test_every_kind_of_finding_is_on_the_page() -> None:
    assert checking.__doc__ is not None
    kinds = re.findall(r"^    ([a-z-]+)  +\S", checking.__doc__, re.MULTILINE)
    assert len(kinds) > 12
    page = PATH.read_text()
    assert [kind for kind in kinds if f"`{kind}`" not in page] == []
