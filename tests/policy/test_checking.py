"""What is said of a policy folder: every finding with its place and a way out, and none about what is right."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openclaw.cli.library import STARTER
from openclaw.decision import OBLIGATION_KINDS, Decision, Effect, Obligation
from openclaw.duties import read_duties
from openclaw.errors import Diagnostic, PolicyError
from openclaw.policy import check, regopy, regorus
from openclaw.policy.functions import FUNCTIONS, OPERATORS, REMOVED
from openclaw.policy.library import packages
from tests.policy.support import policy, write_folder

PROJECT = Path(__file__).parents[2]

OTHER = '\n\nallow if input.kind == "model"'


def found(folder: Path, rules: str, /, **files: str) -> list[Diagnostic]:
    named = {name.replace("_rego", ".rego").replace("_json", ".json"): text for name, text in files.items()}
    return check(write_folder(folder, {"main": policy(rules + OTHER), **named}))


def only(findings: list[Diagnostic]) -> Diagnostic:
    (finding,) = findings
    return finding


def body(statements: str) -> str:
    return f'deny contains "no" if {{ {statements} }}'


# Each: the rules, the code, line and column, a part of the message, a part of the hint.
ERRORS = [
    ('allow if input.tol.name == "x"', "unknown-input", (3, 10), "`input.tol.name`", "`input.tool.name`"),
    ('allow if input["tol"].name == "x"', "unknown-input", (3, 10), "no part `tol`", "`input.tool.name`"),
    (body("tool := input.tool; tool.nmae"), "unknown-input", (3, 45), "`tool.nmae`", "`tool.name`"),
    (body("tool.nmae; tool = input.tool"), "unknown-input", (3, 25), "`tool.nmae`", "`tool.name`"),
    ("tool := input.tool\n\nallow if tool.nmae", "unknown-input", (5, 10), "`tool.nmae`", "`tool.name`"),
    ("allow if [t | t := input.tool; t.nmae]", "unknown-input", (3, 32), "`t.nmae`", "`t.name`"),
    (body("some role in input.principal.roles; role.x"), "unknown-input", (3, 61), "is a string", ""),
    (body("every s in input.flow.sources { s.trust.x }"), "unknown-input", (3, 57), "is a string", ""),
    ('allow if object.get(input.tool, "nmae", "") == "x"', "unknown-input", (3, 33), "no part `nmae`", "tool.name`"),
    ('allow if object.get(input, ["tool", "nmae"], "") == "x"', "unknown-input", (3, 28), "nmae", "tool.name`"),
    ("allow if input.flow.arg.to.trust", "unknown-input", (3, 10), "no part `arg`", "`input.flow.args.to.trust`"),
    ("allow if input.flow.args.to.trus", "unknown-input", (3, 10), "no part `trus`", "`input.flow.args.to.trust`"),
    ("allow if input.approval.bye", "unknown-input", (3, 10), "no part `bye`", "`input.approval.by`"),
    ("allow if input.budget.remaning.tokens > 1", "unknown-input", (3, 10), "no part `remaning`", "remaining.tokens`"),
    ("allow if count(input.tool.tags, 3) > 1", "unknown-function", (3, 10), "takes 1 argument, and is given 2", ""),
    ("allow if input.agent", "unknown-input", (3, 10), "no part `agent`", "`input.principal.agent`"),
    ("allow if input.zork", "unknown-input", (3, 10), "no part `zork`", "kind, principal, run, tool"),
    ("allow if input.now.year > 2025", "unknown-input", (3, 10), "`input.now` is a string", ""),
    (
        "allow if input.principal.roles.admin",
        "unknown-input",
        (3, 10),
        "is an array",
        '`"admin" in input.principal.roles`',
    ),
    ("allow if x with input.tol as 1\n\nx if input.kind", "unknown-input", (3, 17), "`input.tol`", "`input.tool`"),
    ('allow if input.exception.bye == "eva"', "unknown-input", (3, 10), "no part `bye`", "`input.exception.by`"),
    ('allow if input.kind == "tol"', "impossible-value", (3, 24), '`input.kind` is compared with `"tol"`', '`"tool"`'),
    ('allow if "tol" == input.kind', "impossible-value", (3, 10), '"tol"', '`"tool"`'),
    ('allow if input.kind != "tol"', "impossible-value", (3, 24), "always something else", '`"tool"`'),
    ('allow if input.kind in {"tool", "modle"}', "impossible-value", (3, 33), '"modle"', '`"model"`'),
    (body('kind := input.kind; kind == "handof"'), "impossible-value", (3, 53), '"handof"', '`"handoff"`'),
    ('allow if input.flow.args.to.trust == "trustd"', "impossible-value", (3, 38), '"trustd"', '`"trusted"`'),
    (
        body('some s in input.flow.sources; s.trust == "x"'),
        "impossible-value",
        (3, 66),
        '"x"',
        '"trusted", "untrusted"',
    ),
    ("allow if input.kind == 1", "impossible-value", (3, 24), "`1`", "it is one of"),
    ("allow if amount > 100", "unsafe-variable", (3, 10), "nothing gives `amount` a value", "amount"),
    ("allow if tool.name", "unsafe-variable", (3, 10), "nothing gives `tool`", "did you mean `input.tool`?"),
    ("deny contains msg if input.kind", "unsafe-variable", (3, 15), "`msg`", "`msg := …`"),
    (body("amount := 1; amuont > 0"), "unsafe-variable", (3, 38), "`amuont`", "did you mean `amount`?"),
    (body("not input.principal.roles[i] == data.x"), "unsafe-variable", (3, 51), "`i`", ""),
    (body('not input.principal.roles[_] == "x"'), "unsafe-variable", (3, 51), "`_`", "some value in"),
    ("allow if f(1) == 2\n\nf(x) := y", "unsafe-variable", (5, 9), "`y`", ""),
    (body("x == 1; x := 2"), "unsafe-variable", (3, 33), "used or given one in line 3", "move this up"),
    (body("x := 1; x := 2"), "unsafe-variable", (3, 33), "line 3", "another name"),
    ("allow if f(1)\n\nf(x) if x := 2", "unsafe-variable", (5, 9), "line 5", "`x == …`"),
    ("allow if count([x | y == 1]) > 0", "unsafe-variable", (3, 17), "`x`", ""),
    ('allow if startwith(input.now, "2")', "unknown-function", (3, 10), "`startwith`", "did you mean `startswith`?"),
    ("allow if any([true])", "unknown-function", (3, 10), "`any`", "no longer"),
    ("allow if startswith(input.now)", "unknown-function", (3, 10), "takes 2 arguments, and is given 1", ""),
    ("allow if f(1, 2, 3)\n\nf(x) if x", "unknown-function", (3, 10), "takes 1 argument, and is given 3", ""),
    (
        "allow if f(1)\n\nf(x) if lower(x)\n\nlower(x) := x",
        "unknown-function",
        (7, 1),
        "of Rego already",
        "another name",
    ),
    ("alow if true", "unused-rule", (3, 1), "`alow` takes no part", "did you mean `allow`?"),
    ('denies contains "x" if input.now', "unused-rule", (3, 1), "`denies`", "did you mean `deny`?"),
    ('obligations contains "x" if input.now', "unused-rule", (3, 1), "`obligations`", "did you mean `oblige`?"),
    ("helper if input.now", "unused-rule", (3, 1), "nothing uses the rule `helper`", "remove it"),
    ("f(x) if x", "unused-rule", (3, 1), "nothing uses the function `f`", "remove it"),
    ("f(x) if g(x)\n\ng(x) if f(x)", "unused-rule", (3, 1), "`f`", ""),
    ("deny(x) if x", "rule-shape", (3, 1), "`deny` is a function", "deny contains … if …"),
    ('allow := "yes" if input.now', "rule-shape", (3, 10), '`"yes"`', "allow if …"),
    ('allow contains "x" if input.now', "rule-shape", (3, 1), "members", "allow if …"),
    ("allow if false", "never-holds", (3, 10), "`false` never holds", ""),
    ("allow if 1 == 2", "never-holds", (3, 10), "`1 == 2`", ""),
    ("allow if not true", "never-holds", (3, 10), "`not true`", ""),
    ('allow if "x" in []', "never-holds", (3, 10), "never holds", ""),
    (body('input.kind == "tool"; input.kind == "model"'), "never-holds", (3, 47), "together with line 3", "two rules"),
    (body('input.kind in {"tool", "model"}; "memory" == input.kind'), "never-holds", (3, 58), "line 3", ""),
    (body('every s in input.flow.sources { s.tool == "a"; s.tool == "b" }'), "never-holds", (3, 72), "line 3", ""),
    ('oblige contains {"kind": "msk", "fields": ["a"]}', "obligation", (3, 26), "no obligation `msk`", '`"mask"`'),
    ('oblige contains {"kind": "mask"}', "obligation", (3, 17), "needs `fields`", '"args.iban"'),
    ('oblige contains {"kind": "mask", "fields": []}', "obligation", (3, 17), "has a `fields`", ""),
    ('oblige contains {"kind": "mask", "fields": "a"}', "obligation", (3, 17), "has a `fields`", ""),
    ('oblige contains {"fields": ["a"]}', "obligation", (3, 17), "`kind`", ""),
    ('oblige contains "mask"', "obligation", (3, 17), 'not `"mask"`', ""),
    (
        'oblige contains {"kind": "audit", "level": "some"}',
        "obligation",
        (3, 17),
        "has a `level`",
        '"level": "metadata"',
    ),
    ('oblige contains {"kind": "charge", "euro": 1}', "obligation", (3, 17), "no parameter `euro`", "microusd"),
    ('oblige contains {"kind": "charge", "calls": -1}', "obligation", (3, 17), "has a `calls`", "microusd"),
    ('oblige contains {"kind": "mask", "field": ["a"]}', "obligation", (3, 17), "did you mean `fields`?", ""),
    ('oblige contains {"kind": "limit", "key": "a"}', "obligation", (3, 17), "needs `calls` and `per`", ""),
    ('oblige contains {"kind": "route"}', "obligation", (3, 17), "`models` or `providers` or `sites`", ""),
    ('oblige := [{"kind": "rewrite", "args": {}}]', "obligation", (3, 12), "has a `args`", ""),
]

NOT = 'deny contains "x" if not '

WARNINGS = [
    (
        NOT + 'startswith(input.tool.args.path, "/")',
        "absent-in-not",
        "`input.tool.args.path` is absent",
        "`_holds if start",
    ),
    (NOT + "input.tool.args.amount <= 100", "absent-in-not", "`input.tool.args.amount`", "not _holds"),
    (NOT + 'input.principal.on_behalf_of in {"a"}', "absent-in-not", "on_behalf_of", ""),
    (NOT + 'lower(input.tool.args.x) == "x"', "absent-in-not", "`input.tool.args.x`", ""),
    (NOT + "input.tool.name in data.tools", "absent-in-not", "`data.tools`", ""),
    (NOT + "f(input.tool.args.x)\n\nf(x) if x > 1", "absent-in-not", "`input.tool.args.x`", ""),
    (NOT + "f(sum)\n\nf(x) if x > 1\n\nsum := input.tool.args.x", "absent-in-not", "`sum`", ""),
    (NOT + "tool.args.x > 1\n\ntool := input.tool", "absent-in-not", "`tool.args.x`", ""),
    (
        body("some part in input.tool.args.parts; not part.kind in {1}"),
        "absent-in-not",
        "`part.kind`",
        "`_holds(part) if",
    ),
    ('ask contains "x" if helper\n\nhelper if not input.tool.args.x > 1', "absent-in-not", "`input.tool.args.x`", ""),
    ("allow if not bad\n\nbad if not input.tool.args.x > 1", "absent-in-not", "`input.tool.args.x`", ""),
    ('allow if input.tool.args.amount > "100"', "mixed-types", '`"100"` is text', "write `100`"),
    ('allow if "1,000" < input.tool.args.amount', "mixed-types", "is text", "write `1000`"),
    ("allow if input.tool.args.amount * 1.1 < 100", "fraction", "the fraction 1.1", "whole units"),
    ("allow if 0.1 + input.tool.args.amount == 0.3", "fraction", "the fraction 0.1", "whole units"),
    ("allow if (input.tool.args.amount / 3) * 3 == 1", "fraction", "what a division leaves", "whole units"),
    ('allow if input.run.step == "3"', "mixed-types", "a number with a string", "to_number"),
    ('allow if count(input.tool.args) > "3"', "mixed-types", "a number with a string", ""),
    ("allow if input.now > 3", "mixed-types", "a string with a number", ""),
    ("allow if input.run == null", "never-null", "`input.run` is never null", "write `not input.run`"),
    ("allow if null == input.principal.on_behalf_of", "never-null", "on_behalf_of", ""),
    ("allow if is_null(input.budget)", "never-null", "`input.budget`", ""),
]


@pytest.mark.parametrize(("rules", "code", "place", "message", "hint"), ERRORS, ids=[case[0][:50] for case in ERRORS])
def test_what_is_wrong_is_an_error_with_place_and_way_out(
    tmp_path: Path, rules: str, code: str, place: tuple[int, int], message: str, hint: str
) -> None:
    finding, *more = found(tmp_path, rules)
    assert (finding.code, finding.severity, (finding.line, finding.column)) == (code, "error", place), str(finding)
    assert finding.file == str(tmp_path / "main.rego")
    assert message in finding.message
    assert hint in finding.hint
    assert finding.hint != ""
    assert {it.code for it in more} <= {"unused-rule", code}


@pytest.mark.parametrize(("rules", "code", "message", "hint"), WARNINGS, ids=[case[0][:50] for case in WARNINGS])
def test_what_is_legal_and_yet_not_what_it_seems_is_a_warning(
    tmp_path: Path, rules: str, code: str, message: str, hint: str
) -> None:
    finding = only(found(tmp_path, rules))
    assert (finding.code, finding.severity) == (code, "warning"), str(finding)
    assert message in finding.message
    assert hint in finding.hint


@pytest.mark.parametrize("engines", ["regorus", "regopy", "none"])
def test_findings_do_not_depend_on_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engines: str) -> None:
    for name, module in (("regorus", regorus), ("regopy", regopy)):
        if engines != name:
            monkeypatch.setattr(module, "available", lambda: False)
    for number, (rules, code, place, _, _) in enumerate(ERRORS[::3]):
        finding, *_ = found(tmp_path / str(number), rules)
        assert (finding.code, (finding.line, finding.column)) == (code, place), str(finding)


RIGHT = [
    'allow if input.kind in {"tool", "handoff"}',
    'allow if input.tool.args.anything["at all"][0].x == input.flow.args[input.tool.name].fields',
    'allow if input.flow.untrusted\n\nallow if input.flow.args.x.parts[_].kind == "url"\n\nallow if "warn" in input.budget.soft',
    'allow if input.approval == null\n\nallow if input.approval.by == "eva"\n\nallow if input.approval.answers[_].authenticated',
    "allow if input.tool.args.x == null\n\nallow if input.run != null\n\nallow if is_null(input.tool.args.x)",
    body('some i; input.principal.roles[i] == "a"; input.principal.roles[j] == "b"; i != j'),
    body('input.principal.roles[_] == "a"; input.principal.roles[_] == "b"'),
    body("[path, value] = [x | walk(input.tool.args, x)][_]; path; value"),
    body("walk(input.tool.args, [path, value]); path; is_string(value)"),
    body("x := {y | some y in input.principal.roles; not y in z}; z = {1}; count(x) > 0"),
    body('lower(input.tool.name, small); small == "x"'),
    body("every k, v in input.tool.args { k != v }"),
    body("y == 1; x = input.tool.args; y = x.y"),
    body('input.now > "2026-01-01T00:00:00Z"; substring(input.now, 11, 5) < "18:00"'),
    body('input.tool.args.version > "1.0.0"; input.tool.args.id == "17"; input.tool.args.word > "a"'),
    body('input.principal.org == "a"; x := input.tool.args; x.org == "b"'),
    NOT + 'input.tool.args.path == "x"',
    NOT + "input.tool.args.path",
    NOT + "input.principal.agent in {1}",
    NOT + 'input.tool.name in {"a"}',
    NOT + 'helper\n\nhelper if startswith(input.tool.args.path, "/")',
    NOT + "count({x | some x in input.tool.args.list}) > 1",
    body('is_string(input.tool.args.x); not startswith(input.tool.args.x, "/")'),
    body('x := input.tool.args.x; not startswith(x, "/")'),
    body("known; not input.tool.args.x > 1") + "\n\nknown if is_number(input.tool.args.x)",
    body("known(input.tool.args); not input.tool.args.x > 1") + "\n\nknown(args) if is_number(args.x)",
    body("some arg in given; not is_string(input.tool.args[arg])")
    + "\n\ngiven contains arg if _ := input.tool.args[arg]",
    body("some [a, _] in given; not is_string(input.tool.args[a])")
    + "\n\ngiven contains [a, v] if v := input.tool.args[a]",
    body("input.flow; not bad(input.tool)") + "\n\nbad(tool) if tool.args.x",
    'allow if not startswith(input.tool.args.path, "/etc")',
    "allow if ok\n\nok if not input.tool.args.x > 1",
    'deny contains "x" if bad\n\nbad if { is_object(data.x); not good }\n\ngood if input.tool.name in data.x.y',
    "default allow := false",
    "allow := input.tool.args.ok",
    "allow := false if { input.tool.args.x } else := true if input.tool.args.y",
    'deny if input.tool.args.x\n\nask := {"x"} if input.tool.args.y',
    'deny[reason] := true if { reason := "x"; input.tool.args.x }',
    'oblige contains duty if { kind := "mask"; duty := {"kind": kind} }',
    'oblige contains {"kind": "mask", "fields": [field | some field, _ in input.tool.args]}',
    'oblige contains object.union({"kind": "mask"}, {"fields": ["args.x"]})',
    'oblige contains {"kind": "limit", "key": input.tool.name, "calls": 3, "per": "hour"}',
    'oblige contains {"kind": "audit", "level": input.tool.args.x}',
    'allow if mode == "strict"\n\nmode := "lax"',
    "allow if f(input.tool.args.x, 2)\n\nf(x, y) if y == x\n\nf(_, 1) := true",
    "allow if data.openclaw.policies.other.deny == set()",
    "allow if input.tool.args[input.tool.args.key] == input.tool.args.list[count(input.tool.args.list) - 1]",
    'allow if "a" == lower("A")',
    "allow if input.tool.args.share >= 0.5",
    "allow if ((input.tool.args.n - (input.tool.args.n % 4)) / 4) + 1 == 3",
    "allow if input.tool.args.used / input.tool.args.whole <= 0.25",
    "allow if input.tool.args.x > -0.5\n\nallow if input.tool.args.cents * 110 <= 100 * 1000.0",
    "allow if print(input.tool.name)",
]


@pytest.mark.parametrize("rules", RIGHT, ids=[rules[:60] for rules in RIGHT])
def test_nothing_is_said_of_what_is_right(tmp_path: Path, rules: str) -> None:
    assert [str(it) for it in found(tmp_path, rules)] == []


@pytest.mark.parametrize("name", [package.name for package in packages()])
def test_nothing_is_said_of_the_library(name: str) -> None:
    assert [str(it) for it in check(PROJECT / "policies" / name)] == []


def test_nothing_is_said_of_the_whole_library_the_examples_and_the_starter(tmp_path: Path) -> None:
    write_folder(tmp_path, STARTER)
    for folder in (PROJECT / "policies", PROJECT / "examples" / "agentdojo" / "policies", tmp_path):
        assert [str(it) for it in check(folder)] == []


OPERANDS = st.sampled_from(
    ["input.tool.args.x", "input.principal.roles[_]", "v", "input.tool.name", "data.limits.x", "helper(v)"]
)
STATEMENTS = st.one_of(
    st.builds("{} == {}".format, OPERANDS, OPERANDS),
    st.builds("not {} == v".format, st.sampled_from(["input.tool.args.x", "input.tool.name", "v"])),
    st.builds("some w in {}".format, st.sampled_from(["input.principal.roles", "[v]", "data.limits.list"])),
    st.builds("{} in {{v}}".format, OPERANDS),
    st.builds("count([u | some u in {}]) > 0".format, st.sampled_from(["input.principal.chain", "[v]"])),
    st.sampled_from(['input.kind == "tool"', "named", "every e in input.principal.roles { e != v }", "v"]),
)


def once(statements: list[str]) -> bool:
    """A name is declared once in a body."""
    return sum(statement.startswith("some w") for statement in statements) < 2


@settings(max_examples=60)
@given(st.lists(st.lists(STATEMENTS, min_size=1, max_size=5).filter(once), min_size=1, max_size=3))
def test_nothing_is_said_of_rules_put_together_from_what_is_right(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("right")
    rules = [f"allow if {{ v := input.tool.args.y; {'; '.join(one)}; helper(v); named }}" for one in bodies]
    text = policy("\n\n".join([*rules, "helper(x) := x", "named if input.tool.name"]))
    write_folder(folder, {"main": text, "data.json": '{"limits": {"x": 1, "list": [1]}}'})
    assert [str(it) for it in check(folder)] == []


# -- several files -------------------------------------------------------------------------------------------------------


def test_every_file_that_is_no_rego_is_named_with_all_that_is_wrong(tmp_path: Path) -> None:
    findings = found(
        tmp_path,
        "allow if input.tol",
        a_rego="package openclaw.policies.a\n\nallow if {\n",
        b_rego="package openclaw.policies.b\n\nallow := := 1\n\nask contains 1 if x y\n\ndeny[x] { x := 1 }\n",
        b_test_rego="package b_test\n\ntest_b if }\n",
    )
    places = [(Path(it.file).name, it.line, it.column, it.code) for it in findings]
    assert all(it.hint for it in findings)
    assert places == [
        ("a.rego", 4, 1, "syntax"),
        ("b.rego", 3, 10, "syntax"),
        ("b.rego", 7, 1, "syntax"),
        ("b.rego", 7, 9, "syntax"),
        ("b_test.rego", 3, 11, "syntax"),
        ("main.rego", 3, 10, "unknown-input"),
    ]


@pytest.mark.parametrize(
    ("package", "hint"),
    [
        ("policies.x", "openclaw.policies.x"),
        ("desk", "openclaw.policies.desk"),
        ("openclaw.policy.x", "openclaw.policies.x"),
        ("openclaw.polices.x", "openclaw.policies.x"),
        ("openclaw.policies.a.b", "openclaw.policies.a_b"),
        ("openclaw.policies", "openclaw.policies.<name>"),
        ("openclaw", "openclaw.policies.<name>"),
    ],
)
def test_a_package_outside_of_the_contract_is_told_where_it_should_be(tmp_path: Path, package: str, hint: str) -> None:
    finding = only(found(tmp_path, "", other_rego=f"package {package}\n\nallow if input.tool\n"))
    assert (finding.code, finding.severity, finding.line, finding.column) == ("package", "error", 1, 9)
    assert f"write `package {hint}`" in finding.hint


def test_a_helper_package_that_nobody_uses_is_an_error_and_one_of_its_rules_a_warning(tmp_path: Path) -> None:
    helper = "package helpers\n\nf(x) if x\n\ng(x) if x\n"
    finding = only(found(tmp_path / "a", "", helpers_rego=helper))
    assert (finding.code, finding.severity) == ("unused-package", "error")
    assert "import data.helpers" in finding.hint
    finding = only(found(tmp_path / "b", "allow if data.helpers.f(1)", helpers_rego=helper))
    assert (finding.code, finding.severity, finding.line) == ("unused-rule", "warning", 5)
    assert found(tmp_path / "c", "allow if data.helpers[name]", helpers_rego=helper) == []


def test_what_only_tests_use_takes_no_part(tmp_path: Path) -> None:
    test = "package main_test\n\nimport data.openclaw.policies.main\n\ntest_x if main.helper\n"
    finding = only(found(tmp_path, "helper if input.tool", main_test_rego=test))
    assert "only tests use the rule `helper`" in finding.message


def test_names_of_the_folder_that_are_misspelt_are_found(tmp_path: Path) -> None:
    findings = found(
        tmp_path,
        "import data.helprs\n\nallow if data.helpers.goood\n\nallow if data.limts.x\n\nallow if helper.f(1)"
        "\n\nallow if data.helpers.f(1)",
        helpers_rego="package helpers\n\ngood if input.tool\n\nf(x) if good == x\n",
        data_json='{"limits": {"x": 1}}',
    )
    assert [(it.code, it.line, it.hint) for it in findings if it.severity == "error"] == [
        ("unknown-rule", 3, "did you mean `data.helpers`?"),
        ("unknown-rule", 5, "did you mean `data.helpers.good`?"),
        ("unknown-rule", 7, "did you mean `data.limits.x`?"),
        ("unknown-function", 9, "did you mean `data.helpers.f`?"),
    ]


def test_imports_and_tests_are_looked_at_too(tmp_path: Path) -> None:
    test = """package main_test

