"""The operands of a negated call stand before the negation, as OPA puts them, and places stay those of the file."""

from __future__ import annotations

import pytest

from openclaw.policy import regorus
from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.negation import all_with_operands_first, with_operands_first
from tests.conftest import require
from tests.policy.support import HOW_NATIVE

CASES = {
    # Stays as it is: nothing in it can be undefined but what is asked.
    "not input.x": "not input.x",
    "not helper": "not helper",
    'not input.x == "a"': 'not input.x == "a"',
    "not x in {1, 2}": "not x in {1, 2}",
    "not f(x, [1], -1)": "not f(x, [1], -1)",
    "not walk(x, [path, _])": "not walk(x, [path, _])",
    "not blocked[x]": "not blocked[x]",
    # Arguments and operands.
    "not f(input.x, y)": "operand_1 := input.x; not f(operand_1, y)",
    "not f(helper)": "operand_1 := helper; not f(operand_1)",
    "not f(g(input.x))": "operand_1 := g(input.x); not f(operand_1)",
    "not (f(input.x))": "operand_1 := input.x; not (f(operand_1))",
    "not input.x > 3": "operand_1 := input.x; not operand_1 > 3",
    "not 1 + input.x < -1": "operand_1 := 1 + input.x; not operand_1 < -1",
    "not input.k, 1 in input.x": "operand_1 := input.k; operand_2 := input.x; not operand_1, 1 in operand_2",
    "not input.a | input.b == input.c": "operand_1 := input.a | input.b; not operand_1 == input.c",
    # Equations, references and composites.
    'not lower(input.x) == "a"': 'operand_1 := lower(input.x); not operand_1 == "a"',
    "not input.x[input.y]": "operand_1 := input.y; not input.x[operand_1]",
    "not data.p.seen[lower(input.y)].z == 1": "operand_1 := lower(input.y); not data.p.seen[operand_1].z == 1",
    "not [input.x] == [1]": "operand_1 := [input.x]; not operand_1 == [1]",
    "not f(input.x).y": "operand_1 := f(input.x); not operand_1.y",
    # A variable of `every` in brackets.
    "every q in xs { not t[q] }": "every q in xs { operand_1 := [q][0]; not t[operand_1] }",
    "every k, v in xs { some z in v; not t[k][z].x == 1 }": (
        "every k, v in xs { some z in v; operand_1 := [k][0]; not t[operand_1][z].x == 1 }"
    ),
    # Modifiers go along, and what is taken out is rewritten itself.
    "not f(input.x) with input.x as 1": "operand_1 := input.x with input.x as 1; not f(operand_1) with input.x as 1",
    "not f([v | some v in xs; not g(v.y)])": (
        "operand_1 := [v | some v in xs; operand_2 := v.y; not g(operand_2)]; not f(operand_1)"
    ),
}


@pytest.mark.parametrize("statement", CASES)
def test_a_negated_statement_is_written_as_opa_reads_it(statement: str) -> None:
    text = "package p\n\nr if {{\n\tx := 1 # not f(input.x)\n\t{}\n\ty\n}}\n"
    assert with_operands_first(text.format(statement), {"helper"}).text == text.format(CASES[statement])


def test_a_body_without_braces_gets_some() -> None:
    text = 'package p\n\na if not f(input.x) # why\n\nb := "not f(input.x)" if not 1 in input.l else := 2 if not c\n'
    assert with_operands_first(text).text == (
        "package p\n\na if { operand_1 := input.x; not f(operand_1) } # why\n\n"
        'b := "not f(input.x)" if { operand_2 := input.l; not 1 in operand_2 } else := 2 if not c\n'
    )


def test_a_statement_ends_with_its_line_and_goes_on_after_an_operator() -> None:
    text = "package p\n\nr if {\n\tnot x in input.a\n\tnot input.b >\n\t\tinput.c\n\tnot f(\n\t\tinput.d, # d\n\t)\n\tz\n}\n"
    rewritten = with_operands_first(text).text
    assert rewritten == (
        "package p\n\nr if {\n\toperand_1 := input.a; not x in operand_1\n"
        "\toperand_2 := input.b; operand_3 := input.c; not operand_2 >\n\t\toperand_3\n"
        "\toperand_4 := input.d; not f(\n\t\toperand_4, # d\n\t)\n\tz\n}\n"
    )


def test_lines_keep_their_numbers_and_places_are_those_of_the_file() -> None:
    text = "package p\n\nr if {\n\tnot f([\n\t\tinput.a,\n\t\tinput.b,\n\t]); unknown.z\n\tq\n}\n"
    rewritten = with_operands_first(text)
    assert rewritten.text.count("\n") == text.count("\n")
    lines = rewritten.text.splitlines()
    assert lines[7:] == ["\tq", "}"]
    at = next(number for number, line in enumerate(lines, 1) if "unknown" in line)
    assert rewritten.place(at, lines[at - 1].index("unknown") + 1) == (7, 6)
    assert rewritten.place(4, lines[3].index("input.b") + 1) == (6, 3)
    assert rewritten.place(8, 2) == (8, 2)
    assert rewritten.place(0, 0) == (0, 0)


def test_a_file_without_negation_is_handed_over_as_it_is() -> None:
    text = 'package p\n\nr := "not x" # not f(input.x)\n'
    assert with_operands_first(text).text is text


def test_the_new_variables_are_none_of_the_file() -> None:
    assert "operand_2 := input.x" in with_operands_first("package p\n\noperand_1 := 1\n\nr if not f(input.x)\n").text


def test_what_another_file_of_the_package_defines_may_be_undefined() -> None:
    files = [("a.rego", "package p\n\nr if not f(said)\n"), ("b.rego", "package p\n\nsaid := input.x\n")]
    assert "operand_1 := said; not f(operand_1)" in all_with_operands_first(files)["a.rego"].text
    imported = [("a.rego", "package p\n\nimport input.tool as said\n\nr if not f(said)\n")]
    assert "operand_1 := said" in all_with_operands_first(imported)["a.rego"].text


@pytest.mark.parametrize(
    "text", ["", "not", "package p\n\nr if not", "r if { not ( }", "not f(", "not [", "not x[", "not -"]
)
def test_what_is_not_rego_is_left_to_the_engine(text: str) -> None:
    assert with_operands_first(text).text == text


def test_an_error_behind_a_negation_is_reported_at_its_own_place() -> None:
    require("native", regorus.available(), HOW_NATIVE)
    text = (
        "package openclaw.policies.p\n\nallow if { not startswith(input.path, input.root); to_number(input.s) > 1 }\n"
    )
    rules = Module("openclaw/d.rego", "d.rego", "package openclaw\n\ndecision := data.openclaw.policies.p.allow\n")
    engine = regorus.RegorusEngine(Bundle.of([rules, Module("p.rego", "p.rego", text)], {}))
    decision = engine.evaluate({"path": "a", "root": "b", "s": "x"})
    column = text.splitlines()[2].index("(input.s)") + 1
    assert decision.code == "engine_error"
    assert f"p.rego:3:{column}: " in decision.reasons[0]
