"""The obligations of a decision, read: what the gate must do for the decision to hold.

    {"kind": "mask", "fields": ["args.iban"]}            stored as a keyed digest (paths of the policy input, or result.…)
    {"kind": "mask", "fields": […], "subject": "principal.on_behalf_of"}    stored under the data key of that person
    {"kind": "rewrite", "args": {"limit": 10}}           arguments set before a tool runs
    {"kind": "charge", "microusd": 500}                  held and posted on top of what the action uses
    {"kind": "audit", "level": "metadata"}               metadata: arguments by digest; request; full: small results too
    {"kind": "limit", "key": "refund/eva", "calls": 10, "per": "minute"}    at most so many calls in any such span
    {"kind": "route", "sites": ["eu"]}                   a model runs nowhere else
    {"kind": "redact", "fields": ["result.rows.*.iban"]} cut from what the model sees of a tool's result
    {"kind": "redact", "texts": ["…"], "replacement": "[key]"}    the same, wherever these texts stand in it
    {"kind": "approve", "quorum": 2, "roles": ["finance", "risk"], "distinct": true}    who must agree (openclaw.quorum)
    {"kind": "amend", "args": ["amount"]}                what whoever agrees may change

What cannot be carried out is a deny: an obligation that is not met would make the decision untrue. That goes for a kind
or a parameter that is not known, and for one that makes no sense for the action.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from pydantic import JsonValue, ValidationError

from openclaw.action import ModelCall
from openclaw.audit import Seal
from openclaw.budget import UNITS, Usage
from openclaw.decision import Decision, Obligation
from openclaw.quorum import Quorum
from openclaw.redaction import REDACTED, ROOT, Redaction

ActionKind = Literal["tool", "model", "handoff", "memory", "result"]

AuditLevel = Literal["metadata", "request", "full"]
LEVELS: tuple[AuditLevel, ...] = ("metadata", "request", "full")
"""What is stored, from least to most. Where several are demanded, the least is."""

SPANS: Mapping[str, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
"""The names that a limit's span may have, in seconds. Any whole number of seconds up to ``SPAN_MAX`` may stand there too."""

SPAN_MAX = 366 * 86_400
CALLS_MAX = 1_000_000_000
KEY_CHARS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``calls`` of what goes by ``key`` in any span of ``seconds``."""

    key: str
    calls: int
    seconds: int

    @property
    def span(self) -> str:
        """The span in words: ``minute``, ``90 s``."""
        return next((name for name, seconds in SPANS.items() if seconds == self.seconds), f"{self.seconds} s")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model call may run. What is None is not restricted."""

    sites: frozenset[str] | None = None
    models: frozenset[str] | None = None
    providers: frozenset[str] | None = None

    def misses(self, call: ModelCall) -> str:
        """Why ``call`` does not run there; the empty string where it does. Every site of the model must be one of these."""
        shown = "/".join(filter(None, (call.provider, call.name)))
        if self.providers is not None and call.provider not in self.providers:
            return f"model `{shown}` is not of provider {_either(self.providers)}"
        if self.models is not None and not {shown, f"{call.provider}/*"} & self.models:
            return f"model `{shown}` is not {_either(self.models)}"
        if self.sites is not None and not call.sites:
            return f"it is not known where model `{shown}` runs, and it must run at {_either(self.sites)}"
        if self.sites is not None and not self.sites.issuperset(call.sites):
            return f"model `{shown}` may run at {_either(call.sites)}, and it must run at {_either(self.sites)}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What to do. ``unmet`` is empty, or says which obligation cannot be carried out and why."""

    mask: tuple[str, ...] = ()
    seals: tuple[Seal, ...] = ()
    rewrite: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    charge: Usage = field(default_factory=Usage)
    level: AuditLevel = "request"
    limits: tuple[Limit, ...] = ()
    routes: tuple[Route, ...] = ()
    redact: Redaction = field(default_factory=Redaction)
    approve: tuple[Quorum, ...] = ()
    amend: tuple[str, ...] = ()
    unmet: str = ""


NO_DUTIES = Duties()


