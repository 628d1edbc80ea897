"""``not f(x)`` where ``x`` may be absent: to Rego the statement does not hold then, and a deny that is written so is gone.

Rego asks the arguments of a function, and both sides of a comparison but ``==``, before the ``not``: where one of them is
undefined, the whole statement is. So ``deny contains "…" if not startswith(input.tool.args.path, "/srv/")`` lets a call
without ``path`` through. It is harmless where another statement of the body asks for the same value, where the schema
says that it is always there, and in rules whose silence lets nothing through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from openclaw.errors import Diagnostic
from openclaw.policy.reached import Reached
from openclaw.policy.ruleset import DECIDING, POLICIES, Definition, RulePath, Ruleset, key_of
from openclaw.policy.scoping import Symbol, name_of
from openclaw.policy.shape import Shape, input_shape
from openclaw.policy.shapes import Shapes
from openclaw.policy.syntax import (
    Array,
    Body,
    Call,
    Comprehension,
    Every,
    Expr,
    Infix,
    Member,
    Not,
    Ref,
    Scalar,
    Set,
    SomeIn,
    Statement,
    Term,
    Var,
    below,
    flat,
    heads,
    statements,
    terms_of,
)

Part: TypeAlias = "str | int | tuple[str, str | int]"
"""A part of a path: a name, an index, ``("var", symbol)``, ``("param", number)`` or ``("member", number)``."""

Path: TypeAlias = tuple[Part, ...]
"""What a value is found by: from ``input``, ``data`` or a variable on."""

_DEPTH_MAX = 8
_SUBJECTS = {"tool": "tool", "handoff": "tool", "memory": "tool", "model": "model"}


def absent_findings(ruleset: Ruleset, shapes: Shapes, reached: Reached) -> Iterator[Diagnostic]:
    """Every ``not`` that does not hold where a value in it is absent, in rules whose silence lets more through."""
    look = _Look(ruleset, shapes)
    for definition in ruleset.definitions:
        if definition.source.test or not reached.silence_is_unsafe(definition.path):
            continue
        for statement, around in statements(definition.rule):
            if isinstance(statement.what, Not) and not statement.modifiers:
                yield from look.statement(definition, statement, statement.what.term, around)


@dataclass(frozen=True, slots=True)
class _Site:
    """A place where a rule is asked: the bodies around it, outermost first, and what is given to a function."""

    definition: Definition
    around: tuple[Body, ...]
    args: tuple[Term, ...]


class _Look:
    def __init__(self, ruleset: Ruleset, shapes: Shapes) -> None:
        self._ruleset = ruleset
        self._shapes = shapes
        self._facts: dict[RulePath, frozenset[Path]] = {}
        self._busy: set[RulePath] = set()
        self._sites: dict[RulePath, list[_Site]] | None = None

    def statement(
        self, definition: Definition, statement: Statement, term: Term, around: tuple[Body, ...]
    ) -> Iterator[Diagnostic]:
        """What may be absent in one negated statement: the first of it."""
        known: frozenset[Path] | None = None
        for path in _asked_first(term):
            if known is None:
                known = frozenset(one for body in around for one in self._known(definition, body))
                known |= self._from_sites(definition)
            numbered = isinstance(path, Ref) and isinstance(key_of(path.parts[-1]), int)
            if not numbered and self._may_be_absent(definition, path, known):
                yield self._finding(definition, statement, term, path)
                return

    def _finding(self, definition: Definition, statement: Statement, term: Term, path: Var | Ref) -> Diagnostic:
        file, scoping = definition.source.file, self._ruleset.scoping(definition)
        written, whole = file.of(path.at), " ".join(file.of(term.at).split())
        names = dict.fromkeys(name_of(symbol) for symbol in sorted(scoping.symbols(term)))
        named = f"_holds({', '.join(names)})" if names else "_holds"
        return definition.source.finding(
            statement.at,
            f"where `{written}` is absent, `not {whole}` does not hold, and neither does the rule",
            f"write `{named} if {whole}` and here `not {named}`; or ask for `{written}` first, if its absence is well",
            code="absent-in-not",
            severity="warning",
        )

    # -- what is known to be there -------------------------------------------------------------------------------------

    def _known(self, definition: Definition, body: Body) -> Iterator[Path]:
        """The paths that must lead somewhere for a body to hold."""
        for statement in body:
            if statement.modifiers:
                continue
            match statement.what:
                case Expr(term):
                    yield from self._needed(definition, term)
                    yield from self._kinds(definition, term)
                case SomeIn(_, value, collection):
                    yield from self._needed(definition, collection)
                    yield from self._members(definition, value, collection)
                case Every(_, _, domain, _):
                    yield from self._needed(definition, domain)
                case _:
                    pass

    def _needed(self, definition: Definition, term: Term) -> Iterator[Path]:
        if isinstance(term, Comprehension):
            return
        if isinstance(term, Var | Ref):
            path = self._path(definition, term)
            if path is not None:
                yield path
                yield from self._of_rule(path)
        if isinstance(term, Call):
            yield from self._of_call(definition, term)
        for part in (*term.parts,) if isinstance(term, Ref) and isinstance(term.head, Var) else below(term):
            yield from self._needed(definition, part)

    def _kinds(self, definition: Definition, term: Term) -> Iterator[Path]:
        """``input.kind == "tool"``: then there is a tool."""
        match term:
            case Infix(_, "==" | "=", Var() | Ref() as left, Scalar(_, kind)):
                kinds = [kind]
            case Member(_, None, Var() | Ref() as left, Array(_, items) | Set(_, items)):
                kinds = [item.value for item in items if isinstance(item, Scalar)]
            case _:
                return
        if self._path(definition, left) == ("input", "kind"):
            subjects = {_SUBJECTS.get(str(kind), "") for kind in kinds}
            if len(subjects) == 1 and (subject := subjects.pop()):
                yield ("input", subject)

    def _members(self, definition: Definition, value: Term, collection: Term) -> Iterator[Path]:
        """What is known of a member of a set that a rule makes."""
        path = self._path(definition, collection) if isinstance(collection, Var | Ref) else None
        if path is None or path[0] != "data":
            return
        rule = tuple(str(part) for part in path[1:])
        given = value.items if isinstance(value, Array) else (value,)
        names = {("member", at): self._path(definition, one) for at, one in enumerate(given) if isinstance(one, Var)}
        if not isinstance(value, Array):
            names = {("member", -1): names.get(("member", 0))}
        yield from _filled(self.facts(rule), names)

    def _of_rule(self, path: Path) -> Iterator[Path]:
        """What is known where a rule that is not a function holds."""
        if path[0] == "data":
            rule = tuple(str(part) for part in path[1:])
            found = self._ruleset.rules.get(rule, ())
            if found and all(it.rule.kind == "value" for it in found):
                yield from _filled(self.facts(rule), {})

    def _of_call(self, definition: Definition, call: Call) -> Iterator[Path]:
        called = self._ruleset.called(definition.source, call.function)
        if called:
            names = {
                ("param", at): self._path(definition, arg) if isinstance(arg, Var | Ref) else _literal(arg)
                for at, arg in enumerate(call.args)
            }
            yield from _filled(self.facts(called[0].path), names)

    def _from_sites(self, definition: Definition) -> frozenset[Path]:
        """What is known wherever the rule is asked, if it is a helper: its callers may have seen to it."""
        if definition.source.policy and definition.rule.path[0] in DECIDING:
            return frozenset()
        found: frozenset[Path] | None = None
        for site in self._asked_at().get(definition.path, ()):
            known = {one for body in site.around for one in self._known(site.definition, body)}
            here = frozenset(self._handed_over(definition, site, known))
            found = here if found is None else found & here
        return found or frozenset()

    def _handed_over(self, definition: Definition, site: _Site, known: set[Path]) -> Iterator[Path]:
        """Paths of a caller as a helper sees them."""
        scoping = self._ruleset.scoping(definition)
        parameters: list[tuple[Path, Symbol]] = []
        for parameter, arg in zip(definition.rule.args, site.args, strict=False):
            symbol = scoping.symbol(parameter) if isinstance(parameter, Var) else None
            path = self._path(site.definition, arg)
            if symbol is not None and path is not None:
                parameters.append((path, symbol))
        for one in known:
            if isinstance(one[0], str):
                yield one
            for path, symbol in parameters:
                if one[: len(path)] == path:
                    yield (("var", symbol), *one[len(path) :])

    def _asked_at(self) -> dict[RulePath, list[_Site]]:
        """Where each rule is asked by rules that are no tests."""
        if self._sites is not None:
            return self._sites
        self._sites = {}
        for definition in self._ruleset.definitions:
            if definition.source.test:
                continue
            for statement, around in statements(definition.rule):
                for term in terms_of(statement):
                    self._note(definition, term, around)
            for term in heads(definition.rule):
                self._note(definition, term, tuple(branch.body for branch in definition.rule.branches[:1]))
        return self._sites

    def _note(self, definition: Definition, term: Term, around: tuple[Body, ...]) -> None:
        assert self._sites is not None
        for part in flat(term):
            if isinstance(part, Call):
                for path in {it.path for it in self._ruleset.called(definition.source, part.function)}:
                    self._sites.setdefault(path, []).append(_Site(definition, around, part.args))
            elif isinstance(part, Var | Ref):
                target = self._ruleset.target(definition, part) or ()
                path = tuple(str(one) for one in target[1:])
                if path in self._ruleset.rules:
                    self._sites.setdefault(path, []).append(_Site(definition, around, ()))

    def facts(self, rule: RulePath) -> frozenset[Path]:
        """The paths that lead somewhere wherever a rule holds, by any of its definitions."""
        if rule in self._facts:
            return self._facts[rule]
        if rule in self._busy or len(self._busy) > _DEPTH_MAX:
            return frozenset()
        self._busy.add(rule)
        found: frozenset[Path] | None = None
        for definition in self._ruleset.rules.get(rule, ()):
            for branch in definition.rule.branches if not definition.rule.default else ():
                named = frozenset(self._outside(definition, set(self._known(definition, branch.body))))
                found = named if found is None else found & named
        self._busy.discard(rule)
        self._facts[rule] = found or frozenset()
        return self._facts[rule]

    def _outside(self, definition: Definition, paths: set[Path]) -> Iterator[Path]:
        """Paths of a body as they are seen from outside of it: by parameters and members instead of variables."""
        scoping, rule = self._ruleset.scoping(definition), definition.rule
        names: dict[Symbol, Part] = {}
        for at, arg in enumerate(rule.args):
            if isinstance(arg, Var) and (symbol := scoping.symbol(arg)) is not None:
                names[symbol] = ("param", at)
        members = rule.member.items if isinstance(rule.member, Array) else (rule.member,)
        for at, member in enumerate(members):
            if isinstance(member, Var) and (symbol := scoping.symbol(member)) is not None:
                names[symbol] = ("member", at if isinstance(rule.member, Array) else -1)
        for path in paths:
            turned = tuple(names.get(str(part[1]), part) if isinstance(part, tuple) else part for part in path)
            if not any(isinstance(part, tuple) and part[0] == "var" for part in turned):
                yield turned

    # -- what may be absent --------------------------------------------------------------------------------------------

    def _path(self, definition: Definition, term: Term, depth: int = 0) -> Path | None:
        """What a term is found by, with variables and rules that only stand for a path replaced by it."""
        if not isinstance(term, Var | Ref) or depth > _DEPTH_MAX:
            return None
        head = term.head if isinstance(term, Ref) else term
        if not isinstance(head, Var):
            return None
        scoping = self._ruleset.scoping(definition)
        symbol = scoping.symbol(head)
        parts: list[Part] = []
        for part in term.parts if isinstance(term, Ref) else ():
            key = key_of(part)
            named = scoping.symbol(part) if isinstance(part, Var) and not part.wildcard else None
            if key is None and named is None:
                return None
            parts.append(key if key is not None else ("var", str(named)))
        if symbol is not None:
            alias = self._alias(definition, symbol, depth)
            return (*(alias or (("var", symbol),)), *parts)
        meaning = self._ruleset.meaning(definition.source, head.name)
        if meaning is None:
            return None
        path: Path = (*(part for part in meaning if part is not None), *parts)
        return self._through_rule(path, depth)

    def _alias(self, definition: Definition, symbol: Symbol, depth: int) -> Path | None:
        for statement, _ in statements(definition.rule):
            match statement.what:
                case Expr(Infix(_, ":=", Var() as var, Var() | Ref() as term)) if not statement.modifiers:
                    if self._ruleset.scoping(definition).symbol(var) == symbol:
                        return self._path(definition, term, depth + 1)
                case _:
                    pass
        return None

    def _through_rule(self, path: Path, depth: int) -> Path:
        """``tool.name`` with ``tool := input.tool`` is ``input.tool.name``."""
        for length in range(2, len(path) + 1 if path[0] == "data" else 0):
            rule = tuple(str(part) for part in path[1:length])
            found = self._ruleset.rules.get(rule, ())
            if len(found) == 1 and found[0].rule.kind == "value" and len(found[0].rule.branches) == 1:
                branch = found[0].rule.branches[0]
                alias = None if branch.body or branch.value is None else self._path(found[0], branch.value, depth + 1)
                if alias is not None:
                    return (*alias, *path[length:])
        return path

    def _may_be_absent(self, definition: Definition, term: Var | Ref, known: frozenset[Path]) -> bool:
        path = self._path(definition, term)
        if path is None:
            head = term.head if isinstance(term, Ref) else term
            # Computed keys of the input are as absent as others; of what else, nobody can say.
            return isinstance(head, Var) and head.name == "input"
        if any(one[: len(path)] == path for one in known):
            return False
        if path[0] == "input":
            return self._input_absent(path, known)
        if path[0] == "data":
            return self._data_absent(path)
        return self._local_absent(definition, term)

    def _input_absent(self, path: Path, known: frozenset[Path]) -> bool:
        shape: Shape | None = input_shape()
        for at, part in enumerate(path[1:], 1):
            if shape is None or isinstance(part, int) or (isinstance(part, tuple) and "array" in shape.types):
                return False
            named = part if isinstance(part, str) else None
            there = any(one[: at + 1] == path[: at + 1] for one in known)
            always = named is not None and (shape.requires(named) or _is_subject(path, at))
            if not there and not always:
                return True
            shape = shape.part(named)
        return False

    def _data_absent(self, path: Path) -> bool:
        for length in range(2, len(path) + 1):
            rule = tuple(str(part) for part in path[1:length])
            found = self._ruleset.rules.get(rule, ())
            if found:
                sets = any(it.rule.kind in {"set", "object"} for it in found)
                sure = sets or any(it.rule.default or not it.rule.branches[-1].body for it in found)
                return not sure or (length < len(path) and isinstance(path[length], str) and not sets)
        data: object = self._ruleset.data
        if data is None or path[1:3] == POLICIES:
            return False
        for part in path[1:]:
            if not isinstance(part, str):
                return False
            if not isinstance(data, dict) or part not in data:
                return True
            data = data[part]  # pyright: ignore[reportUnknownVariableType] - JSON
        return False

    def _local_absent(self, definition: Definition, term: Var | Ref) -> bool:
        """A part of a variable, by a name: of what is no more known than that."""
        if not isinstance(term, Ref) or not isinstance(term.head, Var):
            return False
        shape = self._shapes.of(definition, term.head)
        for part in term.parts:
            key = key_of(part)
            if not isinstance(key, str):
                return False
            if not shape.requires(key):
                return True
            shape = shape.part(key) or shape
        return False


def _asked_first(term: Term) -> Iterator[Var | Ref]:
    """The paths in a negated term that Rego asks before the ``not``."""
    match term:
        case Var():
            return
        case Ref():
            for part in term.parts:
                yield from _paths(part)
        case Infix(_, "==" | "=", left, right):
            for side in (left, right):
                yield from _asked_first(side) if isinstance(side, Ref | Var) else _paths(side)
        case _:
            for part in below(term):
                yield from _paths(part)


def _paths(term: Term) -> Iterator[Var | Ref]:
    if isinstance(term, Comprehension):
        return
    if isinstance(term, Var | Ref):
        yield term
    for part in term.parts if isinstance(term, Ref) and isinstance(term.head, Var) else below(term):
        yield from _paths(part)


def _filled(paths: frozenset[Path], names: dict[tuple[str, int], Path | None]) -> Iterator[Path]:
    """Paths as they are seen by who calls: with what is given in the place of parameters and members."""
    for path in paths:
        turned: list[Part] = []
        for at, part in enumerate(path):
            if isinstance(part, tuple) and part[0] in {"param", "member"}:
                given = names.get((part[0], int(part[1])))
                if given is None or (at and len(given) > 1):
                    break
                turned += given
            else:
                turned.append(part)
        else:
            yield tuple(turned)


def _literal(term: Term) -> Path | None:
    return (term.value,) if isinstance(term, Scalar) and isinstance(term.value, str) else None


def _is_subject(path: Path, at: int) -> bool:
    """What an action without it is another kind of action for: a rule about tools says nothing of models."""
    return (at == 1 and path[1] in {"tool", "model"}) or (at == 2 and path[1:3] == ("tool", "tags"))
