"""What work costs: the actions of a log grouped, their sums, and what a unit of work came to.

What the figures stand on:

- a *completed run* is one whose last record is an outcome ``done``: nothing of it is open, and it did not end in a question or
  a refusal; of a run that goes beyond the time that is looked at, the part within counts
- an *approved action* is one that a person let through and that is ``done``
- the *label of an outcome* is how an action ended: ``done``, ``failed``, ``cancelled``, ``unknown``
- all the money of a group is set against its completed runs, or its approved actions: what failed on the way was paid too
- *unpriced* are model calls whose money is unknown. They are counted and named, and no sum has them: such a sum is the least
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, computed_field

from openclaw.budget import UNITS, Unit
from openclaw.budget.account import label_accounts
from openclaw.budget.amount import UTC, opens_at, zone_of
from openclaw.errors import BudgetError, ConfigurationError
from openclaw.review.spending import NOBODY, Spent

Period = Literal["hour", "day", "week", "month"]
Fixed = Literal["agent", "workflow", "org", "label", "model", "tool", "outcome", "run", "hour", "day", "week", "month"]
BY: tuple[Fixed, ...] = get_args(Fixed)
By: TypeAlias = str
"""One of ``BY``; or the name of a label, by whose values groups are made."""

PERIODS: tuple[Period, ...] = get_args(Period)


class Group(BaseModel):
    """The actions of one agent, model, day, …: how many there were, how they ended, what they used.

    ``runs`` are those that it had a part in. ``mwh`` and ``co2e_mg`` are the sums of the estimates on record, the least and the
    most, and None where there is no estimate; ``energy_unknown`` are the model calls without one, of which the sums have nothing.
    Money is micro-USD; what is per something is rounded up, and None where there is none of it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    actions: int
    done: int
    approved: int
    runs: int
    completed_runs: int
    unpriced: int
    estimated: int
    used: dict[Unit, int]
    mwh: tuple[int, int] | None
    co2e_mg: tuple[int, int] | None
    energy_unknown: int

    @computed_field
    @property
    def microusd_per_completed_run(self) -> int | None:
        """All its money over its completed runs."""
        return _each(self.used["microusd"], self.completed_runs)

    @computed_field
    @property
    def microusd_per_approved_action(self) -> int | None:
        """All its money over its approved actions."""
        return _each(self.used["microusd"], self.approved)

    @computed_field
    @property
    def microusd_per_action(self) -> int | None:
        """Its money over all its actions."""
        return _each(self.used["microusd"], self.actions)

    @computed_field
    @property
    def tokens_per_action(self) -> int | None:
        """Its tokens over all its actions."""
        return _each(self.used["tokens"], self.actions)


class CostReport(BaseModel):
    """All groups, the dearest first (periods in order of time); the same by how actions ended; and their sum.

    ``zone`` is the time zone whose calendar periods are of. By ``label`` an action is in the group of each of its labels.
    """

    model_config = ConfigDict(frozen=True)

    by: By
    zone: str
    since: dt.datetime | None
    until: dt.datetime | None
    groups: tuple[Group, ...]
    outcomes: tuple[Group, ...]
    total: Group


