"""Tests of policies: rules named ``test_…`` in ``*_test.rego`` files, and cases in ``*_cases.yaml`` files.

A test rule passes where its value is true, as with ``opa test``: each is its own entry point, on the native engine, with
an empty object as input where it says nothing else. A case is an input and the decision that is expected of it, and runs
on whichever engine is installed. What cannot be judged (two rules of one name, an input that no engine takes) is an
error, never a pass.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from openclaw.canonical import canonical
from openclaw.decision import Decision, Effect
from openclaw.errors import ConfigurationError, Diagnostic, PolicyError
from openclaw.policy import regopy, regorus
from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.calls import unknown_calls
from openclaw.policy.contents import CASES, Contents, is_test
from openclaw.policy.coverage import FileCoverage, covered, percent
from openclaw.policy.documents import BadDocument
from openclaw.policy.engine import PolicyEngine
from openclaw.policy.failing import Values, values_of_failing
from openclaw.policy.program import Program
from openclaw.policy.ruleset import Definition, Ruleset, Source
from openclaw.policy.scan import scan
from openclaw.policy.source import read_policies
from openclaw.policy.yaml_documents import JsonYaml, read_yaml

TEST_DEADLINE_S = 5.0
"""How long one test may take, in seconds: a stop for loops, not a measure of speed."""

Status = Literal["pass", "fail", "error", "skip"]

_JUDGED = frozenset({"policy", "no_policy", "obligation"})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test. ``values`` are names and values that show why it failed, as JSON texts."""

    name: str
    file: str
    line: int
    status: Status
    message: str = ""
    values: Values = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All results, in order of file and line, and the coverage of each policy file if it was asked for."""

    results: tuple[Result, ...]
    coverage: tuple[FileCoverage, ...] = ()

    def count(self, status: Status) -> int:
        """How many tests ended so."""
        return sum(result.status == status for result in self.results)

    @property
    def passed(self) -> bool:
        """No test failed or could not be judged."""
        return not self.count("fail") and not self.count("error")

    def require(self, what: str) -> Report:
        """This report, if all tests passed; ``what`` are the policies, in words.

        Raises:
            PolicyError: with the place and the reason of each that did not.
        """
        wrong = [result for result in self.results if result.status in ("fail", "error")]
        if wrong:
            said = {"fail": "fails", "error": "cannot be judged"}
            found = [
                Diagnostic(it.file, it.line, 1, f"the test `{it.name}` {said[it.status]}: {it.message}") for it in wrong
            ]
            tests = "a test" if len(wrong) == 1 else f"{len(wrong)} tests"
            raise PolicyError(f"{tests} of {what} did not pass", diagnostics=found)
        return self

    @property
    def percent(self) -> float:
        """Coverage over all files, from 0 to 100."""
        return percent(self.coverage)


class Expected(BaseModel):
    """The decision that a case expects. ``reasons`` and ``rules`` are compared where they are given, in any order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    effect: Effect
    reasons: tuple[str, ...] | None = None
    rules: tuple[str, ...] | None = None


