"""A quick reading of one Rego file: its package, the names of its rules, the functions that it calls.

This is no parser and decides nothing: engines parse Rego. It finds what engines would take without a word and what
must not pass in a policy, and serves those findings with a position.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\f\v]+|\#[^\n]*)
    | (?P<newline>\n)
    | (?P<text>\$?"(?:[^"\\\n]|\\.)*"|\$?`[^`]*`)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>[0-9][0-9a-zA-Z_.]*)
    | (?P<mark>:=|==|!=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")
_KEYWORDS = frozenset(
    {"as", "contains", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package"}
    | {"some", "true", "with"}
)
# A line that follows one of these goes on with the same rule.
_UNFINISHED = frozenset({"if", "contains", "in", "not", "with", "as", "else", "default", "some", "every"}) | frozenset(
    {":=", "=", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "|", "&", ",", ":", "."}
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token. ``spaced``: white space stands before it. ``depth``: open brackets around it."""

    kind: str
    text: str
    line: int
    column: int
    depth: int
    spaced: bool
    first: bool


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name at a place: a package, a rule's head, or a called function."""

    path: tuple[str, ...]
    line: int
    column: int
    function: bool = False

    @property
    def dotted(self) -> str:
        """The name as it is written."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file declares and uses. ``v0``: bodies without ``if``, the syntax before Rego v1."""

    package: Name | None
    imports: dict[str, tuple[str, ...]]
    rules: tuple[Name, ...]
    calls: tuple[Name, ...]
    v0: tuple[Name, ...]


def scan(text: str) -> Scan:
    """Read one file. Never fails: what is not Rego gives an empty or partial answer, and the engine's own error."""
    tokens = tuple(_tokens(text))
    heads = [at for at in range(len(tokens)) if _starts_rule(tokens, at)]
    package: Name | None = None
    imports: dict[str, tuple[str, ...]] = {}
    rules: list[Name] = []
    for at in heads:
        word = tokens[at].text
        if word == "package":
            package = package or _path(tokens, at + 1)[0]
        elif word == "import":
            name, after = _path(tokens, at + 1)
            alias = tokens[after + 1].text if _is(tokens, after, "as") and after + 1 < len(tokens) else None
            if name is not None:
                imports[alias or name.path[-1]] = name.path
        else:
            start = at + 1 if word == "default" else at
            name, after = _path(tokens, start)
            if name is not None:
                function = _is(tokens, after, "(") and not tokens[after].spaced
                rules.append(Name(name.path, name.line, name.column, function))
    return Scan(
        package=package,
        imports=imports,
        rules=tuple(rules),
        calls=tuple(_calls(tokens, set(heads))),
        v0=tuple(_bare_bodies(tokens, heads)),
    )


def _tokens(text: str) -> Iterator[Token]:
    line, start, depth = 1, 0, 0
    spaced = first = True
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup or "", match.group()
        if kind == "newline":
            line, start = line + 1, match.end()
            spaced = first = True
            continue
        if kind == "space":
            spaced = True
            continue
        if token in _CLOSE:
            depth = max(depth - 1, 0)
        yield Token(kind, token, line, match.start() - start + 1, depth, spaced, first)
        if token in _OPEN:
            depth += 1
        spaced = first = False
        if "\n" in token:  # A raw string over several lines.
            line += token.count("\n")
            start = match.start() + token.rfind("\n") + 1


def _starts_rule(tokens: tuple[Token, ...], at: int) -> bool:
    token = tokens[at]
    if not token.first or token.depth or token.kind != "name":
        return False
    if token.text in _KEYWORDS:
        return token.text in {"package", "import", "default"}
    return at == 0 or tokens[at - 1].text not in _UNFINISHED


def _is(tokens: tuple[Token, ...], at: int, text: str) -> bool:
    return at < len(tokens) and tokens[at].text == text


def _path(tokens: tuple[Token, ...], at: int) -> tuple[Name | None, int]:
    """The dotted name that starts at ``at``, with ``["…"]`` parts, and the index after it."""
    if at >= len(tokens) or tokens[at].kind != "name":
        return None, at
    first = tokens[at]
    parts = [first.text]
    at += 1
    while at + 1 < len(tokens):
        if tokens[at].text == "." and tokens[at + 1].kind == "name":
            parts.append(tokens[at + 1].text)
            at += 2
        elif tokens[at].text == "[" and tokens[at + 1].kind == "text" and _is(tokens, at + 2, "]"):
            parts.append(tokens[at + 1].text[1:-1])
            at += 3
        else:
            break
    return Name(tuple(parts), first.line, first.column), at


def _calls(tokens: tuple[Token, ...], heads: set[int]) -> Iterator[Name]:
    for at, token in enumerate(tokens):
        inside = at > 0 and tokens[at - 1].text == "."
        if token.kind != "name" or token.text in _KEYWORDS or inside or at in heads or at - 1 in heads:
            continue
        name, after = _path(tokens, at)
        if name is not None and _is(tokens, after, "(") and not tokens[after].spaced:
            yield name


def _bare_bodies(tokens: tuple[Token, ...], heads: list[int]) -> Iterator[Name]:
    """Rules whose body is not announced by ``if``: an engine of v0 heritage takes them for something else."""
    for start, end in pairwise([*heads, len(tokens)]):
        rule = tokens[start:end]
        if rule[0].text in {"package", "import"}:
            continue
        every = False
        for before, token in pairwise(rule):
            every = every or token.text == "every"
            if token.text != "{" or token.depth or every:
                continue
            names_something = before.kind in {"text", "number"} or before.text in {
                "]",
                ")",
                "}",
                "else",
                "true",
                "false",
            }
            if names_something or (before.kind == "name" and before.text not in _KEYWORDS):
                yield Name((rule[0].text,), token.line, token.column)
                break
