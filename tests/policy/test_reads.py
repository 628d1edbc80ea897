"""What a policy reads: every path of the input on which it can depend, however it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.reads import Projection, Reads, dotted, reads_of


def read(*rules: str, imports: str = "") -> Reads:
    modules = [
        Module(path=f"p{at}.rego", shown=f"p{at}.rego", text=f"package openclaw.policies.p{at}\n{imports}\n{rule}\n")
        for at, rule in enumerate(rules)
    ]
    return reads_of(Bundle.of(modules, {}))


def paths(*rules: str, imports: str = "") -> list[str]:
    return [dotted(path) for path in read(*rules, imports=imports).paths]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("allow if true", []),
        ('allow if input.tool.name == "a"', ["input.tool.name"]),
        ('allow if input["tool"]["name"] == "a"', ["input.tool.name"]),
        ("allow if input[`tool`].name", ["input.tool.name"]),
        (r'allow if input["to\u006fl"].name', ["input.tool.name"]),
        ('allow if input.tool["a b"]', ['input.tool["a b"]']),
        ("allow if input.tool.args[name]", ["input.tool.args"]),
        ("allow if input.tool.args[0]", ["input.tool.args"]),
        ("allow if input[input.kind].name", ["input"]),
        ("allow if input", ["input"]),
        ("allow if walk(input.tool.args, [_, 1])", ["input.tool.args"]),
        ("allow if f(input)", ["input"]),
        ('x := input\n["tool"]', ["input"]),
        ('allow if input ["tool"]', ["input"]),
        ("allow if { some x in input.tool.tags; x == input.kind }", ["input.kind", "input.tool.tags"]),
        ("allow if { t := input.tool; t.name }", ["input.tool"]),
        ("allow if [x | x := input.a.b[_]]", ["input.a.b"]),
        ("allow if {k: input.a[k] | some k in input.b}", ["input.a", "input.b"]),
        ("allow if data.p.x with input as {}", ["input"]),
        ("allow if data.p.x with input.a.b as 1", ["input.a.b"]),
        ("allow if data.p.x with data.a as input.c", ["input.c"]),
        ("allow if input.a.input.b", ["input.a.input.b"]),
        ("allow if data.input.b", []),
        ('allow if data.x == "input.a" # input.b', []),
        ("allow if data.x == `input.a\n# input.b`", []),
        ('allow if data.x == "\\"" # "\ndeny if input.b # "', ["input.b"]),
        ("allow if input.default.not.in", ["input.default.not.in"]),
        ("f(x) := x if input.a\nallow if f(1)", ["input.a"]),
        (r'allow if input["\ud800"]', ["input"]),
        ("allow if {1.5: input.a}[1.5]", ["input.a"]),
    ],
)
def test_paths(rule: str, expected: list[str]) -> None:
    assert paths(rule) == expected


@pytest.mark.parametrize(
    ("imports", "rule", "expected"),
    [
        ("import input.tool as t", "allow if t.name", ["input.tool.name"]),
        ("import input.tool", "allow if tool.name", ["input.tool.name"]),
        ("import input.tool", "allow if x.tool", []),
        ("import input as i", "allow if i.tool", ["input.tool"]),
        ('import input["tool"]["args"] as a', "allow if a.x.y", ["input.tool.args.x.y"]),
        ("import input.tool", "allow if f(tool)", ["input.tool"]),
        ("import input.tool as t", "allow if { t := data.x; t.y }", ["input.tool"]),
        ("import data.input.tool as t", "allow if t.name", []),
        ("import input.tool;", "allow if tool.name", ["input.tool"]),
    ],
)
def test_imports_are_other_names(imports: str, rule: str, expected: list[str]) -> None:
    assert paths(rule, imports=imports) == expected


def test_each_read_has_its_place() -> None:
    found = read('allow if input.a.b\ndeny contains "x" if {\n\tinput.c\n}\n', "allow if input.d")
    assert [(it.dotted, it.file, it.line, it.column) for it in found.places] == [
        ("input.a.b", "p0.rego", 3, 10),
        ("input.c", "p0.rego", 5, 2),
        ("input.d", "p1.rego", 3, 10),
    ]


def test_a_path_covers_those_below_it() -> None:
    assert paths("allow if { input.a.b; input.a.bc; input.a.b.c }", "allow if input.z") == [
        "input.a.b",
        "input.a.bc",
        "input.z",
    ]
    assert paths("allow if { input.a.b; input }") == ["input"]


def test_what_touches_a_path_is_found_in_both_directions() -> None:
    found = read("allow if { input.a.b; input.c }")
    assert found.touching(("a",)) == (("a", "b"),)
    assert found.touching(("a", "b", "d")) == (("a", "b"),)
    assert found.touching(("a", "e")) == ()
    assert found.touching(()) == (("a", "b"), ("c",))


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("allow if time.now_ns() > 1", "`time.now_ns`"),
        ("allow if time.now_ns () > 1", "`time.now_ns`"),
        (r'allow if time["now\u005fns"]() > 1', "`time.now_ns`"),
        ('allow if rand.intn("x", 2) == 1', "`rand.intn`"),
        ('allow if http.send({"url": "x"})', "`http.send`"),
        ('allow if uuid.rfc4122("x")', "`uuid.rfc4122`"),
        ("allow if opa.runtime().env", "`opa.runtime`"),
        ('allow if net.lookup_ip_addr("x")', "`net.lookup_ip_addr`"),
        ('allow if io.jwt.decode_verify("x", {})', "`io.jwt.decode_verify`"),
        ("allow if json.match_schema(1, {})", "`json.match_schema`"),
        ("allow if brand.new(1)", "`brand.new`"),
        ("allow if data.p.f with data.p.g as time.now_ns", "`time.now_ns`"),
        ("allow if data.p.f with count as 5", "`with count`"),
        ('allow if $"{time.now_ns()}" == "1"', "a template string"),
        ("allow if true #\rallow if input.x", "a control character"),
        ("allow if 1.input.x", "`1.input.x`"),
        ('allow if "', "a text without an end"),
    ],
)
def test_what_is_not_pure_is_found(rule: str, what: str) -> None:
    found = read(rule)
    assert what in [it.what for it in found.impurities]
    assert not found.pure
    assert found.impurities[0].line == 3


@pytest.mark.parametrize("rule", ['allow if $"{input.x}"', "allow if 1.input.x", "allow if true #\rallow if input.x"])
def test_what_cannot_be_followed_counts_as_everything(rule: str) -> None:
    assert paths(rule) == ["input"]


@pytest.mark.parametrize(
    "rule",
    [
        'allow if contains(input.x, "y")',
        'deny contains ("x") if regex.match("a", input.b)',
        "f(x) := x\nallow if f(1)",
        "allow if not (input.x)",
        "allow if time.parse_rfc3339_ns(input.x) > 1",
        "allow if input.rand.intn",
        'allow if "time.now_ns()" == input.x',
        "allow if data.x with data.y as input.z",
        "allow if { opa := input.x; opa.y }",
        "allow if count(input.x) > 1e+5",
    ],
)
def test_what_is_pure_is_left_alone(rule: str) -> None:
    assert read(rule).impurities == ()


def test_functions_of_other_packages_are_no_built_ins() -> None:
    lib = Module(path="lib.rego", shown="lib.rego", text="package lib.money\n\nimport rego.v1\n\ncents(x) := x * 100\n")
    text = (
        "package openclaw.policies.a\nimport data.lib.money as m\nallow if m.cents(input.x) > data.lib.money.cents(1)\n"
    )
    bundle = Bundle.of([lib, Module(path="a.rego", shown="a.rego", text=text)], {})
    assert reads_of(bundle).pure


def test_the_shipped_library_is_pure_and_reads_no_more_than_it_says(project: Path) -> None:
    found = reads_of(Bundle.read(project / "policies"))
    assert found.pure
    assert ("tool", "call_id") not in found.paths
    assert [path[1] for path in found.touching(("run",))] == ["calls", "elapsed_s", "id", "repeats", "step"]
    assert ("tool", "name") in found.paths


@pytest.fixture
def project() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture
def cut() -> Callable[[object], object]:
    return Projection([("a", "b"), ("c",)]).of  # type: ignore[return-value]


def test_a_projection_keeps_what_is_read(cut: Callable[[object], object]) -> None:
    assert cut({"a": {"b": 1, "x": 2}, "c": {"d": 3}, "e": 4}) == {"a": {"b": 1}, "c": {"d": 3}}
    assert cut({"a": {"x": 2}}) == {"a": {}}
    assert cut({}) == {}


def test_a_projection_keeps_what_stands_in_the_way_of_a_path(cut: Callable[[object], object]) -> None:
    assert cut({"a": [1]}) == {"a": [1]}
    assert cut({"a": None, "x": 1}) == {"a": None}


def test_the_projection_to_the_whole_input_is_the_input() -> None:
    assert Projection([("a",), ()]).of({"b": 1}) == {"b": 1}
    assert Projection([]).of({"b": 1}) == {}
