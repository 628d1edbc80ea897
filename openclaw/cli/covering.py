"""How covered lines of policies are printed, whatever covered them: tests or the log."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from openclaw.cli import show
from openclaw.policy.coverage import FileCoverage, percent


def print_files(files: Sequence[FileCoverage]) -> None:
    """A table of the files, and what is covered of all of them."""
    columns = [
        show.Column("file"),
        show.Column("covered", justify="right"),
        show.Column("lines not covered", wide=True),
    ]
    show.table(columns, [(file.file, percentage(percent((file,))), _ranges(file.uncovered)) for file in files])
    show.lines("")
    show.fields([("covered", percentage(percent(files)))])


def files_json(files: Sequence[FileCoverage]) -> list[JsonValue]:
    """The same as values."""
    return [
        {
            "file": file.file,
            "percent": round(percent((file,)), 3),
            "covered": [*file.covered],
            "uncovered": [*file.uncovered],
        }
        for file in files
    ]


def percentage(share: float) -> str:
    """``87.5 %``. Never rounded up: 99.96 % is not 100 %, and what is shown never looks better than a threshold."""
    return f"{int(share * 10) / 10:g} %"


def _ranges(lines: Sequence[int]) -> str:
    spans: list[tuple[int, int]] = []
    for line in lines:
        if spans and spans[-1][1] == line - 1:
            spans[-1] = (spans[-1][0], line)
        else:
            spans.append((line, line))
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in spans)
