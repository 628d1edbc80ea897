"""Paths of the input that there are not, and comparisons that can only come out one way."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator

from pydantic import JsonValue

from openclaw.errors import Diagnostic
from openclaw.policy.ruleset import DECIDING, POLICIES, Definition, RulePath, Ruleset, Source, dotted
from openclaw.policy.shape import UNKNOWN, Shape, input_shape
from openclaw.policy.shapes import Shapes, keys_got
from openclaw.policy.syntax import (
    Array,
    Call,
    Expr,
    Infix,
    Member,
    Object,
    Place,
    Ref,
    Scalar,
    Set,
    SomeIn,
    Statement,
    Term,
    Var,
    With,
    flat,
    heads,
    names_of,
    statements,
    terms_of,
)

_ORDERING = frozenset({"<", "<=", ">", ">="})
_EQUALITY = frozenset({"==", "=", "!="})
_NUMERIC = re.compile(r"-?\d[\d_,]*(\.\d+)?")
_SHOWN_MAX = 12
_TEXT, _ARRAY = frozenset(["string"]), frozenset(["array"])


def input_findings(ruleset: Ruleset, shapes: Shapes) -> Iterator[Diagnostic]:
    """Unknown paths of the input and of the folder's own packages, and comparisons that can only come out one way."""
    for source in ruleset.sources:
        yield from _imports(ruleset, source)
    for definition in ruleset.definitions:
        look = _Look(ruleset, shapes, definition)
        for term in heads(definition.rule):
            yield from look.term(term, whole=False)
        for statement, _ in statements(definition.rule):
            yield from look.statement(statement)


def _imports(ruleset: Ruleset, source: Source) -> Iterator[Diagnostic]:
    for it in source.file.imports:
        if it.path[0] == "input":
            shape, written = input_shape(), "input"
            for name in it.path[1:]:
                below = shape.part(name)
                if below is None:
                    yield _unknown(source, it.at, shape, written, name, it.path[it.path.index(name) + 1 :])
                    break
                shape, written = below, f"{written}.{name}"
        elif it.path[0] == "data" and (near := _near_path(ruleset, it.path[1:])):
            yield source.finding(
                it.at,
                f"there is no `data.{'.'.join(it.path[1:])}` in this folder",
                f"did you mean `data.{'.'.join(near)}`?",
                code="unknown-rule",
            )


