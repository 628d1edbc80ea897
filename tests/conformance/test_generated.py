"""Policies that nobody wrote: what OPA decides, the embedded engines decide too, or refuse."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from openclaw.errors import PolicyError
from tests.conftest import require
from tests.policy.support import ENGINES, HOW_NATIVE, write_folder
from tests.support.generated import HELPERS, INPUTS, Policies

REFUSALS = {"bad_input", "engine_crashed", "engine_error", "deadline"}


def accepted(opa: str, folder: Path, seed: int, count: int) -> dict[str, str]:
    """Rules that OPA compiles, by the name of their package."""
    policies = Policies(seed)
    rules = {f"g{at}": policies.rule() for at in range(count)}
    for name, rule in rules.items():
        (folder / f"{name}.rego").write_text(f"package {name}\n{HELPERS}\n{rule}\n")
    done = subprocess.run(
        [opa, "check", "--max-errors", "-1", "--format", "json", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    for error in json.loads(done.stderr or "{}").get("errors", []):
        path = Path(error["location"]["file"])
        path.unlink(missing_ok=True)
        rules.pop(path.stem, None)
    return rules


def decided_by_opa(opa: str, folder: Path, document: dict[str, object]) -> dict[str, list[str]]:
    """What each ``r`` is, as sorted JSON texts."""
    done = subprocess.run(
        [opa, "eval", "--format", "json", "--data", str(folder), "--stdin-input", "data"],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(done.stdout)
    if "errors" in said:  # One rule fails as a whole; the others are asked again without it.
        (folder / Path(said["errors"][0]["location"]["file"]).name).unlink()
        return decided_by_opa(opa, folder, document)
    [answer] = said["result"]
    return {name: ordered(package["r"]) for name, package in answer["expressions"][0]["value"].items()}


def ordered(members: list[object]) -> list[str]:
    return sorted(json.dumps(unordered(member), sort_keys=True) for member in members)


def unordered(value: object) -> object:
    """The value with its arrays sorted: in rego-cpp a set has no order of its own, and an array made of it any."""
    if isinstance(value, dict):
        return {key: unordered(member) for key, member in value.items()}
    return sorted(map(unordered, value), key=json.dumps) if isinstance(value, list) else value


def compare(engine_name: str, opa: str, tmp_path: Path, seed: int, count: int) -> None:
    folder = tmp_path / "opa"
    folder.mkdir()
    rules = accepted(opa, folder, seed, count)
    expected = [decided_by_opa(opa, folder, document) for document in INPUTS]
    compared = 0
    for name, rule in rules.items():
        oblige = (
            'allow if true\n\noblige contains {"kind": "audit", "level": "full", "member": member} if some member in r'
        )
        text = f"package openclaw.policies.{name}\n{HELPERS}\n{rule}\n\n{oblige}\n"
        try:
            with ENGINES[engine_name](write_folder(tmp_path / name, {name: text}), str, deadline_s=10.0) as engine:
                answers = [engine.evaluate(document) for document in INPUTS]  # type: ignore[arg-type]
        except PolicyError:
            continue  # refused when it is loaded
        for document, answer, wanted in zip(INPUTS, answers, expected, strict=True):
            if answer.code not in REFUSALS and name in wanted:
                assert ordered([duty.params["member"] for duty in answer.obligations]) == wanted[name], (rule, document)
                compared += 1
    assert compared > 2 * len(rules), "too little was decided to compare"


@pytest.mark.parametrize("engine", ["regorus", "regopy"])
def test_a_few_generated_policies_decide_as_opa_decides(engine: str, opa_binary: str, tmp_path: Path) -> None:
    if engine == "regorus":
        require("native", _native(), HOW_NATIVE)
    compare(engine, opa_binary, tmp_path, seed=1, count=30)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["regorus", "regopy"])
def test_many_generated_policies_decide_as_opa_decides(engine: str, opa_binary: str, tmp_path: Path) -> None:
    if engine == "regorus":
        require("native", _native(), HOW_NATIVE)
    compare(engine, opa_binary, tmp_path, seed=2, count=400 if engine == "regorus" else 120)


def _native() -> bool:
    from openclaw.policy import regorus

    return regorus.available()
