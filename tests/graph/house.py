"""The real parts that graph tests run in: SQLite, the Rego engine, the log, the ledger, the gate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool, tool

from openclaw.answers import Said
from openclaw.approvals import Approvals
from openclaw.audit import AuditLog, Draft, Entry, Signer
from openclaw.budget import Energy, Ledger
from openclaw.clock import Clock, SystemClock
from openclaw.gate import Gate
from openclaw.graph import compile_graph
from openclaw.policy import open_engine
from openclaw.policy.engine import PolicyEngine
from openclaw.store import Store

POLICY = """
package openclaw.policies.house

import rego.v1

allow if input.kind in {"model", "handoff", "memory"}

allow if {
	input.kind == "tool"
	not input.tool.name in {"forbidden", "unlisted"}
}

deny contains "`forbidden` is never allowed" if input.tool.name == "forbidden"

deny contains "no more than 100" if {
	input.tool.name == "pay"
	input.tool.args.amount > 100
}

deny contains "only payers pay" if {
	input.tool.name == "pay"
	input.principal.agent != "house"
	count(input.principal.roles) > 0
	not "payer" in input.principal.roles
}

ask contains "a person looks at this" if input.tool.name == "risky"

deny contains "this agent receives nobody" if {
	input.kind == "handoff"
	input.tool.args.agent == "closed"
}

oblige contains {"kind": "rewrite", "args": {"amount": 5}} if input.tool.name == "capped"
"""


@dataclass
class House:
    """A gate over real parts, and what a test asks of it afterwards."""

    gate: Gate
    store: Store
    log: AuditLog
    ledger: Ledger
    approvals: Approvals
    did: list[Any] = field(default_factory=list)

    def compile(self, spec: Any, **kwargs: Any) -> Any:
        return compile_graph(spec, gate=self.gate, **kwargs)

    def entries(self, kind: str, **filters: Any) -> list[Entry]:
        self.gate.flush()
        return list(self.log.entries(kind=kind, **filters))

    def decisions(self, tool: str) -> list[str]:
        """The effects decided for a tool, in order."""
        return [entry.effect for entry in self.entries("decision") if entry.tool == tool]

    def outcomes(self, tool: str) -> list[dict[str, Any]]:
        """The bodies of the outcome entries of a tool, in order."""
        return [entry.body for entry in self.entries("outcome") if entry.tool == tool]

    def pending(self) -> list[str]:
        return [approval.id for approval in self.approvals.list()]

    def approve_all(self) -> None:
        for approval in self.pending():
            self.gate.answers.give(approval, Said(by="ada", approve=True))

    def assert_one_record_each(self) -> None:
        """Every permitted action has exactly one outcome, every outcome an action, and nothing ran without them."""
        permitted = [entry.seq for entry in self.entries("decision") if entry.effect == "allow"]
        ended = [entry.body["decision"] for entry in self.entries("outcome")]
        assert sorted(permitted) == sorted(ended)  # type: ignore[type-var]
        for name in {name for name, _ in self.did}:
            assert self.decisions(name).count("allow") == sum(name == other for other, _ in self.did)

    def tool(self, name: str, **kwargs: Any) -> BaseTool:
        """A tool that takes a number ``x`` and notes in ``did`` that it ran."""

        @tool(name, **kwargs)
        def act(x: int = 0) -> str:
            """Act."""
            self.did.append((name, x))
            return f"{name} did {x}"

        return act


@contextmanager
def house(
    path: Path, policy: str = POLICY, *, clock: Clock | None = None, energy: Energy | None = None
) -> Iterator[House]:
    folder = path / "policies"
    folder.mkdir(exist_ok=True)
    (folder / "house.rego").write_text(policy)
    engine: PolicyEngine = open_engine(folder)
    clock = clock or SystemClock()
    store = Store.open(f"sqlite:///{path / 'house.db'}", clock=clock)
    log = AuditLog(store, Signer("house", b"\7" * 32))
    ledger = Ledger(
        store,
        recorder=lambda transaction, effect, body: log.record(
            transaction, Draft(kind="reservation", effect=effect, body=body)
        ),
    )
    approvals = Approvals(store)
    gate = Gate(store=store, log=log, ledger=ledger, approvals=approvals, policy=engine, clock=clock, energy=energy)
    try:
        yield House(gate, store, log, ledger, approvals)
    finally:
        gate.flush()
        store.close()
        engine.close()
