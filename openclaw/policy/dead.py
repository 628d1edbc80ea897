"""Rules that can never contribute to a decision: that nothing reaches, or that never hold."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from openclaw.errors import Diagnostic
from openclaw.policy.reached import Reached
from openclaw.policy.ruleset import DECIDING, POLICIES, Definition, RulePath, Ruleset, Source, key_of
from openclaw.policy.syntax import (
    Array,
    Body,
    Expr,
    Infix,
    Member,
    Not,
    Ref,
    Scalar,
    Set,
    Statement,
    Term,
    Var,
    statements,
)

_WORDS = (*DECIDING, "denies", "denied", "allows", "allowed", "asks", "obligation", "obligations", "obliges")
_MEANT = {
    "denies": "deny",
    "denied": "deny",
    "allows": "allow",
    "allowed": "allow",
    "asks": "ask",
    "obligation": "oblige",
    "obligations": "oblige",
    "obliges": "oblige",
}


def dead_findings(ruleset: Ruleset, reached: Reached) -> Iterator[Diagnostic]:
    """Packages and rules that no decision asks, deciding rules of a shape that decides nothing, and bodies that never hold."""
    for source in ruleset.sources:
        if source.package and not source.test:
            yield from _package(ruleset, reached, source)
    for definition in ruleset.definitions:
        if definition.source.policy and len(definition.rule.path) == 1 and definition.rule.path[0] in DECIDING:
            yield from _shape(definition)
        if not definition.source.test:
            for statement, around in statements(definition.rule):
                yield from _never(ruleset, definition, statement, around[-1])


def _package(ruleset: Ruleset, reached: Reached, source: Source) -> Iterator[Diagnostic]:
    if not source.policy and source.package[:1] == ("openclaw",):
        yield _misplaced(source)
        return
    paths = {Definition(source, rule).path for rule in source.file.rules}
    own = {it.path for it in ruleset.definitions if it.source.package == source.package}
    if source.policy or own & reached.paths:
        for path in sorted(paths - reached.paths):
            yield _unused(ruleset, source, path)
    else:
        yield _outside(source)


def _misplaced(source: Source) -> Diagnostic:
    """A package below ``openclaw`` that is none of the policies."""
    assert source.file.package is not None
    name = source.file.package.name
    if source.package[:2] == POLICIES and len(source.package) > 3:
        message = f"package `{name}` lies deeper than `openclaw.policies.<name>`, where its rules would not be asked"
        meant = "_".join(source.package[2:])
    elif len(source.package) == 2 and source.package == POLICIES:
        message, meant = f"package `{name}` has no name of its own", "<name>"
    else:
        message = (
            f"package `{name}` is outside of the contract: `openclaw` holds the combining rules and `openclaw.policies`"
        )
        meant = "_".join(source.package[2:] or source.package[1:]) or "<name>"
    hint = f"write `package openclaw.policies.{meant}`"
    return source.finding(source.file.package.at, message, hint, code="package")


def _outside(source: Source) -> Diagnostic:
    assert source.file.package is not None
    at, name = source.file.package.at, source.file.package.name
    deciding = [rule.path[0] for rule in source.file.rules if rule.path[0] in DECIDING]
    if deciding:
        return source.finding(
            at,
            f"package `{name}` is outside of the contract: nobody asks its `{deciding[0]}`",
            f"write `package openclaw.policies.{'_'.join(source.package[1:]) or source.package[0]}`",
            code="package",
        )
    return source.finding(
        at,
        f"no policy uses package `{name}`",
        f"write `import data.{name}` where it is needed, or remove the file",
        code="unused-package",
    )


def _unused(ruleset: Ruleset, source: Source, path: RulePath) -> Diagnostic:
    rule = next(rule for rule in source.file.rules if (*source.package, *rule.path) == path)
    near = difflib.get_close_matches(rule.path[0], _WORDS, n=1, cutoff=0.7)
    if source.policy and near and rule.kind != "function" and len(rule.path) == 1:
        meant = _MEANT.get(near[0], near[0])
        return source.finding(
            rule.head,
            f"`{rule.name}` takes no part in the decision: it is none of {', '.join(DECIDING)}, and no such rule uses it",
            f"did you mean `{meant}`?",
            code="unused-rule",
        )
    tested = any(it.source.test for it in ruleset.definitions) and _tested(ruleset, path)
    what = "function" if rule.kind == "function" else "rule"
    used = f"only tests use the {what} `{rule.name}`" if tested else f"nothing uses the {what} `{rule.name}`"
    return source.finding(
        rule.head,
        f"{used}: it takes no part in the decision",
        "use it in an allow, deny, ask or oblige, or remove it",
        code="unused-rule",
        severity="error" if source.policy else "warning",
    )


def _tested(ruleset: Ruleset, path: RulePath) -> bool:
    name = path[-1]
    return any(name in source.file.text for source in ruleset.sources if source.test)


def _shape(definition: Definition) -> Iterator[Diagnostic]:
    """What is wrong with the shape of a deciding rule."""
    rule, finding = definition.rule, definition.source.finding
    name, hint = rule.path[0], "write `allow if …`"
    if rule.kind == "function":
        message = f"`{name}` is a function here, which no decision calls"
        hint = "write `allow if …`" if name == "allow" else f"write `{name} contains … if …`"
        yield finding(rule.head, message, f"{hint}, or give the function another name", code="rule-shape")
    if name != "allow":
        return
    if rule.kind in {"set", "object"}:
        message = "an `allow` with members allows nothing: only one that is exactly `true` does"
        yield finding(rule.head, message, hint, code="rule-shape")
    for branch in rule.branches if rule.kind == "value" else ():
        if isinstance(branch.value, Scalar) and not isinstance(branch.value.value, bool):
            written = definition.source.file.of(branch.value.at)
            message = f"`allow` is `{written}` here, which allows nothing: only exactly `true` does"
            yield finding(branch.value.at, message, hint, code="rule-shape")


# -- what never holds ----------------------------------------------------------------------------------------------------


def _never(ruleset: Ruleset, definition: Definition, statement: Statement, body: Body) -> Iterator[Diagnostic]:
    def finding(message: str, hint: str) -> Diagnostic:
        return definition.source.finding(statement.at, message, hint, code="never-holds")

    written = " ".join(definition.source.file.of(statement.at).split())
    if statement.modifiers:
        return
    if _constant(statement) is False:
        yield finding(f"`{written}` never holds", "correct it, or remove what depends on it")
        return
    asked = _asked(ruleset, definition, statement)
    if asked is None:
        return
    for other in body:
        if other is statement:
            return  # The later one of two is named.
        before = None if other.modifiers else _asked(ruleset, definition, other)
        if before is not None and before[0] == asked[0] and not before[1] & asked[1]:
            line = other.at.line
            yield finding(
                f"`{written}` never holds together with line {line}",
                "every statement of a body must hold: write two rules where one or the other is meant",
            )
            return


def _constant(statement: Statement) -> bool | None:
    """Whether a statement holds, where that is written there; None where it depends on something."""
    match statement.what:
        case Expr(term):
            return _truth(term)
        case Not(term):
            truth = _truth(term)
            return None if truth is None else not truth
        case _:
            return None


def _truth(term: Term) -> bool | None:
    match term:
        case Scalar(_, value):
            return value is not False
        case Infix(_, "==" | "=" | "!=" as operator, Scalar(_, left), Scalar(_, right)):
            return (json.dumps(left) == json.dumps(right)) is not (operator == "!=")
        case Infix(
            _,
            "<" | "<=" | ">" | ">=" as operator,
            Scalar(_, int() | float() as left),
            Scalar(_, int() | float() as right),
        ):
            return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]
        case Member(_, None, _, Array(_, ()) | Set(_, ())):
            return False
        case _:
            return None


def _asked(ruleset: Ruleset, definition: Definition, statement: Statement) -> tuple[str, frozenset[str]] | None:
    """The one value that a statement asks something to be, or the list of which it asks it to be one."""
    match statement.what:
        case Expr(Infix(_, "==" | "=", Var() | Ref() as path, Scalar() as value)):
            values = [value]
        case Expr(Infix(_, "==" | "=", Scalar() as value, Var() | Ref() as path)):
            values = [value]
        case Expr(Member(_, None, Var() | Ref() as path, Array(_, items) | Set(_, items))):
            values = [item for item in items if isinstance(item, Scalar)]
            if len(values) < len(items):
                return None
        case _:
            return None
    named = _identity(ruleset, definition, path)
    return None if named is None else (named, frozenset(json.dumps(value.value) for value in values))


def _identity(ruleset: Ruleset, definition: Definition, path: Var | Ref) -> str | None:
    """What names one and the same value wherever it stands in a body; None where it may be several."""
    scoping = ruleset.scoping(definition)
    head = path.head if isinstance(path, Ref) else path
    if not isinstance(head, Var) or head.wildcard:
        return None
    parts: list[str] = [str(scoping.symbol(head) or ruleset.target(definition, head))]
    for part in path.parts if isinstance(path, Ref) else ():
        key = key_of(part)
        if key is None and (not isinstance(part, Var) or part.wildcard):
            return None
        parts.append(json.dumps(key) if key is not None else str(scoping.symbol(part) if isinstance(part, Var) else ""))
    return ".".join(parts)