class _Look:
    """Looks at one definition of a rule."""

    def __init__(self, ruleset: Ruleset, shapes: Shapes, definition: Definition) -> None:
        self._ruleset = ruleset
        self._shapes = shapes
        self._definition = definition
        self._source = definition.source

    def statement(self, statement: Statement) -> Iterator[Diagnostic]:
        """What is to be said of a statement."""
        # Under `with input as …` the statement's own paths are of another document.
        whole = any(isinstance(it.target, Var) and it.target.name == "input" for it in statement.modifiers)
        said = {id(part) for it in statement.modifiers for part in (it.target, it.value)}
        for term in terms_of(statement):
            yield from self.term(term, whole=whole and id(term) not in said)
        for modifier in statement.modifiers:
            yield from self._modifier(modifier)
        if isinstance(statement.what, SomeIn) and isinstance(statement.what.value, Scalar) and not whole:
            yield from self._compared(statement.at, "==", statement.what.value, statement.what.collection)
        if isinstance(statement.what, Expr) and not whole:
            yield from self._null(statement.what.term)

    def term(self, term: Term, *, whole: bool) -> Iterator[Diagnostic]:
        """What is to be said of a term."""
        for part in flat(term):
            if isinstance(part, Ref):
                yield from self._path(part, whole=whole)
            elif whole:
                continue
            elif isinstance(part, Infix) and part.operator in _EQUALITY | _ORDERING:
                yield from self._compared(part.at, part.operator, part.left, part.right)
            elif isinstance(part, Member):
                yield from self._member(part)
            elif isinstance(part, Call):
                yield from self._got(part)

    # -- paths ---------------------------------------------------------------------------------------------------------

    def _path(self, path: Ref, *, whole: bool) -> Iterator[Diagnostic]:
        names = names_of(path)
        target = self._ruleset.target(self._definition, path)
        if target is not None and target[0] == "data" and names is not None:
            near = _near_path(self._ruleset, tuple(str(part) for part in target[1:]))
            if near:
                written = _swapped(path, near)
                message = f"there is no `{self._source.file.of(path.at)}` in this folder"
                yield self._source.finding(path.at, message, f"did you mean `{written}`?", code="unknown-rule")
        if whole:
            return
        shape = UNKNOWN
        for number, found in self._shapes.steps(self._definition, path):
            if found is None:
                part = path.parts[number - 1]
                rest = tuple(self._source.file.of(it.at) for it in path.parts[number:])
                head = Place(path.at.start, _before(self._source, part), 0, 0)
                name = part.value if isinstance(part, Scalar) and isinstance(part.value, str) else ""
                yield _unknown(self._source, part.at, shape, self._source.file.of(head), name, rest, root=path.at)
                return
            shape = found

    def _got(self, call: Call) -> Iterator[Diagnostic]:
        """``object.get(input.tool, "nmae", "")``."""
        if dotted(call.function) != "object.get" or len(call.args) != 3:
            return
        shape, written = self._shapes.of(self._definition, call.args[0]), self._source.file.of(call.args[0].at)
        for key in keys_got(call):
            below = shape.part(key)
            if below is None:
                yield _unknown(self._source, call.args[1].at, shape, written, str(key), ())
                return
            shape, written = below, f"{written}.{key}"

    def _modifier(self, modifier: With) -> Iterator[Diagnostic]:
        """The names in an input that a test writes out: those that are misspelt, since tests may well give odd ones."""
        target = self._ruleset.target(self._definition, modifier.target)
        if target is None or target[0] != "input":
            return
        shape: Shape | None = input_shape()
        for key in target[1:]:
            shape = shape.part(key) if shape is not None else None
        if shape is not None:
            yield from self._written(modifier.value, shape, ".".join(str(part) for part in target))

    def _written(self, value: Term, shape: Shape, written: str) -> Iterator[Diagnostic]:
        for key, item in value.pairs if isinstance(value, Object) else ():
            if not isinstance(key, Scalar) or not isinstance(key.value, str):
                continue
            below = shape.part(key.value)
            if below is not None:
                yield from self._written(item, below, f"{written}.{key.value}")
            elif difflib.get_close_matches(key.value, shape.names, n=1, cutoff=0.6):
                yield _unknown(self._source, key.at, shape, written, key.value, ())

    # -- comparisons ---------------------------------------------------------------------------------------------------

    def _compared(self, at: Place, operator: str, left: Term, right: Term) -> Iterator[Diagnostic]:
        one, other = self._shapes.of(self._definition, left), self._shapes.of(self._definition, right)
        if operator in _EQUALITY:
            for term, listed, literal, only in ((left, one, right, other), (right, other, left, one)):
                if (
                    len(listed.values) > 1
                    and only.values
                    and not set(map(_key, only.values)) & set(map(_key, listed.values))
                ):
                    yield self._never(literal, term, listed.values, operator)
                    return
        types = one.types, other.types
        if all(types) and not types[0] & types[1]:
            if operator in _EQUALITY and "null" in types[0] | types[1]:
                return  # Said by `_null`, where it is meant.
            yield self._mixed(at, operator, types)
        elif operator in _ORDERING:
            for literal, kinds in ((left, types[1]), (right, types[0])):
                if _is_number_in_quotes(literal) and kinds != _TEXT:
                    yield self._quoted(literal)

    def _quoted(self, literal: Term) -> Diagnostic:
        written = self._source.file.of(literal.at)
        number = re.sub(r"[^\d.-]", "", written)
        return self._source.finding(
            literal.at,
            f"`{written}` is text: to Rego every text is greater than every number",
            f"write `{number}`, and check `is_number(…)` first",
            code="mixed-types",
            severity="warning",
        )

    def _member(self, member: Member) -> Iterator[Diagnostic]:
        if not isinstance(member.collection, Array | Set):
            return
        listed = self._shapes.of(self._definition, member.value).values
        for item in member.collection.items if len(listed) > 1 else ():
            values = self._shapes.of(self._definition, item).values
            if values and not set(map(_key, values)) & set(map(_key, listed)):
                yield self._never(item, member.value, listed, "==")

    def _never(self, literal: Term, term: Term, listed: tuple[JsonValue, ...], operator: str) -> Diagnostic:
        written, value = self._source.file.of(literal.at), self._source.file.of(term.at)
        said = json.loads(written) if isinstance(literal, Scalar) and written.startswith('"') else written
        near = difflib.get_close_matches(str(said), [str(one) for one in listed], n=1, cutoff=0.5)
        choices = ", ".join(json.dumps(one) for one in listed)
        outcome = "is always something else" if operator == "!=" else "is never that"
        hint = f"did you mean `{json.dumps(near[0])}`? it is one of {choices}" if near else f"it is one of {choices}"
        return self._source.finding(
            literal.at, f"`{value}` is compared with `{written}`, and {outcome}", hint, code="impossible-value"
        )

    def _mixed(self, at: Place, operator: str, types: tuple[frozenset[str], frozenset[str]]) -> Diagnostic:
        left, right = (" or ".join(sorted(kinds)) for kinds in types)
        outcome = (
            "always"
            if operator == "!="
            else "never"
            if operator in _EQUALITY
            else "by their types alone, always or never"
        )
        return self._source.finding(
            at,
            f"`{operator}` compares {_a(left)} with {_a(right)}, and holds {outcome}",
            "compare values of one type: `to_number(…)` makes a number of a text",
            code="mixed-types",
            severity="warning",
        )

    def _null(self, term: Term) -> Iterator[Diagnostic]:
        """Parts of the input are absent, never null."""
        match term:
            case Infix(_, "==", path, Scalar(_, None)) | Infix(_, "==", Scalar(_, None), path):
                pass
            case Call(_, Var(_, "is_null"), (path,)):
                pass
            case _:
                return
        shape = self._shapes.of(self._definition, path)
        if isinstance(path, Var | Ref) and shape.types and "null" not in shape.types:
            written = self._source.file.of(path.at)
            yield self._source.finding(
                term.at,
                f"`{written}` is never null: where there is none it is absent, and this does not hold",
                f"write `not {written}`",
                code="never-null",
                severity="warning",
            )


