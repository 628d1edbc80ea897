"""One decision, engine by engine, against ``opa bench`` of the same policy and input in the same run.

    python -m benchmarks.decision [--count 4000] [--decisions 1000000]

The reference policy: 20 agents with 50 tools each (grants in a data file), 7 deny rules, one of them with a pattern, and
obligations. ``opa bench`` evaluates in OPA's own process; ``--e2e`` asks its server over HTTP. Our figures include what a
caller pays: canonical JSON in, a ``Decision`` out.

A machine that does something else at the same time makes every figure worse and none better: what is compared is measured
in turns, and the best of the turns counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from openclaw.policy import Opa, PolicyEngine, regopy, regorus
from openclaw.policy.bundle import Bundle, combining_rules
from openclaw.policy.cache import CachingEngine
from openclaw.policy.engine import encode
from openclaw.policy.opa import OpaEngine
from openclaw.policy.reads import reads_of
from tests.support import opa as opa_server

POLICIES = {
    "grants.rego": """package openclaw.policies.grants

allow if input.tool.name in data.agents[input.principal.agent].tools
""",
    "payments.rego": """package openclaw.policies.payments

limits := data.limits

deny contains "amount above the limit of the role" if {
	input.tool.name == "refund"
	not within_limit
}

within_limit if {
	some role in input.principal.roles
	input.tool.args.amount <= limits[role]
}

deny contains "IBAN is not one" if {
	iban := input.tool.args.iban
	not regex.match(`^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$`, iban)
}

deny contains sprintf("country %s is embargoed", [country]) if {
	country := substring(input.tool.args.iban, 0, 2)
	country in data.embargo
}

deny contains "delegated too deep" if count(input.principal.chain) > 3

deny contains "written by an untrusted document" if {
	some name, origin in input.flow.args
	name in {"iban", "recipient"}
	origin.trust == "untrusted"
}

ask contains "a person has to see payments above 500" if input.tool.args.amount > 500
""",
    "guards.rego": """package openclaw.policies.guards

deny contains "destructive tools are for operators" if {
	"destructive" in input.tool.tags
	not "operator" in input.principal.roles
}

deny contains "no calls of this agent any more" if input.budget.remaining.calls <= 0

oblige contains {"kind": "mask", "fields": ["args.iban"]} if input.tool.args.iban