class Costs:
    """Adds up what was spent. Memory grows with the groups and the runs, and not with the actions.

    Attributes:
        labels: the names of labels that were seen.
    """

    def __init__(self, by: By, *, zone: str = UTC) -> None:
        self._by: By = by
        self._zone = zone
        self._names = _naming(by, zone)
        self.labels: set[str] = set()
        self._groups: defaultdict[str, _Tally] = defaultdict(_Tally)
        self._outcomes: defaultdict[str, _Tally] = defaultdict(_Tally)
        self._total = _Tally()
        self._last: dict[str, tuple[int, bool]] = {}

    def add(self, spent: Spent) -> None:
        """Count one action that has ended."""
        self._total.add(spent)
        self._outcomes[spent.status or NOBODY].add(spent)
        self.labels.update(spent.labels)
        for name in self._names(spent):
            self._groups[name or NOBODY].add(spent)
        self._ended(spent.run, spent.seq, done=spent.status == "done")

    def refuse(self, run: str, seq: int) -> None:
        """Hear of something that was asked or denied: a run in which nothing came after it is not complete."""
        self._ended(run, seq, done=False)

    def _ended(self, run: str, seq: int, *, done: bool) -> None:
        if run and seq > self._last.get(run, (0, False))[0]:
            self._last[run] = (seq, done)

    def report(
        self,
        *,
        open_runs: Iterable[str] = (),
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> CostReport:
        """All of it. ``open_runs`` are those in which an action is under way, or was cut off."""
        completed = {run for run, (_, done) in self._last.items() if done} - set(open_runs)
        groups = [tally.group(name, completed) for name, tally in self._groups.items()]
        if self._by in PERIODS:
            groups.sort(key=_in_order_of_time if self._by == "hour" else _by_name)
        else:
            groups.sort(key=_dearest_first)
        outcomes = sorted((tally.group(name, completed) for name, tally in self._outcomes.items()), key=_dearest_first)
        return CostReport(
            by=self._by,
            zone=self._zone,
            since=since,
            until=until,
            groups=tuple(groups),
            outcomes=tuple(outcomes),
            total=self._total.group("total", completed),
        )


def read_by(said: str) -> By:
    """What groups are made by, as it was said: one of ``BY``, or else the name of a label.

    Raises:
        ConfigurationError: groups cannot be made by that.
    """
    try:
        if said not in BY:
            label_accounts("org/any", {said: "any"})
    except BudgetError as error:
        raise ConfigurationError(
            f"spending cannot be grouped by `{said}`", hint=f"by {', '.join(BY)}, or the name of a label"
        ) from error
    return said


def _naming(by: By, zone: str) -> Callable[[Spent], Sequence[str]]:
    """The names of the groups that an action belongs to; none for one that such groups do not have."""
    match by:
        case "agent" | "workflow" | "org" | "run":
            return lambda spent: (str(getattr(spent, by)),)
        case "outcome":
            return lambda spent: (spent.status,)
        case "label":
            return lambda spent: [f"{name}={value}" for name, value in spent.labels.items()] or [NOBODY]
        case "model":
            return lambda spent: (spent.model,) if spent.model else ()
        case "tool":
            return lambda spent: () if spent.kind == "model" else (spent.name,)
        case "hour" | "day" | "week" | "month":
            return lambda spent: (_period(by, spent.at, zone),)
        case _:
            return lambda spent: (spent.labels.get(by, NOBODY),)


def _period(period: Period, at: dt.datetime, zone: str) -> str:
    began = (opens_at(period, at, zone) or at).astimezone(zone_of(zone))
    match period:
        case "hour":
            return began.isoformat(timespec="minutes").replace("+00:00", "Z" if zone == UTC else "+00:00")
        case "month":
            return f"{began:%Y-%m}"
        case "day" | "week":
            return f"{began:%Y-%m-%d}"


def _by_name(group: Group) -> str:
    return group.name


def _in_order_of_time(group: Group) -> dt.datetime:
    """An hour that a clock goes through twice has two offsets, the greater of which comes first."""
    return dt.datetime.fromisoformat(group.name)


def _dearest_first(group: Group) -> tuple[int, int, int, str]:
    return -group.used["microusd"], -group.used["tokens"], -group.actions, group.name


class _Tally:
    def __init__(self) -> None:
        self.actions = self.done = self.approved = self.unpriced = self.estimated = self.dark = 0
        self.energy: tuple[int, ...] = ()
        self.runs: set[str] = set()
        self.used: dict[Unit, int] = dict.fromkeys(UNITS, 0)

    def add(self, spent: Spent) -> None:
        if not spent.again:
            self.actions += 1
            self.unpriced += not spent.priced
            self.estimated += spent.estimated
            self._add_energy(spent)
        if spent.status == "done":
            self.done += 1
            self.approved += spent.approved
        if spent.run:
            self.runs.add(spent.run)
        for unit, amount in spent.used.items():
            self.used[unit] += amount

    def _add_energy(self, spent: Spent) -> None:
        if spent.energy is not None:
            known = self.energy or (0, 0, 0, 0)
            self.energy = tuple(one + more for one, more in zip(known, spent.energy, strict=True))
        elif spent.kind == "model":
            self.dark += 1

    def group(self, name: str, completed: set[str]) -> Group:
        return Group(
            name=name,
            actions=self.actions,
            done=self.done,
            approved=self.approved,
            runs=len(self.runs),
            completed_runs=len(self.runs & completed),
            unpriced=self.unpriced,
            estimated=self.estimated,
            used=dict(self.used),
            mwh=(self.energy[0], self.energy[1]) if self.energy else None,
            co2e_mg=(self.energy[2], self.energy[3]) if self.energy else None,
            energy_unknown=self.dark,
        )


def _each(amount: int, count: int) -> int | None:
    return -(-amount // count) if count else None


__all__ = ["BY", "PERIODS", "By", "CostReport", "Costs", "Group", "Period", "read_by"]