def _is_number_in_quotes(term: Term) -> bool:
    return isinstance(term, Scalar) and isinstance(term.value, str) and _NUMERIC.fullmatch(term.value) is not None


def _key(value: JsonValue) -> str:
    return json.dumps(value)


def _a(types: str) -> str:
    return f"an {types}" if types[:1] in "ao" else f"a {types}"


def _before(source: Source, part: Term) -> int:
    """Where the text before a part of a path ends: before its dot or bracket."""
    return source.file.text.rfind("." if source.file.text[part.at.start - 1] == "." else "[", 0, part.at.start)


def _unknown(
    source: Source,
    at: Place,
    shape: Shape,
    written: str,
    name: str,
    rest: tuple[str, ...],
    *,
    root: Place | None = None,
) -> Diagnostic:
    whole = ".".join((written, name or "…", *rest))
    if not shape.names:
        kinds = " or ".join(sorted(shape.types)) or "value"
        listed = shape.types == _ARRAY and name
        hint = f'it is a list: write `"{name}" in {written}`' if listed else "see `openclaw schema input`"
        return source.finding(
            root or at, f"`{written}` is {_a(kinds)} and has no part `{name}`", hint, code="unknown-input"
        )
    near = shape.near(name)
    if near:
        hint = f"did you mean `{'.'.join((written, near, *rest))}`?"
    else:
        hint = f"it has {', '.join(shape.names[:_SHOWN_MAX])}: see `openclaw schema input`"
    return source.finding(
        root or at, f"there is no `{whole}`: `{written}` has no part `{name}`", hint, code="unknown-input"
    )


def _near_path(ruleset: Ruleset, path: RulePath) -> RulePath:
    """The rule or package that a name of this folder may mean that leads to nothing; empty where it leads somewhere."""
    if ruleset.data is None or (path[:2] == POLICIES and path[3:4] in {(name,) for name in DECIDING}):
        return ()  # A policy may be asked for what it does not have.
    tree = [*ruleset.rules, *ruleset.packages, *((name,) for name in ruleset.data)]
    for depth, part in enumerate(path):
        below = {it[depth] for it in tree if len(it) > depth and it[:depth] == path[:depth]}
        if part not in below:
            near = difflib.get_close_matches(part, sorted(below), n=1, cutoff=0.75)
            return (*path[:depth], near[0], *path[depth + 1 :]) if near else ()
        if path[: depth + 1] in ruleset.rules or (not depth and part in ruleset.data):
            return ()  # What lies inside of a value is not known here.
    return ()


def _swapped(path: Ref, near: RulePath) -> str:
    """A path as it is written, with its wrong part replaced."""
    written = names_of(path) or ()
    # What an import stands for is at the front, and is not written.
    return ".".join((written[0], *near[len(near) - len(written) + 1 :])) if len(written) > 1 else ".".join(near)
