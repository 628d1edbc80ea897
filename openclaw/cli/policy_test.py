"""``openclaw policy test``: run the tests of a policy folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.cli import DOES_NOT_HOLD, covering, show
from openclaw.cli.options import JsonOption
from openclaw.policy.testing import Report, Result, run_tests


def run(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the policies and their tests.")],
    pattern: Annotated[
        str, typer.Option("--run", metavar="REGEX", show_default=False, help="Only tests whose name this finds.")
    ] = "",
    coverage: Annotated[bool, typer.Option("--coverage", help="Show which lines the tests evaluate.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="PERCENT", help="Exit code 1 where less is covered. Implies --coverage."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run `test_…` rules in *_test.rego and cases in *_cases.yaml. Exit code 1 if one fails or too little is covered."""
    report = run_tests(folder, run=pattern, coverage=coverage or threshold is not None)
    enough = threshold is None or report.percent >= threshold
    if as_json:
        show.as_json(_json(report, threshold))
    else:
        for result in report.results:
            if result.status != "pass":
                _print(result)
        if report.coverage:
            covering.print_files(report.coverage)
        counts: list[str] = [f"{show.count(report.count('pass'))} passed"]
        counts += [f"{show.count(report.count('fail'))} failed"] if report.count("fail") else []
        counts += [f"{show.count(report.count('error'))} with errors"] if report.count("error") else []
        counts += [f"{show.count(report.count('skip'))} still to do"] if report.count("skip") else []
        show.fields([("tests", ", ".join(counts)), ("result", show.word("ok" if report.passed else "failed"))])
        if not enough:
            show.failure(
                f"the tests cover {covering.percentage(report.percent)} of the policies: at least {threshold:g} % are asked"
            )
    if not (report.passed and enough):
        raise typer.Exit(DOES_NOT_HOLD)


def _print(result: Result) -> None:
    words = {"fail": "failed", "error": "broken", "skip": "open"}
    show.lines(f"{result.file}:{result.line}: {show.safe(result.name)}")
    message = [("error" if result.status == "error" else "", result.message)] if result.message else []
    show.fields(
        [
            ("  result", show.word(words[result.status])),
            *((f"  {name}".rstrip() or "  why", text) for name, text in message),
        ]
        + [(f"  {show.safe(name)}", value) for name, value in result.values]
    )
    show.lines("")


def _json(report: Report, threshold: float | None) -> dict[str, JsonValue]:
    tests: list[JsonValue] = [
        {
            "name": it.name,
            "file": it.file,
            "line": it.line,
            "status": it.status,
            "message": it.message,
            "values": dict(it.values),
        }
        for it in report.results
    ]
    document: dict[str, JsonValue] = {"passed": report.passed, "tests": tests}
    if report.coverage:
        document["coverage"] = {
            "percent": round(report.percent, 3),
            "threshold": threshold,
            "enough": threshold is None or report.percent >= threshold,
            "files": covering.files_json(report.coverage),
        }
    return document
