"""What a candidate has differed in so far: the reports of all processes, added up."""

from __future__ import annotations

import datetime as dt

from openclaw.audit import AuditLog
from openclaw.errors import ConfigurationError
from openclaw.review.comparing import Frozen, Grouped, Tally
from openclaw.review.entries import entries_of, text, texts
from openclaw.review.shadow import Compared, read_compared


class Trouble(Frozen):
    """A candidate that could not be asked: entry ``seq`` says that it was ``refused``, or was ``unavailable``."""

    seq: int
    event: str
    reasons: tuple[str, ...]


class Shadowed(Grouped):
    """The comparisons with one candidate.

    Attributes:
        candidate: its revision; empty where none has been compared.
        engine: what has asked it.
        live: the revisions that had decided.
        dropped: how many decisions could not be compared.
        others: revisions of other candidates that the log knows.
        trouble: what was wrong with a candidate after the last comparison.
    """

    candidate: str = ""
    engine: str = ""
    live: tuple[str, ...] = ()
    dropped: int = 0
    others: tuple[str, ...] = ()
    trouble: Trouble | None = None


def shadowed(log: AuditLog, *, candidate: str = "", since: dt.datetime | None = None) -> Shadowed:
    """What the log knows of the candidate that was compared last, or of another one.

    Args:
        candidate: its revision, or how that begins, with or without ``sha256:``.
        since: leave out what was recorded before.

    Raises:
        ConfigurationError: the log knows no such candidate, or several.
    """
    reports: dict[str, list[Compared]] = {}
    trouble: Trouble | None = None
    for entry in entries_of(log, "policy", since=since):
        said = read_compared(entry)
        if said is not None:
            # Again at the end, so that the last one is the one that was compared last.
            reports[said.candidate] = [*reports.pop(said.candidate, []), said]
            trouble = None if said.groups else trouble
        elif entry.body.get("shadow") is True and text(entry.body, "event") in {"refused", "unavailable"}:
            event, reasons = text(entry.body, "event"), texts(entry.body, "reasons")
            trouble = Trouble(seq=entry.seq, event=event, reasons=reasons)
    if candidate:
        wanted = _one(reports, candidate)
    else:
        wanted = next(reversed([name for name, said in reports.items() if any(it.groups for it in said)]), "")
        wanted = wanted or next(reversed(reports), "")
    others = tuple(sorted(name for name in reports if name and name != wanted))
    found = reports.get(wanted, [])
    if not found:
        return Shadowed(others=others, trouble=trouble)
    tally = Tally()
    for said in found:
        tally.add_groups(said.groups)
    return Shadowed(
        candidate=wanted,
        engine=found[-1].engine,
        live=tuple(dict.fromkeys(said.live for said in found if said.live)),
        dropped=sum(said.dropped for said in found),
        groups=tally.groups(),
        others=others,
        trouble=trouble,
    )


def _one(reports: dict[str, list[Compared]], candidate: str) -> str:
    meant = [name for name in reports if name.removeprefix("sha256:").startswith(candidate.removeprefix("sha256:"))]
    if len(meant) == 1:
        return meant[0]
    known = ", ".join(f"`{name}`" for name in reports) or "none"
    what = "several candidates" if meant else "no candidate"
    raise ConfigurationError(f"the log knows {what} whose revision begins with `{candidate}`", hint=f"it knows {known}")