class Case(BaseModel):
    """One case of a ``*_cases.yaml`` file. ``data`` is laid over the data of the folder, object by object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    input: dict[str, JsonValue]
    data: dict[str, JsonValue] = {}
    expect: Expected


_Job: TypeAlias = Callable[[], tuple[Result, bytes]]


def run_tests(folder: str | Path, *, run: str = "", coverage: bool = False) -> Report:
    """Run the tests of a policy folder, in threads.

    Args:
        folder: policies, with their tests beside them; or a bundle with its tests in it.
        run: only tests whose full name (``data.pkg.test_name``, ``file_cases.yaml: name``) this pattern finds.
        coverage: find out which lines of the policies the tests evaluate.

    Raises:
        PolicyError: policies or tests cannot be loaded.
        ConfigurationError: there is nothing to run, or no engine that can run it.
    """
    try:
        wanted = re.compile(run)
    except re.error as error:
        raise ConfigurationError(f"`{run}` is not a regular expression: {error}") from error
    contents = read_policies(folder)
    report = run_tests_in(contents, Bundle.assemble(contents), wanted, coverage=coverage)
    if not report.results:
        root = contents.root
        what = f"no test in `{root}` is named like `{run}`" if run else f"`{root}` holds no tests"
        raise ConfigurationError(what, hint="write `test_…` rules in *_test.rego, or cases in *_cases.yaml")
    return report


def run_tests_in(
    contents: Contents, bundle: Bundle, wanted: re.Pattern[str] = re.compile(""), *, coverage: bool = False
) -> Report:
    """Run the tests among these files against ``bundle``, which was made of them. There may be none.

    Raises:
        PolicyError: the tests cannot be loaded.
        ConfigurationError: there is no engine that can run them.
    """
    files = _test_files(contents)
    with contextlib.ExitStack() as opened:
        jobs: list[_Job] = [*_rego_jobs(bundle, files, wanted, coverage=coverage)]
        jobs += _case_jobs(bundle, files, wanted, opened, coverage=coverage)
        if not jobs:
            return Report(())
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as threads:
            done = list(threads.map(_do, jobs))
    results = tuple(sorted((result for result, _ in done), key=lambda it: (it.file, it.line, it.name)))
    return Report(results, covered(bundle, (report for _, report in done)) if coverage else ())


def _do(job: _Job) -> tuple[Result, bytes]:
    return job()


# -- rules ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    """A test rule. ``times``: how often it is defined; ``partial``: it makes a set or an object, not one answer."""

    name: str
    path: str
    definition: Definition
    times: int
    partial: bool


def _rego_jobs(bundle: Bundle, files: list[Module], wanted: re.Pattern[str], *, coverage: bool) -> Iterator[_Job]:
    tests = [file for file in files if file.path.endswith(".rego")]
    if not tests:
        return
    if not regorus.available():
        names = [rule.dotted for file in tests for rule in scan(file.text).rules]
        if any(name.startswith(("test_", "todo_test_")) for name in names):
            raise ConfigurationError(
                "Rego tests need the native engine, which is not installed",
                hint="install a Rust compiler and reinstall openclaw-governance, or run them with `opa test`",
            )
        return
    whole = Bundle.of([*bundle.modules, *tests], cast("dict[str, JsonValue]", json.loads(bundle.data)))
    findings = list(unknown_calls(whole, regorus.has_function, "regorus"))
    ruleset = Ruleset(tuple(Source.of(module) for module in whole.modules))
    named = {module.path for module in tests}
    for source in ruleset.sources:
        if source.module.path in named:
            findings += [
                Diagnostic(source.module.shown, fault.line, fault.column, fault.message, fault.hint)
                for fault in source.file.faults
            ]
    if findings:
        raise PolicyError("the tests cannot be loaded", diagnostics=findings)
    for source in ruleset.sources:
        for rule in _rules(source) if source.module.path in named else ():
            if wanted.search(rule.path):
                yield lambda rule=rule: _run_rule(whole, ruleset, rule, coverage=coverage)


def _rules(source: Source) -> Iterator[_Rule]:
    heads: dict[str, dict[int, Definition]] = {}
    for rule in source.file.rules:
        name = rule.path[0]
        if name.startswith(("test_", "todo_test_")):
            # Several bodies after one head are one definition.
            heads.setdefault(name, {}).setdefault(rule.head.start, Definition(source, rule))
    for name, found in heads.items():
        definition = next(iter(found.values()))
        yield _Rule(
            name=name,
            path=f"data.{'.'.join((*source.package, name))}",
            definition=definition,
            times=len(found),
            partial=definition.rule.kind != "value" or len(definition.rule.path) > 1,
        )


def _run_rule(bundle: Bundle, ruleset: Ruleset, rule: _Rule, *, coverage: bool) -> tuple[Result, bytes]:
    from openclaw import _native as native

    def result(status: Status, message: str = "", values: Values = ()) -> Result:
        line = rule.definition.rule.head.line
        return Result(rule.path, rule.definition.source.module.shown, line, status, message, values)

    if rule.name.startswith("todo_"):
        return result("skip", "still to do"), b""
    if rule.times > 1:
        return result("error", f"`{rule.name}` is defined {rule.times} times: give each a name of its own"), b""
    if rule.partial:
        return result("error", "a test is one answer: write a rule without a key, such as `test_name if { … }`"), b""
    modules = [(module.path, module.text) for module in bundle.modules]
    deadline_us = round(TEST_DEADLINE_S * 1_000_000)
    report = b""
    try:
        policy = Program(modules, bundle.data, rule.path)
        if coverage:
            answer, report = policy.coverage(b"{}", deadline_us)
        else:
            answer = policy.evaluate(b"{}", deadline_us)
    except native.NativeError as error:
        where = f"{bundle.shown(error.file)}:{error.line}:{error.column}: " if error.line else ""
        return result("error", f"{where}{error}"), b""
    if answer == b"true":
        return result("pass"), report
    message, values = values_of_failing(bundle, ruleset, rule.definition)
    if not message:
        message = "its value is undefined" if answer is None else f"its value is {answer.decode()}"
    return result("fail", message, values), report


# -- cases ---------------------------------------------------------------------------------------------------------------


def _case_jobs(
    bundle: Bundle, files: list[Module], wanted: re.Pattern[str], opened: contextlib.ExitStack, *, coverage: bool
) -> list[_Job]:
    findings: list[Diagnostic] = []
    cases = [(file, *found) for file in files if file.path.endswith(CASES) for found in _cases(file, findings)]
    if findings:
        raise PolicyError("the cases cannot be read", diagnostics=findings)
    engines: dict[bytes, PolicyEngine] = {}
    jobs: list[_Job] = []
    for file, line, case in cases:
        name = f"{file.path}: {case.name}"
        if not wanted.search(name):
            continue
        data = _over(cast("dict[str, JsonValue]", json.loads(bundle.data)), case.data)
        key = canonical(data)
        if key not in engines:
            engines[key] = opened.enter_context(contextlib.closing(_engine(Bundle.of([*bundle.modules], data))))
        engine = engines[key]
        if coverage and not isinstance(engine, regorus.RegorusEngine):
            regorus.require("coverage needs")
        place = Result(name, file.shown, line, "pass")
        jobs.append(lambda place=place, case=case, engine=engine: _run_case(place, case, engine, coverage=coverage))
    return jobs


def _engine(bundle: Bundle) -> PolicyEngine:
    if regorus.available():
        return regorus.RegorusEngine(bundle, deadline_s=TEST_DEADLINE_S)
    if regopy.available():
        return regopy.RegopyEngine(bundle, deadline_s=TEST_DEADLINE_S)
    raise ConfigurationError("no policy engine is installed", hint="see `openclaw doctor`")


def _cases(file: Module, findings: list[Diagnostic]) -> Iterator[tuple[int, Case]]:
    def finding(message: str, line: int = 1, hint: str = "") -> None:
        findings.append(Diagnostic(file.shown, line, 1, message, hint))

    try:
        document = read_yaml(file.text)
        # pyyaml's stubs leave the loader of `compose` untyped.
        node: object = yaml.compose(file.text, Loader=JsonYaml)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except BadDocument as error:
        finding(str(error), error.line or 1)
        return
    except (yaml.YAMLError, RecursionError) as error:
        finding(str(error).splitlines()[0])
        return
    if not isinstance(document, list) or not isinstance(node, yaml.SequenceNode):
        finding("cases are a list", hint="write `- name: …`, with `input` and `expect` below it")
        return
    seen: set[str] = set()
    places = [cast("yaml.Node", item).start_mark.line + 1 for item in node.value]
    for line, item in zip(places, cast("list[object]", document), strict=True):
        try:
            case = Case.model_validate(item)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            finding(f"`{where}`: {first['msg']}" if where else first["msg"], line, "a case has name, input and expect")
            continue
        if case.name in seen:
            finding(f"two cases are named `{case.name}`", line, "rename one of them")
        seen.add(case.name)
        yield line, case


def _over(below: dict[str, JsonValue], above: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    merged = dict(below)
    for key, value in above.items():
        present = merged.get(key)
        merged[key] = _over(present, value) if isinstance(present, dict) and isinstance(value, dict) else value
    return merged


def _run_case(place: Result, case: Case, engine: PolicyEngine, *, coverage: bool) -> tuple[Result, bytes]:
    decision = engine.evaluate(case.input)
    status, message, values = _judge(decision, case.expect)
    report = b""
    if coverage and isinstance(engine, regorus.RegorusEngine):
        with contextlib.suppress(PolicyError):  # What cannot be decided covers nothing, and the result says so.
            report = engine.coverage(case.input)
    return Result(place.name, place.file, place.line, status, message, values), report


def _judge(decision: Decision, expect: Expected) -> tuple[Status, str, Values]:
    if decision.code not in _JUDGED:
        # Fails closed in service, and so would pass for the deny that a case may expect.
        return "error", f"it cannot be decided ({decision.code}): {'; '.join(decision.reasons)}", ()
    wrong: list[tuple[str, str]] = []
    if decision.effect is not expect.effect:
        wrong += [("expected effect", expect.effect.value), ("effect", decision.effect.value)]
    for name, wanted, came in (
        ("reasons", expect.reasons, decision.reasons),
        ("rules", expect.rules, decision.rules),
    ):
        if wanted is not None and sorted(wanted) != sorted(came):
            wrong += [(f"expected {name}", _listed(wanted)), (name, _listed(came))]
        elif wrong and came:
            wrong.append((name, _listed(came)))
    return ("fail", "the decision is another one", tuple(wrong)) if wrong else ("pass", "", ())


def _listed(texts: tuple[str, ...]) -> str:
    return json.dumps(sorted(texts), ensure_ascii=False)


# -- files and coverage --------------------------------------------------------------------------------------------------


def _test_files(contents: Contents) -> list[Module]:
    found: list[Module] = []
    findings: list[Diagnostic] = []
    for path in filter(is_test, contents.names()):
        if path in contents.unread:
            findings.append(Diagnostic(contents.shown(path), 0, 0, f"cannot be read: {contents.unread[path]}"))
            continue
        try:
            found.append(Module(path=path, shown=contents.shown(path), text=contents.files[path].decode()))
        except UnicodeDecodeError:
            findings.append(Diagnostic(contents.shown(path), 0, 0, "is not UTF-8", "save it as UTF-8"))
    if findings:
        raise PolicyError("the tests cannot be read", diagnostics=findings)
    return found