import data.openclaw.policies.main

test_a if main.allow with input.tol as 1
test_b if main.allow with input as {"kind": "tool", "tool": {"nmae": "x"}}
test_c if main.allow with input as {"x": 1} with input.tool.args.what as 2
test_d if main.alow with data.x as 1
test_e if input.zork with input as {"zork": 1}
"""
    rules = "import input.tol\nimport input.tool as t\n\nallow if t.nmae"
    findings = found(tmp_path, rules, main_test_rego=test)
    assert [(Path(it.file).name, it.line, it.column, it.hint) for it in findings] == [
        ("main.rego", 3, 1, "did you mean `input.tool`?"),
        ("main.rego", 6, 10, "did you mean `t.name`?"),
        ("main_test.rego", 5, 27, "did you mean `input.tool`?"),
        ("main_test.rego", 6, 62, "did you mean `input.tool.name`?"),
        ("main_test.rego", 8, 11, "did you mean `main.allow`?"),
    ]


def test_data_that_is_there_is_not_absent(tmp_path: Path) -> None:
    rule = NOT + "input.tool.name in data.desk.tools"
    assert found(tmp_path, rule, data_json='{"desk": {"tools": ["x"]}}') == []


def test_what_only_the_engine_knows_is_said_too(tmp_path: Path) -> None:
    finding = only(found(tmp_path, "allow if http.send({}).x"))
    assert finding.code == "engine"
    assert "`http.send` is no function that" in finding.message


def test_a_function_that_the_engine_lacks_is_found_beside_other_errors(tmp_path: Path) -> None:
    findings = found(tmp_path, "allow if foo\n\nallow if http.send({}).x")
    assert [(it.code, it.line) for it in findings] == [("unsafe-variable", 3), ("engine", 5)]


def test_what_cannot_be_read_is_a_finding_and_what_is_not_there_an_error(tmp_path: Path) -> None:
    (tmp_path / "odd.rego").write_bytes(b"package x\n\n\xff")
    (tmp_path / "data.json").write_text("{")
    assert {(Path(it.file).name, it.code) for it in found(tmp_path, "")} == {
        ("odd.rego", "folder"),
        ("data.json", "folder"),
    }
    with pytest.raises(PolicyError, match="does not exist"):
        check(tmp_path / "nowhere")
    with pytest.raises(PolicyError, match="is not a folder"):
        check(tmp_path / "data.json")


def test_the_functions_are_those_of_opa(opa_binary: str) -> None:
    command = [opa_binary, "capabilities", "--current"]
    declared = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["builtins"]
    known = {it["name"]: it for it in declared if not it["name"].startswith("internal.")}
    for name, function in FUNCTIONS.items():
        declaration = known[name]["decl"]
        assert (len(declaration.get("args", [])), declaration["result"]["type"]) == (function.arity, function.result), (
            name
        )
    assert known.keys() - FUNCTIONS.keys() == OPERATORS | REMOVED | {"print"}
    assert {name for name, it in known.items() if it.get("deprecated")} == REMOVED


PARAMS: list[dict[str, object]] = [
    {},
    {"fields": ["args.a"]},
    {"fields": ["result.a"]},
    {"fields": ["args.a"], "subject": "principal.on_behalf_of"},
    {"fields": ["args.a"], "subject": ""},
    {"fields": []},
    {"fields": [""]},
    {"fields": "a"},
    {"fields": [1]},
    {"texts": ["zz"]},
    {"texts": ["zz"], "replacement": "x"},
    {"texts": ["zz"], "replacement": ""},
    {"fields": ["args.a"], "more": 1},
    {"args": {"a": 1}},
    {"args": {}},
    {"args": [1]},
    {"level": "full"},
    {"level": "ful"},
    {"calls": 1},
    {"calls": -1},
    {"calls": 1.5},
    {"calls": True},
    {"microusd": 5, "tokens": 0},
    {"euro": 1},
    {"sites": ["eu"], "models": ["a/b"]},
    {"sites": []},
    {"key": "a", "calls": 1, "per": "minute"},
    {"key": "a", "calls": 0, "per": 90},
    {"key": "a", "calls": 1, "per": "year"},
    {"key": "a", "calls": 1, "per": 0},
    {"key": "", "calls": 1, "per": "day"},
    {"key": "a", "calls": 1},
    {"quorum": 2},
    {"quorum": 0},
    {"quorum": 21},
    {"quorum": True},
    {"quorum": 2, "roles": ["a", "b"], "distinct": True, "authenticated": True},
    {"quorum": 2, "roles": ["a"], "distinct": True},
    {"distinct": True},
    {"roles": ["a"], "distinct": "yes"},
    {"roles": []},
    {"args": ["amount"]},
]
ACTION_OF = {"route": "model", "redact": "result"}


@pytest.mark.parametrize("kind", sorted(OBLIGATION_KINDS))
def test_an_obligation_is_wrong_where_the_gate_cannot_carry_it_out(kind: str, tmp_path: Path) -> None:
    duties = [{"kind": kind, **params} for params in PARAMS]
    findings = found(tmp_path, "\n".join(f"oblige contains {json.dumps(duty)}" for duty in duties))
    decided = [Decision(effect=Effect.ALLOW, obligations=(Obligation.model_validate(duty),)) for duty in duties]
    unmet = [at for at, decision in enumerate(decided) if read_duties(decision, ACTION_OF.get(kind, "tool")).unmet]
    assert [it.line - 3 for it in findings] == unmet
    assert {it.code for it in findings} == {"obligation"}
