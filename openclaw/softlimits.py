"""What soft limits say to one action: which stages hold, and that each is told once for a window.

A stage that is reached is an entry of kind ``reservation`` (``"event": "soft"``), in the commit of the decision that found it,
and a call of whoever listens. It is told once for a window of an account by each process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import JsonValue

from openclaw.action import Principal
from openclaw.audit import AuditLog, Draft
from openclaw.budget import Ledger, Soft, Stage, Use
from openclaw.passing import Request
from openclaw.store import Transaction


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage of the soft limits of an agent, and the use of a budget by which it was reached. ``seq`` is its entry."""

    agent: str
    stage: Stage
    use: Use
    seq: int = 0


class SoftLimits:
    """The soft limits of one gate. Safe to use from many threads."""

    def __init__(self, ledger: Ledger, log: AuditLog) -> None:
        self._ledger = ledger
        self._log = log
        self._lock = threading.Lock()
        self._told: set[tuple[object, ...]] = set()
        self.observer: Callable[[Reached], None] | None = None  # told once the entry is durable; must not raise

    def reached(self, principal: Principal, soft: Soft | None, also: Iterable[str] = ()) -> tuple[Reached, ...]:
        """The stages that hold for a principal just now; ``also`` are accounts besides its own. Reads the ledger."""
        if soft is None:
            return ()
        uses = self._ledger.uses(principal.account, also)
        if not uses:
            return ()
        most = max(uses, key=lambda use: use.percent)
        return tuple(Reached(principal.agent, stage, most) for stage in soft.stages(most.percent))

    def record(self, transaction: Transaction, request: Request, reached: Sequence[Reached], decision: int) -> None:
        """Record the stages that have not been told of yet, with the entry of the decision that found them."""
        for it in reached:
            name = (it.agent, it.stage, it.use.account, it.use.window, it.use.opens_at)
            if name in self._told:
                continue
            use: dict[str, JsonValue] = it.use.model_dump(
                mode="json", include={"account", "window", "unit", "limit", "used"}
            )
            body: dict[str, JsonValue] = {"event": "soft", "stage": it.stage, **use, "percent": it.use.percent}
            body["decision"] = decision
            principal, run = request.action.principal, request.run
            draft = Draft(
                kind="reservation",
                run=run.id if run else "",
                workflow=principal.workflow,
                agent=principal.agent,
                body=body,
            )
            seq = self._log.record(transaction, draft)
            transaction.after.append(partial(self._tell, name, Reached(it.agent, it.stage, it.use, seq)))

    def _tell(self, name: tuple[object, ...], reached: Reached) -> None:
        with self._lock:
            known = name in self._told
            self._told.add(name)
        if self.observer is not None and not known:
            self.observer(reached)


__all__ = ["Reached", "SoftLimits"]
