"""What was spent, action by action: the outcomes in the log with the decisions that they belong to, read page by page.

What an action used is what its outcome says was posted for it, so the sums are those of the ledger. Movements that a program
asks of the ledger itself (``Ledger.reserve`` and ``settle``) belong to no action; the ledger has them, these pages have not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from openclaw.audit.reading import Line, Reader, Seen, Selection
from openclaw.budget import UNITS, Unit
from openclaw.budget.account import labels_of
from openclaw.review.entries import number, part, text

NOBODY = "(none)"
"""The workflow of an agent outside of any, the run of an action outside of any, and what else has no name."""


@dataclass(frozen=True, slots=True)
class Spent:
    """One action that has ended, and what was posted for it.

    ``provider`` is empty but for a model. ``status`` is how it ended: ``done``, ``failed``, ``cancelled``, ``unknown``;
    ``approved`` says that a person had let it through; ``priced`` that its money is known. ``again`` marks what became known
    late of an action that was told before: its amounts are what was posted since, and it is no other action. ``used`` has
    the units of which there was any. ``energy`` is the estimate on record: the least and the most of milliwatt-hours, then of
    milligrams of CO2e; None where there is none. ``labels`` are those on whose accounts it counted.
    """

    seq: int
    at: dt.datetime
    run: str
    org: str
    workflow: str
    agent: str
    kind: str
    provider: str
    name: str
    status: str
    approved: bool
    estimated: bool
    priced: bool
    again: bool
    used: dict[Unit, int]
    energy: tuple[int, int, int, int] | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def model(self) -> str:
        """Provider and name, ``openai/gpt-4o``; empty for everything but a model call."""
        return "/".join(filter(None, (self.provider, self.name))) if self.kind == "model" else ""


def spending(
    reader: Reader,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    seen: Seen | None = None,
) -> Iterator[Spent]:
    """The actions that ended from ``since`` on and before ``until``, in the order of the log. Holds one page at a time.

    ``seen`` hears how far the reading has come.

    Raises:
        VerificationError: an entry was changed so that it cannot be read.
    """
    for page in reader.lines(Selection(equal={"kind": "outcome"}, since=since, until=until), seen=seen):
        decisions = reader.bodies({number(line.body, "decision") for line in page})
        for line in page:
            # What waits by itself is charged when it ends.
            if text(line.body, "status") != "suspended":
                yield _spent(line, decisions.get(number(line.body, "decision")))


def _spent(line: Line, decision: JsonValue) -> Spent:
    asked, told = part(decision, "input"), part(line.body, "used")
    used: dict[Unit, int] = {unit: amount for unit in UNITS if (amount := number(told, unit))}
    kind = text(asked, "kind") or ("tool" if "calls" in used else "model")
    known = text(line.body, "price", "source") not in ("", "unknown")
    priced = known or kind != "model" or "microusd" in used or "tokens" not in used
    again = part(line.body, "late") is True
    if again:  # what it held was posted when nobody knew what became of it; the ledger has posted the rest since
        used = {unit: max(0, amount - number(decision, "reservation", "held", unit)) for unit, amount in used.items()}
    return Spent(
        seq=line.seq,
        at=dt.datetime.fromisoformat(line.at),
        run=line.run,
        org=text(asked, "principal", "org"),
        workflow=line.workflow,
        agent=line.agent,
        kind=kind,
        provider=text(asked, "model", "provider"),
        name=line.tool,
        status=text(line.body, "status"),
        approved=bool(text(decision, "approval")),
        estimated=part(line.body, "estimated") is True,
        priced=priced,
        again=again,
        used=used,
        energy=_energy(part(line.body, "energy")),
        labels=_labels(part(decision, "reservation", "also")),
    )


def _energy(told: JsonValue) -> tuple[int, int, int, int] | None:
    match told:
        case {"mwh": [int(least), int(most)], "co2e_mg": [int(little), int(much)]}:
            return least, most, little, much
        case _:
            return None


def _labels(told: JsonValue) -> dict[str, str]:
    return labels_of(it for it in told if isinstance(it, str)) if isinstance(told, list) else {}


def refusals(
    reader: Reader, *, since: dt.datetime | None = None, until: dt.datetime | None = None
) -> Iterator[tuple[str, int]]:
    """What was not let through in that time: the run, and the number of the decision that asked a person or denied."""
    for effect in ("ask", "deny"):
        wanted = Selection(equal={"kind": "decision", "effect": effect}, since=since, until=until)
        for page in reader.lines(wanted):
            yield from ((line.run, line.seq) for line in page if part(line.body, "of") is None)


__all__ = ["NOBODY", "Spent", "refusals", "spending"]
