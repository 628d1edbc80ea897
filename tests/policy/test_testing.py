"""Tests of policies: what passes, what fails and why, what cannot be judged, and what was evaluated."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from openclaw.errors import ConfigurationError, PolicyError
from openclaw.policy import regorus
from openclaw.policy.testing import Report, Result, run_tests
from tests.conftest import require
from tests.policy.support import HOW_NATIVE, policy, write_folder

RULES = policy('allow if input.x > data.limit\n\ndeny contains sprintf("no %v", [input.z]) if {\n\tinput.z\n}')


@pytest.fixture
def native() -> None:
    require("native", regorus.available(), HOW_NATIVE)


def report_on(folder: Path, tests: str = "", /, *, cases: object = None, coverage: bool = False) -> Report:
    files = {"main": RULES, "data.json": '{"limit": 7}'}
    files |= (
        {"main_test.rego": f"package main_test\n\nimport data.openclaw.policies.main\n\n{tests}\n"} if tests else {}
    )
    files |= {"main_cases.yaml": json.dumps(cases)} if cases is not None else {}
    return run_tests(write_folder(folder, files), coverage=coverage)


def only(report: Report) -> Result:
    (result,) = report.results
    return result


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("test", "status"),
    [
        ('test_a if main.allow with input as {"x": 8}', "pass"),
        ('test_a if main.allow with input as {"x": 3} with data.limit as 2', "pass"),
        ('test_a if not main.allow with input as {"x": 3}', "pass"),
        ("test_a if main.allow", "fail"),
        ("test_a := false", "fail"),
        ("test_a := 1", "fail"),
        ('test_a := "true"', "fail"),
        ("todo_test_a if false", "skip"),
        ("test_a if true\n\ntest_a if false", "error"),
        ("test_a contains 1 if true", "error"),
        ('test_a["case"] if true', "error"),
    ],
)
def test_a_test_passes_where_its_value_is_true(tmp_path: Path, test: str, status: str) -> None:
    assert only(report_on(tmp_path, test)).status == status


@pytest.mark.usefixtures("native")
def test_rules_agree_with_opa(tmp_path: Path, opa_binary: str) -> None:
    tests = """
