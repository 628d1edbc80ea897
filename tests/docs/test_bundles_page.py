"""docs/bundles.md is true: its commands and programs run, one after another, against real parts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openclaw.action import Principal, ToolCall
from openclaw.gate import Permit, Request
from openclaw.governance import Governance
from openclaw.policy import regorus
from openclaw.policy.source import read_policies
from tests.conftest import require
from tests.policy.support import HOW_NATIVE
from tests.support import opa
from tests.support.web import file_server

PAGE = (Path(__file__).parents[2] / "docs" / "bundles.md").read_text()
BLOCK = re.compile(r"```(python|console)\n(.*?)```", re.DOTALL)
PROMISED = ["Three forms", "Build, sign, look", "A bundle server", "When policies change", "On an OPA server", "shadow"]


def commands(block: str) -> list[str]:
    return re.findall(r"^\$ (.*)$", block, re.MULTILINE)


def run(command: str, opa_binary: str) -> subprocess.CompletedProcess[str]:
    name, *arguments = command.split()
    program = {"openclaw": [sys.executable, "-m", "openclaw"], "opa": [opa_binary]}.get(name, [name])
    return subprocess.run(
        [*program, *arguments], capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"}
    )


def refund(governance: Governance, amount: int) -> None:
    action = ToolCall(
        principal=Principal(agent="clerk", workflow="w"), name="refund", args={"amount": amount}, call_id="c"
    )
    assert isinstance(governance.gate.admit(Request(action=action)), Permit)


@pytest.fixture(autouse=True)
def parts(opa_binary: str) -> None:
    require("native", regorus.available(), HOW_NATIVE)
    if shutil.which("openssl") is None:
        pytest.skip("`openssl` is absent: the page makes its keys with it")


def test_the_page_runs_from_top_to_bottom(
    opa_binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNDLES_TOKEN", "secret")
    world: dict[str, object] = {}
    with file_server() as server, opa.server(opa_binary, unix=tmp_path / "opa.sock"):
        for language, block in BLOCK.findall(PAGE):
            said = ""
            if language == "console":
                for command in commands(block):
                    done = run(command, opa_binary)
                    said += done.stdout
                    wanted = 1 if "policy shadow" in command else 0
                    assert done.returncode == wanted, (command, done.stdout, done.stderr)
            else:
                block = block.replace("https://bundles.example.com/desk.tar.gz", server.url)
                block = block.replace('ca="authority.pem"', "ca=None").replace("/run/opa.sock", f"{tmp_path}/opa.sock")
                exec(block, world)
                said = capsys.readouterr().out
            check(language, block, said, world, server.content)
            if "desk.tar.gz" in block and (tmp_path / "desk.tar.gz").exists():
                server.content = (tmp_path / "desk.tar.gz").read_bytes()


def check(language: str, block: str, said: str, world: dict[str, object], served: bytes) -> None:
    """What the page says of a block, beyond that it runs; and what the next one needs."""
    governance = world.get("gov")
    if language == "console" and "policy bundle desk.tar.gz" in block:
        assert "holds (ES256)" in said
        assert "v1" in said
    elif "opa eval" in block:
        assert said.startswith('"deny"')
    elif "gov.policy.revision" in block:
        assert said.strip() == revision("desk")
        assert revision("desk.tar.gz") == revision("desk")
    elif "gov.reload()" in block:
        assert said.startswith("unchanged sha256:")
    elif "shadow=" in block:
        assert isinstance(governance, Governance)
        refund(governance, 40)
        governance.close()
    elif "policy shadow" in block:
        assert "allow → deny × 1" in said
    elif isinstance(governance, Governance) and language == "python":
        refund(governance, 40)
        if "unix:" in block:
            assert governance.policy.name.startswith("opa ")
            stricter = Path("stricter")
            shutil.copytree("desk", stricter)
            data = stricter / "desk" / "data.json"
            data.write_text(data.read_text().replace('"refund_max": 500', '"refund_max": 5'))
        if "gov.reload" not in block and "unix:" in block:
            governance.close()


def revision(path: str) -> str:
    from openclaw.policy.bundle import Bundle
    from openclaw.policy.contents import read_folder

    if Path(path).is_dir():
        return Bundle.assemble(read_folder(path)).revision
    from openclaw.policy import BundleFile, Key

    return Bundle.assemble(read_policies(BundleFile(path, key=Key("release.pub", "ES256")))).revision


@pytest.mark.parametrize("heading", PROMISED)
def test_the_page_has_its_sections(heading: str) -> None:
    assert re.search(rf"^## .*{heading}", PAGE, re.MULTILINE)
