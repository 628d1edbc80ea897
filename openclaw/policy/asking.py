"""What is worth showing of a statement: the values of what stands in it, and the rules that it uses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from openclaw.policy.probing import together, valued
from openclaw.policy.ruleset import Definition, Ruleset
from openclaw.policy.scoping import variables
from openclaw.policy.syntax import (
    Array,
    Call,
    Comprehension,
    Every,
    Expr,
    File,
    Infix,
    Member,
    Not,
    Object,
    Ref,
    Scalar,
    Set,
    SomeIn,
    SomeNames,
    Statement,
    Template,
    Term,
    Var,
    below,
    constant,
    flat,
    terms_of,
)


@dataclass(frozen=True, slots=True)
class Shown:
    """Something to ask about a statement.

    Attributes:
        name: what it is called, as it is written.
        term: what is asked for.
        asking: the Rego of an array with its value, empty where it has none.
        uses: definitions of the rule that it names, if it is one.
        args: what is given to that rule, if it is a function.
        direct: the statement is this rule and nothing more.
        matched: the value of ``asking`` says which of the rule's ways are meant.
    """

    name: str
    term: Term
    asking: str
    uses: tuple[Definition, ...] = ()
    args: tuple[Term, ...] = ()
    direct: bool = False
    matched: bool = False


@dataclass(slots=True)
class Asked:
    """What is asked of the statements of a body, by their numbers."""

    _by_statement: dict[int, list[Shown]] = field(default_factory=dict[int, "list[Shown]"])

    def add(self, at: int, shown: Shown) -> None:
        """Ask this of a statement, unless it is asked already."""
        present = self._by_statement.setdefault(at, [])
        if all((it.name, it.uses, it.args) != (shown.name, shown.uses, shown.args) for it in present):
            present.append(shown)

    def at(self, at: int) -> list[Shown]:
        """What is asked of a statement."""
        return self._by_statement.get(at, [])

    def key(self, at: int, shown: Shown) -> str:
        """The name under which its answer comes."""
        return f"{at}.{self.at(at).index(shown)}"

    def by_key(self) -> Iterator[tuple[str, Shown]]:
        """Everything that is asked, by the name under which its answer comes."""
        for at, found in self._by_statement.items():
            for shown in found:
                yield self.key(at, shown), shown

    def shown(self, at: int) -> Iterator[tuple[str, Shown]]:
        """What is shown of a statement as a value, by the name under which its answer comes."""
        for shown in self.at(at):
            if not shown.uses:
                yield self.key(at, shown), shown


def text_of(file: File, item: Term | Statement, *, named: bool = True) -> str:
    """The text of a statement, or of a term in one, with every ``_`` ``named``: so that both mean the same value."""
    text, start = file.of(item.at), item.at.start
    if not named or (isinstance(item, Statement) and isinstance(item.what, Not | Every)):
        return text
    terms = terms_of(item) if isinstance(item, Statement) else (item,)
    places = [var.at for term in terms for var in variables(term) if var.wildcard]
    for at in sorted(places, key=lambda place: place.start, reverse=True):
        text = f"{text[: at.start - start]}openclaw_any_{at.start}{text[at.end - start :]}"
    return text


def shown_terms(file: File, statement: Statement, *, failing: bool) -> Iterator[Shown]:
    """The values of a statement: of paths, variables and inner calls, not of what is written out."""
    modifiers = [file.of(it.at) for it in statement.modifiers]
    # What has failed has met no single value: all that it has tried are shown.
    named = not failing and not isinstance(statement.what, Not | Every)
    match statement.what:
        case Expr(Infix(_, ":=" | "=" as operator, left, right)):
            # What fails has given its left side no value.
            terms = [*_operands(left, top=False)] if not failing or operator == "=" else []
            terms += _operands(right, top=False)
        case Expr(term) | Not(term):
            terms = [*_operands(term, top=True)]
        case SomeIn(key, value, collection):
            terms = (
                [] if failing else [one for it in (key, value) if it is not None for one in _operands(it, top=False)]
            )
            terms += _operands(collection, top=False)
        case Every(_, _, domain, _):
            terms = [*_operands(domain, top=False)]
        case SomeNames():
            return
    for term in terms:
        yield Shown(" ".join(file.of(term.at).split()), term, valued(text_of(file, term, named=named), *modifiers))
    for it in statement.modifiers:
        if not constant(it.value):
            text = file.of(it.value.at)
            yield Shown(" ".join(text.split()), it.value, valued(text))
    if failing and isinstance(statement.what, Every):
        yield _counterexamples(file, statement.what)


def _counterexamples(file: File, every: Every) -> Shown:
    """The members for which an ``every`` does not hold."""
    names = file.of(every.value.at) if every.key is None else f"{file.of(every.key.at)}, {file.of(every.value.at)}"
    body = "\n".join(file.of(it.at) for it in every.body)
    value, domain = file.of(every.value.at), file.of(every.domain.at)
    asking = f"[{value} |\nsome {names} in\n{domain}\ncount([1 |\n{body}\n]) == 0]"
    return Shown(f"{value} for which it does not hold", every.domain, asking)


def _operands(term: Term, *, top: bool) -> Iterator[Term]:
    """The terms in a term whose values say something, from the left to the right."""
    match term:
        case Scalar():
            return
        case Var():
            if not term.wildcard:
                yield term
        case Ref():
            yield term
            for part in term.parts:
                yield from _operands(part, top=False)
            if not isinstance(term.head, Var):
                yield from _operands(term.head, top=False)
        case Comprehension() | Template():
            yield term
        case Call() | Infix() | Member():
            if not top:
                yield term
            for part in below(term):
                yield from _operands(part, top=False)
        case Array() | Set() | Object():
            for part in below(term):
                yield from _operands(part, top=False)


def helpers_used(ruleset: Ruleset, definition: Definition, statement: Statement) -> Iterator[Shown]:
    """The rules and functions of the policies that a statement uses, but for what stands inside of comprehensions."""
    if statement.modifiers:
        return  # They are asked under another input.
    file = definition.source.file
    whole = statement.what.term if isinstance(statement.what, Expr | Not) else None
    inside: set[int] = set()  # What a path begins with is not used by itself.
    for term in (part for one in terms_of(statement) for part in flat(one)):
        if isinstance(term, Call):
            used = ruleset.called(definition.source, term.function)
            args = term.args[: len(used[0].rule.args)] if used else ()
            if used:
                yield Shown(
                    file.of(term.at),
                    term,
                    together([text_of(file, arg) for arg in args]),
                    used,
                    args,
                    term is whole,
                    matched=True,
                )
        elif isinstance(term, Var | Ref) and term.at.start not in inside:
            inside.add(term.at.start)
            used, rest = _rule_named(ruleset, definition, term)
            member = _member(statement, term)
            keys = rest[: len(used[0].rule.keys)] if used else ()
            direct = term is whole or member is not None
            if member is not None and used:
                asking = valued(text_of(file, member))
                yield Shown(file.of(term.at), term, asking, used, (member,), direct, matched=True)
            elif used:
                matched = bool(keys) and len(keys) == len(used[0].rule.keys)
                yield Shown(
                    file.of(term.at),
                    term,
                    together([key_text(file, key) for key in keys]),
                    used,
                    keys,
                    direct,
                    matched=matched,
                )


def key_text(file: File, key: Term) -> str:
    """A part of a path as a value: the name after a dot in quotes."""
    return json.dumps(key.value) if isinstance(key, Scalar) else text_of(file, key)


def _member(statement: Statement, term: Term) -> Term | None:
    """What is asked to be in a set, where the statement asks that."""
    match statement.what:
        case SomeIn(None, value, collection) if collection is term:
            return value
        case Expr(Member(_, None, value, collection)) | Not(Member(_, None, value, collection)) if collection is term:
            return value
        case _:
            return None


def _rule_named(
    ruleset: Ruleset, definition: Definition, term: Var | Ref
) -> tuple[tuple[Definition, ...], tuple[Term, ...]]:
    """The definitions of the rule that a path leads to or into, unless it is only a constant, and what follows its name."""
    target = ruleset.target(definition, term)
    if target is None or target[0] != "data":
        return (), ()
    parts = term.parts if isinstance(term, Ref) else ()
    for length in range(len(target), 1, -1):
        found = ruleset.rules.get(tuple(str(part) for part in target[1:length]), ())
        if found:
            plain = all(not it.rule.branches[-1].body and it.rule.kind == "value" for it in found)
            used = () if plain else tuple(it for it in found if it.rule.kind != "function")
            return used, parts[len(parts) - (len(target) - length) :] if length < len(target) else ()
    return (), ()
