"""Variables that nothing gives a value: OPA's rule of safety, for engines that do not hold to it or say it otherwise.

Every variable must get a value from a statement that can be asked before it is needed: by ``:=`` or ``=`` from something
known, by ``some … in`` something known, as the index of something known, or as a parameter. Statements may be asked in any
order that makes this true. Inside of ``not`` nothing gets a value. Source: OPA's compiler (``ast/compile.go``, ``safety``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from openclaw.policy.scoping import Scoping, Symbol, declared, pattern_names
from openclaw.policy.syntax import (
    Array,
    Body,
    Call,
    Comprehension,
    Every,
    Expr,
    Infix,
    Not,
    Object,
    Ref,
    Rule,
    SomeIn,
    SomeNames,
    Statement,
    Term,
    Var,
    below,
    every_term,
    statements,
    terms_of,
)

Arity = Callable[[Call], int | None]
"""How many arguments the function of a call takes; None where it is not known."""


def unsafe_variables(rule: Rule, scoping: Scoping, arity: Arity) -> list[Var]:
    """The first place of every variable of a rule that nothing gives a value."""
    look = _Look(scoping, arity)
    found: dict[Symbol, Var] = {}
    parameters = {symbol for arg in rule.args for symbol in scoping.symbols(arg)}
    for number, branch in enumerate(rule.branches):
        heads = [] if branch.value is None else [branch.value]
        if not number:
            heads += [*rule.keys, *(() if rule.member is None else (rule.member,))]
        for symbol, var in look.closed(branch.body, heads, parameters):
            if symbol not in found or var.at.start < found[symbol].at.start:
                found[symbol] = var
    return sorted(found.values(), key=lambda var: var.at.start)


def in_order(body: Body, parameters: set[Symbol], scoping: Scoping, arity: Arity) -> tuple[Statement, ...]:
    """The statements of a body in an order in which each finds what it needs, the order of the text where it can be."""
    order, rest, _ = _Look(scoping, arity).ordered(body, [], parameters)
    return (*order, *rest)


def given_by(statement: Statement, known: set[Symbol], scoping: Scoping, arity: Arity) -> set[Symbol]:
    """The variables that have values after a statement, which is asked once those that are ``known`` have theirs."""
    return _Look(scoping, arity).after(statement, known)


def misplaced_declarations(rule: Rule, scoping: Scoping) -> Iterator[tuple[Var, Var]]:
    """Names that are declared twice in one body, or used above their declaration: each with the place before it."""
    bodies = {id(around[-1]): around for _, around in statements(rule)}
    for around in bodies.values():
        first: dict[str, Var] = {}
        for parameter in rule.args if len(around) == 1 else ():
            first |= {var.name: var for var in pattern_names(parameter)}
        for number, statement in enumerate(around[-1]):
            names = {
                var.name: var for pattern in declared(statement) for var in pattern_names(pattern) if not var.wildcard
            }
            for name, var in names.items():
                above = first.get(name) or next(_uses(around[-1], number, scoping.symbol(var), scoping), None)
                if above is not None:
                    yield var, above
            first = {**names, **first}


def _uses(body: Body, number: int, symbol: Symbol | None, scoping: Scoping) -> Iterator[Var]:
    """Where a variable stands above a statement, or in what this one makes its value of."""
    what = body[number].what
    own = [what.term.right] if isinstance(what, Expr) and isinstance(what.term, Infix) else list[Term]()
    own += [modifier.value for modifier in body[number].modifiers]
    for item in (*body[:number], *own):
        for term in every_term(item):
            if isinstance(term, Var) and scoping.symbol(term) == symbol:
                yield term


class _Look:
    def __init__(self, scoping: Scoping, arity: Arity) -> None:
        self._scoping = scoping
        self._arity = arity

    def ordered(
        self, body: Body, heads: list[Term], safe: set[Symbol]
    ) -> tuple[tuple[Statement, ...], list[Statement], set[Symbol]]:
        """The statements that can be asked, in their order; those that cannot; and the variables that have values then."""
        outside = self._outside(body, heads)
        safe, order, waiting = set(safe), list[Statement](), list(body)
        while waiting:
            ready = next((it for it in waiting if not self._missing(it, safe, outside)), None)
            if ready is None:
                break
            order.append(ready)
            waiting.remove(ready)
            safe |= self._given(ready, safe)
        return tuple(order), waiting, safe

    def after(self, statement: Statement, known: set[Symbol]) -> set[Symbol]:
        """The variables that have values after a statement."""
        return known | self._given(statement, known)

    def _outside(self, body: Body, heads: list[Term]) -> set[Symbol]:
        """The variables that stand outside of the closures of a body."""
        terms = [*(term for it in body for term in _asked(it)), *heads]
        return {symbol for term in terms for symbol in self._scoping.symbols(term)}

    def closed(self, body: Body, heads: list[Term], safe: set[Symbol]) -> Iterator[tuple[Symbol, Var]]:
        """What is unsafe in a body and in the terms that stand before it."""
        _, waiting, safe = self.ordered(body, heads, safe)
        outside = self._outside(body, heads)
        missing = {symbol for it in waiting for symbol in self._missing(it, safe, outside)}
        yield from self._places(missing, waiting)
        for head in heads:
            safe |= self._indices(head, safe)
            unsafe = self._scoping.symbols(head) - safe - missing
            missing |= unsafe
            yield from self._places(unsafe, [head])
        # Reported once: what is missing out here is not looked for again in there.
        safe |= missing
        for term in (*(term for it in body for term in _asked(it)), *heads):
            for closure in _closures(term):
                inner = [closure.head] if closure.key is None else [closure.key, closure.head]
                yield from self.closed(closure.body, inner, safe)
        for statement in body:
            if isinstance(statement.what, Every):
                every = statement.what
                names = {self._scoping.symbol(var) for var in (every.key, every.value) if var is not None}
                yield from self.closed(every.body, [], safe | {name for name in names if name is not None})

    def _places(self, symbols: set[Symbol], items: Sequence[Term | Statement]) -> Iterator[tuple[Symbol, Var]]:
        for item in items:
            for part in every_term(item):
                if isinstance(part, Var) and (symbol := self._scoping.symbol(part)) in symbols:
                    yield symbol, part

    def _missing(self, statement: Statement, safe: set[Symbol], outside: set[Symbol]) -> set[Symbol]:
        """What a statement needs and does not have yet."""
        needed: set[Symbol] = set()
        if not isinstance(statement.what, SomeNames):
            for term in _asked(statement):
                needed |= self._scoping.symbols(term)
        needed -= self._given(statement, safe)
        # A closure shares the variables that also stand outside of closures, and waits for them.
        for part in self._inner_parts(statement):
            if isinstance(part, Var) and (symbol := self._scoping.symbol(part)) in outside:
                needed.add(symbol)
        return needed - safe

    def _inner_parts(self, statement: Statement) -> Iterator[Term]:
        for term in _asked(statement):
            for closure in _closures(term):
                yield from every_term(closure)
        if isinstance(statement.what, Every):
            yield from every_term(statement.what.body)

    def _given(self, statement: Statement, safe: set[Symbol]) -> set[Symbol]:
        """The variables that a statement gives values to, once what is ``safe`` has some."""
        if any(self._scoping.symbols(modifier.value) - safe for modifier in statement.modifiers):
            return set()
        match statement.what:
            case Not() | SomeNames():
                return set()
            case Every(_, _, domain, _):
                return self._indices(domain, safe)
            case SomeIn(key, value, collection):
                given = self._indices(collection, safe)
                if self._scoping.symbols(collection) <= safe | given:
                    given |= self._bound(value) | (set() if key is None else self._bound(key))
                return given
            case Expr(Infix(_, ":=" | "=", left, right)):
                given = self._indices(left, safe) | self._indices(right, safe)
                while more := self._unified(left, right, safe | given) - safe - given:
                    given |= more
                return given
            case Expr(Call() as call):
                given = self._indices(call, safe)
                arity = self._arity(call)
                if arity is not None and len(call.args) > arity:
                    inputs = {symbol for arg in call.args[:arity] for symbol in self._scoping.symbols(arg)}
                    if inputs <= safe | given:
                        given |= {symbol for arg in call.args[arity:] for symbol in self._bound(arg)}
                return given
            case Expr(term):
                return self._indices(term, safe)

    def _bound(self, pattern: Term) -> set[Symbol]:
        return {symbol for var in pattern_names(pattern) if (symbol := self._scoping.symbol(var)) is not None}

    def _indices(self, term: Term, safe: set[Symbol]) -> set[Symbol]:
        """The variables that get their values as indices of something known: ``i`` in ``known[i]``."""
        given: set[Symbol] = set()
        if isinstance(term, Ref) and self._scoping.symbols(term.head) <= safe:
            given |= {symbol for part in term.parts for symbol in self._scoping.symbols(part)}
        if not isinstance(term, Comprehension):
            for part in below(term):
                given |= self._indices(part, safe | given)
        return given

    def _unified(self, left: Term, right: Term, safe: set[Symbol]) -> set[Symbol]:
        """What gets a value where two terms are made equal."""
        match left, right:
            case Array(_, ones), Array(_, others) if len(ones) == len(others):
                pairs = list(zip(ones, others, strict=True))
                return {symbol for one, other in pairs for symbol in self._unified(one, other, safe)}
            case Object(_, ones), Object(_, others):
                values = {str(_plain(key)): value for key, value in others}
                pairs = [(one, values[str(_plain(key))]) for key, one in ones if str(_plain(key)) in values]
                return {symbol for one, other in pairs for symbol in self._unified(one, other, safe)}
            case _:
                given: set[Symbol] = set()
                if self._scoping.symbols(right) <= safe:
                    given |= self._bound(left)
                if self._scoping.symbols(left) <= safe:
                    given |= self._bound(right)
                return given


def _asked(statement: Statement) -> tuple[Term, ...]:
    """The terms of a statement, without the names that ``every`` declares for its own body."""
    names = (statement.what.key, statement.what.value) if isinstance(statement.what, Every) else ()
    return tuple(term for term in terms_of(statement) if term not in names)


def _closures(term: Term) -> Iterator[Comprehension]:
    """The comprehensions in a term, outermost ones only."""
    if isinstance(term, Comprehension):
        yield term
        return
    for part in below(term):
        yield from _closures(part)


def _plain(term: Term) -> object:
    return getattr(term, "value", None) if not isinstance(term, Var) else term.name
