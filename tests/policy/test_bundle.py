"""Reading a policy folder: what is taken, what is refused, and where a finding points."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from openclaw.errors import PolicyError
from openclaw.policy.bundle import DECISION_FILE, Bundle, combining_rules
from tests.policy.support import ALLOW_ALL, policy, write_folder


def refused(folder: Path, **files: str | bytes) -> PolicyError:
    write_folder(folder, {name.replace("__", "."): content for name, content in files.items()})
    with pytest.raises(PolicyError) as caught:
        Bundle.read(folder)
    return caught.value


def test_policies_data_and_the_combining_rules_are_read(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        {
            "main": ALLOW_ALL,
            "main_test.rego": "package main_test",
            "lib/money.rego": "package lib.money\n\nlimit := 5\n",
            "data.json": '{"top": 1}',
            "limits/data.json": '{"eu": {"max": 5}}',
            "limits/us/data.yaml": "max: 7\nday: 2026-11-23\n",
            "notes.txt": "not a policy",
            "other.json": "not read {",
            ".hidden/x.rego": "nor is this",
        },
    )
    bundle = Bundle.read(folder)
    assert [module.path for module in bundle.modules] == ["lib/money.rego", "main.rego", DECISION_FILE]
    assert json.loads(bundle.data) == {"top": 1, "limits": {"eu": {"max": 5}, "us": {"max": 7, "day": "2026-11-23"}}}
    assert bundle.revision.startswith("sha256:")


def test_the_revision_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    one = Bundle.read(write_folder(tmp_path / "one", {"main": ALLOW_ALL, "data.json": '{"a": 1, "b": 2}'}))
    two = Bundle.read(write_folder(tmp_path / "two", {"main": ALLOW_ALL, "data.json": '{"b":2,"a":1}'}))
    data = Bundle.read(write_folder(tmp_path / "data", {"main": ALLOW_ALL, "data.json": '{"a": 1, "b": 3}'}))
    text = Bundle.read(write_folder(tmp_path / "text", {"main": ALLOW_ALL + "# more", "data.json": '{"a": 1, "b": 2}'}))
    name = Bundle.read(write_folder(tmp_path / "name", {"other": ALLOW_ALL, "data.json": '{"a": 1, "b": 2}'}))
    assert one.revision == two.revision
    assert len({one.revision, data.revision, text.revision, name.revision}) == 4


def test_the_combining_rules_stay_those_of_the_code_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may be written anew meanwhile: by an upgrade of the package, or a checkout of its source while tests run."""
    before = combining_rules()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "")
    assert combining_rules() == before
    assert "package openclaw" in before.text


def test_a_folder_may_hold_the_shipped_combining_rules_as_they_are(tmp_path: Path) -> None:
    shipped = combining_rules()
    bundle = Bundle.read(write_folder(tmp_path, {"main": ALLOW_ALL, "decision.rego": shipped.text}))
    assert [module.path for module in bundle.modules] == ["main.rego", DECISION_FILE]
    changed = refused(tmp_path, decision__rego=shipped.text + "\n# changed\n")
    assert "package `openclaw` is reserved" in str(changed)


