"""Small Rego policies made at random: each defines a set ``r`` by one rule, over one input and a few helpers.

They are for comparing engines: references through all members, calls, comprehensions, negation and ``every`` in all the places
where they may stand. Many are refused by OPA (a variable without a value, types that never match); those compare nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable

HELPERS = """
table := {"k": 1, "a": "k", "z": [1]}

list := ["a", 1, "k"]

members contains value if some value in ["k", 2]

known(value) := value if value != 1

alike(left, right) := [left] if left == right

listed(value) := value if is_array(value)
"""

INPUTS: list[dict[str, object]] = [
    {},
    {"a": "k", "l": ["a", 1], "o": {"k": 1}, "s": "k", "items": [{"name": "a"}, {"name": "b", "x": 1}]},
    {"a": 1, "l": ["k", ["a"], None], "o": {"a": "k", "b": [1]}, "items": []},
    {"a": ["a"], "l": [2, True, "a", 1], "s": "", "items": [{"name": "k"}, {"id": 1}, {"name": 1}]},
]

_PLACES = ["input.a", "input.l", "input.o", "input.s", "input.items", "table", "list", "members", "input.items[0]"]
_PLACES += ["input.items[_]", "input.l[_]", "input.o.k", "input.items[_].name", "table.k"]
_COLLECTIONS = ["input.l", "input.items", "list", "members", "table"]
_CONSTANTS = ['"a"', '"k"', "1", "2", "0", "true", "[]", '""', '{"a"}', '["a"]', '{"k": 1}']
_CALLS = ["known(%s)", "alike(%s, %s)", "is_string(%s)", "type_name(%s)", 'object.get(input, "s", %s)', "listed(%s)"]


class Policies:
    """A stream of policies that depends on ``seed`` alone."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def rule(self) -> str:
        """One rule that defines ``r``."""
        variables: list[str] = []
        body = [self._line(variables, number) for number in range(self._random.randint(1, 3))]
        head = self._random.choice([*variables, "1", "1"])
        if variables and self._random.random() < 0.3:
            head = f"[{head}, {self._random.choice(variables)}]"
        return f"r contains {head} if {{ {'; '.join(body)} }}"

    def _line(self, variables: list[str], number: int) -> str:
        """A statement that may declare a variable."""
        name = f"v{number}"
        kind = self._random.random()
        if kind < 0.3:
            line = f"some {name} in {self._random.choice([*_COLLECTIONS, 'input.o'])}"
        elif kind < 0.4:
            line = f"some {name}, w{number} in {self._random.choice(_COLLECTIONS)}"
            variables.append(f"w{number}")
        elif kind < 0.6:
            line = f"{name} := {self._term(2, variables)}"
        elif kind < 0.7:
            place = self._random.choice(["input.l", "input.items", "table"])
            line = f"{place}[{name}] {self._random.choice(['==', '!='])} {self._term(1, variables)}"
        else:
            return self._statement(2, variables)
        variables.append(name)
        return line

    def _statement(self, depth: int, variables: list[str]) -> str:
        def term() -> str:
            return self._term(depth, variables)

        def negated() -> str:
            inner: list[Callable[[], str]] = [
                lambda: self._call(depth, variables),
                lambda: self._place(variables),
                lambda: f"{term()} == {term()}",
                lambda: f"{term()} in input.l",
            ]
            return f"not {self._random.choice(inner)()}"

        def every() -> str:
            return (
                f"every q in {self._random.choice(_COLLECTIONS)} {{ {self._statement(depth - 1, [*variables, 'q'])} }}"
            )

        forms: list[tuple[int, Callable[[], str]]] = [
            (15, lambda: self._place(variables)),
            (15, lambda: self._call(depth, variables)),
            (20, lambda: f"{term()} == {term()}"),
            (8, lambda: f"{term()} != {term()}"),
            (17, lambda: f"{term()} in {self._random.choice([*_COLLECTIONS, '[input.a, 1]', self._place(variables)])}"),
            (10, negated),
            (15 if depth > 0 else 0, every),
        ]
        return self._random.choices([form for _, form in forms], [weight for weight, _ in forms])[0]()

    def _term(self, depth: int, variables: list[str]) -> str:
        kind = self._random.random()
        if kind < 0.5:
            return self._place(variables)
        if kind < 0.65 or depth <= 0:
            return self._random.choice(_CONSTANTS)
        if kind < 0.72:
            return f"[{self._term(depth - 1, variables)}, {self._term(depth - 1, variables)}]"
        if kind < 0.76:
            return f'{{"n": {self._term(depth - 1, variables)}}}'
        if kind < 0.80:
            return f"{{{self._term(depth - 1, variables)}}}"
        return self._comprehension(depth - 1, variables) if kind < 0.86 else self._call(depth - 1, variables)

    def _comprehension(self, depth: int, variables: list[str]) -> str:
        name = self._random.choice("ce")
        body = f"some {name} in {self._random.choice(_COLLECTIONS)}"
        if self._random.random() < 0.6:
            body += f"; {self._statement(depth - 1, [*variables, name])}"
        head = self._random.choice([name, name, f"known({name})", f"[{name}, 1]"])
        opening, closing = self._random.choice(["[]", "{}"])
        return f"{opening}{head} | {body}{closing}"

    def _call(self, depth: int, variables: list[str]) -> str:
        form = self._random.choice(_CALLS)
        return form % tuple(self._term(depth, variables) for _ in range(form.count("%s")))

    def _place(self, variables: list[str]) -> str:
        indexed = [f"{self._random.choice(['input.l', 'input.items', 'table', 'list'])}[{name}]" for name in variables]
        named = [f"input.items[{name}].name" for name in variables]
        return self._random.choice([*_PLACES, *indexed, *named, *variables, *variables])
