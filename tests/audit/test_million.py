"""A long log: what verifying and proving cost in memory does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.longlog import fill

PROJECT = Path(__file__).parents[2]

_PROGRAM = """
import json, resource, sys
from pathlib import Path
from openclaw.audit import AuditLog, open_key, open_places
from openclaw.store import Store

count = int(sys.argv[2])
store = Store.open(f"sqlite:///{sys.argv[1]}", create=False)
key = open_key(store)
log = AuditLog(store, key, outside=open_places(store, None))
for _ in range(count // 1_000):
    log.append({"kind": "halt"})
    log.checkpoint()
report = log.verify()
said = {"ok": report.ok, "size": report.size, "checkpoints": report.checkpoints}
for seq in (1, count // 3, count):
    assert log.prove(seq).check(key.verifier).size >= count
sizes = [1, 1023, count // 2, count - 1, count]
for old in sizes:
    for new in sizes:
        if old <= new:
            log.prove_consistency(old, new).check(key.verifier)
log.close()
store.close()
said["peak_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(said))
"""

GROWTH_KIB_MAX = 48 * 1024
"""What a hundred times as many entries may add to the memory; the entries themselves are some 600 MB."""


def look(path: Path, count: int) -> dict[str, Any]:
    fill(path, count)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(path), str(count)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert (said["ok"], said["size"] > count) == (True, True), said
    return said


def test_a_long_log_holds_and_is_proven_from(tmp_path: Path) -> None:
    assert look(tmp_path / "a.db", 12_000)["checkpoints"] == 2 * 13


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_entries_are_verified_and_proven_in_the_memory_of_ten_thousand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = look(tmp_path / "short.db", 10_000)
    long = look(tmp_path / "long.db", 1_000_000)
    with capsys.disabled():
        print(f"\nat most {short['peak_kib'] // 1024} MiB, and {long['peak_kib'] // 1024} MiB for 1,000,000 entries")
    assert long["peak_kib"] - short["peak_kib"] <= GROWTH_KIB_MAX
