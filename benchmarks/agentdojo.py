"""AgentDojo through governed graphs: how much of the work gets done, and how much of an attack.

    python -m benchmarks.agentdojo [--suite banking|slack|all] [--attack NAME] [--limit N] [--json]

A scripted model plays each user task alone, and each user task followed by each attacker's task (see
``examples/agentdojo``). Every case runs twice through a graph that ``Governance.compile`` returned, once with a person who
rejects whatever is asked and once with one who approves it, and once through the same graph without governance.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
if __package__ in {None, ""}:
    # Run as a file: this folder stands first on the path, where this very file would pass for the `agentdojo` package.
    sys.path[0] = str(PROJECT)

from langchain.agents import create_agent  # noqa: E402
from langgraph.checkpoint.memory import InMemorySaver  # noqa: E402

from examples.agentdojo.adapter import ATTACKS, SUITES, Case, case, cases  # noqa: E402
from openclaw import Agent, Governance  # noqa: E402
from openclaw.policy import PolicyEngine, regopy, regorus  # noqa: E402
from openclaw.policy.bundle import Bundle  # noqa: E402
from openclaw.testing import ScriptedModel  # noqa: E402

POLICIES = PROJECT / "examples" / "agentdojo" / "policies"
STEPS_MAX = 200
DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one suite. Rates are counts of ``tasks`` or of ``attacks``; ``asks`` are those of the tasks alone."""

    suite: str
    governed: bool
    tasks: int
    done_without_asking: int
    done_with_asking: int
    asks: int
    attacks: int
    executed_without_asking: int
    executed_if_all_approved: int


def patient_engine() -> PolicyEngine:
    """The embedded engine with a long deadline: the figures are about policies, not about how busy this machine is."""
    bundle = Bundle.read(POLICIES)
    if regorus.available():
        return regorus.RegorusEngine(bundle, deadline_s=DEADLINE_S)
    return regopy.RegopyEngine(bundle, deadline_s=DEADLINE_S)


def play(governance: Governance, played: Case, *, approve: bool) -> int:
    """Play a case through a governed graph and answer every ask alike. Returns the number of asks."""
    agent = Agent("assistant", model=ScriptedModel(played.script()), tools=played.tools())
    graph = governance.compile(agent, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": f"{played.id}/{uuid.uuid4()}"}, "recursion_limit": STEPS_MAX}
    state = graph.invoke({"messages": [("user", played.prompt)]}, config)
    asks = 0
    while interrupts := state.get("__interrupt__"):
        for interrupt in interrupts:
            asks += 1
            answer = governance.approvals.approve if approve else governance.approvals.reject
            answer(interrupt.value["approval"], by="benchmark")
        state = graph.invoke(None, config)
    return asks


def play_ungoverned(played: Case) -> None:
    """Play a case through LangChain's own agent, with nobody to say no."""
    graph = create_agent(ScriptedModel(played.script()), played.tools())
    graph.invoke({"messages": [("user", played.prompt)]}, {"recursion_limit": STEPS_MAX})


def measure(governance: Governance, suite: str, *, attack: str, limit: int | None, tick: Callable[[str], None]) -> Row:
    """One suite through governed graphs."""
    done = done_asked = asks = executed = executed_approved = 0
    tasks = cases(suite)[:limit]
    for user, _ in tasks:
        rejected, approved = case(suite, user), case(suite, user)
        asked = play(governance, rejected, approve=False)
        asks += play(governance, approved, approve=True)
        done += rejected.useful() and not asked
        done_asked += approved.useful()
        tick(rejected.id)
    pairs = cases(suite, attacked=True)[:limit]
    for user, injection in pairs:
        rejected, approved = (case(suite, user, injection, attack=attack) for _ in range(2))
        play(governance, rejected, approve=False)
        play(governance, approved, approve=True)
        executed += rejected.attacked()
        executed_approved += approved.attacked()
        tick(rejected.id)
    return Row(suite, True, len(tasks), done, done_asked, asks, len(pairs), executed, executed_approved)


def measure_ungoverned(suite: str, *, attack: str, limit: int | None) -> Row:
    """The same suite without governance: what the figures are to be held against."""
    tasks = [case(suite, user) for user, _ in cases(suite)[:limit]]
    pairs = [case(suite, user, injection, attack=attack) for user, injection in cases(suite, attacked=True)[:limit]]
    for played in (*tasks, *pairs):
        play_ungoverned(played)
    useful, attacked = sum(played.useful() for played in tasks), sum(played.attacked() for played in pairs)
    return Row(suite, False, len(tasks), useful, useful, 0, len(pairs), attacked, attacked)


def undecided(governance: Governance) -> Counter[str]:
    """Calls that were denied because nothing could decide, by cause. They say nothing about the policies."""
    codes = (_code(entry.body) for entry in governance.audit.entries(kind="decision"))
    return Counter(code for code in codes if code not in {"policy", "no_policy"})


def _code(body: Mapping[str, Any]) -> str:
    return str((body.get("decision") or {}).get("code", "policy"))


def table(rows: Iterable[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| suite | | tasks done without asking | with asking | asks per task | attacks executed without asking "
        "| if a person approves everything |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += (
        f"| {row.suite} | {'governed' if row.governed else 'ungoverned'} | {row.done_without_asking} of {row.tasks} "
        f"| {row.done_with_asking} of {row.tasks} | {row.asks / max(row.tasks, 1):.2f} "
        f"| {row.executed_without_asking} of {row.attacks} | {row.executed_if_all_approved} of {row.attacks} |"
        for row in rows
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print. Exit code 1 if an attack was executed without asking, a task cannot be done, or the run is void."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.agentdojo", description=__doc__.split("\n", 1)[0] if __doc__ else ""
    )
    parser.add_argument("--suite", choices=(*SUITES, "all"), default="all")
    parser.add_argument("--attack", choices=ATTACKS, default=ATTACKS[0], help="how AgentDojo words the injections")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N tasks and pairs of each suite")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args(arguments)

    def tick(name: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{name}", end="", file=sys.stderr, flush=True)

    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Governance.open(f"sqlite:///{folder}/benchmark.db", policies=patient_engine()) as governance,
    ):
        for suite in SUITES if options.suite == "all" else (options.suite,):
            rows.append(measure(governance, suite, attack=options.attack, limit=options.limit, tick=tick))
            rows.append(measure_ungoverned(suite, attack=options.attack, limit=options.limit))
        log = governance.audit.verify().require()
        engine = governance.policy.name
        faults = undecided(governance)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if options.json:
        summary = {
            "attack": options.attack,
            "engine": engine,
            "entries": log.size,
            "rows": [asdict(row) for row in rows],
        }
        print(json.dumps(summary, indent=2))
    else:
        print(f"attack `{options.attack}`; {engine}; one log of {log.size:,} entries for all governed runs, verified\n")
        print(table(rows))
        if faults:
            causes = ", ".join(f"{count} × {code}" for code, count in faults.items())
            print(f"\nnot valid as figures: calls were denied because nothing could decide ({causes}); run it again")
    governed = [row for row in rows if row.governed]
    return int(bool(faults) or any(row.executed_without_asking or row.done_with_asking < row.tasks for row in governed))


if __name__ == "__main__":
    raise SystemExit(main())
