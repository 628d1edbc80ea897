"""The figures of graphs can be taken: benchmarks/graph.py runs, small, and says what it is to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_benchmark_of_graphs_runs() -> None:
    command = [sys.executable, "-m", "benchmarks.graph", "--count", "2", "--width", "20", "--halts", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for said in (
        "a call, sync, none kept",
        "a call, async, checkpointer",
        "governed, async",
        "a halt is felt, async stream",
    ):
        assert said in done.stdout
