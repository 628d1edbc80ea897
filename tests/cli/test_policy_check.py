"""``openclaw policy check``: exit codes, and what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw.policy import regopy, regorus
from tests.cli.conftest import Command
from tests.policy.support import policy, write_folder

WRONG = policy('allow if input.tol.name == "x"')
LOOSE = policy('deny contains "no" if not startswith(input.tool.args.path, "/srv/")')


def test_an_error_is_exit_code_1_with_place_and_way_out(tmp_path: Path, openclaw: Command) -> None:
    write_folder(tmp_path, {"main": WRONG})
    said = openclaw("policy", "check", str(tmp_path))
    assert said.code == 1
    assert f"{tmp_path / 'main.rego'}:3:10: error: there is no `input.tol.name`" in said.out
    assert "→ did you mean `input.tool.name`?" in said.out
    assert f"1 error and 0 warnings in {tmp_path}" in said.err


def test_json_has_every_finding_with_its_kind(tmp_path: Path, openclaw: Command) -> None:
    write_folder(tmp_path, {"main": WRONG, "broken": "package x\n\nallow if {\n"})
    said = openclaw("policy", "check", str(tmp_path), "--json")
    assert said.code == 1
    assert {key: said.json[key] for key in ("ok", "errors", "warnings")} == {"ok": False, "errors": 2, "warnings": 0}
    assert [it["code"] for it in said.json["diagnostics"]] == ["syntax", "unknown-input"]
    assert said.json["diagnostics"][1] == {
        "file": str(tmp_path / "main.rego"),
        "line": 3,
        "column": 10,
        "severity": "error",
        "code": "unknown-input",
        "message": "there is no `input.tol.name`: `input` has no part `tol`",
        "hint": "did you mean `input.tool.name`?",
    }


def test_a_warning_counts_with_strict_only(tmp_path: Path, openclaw: Command) -> None:
    write_folder(tmp_path, {"main": LOOSE})
    said = openclaw("policy", "check", str(tmp_path))
    assert said.code == 0
    assert "warning: where `input.tool.args.path` is absent" in said.out
    assert "policies  ok" in said.out
    assert openclaw("policy", "check", str(tmp_path), "--strict").code == 1
    assert openclaw("policy", "check", str(tmp_path), "--strict", "--json").json["ok"] is False


def test_without_an_engine_the_files_are_looked_at_all_the_same(
    tmp_path: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (regopy, regorus):
        monkeypatch.setattr(module, "available", lambda: False)
    write_folder(tmp_path, {"main": WRONG})
    assert openclaw("policy", "check", str(tmp_path)).code == 1
    write_folder(tmp_path, {"main": policy("allow if input.tool")})
    said = openclaw("policy", "check", str(tmp_path))
    assert said.code == 0
    assert "none: no policy engine is installed" in said.out


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path, openclaw: Command) -> None:
    said = openclaw("policy", "check", str(tmp_path / "nowhere"))
    assert (said.code, said.out) == (2, "")
    assert "does not exist" in said.err
    assert openclaw("policy", "check", str(tmp_path)).code == 2


def test_control_characters_of_a_policy_do_not_reach_the_terminal(tmp_path: Path, openclaw: Command) -> None:
    write_folder(tmp_path, {"main": policy('allow if input.kind == "\x1b[31m"')})
    said = openclaw("policy", "check", str(tmp_path))
    assert said.code == 1
    assert "\x1b" not in said.out
