"""Reading bundles: what is taken, and what is refused so that nothing of it is lost, doubled or too large."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclaw.errors import PolicyError
from openclaw.policy.archive import pack, unpack
from openclaw.policy.bundle import DECISION_FILE, Bundle, combining_rules
from openclaw.policy.contents import Contents, read_folder
from openclaw.policy.source import read_policies
from openclaw.policy.spec import BundleFile
from openclaw.policy.tar import FILES_MAX, BadArchive, read_tar
from tests.policy.bundles import MAIN, PLAIN, archive, gzip, tar
from tests.policy.support import write_folder


def read(content: bytes, **settings: object) -> Contents:
    return unpack(content, shown="b.tar.gz", **settings)  # type: ignore[arg-type]


def refused(content: bytes, **settings: object) -> str:
    with pytest.raises(PolicyError) as caught:
        read(content, **settings)
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["", "/", "./", "././"])
def test_files_are_below_the_top_however_their_paths_begin(prefix: str) -> None:
    contents = read(archive({prefix + name: text for name, text in PLAIN.items()}))
    assert {name: content.decode() for name, content in contents.files.items()} == PLAIN
    assert contents.shown("main.rego") == "b.tar.gz/main.rego"


@pytest.mark.parametrize("written", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_letters_beyond_ascii_are_read_in_every_format(written: int) -> None:
    names = [f"{'folder' * 10}/{'f' * 40}/{'n' * 80}.rego", "grüße.rego", "a b.rego"]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=written) as made:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(MAIN)
            made.addfile(member, io.BytesIO(MAIN.encode()))
        made.addfile(tarfile.TarInfo("last.rego"))
    assert read_tar(packed.getvalue()) == {**dict.fromkeys(names, MAIN.encode()), "last.rego": b""}


def test_folders_are_passed_over_and_names_with_a_dot_are_no_policies() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", pax_headers={"comment": "a commit"}) as made:
        folder = tarfile.TarInfo("limits")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
        for name, text in {**PLAIN, ".hidden/x.rego": "", "lib/.y.rego": "", "notes.txt": "", "x.json": "{"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            made.addfile(member, io.BytesIO(text.encode()))
    assert sorted(read(gzip(packed.getvalue())).files) == sorted(PLAIN)


UNSAFE = ["../main.rego", "a/../main.rego", "a/..", "..", "/../x.rego", "//etc/x.rego", "a//b.rego", "a/./b.rego", "."]
UNSAFE += ["a\\b.rego", "..\\x.rego", "x\n.rego", "\u202ex.rego"]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_path_that_leads_out_or_could_be_read_as_two_is_refused(name: str) -> None:
    said = refused(archive({**PLAIN, name: "x"}))
    assert "is no path within it" in said
    assert said.isprintable()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"7", b"S", b"V"]
)
def test_links_devices_and_other_kinds_are_refused(kind: bytes) -> None:
    assert "`x.rego` is no plain file" in refused(archive({"x.rego": ""}, kind=kind, linkname="/etc/passwd"))


@pytest.mark.parametrize(
    "headers",
    [{"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"}, {"size": "99999"}],
)
def test_a_file_that_is_not_what_lies_in_the_archive_is_refused(headers: dict[str, str]) -> None:
    assert "is no plain file" in refused(archive({"x.rego": ""}, pax_headers=headers))


def test_a_global_header_that_would_rename_files_is_refused() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", pax_headers={"path": "other.rego"}) as made:
        made.addfile(tarfile.TarInfo("x.rego"))
    assert "is no plain file" in refused(gzip(packed.getvalue()))


@pytest.mark.parametrize("twice", ["main.rego", "/main.rego", "./main.rego"])
def test_a_path_that_is_there_twice_is_refused(twice: str) -> None:
    assert "`main.rego` is in it twice" in refused(gzip(_joined(tar(PLAIN), tar({twice: "x"}))))


def _joined(first: bytes, second: bytes) -> bytes:
    """Two archives as one: the first without its end."""
    end = len(first.rstrip(b"\0"))
    return first[: -(-end // 512) * 512] + second


def test_an_archive_that_is_cut_off_anywhere_is_refused() -> None:
    content = archive(PLAIN)
    for size in range(len(content)):
        refused(content[:size])
    whole = tar(PLAIN)
    end = len(whole.rstrip(b"\0"))
    for size in range(0, end, 64):  # A whole gzip file around an archive that ends too early.
        with pytest.raises(BadArchive, match="cut off"):
            read_tar(whole[:size])


def test_a_damaged_header_is_not_taken_for_the_end() -> None:
    content = bytearray(tar({"allow.rego": MAIN, "deny.rego": "x"}))
    content[1024] ^= 1
    assert "it is damaged, or no tar archive" in refused(gzip(bytes(content)))


def test_every_changed_byte_of_the_stream_is_noticed() -> None:
    content = archive(PLAIN)
    for at in range(10, len(content)):  # Before that stand times and flags that mean nothing.
        changed = bytearray(content)
        changed[at] ^= 0x40
        try:
            found = unpack(bytes(changed), shown="b")
        except PolicyError:
            continue
        assert found.files == read(content).files


@given(noise=st.binary(max_size=600), at=st.integers(0, 3000), size=st.integers(0, 40))
def test_noise_is_refused_and_breaks_nothing(noise: bytes, at: int, size: int) -> None:
    whole = tar(PLAIN)
    for content in (noise, whole[:at] + noise[:size] + whole[at + size :], whole[:at] + noise):
        for wrapped in (content, gzip(content)):
            try:
                unpack(wrapped, shown="b")
            except PolicyError as error:
                assert "\n" not in error.message  # noqa: PT017 - either outcome is right, a third one is not


def test_a_bomb_is_known_when_it_begins_to_grow() -> None:
    bomb = zlib.compressobj(9, wbits=31)
    content = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(64)) + bomb.flush()
    assert len(content) < 100_000
    assert "it has more than 1,000,000 bytes" in refused(content, bytes_max=1_000_000)
    many = gzip(bytes(600_000)) * 2  # Several streams count together.
    assert "it has more than 1,000,000 bytes" in refused(many, bytes_max=1_000_000)
    assert "it has more than 10 bytes" in refused(archive(PLAIN), bytes_max=10)


def test_there_is_a_limit_to_the_number_of_files() -> None:
    whole = tar(dict.fromkeys(map(str, range(FILES_MAX)), b""))
    assert len(read_tar(whole)) == FILES_MAX
    with pytest.raises(BadArchive, match="more than 10,000 files"):
        read_tar(_joined(whole, tar({"one more": b""})))


@pytest.mark.parametrize("name", ["policy.wasm", "x/policy.wasm", "plan.json", "patch.json"])
def test_what_is_built_for_other_targets_is_refused(name: str) -> None:
    assert f"holds `{name}`, which no engine here runs" in refused(archive({**PLAIN, name: "{}"}))


def test_an_archive_is_packed_to_the_same_bytes_and_read_back() -> None:
    files = {name: text.encode() for name, text in PLAIN.items()} | {"n" * 200 + ".rego": b"", "ü.rego": b"\0"}
    assert pack(files) == pack(dict(reversed(files.items())))
    assert read(pack(files)).files == files


# What is made of it.


def test_the_same_content_has_the_same_revision_in_every_form(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", PLAIN)
    wanted = Bundle.read(folder).revision
    forms: list[dict[str, str | bytes]] = [
        {**PLAIN},
        {"/main.rego": MAIN, "/data.json": '{"limits": {"max": 5.0}}', "/.manifest": '{"revision": "7"}'},
        {"/f/main.rego": MAIN, "/data.json": '{"limits": {"max": 5}}', "/f/main_test.rego": "package x"},
        {**PLAIN, "openclaw/decision.rego": combining_rules().text, "main_cases.yaml": "[]"},
    ]
    for files in forms:
        assert Bundle.assemble(read(archive(files))).revision == wanted
    assert Bundle.assemble(read(archive({**PLAIN, "limits/data.json": '{"max": 6}'}))).revision != wanted
    sub = write_folder(tmp_path / "sub", {"below/main": MAIN, "limits/data.json": '{"max": 5}'})
    assert Bundle.read(sub).revision == wanted


def test_a_file_named_like_the_combining_rules_is_refused_in_every_form(tmp_path: Path) -> None:
    files = {**PLAIN, DECISION_FILE: "package openclaw.policies.mine\n\nallow if true\n"}
    for contents in (read(archive(files)), read_folder(write_folder(tmp_path, files))):
        with pytest.raises(PolicyError, match="nothing else may have their name"):
            Bundle.assemble(contents)
    with pytest.raises(PolicyError, match="package `openclaw` is reserved"):
        Bundle.assemble(read(archive({**PLAIN, "mine.rego": combining_rules().text + "\n"})))


def test_roots_are_enforced_for_rules_tests_and_data(tmp_path: Path) -> None:
    files = {
        "main.rego": MAIN,
        "main_test.rego": "package main_test\n",
        "lib.rego": "package lib.money\n",
        "limits/data.json": '{"max": 5}',
        "data.json": '{"lib": {"rates": {}, "other": 1}, "more": {"deep": 1}}',
    }
    manifest = json.dumps({"roots": ["openclaw/policies", "/lib/rates/", "limits"]})
    for contents in (
        read(archive({**files, ".manifest": manifest})),
        read_folder(write_folder(tmp_path, {**files, ".manifest": manifest})),
    ):
        with pytest.raises(PolicyError) as caught:
            Bundle.assemble(contents)
        said = sorted((Path(it.file).name, it.message) for it in caught.value.diagnostics)
        assert said == [
            ("data.json", "data at `lib/other` is outside the roots of the manifest"),
            ("data.json", "data at `more` is outside the roots of the manifest"),
            ("lib.rego", "package `lib.money` is outside the roots of the manifest"),
            ("main_test.rego", "package `main_test` is outside the roots of the manifest"),
        ]
        assert caught.value.diagnostics[0].hint.startswith("its `.manifest` permits `openclaw/policies`, `lib/rates`")
    kept = read(archive({"main.rego": MAIN, "data.json": '{"lib": {"rates": {"eu": 1}}}', ".manifest": manifest}))
    assert json.loads(Bundle.assemble(kept).data) == {"lib": {"rates": {"eu": 1}}}


@pytest.mark.parametrize("roots", [None, [""], ["openclaw", "limits"], ["openclaw/policies/main", "limits/max"]])
def test_roots_that_hold_everything_permit_it(roots: list[str] | None) -> None:
    manifest = {"revision": "r", "metadata": {"x": 1}, "unknown": 1} | ({"roots": roots} if roots else {})
    contents = read(archive({**PLAIN, ".manifest": json.dumps(manifest)}))
    assert contents.manifest.revision == "r"
    Bundle.assemble(contents)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("{", "it is not JSON"),
        ("[]", "it is not an object"),
        ('{"revision": "a", "revision": "b"}', "names the same key twice"),
        ('{"roots": "openclaw"}', "`roots` is a list of paths"),
        ('{"roots": [1]}', "`roots` is a list of paths"),
        ('{"roots": ["a", "a/b"]}', "the roots `a` and `a/b` overlap"),
        ('{"roots": ["", "b"]}', "the roots `` and `b` overlap"),
        ('{"revision": 7}', "`revision` is a text"),
        ('{"metadata": []}', "`metadata` an object"),
        ('{"rego_version": 0}', "not written in Rego v1"),
        ('{"rego_version": true}', "not written in Rego v1"),
        ('{"rego_version": 1, "file_rego_versions": {"main.rego": 0}}', "not written in Rego v1"),
        ('{"wasm": [{"entrypoint": "x"}]}', "rules in WebAssembly"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(manifest: str, said: str) -> None:
    assert said in refused(archive({**PLAIN, ".manifest": manifest}))


def test_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", PLAIN)
    for wrong in (tmp_path / "none.tar.gz", tmp_path / "none.tgz"):
        with pytest.raises(PolicyError, match="cannot be read: no such file"):
            read_policies(wrong)
    with pytest.raises(PolicyError, match="is a folder; give the folder itself"):
        read_policies(BundleFile(folder))
    named = tmp_path / "odd.tar.gz"
    folder.rename(named)
    assert sorted(read_policies(named).files) == sorted(PLAIN)  # A folder may be called so.
    (tmp_path / "b").write_bytes(archive(PLAIN))
    assert sorted(read_policies(BundleFile(tmp_path / "b")).files) == sorted(PLAIN)
