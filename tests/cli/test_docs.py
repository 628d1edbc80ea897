"""The pages on commands show real output: every command is run again. ``OPENCLAW_UPDATE_DOCS=1`` writes them anew."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import rsa

from openclaw.cli import books
from openclaw.cli.app import app
from openclaw.policy.regorus import available
from openclaw.review import health
from tests.cli.conftest import Command
from tests.conftest import require
from tests.policy.bundles import pair
from tests.support.story import DESK_CASES, DESK_REGO, DESK_TEST_REGO, StillClock, tell_on, told

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"
PAGES = (DOCS, DOCS.with_name("review.md"), DOCS.with_name("economics.md"))
BLOCK = re.compile(r"```console\n(\$ (openclaw [^\n]*)\n)(.*?)```", re.DOTALL)

# What changes with a build, a dependency or a policy that ships: its form is compared, not its value.
CHANGING = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
    (re.compile(r"\b[A-Za-z0-9+/]{40,}={0,2}(?![A-Za-z0-9+/=])"), "<base64>"),
    (re.compile(r"(?<=\+)[0-9a-f]{8}(?=\+)"), "<id>"),
    (re.compile(r"(?<![\w$.])\d+\.\d+\.\d+\b"), "<version>"),
)

REFUND = """\
{"kind": "tool", "now": "2026-11-23T10:00:00Z", "approval": null,
 "principal": {"agent": "refunds", "org": "default", "roles": [], "chain": []},
 "tool": {"name": "refund", "args": {"amount": 120, "account": "DE-77"}, "tags": [], "call_id": "call_1"}}
"""

INVOICE = """\
date,provider,model,input_tokens,output_tokens,usd
2026-11-23,acme,small-1,2160,105,0.000364
2026-11-23,acme,large-2,88000,4100,0.41
"""

AGENTS = """\
name: refunds
workflow: returns
tools:
  - name: refund
    tags: [money]
    args: {type: object, properties: {amount: {type: integer}, account: {type: string}}}
"""


@pytest.fixture
def whole_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The story under real policies, with the files that the document speaks of, on a machine that is always the same."""
    require("native", available(), "a Rust toolchain, then `make native`")
    monkeypatch.chdir(tmp_path)
    for folder, text in (("policies", DESK_REGO), ("drafts", DESK_REGO.replace("50\n}", "50\n"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "desk.rego").write_text(text)
    (tmp_path / "stricter").mkdir()
    (tmp_path / "stricter" / "desk.rego").write_text(DESK_REGO.replace("> 50", "> 30"))
    tests = tmp_path / "tested"
    tests.mkdir()
    for name, text in (("desk.rego", DESK_REGO), ("desk_test.rego", DESK_TEST_REGO), ("desk_cases.yaml", DESK_CASES)):
        (tests / name).write_text(text)
    (tmp_path / "refund.json").write_text(REFUND)
    (tmp_path / "desk.yaml").write_text(AGENTS)
    (tmp_path / "invoice.csv").write_text(INVOICE)
    pair(tmp_path, "release", rsa.generate_private_key(65537, 2048))
    (tmp_path / "trial").mkdir()
    shadow = {"policies": tmp_path / "policies", "shadow": tmp_path / "stricter"}
    with told("sqlite:///trial.db", tmp_path / "trial", **shadow) as story:
        tell_on(story)
    clock = StillClock()
    with told("sqlite:///openclaw.db", tmp_path, policies=tmp_path / "policies", clock=clock) as story:
        tell_on(story)
    clock.pass_ms(60_000)
    monkeypatch.setattr(books, "CLOCK", clock)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", health.WAL_RESET_FIXED)
    return tmp_path


def same(text: str) -> str:
    for pattern, name in CHANGING:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_document_says_what_it_says_there(
    page: Path, whole_desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCLAW_VIEWS", "views.json")
    document = page.read_text()
    wrong: list[str] = []

    def rerun(block: re.Match[str]) -> str:
        command, shown = block.group(2), block.group(3)
        said = openclaw(*shlex.split(command)[1:])
        output = said.out + said.err + (f"[exit code {said.code}]\n" if said.code else "")
        if same(output) == same(shown):
            return block.group()
        wrong.append(f"{command}\n--- shown\n{shown}--- said\n{output}")
        return f"```console\n{block.group(1)}{output}```"

    renewed = BLOCK.sub(rerun, document)
    if os.environ.get("OPENCLAW_UPDATE_DOCS"):
        page.write_text(renewed)
    else:
        assert wrong == [], "\n".join(wrong)


def test_every_command_is_in_the_document() -> None:
    document = DOCS.read_text()
    missing = [command for command in commands(typer.main.get_command(app), "openclaw") if command not in document]
    assert missing == []


def commands(command: object, name: str) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if not below:
        yield name
        return
    for word, sub in below.items():
        yield from commands(sub, f"{name} {word}")