def test_a_linked_folder_version_is_read_once(tmp_path: Path) -> None:
    """A mounted ConfigMap: `..data` links to a dotted folder, and the files link through it."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "main.rego").write_text(ALLOW_ALL)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "main.rego").symlink_to("..data/main.rego")
    assert [module.path for module in Bundle.read(tmp_path).modules] == ["main.rego", DECISION_FILE]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="nowhere` does not exist; give the folder"):
        Bundle.read(tmp_path / "nowhere")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "main.rego"
    path.write_text(ALLOW_ALL)
    with pytest.raises(PolicyError, match="is not a folder"):
        Bundle.read(path)


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, main_test__rego="package t", data__json="{}")
    assert "holds no .rego file" in str(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, {"main": ALLOW_ALL})
    (tmp_path / "main.rego").chmod(0)
    with pytest.raises(PolicyError, match=r"main.rego: cannot be read: Permission denied"):
        Bundle.read(tmp_path)


def test_a_dangling_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "main.rego").symlink_to("gone.rego")
    with pytest.raises(PolicyError, match=r"main.rego: cannot be read: No such file"):
        Bundle.read(tmp_path)


def test_a_file_that_is_not_utf8_is_pointed_into(tmp_path: Path) -> None:
    error = refused(tmp_path, main=b"package openclaw.policies.main\n# caf\xe9\n")
    (finding,) = error.diagnostics
    assert (finding.file, finding.line, finding.column) == (str(tmp_path / "main.rego"), 2, 6)
    assert "byte 0xe9 is not UTF-8" in finding.message


def test_a_nul_byte_is_refused_since_a_c_library_would_end_there(tmp_path: Path) -> None:
    error = refused(tmp_path, main=ALLOW_ALL.encode() + b'\0\ndeny contains "no" if true\n')
    assert (error.diagnostics[0].line, error.diagnostics[0].message) == (4, "holds a NUL byte")


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("openclaw", "package `openclaw` is reserved"),
        ("openclaw.decision", "package `openclaw.decision` is reserved"),
        ("openclaw.helpers", "package `openclaw.helpers` is reserved"),
        ("openclaw.policies", "package `openclaw.policies` has no name of its own"),
        ("openclaw.policies.eu.payments", "write `package openclaw.policies.eu_payments`"),
    ],
)
def test_a_package_whose_rules_would_not_be_asked_is_refused(tmp_path: Path, package: str, message: str) -> None:
    error = refused(tmp_path, main=f'# a comment\npackage {package}\n\ndeny contains "no" if true\n')
    (finding,) = error.diagnostics
    assert message in str(finding)
    assert (finding.line, finding.column) == (2, 9)


def test_a_deny_that_is_a_function_is_refused_since_nothing_calls_it(tmp_path: Path) -> None:
    error = refused(tmp_path, main=policy('deny(tool) := "no" if tool == "rm"'))
    assert "`deny` is a function here, which nothing calls" in str(error)
    assert error.diagnostics[0].line == 3


def test_rules_and_data_at_one_path_are_refused(tmp_path: Path) -> None:
    error = refused(
        tmp_path, main=ALLOW_ALL, lib__rego="package lib\n\nlimit := 5\n", data__json='{"lib": {"limit": 7}}'
    )
    assert "rule `data.lib.limit` and a data file define the same value" in str(error)


def test_data_cannot_stand_in_for_a_policy(tmp_path: Path) -> None:
    error = refused(tmp_path, main=ALLOW_ALL, data__json='{"openclaw": {"policies": {"x": {"allow": true}}}}')
    assert "data at `data.openclaw` is reserved" in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "b": }', "data.json:2:7: expecting value"),
        ("[1]", "data must be an object"),
        ('{"a": 9007199254740993}', "outside JSON's safe domain"),
        ('{"a": 1e400}', "outside JSON's safe domain"),
        ('{"a": NaN}', "`NaN` is not JSON"),
        ('{"a": 1, "a": 2}', "names the same key twice"),
    ],
)
def test_data_that_engines_would_read_differently_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in str(refused(tmp_path, main=ALLOW_ALL, data__json=text))


def test_wrong_yaml_is_pointed_into(tmp_path: Path) -> None:
    error = refused(tmp_path, main=ALLOW_ALL, data__yaml="a: 1\nb: [1\n")
    assert error.diagnostics[0].line == 3


def test_two_data_files_for_one_value_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"main": ALLOW_ALL, "data.json": '{"limits": {"max": 1}}', "limits/data.json": '{"max": 2}'})
    with pytest.raises(PolicyError, match="`max` is defined by another data file too"):
        Bundle.read(tmp_path)
