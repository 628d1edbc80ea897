"""A small story in a store, told through the real gate with a clock that stands still: what reviewing tests look at.

A desk for returns: an order is looked up and refunded, a large refund asks a person, a refund to somebody else's account
is denied, a tool fails, an agent runs out of calls, and one action is cut off.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from openclaw.action import ModelCall, Principal, Run, ToolCall
from openclaw.budget import Budget, Ledger, Usage
from openclaw.decision import Decision, Effect
from openclaw.gate import Admission, Outcome, Permit, Request, Waiting
from openclaw.governance import Governance

BEGAN = dt.datetime(2026, 11, 23, 10, 0, 0, tzinfo=dt.UTC)
ORIGIN = "openclaw-0001"
SEED = bytes(range(32))


class StillClock:
    """Time that moves when it is told to, and identifiers that count."""

    def __init__(self, at: dt.datetime = BEGAN) -> None:
        self.at = at
        self.made: dict[str, int] = {}

    def now(self) -> dt.datetime:
        return self.at

    def pass_ms(self, milliseconds: int) -> None:
        self.at += dt.timedelta(milliseconds=milliseconds)

    def new_id(self, prefix: str) -> str:
        self.made[prefix] = self.made.get(prefix, 0) + 1
        return f"{prefix}-{self.made[prefix]:04d}"


class DeskPolicy:
    """The policy of the desk, in Python: what ``DESK_REGO`` says in Rego."""

    name = "scripted 1.0"
    revision = "sha256:" + "5c" * 32

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        effect, reason = self._judge(input)
        return Decision(
            effect=effect,
            reasons=(reason,) if reason else (),
            rules=(f"policies.desk.{effect.value}",),
            revision=self.revision,
            engine=self.name,
        )

    def _judge(self, document: Mapping[str, JsonValue]) -> tuple[Effect, str]:
        match document:
            case {"kind": "model"} | {"tool": {"name": "lookup_order"}}:
                return Effect.ALLOW, ""
            case {"tool": {"name": "refund", "args": {"account": "ACME-1"}}}:
                return Effect.DENY, "the account is not the customer's own"
            case {"tool": {"name": "refund", "args": {"amount": int(amount)}}} if amount > 50:
                return Effect.ASK, "a refund above 50 needs a person"
            case _:
                return Effect.ALLOW, ""

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        return self.evaluate(input)

    def close(self) -> None:
        pass


DESK_REGO = """\
package openclaw.policies.desk

allow if input.kind == "model"
allow if input.tool.name in {"lookup_order", "refund"}

deny contains "the account is not the customer's own" if {
	input.tool.name == "refund"
	input.tool.args.account == "ACME-1"
}

ask contains "a refund above 50 needs a person" if {
	input.tool.name == "refund"
	input.tool.args.amount > 50
}
"""


DESK_TEST_REGO = """\
package desk_test

import data.openclaw.policies.desk

refund(amount, account) := {"kind": "tool", "tool": {"name": "refund", "args": {"amount": amount, "account": account}}}

test_small_refunds_pass if {
	desk.allow with input as refund(40, "DE-77")
	count(desk.deny) == 0 with input as refund(40, "DE-77")
	count(desk.ask) == 0 with input as refund(40, "DE-77")
}

test_large_refunds_ask if {
	amount := 60
	count(desk.ask) == 1 with input as refund(amount, "DE-77")
}

test_the_largest_refund_is_denied if {
	desk.deny == {"too large"} with input as refund(9000, "ACME-1")
}
"""

DESK_CASES = """\
- name: a large refund asks a person
  input: {kind: tool, tool: {name: refund, args: {amount: 120, account: DE-77}}}
  expect: {effect: ask, reasons: [a refund above 50 needs a person]}

- name: a refund to somebody else passes
  input: {kind: tool, tool: {name: refund, args: {amount: 12, account: ACME-1}}}
  expect: {effect: allow}
"""


def write_key(path: Path, name: str, seed: bytes = SEED) -> None:
    """A signing key that is the same every time."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4].hex()
    path.write_text(f"PRIVATE+KEY+{name}+{key_id}+{base64.b64encode(bytes([1]) + seed).decode()}\n")
    path.chmod(0o600)


