"""Bundles and the real `opa`: each takes what the other has built and signed, and both make the same of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from openclaw.errors import ConfigurationError, PolicyError
from openclaw.policy import Opa, open_engine
from openclaw.policy.archive import pack
from openclaw.policy.building import build
from openclaw.policy.bundle import DECISION_FILE, Bundle
from openclaw.policy.contents import Contents, read_folder
from openclaw.policy.opa import OpaEngine
from openclaw.policy.signature import SIGNATURES, verify
from openclaw.policy.source import read_policies
from openclaw.policy.spec import Algorithm, BundleFile, Key
from openclaw.policy.tar import read_tar
from tests.policy.bundles import PLAIN, Pair, archive, make_pairs
from tests.policy.support import policy, write_folder
from tests.policy.test_signature import keys_for
from tests.support import opa

AWKWARD = {
    "texts": [
        "<a & b>",
        'quote " and \\ back',
        "tab\tline\nreturn\r\b\f\u0001\u007f",
        "é ü 漢 😀",
        "\u2028\u2029",
        "",
        "/",
    ],
    "numbers": [0, -1, 10**15, 1.5, -2.5e-7, 1e10, 123456.789],
    "nested": {"b": {"2": [], "10": {}}, "a": [[[None]], True, False], "é": 1, "\u007f": 2, "😀": 3, "\uffee": 4},
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    return make_pairs(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Policies as `opa fmt` writes them, with data of every awkward kind."""
    files = {**PLAIN, "awkward/data.json": json.dumps(AWKWARD, indent=2), "more/data.yaml": "x: 1.50\ny: [yes, 2]\n"}
    return write_folder(tmp_path / "folder", {**files, "main_cases.yaml": "[]\n"})


