"""The stand-alone checker agrees with ours: it takes what holds, and nothing else."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from openclaw.audit import AuditLog, Draft, Proof, Signer, Verifier
from openclaw.audit.rotation import sign_rotation
from openclaw.errors import VerificationError
from openclaw.store import Store

SCRIPT = Path(__file__).parents[2] / "examples" / "check_proof.py"


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> list[Proof]:
    folder = tmp_path_factory.mktemp("log")
    store = Store.open(f"sqlite:///{folder / 'openclaw.db'}")
    log = AuditLog(store, Signer.load(folder / "key", store.origin))
    for number in range(11):
        log.append(Draft(kind="decision", tool=f"tool {number} é", effect="allow", body={"n": number / 3}))
    made = [log.prove(seq) for seq in (1, 6, 11)]
    store.close()
    return made


def check(folder: Path, proof: dict[str, object], key: str) -> subprocess.CompletedProcess[str]:
    file = folder / "proof.json"
    file.write_text(json.dumps(proof))
    return subprocess.run([sys.executable, str(SCRIPT), str(file), key], capture_output=True, text=True, check=False)


def test_what_holds_is_taken(proofs: list[Proof], tmp_path: Path) -> None:
    for proof in proofs:
        said = check(tmp_path, proof.model_dump(), proof.key)
        assert (said.returncode, json.loads(said.stdout)["seq"]) == (0, proof.index + 1)


def test_what_was_changed_is_not(proofs: list[Proof], tmp_path: Path) -> None:
    proof = proofs[1]
    good = proof.model_dump()
    other = str(Signer("openclaw-other", b"\x01" * 32).verifier)
    changes: list[dict[str, object]] = [
        {"entry": proof.entry.replace('"allow"', '"deny"')},
        {"index": 6},
        {"index": 99},
        {"path": good["path"][:-1]},
        {"path": [*good["path"], "00" * 32]},
        {"path": ["00" * 32, *good["path"][1:]]},
        {"checkpoint": proof.checkpoint.replace("\n", "\n0", 1)},
    ]
    for change in changes:
        said = check(tmp_path, {**good, **change}, proof.key)
        assert said.returncode == 1, change
        assert said.stderr.startswith("does not hold: "), said.stderr
    assert check(tmp_path, good, other).returncode == 1


def test_it_stands_alone_and_is_short() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}
    code = [line for line in SCRIPT.read_text().splitlines() if line.strip()]
    assert len(code) <= 60


def rotated(folder: Path) -> tuple[list[Proof], list[str], str]:
    """Proofs from before, between and after two rotations; the keys of the log in order, and a rotation of another log."""
    store = Store.open(f"sqlite:///{folder / 'openclaw.db'}")
    log = AuditLog(store, Signer.load(folder / "log.key", store.origin))
    log.append(Draft(kind="halt"))
    keys, made = [str(log.verifier)], [log.prove(1)]
    for _ in range(2):
        log.rotate_key(by="eva")
        keys.append(str(log.verifier))
        log.append(Draft(kind="halt"))
        made.append(log.prove(log.size()))
    strange = sign_rotation(Signer("a", b"\x01" * 32), Signer("b", b"\x02" * 32), origin="c", size=1, root=bytes(32))
    store.close()
    return made, keys, strange.note


def test_rotations_are_followed_from_any_key_of_the_log(tmp_path: Path) -> None:
    made, keys, strange = rotated(tmp_path)
    last = made[-1]
    assert [len(proof.rotations) for proof in made] == [0, 1, 2]
    for key in keys:
        said = check(tmp_path, last.model_dump(), key)
        assert (said.returncode, said.stderr) == (0, "")
        last.check(Verifier.parse(key))
    assert check(tmp_path, made[1].model_dump(), keys[0]).returncode == 0
    assert check(tmp_path, made[1].model_dump(), keys[2]).returncode == 1, "it leads no further than to the second key"
    good = last.model_dump()
    first, second = last.rotations
    changes: list[dict[str, object]] = [
        {"rotations": []},
        {"rotations": [first]},
        {"rotations": [second]},
        {"rotations": [second, first]},
        {"rotations": [first, second, strange]},
        {"rotations": [first.replace("key rotation v1", "key rotation v2"), second]},
        {"rotations": [first.rpartition("— ")[0], second]},
        {"checkpoint": made[0].checkpoint},
        {"checkpoint": made[1].checkpoint},
    ]
    for change in changes:
        said = check(tmp_path, {**good, **change}, keys[0])
        assert said.returncode == 1, change
        assert said.stderr.startswith("does not hold: "), said.stderr
        with pytest.raises(VerificationError):
            Proof.model_validate({**good, **change}).check(Verifier.parse(keys[0]))
    assert check(tmp_path, good, str(Signer("a", b"\x01" * 32).verifier)).returncode == 1
