"""``openclaw policy list`` and ``openclaw policy init``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from openclaw.policy import library
from tests.cli.conftest import Command
from tests.policy.support import ENGINES


def test_list_shows_every_package(openclaw: Command) -> None:
    said = openclaw("policy", "list")
    lines = said.out.splitlines()
    assert said.code == 0
    assert [line.split()[0] for line in lines] == ["NAME", *(package.name for package in library.packages())]
    assert "shell       Shell              ASI02, ASI05  14, 15  tools, commands, options" in lines


def test_list_as_json_says_all_of_it(openclaw: Command) -> None:
    found = openclaw("policy", "list", "--json").json
    assert isinstance(found, list)
    [paths] = [package for package in found if package["name"] == "paths"]
    assert paths["title"] == "Paths"
    assert paths["owasp"] == ["ASI02"]
    assert paths["ai_act"] == ["Article 15"]
    assert set(paths["settings"]) == {"tools", "roots", "forbidden", "hidden"}
    assert "stay below the folders that are named" in paths["description"]


def test_the_starter_passes_check_and_its_tests(tmp_path: Path, openclaw: Command, opa_binary: str) -> None:
    said = openclaw("policy", "init", str(tmp_path / "new" / "policies"))
    folder = tmp_path / "new" / "policies"
    assert said.code == 0, said.err
    assert f"next: openclaw policy check {folder}" in said.err
    assert openclaw("policy", "check", str(folder)).code == 0
    assert openclaw("policy", "test", str(folder)).code == 0
    for command in (["test"], ["fmt", "--list", "--fail"], ["check", "--strict"]):
        done = subprocess.run([opa_binary, *command, str(folder)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ENGINES)
def test_the_starter_decides_alike_on_every_engine(
    tmp_path: Path, openclaw: Command, name: str, request: pytest.FixtureRequest
) -> None:
    openclaw("policy", "init", str(tmp_path))
    effects: list[str] = []
    with ENGINES[name](tmp_path, lambda: str(request.getfixturevalue("opa_server")), deadline_s=10.0) as engine:
        for amount in (50, 51, 501, "1,000,000", None):
            call = {"kind": "tool", "tool": {"name": "refund", "args": {"amount": amount}}}
            effects.append(str(engine.evaluate(call).effect))
    assert effects == ["allow", "ask", "deny", "deny", "deny"]


def test_packages_are_copied_with_their_tests_and_settings(tmp_path: Path, openclaw: Command, opa_binary: str) -> None:
    folder = tmp_path / "policies"
    said = openclaw("policy", "init", "--with", "roles, paths,roles", str(folder), "--json")
    assert said.code == 0, said.err
    files = [
        f"{name}/{file}" for name in ("paths", "roles") for file in ("data.json", f"{name}.rego", f"{name}_test.rego")
    ]
    assert said.json == {"folder": str(folder), "files": files}
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == files
    assert openclaw("policy", "check", str(folder)).code == 0
    assert openclaw("policy", "test", str(folder)).code == 0
    done = subprocess.run([opa_binary, "test", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path, openclaw: Command) -> None:
    (tmp_path / "mine.rego").write_text("package mine\n")
    said = openclaw("policy", "init", str(tmp_path))
    assert (said.code, said.out) == (2, "")
    assert "is there and not an empty folder" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.rego"]
    assert openclaw("policy", "init", str(tmp_path / "mine.rego")).code == 2


def test_a_package_that_does_not_exist_writes_nothing(tmp_path: Path, openclaw: Command) -> None:
    said = openclaw("policy", "init", "--with", "role", str(tmp_path / "new"))
    assert said.code == 2
    assert "the library has no package `role`" in said.err
    assert "roles" in said.err
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, text: str, encoding: str) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        said = openclaw("policy", "init", str(tmp_path))
    assert said.code == 2
    assert "cannot be written: No space left on device" in said.err
