"""Obligations that a policy writes out, and that the gate would not understand: a deny at run time, found before."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from openclaw.decision import OBLIGATION_KINDS
from openclaw.errors import Diagnostic
from openclaw.policy.ruleset import Definition, Ruleset
from openclaw.policy.syntax import Array, Comprehension, Object, Scalar, Set, Term

LEVELS = ("metadata", "request", "full")
"""The levels of an ``audit`` obligation."""

CHARGED = ("tokens", "input_tokens", "output_tokens", "calls", "microusd")
"""The units of a ``charge`` obligation."""

_EXAMPLES = {
    "mask": '`{"kind": "mask", "fields": ["args.iban"]}`',
    "rewrite": '`{"kind": "rewrite", "args": {"limit": 10}}`',
    "charge": '`{"kind": "charge", "microusd": 500}`',
    "audit": '`{"kind": "audit", "level": "metadata"}`',
}


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
        yield finding(term, f"an obligation is an object, not `{written}`", f"write {_EXAMPLES['mask']}")
    if not isinstance(term, Object):
        return
    fields = {key.value: value for key, value in term.pairs if isinstance(key, Scalar)}
    computed = len(fields) < len(term.pairs)
    if "kind" not in fields:
        if not computed:
            yield finding(term, "an obligation has a `kind`, and this one has none", f"write {_EXAMPLES['mask']}")
        return
    kind = fields["kind"]
    if not isinstance(kind, Scalar):
        return
    if kind.value not in OBLIGATION_KINDS:
        near = difflib.get_close_matches(str(kind.value), sorted(OBLIGATION_KINDS), n=1, cutoff=0.5)
        hint = f'did you mean `"{near[0]}"`?' if near else f"it is one of {', '.join(sorted(OBLIGATION_KINDS))}"
        yield finding(kind, f"there is no obligation `{kind.value}`: the gate denies what it does not understand", hint)
    elif not computed:
        fault = _fault(str(kind.value), {str(name): value for name, value in fields.items() if name != "kind"})
        if fault:
            yield finding(term, f"the obligation `{kind.value}` {fault}", f"write {_EXAMPLES[str(kind.value)]}")


def _fault(kind: str, params: dict[str, Term]) -> str:
    """What is wrong with the parameters of an obligation; empty where nothing is, or where it cannot be seen."""
    match kind:
        case "mask":
            fields = params.get("fields")
            literal = isinstance(fields, Scalar | Object) or (isinstance(fields, Array) and not fields.items)
            texts = not isinstance(fields, Array) or all(_is(item, str) for item in fields.items)
            return "" if fields is not None and not literal and texts else "has `fields`, a list of paths"
        case "rewrite":
            args = params.get("args")
            literal = isinstance(args, Scalar | Array | Set) or (isinstance(args, Object) and not args.pairs)
            return "" if args is not None and not literal else "has `args`, an object of arguments to set"
        case "audit":
            level = params.get("level")
            known = level is not None and (not isinstance(level, Scalar) or level.value in LEVELS)
            return "" if known else f"has a `level`, one of {', '.join(LEVELS)}"
        case "charge":
            wrong = [name for name, amount in params.items() if name not in CHARGED or not _is(amount, int)]
            return f"has whole amounts of {', '.join(CHARGED)}" if wrong or not params else ""
        case _:
            return ""


def _is(term: Term, kind: type[str | int]) -> bool:
    """Whether a term is computed, or a value of this type that is not empty and not negative."""
    if not isinstance(term, Scalar):
        return not isinstance(term, Array | Set | Object)
    if kind is str:
        return isinstance(term.value, str) and term.value != ""
    return isinstance(term.value, int) and not isinstance(term.value, bool) and term.value >= 0
