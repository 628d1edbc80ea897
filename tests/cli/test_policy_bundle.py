"""``openclaw policy bundle``: what is built, what is not, and what is said of a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw.policy.bundle import Bundle
from openclaw.policy.source import read_policies
from openclaw.policy.spec import BundleFile, Key
from tests.cli.conftest import Command
from tests.policy.bundles import Pair, archive, make_pairs
from tests.policy.support import policy, write_folder

RULES = policy('allow if input.tool.name in data.main.tools\n\ndeny contains "no" if input.tool.args.amount > 5')
FILES = {"main.rego": RULES, "main/data.json": '{"tools": ["pay"]}'}
CASE = "- name: it is so\n  input: {tool: {name: pay, args: {}}}\n  expect: {effect: %s}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_folder(tmp_path / "policies", {**FILES, "main_cases.yaml": CASE % "allow"})


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    return make_pairs(tmp_path_factory.mktemp("keys"))


def test_a_folder_becomes_a_bundle_of_the_same_revision(folder: Path, openclaw: Command) -> None:
    said = openclaw("policy", "bundle", "policies", "--json")
    assert said.code == 0, said.err
    assert said.json["ok"] is True
    assert (said.json["revision"], said.json["named"]) == (Bundle.read(folder).revision,) * 2
    assert (said.json["tests"], said.json["signature"], said.json["roots"]) == (1, None, ["main", "openclaw"])
    content = Path("bundle.tar.gz").read_bytes()
    assert said.json["bytes"] == len(content)
    assert openclaw("policy", "bundle", "policies").code == 0
    assert Path("bundle.tar.gz").read_bytes() == content
    assert [path.name for path in Path().iterdir() if path.is_file()] == ["bundle.tar.gz"]
    looked = openclaw("policy", "bundle", "bundle.tar.gz", "--json")
    assert (looked.code, looked.json["signature"], looked.json["revision"]) == (0, "none", said.json["revision"])
    assert [file["path"] for file in looked.json["files"]] == [
        "data.json",
        "main.rego",
        "main_cases.yaml",
        "openclaw/decision.rego",
    ]


def test_a_signature_is_verified_only_with_its_key_and_scope(
    folder: Path, openclaw: Command, pairs: dict[str, Pair]
) -> None:
    key, public = str(pairs["ES256"].private), str(pairs["ES256"].public)
    signing = ("--algorithm", "ES256", "--key-id", "k1", "--scope", "write")
    assert openclaw("policy", "bundle", "policies", "-o", "s.tar.gz", "--key", key, *signing).code == 0
    contents = read_policies(BundleFile("s.tar.gz", key=Key(public, "ES256", scope="write")))
    assert contents.signed == "ES256"
    looked = openclaw("policy", "bundle", "s.tar.gz", "--key", public, *signing)
    assert (looked.code, "holds (ES256 k1)" in looked.out) == (0, True)
    assert "not verified: give --key" in openclaw("policy", "bundle", "s.tar.gz").out
    for wrong in (("--algorithm", "ES256"), ("--algorithm", "RS256"), (*signing[:2], "--key-id", "k2", *signing[4:])):
        said = openclaw("policy", "bundle", "s.tar.gz", "--key", public, *wrong)
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith("error: the signature of bundle `s.tar.gz` does not hold: ")
    openclaw("policy", "bundle", "policies", "-o", "u.tar.gz")
    assert openclaw("policy", "bundle", "u.tar.gz", "--key", public, "--algorithm", "ES256").code == 1
    secret = Path("secret")
    secret.write_text("a shared secret")
    sharing = ("--key", "secret", "--algorithm", "HS512")
    assert openclaw("policy", "bundle", "policies", "-o", "h.tar.gz", *sharing).code == 0
    assert openclaw("policy", "bundle", "h.tar.gz", *sharing, "--json").json["signature"] == "holds (HS512)"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"main.rego": policy("allow if input.tol.name")}, "`input.tol.name`"),
        ({"main.rego": "package openclaw.policies.main\n\nallow if {\n"}, "policies/main.rego:"),
        ({"main_cases.yaml": CASE % "deny"}, "the test `main_cases.yaml: it is so` fails"),
        ({".manifest": '{"roots": ["main"]}'}, "outside the roots of the manifest"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_and_nothing_is_written(
    folder: Path, openclaw: Command, files: dict[str, str], said: str
) -> None:
    write_folder(folder, files)
    found = openclaw("policy", "bundle", "policies")
    assert (found.code, said in found.out) == (1, True), found
    assert not Path("bundle.tar.gz").exists()
    report = openclaw("policy", "bundle", "policies", "--json")
    assert (report.code, report.json["ok"]) == (1, False)
    assert any(said in f"{it['file']}: {it['message']}" for it in report.json["diagnostics"])


def test_settings_that_do_not_fit_are_wrong_usage(folder: Path, openclaw: Command, pairs: dict[str, Pair]) -> None:
    openclaw("policy", "bundle", "policies")
    for arguments in (
        ("nowhere.tar.gz",),
        ("bundle.tar.gz", "-o", "x.tar.gz"),
        ("bundle.tar.gz", "--revision", "v2"),
        ("policies", "-o", "no/such/folder/b.tar.gz"),
        ("policies", "--key", str(pairs["RS"].private), "--algorithm", "none"),
    ):
        said = openclaw("policy", "bundle", *arguments)
        assert (said.code, said.out) == (2, ""), said
    for arguments in (("policies", "--key", "nowhere.key"), ("policies", "--key", str(pairs["RS"].public))):
        said = openclaw("policy", "bundle", *arguments)
        assert (said.code, "the bundle cannot be signed" in said.err) == (1, True)
    Path("noise.tar.gz").write_bytes(b"noise")
    assert openclaw("policy", "bundle", "noise.tar.gz").code == 1


def test_tests_and_combining_rules_can_be_left_out(folder: Path, openclaw: Command) -> None:
    write_folder(folder, {"main_cases.yaml": CASE % "deny"})
    said = openclaw("policy", "bundle", "policies", "--no-tests", "--no-decision", "--revision", "v1", "--json")
    assert (said.code, said.json["files"]) == (0, [".manifest", "data.json", "main.rego"])
    assert said.json["named"] == "v1"


def test_other_commands_take_a_bundle_for_a_folder(folder: Path, openclaw: Command) -> None:
    openclaw("policy", "bundle", "policies")
    assert openclaw("policy", "test", "bundle.tar.gz").code == 0
    Path("input.json").write_text('{"tool": {"name": "pay", "args": {}}}')
    assert openclaw("policy", "eval", "bundle.tar.gz", "input.json", "--json").json["effect"] == "allow"
    Path("bad.tar.gz").write_bytes(archive({"main.rego": "package"}))
    assert openclaw("policy", "eval", "bad.tar.gz", "input.json").code == 2
