"""A governed call beside the same of agent-governance-toolkit (``agentmesh.governance.govern``), in one run.

    python -m venv peer && peer/bin/pip install "agent-governance-toolkit[full]"
    python -m benchmarks.peers --peer peer/bin/python [--count 2000]

The sides do not do the same work. Theirs: ten YAML rules and a log in memory, which is gone with the process. Ours: Rego,
a budget held and settled on three levels, and two entries of a Merkle log that are on the disk before the call goes on.
Theirs has no part that would do so; the peer that is fast because it does less is the one to be measured against.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.gate import ROUNDS, each, governed, together

POLICY = "\n".join(
    [
        "apiVersion: governance.toolkit/v1",
        "name: desk",
        'agents: ["*"]',
        "default_action: allow",
        "rules:",
        *(
            f"  - {{name: rule{number}, condition: \"action.type == 'other{number}'\", action: deny, priority: {number}}}"
            for number in range(10)
        ),
    ]
)
PEER = """
import json, sys, time
from agentmesh.governance import govern

call = govern(lambda order: "one chair", policy=sys.argv[3], agent_id="clerk")
count, rounds = int(sys.argv[1]), int(sys.argv[2])
for _ in range(50):
    call(order="17")
best = float("inf")
for _ in range(rounds):
    began = time.perf_counter()
    for _ in range(count):
        call(order="17")
    best = min(best, (time.perf_counter() - began) / count)
print(json.dumps(best))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="a Python that has agent-governance-toolkit; without it the peer is left out")
    parser.add_argument("--count", type=int, default=2000)
    told = parser.parse_args()
    if told.peer is None:
        print("left out: `--peer` names a Python that has agent-governance-toolkit (see --help)")
        return
    with tempfile.TemporaryDirectory() as name, governed(Path(name)) as (_, call):
        done = subprocess.run(
            [told.peer, "-c", PEER, str(told.count), str(ROUNDS), POLICY], stdout=subprocess.PIPE, text=True, check=True
        )
        theirs = float(json.loads(done.stdout.splitlines()[-1]))
        one, many = each(call, told.count // 4), together(call, 64, told.count)
    print(f"{'':44}{'µs':>10}{'calls/s':>10}{'ratio':>8}")
    for label, seconds in [
        ("their govern(), log in memory, one thread", theirs),
        ("a governed call, durable, one thread", one),
        ("a governed call, durable, 64 threads", many),
    ]:
        print(f"{label:44}{seconds * 1e6:>10,.0f}{1 / seconds:>10,.0f}{theirs / seconds:>8.2f}")


if __name__ == "__main__":
    main()
