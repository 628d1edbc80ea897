"""References through all members, where rego-cpp would lose them, get a name first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw.policy.enumeration import with_members_named

CASES = {
    # Stands by itself, or beside an operator that loses nothing.
    'items[_].name == "x"': 'items[_].name == "x"',
    "some o in items[k]": "some o in items[k]",
    "f(items[0], input.x, k)": "f(items[0], input.x, k)",
    "f(items[input.x])": "f(items[input.x])",
    "items[k].n + 1 > 2": "items[k].n + 1 > 2",
    "not f(items[k])": "not f(items[k])",
    # Would be lost.
    "f(items[_].name)": "member_1 := items[_].name; f(member_1)",
    'lower(items[k].name) == "x"': 'member_1 := items[k].name; lower(member_1) == "x"',
    "x := [items[_], 1]": "member_1 := items[_]; x := [member_1, 1]",
    'x := {"n": items[k]}': 'member_1 := items[k]; x := {"n": member_1}',
    '"x" in items[k]': 'member_1 := items[k]; "x" in member_1',
    "x := a[k] | b[k]": "member_1 := a[k]; member_2 := b[k]; x := member_1 | member_2",
    "some o in listed(items[k])": "member_1 := items[k]; some o in listed(member_1)",
    "every v in listed(items[k]) { g(v[_]) }": (
        "member_1 := items[k]; every v in listed(member_1) { member_2 := v[_]; g(member_2) }"
    ),
    "x := f(items[k])[_]": "member_1 := items[k]; x := f(member_1)[_]",
    "f(items[k][a[_]])": "member_1 := items[k][a[_]]; f(member_1)",
    "f(items[_]) with input.x as 1": "member_1 := items[_] with input.x as 1; f(member_1) with input.x as 1",
    "x := [y | y := f(items[_])]": "x := [y | member_1 := items[_]; y := f(member_1)]",
}


@pytest.mark.parametrize("statement", CASES)
def test_a_member_gets_a_name_where_it_would_be_lost(statement: str) -> None:
    text = "package p\n\nr if {{\n\t{} # f(items[_])\n\ty\n}}\n"
    rewritten, lost = with_members_named(text.format(statement))
    assert (rewritten.text, lost) == (text.format(CASES[statement]), ())


def test_bodies_without_braces_and_after_else_are_read_too() -> None:
    text = "package p\n\na := 1 if f(i[_]) else := 2 if g(i[_])\n\nb contains i[k] if f(i[k])\n"
    assert with_members_named(text)[0].text == (
        "package p\n\na := 1 if { member_1 := i[_]; f(member_1) } else := 2 if { member_2 := i[_]; g(member_2) }\n\n"
        "b contains i[k] if { member_3 := i[k]; f(member_3) }\n"
    )


@pytest.mark.parametrize(
    ("rule", "lost"),
    [
        ("r contains [i[k]] if true", ["i"]),
        ("r contains f(i[_])", ["i"]),
        ("r := [f(i[_]) | true]", ["i"]),
        ("r contains f(i[k]) if some k in input.keys", []),
        ("r := {f(i[k]) | some k in input.keys}", []),
        ("f(i, k) := g(i[k])", []),
        ("r := f(i[helper])", []),
        ("f(a, b) := g(i[h(a, b, 1)]) + i[b + 1]", []),
        ("r contains i[k] if true", []),
    ],
)
def test_what_stands_in_a_head_is_reported(rule: str, lost: list[str]) -> None:
    _, found = with_members_named(f"package p\n\n{rule}\n", {"helper"})
    assert [(name.dotted, name.line) for name in found] == [(name, 3) for name in lost]


def test_a_file_without_such_references_is_handed_over_as_it_is() -> None:
    text = "package p\n\nr if { some x in input.l; f(x) }\n"
    assert with_members_named(text)[0].text is text


@given(
    st.text(alphabet=st.sampled_from(list('abif contains:=[]{}()|"`\\\n\t.,#_ every not some in else package 1é\0')))
)
def test_whatever_the_text_it_is_read_without_an_error(text: str) -> None:
    with_members_named(text)
