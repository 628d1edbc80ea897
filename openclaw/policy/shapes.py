"""What the values of a policy can be: the shapes of its terms, from the schema of the input through variables and rules."""

from __future__ import annotations

from collections.abc import Iterator

from openclaw.policy.functions import FUNCTIONS
from openclaw.policy.ruleset import Definition, RulePath, Ruleset, dotted, key_of
from openclaw.policy.scoping import Symbol
from openclaw.policy.shape import UNKNOWN, Shape, input_shape
from openclaw.policy.syntax import (
    Array,
    Call,
    Comprehension,
    Every,
    Expr,
    Infix,
    Member,
    Object,
    Ref,
    Scalar,
    Set,
    SomeIn,
    Template,
    Term,
    Var,
    statements,
)

_NAMES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}


class Shapes:
    """The shapes of the terms of a ruleset."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._variables: dict[int, dict[Symbol, Shape]] = {}
        self._rules: dict[RulePath, Shape] = {}
        self._busy: set[RulePath] = set()

    def of(self, definition: Definition, term: Term) -> Shape:
        """The shape of a term in a definition; unknown also where it can have no value, which ``missing`` finds."""
        match term:
            case Scalar(_, value):
                return _just(value)
            case Template():
                return _type("string")
            case Array() | Object():
                return _type("array" if isinstance(term, Array) else "object")
            case Set():
                return _type("set")
            case Comprehension():
                return _type(term.kind)
            case Member():
                return _type("boolean")
            case Infix(_, operator, _, _):
                known = {"+": "number", "*": "number", "/": "number", "%": "number"}
                return _type(known[operator]) if operator in known else UNKNOWN
            case Call():
                return self._call(definition, term)
            case Var() | Ref():
                shape = UNKNOWN
                for _, found in self.steps(definition, term):
                    shape = found or UNKNOWN
                return shape

    def steps(self, definition: Definition, term: Var | Ref) -> Iterator[tuple[int, Shape | None]]:
        """The shape of the head of a path, and then after each of its parts: the number of parts, and the shape there.

        It ends with no shape at the part at which nothing can stand.
        """
        head = term.head if isinstance(term, Ref) else term
        shape: Shape | None = self._head(definition, head)
        parts = term.parts if isinstance(term, Ref) else ()
        target = self._ruleset.target(definition, head)
        path: tuple[str | int | None, ...] = target if target is not None and target[0] == "data" else ()
        yield 0, shape
        for number, part in enumerate(parts, 1):
            key = key_of(part)
            if path:
                path = (*path, key)
                rule = tuple(str(name) for name in path[1:])
                shape = self.rule(rule) if rule in self._ruleset.rules else shape.part(key)
                path = () if rule in self._ruleset.rules else path
            else:
                shape = shape.part(key)
            yield number, shape
            if shape is None:
                return

    def rule(self, path: RulePath) -> Shape:
        """The shape of the value of a rule, over all of its definitions."""
        if path in self._busy:
            return UNKNOWN
        if path not in self._rules:
            self._busy.add(path)
            self._rules[path] = self._rule(path)
            self._busy.discard(path)
        return self._rules[path]

    def _rule(self, path: RulePath) -> Shape:
        found: list[Shape] = []
        for definition in self._ruleset.rules.get(path, ()):
            if definition.rule.kind in {"set", "object"} or definition.rule.keys:
                return _type("set" if definition.rule.kind == "set" and not definition.rule.keys else "object")
            values = [branch.value for branch in definition.rule.branches]
            found += [_just(True) if value is None else self.of(definition, value) for value in values]
        return _either(found)

    def _head(self, definition: Definition, head: Term) -> Shape:
        if not isinstance(head, Var):
            return self.of(definition, head)
        symbol = self._ruleset.scoping(definition).symbol(head)
        if symbol is not None:
            return self.variables(definition).get(symbol, UNKNOWN)
        return self.global_(definition, head)

    def global_(self, definition: Definition, head: Var) -> Shape:
        """The shape of an import, a rule of the package, or the input."""
        meaning = self._ruleset.meaning(definition.source, head.name) or ()
        if meaning[:1] == ("input",):
            shape: Shape | None = input_shape()
            for key in meaning[1:]:
                shape = shape.part(key) if shape else UNKNOWN
            return shape or UNKNOWN
        rule = tuple(str(part) for part in meaning[1:])
        return self.rule(rule) if rule in self._ruleset.rules else UNKNOWN

    def variables(self, definition: Definition) -> dict[Symbol, Shape]:
        """The shapes of the variables of a definition, as far as they are known."""
        key = id(definition.rule)
        if key in self._variables:
            return self._variables[key]
        found = self._variables[key] = {}
        for _ in range(2):  # A variable may get its shape from one that stands below it.
            for statement, _ in statements(definition.rule):
                if any(isinstance(it.target, Var) for it in statement.modifiers):
                    continue  # Under another input.
                match statement.what:
                    case Expr(Infix(_, ":=" | "=", Var() as var, term)):
                        self._learn(definition, var, self.of(definition, term))
                    case SomeIn(_, Var() as var, collection) | Every(_, Var() as var, collection, _):
                        self._learn(definition, var, self.of(definition, collection).part(None))
                    case _:
                        pass
        return found

    def _learn(self, definition: Definition, var: Var, shape: Shape | None) -> None:
        symbol = self._ruleset.scoping(definition).symbol(var)
        if symbol is not None and shape is not None and shape.known:
            self._variables[id(definition.rule)].setdefault(symbol, shape)

    def _call(self, definition: Definition, call: Call) -> Shape:
        if self._ruleset.called(definition.source, call.function):
            return UNKNOWN
        name = dotted(call.function)
        if name == "object.get" and len(call.args) == 3:
            shape = self.of(definition, call.args[0])
            for key in keys_got(call):
                shape = (shape.part(key) or UNKNOWN) if shape.known else shape
            default = self.of(definition, call.args[2])
            return _either([shape, default]) if shape.known and default.known else UNKNOWN
        function = FUNCTIONS.get(name)
        return _type(function.result) if function and function.result != "any" else UNKNOWN


def keys_got(call: Call) -> tuple[str | int | None, ...]:
    """The keys that a call of ``object.get`` goes down."""
    key = call.args[1]
    return tuple(map(key_of, key.items)) if isinstance(key, Array) else (key_of(key),)


def _just(value: str | float | bool | None) -> Shape:
    return Shape(({"type": _NAMES[type(value)], "const": value},))


def _type(name: str) -> Shape:
    return Shape(({"type": name},))


def _either(shapes: list[Shape]) -> Shape:
    if not shapes or not all(shape.known for shape in shapes):
        return UNKNOWN
    whole = next((shape.whole for shape in shapes if shape.whole is not None), None)
    return Shape(tuple(option for shape in shapes for option in shape.options), whole)
