"""The quick reading of Rego: packages, heads, calls, and what an older engine would take for something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw.policy.scan import scan


def at(names: object) -> list[tuple[str, int, int]]:
    return [(name.dotted, name.line, name.column) for name in names]  # type: ignore[attr-defined]


def test_package_imports_and_rules_are_found() -> None:
    found = scan(
        '# a comment with { and "\npackage a.b["c.d"]\n\nimport rego.v1\nimport data.lib.money as m\nimport data.lib.text\n'
        "default allow := false\nallow if {\n\tinput.x\n}\ndeny contains `raw\n{` if m.f(1)\nf(x) := y if y := x\nx.y := 1\n"
    )
    assert found.package is not None
    assert found.package.path == ("a", "b", "c.d")
    assert found.imports == {"v1": ("rego", "v1"), "m": ("data", "lib", "money"), "text": ("data", "lib", "text")}
    assert [(rule.dotted, rule.function) for rule in found.rules] == [
        ("allow", False),
        ("allow", False),
        ("deny", False),
        ("f", True),
        ("x.y", False),
    ]


def test_calls_are_found_with_their_places_and_fields_are_no_calls() -> None:
    found = scan(
        'package p\nr if {\n\tio.jwt.decode(input.t)\n\tcontains(input.s, "count(x)")\n\tinput.count == 1\n}\n'
    )
    assert at(found.calls) == [("io.jwt.decode", 3, 2), ("contains", 4, 2)]


@pytest.mark.parametrize(
    "rule",
    [
        "allow { true }",
        'deny[msg] { msg := "x" }',
        "f(x) = y { y := x }",
        "x = 1 { true }",
        "a if true else = 1 { true }",
    ],
)
def test_bodies_without_if_are_found(rule: str) -> None:
    assert len(scan(f"package p\n{rule}\n").v0) == 1


@pytest.mark.parametrize(
    "rule",
    [
        "allow if { true }",
        'deny contains {"a": 1} if { true }',
        "x := {1, 2} | {3}",
        "allow if every x in input.xs { x > 1 }",
        'a := 1 if { true } else := 2 if { true } else := {"k": 1}',
        "allow if input.x in {1, 2}",
        "allow if\n{ true }",
    ],
)
def test_bodies_with_if_and_values_in_braces_are_left_alone(rule: str) -> None:
    assert scan(f"package p\n{rule}\n").v0 == ()


@pytest.mark.parametrize(
    ("rule", "lonely"),
    [
        ("allow if not blocked", ["blocked"]),
        ("allow if { not blocked(input.x); count(things) > 0 }", ["things"]),
        ("allow if input.xs[i] == 1", []),
        ("allow if some x in input.xs", []),
        ("allow if { [a, b] := input.xs; true }", []),
        ("allow if { walk(input, [path, value]); true }", []),
        ("f(a, b) := a", []),
        ('deny contains $"no {reason}" if { reason := input.r }', []),
    ],
)
def test_names_without_a_value_are_found(rule: str, lonely: list[str]) -> None:
    assert [name.dotted for name in scan(f"package p\n{rule}\n").lonely] == lonely


@pytest.mark.parametrize(
    ("rule", "lost"),
    [
        ("f(a, b) := {g(a, x) | some x in b}", ["a"]),
        ("f(a, b) := [[a, x] | some x in b; a]", []),
        ("f(a, b) := {y | some x in b; y := g(a, x)}", []),
        ("f(a, b) := a | b", []),
        ("r := {g(a, x) | some x in b; a := 1}", []),
    ],
)
def test_parameters_lost_before_the_bar_are_found(rule: str, lost: list[str]) -> None:
    assert [name.dotted for name in scan(f"package p\n{rule}\n").lost] == lost


@given(st.text(alphabet=st.sampled_from(list('aif contains:=[]{}()|"`\\\n\t.,#$ every not default package 1é\0'))))
def test_whatever_the_text_it_is_read_without_an_error(text: str) -> None:
    scan(text)
