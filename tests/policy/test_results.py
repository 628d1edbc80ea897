"""The static look at what policies say of results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.policy.bundle import Module
from openclaw.policy.results import Results, reading
from tests.policy.support import ENGINES


def look(*modules: str, data: dict[str, JsonValue] | None = None) -> Results:
    """What modules say; each is `package: rules`."""
    files: list[Module] = []
    for module in modules:
        package, _, rules = module.partition(":")
        text = f"package {package}\n\nimport rego.v1\n\n{rules}\n"
        files.append(Module(path=f"{len(files)}.rego", shown="", text=text))
    return reading(files, data or {})


DESK = "openclaw.policies.desk:"


@pytest.mark.parametrize(
    "rules",
    [
        "allow if true",
        'allow if input.kind in {"tool", "model"}',
        "deny contains \"no\" if input.kind != 'tool'",
        'oblige contains {"kind": "mask", "fields": ["result.iban"]} if input.tool.name == "results"',
        '# kind "result" is not read here\nallow if input.kind == "tool"',
        "allow if input.tool.args.result == 5",
    ],
)
def test_rules_that_do_not_speak_of_results_are_not_asked_about_them(rules: str) -> None:
    assert look(DESK + rules) is Results.UNREAD


@pytest.mark.parametrize(
    "rules",
    [
        'allow if true\n\ndeny contains "no" if input.kind == "result"',
        'allow if true\n\ndeny contains "no" if contains(input.result, "key")',
        'allow if true\n\ndeny contains "no" if input.outcome.status == "failed"',
        'allow if true\n\ndeny contains "no" if input["result"] == 5',
        'allow if true\n\ndeny contains "no" if `result` == input.kind',
        'allow if {\n\tinput.kind == "tool"\n\tinput.tool.args.type == "result"\n}',
        'allow if true\n\noblige contains {"kind": "redact", "fields": ["result"]} if input.tool.name == "x"',
    ],
)
def test_rules_that_speak_of_results_without_allowing_any_guard_them(rules: str) -> None:
    assert look(DESK + rules) is Results.GUARDED


@pytest.mark.parametrize(
    "rules",
    [
        'allow if input.kind == "result"',
        'allow if input.kind in {"tool", "result"}',
        'allow if input.kind in {\n\t"tool",\n\t"result",\n}',
        'allow if {\n\tinput.kind in {\n\t\t"tool",\n\t\t"result",\n\t}\n}',
        "allow if {\n\tinput.result.rows < 5\n}",
        'kinds := {"tool", "result"}\n\nallow if input.kind in kinds',
        'allow if fine\n\nfine if not bad\n\nbad if input.result == "x"',
        'default allow := false\n\nallow if input.kind == "result"',
    ],
)
def test_an_allow_that_speaks_of_results_grants_them(rules: str) -> None:
    assert look(DESK + rules) is Results.GRANTED


def test_helpers_in_other_packages_count_where_an_allow_uses_them() -> None:
    helper = 'lib.kinds:known if input.kind == "result"'
    assert look(DESK + "allow if data.lib.kinds.known", helper) is Results.GRANTED
    assert look("openclaw.policies.desk:import data.lib.kinds\n\nallow if kinds.known", helper) is Results.GRANTED
    assert look(DESK + "allow if true", helper) is Results.GUARDED


def test_the_word_in_the_data_makes_guards_be_asked() -> None:
    rules = 'allow if true\n\ndeny contains "no" if input.kind in data.desk.kinds'
    assert look(DESK + rules, data={"desk": {"kinds": ["tool"]}}) is Results.UNREAD
    assert look(DESK + rules, data={"desk": {"kinds": ["result"]}}) is Results.GUARDED


@pytest.mark.parametrize("engine", list(ENGINES))
def test_every_engine_says_it(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    def server() -> str:
        return str(request.getfixturevalue("opa_server"))

    opened: Callable[..., object] = ENGINES[engine]
    for rules, said in (("allow if true", Results.UNREAD), ('allow if input.kind == "result"', Results.GRANTED)):
        folder = tmp_path / said
        folder.mkdir()
        (folder / "desk.rego").write_text(f"package openclaw.policies.desk\n\nimport rego.v1\n\n{rules}\n")
        with opened(folder, server, deadline_s=10.0) as live:  # type: ignore[attr-defined]
            assert live.results is said


def test_the_look_never_fails() -> None:
    for text in ("", "package", "allow if {", 'x := "', "}}}", "allow if input.", "package a\nallow if input.result"):
        reading([Module(path="a.rego", shown="", text=text)], {})


@pytest.mark.parametrize("word", ["result", "re\\u0073ult", "\\u0072\\u0065\\u0073\\u0075\\u006c\\u0074"])
def test_the_word_is_known_however_its_letters_are_written(word: str) -> None:
    text = f'package openclaw.policies.p\n\ndeny contains "no" if input.kind == "{word}"\n'
    assert reading([Module(path="p.rego", shown="p.rego", text=text)], {}) is Results.GUARDED
