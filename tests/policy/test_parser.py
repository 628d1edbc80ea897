"""The reader of Rego for those who look at policies, held to OPA's own parser: the same tree, and the same refusals."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw.policy import syntax
from openclaw.policy.lexer import tokens
from openclaw.policy.parser import parse

PROJECT = Path(__file__).parents[2]
FILES = sorted([*(PROJECT / "policies").rglob("*.rego"), *(PROJECT / "examples").rglob("*.rego")])

WHOLE = r"""
package a.b["c"]

import rego.v1
import data.x.y as z
import input.tool

default allow := false
default f(_) := 1

allow if input.x == 1
allow := true if { not tool.name in {"a", "b"}; some i, v in z[_]; v.x[i] != -1 }
else := false if { x := 1 + 2 * 3 - (4 - 5) % 6 / y; y = x | {1} & set() } else := null
deny contains msg if { msg := sprintf("%v", [`raw "\n`]); every k, v in [1, 2] { k < v } }
deny contains "x"
a.b.c := {"x": [1, "two", null, true], "y": {}, "z": {1}}
p[x] := y if { some x, y; q[x][y] } { r[x].y(y).z }
p[q].r[1] contains 2 if true
q[1] if { k, v in [3] }
f(x, [y, _]) := {a: b | some a, b in x; a > b; b >= 1; a <= 2} if x == y
f({"a": a}, _) := [a | a := {v | v := 1}[_]] if true else := 2
g(x)
h if not {1, 2} == {2, 1} with input as {"a": 1} with data.x.y as [1]
i := contains("abc", "b")
j := $"a {input.x + 1} b {f("}", 2)}"
k = 1e3
l := [1.5, -2, 1e2, (1), [], {}]
m if some x in {1: 2}
n if not (k, v in [3])
n if input.x.if.in["not"]
o if { every x in [1] { not x; x with input as 2 } }
p2 if x
	-1
