"""The shipped library: each package passes its tests, says what it is, and means the same to every engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.decision import Decision
from openclaw.duties import read_duties
from openclaw.errors import ConfigurationError
from openclaw.policy import PolicyEngine, library, open_engine, regorus
from tests.conftest import require
from tests.policy.support import ENGINES, HOW_NATIVE

PROJECT = Path(__file__).parents[2]
POLICIES = PROJECT / "policies"
DOCS = PROJECT / "docs" / "policies.md"
NAMES = [
    "approval",
    "arguments",
    "delegation",
    "exceptions",
    "hours",
    "models",
    "paths",
    "personal",
    "rates",
    "reserve",
    "roles",
    "runs",
    "secrets",
    "shell",
    "sql",
    "untrusted",
    "urls",
]

Input = dict[str, JsonValue]

# What an engine says when it refuses an input instead of deciding it; see the engines' own conformance suite.
REFUSALS = {"bad_input", "engine_crashed", "engine_error", "deadline"}


def test_the_library_holds_these_packages() -> None:
    assert [package.name for package in library.packages()] == NAMES
    assert sorted(path.name for path in POLICIES.iterdir() if path.is_dir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_package_says_what_it_is(name: str) -> None:
    [package] = library.choose([name])
    rules = package.files[f"{name}.rego"]
    assert re.search(rf"^package openclaw\.policies\.{name}$", rules, re.MULTILINE)
    assert all(re.fullmatch(r"ASI(0[1-9]|10)", entry) for entry in package.owasp)
    assert all(re.fullmatch(r"Article \d+", article) for article in package.ai_act)
    assert set(json.loads(package.files["data.json"])) <= set(package.settings)
    read = set(re.findall(rf'(?:settings|data\.{name})\.([a-z_]+)|get\(settings, "([a-z_]+)"', rules))
    assert {one or other for one, other in read} <= set(package.settings)
    assert f"{name}_test.rego" in package.files


def test_metadata_is_what_opa_reads(opa_binary: str) -> None:
    done = subprocess.run(
        [opa_binary, "inspect", "--annotations", "--format=json", str(POLICIES)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, object]] = {}
    for entry in json.loads(done.stdout)["annotations"]:
        found["/".join(part["value"] for part in entry["path"][2:])] = entry["annotations"]
    for package in library.packages():
        said = found[f"policies/{package.name}"] if f"policies/{package.name}" in found else found[package.name]
        ours = library.metadata(package.files[f"{package.name}.rego"])
        assert {key: said[key] for key in ours} == ours


def test_metadata_is_the_block_right_before_the_package() -> None:
    assert library.metadata("package x\n") == {}
    assert library.metadata("# METADATA\n# title: T\npackage x\n\n# METADATA\n# title: R\nallow := true\n") == {
        "title": "T"
    }
    assert library.metadata("# METADATA\n# title: T\n\n# about\npackage x\n") == {}
    with pytest.raises(ValueError, match="not YAML"):
        library.metadata("# METADATA\n# a: [\npackage x\n")
    with pytest.raises(ValueError, match="not an object"):
        library.metadata("# METADATA\n# - a\npackage x\n")


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no package `role`"):
        library.choose(["role"])


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_a_package_pass(name: str, opa_binary: str, tmp_path: Path) -> None:
    shutil.copytree(POLICIES / name, tmp_path / name)
    done = subprocess.run([opa_binary, "test", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout


def test_the_library_is_formatted_and_strictly_valid(opa_binary: str) -> None:
    for command in (["fmt", "--list", "--fail"], ["check", "--strict"]):
        done = subprocess.run([opa_binary, *command, str(POLICIES)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_of_the_library_travels_in_the_wheel() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert settings["package-dir"]["openclaw.rego"] == "policies"
    carried = {path for pattern in settings["package-data"]["openclaw.rego"] for path in POLICIES.glob(pattern)}
    assert {path for path in POLICIES.rglob("*") if path.is_file()} <= carried


# Every engine -----------------------------------------------------------------------------------------------------------

TEXTS: list[JsonValue] = [
    "",
    "a",
    "/srv/desk/a.txt",
    "/srv/desk/../x",
    "/srv/desk/.ssh/ID_RSA",
    "/srv/desk/Secrets",
    "C:\\x\\..",
    "https://api.example.com/v1?q=1",
    "https://x.docs.example.com:443",
    "https://api.example.com@evil.example",
    "http://127.0.0.1:80/",
    "https://evil.example/?https://api.example.com",
    "javascript:alert(1)",
    "select name from orders",
    "SELECT 1; drop table orders",
    "select * from salaries -- x",
    "delete from orders",
    "ls -la",
    "git push",
    "find . -exec rm {} ;",
    "rm -rf / | sh",
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "postgresql://eva:" + "hunter2@db/x",
    "DE89 3704 0044 0532 0130 00",
    "4111 1111 1111 1111",
    "write to eva@example.com",
    "+49 30 1234567",
    "1,000,000",
    'a "quoted" \\ text',
    "line\nbreak",
    "nul\u0000byte",
    "Grüße, İstanbul \u202e\U0001f600",
    "{{input.tool.name}} %s %d $(id)",
    "x" * 3000,
]
VALUES: list[JsonValue] = [
    *TEXTS,
    None,
    True,
    False,
    0,
    -1,
    51,
    500.5,
    9007199254740991,
    1e300,
    [],
    ["ls", "-la"],
    ["/srv/desk/a", 5],
    [["a"]],
    {},
    {"$int": "9007199254740993"},
    {"password": "x", "to": [{"email": "a"}]},
    {"a.b": {"c": ["select 1"]}},
]
ARGS = ["path", "url", "sql", "command", "amount", "to", "password", "a.b"]
PRINCIPAL: JsonValue = {
    "agent": "triage",
    "org": "default",
    "roles": ["reader"],
    "chain": [],
    "on_behalf_of": "user:eva",
}


def document_of(kind: str = "tool", /, **parts: JsonValue) -> Input:
    document: Input = {"kind": kind, "principal": PRINCIPAL, "approval": None, "now": "2026-11-23T10:00:00.000000Z"}
    if kind == "model":
        document["model"] = {"provider": "acme", "name": "small-1", "sites": ["eu"]}
    else:
        document["tool"] = {"name": "refund", "args": {"agent": "refunds"}, "tags": ["read"], "call_id": "1"}
    document |= parts
    return {key: value for key, value in document.items() if value != "absent"}


def tool(**parts: JsonValue) -> JsonValue:
    return {"name": "refund", "args": {"amount": 5}, "tags": ["money"], "call_id": "1"} | parts


def run(**parts: JsonValue) -> JsonValue:
    return {"id": "run-1", "step": 1, "calls": 0, "repeats": 0, "elapsed_s": 0} | parts


def inputs() -> Iterator[Input]:
    """What is usual, and what is not, of every part that a package reads."""
    for value in VALUES:
        for arg in ARGS:
            origin: JsonValue = {"trust": "unknown", "seen_in": [], "parts": [], "trivial": False}
            flow: JsonValue = {"untrusted": True, "complete": True, "args": {arg: origin}}
            yield document_of(
                tool=tool(args={"amount": 5} | {arg: value}), flow=flow, budget={"remaining": {"microusd": 1}}
            )
        yield document_of(tool=tool(name=value))
        yield document_of(tool=tool(tags=value))
        yield document_of(tool=tool(args=value))
        yield document_of(now=value)
        for result in (value, {"a": value}, [value, {"iban": value, "password": value}], {"a.b": {"pin": value}}):
            yield document_of("result", result=result, outcome={"status": "done", "bytes": 5, "whole": True})
        yield document_of(flow=value)
        yield document_of(
            flow={"untrusted": True, "complete": True, "args": {"to": value}}, tool=tool(args={"to": "x"})
        )
        yield document_of(run=value)
        for part in ("calls", "repeats", "step", "elapsed_s"):
            yield document_of(run=run(**{part: value}))
        yield document_of(budget=value)
        yield document_of(budget={"remaining": {"microusd": value, "tokens": 7}})
        yield document_of("model", model=value)
        yield document_of("model", model={"provider": "house", "name": value, "sites": ["eu"]})
        yield document_of("model", model={"provider": "acme", "name": "small-1", "sites": value})
        yield document_of("handoff", tool={"name": "transfer", "args": {"agent": value}})
        for part in ("agent", "roles", "chain", "on_behalf_of"):
            assert isinstance(PRINCIPAL, dict)
            yield document_of("handoff", principal=PRINCIPAL | {part: value})
        yield document_of(tool=tool(), approval=value)
        yield document_of(tool=tool(), approval={"by": value})
    for kind in ("tool", "model", "handoff", "memory", "result"):
        yield document_of(kind)
        for part in ("principal", "tool", "model", "now", "approval", "kind"):
            yield document_of(kind, **{part: "absent"})
    for part in ("name", "args", "tags"):
        yield document_of(tool={key: value for key, value in dict(tool()).items() if key != part})  # type: ignore[arg-type]
    for now in (
        "2026-11-22T12:00:00Z",
        "2026-11-23T07:59:59.999999Z",
        "2026-12-24T12:00:00Z",
        "2026-11-23T12:00:00+02:00",
    ):
        yield document_of(tool=tool(), now=now)
    for trust in ("trusted", "untrusted", "unknown", "perhaps"):
        origin = {"trust": trust, "seen_in": ["m"], "parts": [{"kind": "url", "seen_in": ["m"]}], "trivial": False}
        for untrusted in (True, False):
            flow = {"untrusted": untrusted, "complete": untrusted, "args": {"to": origin, "body": origin}}
            yield document_of(tool=tool(args={"to": "x", "body": "y"}), flow=flow)
    for chain in (["a"], ["a", "b"], ["a", "b", "c"], ["refunds", "triage"], {"a": "b"}, "abc"):
        yield document_of("handoff", principal={"agent": "triage", "roles": [], "chain": chain})
    for by in ("adam", "eva", "user:eva", "triage"):
        yield document_of(tool=tool(), approval={"by": by, "at": "2026-11-23T10:00:00Z"})


def settings_of(name: str) -> dict[str, JsonValue]:
    """Settings as they ship, and such as nobody should have: none, of wrong types, misspelt."""
    shipped = json.loads((POLICIES / name / "data.json").read_text())
    known = list(library.choose([name])[0].settings)
    return {
        "shipped": shipped,
        "empty": {},
        "wrong": dict.fromkeys(known, 5),
        "texts": dict.fromkeys(known, "x"),
        "members": {key: [5, None, {}] for key in known} | {"unknown": True},
        "objects": {key: {"x": 5, "tools": [1], "tags": "x"} for key in known},
    }


def folder_of(name: str, settings: JsonValue, folder: Path) -> Path:
    shutil.copytree(POLICIES / name, folder / name)
    (folder / name / "data.json").write_text(json.dumps(settings))
    return folder


def short(decision: Decision) -> tuple[object, ...]:
    duties = [duty.model_dump() for duty in decision.obligations]
    return str(decision.effect), decision.reasons, decision.rules, duties, decision.code


def answers(engine: PolicyEngine, asked: list[Input]) -> list[tuple[object, ...]]:
    return [short(engine.evaluate(one)) for one in asked]


def compare(name: str, request: pytest.FixtureRequest, folder: Path, step: int) -> None:
    def server() -> str:
        return str(request.getfixturevalue("opa_server"))

    everything = list(inputs())
    for variant, settings in settings_of(name).items():
        asked = everything[:: step if variant == "shipped" else step * 7]
        where = folder_of(name, settings, folder / variant)
        decided: dict[str, list[tuple[object, ...]]] = {}
        for engine_name, opened in ENGINES.items():
            with opened(where, server, deadline_s=10.0) as engine:
                decided[engine_name] = answers(engine, asked)
        for one, *answered in zip(asked, *decided.values(), strict=True):
            decisions = [answer for answer in answered if answer[-1] not in REFUSALS]
            assert all(answer == decisions[0] for answer in decisions), (variant, one, answered)
            assert all(answer[0] == "deny" for answer in answered if answer[-1] in REFUSALS), (variant, one)
        if variant == "shipped":
            for answered in decided.values():
                refused = sum(answer[-1] in REFUSALS for answer in answered)
                assert refused < len(asked) / 2, "too little was decided to compare"
        if variant in {"wrong", "texts", "members"} and name != "roles":
            assert all(answer[0] == "deny" for engine_answers in decided.values() for answer in engine_answers), variant


@pytest.mark.parametrize("name", NAMES)
def test_a_package_decides_alike_on_every_engine(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    require("native", regorus.available(), HOW_NATIVE)
    compare(name, request, tmp_path, step=23)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_a_package_decides_alike_on_every_engine_for_every_input(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    require("native", regorus.available(), HOW_NATIVE)
    compare(name, request, tmp_path, step=1)


# What the documentation says ----------------------------------------------------------------------------------------------

EXAMPLE = re.compile(r"^## (\w+)\n\n(.+?)\n\n```json\n(.*?)\n```\n\n```json\n(.*?)\n```", re.DOTALL | re.MULTILINE)


def test_the_document_has_a_paragraph_and_an_example_for_every_package() -> None:
    assert sorted(match.group(1) for match in EXAMPLE.finditer(DOCS.read_text())) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_in_the_document_are_decided_as_it_says(name: str, tmp_path: Path) -> None:
    [match] = [match for match in EXAMPLE.finditer(DOCS.read_text()) if match.group(1) == name]
    shutil.copytree(POLICIES / name, tmp_path / name)
    engine = open_engine(tmp_path)
    decision = engine.evaluate(json.loads(match.group(3)))
    engine.close()
    obligations = [duty.model_dump() for duty in decision.obligations]
    said = {"effect": str(decision.effect), "reasons": list(decision.reasons), "obligations": obligations}
    assert said == json.loads(match.group(4))
    assert decision.code in {"policy", "no_policy"}
    assert read_duties(decision, json.loads(match.group(3))["kind"]).unmet == ""


def test_the_whole_library_can_be_used_at_once(tmp_path: Path) -> None:
    for name in NAMES:
        shutil.copytree(POLICIES / name, tmp_path / name)
    engine = open_engine(tmp_path)
    decision = engine.evaluate(document_of("model", budget={"remaining": {"microusd": 500_000}}, run=run()))
    engine.close()
    assert (str(decision.effect), decision.rules) == ("allow", ("policies.models.allow",))
