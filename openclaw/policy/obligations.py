"""Obligations that a policy writes out, and that the gate would not understand: a deny at run time, found before."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from openclaw.decision import OBLIGATION_KINDS
from openclaw.errors import Diagnostic
from openclaw.policy.ruleset import Definition, Ruleset
from openclaw.policy.syntax import Array, Comprehension, Object, Scalar, Set, Term

LEVELS = ("metadata", "request", "full")
"""The levels of an ``audit`` obligation."""

CHARGED = ("tokens", "input_tokens", "output_tokens", "calls", "microusd", "milliseconds", "mwh")
"""The units of a ``charge`` obligation."""

SPANS = ("second", "minute", "hour", "day")
"""The named spans of a ``limit`` obligation."""

PEOPLE_MAX = 20
"""The most people that an ``approve`` obligation may ask for."""

REDACTED_ROOT = "result"
"""Where the paths of a ``redact`` obligation begin."""


def _is_text(term: Term) -> bool:
    return _computed(term) or (isinstance(term, Scalar) and isinstance(term.value, str) and term.value != "")


def _is_amount(term: Term) -> bool:
    return _computed(term) or (
        isinstance(term, Scalar)
        and isinstance(term.value, int)
        and not isinstance(term.value, bool)
        and term.value >= 0
    )


def _are_texts(term: Term) -> bool:
    return _computed(term) or (isinstance(term, Array | Set) and bool(term.items) and all(map(_is_text, term.items)))


def _are_results(term: Term) -> bool:
    return _are_texts(term) and all(
        not isinstance(item, Scalar) or str(item.value).split(".")[0] == REDACTED_ROOT
        for item in (term.items if isinstance(term, Array | Set) else ())
    )


def _is_level(term: Term) -> bool:
    return _computed(term) or (isinstance(term, Scalar) and term.value in LEVELS)


def _is_span(term: Term) -> bool:
    named = isinstance(term, Scalar) and term.value in SPANS
    return _computed(term) or named or (_is_amount(term) and not (isinstance(term, Scalar) and term.value == 0))


def _is_flag(term: Term) -> bool:
    return _computed(term) or (isinstance(term, Scalar) and isinstance(term.value, bool))


def _are_people(term: Term) -> bool:
    return _computed(term) or (
        _is_amount(term) and isinstance(term, Scalar) and 1 <= int(str(term.value)) <= PEOPLE_MAX
    )


def _are_arguments(term: Term) -> bool:
    return _computed(term) or (isinstance(term, Object) and bool(term.pairs))


def _computed(term: Term) -> bool:
    """Whether a term is no literal: what it will be is not known here."""
    return not isinstance(term, Scalar | Array | Set | Object)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of obligation: its parameters, which of them there must be (all, or one of them), and how it is written."""

    params: Mapping[str, Callable[[Term], bool]]
    needs: frozenset[str]
    all_needed: bool
    example: str


_KINDS = {
    "mask": _Kind(
        {"fields": _are_texts, "subject": _is_text},
        frozenset({"fields"}),
        True,
        '{"kind": "mask", "fields": ["args.iban"]}',
    ),
    "rewrite": _Kind({"args": _are_arguments}, frozenset({"args"}), True, '{"kind": "rewrite", "args": {"limit": 10}}'),
    "charge": _Kind(dict.fromkeys(CHARGED, _is_amount), frozenset(), True, '{"kind": "charge", "microusd": 500}'),
    "audit": _Kind({"level": _is_level}, frozenset({"level"}), True, '{"kind": "audit", "level": "metadata"}'),
    "limit": _Kind(
        {"key": _is_text, "calls": _is_amount, "per": _is_span},
        frozenset({"key", "calls", "per"}),
        True,
        '{"kind": "limit", "key": "refund", "calls": 10, "per": "minute"}',
    ),
    "route": _Kind(
        {"sites": _are_texts, "models": _are_texts, "providers": _are_texts},
        frozenset({"sites", "models", "providers"}),
        False,
        '{"kind": "route", "sites": ["eu"]}',
    ),
    "approve": _Kind(
        {"quorum": _are_people, "roles": _are_texts, "distinct": _is_flag, "authenticated": _is_flag},
        frozenset(),
        True,
        '{"kind": "approve", "quorum": 2, "roles": ["finance", "risk"], "distinct": true}',
    ),
    "amend": _Kind({"args": _are_texts}, frozenset({"args"}), True, '{"kind": "amend", "args": ["amount"]}'),
    "redact": _Kind(
        {"fields": _are_results, "texts": _are_texts, "replacement": _is_text},
        frozenset({"fields", "texts"}),
        False,
        '{"kind": "redact", "fields": ["result.rows.*.iban"]}',
    ),
}
"""As the gate reads them (``openclaw.duties``); a test holds the two together."""


