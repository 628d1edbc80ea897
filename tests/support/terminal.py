"""Real commands on a real terminal, and what a person sees on it in the end."""

from __future__ import annotations

import functools
import os
import re
import signal
import sys
from collections.abc import Sequence

import pexpect

MODULE = ("-m", "openclaw")
_MOVES = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[\?\d+[hl]|\x1b\][^\x07]*\x07")


def program(
    *arguments: str,
    width: int = 100,
    start: Sequence[str] = MODULE,
    command: str = sys.executable,
    cwd: str | None = None,
    **environment: str,
) -> pexpect.spawn[str]:
    """``openclaw`` with arguments on a terminal of its own, on which Ctrl-C is what it is for a person."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    return pexpect.spawn(
        command,
        [*start, *arguments],
        encoding="utf-8",
        dimensions=(40, width),
        timeout=60,
        cwd=cwd,
        env={**kept, "TERM": "xterm-256color", **environment},
        # A script's background job, such as CI, is deaf to Ctrl-C, and so is what it starts; a terminal is not.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def seen(written: str) -> list[str]:
    """The lines that stand on the terminal after all of that was written, without the empty ones at the end."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(written):
        if move := _MOVES.match(written, at):
            many = int(move.group(1) or 1) if move.group(2) else 0
            if move.group(2) == "A":
                row = max(0, row - many)
            elif move.group(2) == "K":
                lines[row] = "" if move.group(1) == "2" else lines[row][:column]
            at = move.end()
            continue
        letter, at = written[at], at + 1
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + letter + lines[row][column + 1 :]
            column += 1
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.rstrip() for line in lines]


__all__ = ["program", "seen"]
