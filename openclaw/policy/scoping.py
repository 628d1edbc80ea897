"""Which names in a rule are variables of it, and which of them are the same one.

A name belongs to the innermost body that declares it (``:=``, ``some``, ``every``, or a parameter). What nobody declares is
a rule of the package, an import, ``input`` or ``data``, or else a variable of the rule as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from openclaw.policy.syntax import (
    Array,
    Body,
    Comprehension,
    Every,
    Expr,
    Infix,
    Object,
    Rule,
    SomeIn,
    SomeNames,
    Statement,
    Term,
    Var,
    below,
    terms_of,
)

Symbol = str
"""One variable of one rule. Two of the same name in different bodies are different symbols."""

_Scope = Mapping[str, Symbol]


class Scoping:
    """The variables of one rule. ``is_global`` says which names are something without being declared."""

    def __init__(self, rule: Rule, is_global: Callable[[str], bool]) -> None:
        self._is_global = is_global
        self._symbols: dict[int, Symbol] = {}
        parameters = self._declare({}, rule.args, rule.head.start)
        self._terms(rule.args, parameters)
        for number, branch in enumerate(rule.branches):
            scope = self._body(branch.body, parameters)
            if branch.value is not None:
                self._term(branch.value, scope)
            if not number:
                self._terms((*rule.keys, *(() if rule.member is None else (rule.member,))), scope)

    def symbol(self, var: Var) -> Symbol | None:
        """The variable that stands here; None for what is no variable."""
        return self._symbols.get(var.at.start)

    def symbols(self, item: Term) -> set[Symbol]:
        """The variables in a term, but for those inside of comprehensions."""
        return {symbol for var in variables(item) if (symbol := self.symbol(var)) is not None}

    def _declare(self, scope: _Scope, patterns: Iterable[Term], at: int) -> _Scope:
        names = {var.name for pattern in patterns for var in pattern_names(pattern) if not var.wildcard}
        return {**scope, **{name: f"{name}@{at}" for name in names}}

    def _body(self, body: Body, scope: _Scope) -> _Scope:
        for statement in body:
            scope = self._declare(scope, declared(statement), body[0].at.start)
        for statement in body:
            self._statement(statement, scope)
        return scope

    def _statement(self, statement: Statement, scope: _Scope) -> None:
        if not isinstance(statement.what, Every):
            self._terms(terms_of(statement), scope)
            return
        every = statement.what
        names = (*(() if every.key is None else (every.key,)), every.value)
        inner = self._declare(scope, names, every.value.at.start)
        self._terms(names, inner)
        self._term(every.domain, scope)
        self._terms((part for it in statement.modifiers for part in (it.target, it.value)), scope)
        self._body(every.body, inner)

    def _terms(self, terms: Iterable[Term], scope: _Scope) -> None:
        for term in terms:
            self._term(term, scope)

    def _term(self, term: Term, scope: _Scope) -> None:
        if isinstance(term, Comprehension):
            scope = self._body(term.body, scope)
        if isinstance(term, Var):
            self._name(term, scope)
        for part in below(term):
            self._term(part, scope)

    def _name(self, var: Var, scope: _Scope) -> None:
        if var.wildcard:
            self._symbols[var.at.start] = f"_@{var.at.start}"
        elif var.name in scope:
            self._symbols[var.at.start] = scope[var.name]
        elif not self._is_global(var.name):
            self._symbols[var.at.start] = var.name


def name_of(symbol: Symbol) -> str:
    """The name of a variable as it is written."""
    return symbol.split("@", 1)[0]


def variables(term: Term) -> Iterator[Var]:
    """Every name in a term that stands for a value, but for those inside of comprehensions."""
    if isinstance(term, Var):
        yield term
    elif not isinstance(term, Comprehension):
        for part in below(term):
            yield from variables(part)


def pattern_names(pattern: Term) -> Iterator[Var]:
    """The names that a pattern such as ``[a, {"b": b}]`` gives values to."""
    match pattern:
        case Var():
            yield pattern
        case Array(_, items):
            for item in items:
                yield from pattern_names(item)
        case Object(_, pairs):
            for _, value in pairs:
                yield from pattern_names(value)
        case _:
            return


def declared(statement: Statement) -> tuple[Term, ...]:
    """The patterns whose names a statement declares in its body."""
    match statement.what:
        case Expr(Infix(_, ":=", left, _)):
            return (left,)
        case SomeNames(names):
            return names
        case SomeIn(key, value, _):
            return (*(() if key is None else (key,)), value)
        case _:
            return ()
