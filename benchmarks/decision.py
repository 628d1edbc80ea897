"""One decision, engine by engine, against ``opa bench`` of the same policy and input in the same run.

    python benchmarks/decision.py [--count 4000]

The reference policy: 20 agents with 50 tools each (grants in a data file), 7 deny rules, one of them with a pattern, and
obligations. ``opa bench`` evaluates in OPA's own process; ``--e2e`` asks its server over HTTP. Our figures include what a
caller pays: canonical JSON in, a ``Decision`` out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from openclaw.policy import Opa, PolicyEngine, regopy, regorus
from openclaw.policy.bundle import Bundle, combining_rules
from openclaw.policy.engine import encode
from openclaw.policy.opa import OpaEngine
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
INPUT = {
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


def rate(engine: PolicyEngine, threads: int, count: int) -> float:
    """Decisions in a second of this many threads together."""
    barrier = threading.Barrier(threads + 1)

    def work() -> None:
        barrier.wait()
        for _ in range(count // threads):
            engine.evaluate(INPUT)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    return count / (time.perf_counter() - start)


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
        one, two = rate(engine, 1, count), rate(engine, 2, count)
        print(f"regorus on two threads: {two / one:.2f} times one ({two:,.0f} against {one:,.0f} a second)\n")
    with contextlib.closing(regopy.RegopyEngine(bundle)) as child:
        assert child.evaluate(INPUT).allowed, child.evaluate(INPUT)
        yield ("regopy, decision", *measured(lambda: child.evaluate(INPUT), count // 4))
    if binary:
        yield ("opa bench --e2e (mean)", *opa_bench(binary, folder, "--e2e"))
        with opa_server.server(binary) as url, contextlib.closing(OpaEngine(Opa(url, policies=folder))) as server:
            assert server.evaluate(INPUT).allowed
            yield ("opa server, sync client", *measured(lambda: server.evaluate(INPUT), count // 4))
            yield ("opa server, async client", *asyncio.run(measured_async(server, count // 4)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000, help="decisions to measure")
    count = parser.parse_args().count
    binary = opa_server.binary() or shutil.which("opa")
    with reference() as folder:
        table = list(rows(folder, binary, count))
    bases = {label: median for label, median, _ in table if label.startswith("opa bench")}
    print(f"{'':32}{'µs':>10}{'p99 µs':>10}{'ratio':>8}  against")
    for label, median, p99 in table:
        base = next((name for name in bases if ("--e2e" in name) == ("server" in label or "--e2e" in label)), None)
        ratio = f"{median / bases[base]:8.2f}  {base}" if base else f"{'–':>8}  opa is not installed"
        print(f"{label:32}{median:10.1f}{p99:10.1f}{ratio}")


if __name__ == "__main__":
    main()