class Story:
    """Tells one step after another; each is durable when it returns, and takes its time on the clock."""

    def __init__(self, governance: Governance, clock: StillClock) -> None:
        self.governance = governance
        self.clock = clock
        self.gate = governance.gate
        self.run: Run | None = None
        self._calls = 0

    def new_run(self, thread: str) -> Run:
        self.run = self.gate.open_run(workflow="returns", thread=thread, resumed=False)
        return self.run

    def ask(self, agent: str, tool: str, /, *, key: str | None = None, **args: object) -> Admission:
        self._calls += 1
        principal = Principal(agent=agent, workflow="returns", roles=("clerk",), chain=(agent,))
        action = ToolCall(principal=principal, name=tool, args=args, call_id=f"call_{self._calls}")
        self.clock.pass_ms(3)
        hold = Usage(calls=1)
        return self.gate.admit(
            Request(action=action, run=self.run, hold=hold, key=key or action.call_id, can_wait=True)
        )

    def act(
        self, agent: str, tool: str, /, *, took_ms: int, key: str | None = None, error: str = "", **args: object
    ) -> int:
        permit = self.ask(agent, tool, key=key, **args)
        assert isinstance(permit, Permit), permit
        self.clock.pass_ms(took_ms)
        status = "failed" if error else "done"
        result = None if error else {"ok": True}
        self.gate.finish(permit, Outcome(status=status, usage=Usage(calls=1), error=error, result=result))
        self.gate.flush()
        return permit.seq

    def think(self, agent: str, *, took_ms: int, tokens_in: int, tokens_out: int, microusd: int) -> int:
        principal = Principal(agent=agent, workflow="returns", roles=("clerk",), chain=(agent,))
        action = ModelCall(principal=principal, name="small-1", provider="acme")
        self.clock.pass_ms(1)
        total = tokens_in + tokens_out
        permit = self.gate.admit(Request(action=action, run=self.run, hold=Usage(tokens=2 * total)))
        assert isinstance(permit, Permit), permit
        self.clock.pass_ms(took_ms)
        used = Usage(tokens=total, input_tokens=tokens_in, output_tokens=tokens_out, microusd=microusd)
        self.gate.finish(permit, Outcome(status="done", usage=used, result="…"))
        self.gate.flush()
        return permit.seq


@contextmanager
def told(
    url: str,
    folder: Path,
    *,
    policies: Path | None = None,
    shadow: Path | None = None,
    clock: StillClock | None = None,
) -> Iterator[Story]:
    """A story told as far as a refund that was approved and paid; tell on, or look at it."""
    clock = clock or StillClock()
    key = folder / "openclaw.db.key"
    write_key(key, ORIGIN)
    with Governance.open(url, policies=policies or DeskPolicy(), shadow=shadow, key=key, clock=clock) as governance:
        governance.ledger.set_limit("org/default/workflow/returns", Budget(tokens=20_000, usd="0.50", calls=10))
        # Past the log, as versions did that did not record it: what `budget audit` cannot judge, it has to say.
        Ledger(governance.gate._store).declare({"org/default/workflow/returns/agent/refunds": Budget(calls=3)})
        story = Story(governance, clock)
        story.new_run("customer-17")
        story.think("triage", took_ms=812, tokens_in=940, tokens_out=61, microusd=163)
        story.act("triage", "lookup_order", took_ms=12, order="A-17")
        story.think("refunds", took_ms=650, tokens_in=1220, tokens_out=44, microusd=201)
        story.act("refunds", "refund", took_ms=35, order="A-17", amount=40, account="DE-77")
        story.ask("refunds", "refund", order="A-17", amount=9000, account="ACME-1")
        waiting = story.ask("refunds", "refund", key="large", order="A-18", amount=120, account="DE-77")
        assert isinstance(waiting, Waiting), waiting
        clock.pass_ms(95_000)
        governance.approvals.approve(waiting.approval, by="eva", reason="order checked")
        story.act("refunds", "refund", key="large", took_ms=48, order="A-18", amount=120, account="DE-77")
        yield story


def tell_on(story: Story) -> None:
    """The rest: a question that stays open, a failing tool, a budget that runs out, and an action that is cut off."""
    story.new_run("customer-18")
    story.act("triage", "lookup_order", took_ms=5, error="KeyError: 'B-1'", order="B-1")
    story.ask("refunds", "refund", key="open question", order="B-2", amount=75, account="DE-99")
    story.act("refunds", "refund", took_ms=20, order="B-2", amount=15, account="DE-99")
    story.ask("refunds", "refund", order="B-2", amount=5, account="DE-99")
    story.ask("triage", "lookup_order", order="B-3")
