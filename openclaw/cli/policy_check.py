"""``openclaw policy check``: what is wrong with a policy folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.cli import DOES_NOT_HOLD, show
from openclaw.cli.options import JsonOption
from openclaw.errors import ConfigurationError, Diagnostic
from openclaw.policy import check, open_engine


def run(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the policies and their tests.")],
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 where there is a warning, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a folder of policies and its tests. Exit code 1 if an error is found."""
    found = check(folder)
    errors = sum(it.severity == "error" for it in found)
    good = not errors and not (strict and found)
    engine, revision = _engine(folder) if not errors else ("", "")
    if as_json:
        diagnostics: list[JsonValue] = [_json(it) for it in found]
        document: dict[str, JsonValue] = {"ok": good, "errors": errors, "warnings": len(found) - errors}
        if not errors:
            document |= {"engine": engine, "revision": revision}
        show.as_json(document | {"diagnostics": diagnostics})
    else:
        for it in found:
            where = f"{it.file}:{it.line}:{it.column}" if it.line else it.file
            show.finding(where, it.severity, it.message, it.hint)
        if good:
            show.fields([("policies", show.word("ok")), ("engine", engine), ("revision", revision)])
        if found:
            say = show.note if good else show.failure
            say(f"{_count(errors, 'error')} and {_count(len(found) - errors, 'warning')} in {folder}")
    if not good:
        raise typer.Exit(DOES_NOT_HOLD)


def _engine(folder: Path) -> tuple[str, str]:
    try:
        with contextlib.closing(open_engine(folder)) as engine:
            return engine.name, engine.revision
    except ConfigurationError as error:
        return f"none: {error.message}", ""


def _count(number: int, what: str) -> str:
    return f"{show.count(number)} {what}{'' if number == 1 else 's'}"


def _json(it: Diagnostic) -> dict[str, JsonValue]:
    return {
        "file": it.file,
        "line": it.line,
        "column": it.column,
        "severity": it.severity,
        "code": it.code,
        "message": it.message,
        "hint": it.hint,
    }
