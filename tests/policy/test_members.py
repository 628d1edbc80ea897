"""``some … in y`` is written anew for the native engine, and places stay those of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw.errors import PolicyError
from openclaw.policy import regorus
from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.members import with_members_asked
from tests.conftest import require
from tests.policy.support import HOW_NATIVE

CASES = {
    "some x in input.v": "some x in openclaw_members(input.v)",
    "some k, x in input.v": "some k, x in openclaw_members(input.v)",
    "some x in f(input.v)[0]": "some x in openclaw_members(f(input.v)[0])",
    "some x in input.v with input.v as [1]": "some x in openclaw_members(input.v) with input.v as [1]",
    "some x in input.v; x > 1": "some x in openclaw_members(input.v); x > 1",
    "y := [x | some x in input.v]": "y := [x | some x in openclaw_members(input.v)]",
    "some x in [y | some y in input.v]": "some x in [y | some y in openclaw_members(input.v)]",
    "some x in a | b": "some x in openclaw_members(a | b)",
    # What is written out has members, and nothing else is touched.
    "some x in [input.v]": "some x in [input.v]",
    "some x in {1, 2}": "some x in {1, 2}",
    "some x, y": "some x, y",
    "1 in input.v": "1 in input.v",
    "every x in input.v { x }": "every x in input.v { x }",
    'input.some == "some x in y"': 'input.some == "some x in y"',
}


@pytest.mark.parametrize("statement", CASES)
def test_what_has_members_is_asked_of_a_function(statement: str) -> None:
    text = "package p\n\nr if {{\n\tx := 1 # some x in y\n\t{}\n\ty\n}}\n"
    assert with_members_asked(text.format(statement)).text == text.format(CASES[statement])


def test_a_file_without_such_a_statement_stays_the_same_text() -> None:
    text = "package p\n\nr if input.x in input.y\n"
    assert with_members_asked(text).text is text


def test_an_error_names_the_place_in_the_file_of_the_author() -> None:
    require("native", regorus.available(), HOW_NATIVE)
    text = "package openclaw.policies.p\n\nallow if {\n\tsome x in input.v; unknown_name == x\n}\n"
    with pytest.raises(PolicyError) as refused:
        regorus.RegorusEngine(Bundle.of([Module("p.rego", "p.rego", text)], {}))
    found = refused.value.diagnostics[0]
    assert (found.file, found.line, found.column) == ("p.rego", 4, 1 + len("\tsome x in input.v; "))


@pytest.mark.parametrize("package", ["openclaw.policies.p", "lib.p"])
@pytest.mark.parametrize(
    "rule",
    [
        "r if count(openclaw_members(input.tool.args)) > 0",
        "openclaw_members(x) := []",  # would take the place of the built-in, and empty every list of its package
        "import data.other.openclaw_members",
        "import data.other as openclaw_members",
    ],
)
def test_the_name_is_no_authors(rule: str, package: str, tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_text(f"package {package}\n\n{rule}\n")
    with pytest.raises(PolicyError) as refused:
        Bundle.read(tmp_path)
    (found,) = refused.value.diagnostics
    assert (found.line, found.message) == (3, "the name `openclaw_members` is reserved")
    assert found.column == 1 + rule.index("openclaw_members")


def test_a_text_may_say_the_name(tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_text(
        'package openclaw.policies.p\n\nallow if input.x == "openclaw_members" # openclaw_members\n'
    )
    assert Bundle.read(tmp_path).modules
