"""Commands run by somebody without rights: for root nothing is read-only, and tests are often run by root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """
import contextlib, io, json, os, sys
import openclaw.store, openclaw.audit, openclaw.review.export  # while they can surely be read
from openclaw.cli import late
for command in late.COMMANDS.values():
    __import__("openclaw.cli." + command.partition(":")[0])
from openclaw.cli import main
commands = json.load(sys.stdin)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65_534)
    os.setuid(65_534)
sys.stdin = io.StringIO()
said = []
for command in commands:
    out, err, code = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(command)
        except SystemExit as ended:
            code = ended.code
    said.append([code, out.buffer.getvalue().decode(), err.getvalue()])
json.dump(said, sys.__stdout__)
"""


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that everybody can look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="openclaw-public-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
        path.chmod(0o755)


def as_nobody(
    commands: Sequence[Sequence[str]], *, folder: Path, environment: Mapping[str, str] | None = None
) -> list[Said]:
    """What ``openclaw`` says to each of these command lines, in ``folder``, to somebody who owns nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENCLAW_")}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps([[*command] for command in commands]),
        cwd=folder,
        env={**kept, "COLUMNS": "100", "HOME": str(folder), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Said(*one) for one in json.loads(done.stdout)]