oblige contains {"kind": "audit", "level": "full"} if "money" in input.tool.tags
""",
}
DATA = {
    "agents": {f"agent{a}": {"tools": [f"tool{(a * 7 + t) % 60}" for t in range(49)] + ["refund"]} for a in range(20)},
    "limits": {"reader": 0, "payer": 1000, "operator": 5000},
    "embargo": ["KP", "IR", "SY"],
}
INPUT: dict[str, Any] = {
    "kind": "tool",
    "principal": {
        "agent": "agent7",
        "workflow": "returns",
        "org": "default",
        "roles": ["payer"],
        "chain": ["triage", "agent7"],
    },
    "run": {"id": "run-1", "thread": "t-1", "step": 3, "calls": 2},
    "tool": {
        "name": "refund",
        "args": {"amount": 120, "iban": "DE89370400440532013000", "note": "order 4711"},
        "tags": ["write", "money"],
        "call_id": "c-1",
    },
    "flow": {"sources": [], "args": {"iban": {"seen_in": ["prompt"], "trust": "trusted"}}},
    "budget": {"remaining": {"calls": 17}},
    "approval": None,
    "now": "2026-11-23T10:00:00.000000Z",
}


def write(folder: Path) -> None:
    for name, text in POLICIES.items():
        (folder / name).write_text(text)
    (folder / "data.json").write_text(json.dumps(DATA))


def measured(work: Callable[[], object], count: int) -> tuple[float, float]:
    """Median and 99th percentile, in microseconds."""
    for _ in range(count // 10):
        work()
    times: list[float] = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


async def measured_async(engine: PolicyEngine, count: int) -> tuple[float, float]:
    for _ in range(count // 10):
        await engine.aevaluate(INPUT)
    times: list[float] = []
    for _ in range(count):
        start = time.perf_counter()
        await engine.aevaluate(INPUT)
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def rates(engine: PolicyEngine, count: int, turns: int = 25) -> tuple[float, float]:
    """Decisions in a second of one thread, and of two together: the best of many short turns."""
    found = [(rate(engine, 1, count), rate(engine, 2, count)) for _ in range(turns)]
    return max(one for one, _ in found), max(two for _, two in found)


def rate(engine: PolicyEngine, threads: int, count: int) -> float:
    """Decisions in a second of this many threads together."""
    barrier = threading.Barrier(threads + 1)

    def work() -> None:
        barrier.wait()
        for _ in range(count // threads):
            engine.evaluate(INPUT)

    return together([threading.Thread(target=work) for _ in range(threads)], barrier, count)


def together(
    workers: Sequence[threading.Thread | BaseProcess], barrier: threading.Barrier | Barrier, count: int
) -> float:
    """Decisions in a second of workers that begin together and make ``count`` of them."""
    for worker in workers:
        worker.start()
    barrier.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    return count / (time.perf_counter() - start)


def processes_rate(folder: Path, processes: int, count: int) -> float:
    """Decisions in a second of this many processes together: what the machine can give to two at once."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    workers = [
        context.Process(target=_decide_in_process, args=(folder, count // processes, barrier)) for _ in range(processes)
    ]
    return together(workers, barrier, count)


def _decide_in_process(folder: Path, count: int, barrier: Barrier) -> None:
    engine = regorus.RegorusEngine(Bundle.read(folder))
    barrier.wait()
    for _ in range(count):
        engine.evaluate(INPUT)


def opa_bench(binary: str, folder: Path, *more: str) -> tuple[float, float]:
    """Mean and 99th percentile of ``opa bench``, in microseconds."""
    (folder / "decision.rego").write_text(combining_rules().text)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as document:
        json.dump(INPUT, document)
        document.flush()
        command = [
            binary,
            "bench",
            "--format",
            "json",
            "-b",
            str(folder),
            "-i",
            document.name,
            *more,
            "data.openclaw.decision",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    (folder / "decision.rego").unlink()
    report = json.loads(done.stdout)
    result = report[0] if isinstance(report, list) else report
    extra = result["Extra"]
    return result["T"] / result["N"] / 1e3, extra.get("histogram_timer_rego_query_eval_ns_99%", 0) / 1e3


@contextlib.contextmanager
def reference() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        write(Path(place))
        yield Path(place)


def rows(folder: Path, binary: str | None, count: int) -> Iterator[tuple[str, float, float]]:
    bundle = Bundle.read(folder)
    if binary:
        yield ("opa bench, in process (mean)", *opa_bench(binary, folder))
    if regorus.available():
        engine = regorus.RegorusEngine(bundle)
        assert engine.evaluate(INPUT).allowed, engine.evaluate(INPUT)
        encoded = encode(INPUT)
        yield ("regorus, decision", *measured(lambda: engine.evaluate(INPUT), count))
        yield ("regorus, native part alone", *measured(lambda: engine._policy.evaluate(encoded, 10**6), count))
        kept = CachingEngine(engine, reads_of(bundle))
        yield ("regorus, from the cache", *measured(lambda: kept.evaluate(INPUT), count))
    with contextlib.closing(regopy.RegopyEngine(bundle)) as child:
        assert child.evaluate(INPUT).allowed, child.evaluate(INPUT)
        yield ("regopy, decision", *measured(lambda: child.evaluate(INPUT), count // 4))
    if binary:
        yield ("opa bench --e2e (mean)", *opa_bench(binary, folder, "--e2e"))
        with opa_server.server(binary) as url, contextlib.closing(OpaEngine(Opa(url, policies=folder))) as server:
            assert server.evaluate(INPUT).allowed
            yield ("opa server, sync client", *measured(lambda: server.evaluate(INPUT), count // 4))
            yield ("opa server, async client", *asyncio.run(measured_async(server, count // 4)))


COLD = """
import json, sys, time
start = time.perf_counter()
from openclaw.policy import open_engine
imported = time.perf_counter()
engine = open_engine(sys.argv[1])
assert engine.evaluate(json.loads(sys.argv[2])).allowed
print((imported - start) * 1e3, (time.perf_counter() - imported) * 1e3)
"""


def cold_start(folder: Path, turns: int = 9) -> tuple[float, float]:
    """Milliseconds in a new process to import openclaw.policy, and from there to the first decision: the best of some.

    With compiled bytecode, as an installed package has it.
    """
    command = [sys.executable, "-c", COLD, str(folder), json.dumps(INPUT)]
    found: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(turns + 1):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            words = done.stdout.split()
            found.append((float(words[0]), float(words[1])))
    return min(found[1:], key=sum)


def resident_kb() -> int:
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def growth_kb(engine: PolicyEngine, decisions: int) -> int:
    """How much larger the process is after this many decisions on ever new inputs than after the first twentieth of them."""
    settled = 0
    for number in range(decisions):
        if number == decisions // 20:
            settled = resident_kb()
        args = {"amount": number % 700, "iban": "DE89370400440532013000", "note": f"order {number}"}
        engine.evaluate({**INPUT, "tool": {**INPUT["tool"], "args": args, "call_id": f"c-{number}"}})
    return resident_kb() - settled


def embedded_figures(folder: Path, count: int, decisions: int) -> None:
    bundle = Bundle.read(folder)
    engine = regorus.RegorusEngine(bundle)
    one, two = rates(engine, max(count // 4, 100))
    print(f"two threads       {two / one:.2f} times one: {two:,.0f} against {one:,.0f} decisions a second")
    turns = [[processes_rate(folder, processes, 20_000) for processes in (1, 2)] for _ in range(5)]
    alone, both = max(turn[0] for turn in turns), max(turn[1] for turn in turns)
    print(f"two processes     {both / alone:.2f} times one: more than that two threads cannot have on this machine")
    imported, opened = cold_start(folder)
    print(f"cold start        {imported + opened:.0f} ms: {imported:.0f} to import, {opened:.0f} to load and decide")
    for name, one_of in ("", engine), (", cached", CachingEngine(engine, reads_of(bundle))):
        print(f"memory{name:12}{growth_kb(one_of, decisions) / 1024:+.1f} MB over {decisions:,} decisions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000, help="decisions to measure for each row")
    parser.add_argument("--decisions", type=int, default=1_000_000, help="decisions over which memory is to stay flat")
    arguments = parser.parse_args()
    count = arguments.count
    binary = opa_server.binary() or shutil.which("opa")
    with reference() as folder:
        table = list(rows(folder, binary, count))
    bases = {label: median for label, median, _ in table if label.startswith("opa bench")}
    print(f"{'':32}{'µs':>10}{'p99 µs':>10}{'ratio':>8}  against")
    for label, median, p99 in table:
        base = next((name for name in bases if ("--e2e" in name) == ("server" in label or "--e2e" in label)), None)
        ratio = f"{median / bases[base]:8.2f}  {base}" if base else f"{'–':>8}  opa is not installed"
        print(f"{label:32}{median:10.1f}{p99:10.1f}{ratio}")
    if regorus.available():
        print()
        with reference() as folder:
            embedded_figures(folder, count, arguments.decisions)


if __name__ == "__main__":
    main()
