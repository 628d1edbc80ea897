"""``openclaw policy explain``: which rules decided, with the values that made them true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.cli import show
from openclaw.cli.options import InputArgument, JsonOption, read_input
from openclaw.policy.explain import DEPTH_MAX, Explanation, explain
from openclaw.policy.telling import Step, Told, Value, Way

VALUE_CHARS_MAX = 200
"""Characters of one value in the outline; ``--json`` prints them whole."""


def run(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the policies.")],
    input_file: InputArgument = "-",
    every: Annotated[
        bool, typer.Option("--all", help="Also the rules that had no part in it, and where they do not hold.")
    ] = False,
    depth: Annotated[
        int, typer.Option(min=0, max=DEPTH_MAX, metavar="LEVELS", help="How far to tell of rules that rules use.")
    ] = 1,
    deep: Annotated[bool, typer.Option("--deep", help="Tell of all rules that rules use.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say which rules decide about one input, and with which values. Nothing is recorded. Needs the native engine."""
    found = explain(folder, read_input(input_file), every=every, depth=DEPTH_MAX if deep else depth)
    if as_json:
        show.as_json(explanation_json(found))
    else:
        print_explanation(found)


def print_explanation(found: Explanation) -> None:
    """Print an explanation for people."""
    decision = found.decision
    show.fields(
        [
            ("effect", show.word(decision.effect.value)),
            *(("reason", reason) for reason in decision.reasons),
            *(("obligation", json.dumps(duty.model_dump(mode="json"))) for duty in decision.obligations),
        ]
    )
    for told in found.rules:
        show.lines("")
        _print_told(told, 0)
    if found.others:
        show.lines("")
        show.heading("rules that had no part in it")
    for number, told in enumerate(found.others):
        if number:
            show.lines("")
        _print_told(told, 0)


def _print_told(told: Told, depth: int) -> None:
    sign = ("✓ ", "green") if told.holds else ("✗ ", "red")
    head = told.text.split("\n", 1)[0]
    show.outline(
        depth, sign, (f"{told.file}:{told.line}:{told.column}", "bold"), f"  {told.name.removeprefix('data.')}"
    )
    show.outline(depth + 1, (head, "dim"))
    for number, way in enumerate(told.ways):
        if number:
            show.outline(depth + 1, ("or, in another way:" if told.holds else "else:", "italic"))
        _print_way(way, depth + 1, shows_value=told.holds and way.value not in ((), (True,)))
    if told.more:
        show.outline(depth + 1, (f"and in {show.count(told.more)} other ways", "italic"))


def _print_way(way: Way, depth: int, *, shows_value: bool) -> None:
    for step in way.steps:
        _print_step(step, depth)
    if shows_value:
        show.outline(depth, "gives ", (_short(way.value), "bold"))
        for value in way.values:
            _print_value(value, depth + 1)


def _print_step(step: Step, depth: int) -> None:
    sign = ("✓ ", "green") if step.holds else ("✗ ", "red")
    show.outline(depth, sign, f"{step.line}  ", " ".join(step.text.split()))
    for value in step.values:
        _print_value(value, depth + 2)
    for told in step.because:
        _print_told(told, depth + 2)


def _print_value(value: Value, depth: int) -> None:
    show.outline(depth, (value.name, "cyan"), " = ", _short(value.found))


def _short(found: tuple[JsonValue, ...]) -> str:
    if not found:
        return "undefined"
    text = " or ".join(json.dumps(value, ensure_ascii=False) for value in found)
    return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"


# -- JSON ----------------------------------------------------------------------------------------------------------------


def explanation_json(found: Explanation) -> dict[str, JsonValue]:
    """An explanation for programs: ``decision``, ``rules`` and ``others``.

    A value is an array: empty where it is undefined, and of several members where an expression stands for several.
    """
    return {
        "decision": found.decision.model_dump(mode="json"),
        "rules": [_told_json(told) for told in found.rules],
        "others": [_told_json(told) for told in found.others],
    }


def _told_json(told: Told) -> JsonValue:
    return {
        "rule": told.name,
        "file": told.file,
        "line": told.line,
        "column": told.column,
        "text": told.text,
        "holds": told.holds,
        "default": told.default,
        "ways": [
            {
                "value": [*way.value],
                "values": _values_json(way.values),
                "steps": [_step_json(step) for step in way.steps],
            }
            for way in told.ways
        ],
        "more": told.more,
    }


def _step_json(step: Step) -> JsonValue:
    return {
        "line": step.line,
        "column": step.column,
        "text": step.text,
        "holds": step.holds,
        "values": _values_json(step.values),
        "because": [_told_json(told) for told in step.because],
    }


def _values_json(values: tuple[Value, ...]) -> JsonValue:
    return {value.name: [*value.found] for value in values}
