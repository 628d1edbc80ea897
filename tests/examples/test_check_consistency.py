"""The stand-alone checker of consistency proofs agrees with ours: it takes what holds, and nothing else."""

from __future__ import annotations

import ast
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from openclaw.audit import AuditLog, ConsistencyProof, Draft, Signer
from openclaw.store import Store

SCRIPT = Path(__file__).parents[2] / "examples" / "check_consistency.py"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> AuditLog:
    folder = tmp_path_factory.mktemp("log")
    store = Store.open(f"sqlite:///{folder / 'openclaw.db'}")
    log = AuditLog(store, Signer.load(folder / "key", store.origin))
    store.run(lambda transaction: [log.record(transaction, Draft(kind="halt", body={"n": n})) for n in range(20)])
    return log


def check(folder: Path, proof: dict[str, object], key: str) -> subprocess.CompletedProcess[str]:
    file = folder / "proof.json"
    file.write_text(json.dumps(proof))
    return subprocess.run([sys.executable, str(SCRIPT), str(file), key], capture_output=True, text=True, check=False)


def test_what_holds_is_taken(log: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = check(tmp_path, log.prove_consistency(6, 13).model_dump(), str(log.verifier))
    assert (said.returncode, said.stdout) == (0, "the log of 6 entries is the beginning of the log of 13 entries\n")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    main = runpy.run_path(str(SCRIPT))["main"]
    file = tmp_path / "proof.json"
    for new in range(1, 18):
        for old in range(1, new + 1):
            file.write_text(log.prove_consistency(old, new).model_dump_json())
            assert main(str(file), str(log.verifier)).startswith(f"the log of {old} entries")


def test_what_was_changed_is_not(log: AuditLog, tmp_path: Path) -> None:
    proof = log.prove_consistency(6, 13)
    good = proof.model_dump()
    changes: list[dict[str, object]] = [
        {"path": good["path"][:-1]},
        {"path": [*good["path"], "00" * 32]},
        {"path": ["00" * 32, *good["path"][1:]]},
        {"path": []},
        {"old": proof.new, "new": proof.old},
        {"old": log.prove_consistency(7, 13).old},
        {"new": proof.new.replace("\n13\n", "\n14\n")},
    ]
    for change in changes:
        said = check(tmp_path, {**good, **change}, proof.key)
        assert said.returncode == 1, change
        assert said.stderr.startswith("does not hold: "), said.stderr
    assert check(tmp_path, good, str(Signer("another", bytes(32)).verifier)).returncode == 1
    with pytest.raises(Exception, match="not signed by"):
        ConsistencyProof.model_validate(good).check(Signer("another", bytes(32)).verifier)


def test_it_stands_alone_and_is_short() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography", "check_proof"}
    assert len([line for line in SCRIPT.read_text().splitlines() if line.strip()]) <= 60