@dataclass(slots=True)
class _Reading:
    """The duties so far."""

    mask: list[str] = field(default_factory=list[str])
    seals: list[Seal] = field(default_factory=list[Seal])
    rewrite: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    charge: Usage = field(default_factory=Usage)
    levels: list[AuditLevel] = field(default_factory=list[AuditLevel])
    limits: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    routes: list[Route] = field(default_factory=list[Route])
    redact: Redaction = field(default_factory=Redaction)
    approve: list[Quorum] = field(default_factory=list[Quorum])
    amend: list[str] = field(default_factory=list[str])

    def mask_of(self, params: dict[str, JsonValue]) -> None:
        fields = _texts(params, "fields", 'a list of paths such as "args.iban"')
        if "subject" not in params:
            self.mask += fields
            return
        subject = params["subject"]
        if not isinstance(subject, str) or not 0 < len(subject) <= KEY_CHARS_MAX:
            raise ValueError('expected "subject", a path such as "principal.on_behalf_of", or a name')
        self.seals.append(Seal(tuple(fields), subject))

    def rewrite_of(self, params: dict[str, JsonValue]) -> None:
        args = params.get("args")
        if not isinstance(args, dict) or not args:
            raise ValueError('expected "args", an object of arguments to set')
        self.rewrite |= args

    def charge_of(self, params: dict[str, JsonValue]) -> None:
        self.charge = total(self.charge, Usage.model_validate(params))

    def audit_of(self, params: dict[str, JsonValue]) -> None:
        level = params.get("level")
        if level not in LEVELS:
            raise ValueError(f'expected "level", one of {", ".join(LEVELS)}')
        self.levels.append(level)

    def limit_of(self, params: dict[str, JsonValue]) -> None:
        key, per = params.get("key"), params.get("per")
        if not isinstance(key, str) or not 0 < len(key) <= KEY_CHARS_MAX:
            raise ValueError(f'expected "key", a text of at most {KEY_CHARS_MAX:,} characters')
        calls = _whole(params.get("calls"), "calls", 0, CALLS_MAX)
        seconds = SPANS.get(per, 0) if isinstance(per, str) else _whole(per, "per", 1, SPAN_MAX)
        if not seconds:
            raise ValueError(f'expected "per", one of {", ".join(SPANS)}, or seconds')
        # Of two limits on one count, the lower one counts; each call is counted once.
        self.limits[key, seconds] = min(calls, self.limits.get((key, seconds), calls))

    def route_of(self, params: dict[str, JsonValue]) -> None:
        if not params:
            raise ValueError('expected "sites", "models" or "providers"')
        lists = {name: frozenset(_texts(params, name, "a list of names")) for name in params}
        self.routes.append(Route(**lists))

    def redact_of(self, params: dict[str, JsonValue]) -> None:
        if not params.keys() & {"fields", "texts"}:
            raise ValueError('expected "fields", "texts" or both')
        what = 'a list of paths such as "result.rows.*.iban"'
        fields = _texts(params, "fields", what) if "fields" in params else []
        if any(path.split(".")[0] != ROOT for path in fields):
            raise ValueError(f'expected "fields", {what}')
        texts = _texts(params, "texts", "a list of the texts to cut") if "texts" in params else []
        instead = params.get("replacement", REDACTED)
        if not isinstance(instead, str) or not instead or any(text in instead for text in texts):
            raise ValueError('expected "replacement", a text that holds none of the texts to cut')
        self.redact += Redaction(tuple(fields), tuple((text, instead) for text in texts))

    def approve_of(self, params: dict[str, JsonValue]) -> None:
        self.approve.append(Quorum.read(params))

    def amend_of(self, params: dict[str, JsonValue]) -> None:
        self.amend += _texts(params, "args", "a list of the arguments that may be changed")

    def duties(self) -> Duties:
        return Duties(
            mask=tuple(self.mask),
            seals=tuple(self.seals),
            rewrite=self.rewrite,
            charge=self.charge,
            level=min(self.levels, key=LEVELS.index) if self.levels else "request",
            limits=tuple(Limit(key, calls, seconds) for (key, seconds), calls in self.limits.items()),
            routes=tuple(self.routes),
            redact=self.redact,
            approve=tuple(dict.fromkeys(self.approve)),
            amend=tuple(dict.fromkeys(self.amend)),
        )


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of obligation: how it is read, its parameters, and the actions that it makes sense for."""

    read: Callable[[_Reading, dict[str, JsonValue]], None]
    params: frozenset[str]
    actions: frozenset[ActionKind]


_NOUNS: Mapping[str, str] = {
    "tool": "a tool call",
    "model": "a model call",
    "handoff": "a hand-off",
    "memory": "a memory access",
    "result": "a result",
}
_ACTIONS: frozenset[ActionKind] = frozenset({"tool", "model", "handoff", "memory"})
_ALL: frozenset[ActionKind] = frozenset({*_ACTIONS, "result"})
_KINDS = {
    "mask": _Kind(_Reading.mask_of, frozenset({"fields", "subject"}), _ALL),
    "rewrite": _Kind(_Reading.rewrite_of, frozenset({"args"}), frozenset({"tool", "memory"})),
    "charge": _Kind(_Reading.charge_of, frozenset(UNITS), _ACTIONS),
    "audit": _Kind(_Reading.audit_of, frozenset({"level"}), _ALL),
    "redact": _Kind(
        _Reading.redact_of, frozenset({"fields", "texts", "replacement"}), frozenset({"tool", "memory", "result"})
    ),
    "limit": _Kind(_Reading.limit_of, frozenset({"key", "calls", "per"}), _ACTIONS),
    "route": _Kind(_Reading.route_of, frozenset({"sites", "models", "providers"}), frozenset({"model"})),
    "approve": _Kind(_Reading.approve_of, frozenset({"quorum", "roles", "distinct", "authenticated"}), _ACTIONS),
    "amend": _Kind(_Reading.amend_of, frozenset({"args"}), frozenset({"tool"})),
}


def read_duties(decision: Decision, kind: str = "tool", *, met: Collection[Obligation] = ()) -> Duties:
    """The duties of a decision on an action of this kind, or on the result of one.

    Where one is unmet, all arguments are masked: a mask that fails masks everything.

    Args:
        met: what was demanded of the call whose result this is. A rule that does not look at the kind demands it again.
    """
    if not decision.obligations:
        return NO_DUTIES
    reading = _Reading()
    for obligation in decision.obligations:
        known = _KINDS.get(obligation.kind)
        if obligation in met and known is not None and kind not in known.actions:
            continue
        unmet = _read(reading, obligation, kind)
        if unmet:
            return Duties(level="metadata", unmet=unmet)
    return reading.duties()


def _read(reading: _Reading, obligation: Obligation, kind: str) -> str:
    """Add one obligation; why it cannot be carried out, if it cannot."""
    known = _KINDS.get(obligation.kind)
    if known is None:
        return f"the policy demands what the gate cannot carry out: obligation `{obligation.kind}`"
    if kind not in known.actions:
        return f"the policy demands what the gate cannot carry out: obligation `{obligation.kind}` on {_NOUNS.get(kind, kind)}"
    params = obligation.params
    foreign = sorted(params.keys() - known.params)
    if foreign:
        return f"the obligation `{obligation.kind}` is malformed: `{foreign[0]}` is no parameter of it"
    try:
        known.read(reading, params)
    except (ValidationError, ValueError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        return f"the obligation `{obligation.kind}` is malformed: {said}"
    return ""


def total(left: Usage, right: Usage) -> Usage:
    """The sum of two amounts, unit by unit."""
    if not right.present():
        return left
    return Usage(**{unit: left.amount(unit) + right.amount(unit) for unit in UNITS})


def _texts(params: Mapping[str, JsonValue], name: str, what: str) -> list[str]:
    texts = params.get(name)
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f'expected "{name}", {what}')
    return cast("list[str]", texts)


def _whole(value: JsonValue, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f'expected "{name}", a whole number from {least} to {most:,}')
    return value


def _either(names: Iterable[str]) -> str:
    return " or ".join(f"`{name}`" for name in sorted(names))


__all__ = ["NO_DUTIES", "Duties", "Limit", "Route", "read_duties", "total"]