test_a if main.allow with input as {"x": 8}
test_b if main.allow with input as {"x": 1}
test_c if main.deny == {"no 5"} with input as {"z": 5}
test_d if {
	some z in [1, 2]
	main.deny == {"no 2"} with input as {"z": z}
}
todo_test_e if false
test_f := false
"""
    report = report_on(tmp_path, tests)
    done = subprocess.run([opa_binary, "test", str(tmp_path), "--format", "json"], capture_output=True, check=False)
    status = {"fail": "fail", "skip": "skip"}
    theirs = {it["name"]: next((name for name in status if it.get(name)), "pass") for it in json.loads(done.stdout)}
    assert {result.name.rsplit(".", 1)[-1]: result.status for result in report.results} == theirs


@pytest.mark.usefixtures("native")
def test_a_failure_shows_the_line_and_the_values(tmp_path: Path) -> None:
    found = only(
        report_on(tmp_path, 'test_a if {\n\tz := "é"\n\tmain.deny == {"no"} with input as {"z": z}\n\ttrue\n}')
    )
    assert (found.file, found.line) == (str(tmp_path / "main_test.rego"), 5)
    assert found.message == 'line 7 does not hold: main.deny == {"no"} with input as {"z": z}'
    assert found.values[0] == ("main.deny", '["no é"]')


@pytest.mark.usefixtures("native")
def test_an_undefined_value_is_shown_as_such(tmp_path: Path) -> None:
    found = only(report_on(tmp_path, 'test_a if main.allow with input as {"x": "1"} with data.limit as "2"'))
    assert found.values == (("main.allow", "undefined"),)


@pytest.mark.usefixtures("native")
def test_what_the_engine_cannot_evaluate_is_an_error_with_its_place(tmp_path: Path) -> None:
    found = only(report_on(tmp_path, 'test_a if to_number("x") == 1'))
    assert found.status == "error"
    assert "main_test.rego:5:" in found.message


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("text", ["test_a if {", "test_a if no_such_function(1)"])
def test_tests_that_do_not_load_name_their_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        report_on(tmp_path, text)
    assert caught.value.diagnostics[0].file == str(tmp_path / "main_test.rego")
    assert caught.value.diagnostics[0].line >= 5


def case(expect: object, /, **more: object) -> dict[str, object]:
    return {"name": "one", "input": {"x": 8}, "expect": expect} | more


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (case({"effect": "allow"}), "pass"),
        (case({"effect": "allow", "reasons": [], "rules": ["policies.main.allow"]}), "pass"),
        (case({"effect": "deny"}), "fail"),
        (case({"effect": "allow", "reasons": ["so"]}), "fail"),
        (case({"effect": "deny", "reasons": ["no 1"]}, input={"x": 8, "z": 1}), "pass"),
        (case({"effect": "deny"}, data={"limit": 9}), "pass"),
        (case({"effect": "deny"}, input={"x": 2**60}), "error"),
    ],
)
def test_a_case_is_an_input_and_the_decision_on_it(tmp_path: Path, given: object, status: str) -> None:
    assert only(report_on(tmp_path, cases=[given])).status == status


def test_a_failed_case_shows_what_was_expected_and_what_came(tmp_path: Path) -> None:
    found = only(report_on(tmp_path, cases=[case({"effect": "allow"}, input={"z": 1})]))
    assert dict(found.values) == {
        "expected effect": "allow",
        "effect": "deny",
        "reasons": '["no 1"]',
        "rules": '["policies.main.deny"]',
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\n", 1),
        ("\n- name: x\n  input: {}\n", 2),
        ("- name: x\n  input: {}\n  expect: {effect: maybe}\n", 1),
        ("- name: x\n  input: {}\n  expect: {effect: deny}\n- name: x\n  input: {}\n  expect: {effect: deny}\n", 4),
        ("- name: x\n  inputs: {}\n", 1),
        ("- [\n", 2),
    ],
)
def test_cases_that_cannot_be_read_name_their_line(tmp_path: Path, text: str, line: int) -> None:
    write_folder(tmp_path, {"main": RULES, "main_cases.yaml": text})
    with pytest.raises(PolicyError) as caught:
        run_tests(tmp_path)
    assert caught.value.diagnostics[0].line == line


def test_cases_may_have_either_suffix(tmp_path: Path) -> None:
    text = "- name: x\n  input: {x: 8}\n  expect: {effect: allow}\n"
    write_folder(tmp_path, {"main": RULES, "data.json": '{"limit": 7}', "a_cases.yml": text, "b_cases.yaml": text})
    assert [result.status for result in run_tests(tmp_path).results] == ["pass", "pass"]


def test_a_date_in_a_case_is_text(tmp_path: Path) -> None:
    text = "- name: x\n  input: {now: 2026-11-23T10:00:00Z}\n  expect: {effect: allow}\n"
    write_folder(tmp_path, {"main": policy('allow if startswith(input.now, "2026-")'), "main_cases.yaml": text})
    assert only(run_tests(tmp_path)).status == "pass"


def test_without_the_native_engine_cases_run_and_rules_say_what_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regorus, "available", lambda: False)
    assert only(report_on(tmp_path, cases=[case({"effect": "allow"})])).status == "pass"
    with pytest.raises(ConfigurationError, match="opa test"):
        report_on(tmp_path, "test_a if true")


def test_no_tests_are_no_success(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no tests"):
        report_on(tmp_path)
    report_on(tmp_path, cases=[case({"effect": "allow"})])
    with pytest.raises(ConfigurationError, match="named like"):
        run_tests(tmp_path, run="two")
    with pytest.raises(ConfigurationError, match="regular expression"):
        run_tests(tmp_path, run="(")


@pytest.mark.usefixtures("native")
def test_coverage_is_over_rules_and_cases_together(tmp_path: Path) -> None:
    write_folder(tmp_path, {"lonely.rego": "package helpers.lonely\n\nf(x) if {\n\tx == 1\n\tx != 2\n}\n"})
    by_rule = report_on(tmp_path, 'test_a if main.allow with input as {"x": 8}', coverage=True)
    both = report_on(
        tmp_path,
        'test_a if main.allow with input as {"x": 8}',
        cases=[case({"effect": "deny"}, input={"z": 1})],
        coverage=True,
    )
    lines = {Path(file.file).name: file.uncovered for file in by_rule.coverage}
    assert lines == {"lonely.rego": (4, 5), "main.rego": (5,)}  # `input.z` is evaluated beside `allow`
    assert {Path(file.file).name: file.uncovered for file in both.coverage} == {"lonely.rego": (4, 5), "main.rego": ()}
    assert by_rule.percent < both.percent < 100


@pytest.mark.usefixtures("native")
def test_results_come_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    report = report_on(
        tmp_path, "test_z if true\n\ntest_a if true\n\ntest_m if true", cases=[case({"effect": "allow"})]
    )
    assert [result.name.rsplit(".", 1)[-1] for result in report.results] == ["yaml: one", "test_z", "test_a", "test_m"]


@pytest.mark.usefixtures("native")
def test_no_test_passes_on_what_no_engine_would_load(tmp_path: Path) -> None:
    """`walk(…)` as a value gives nothing here: the test would hold, and the deny be lost."""
    rule = 'deny contains "three" if {\n\t[_, member] := walk(input.given)\n\tmember == 3\n}'
    test = (
        'package main_test\n\ntest_a if not "three" in data.openclaw.policies.main.deny with input as {"given": [3]}\n'
    )
    folder = write_folder(tmp_path, {"main": policy(rule), "main_test.rego": test})
    with pytest.raises(PolicyError, match=r"`walk\(…\)` finds where it stands for a value"):
        run_tests(folder)
