"""The figures of graphs can be taken: benchmarks/graph.py runs, small, and says what it is to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.graph import fan, spread
from tests.graph.house import house as open_house


def test_the_benchmark_of_graphs_runs() -> None:
    command = [sys.executable, "-m", "benchmarks.graph", "--count", "2", "--width", "20", "--halts", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for said in (
        "a call, sync, none kept",
        "a call, async, checkpointer",
        "a call, sync, checkpointer",
        "a call, async, none kept",
        "governed, sync",
        "governed, async",
        "a halt is felt, async stream",
    ):
        assert said in done.stdout


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_thousand_calls_side_by_side_pile_up_neither_threads_nor_memory(tmp_path: Path, asynchronous: bool) -> None:
    with open_house(tmp_path) as house:
        found = spread(house.compile(fan(1000), name="fan"), 1000, asynchronous=asynchronous)
        permitted = [entry.seq for entry in house.entries("decision") if entry.effect == "allow"]
        ended = [entry.body["decision"] for entry in house.entries("outcome")]
        assert house.log.verify().ok
    assert len(permitted) == 1000
    assert sorted(permitted) == sorted(ended)  # type: ignore[type-var]
    assert found.threads <= 64, (
        "the executors of LangGraph and asyncio have at most 32 each here; a thread per call has 1,000"
    )
    assert found.mib <= 150
