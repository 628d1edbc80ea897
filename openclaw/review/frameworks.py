"""What auditors ask by name, and which entries show it: the AI Act, ISO/IEC 42001, and the OWASP Top 10 for Agentic Applications.

Each demand has a test that an entry passes or not. What no entry shows is said so: that nothing was found is a finding too. The
titles are those of the published texts; that an entry shows something is no opinion on whether a law is kept.

Sources: Regulation (EU) 2024/1689, Articles 12, 14, 15, 19 and 26; ISO/IEC 42001:2023, clause 9 and Annex A; OWASP Top 10 for
Agentic Applications 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from openclaw.audit import Entry
from openclaw.review.entries import part, text, texts
from openclaw.review.serving import Serving

SHOWN = 6
"""Entries that are named for one demand; all are counted."""

Test = Callable[[Entry], bool]


@dataclass(frozen=True, slots=True)
class Demand:
    """One demand of a framework: its number, its title, what of the log shows it, and the test of an entry."""

    framework: str
    number: str
    title: str
    shows: str
    test: Test


@dataclass(slots=True)
class Shown:
    """How many entries show a demand, and the first of them."""

    count: int = 0
    first: list[int] = field(default_factory=list[int])

    def add(self, seq: int) -> None:
        """Count one entry."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(seq)


def _refused(entry: Entry) -> bool:
    return entry.kind == "decision" and entry.effect in ("ask", "deny")


def _of(kind: str, *, refused: bool = False) -> Test:
    return lambda entry: (
        entry.kind == "decision"
        and text(entry.body, "input", "kind") == kind
        and (not refused or entry.effect in ("ask", "deny"))
    )


def _by(*sources: str) -> Test:
    return lambda entry: entry.kind == "decision" and text(entry.body, "refused_by") in sources


def _kind(*kinds: str) -> Test:
    return lambda entry: entry.kind in kinds


def _any(*tests: Test) -> Test:
    return lambda entry: any(test(entry) for test in tests)


def _failed(entry: Entry) -> bool:
    return entry.kind == "outcome" and text(entry.body, "status") in ("failed", "unknown")


def _untrusted(entry: Entry) -> bool:
    """A refused call some argument of which only an untrusted source had named."""
    flow = part(entry.body, "input", "flow", "args")
    return (
        _refused(entry) and isinstance(flow, dict) and any(part(one, "trust") == "untrusted" for one in flow.values())
    )


AI_ACT, ISO, OWASP = "EU AI Act", "ISO/IEC 42001", "OWASP Agentic"


def demands(serving: Serving) -> tuple[Demand, ...]:
    """Every demand, in the order of the frameworks; ``serving`` says which of them a rule serves."""
    return *_ai_act(), *_iso(), *_owasp(serving)


def _asked(entry: Entry) -> bool:
    return entry.kind == "approval" or (entry.kind == "decision" and entry.effect == "ask")


def _ai_act() -> tuple[Demand, ...]:
    return (
        Demand(AI_ACT, "Art. 12", "Record-keeping", "events recorded automatically: every entry", lambda _: True),
        Demand(
            AI_ACT,
            "Art. 14",
            "Human oversight",
            "questions to people, answers, exceptions, halts",
            _any(_asked, _kind("exception", "halt")),
        ),
        Demand(AI_ACT, "Art. 15", "Accuracy, robustness and cybersecurity", "refusals by policy", _by("policy")),
        Demand(
            AI_ACT,
            "Art. 19",
            "Automatically generated logs",
            "signed checkpoints, holds, prunes",
            _kind("checkpoint", "hold"),
        ),
        Demand(AI_ACT, "Art. 26(1)", "Use according to instructions", "the policies that decided", _kind("policy")),
        Demand(
            AI_ACT,
            "Art. 26(2)",
            "Oversight by competent persons",
            "answers, exceptions and reviews in a person's name",
            _kind("approval", "exception", "review"),
        ),
        Demand(
            AI_ACT,
            "Art. 26(5)",
            "Monitoring of operation",
            "failed actions, halts, reviews",
            _any(_failed, _kind("halt", "review")),
        ),
        Demand(
            AI_ACT, "Art. 26(6)", "Keeping of logs", "signed checkpoints, holds, prunes", _kind("checkpoint", "hold")
        ),
    )


def _iso() -> tuple[Demand, ...]:
    return (
        Demand(
            ISO,
            "9.1",
            "Monitoring, measurement, analysis and evaluation",
            "outcomes with their amounts",
            _kind("outcome"),
        ),
        Demand(ISO, "9.2", "Internal audit", "reviews of entries", _kind("review")),
        Demand(
            ISO,
            "A.3.2",
            "AI roles and responsibilities",
            "answers, exceptions, halts and reviews in a person's name",
            _kind("approval", "exception", "halt", "review"),
        ),
        Demand(
            ISO,
            "A.6.2.6",
            "AI system operation and monitoring",
            "failed actions and halts",
            _any(_failed, _kind("halt")),
        ),
        Demand(ISO, "A.6.2.8", "AI system recording of event logs", "every entry", lambda _: True),
        Demand(
            ISO,
            "A.9.2",
            "Processes for responsible use of AI systems",
            "policies, and questions to people",
            _any(_asked, _kind("policy")),
        ),
        Demand(
            ISO,
            "A.9.4",
            "Intended use of the AI system",
            "calls that no policy allowed or that one refused",
            _by("policy"),
        ),
    )


def _owasp(serving: Serving) -> tuple[Demand, ...]:
    def rules(number: str) -> Test:
        """A refusal in which a rule had a part whose package serves this demand."""
        return lambda entry: (
            _refused(entry)
            and serving.serves(text(entry.body, "revision"), texts(entry.body, "decision", "rules"), number)
        )

    return (
        Demand(
            OWASP,
            "ASI01",
            "Agent Goal Hijack",
            "refused calls with values of untrusted origin",
            _any(_untrusted, rules("ASI01")),
        ),
        Demand(
            OWASP,
            "ASI02",
            "Tool Misuse and Exploitation",
            "tool calls that were refused or asked",
            _of("tool", refused=True),
        ),
        Demand(
            OWASP,
            "ASI03",
            "Identity and Privilege Abuse",
            "refusals by rules on roles, grants and delegation",
            rules("ASI03"),
        ),
        Demand(
            OWASP,
            "ASI04",
            "Agentic Supply Chain Vulnerabilities",
            "model calls that were refused, changes of policies",
            _any(_of("model", refused=True), _kind("policy")),
        ),
        Demand(OWASP, "ASI05", "Unexpected Code Execution (RCE)", "refusals by rules on commands", rules("ASI05")),
        Demand(
            OWASP,
            "ASI06",
            "Memory & Context Poisoning",
            "decisions on shared memory and on results",
            _any(_of("memory"), _of("result")),
        ),
        Demand(OWASP, "ASI07", "Insecure Inter-Agent Communication", "decisions on hand-offs", _of("handoff")),
        Demand(
            OWASP,
            "ASI08",
            "Cascading Failures",
            "refusals by budgets and halts",
            _any(_by("budget", "halt"), rules("ASI08"), _kind("halt")),
        ),
        Demand(OWASP, "ASI09", "Human-Agent Trust Exploitation", "questions to people and their answers", _asked),
        Demand(OWASP, "ASI10", "Rogue Agents", "halts, and calls refused by them", _any(_by("halt"), _kind("halt"))),
    )


__all__ = ["SHOWN", "Demand", "Shown", "demands"]
