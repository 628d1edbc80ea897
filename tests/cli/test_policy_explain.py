"""``openclaw policy explain``: what is shown, and bad inputs."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from openclaw.policy import regorus
from tests.cli.conftest import Command
from tests.conftest import require
from tests.policy.support import HOW_NATIVE, policy, write_folder

RULES = policy("""allow if input.kind == "tool"

deny contains sprintf("%v is too much", [input.tool.args.amount]) if {
	amount
	input.tool.args.amount > data.payments.limit
}

deny contains "never" if input.tool.name == "other"

amount if is_number(input.tool.args.amount)""")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    require("native", regorus.available(), HOW_NATIVE)
    folder = tmp_path / "policies"
    write_folder(folder, {"main": RULES, "data.json": '{"payments": {"limit": 100}}'})
    (tmp_path / "pay.json").write_text(json.dumps({"kind": "tool", "tool": {"name": "pay", "args": {"amount": 250}}}))
    return folder


def test_the_rule_that_decided_is_shown_with_its_values(folder: Path, openclaw: Command) -> None:
    said = openclaw("policy", "explain", str(folder), str(folder.parent / "pay.json"))
    assert said.code == 0, said.err
    assert "effect  deny\nreason  250 is too much\n" in said.out
    assert f"✓ {folder / 'main.rego'}:5:1  openclaw.policies.main.deny" in said.out
    assert "  ✓ 7  input.tool.args.amount > data.payments.limit\n      input.tool.args.amount = 250\n" in said.out
    assert "      data.payments.limit = 100\n" in said.out
    assert "is_number(input.tool.args.amount)" in said.out
    assert "never" not in said.out
    assert (
        "is_number"
        not in openclaw("policy", "explain", str(folder), str(folder.parent / "pay.json"), "--depth", "0").out
    )


def test_with_all_the_others_are_shown_with_the_statement_that_does_not_hold(folder: Path, openclaw: Command) -> None:
    said = openclaw("policy", "explain", str(folder), str(folder.parent / "pay.json"), "--all", "--deep")
    assert '✗ 10  input.tool.name == "other"\n      input.tool.name = "pay"' in said.out


def test_json_has_all_of_it(folder: Path, openclaw: Command) -> None:
    found = openclaw("policy", "explain", str(folder), str(folder.parent / "pay.json"), "--json", "--all").json
    assert found["decision"]["reasons"] == ["250 is too much"]
    (rule,) = found["rules"]
    assert (rule["rule"], rule["line"], rule["holds"]) == ("data.openclaw.policies.main.deny", 5, True)
    assert rule["ways"][0]["value"] == ["250 is too much"]
    assert rule["ways"][0]["steps"][1]["values"] == {"input.tool.args.amount": [250], "data.payments.limit": [100]}
    assert rule["ways"][0]["steps"][0]["because"][0]["text"] == "amount if is_number(input.tool.args.amount)"
    assert [it["line"] for it in found["others"]] == [3, 10]


def test_the_input_may_come_on_stdin(folder: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"kind": "model"}'))
    said = openclaw("policy", "explain", str(folder))
    assert "no policy allows this" in said.out
    assert 'input.kind = "model"' in said.out


@pytest.mark.parametrize("command", ["explain", "eval"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not a JSON object but list"),
        ('{"x": NaN}', "`NaN` is no JSON number"),
        ("[" * 100_000, "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_an_input_that_cannot_be_read_is_wrong_usage(
    folder: Path, openclaw: Command, command: str, text: str, message: str
) -> None:
    (folder.parent / "bad.json").write_text(text)
    said = openclaw("policy", command, str(folder), str(folder.parent / "bad.json"))
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    (folder.parent / "bad.json").write_bytes(b"\xff")
    assert openclaw("policy", command, str(folder), str(folder.parent / "bad.json")).code == 2
    assert openclaw("policy", command, str(folder), str(folder.parent / "nowhere.json")).code == 2


def test_without_the_native_engine_it_says_how_to_get_it(
    folder: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regorus, "available", lambda: False)
    said = openclaw("policy", "explain", str(folder), str(folder.parent / "pay.json"))
    assert (said.code, said.out) == (2, "")
    assert "install a Rust compiler" in said.err