def run(binary: str, *arguments: object, at: Path, holds: bool = True) -> str:
    done = subprocess.run([binary, *map(str, arguments)], cwd=at, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == holds, done.stderr
    return done.stdout + done.stderr


def given(key: Key) -> str:
    return str(key.value)


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_what_opa_signs_is_verified_and_has_the_revision_of_the_folder(
    opa_binary: str, folder: Path, pairs: dict[str, Pair], tmp_path: Path, algorithm: str
) -> None:
    private, public = keys_for(algorithm, pairs)
    file = tmp_path / "signed.tar.gz"
    signing = ("--signing-alg", algorithm, "--signing-key", given(private))
    run(opa_binary, "build", "-b", ".", "-o", file, "--revision", "r7", *signing, at=folder)
    contents = read_policies(BundleFile(file, key=public))
    assert (contents.signed, contents.manifest.revision) == (algorithm, "r7")
    assert Bundle.assemble(contents).revision == Bundle.read(folder).revision


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_what_we_sign_opa_verifies_and_a_change_it_refuses(
    opa_binary: str, folder: Path, pairs: dict[str, Pair], tmp_path: Path, algorithm: str
) -> None:
    private, public = keys_for(algorithm, pairs)
    built = build(read_folder(folder), key=Key(private.value, private.algorithm, id="ours", scope="write"))
    (tmp_path / "ours.tar.gz").write_bytes(built.content)
    checking = ("--verification-key", given(public), "--verification-key-id", "ours", "--scope", "write")
    signing = ("--signing-alg", algorithm, "--signing-key", given(private))
    run(opa_binary, "build", "-b", "ours.tar.gz", "-o", "again.tar.gz", *checking, *signing, at=tmp_path)
    run(opa_binary, "build", "-b", "ours.tar.gz", "-o", "x.tar.gz", *checking[:4], *signing, at=tmp_path, holds=False)
    stream = read_policies(BundleFile(tmp_path / "again.tar.gz", key=Key(public.value, public.algorithm)))
    assert Bundle.assemble(stream).revision == built.bundle.revision
    files = _unpacked(built.content)
    (tmp_path / "ours.tar.gz").write_bytes(pack({**files, "main.rego": files["main.rego"] + b"\n"}))
    said = run(opa_binary, "build", "-b", "ours.tar.gz", "-o", "x", *checking, *signing, at=tmp_path, holds=False)
    assert "main.rego: digest mismatch" in said


def _unpacked(content: bytes) -> dict[str, bytes]:
    import gzip

    return read_tar(gzip.decompress(content))


def test_what_opa_sign_writes_beside_a_folder_is_verified_in_yaml_too(
    opa_binary: str, folder: Path, pairs: dict[str, Pair]
) -> None:
    (folder / "main_cases.yaml").unlink()
    run(opa_binary, "sign", "--bundle", ".", "--signing-key", pairs["RS"].private, at=folder)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "more/data.yaml" in files
    assert verify(files, [Key(pairs["RS"].public)], what="b") == "RS256"


@pytest.mark.parametrize("prefix", ["", "--prefixed"])
def test_a_folder_and_its_bundles_have_one_revision(opa_binary: str, folder: Path, tmp_path: Path, prefix: str) -> None:
    place = ("-b", folder.name) if prefix else ("-b", ".")
    run(opa_binary, "build", *place, "-o", tmp_path / "b.tar.gz", at=folder.parent if prefix else folder)
    wanted = Bundle.read(folder).revision
    assert Bundle.assemble(read_policies(tmp_path / "b.tar.gz")).revision == wanted
    ours = build(read_folder(folder))
    (tmp_path / "ours.tar.gz").write_bytes(ours.content)
    assert Bundle.assemble(read_policies(tmp_path / "ours.tar.gz")).revision == wanted == ours.manifest.revision
    assert build(read_folder(folder)).content == ours.content


def test_an_opa_server_that_is_started_with_our_bundle_decides_and_names_its_revision(
    opa_binary: str, folder: Path, pairs: dict[str, Pair], tmp_path: Path
) -> None:
    built = build(read_folder(folder), key=Key(pairs["RS"].private))
    file = tmp_path / "ours.tar.gz"
    file.write_bytes(built.content)
    arguments = ("--bundle", str(file), "--verification-key", str(pairs["RS"].public))
    with (
        opa.server(opa_binary, *arguments) as url,
        contextlib.closing(OpaEngine(Opa(url, timeout_s=5))) as engine,
        contextlib.closing(open_engine(BundleFile(file, key=Key(pairs["RS"].public)))) as embedded,
    ):
        assert built.bundle.revision in engine.revision
        for document in ({"n": 4}, {"n": 5}, {}):
            here, there = embedded.evaluate(document), engine.evaluate(document)
            assert (there.effect, there.reasons, there.rules) == (here.effect, here.reasons, here.rules)


def test_roots_are_what_is_in_it_and_leave_room_for_other_bundles(
    opa_binary: str, folder: Path, tmp_path: Path
) -> None:
    built = build(read_folder(folder))
    assert built.manifest.shown_roots == ("awkward", "limits", "more", "openclaw")
    assert built.files == (".manifest", "data.json", "main.rego", "main_cases.yaml", DECISION_FILE)
    (tmp_path / "ours.tar.gz").write_bytes(built.content)
    other = archive({"data.json": '{"other": 1}', ".manifest": '{"roots": ["other"]}'})
    (tmp_path / "other.tar.gz").write_bytes(other)
    asked = run(opa_binary, "eval", "-b", "ours.tar.gz", "-b", "other.tar.gz", "-f", "raw", "data.other", at=tmp_path)
    assert asked.strip() == "1"


def test_roots_and_metadata_of_a_folder_are_kept(opa_binary: str, tmp_path: Path) -> None:
    manifest = {"roots": ["openclaw", "limits"], "metadata": {"team": "payments"}}
    folder = write_folder(tmp_path / "f", {**PLAIN, ".manifest": json.dumps(manifest)})
    built = build(read_folder(folder), revision="v1")
    (tmp_path / "b.tar.gz").write_bytes(built.content)
    said = json.loads(run(opa_binary, "inspect", "-f", "json", "b.tar.gz", at=tmp_path))["manifest"]
    assert (said["revision"], said["roots"], said["metadata"]) == ("v1", manifest["roots"], {"team": "payments"})
    narrow = write_folder(tmp_path / "n", {**PLAIN, ".manifest": '{"roots": ["openclaw/policies", "limits"]}'})
    with pytest.raises(ConfigurationError, match="leave no place for the combining rules"):
        build(read_folder(narrow))
    assert DECISION_FILE not in build(read_folder(narrow), decision=False).files


def test_what_opa_would_refuse_for_its_roots_we_refuse(opa_binary: str, tmp_path: Path) -> None:
    """Both read the same bundle, and agree whether its manifest permits what is in it."""
    for number, (roots, permitted) in enumerate(
        [
            (["openclaw"], False),
            (["limits"], False),
            (["openclaw", "limits"], True),
            (["openclaw/policies/main", "limits/max"], True),
            (["openclaw/policies/mai", "limits"], False),
            (["openclaw/policies/main/deep", "limits"], False),
            ([], False),
            (["", "x"], False),
        ]
    ):
        file = tmp_path / f"{number}.tar.gz"
        file.write_bytes(archive({**PLAIN, ".manifest": json.dumps({"roots": roots})}))
        run(opa_binary, "build", "-b", file, "-o", tmp_path / "x", at=tmp_path, holds=permitted)
        try:
            Bundle.assemble(read_policies(file))
        except PolicyError:
            assert not permitted, roots
        else:
            assert permitted, roots


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"main.rego": "package openclaw.policies.main\n\nallow if {\n"}, "the policies do not compile"),
        ({"main.rego": policy("allow if nobody(input.x)")}, "call functions that this engine does not have"),
        ({"x.rego": "package openclaw.policies.a.b\n"}, "cannot be used"),
        ({"main_cases.yaml": "- name: x\n  input: {n: 9}\n  expect: {effect: allow}\n"}, "a test of .* did not pass"),
    ],
)
def test_what_cannot_be_used_is_not_built(tmp_path: Path, files: dict[str, str], said: str) -> None:
    folder = write_folder(tmp_path, {**PLAIN, **files})
    with pytest.raises(PolicyError, match=said):
        build(read_folder(folder))


def test_tests_can_be_left_out_with_all_that_they_bring(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {**PLAIN, "main_test.rego": "package main_test\n\ntest_it if false\n"})
    built = build(read_folder(folder), tests=False)
    assert "main_test.rego" not in built.files
    assert built.manifest.shown_roots == ("limits", "openclaw")
    contents = Contents("bundle `x`", "x", {"main.rego": PLAIN["main.rego"].encode()})
    assert SIGNATURES not in build(contents).files
