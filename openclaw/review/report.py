"""The report of a time as a document: every statement with its numbers, and with the entries to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from openclaw.audit import Entry
from openclaw.review.document import Block, Document, Heading, Paragraph, Table, Values
from openclaw.review.entries import call, detail, event, number, reasons, text
from openclaw.review.evidence import LISTED_MAX, Evidence, Listed, limits_of
from openclaw.review.queue import last_of
from openclaw.review.stats import Tally
from openclaw.review.wording import amount, count, shortened, unit_name, usd

CALL_MAX = 160
_TIME = "%Y-%m-%d %H:%M:%S"


def report_of(evidence: Evidence) -> Document:
    """The document that an auditor is handed."""
    period = evidence.period
    return Document(
        title=f"Governance report: {evidence.origin}, {period.since:%Y-%m-%d} to {period.until:%Y-%m-%d}",
        blocks=(
            *_whole(evidence),
            *_verification(evidence),
            *_governed(evidence),
            *_policies(evidence),
            *_denials(evidence),
            *_asks(evidence),
            *_budget(evidence),
            *_stops(evidence),
            *_exceptions(evidence),
            *_reviews(evidence),
            *_new(evidence),
            *_frameworks(evidence),
        ),
    )


def _whole(evidence: Evidence) -> Iterator[Block]:
    period, whole = evidence.period, evidence.stats.whole
    dated = evidence.pin.at if evidence.pin else "not yet: no checkpoint covers this time"
    yield Values(
        (
            ("Log", evidence.origin),
            ("Time", f"{period.since:{_TIME}} to {period.until:{_TIME}} UTC, the end not included"),
            ("As of", dated),
            ("Entries", f"{count(evidence.stats.entries)}, from {evidence.first} to {evidence.last}"),
            (
                "Decisions",
                f"{count(whole.decisions)}: {count(whole.allowed)} allowed, {count(whole.asked)} asked of people,"
                f" {count(whole.denied)} denied ({whole.denial_permille / 10:.1f} %)",
            ),
            ("Actions that failed", count(whole.failed)),
            ("Spent", f"{count(whole.tokens)} tokens, {usd(whole.microusd)}"),
        )
    )


def _verification(evidence: Evidence) -> Iterator[Block]:
    verified, pin = evidence.verified, evidence.pin
    yield Heading("Verification")
    if verified.ok:
        yield Paragraph(
            "The whole log was read again: every entry, every node of its hash tree and every signed checkpoint. It holds:"
            " nothing was changed, removed or put in another order."
        )
    else:
        yield Paragraph("The log does not hold. Nothing below can be relied upon until this is explained.", alarm=True)
        yield Table(("Entry", "What was found"), tuple((str(one.seq or ""), one.message) for one in verified.problems))
    for warning in verified.warnings:
        yield Paragraph(f"Warning: {warning}")
    if pin is None:
        yield Paragraph(
            "No signed checkpoint covers the end of this time yet: `openclaw audit checkpoint` makes one, and this report"
            " is final after that.",
            alarm=True,
        )
    else:
        yield Values(
            (
                ("Checkpoint", f"entry {pin.seq}, of {count(pin.size)} entries"),
                ("Root", pin.root),
                *(("Key", key) for key in verified.keys),
            )
        )
    yield Paragraph("Any entry named below is proven by `openclaw audit prove SEQ`, and checked without the database.")


def _governed(evidence: Evidence) -> Iterator[Block]:
    yield Heading("What was governed")
    if evidence.workflows:
        yield Table(
            ("Workflow", "Decisions"),
            tuple((name, count(found)) for name, found in sorted(evidence.workflows.items())),
            frozenset({1}),
        )
    for name, tallies in (("Agent", evidence.stats.agents), ("Tool or model", evidence.stats.tools)):
        if tallies:
            columns = (name, "Decisions", "Allowed", "Asked", "Denied", "Failed", "Tokens", "USD")
            yield Table(columns, tuple(map(_tally, tallies)), frozenset(range(1, 8)))


def _tally(one: Tally) -> tuple[str, ...]:
    counts = (one.decisions, one.allowed, one.asked, one.denied, one.failed, one.tokens)
    return one.name, *map(count, counts), usd(one.microusd)


def _policies(evidence: Evidence) -> Iterator[Block]:
    yield Heading("Policies")
    yield Table(
        ("Revision", "Decisions"),
        tuple((revision, count(found)) for revision, found in sorted(evidence.revisions.items())),
        frozenset({1}),
    )
    if evidence.policies:
        rows = (
            (str(one.seq), f"{one.at:{_TIME}}", event(one), detail(one), text(one.body, "engine"))
            for one in evidence.policies
        )
        yield Table(("Entry", "At (UTC)", "What", "Policies", "Engine"), tuple(rows), frozenset({0}))


def _denials(evidence: Evidence) -> Iterator[Block]:
    yield Heading("Denials")
    if not evidence.denials.count:
        yield Paragraph("Nothing was denied.")
        return
    by = ", ".join(f"{count(found)} by {name}" for name, found in sorted(evidence.refused_by.items()))
    yield Paragraph(f"Denied: {count(evidence.denials.count)} ({by}).")
    yield Table(
        ("Reason", "Effect", "Count", "Last entry"),
        tuple((one.reason, one.effect, count(one.count), str(one.last)) for one in evidence.stats.reasons[:LISTED_MAX]),
        frozenset({2, 3}),
    )
    yield Table(
        ("Entry", "At (UTC)", "Agent", "Call", "Reason"),
        tuple((*_line(one), "; ".join(reasons(one))) for one in evidence.denials.entries),
        frozenset({0}),
    )
    yield from _more(evidence.denials)


def _asks(evidence: Evidence) -> Iterator[Block]:
    yield Heading("Questions to people")
    if not evidence.asks.count:
        yield Paragraph("Nobody was asked.")
        return
    given = [evidence.answers[one.seq] for one in evidence.asks.entries if one.seq in evidence.answers]
    yield Paragraph(f"Asked: {count(evidence.asks.count)}. Answered, of those that are listed: {count(len(given))}.")
    yield Table(
        ("Entry", "At (UTC)", "Agent", "Call", "Answer", "By", "Why", "Entry of the answer"),
        tuple((*_line(one), *_answer(evidence.answers.get(one.seq, []))) for one in evidence.asks.entries),
        frozenset({0, 7}),
    )
    yield from _more(evidence.asks)


def _answer(entries: Sequence[Entry]) -> tuple[str, str, str, str]:
    """What people said to a question: the verdict as it stands, who gave it, why, and the entries that say so."""
    if not entries:
        return "none", "", "", ""
    last = entries[-1].body
    verdict = text(last, "answer")
    if text(last, "state") == "pending":
        verdict = f"{number(last, 'agreed')} of {number(last, 'needed')} agreed"
    whys = filter(None, (text(one.body, "reason") for one in entries))
    names = dict.fromkeys(text(one.body, "by") for one in entries)
    return verdict, ", ".join(names), "; ".join(whys), ", ".join(str(one.seq) for one in entries)


def _budget(evidence: Evidence) -> Iterator[Block]:
    yield Heading("Budgets")
    refused = evidence.refused_by.get("budget", 0)
    yield Paragraph(f"Denied because a budget could not carry them: {count(refused)}.")
    if evidence.limits:
        rows = (
            (
                account,
                window,
                ", ".join(_amount(unit, limit) for unit, limit in limits_of(entry).items()) or "none",
                str(entry.seq),
            )
            for (account, window), entry in sorted(evidence.limits.items())
        )
        yield Table(("Account", "Window", "Limits set by a person or program", "Entry"), tuple(rows), frozenset({3}))
    spenders = sorted(evidence.stats.agents, key=lambda one: (-one.microusd, -one.tokens, one.name))
    if spenders := [one for one in spenders if one.tokens or one.microusd]:
        rows = ((one.name, count(one.tokens), usd(one.microusd)) for one in spenders)
        yield Table(("Agent", "Tokens spent", "USD spent"), tuple(rows), frozenset({1, 2}))


def _amount(unit: str, limit: JsonValue) -> str:
    if not isinstance(limit, int):
        return f"{unit} {limit}"
    return usd(limit) if unit == "microusd" else f"{amount(unit, limit)} {unit_name(unit).replace('_', ' ')}"


def _stops(evidence: Evidence) -> Iterator[Block]:
    if evidence.halts.count:
        yield Heading("Halts")
        rows = ((str(one.seq), f"{one.at:{_TIME}}", event(one), detail(one)) for one in evidence.halts.entries)
        yield Table(("Entry", "At (UTC)", "What", "Of what, by whom"), tuple(rows), frozenset({0}))
        yield from _more(evidence.halts)


def _exceptions(evidence: Evidence) -> Iterator[Block]:
    if not evidence.exceptions.count:
        return
    yield Heading("Exceptions")
    yield Paragraph(
        "What people have lifted for a time (break-glass), and what has passed under it. Whoever opened an exception does not"
        " review it: the last column has the last verdict of somebody else."
    )
    rows = (
        (str(one.seq), f"{one.at:{_TIME}}", event(one), detail(one), _judged(evidence, one))
        for one in evidence.exceptions.entries
    )
    yield Table(("Entry", "At (UTC)", "What", "Of what, by whom", "Reviewed"), tuple(rows), frozenset({0}))
    yield from _more(evidence.exceptions)


def _judged(evidence: Evidence, entry: Entry) -> str:
    if event(entry) not in ("opened", "used"):
        return ""
    last = last_of(entry, [one for one in evidence.reviews if one.of == entry.seq and one.verdict])
    return f"{last.verdict} by {last.by}, entry {last.seq}" if last is not None else "by nobody else yet"


def _reviews(evidence: Evidence) -> Iterator[Block]:
    yield Heading("Reviews")
    if not evidence.reviews:
        yield Paragraph("No entry of this time has been reviewed: `openclaw review` shows what waits.")
        return
    rows = (
        (
            str(one.of),
            one.verdict or "note",
            one.by,
            " ".join(f"#{flag}" for flag in one.flags),
            one.comment,
            str(one.seq),
        )
        for one in evidence.reviews[:LISTED_MAX]
    )
    yield Table(("Of entry", "Verdict", "By", "Flags", "Comment", "Entry"), tuple(rows), frozenset({0, 5}))


def _new(evidence: Evidence) -> Iterator[Block]:
    yield Heading("Never seen before this time")
    if not evidence.stats.new:
        yield Paragraph("Every agent, tool and shape of arguments had been seen before.")
        return
    rows = ((one.what, one.name, count(one.count), str(one.first)) for one in evidence.stats.new[:LISTED_MAX])
    yield Table(("What", "Name", "Calls", "First entry"), tuple(rows), frozenset({2, 3}))


def _frameworks(evidence: Evidence) -> Iterator[Block]:
    yield Heading("Demands of frameworks, and the entries that show each")
    yield Paragraph(
        "Which entries of this log show what a framework asks for. It is evidence to judge by, and no opinion on whether a"
        " demand is met; where no entry shows anything, this time had nothing of the kind."
    )
    yield Paragraph(_mapped(evidence))
    rows = (
        (
            f"{demand.framework} {demand.number}",
            demand.title,
            demand.shows,
            count(shown.count),
            ", ".join(map(str, shown.first)) + (", …" if shown.count > len(shown.first) else ""),
        )
        for demand, shown in evidence.shown
    )
    yield Table(("Demand", "Title", "Shown by", "Entries", "The first of them"), tuple(rows), frozenset({3}))


def _mapped(evidence: Evidence) -> str:
    """How it is known what a rule of OWASP's serves."""
    known = [one for one in sorted(evidence.revisions) if one in evidence.annotated]
    other = [one for one in sorted(evidence.revisions) if one not in evidence.annotated]
    said = "Which rules serve a demand of OWASP is known"
    if known:
        said += f" from the annotations of the policies that decided ({', '.join(known)})"
    if other:
        said += (", and" if known else "") + (
            f" by the names of shipped rule packages alone for {', '.join(other)}: those policies were not at hand"
            " (`--policies` names them)"
        )
    return f"{said}." if known or other else "No policy decided anything in this time."


def _line(entry: Entry) -> tuple[str, str, str, str]:
    return str(entry.seq), f"{entry.at:{_TIME}}", entry.agent, shortened(call(entry), CALL_MAX)


def _more(listed: Listed) -> Iterator[Block]:
    if listed.count > len(listed.entries):
        rest = count(listed.count - len(listed.entries))
        yield Paragraph(f"The first {count(len(listed.entries))} are listed; {rest} more are in the log.")


__all__ = ["report_of"]
