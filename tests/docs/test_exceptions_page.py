"""docs/exceptions.md: its policy, its programs and its commands, in their order, and what they print.

``OPENCLAW_UPDATE_DOCS=1`` writes the output of the commands anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from openclaw.cli import books
from openclaw.policy.library import choose
from openclaw.store import Store
from tests.cli.conftest import Command, openclaw
from tests.support.story import StillClock

__all__ = ["openclaw"]

PAGE = Path(__file__).parents[2] / "docs" / "exceptions.md"
BLOCK = re.compile(r"```(rego|python|text|console)\n(.*?)```", re.DOTALL)


def test_the_page_does_what_it_shows(openclaw: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StillClock()
    whole = Store.open

    def opened(url: str, **told: Any) -> Store:
        return whole(url, **{**told, "clock": clock})

    monkeypatch.setattr(Store, "open", opened)
    monkeypatch.setattr(books, "CLOCK", clock)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(choose(["exceptions"])[0].folder, tmp_path / "policies" / "exceptions")
    (tmp_path / "policies" / "exceptions" / "data.json").write_text("{}")
    names: dict[str, Any] = {}
    printed = ""
    wrong: list[str] = []

    def run(block: re.Match[str]) -> str:
        nonlocal printed
        kind, text = block.groups()
        if kind == "rego":
            (tmp_path / "policies" / "payments.rego").write_text(text)
        elif kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(text, PAGE.name, "exec"), names)
            # An outcome may wait for another one's commit: its number is to be the same each time.
            names["gov"].gate.flush()
            printed = output.getvalue()
        elif kind == "text" and text != printed:
            wrong.append(f"--- shown\n{text}--- said\n{printed}")
        elif kind == "console":
            command, _, shown = text.partition("\n")
            said = openclaw(*shlex.split(command.removeprefix("$ openclaw ")))
            output = "\n".join(line.rstrip() for line in (said.out + said.err).splitlines()) + "\n"
            assert said.code == 0, output
            if output != shown:
                wrong.append(f"{command}\n--- shown\n{shown}--- said\n{output}")
            return f"```console\n{command}\n{output}```"
        return block.group()

    document = PAGE.read_text()
    try:
        renewed = BLOCK.sub(run, document)
    finally:
        names["gov"].close()
    if os.environ.get("OPENCLAW_UPDATE_DOCS"):
        PAGE.write_text(renewed)
    else:
        assert wrong == [], "\n".join(wrong)
