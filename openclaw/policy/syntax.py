"""The syntax of a Rego file as values: what ``parser.parse`` gives, for everything that reads policies without deciding.

Engines parse what they decide by. This tree serves those who look at policies: it is the same with every engine and
without any, and each part of it knows its place in the text. Its form follows the grammar of Rego v1
(openpolicyagent.org, "Policy Reference", "Grammar").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: characters from ``start`` to before ``end``, with the 1-based line and column of the start."""

    start: int
    end: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, number, boolean or null. The names after the dots of a reference are texts too."""

    at: Place
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions in it, such as ``$"at most {limit}"``."""

    at: Place
    parts: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Var:
    """A name that stands alone: a variable, a rule of the package, an import, ``input`` or ``data``."""

    at: Place
    name: str

    @property
    def wildcard(self) -> bool:
        """Whether it is ``_``, which is another variable each time."""
        return self.name == "_"


@dataclass(frozen=True, slots=True)
class Ref:
    """A path into something: ``head`` and at least one part after it."""

    at: Place
    head: Term
    parts: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function by its name."""

    at: Place
    function: Var | Ref
    args: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Infix:
    """Two terms with an operator between them, ``:=`` and ``=`` included."""

    at: Place
    operator: str
    left: Term
    right: Term


@dataclass(frozen=True, slots=True)
class Member:
    """``value in collection`` or ``key, value in collection``."""

    at: Place
    key: Term | None
    value: Term
    collection: Term


@dataclass(frozen=True, slots=True)
class Array:
    """``[a, b]``."""

    at: Place
    items: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """``{a, b}``; ``set()`` where it is empty."""

    at: Place
    items: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Object:
    """``{a: b}``."""

    at: Place
    pairs: tuple[tuple[Term, Term], ...]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """``[head | body]``, ``{head | body}`` or ``{key: head | body}``."""

    at: Place
    kind: Literal["array", "set", "object"]
    key: Term | None
    head: Term
    body: Body


Term: TypeAlias = (
    Scalar | Template | Var | Ref | Call | Infix | Member | Array | Set | Object | Comprehension
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expr:
    """A statement that holds where its term is neither false nor undefined."""

    term: Term


@dataclass(frozen=True, slots=True)
class Not:
    """A statement that holds where its term is false or undefined."""

    term: Term


@dataclass(frozen=True, slots=True)
class SomeNames:
    """``some a, b``: names that are variables of this body from here on."""

    names: tuple[Var, ...]


@dataclass(frozen=True, slots=True)
class SomeIn:
    """``some value in collection`` or ``some key, value in collection``."""

    key: Term | None
    value: Term
    collection: Term


@dataclass(frozen=True, slots=True)
class Every:
    """``every value in domain { body }`` or ``every key, value in domain { body }``."""

    key: Var | None
    value: Var
    domain: Term
    body: Body


@dataclass(frozen=True, slots=True)
class With:
    """``with target as value``."""

    at: Place
    target: Var | Ref
    value: Term


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a body, with its ``with`` modifiers."""

    at: Place
    what: Expr | Not | SomeNames | SomeIn | Every
    modifiers: tuple[With, ...] = ()


Body: TypeAlias = tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """A body and the value that the rule has where it holds, None for ``true``. The first of a rule, or one after ``else``."""

    at: Place
    value: Term | None
    body: Body


@dataclass(frozen=True, slots=True)
class Rule:
    """One definition of a rule.

    Attributes:
        at: from its head to its end.
        head: its head alone.
        path: its name below the package: one part, or several for ``a.b.c := …``. Ends before the first that is no text.
        kind: what it makes: one value, a set (``contains``), an object (``rule[key] …``) or a function.
        args: the parameters of a function.
        keys: what follows the path in its head, the keys of its object: ``(x,)`` for ``a.b[x] := …``.
        member: what it puts into its set.
        branches: its bodies with their values, in the order of trying; one with an empty body where there is none.
        default: it says what the value is where nothing else does.
    """

    at: Place
    head: Place
    path: tuple[str, ...]
    kind: Literal["value", "set", "object", "function"]
    args: tuple[Term, ...]
    keys: tuple[Term, ...]
    member: Term | None
    branches: tuple[Branch, ...]
    default: bool = False

    @property
    def name(self) -> str:
        """Its name as it is written."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Import:
    """``import path as alias``; ``name`` is what it is called in this file."""

    at: Place
    path: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Package:
    """``package a.b``, without ``data``. ``at`` is the place of the name."""

    at: Place
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name as it is written."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is no Rego, at a place."""

    line: int
    column: int
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """One Rego file. Where ``faults`` is not empty, the rest of it is what could be read all the same."""

    text: str
    package: Package | None
    imports: tuple[Import, ...]
    rules: tuple[Rule, ...]
    faults: tuple[Fault, ...] = ()

    def of(self, at: Place) -> str:
        """The text at a place."""
        return self.text[at.start : at.end]


