"""What stands before everything else in a rule, and so says whether the rest is looked at."""

from __future__ import annotations

import pytest

from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.guards import Guard
from openclaw.policy.reads import dotted, reads_of

REFUND = {"kind": "tool", "tool": {"name": "refund", "tags": ["money"]}, "principal": {"roles": ["payer"]}}


def read_by(rule: str, document: dict[str, object] = REFUND) -> list[str]:
    module = Module(path="p.rego", shown="p.rego", text=f"package openclaw.policies.p\n\n{rule}\n")
    return [dotted(path) for path in reads_of(Bundle.of([module], {})).where(document).paths]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "guard",
    [
        'input.tool.name == "lookup"',
        '"lookup" == input.tool.name',
        'input.tool.name in {"lookup", "list"}',
        'input.tool.name in ["lookup"]',
        '"admin" in input.principal.roles',
        'input.tool.name == "lookup";',
        'input.kind == "tool"\n\tinput.tool.name == "lookup"',
        'input.kind == "tool"; input.tool.name == "lookup"',
    ],
)
def test_what_stands_behind_a_guard_that_fails_is_not_read(guard: str) -> None:
    assert "input.a" not in read_by(f'deny contains "x" if {{\n\t{guard}\n\tinput.a\n}}')
    assert "input.a" not in read_by(f'deny contains sprintf("%v", [input.a]) if {{\n\t{guard}\n}}')
    assert "input.a" not in read_by(f'oblige contains {{"kind": input.a}} if {{\n\t{guard}\n}}')


def test_what_stands_behind_one_that_holds_is_read() -> None:
    rule = 'deny contains "x" if {\n\tinput.tool.name == "refund"\n\t"payer" in input.principal.roles\n\tinput.a\n}'
    assert read_by(rule) == ["input.a", "input.principal.roles", "input.tool.name"]


@pytest.mark.parametrize(
    "rule",
    [
        'deny contains "x" if {\n\tinput.a\n\tinput.tool.name == "lookup"\n}',
        'deny contains "x" if input.a\n\nallow if {\n\tinput.tool.name == "lookup"\n}',
        'allow if {\n\tinput.tool.name == "lookup"\n}\n\ndeny contains "x" if input.a',
        'allow if {\n\tinput.tool.name == "lookup"\n} else := input.a if {\n\ttrue\n}',
        'allow if {\n\tnot input.tool.name == "lookup"\n\tinput.a\n}',
        'allow if {\n\tinput.tool.name != "lookup"\n\tinput.a\n}',
        'allow if {\n\tinput.tool.name == "lookup" with input.tool.name as "lookup"\n\tinput.a\n}',
        'allow if {\n\tinput.tool.name == "lookup"\n\twith input.tool.name as "lookup"\n\tinput.a\n}',
        'allow if {\n\tinput.tool.name == concat("", ["lookup"])\n\tinput.a\n}',
        'allow if {\n\tinput.tool.name in {"lookup" | true}\n\tinput.a\n}',
        'allow if {\n\tinput.tool.name in {"lookup", other}\n\tinput.a\n}',
        'allow if {\n\tx := input.tool.name == "lookup"\n\tinput.a\n}',
        'allow if {input.tool.name == "lookup"} == {input.a}',
        'y := input.a deny contains "x" if {\n\tinput.tool.name == "lookup"\n}',
        'allow if {\n\tinput.tool[name] == "lookup"\n\tinput.a\n}',
        'allow if {\n\tinput.tool.name == "look\\u0075p"\n\tinput.a\n}',
    ],
)
def test_what_is_no_guard_beyond_doubt_guards_nothing(rule: str) -> None:
    assert "input.a" in read_by(rule)


@pytest.mark.parametrize(
    ("document", "holds"),
    [
        ({"x": ["a", "b"]}, True),
        ({"x": {"k": "a"}}, True),
        ({"x": ["b"]}, False),
        ({"x": "a"}, False),
        ({"x": None}, False),
        ({}, False),
    ],
)
def test_a_member_is_found_in_lists_and_objects(document: dict[str, object], holds: bool) -> None:
    assert Guard(("x",), frozenset(["a"]), among=True).holds(document) is holds  # type: ignore[arg-type]