def obligation_findings(ruleset: Ruleset) -> Iterator[Diagnostic]:
    """What is wrong with the obligations that policies write out. Computed parts are taken on trust."""
    for definition in ruleset.definitions:
        rule = definition.rule
        if definition.source.policy and rule.path == ("oblige",):
            for member in (rule.member, *(branch.value for branch in rule.branches if branch.value is not None)):
                for one in _members(member):
                    yield from _obligation(definition, one)


def _members(term: Term | None) -> Iterator[Term]:
    """The obligations in a term; a set or list of them where the rule is one value."""
    if isinstance(term, Array | Set):
        yield from term.items
    elif isinstance(term, Object | Scalar):
        yield term


def _obligation(definition: Definition, term: Term) -> Iterator[Diagnostic]:
    def finding(at: Term, message: str, hint: str) -> Diagnostic:
        return definition.source.finding(at.at, message, hint, code="obligation")

    if isinstance(term, Array | Set | Scalar | Comprehension):
        written = definition.source.file.of(term.at)
        yield finding(term, f"an obligation is an object, not `{written}`", f"write `{_KINDS['mask'].example}`")
    if not isinstance(term, Object):
        return
    fields = {key.value: value for key, value in term.pairs if isinstance(key, Scalar)}
    computed = len(fields) < len(term.pairs)
    if "kind" not in fields:
        if not computed:
            yield finding(
                term, "an obligation has a `kind`, and this one has none", f"write `{_KINDS['mask'].example}`"
            )
        return
    kind = fields["kind"]
    if not isinstance(kind, Scalar):
        return
    if kind.value not in OBLIGATION_KINDS:
        near = difflib.get_close_matches(str(kind.value), sorted(OBLIGATION_KINDS), n=1, cutoff=0.5)
        hint = f'did you mean `"{near[0]}"`?' if near else f"it is one of {', '.join(sorted(OBLIGATION_KINDS))}"
        yield finding(kind, f"there is no obligation `{kind.value}`: the gate denies what it does not understand", hint)
    elif not computed:
        known = _KINDS[str(kind.value)]
        fault = _fault(known, {str(name): value for name, value in fields.items() if name != "kind"})
        if fault:
            yield finding(term, f"the obligation `{kind.value}` {fault}", f"write `{known.example}`")


def _fault(kind: _Kind, params: Mapping[str, Term]) -> str:
    """What is wrong with the parameters of an obligation; empty where nothing is, or where it cannot be seen."""
    foreign = sorted(params.keys() - kind.params.keys())
    if foreign:
        near = difflib.get_close_matches(foreign[0], sorted(kind.params), n=1, cutoff=0.5)
        meant = f" (did you mean `{near[0]}`?)" if near else f" (it has {', '.join(kind.params)})"
        return f"has no parameter `{foreign[0]}`{meant}"
    missing = sorted(kind.needs - params.keys())
    if missing if kind.all_needed else len(missing) == len(kind.needs):
        return f"needs {(' and ' if kind.all_needed else ' or ').join(f'`{name}`' for name in missing)}"
    wrong = sorted(name for name, value in params.items() if not kind.params[name](value))
    if wrong:
        return f"has a `{wrong[0]}` that the gate does not understand"
    return "needs as many `roles` as people, since each stands for another" if _too_few_roles(params) else ""


def _too_few_roles(params: Mapping[str, Term]) -> bool:
    """Whether an ``approve`` obligation wants more people of distinct roles than there are roles."""
    distinct, people, roles = (params.get(name) for name in ("distinct", "quorum", "roles"))
    if not (isinstance(distinct, Scalar) and distinct.value is True):
        return False
    wanted = 1 if people is None else people.value if isinstance(people, Scalar) else None
    named = 0 if roles is None else len(roles.items) if isinstance(roles, Array | Set) else None
    return isinstance(wanted, int) and named is not None and named < wanted