# -- looking into it -----------------------------------------------------------------------------------------------------


def below(term: Term) -> tuple[Term, ...]:
    """The terms right inside of a term; of a comprehension its head, and not what is in its body."""
    match term:
        case Template():
            return term.parts
        case Ref():
            return (term.head, *term.parts)
        case Call():
            return term.args
        case Infix():
            return (term.left, term.right)
        case Member():
            return (*(() if term.key is None else (term.key,)), term.value, term.collection)
        case Array() | Set():
            return term.items
        case Object():
            return tuple(part for pair in term.pairs for part in pair)
        case Comprehension():
            return (*(() if term.key is None else (term.key,)), term.head)
        case Scalar() | Var():
            return ()


def terms_of(statement: Statement) -> tuple[Term, ...]:
    """The terms right inside of a statement, those of its modifiers included, and not what is in the body of an ``every``."""
    match statement.what:
        case Expr(term) | Not(term):
            own: tuple[Term, ...] = (term,)
        case SomeNames(names):
            own = names
        case SomeIn(key, value, collection):
            own = (*(() if key is None else (key,)), value, collection)
        case Every(key, value, domain, _):
            own = (*(() if key is None else (key,)), value, domain)
    return own + tuple(term for modifier in statement.modifiers for term in (modifier.target, modifier.value))


def constant(term: Term) -> bool:
    """Whether a term is written out, without names and calls; what is inside of a comprehension is its own affair."""
    if isinstance(term, Comprehension | Scalar):
        return True
    return isinstance(term, Array | Set | Object) and all(map(constant, below(term)))


def bodies_in(term: Term) -> Iterator[Body]:
    """The bodies of the comprehensions in a term, outermost ones only."""
    if isinstance(term, Comprehension):
        yield term.body
    for part in below(term):
        yield from bodies_in(part)


def every_term(item: Term | Statement | Body | Rule) -> Iterator[Term]:
    """Every term in something, from the outside to the inside, in the order of the text."""
    match item:
        case Rule():
            for term in (*item.args, *item.keys, *(() if item.member is None else (item.member,))):
                yield from every_term(term)
            for branch in item.branches:
                if branch.value is not None:
                    yield from every_term(branch.value)
                yield from every_term(branch.body)
        case Statement():
            for term in terms_of(item):
                yield from every_term(term)
            if isinstance(item.what, Every):
                yield from every_term(item.what.body)
        case tuple():
            for statement in item:
                yield from every_term(statement)
        case _:
            yield item
            for term in below(item):
                yield from every_term(term)
            if isinstance(item, Comprehension):
                yield from every_term(item.body)


def flat(term: Term) -> Iterator[Term]:
    """A term and every term in it, but for those in the bodies of comprehensions."""
    yield term
    for part in below(term):
        yield from flat(part)


def statements(item: Rule | Body) -> Iterator[tuple[Statement, tuple[Body, ...]]]:
    """Every statement of a rule or body with the bodies that it stands in, outermost first."""
    if isinstance(item, Rule):
        for branch in item.branches:
            yield from _statements(branch.body, ())
        for term in heads(item):
            for body in bodies_in(term):
                yield from _statements(body, (item.branches[0].body,))
    else:
        yield from _statements(item, ())


def _statements(body: Body, around: tuple[Body, ...]) -> Iterator[tuple[Statement, tuple[Body, ...]]]:
    around = (*around, body)
    for statement in body:
        yield statement, around
        for term in terms_of(statement):
            for inner in bodies_in(term):
                yield from _statements(inner, around)
        if isinstance(statement.what, Every):
            yield from _statements(statement.what.body, around)


def heads(rule: Rule) -> tuple[Term, ...]:
    """The terms of a rule that stand in no body: keys, member, and the values of its branches."""
    values = tuple(branch.value for branch in rule.branches if branch.value is not None)
    return (*rule.keys, *(() if rule.member is None else (rule.member,)), *values)


def names_of(term: Term) -> tuple[str, ...] | None:
    """The parts of a name that is written out, such as ``("input", "tool", "name")``; None where a part is computed."""
    if isinstance(term, Var):
        return (term.name,)
    if not isinstance(term, Ref) or not isinstance(term.head, Var):
        return None
    parts = [part.value for part in term.parts if isinstance(part, Scalar) and isinstance(part.value, str)]
    return (term.head.name, *parts) if len(parts) == len(term.parts) else None