"""


def opa_parse(opa_binary: str, path: Path) -> tuple[dict | None, list[dict]]:
    command = [opa_binary, "parse", str(path), "--format", "json", "--json-include", "locations"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout or done.stderr)
    return (None, document["errors"]) if done.returncode else (document, [])


# Both trees are brought into one form: lists that begin with the name of what they are.

OPERATORS = {
    ":=": "assign", "=": "eq", "==": "equal", "!=": "neq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "+": "plus",
    "-": "minus", "*": "mul", "/": "div", "%": "rem", "|": "or", "&": "and",
}  # fmt: skip


def theirs(term: dict) -> list:
    value, kind = term.get("value"), term["type"]
    match kind:
        case "var":
            return ["var", "_" if value.startswith("$") else value]
        case "ref" if len(value) == 1:
            return theirs(value[0])
        case "ref" | "array" | "call":
            return [kind, *map(theirs, value)]
        case "set":
            return [kind, *sorted(map(theirs, value), key=json.dumps)]
        case "object":
            return [kind, *sorted(([theirs(key), theirs(item)] for key, item in value), key=json.dumps)]
        case "arraycomprehension" | "setcomprehension":
            return [kind, theirs(value["term"]), their_body(value["body"])]
        case "objectcomprehension":
            return [kind, theirs(value["key"]), theirs(value["value"]), their_body(value["body"])]
        case "templatestring":
            parts = [part for part in value["parts"] if "terms" in part or part.get("type") != "string"]
            return [kind, *(their_expression(part) if "terms" in part else theirs(part) for part in parts)]
        case "null":
            return [kind, None]
        case _:
            return [kind, value]


def their_expression(expression: dict) -> list:
    terms = expression["terms"]
    if isinstance(terms, list):
        return ["call", *map(theirs, terms)]
    if "domain" in terms:
        key = [theirs(terms["key"])] if terms.get("key") else []
        return ["every", *key, theirs(terms["value"]), theirs(terms["domain"]), their_body(terms["body"])]
    if "symbols" in terms:
        return ["some", *map(theirs, terms["symbols"])]
    return theirs(terms)


def their_body(body: list[dict], *, placed: bool = True) -> list:
    found = []
    for expression in body:
        place = (
            expression["location"] if placed else {"row": 0, "col": 0}
        )  # After `else` it is the place of the `else`.
        negated = ["not"] if expression.get("negated") else []
        modifiers = [[theirs(it["target"]), theirs(it["value"])] for it in expression.get("with", [])]
        found.append([place["row"], place["col"], *negated, their_expression(expression), modifiers])
    return [] if len(found) == 1 and found[0][2] == ["boolean", True] else found


def their_rule(rule: dict) -> list:
    head = rule["head"]
    args = [*map(theirs, head["args"])] if "args" in head else None
    name = [part["value"] if at == 0 else theirs(part) for at, part in enumerate(head["ref"])]
    key = theirs(head["key"]) if "key" in head else None
    if key is not None and "value" not in head and name[-1] == key and len(name) > 1:
        name = name[:-1]
    branches = []
    at = rule
    while at:
        value = theirs(at["head"]["value"]) if "value" in at["head"] else None
        branches.append([None if value == ["boolean", True] else value, their_body(at["body"], placed=at is rule)])
        at = at.get("else")
    return [name, args, branches, rule.get("default", False)]


def ours(term: syntax.Term) -> list:
    match term:
        case syntax.Scalar(_, value):
            kind = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}[type(value)]
            return [kind, value]
        case syntax.Template(_, parts):
            return ["templatestring", *map(ours, parts)]
        case syntax.Var(_, name):
            return ["var", name]
        case syntax.Ref(_, head, parts):
            return ["ref", ours(head), *map(ours, parts)]
        case syntax.Call(_, function, args):
            return ["call", ours(function), *map(ours, args)]
        case syntax.Infix(_, operator, left, right):
            return ["call", ["var", OPERATORS[operator]], ours(left), ours(right)]
        case syntax.Member():
            name = "member_2" if term.key is None else "member_3"
            key = [] if term.key is None else [ours(term.key)]
            return [
                "call",
                ["ref", ["var", "internal"], ["string", name]],
                *key,
                ours(term.value),
                ours(term.collection),
            ]
        case syntax.Array(_, items):
            return ["array", *map(ours, items)]
        case syntax.Set(_, items):
            return ["set", *sorted(map(ours, items), key=json.dumps)]
        case syntax.Object(_, pairs):
            return ["object", *sorted(([ours(key), ours(value)] for key, value in pairs), key=json.dumps)]
        case syntax.Comprehension(_, kind, key, head, body):
            keys = [] if key is None else [ours(key)]
            return [f"{kind}comprehension", *keys, ours(head), our_body(body)]


def our_statement(statement: syntax.Statement) -> list:
    match statement.what:
        case syntax.Expr(term):
            found = [ours(term)]
        case syntax.Not(term):
            found = ["not", ours(term)]
        case syntax.SomeNames(names):
            found = [["some", *map(ours, names)]]
        case syntax.SomeIn(key, value, collection):
            name = ["ref", ["var", "internal"], ["string", "member_2" if key is None else "member_3"]]
            found = [["some", ["call", name, *([] if key is None else [ours(key)]), ours(value), ours(collection)]]]
        case syntax.Every(key, value, domain, body):
            found = [["every", *([] if key is None else [ours(key)]), ours(value), ours(domain), our_body(body)]]
    modifiers = [[ours(modifier.target), ours(modifier.value)] for modifier in statement.modifiers]
    return [statement.at.line, statement.at.column, *found, modifiers]


def our_body(body: syntax.Body, *, placed: bool = True) -> list:
    found = [our_statement(statement) for statement in body]
    found = found if placed else [[0, 0, *rest] for _, _, *rest in found]
    return [] if len(found) == 1 and found[0][2] == ["boolean", True] else found


def our_rule(rule: syntax.Rule) -> list:
    name = [rule.path[0], *(["string", part] for part in rule.path[1:]), *map(ours, rule.keys)]
    if rule.member is not None and len(name) == 1:
        name = [rule.path[0]]
    args = [*map(ours, rule.args)] or None
    branches = []
    for branch in rule.branches:
        value = None if branch.value is None else ours(branch.value)
        branches.append(
            [None if value == ["boolean", True] else value, our_body(branch.body, placed=branch is rule.branches[0])]
        )
    return [name, args, branches, rule.default]


def same_tree(opa_binary: str, path: Path) -> None:
    document, errors = opa_parse(opa_binary, path)
    assert errors == []
    assert document is not None
    file = parse(path.read_text())
    assert file.faults == ()
    assert file.package is not None
    assert list(file.package.path) == [part["value"] for part in document["package"]["path"][1:]]
    imports = [[part["value"] for part in it["path"]["value"]] for it in document.get("imports", [])]
    assert [list(it.path) for it in file.imports] == imports
    expected = [their_rule(rule) for rule in document.get("rules", [])]
    assert [our_rule(rule) for rule in file.rules] == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_what_ships_is_read_as_opa_reads_it(path: Path, opa_binary: str) -> None:
    same_tree(opa_binary, path)


def test_all_of_the_grammar_is_read_as_opa_reads_it(tmp_path: Path, opa_binary: str) -> None:
    path = tmp_path / "whole.rego"
    path.write_text(WHOLE)
    same_tree(opa_binary, path)


def mutations(text: str, seed: int) -> str:
    """A file with random damage: tokens left out, doubled, swapped, or put in from elsewhere."""
    chance = random.Random(seed)
    parts = [*tokens(text)][:-1]
    first = next(at for at, token in enumerate(parts) if token.text == "import") if "import" in text else 2
    spans = [(token.at.start, token.at.end) for token in parts[first:]]
    start, end = chance.choice(spans)
    other = text[slice(*chance.choice(spans))]
    extra = chance.choice(
        [other, "if", "}", "{", ":=", ",", "|", "(", "not", "some", "with", "in", "else", ".", "-", "[", '"']
    )
    match chance.randrange(5):
        case 0:
            return text[:start] + text[end:]
        case 1:
            return text[:start] + extra + text[end:]
        case 2:
            return text[:start] + extra + " " + text[start:]
        case 3:
            return text[:start] + text[start:end] + text[start:end] + text[end:]
        case _:
            return text[:end]


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_damage_is_refused_where_opa_refuses_it(seed: int, tmp_path: Path, opa_binary: str) -> None:
    text = WHOLE if seed % 2 else random.Random(seed).choice(FILES).read_text()
    path = tmp_path / "damaged.rego"
    path.write_text(mutations(text, seed))
    _, errors = opa_parse(opa_binary, path)
    if errors:
        assert parse(path.read_text()).faults != ()
    else:
        same_tree(opa_binary, path)


@given(st.text(alphabet=st.sampled_from('{}[]()"`\\$|:=.,;-\n ab1_#') | st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_read_or_has_faults(text: str) -> None:
    file = parse(text)
    assert file.faults or file.package is not None
    assert parse(f"package a\n\n{text}\n") is not None


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [(1, 1, "the file is empty")]),
        ("allow if true\n", [(1, 1, "does not begin with its package")]),
        ("package a\n\np if {\n\ttrue\n", [(5, 1, "opened in line 3 is not closed")]),
        ("package a\n\np if {\n\ttrue\n\nq if true\nr ==\n", [(6, 1, "line 3"), (7, 3, "expected `if`")]),
        ("package a\n\np { true }\nq[x] { x := 1 }\n", [(3, 3, "`if` is missing"), (4, 6, "`if` is missing")]),
        ('package a\n\np := "x\nq := "\\q"\n', [(3, 6, "not closed"), (4, 6, "escape")]),
        ("package a\n\np if x y\n", [(4, 1, "the file ends here")]),
        ("package a\n\np if { x y }\n", [(3, 10, "a new line, `;` or `}`")]),
        ("package a\n\ndefault p := input.x\n", [(3, 14, "written out")]),
        ("package a\nimport policies.x\np := @\n", [(2, 8, "begins with `data` or `input`"), (3, 6, "unexpected `@`")]),
        ("package a\n\np := " + "[" * 5000, [(3, 86, "80 levels")]),
    ],
)
def test_every_fault_has_its_place(text: str, places: list[tuple[int, int, str]]) -> None:
    found = parse(text).faults
    assert [(fault.line, fault.column) for fault in found] == [(line, column) for line, column, _ in places]
    for fault, (_, _, message) in zip(found, places, strict=True):
        assert message in fault.message


def test_places_are_of_the_text() -> None:
    file = parse(WHOLE)
    for rule in file.rules:
        for term in syntax.every_term(rule):
            before = file.text[: term.at.start]
            assert (before.count("\n") + 1, term.at.start - before.rfind("\n")) == (term.at.line, term.at.column)
            if isinstance(term, syntax.Var):
                assert file.of(term.at) == term.name
            elif not (
                isinstance(term, syntax.Scalar) or (isinstance(term, syntax.Infix) and term.operator in {":=", "="})
            ):
                again = parse(f"package a\n\nx := ({file.of(term.at)})").rules[0].branches[0].value
                assert type(again) is type(term)
