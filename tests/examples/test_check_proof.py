"""The stand-alone checker agrees with ours: it takes what holds, and nothing else."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from openclaw.audit import AuditLog, Draft, Proof, Signer
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
