"""A quick reading of one Rego file: its package, the names of its rules, the functions that it calls.

This is no parser and decides nothing: engines parse Rego. It finds what engines would take without a word and what
must not pass in a policy, and serves those findings with a position.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

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


class Token(NamedTuple):
    """One token. ``start``: its offset in the text. ``depth``: open brackets around it. ``spaced``: white space stands
    before it. ``first``: it begins its line."""

    kind: str
    text: str
    start: int
    line: int
    column: int
    depth: int
    spaced: bool
    first: bool

    @property
    def end(self) -> int:
        """The offset after it."""
        return self.start + len(self.text)


class Name(NamedTuple):
    """A dotted name at a place: a package, a rule's head, or a called function."""

    path: tuple[str, ...]
    line: int
    column: int
    function: bool = False

    @property
    def dotted(self) -> str:
        """The name as it is written."""
        return ".".join(self.path)


class Scan(NamedTuple):
    """What a file declares and uses, and what an engine of v0 heritage takes for something else.

    ``v0``: bodies without ``if``, the syntax before Rego v1. ``lonely``: names that stand once in their rule and get a
    value nowhere in it, so that they must be rules of the package. ``lost``: parameters of a function before the bar
    of a comprehension that does not name them after it. ``escaped``: strings that are written with more than
    themselves (``\\u00e9``), or raw strings that would be written with an escape elsewhere. ``patterns``: calls of
    ``regex.*`` with the text of their pattern, or the empty text where that is not written in the call. ``replaced``: names
    that ``with … as`` puts in the place of something else. ``negated``: each ``not`` in the body of an ``every``.
    """

    package: Name | None
    imports: dict[str, tuple[str, ...]]
    rules: tuple[Name, ...]
    calls: tuple[Name, ...]
    v0: tuple[Name, ...]
    lonely: tuple[Name, ...]
    lost: tuple[Name, ...]
    escaped: tuple[Name, ...]
    patterns: tuple[tuple[Name, str], ...]
    replaced: tuple[Name, ...]
    negated: tuple[Name, ...]


@functools.lru_cache(maxsize=256)
def scan(text: str) -> Scan:
    """Read one file. Never fails: what is not Rego gives an empty or partial answer, and the engine's own error."""
    tokens = tokens_of(text)
    heads = [at for at in range(len(tokens)) if _starts_rule(tokens, at)]
    statements = [tokens[start:end] for start, end in rules_of(tokens)]
    package: Name | None = None
    imports: dict[str, tuple[str, ...]] = {}
    rules: list[Name] = []
    for at in heads:
        word = tokens[at].text
        if word == "package":
            package = package or path_at(tokens, at + 1)[0]
        elif word == "import":
            name, after = path_at(tokens, at + 1)
            alias = tokens[after + 1].text if _is(tokens, after, "as") and after + 1 < len(tokens) else None
            if name is not None:
                imports[alias or name.path[-1]] = name.path
        else:
            start = at + 1 if word == "default" else at
            name, after = path_at(tokens, start)
            if name is not None:
                function = _is(tokens, after, "(") and not tokens[after].spaced
                rules.append(Name(name.path, name.line, name.column, function))
    return Scan(
        package=package,
        imports=imports,
        rules=tuple(rules),
        calls=tuple(_calls(tokens, set(heads))),
        v0=tuple(name for rule in statements for name in _bare_body(rule)),
        lonely=tuple(name for rule in statements for name in _lonely(rule)),
        lost=tuple(name for rule in statements for name in _lost(rule)),
        escaped=tuple(Name((token.text,), token.line, token.column) for token in tokens if _is_escaped(token)),
        patterns=tuple(_patterns(tokens)),
        replaced=tuple(_replaced(tokens)),
        negated=tuple(_negated(tokens)),
    )


def visible_names(texts: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """For each file of a bundle (path to text) the rules and imports that it can name: a package may have many files."""
    scans = {path: scan(text) for path, text in texts.items()}
    rules: dict[tuple[str, ...], set[str]] = {}
    for found in scans.values():
        if found.package is not None:
            rules.setdefault(found.package.path, set()).update(rule.path[0] for rule in found.rules)
    return {
        path: frozenset({*found.imports, *(rules[found.package.path] if found.package is not None else ())})
        for path, found in scans.items()
    }


@functools.lru_cache(maxsize=32)
def tokens_of(text: str) -> tuple[Token, ...]:
    """The tokens of a file, without white space and comments. Kept for a while: a file that is loaded is looked at often."""
    return tuple(_tokens(text))


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
        yield Token(kind, token, match.start(), line, match.start() - start + 1, depth, spaced, first)
        if token in _OPEN:
            depth += 1
        spaced = first = False
        if "\n" in token:  # A raw string over several lines.
            line += token.count("\n")
            start = match.start() + token.rfind("\n") + 1


def rules_of(tokens: tuple[Token, ...]) -> list[tuple[int, int]]:
    """The first token of each rule, and the one after its last."""
    heads = [at for at in range(len(tokens)) if _starts_rule(tokens, at)]
    return [
        (start, end)
        for start, end in pairwise([*heads, len(tokens)])
        if tokens[start].text not in {"package", "import"}
    ]


def _starts_rule(tokens: tuple[Token, ...], at: int) -> bool:
    token = tokens[at]
    if not token.first or token.depth or token.kind != "name":
        return False
    if token.text in _KEYWORDS:
        return token.text in {"package", "import", "default"}
    return at == 0 or tokens[at - 1].text not in _UNFINISHED


def _is(tokens: Sequence[Token], at: int, text: str) -> bool:
    return at < len(tokens) and tokens[at].text == text


def path_at(tokens: Sequence[Token], at: int) -> tuple[Name | None, int]:
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
    for at in range(len(tokens)):
        if not is_root(tokens, at) or at in heads or at - 1 in heads:
            continue
        name, after = path_at(tokens, at)
        if name is not None and _is(tokens, after, "(") and not tokens[after].spaced:
            yield name


def _patterns(tokens: Sequence[Token]) -> Iterator[tuple[Name, str]]:
    for at in range(len(tokens)):
        if not is_root(tokens, at) or tokens[at].text != "regex":
            continue
        name, after = path_at(tokens, at)
        if name is None or not _is(tokens, after, "("):
            continue
        inside = tokens[after + 1 : closing(tokens, after) - 1]
        depth = tokens[after].depth + 1
        commas = [index for index, token in enumerate(inside) if token.text == "," and token.depth == depth]
        start, end = 0, commas[0] if commas else len(inside)
        if name.dotted == "regex.replace" and commas:
            start, end = commas[0] + 1, commas[1] if len(commas) > 1 else len(inside)
        argument = inside[start:end]
        written = len(argument) == 1 and argument[0].kind == "text" and not argument[0].text.startswith("$")
        yield name, argument[0].text[1:-1] if written else ""


def _replaced(tokens: Sequence[Token]) -> Iterator[Name]:
    for at, token in enumerate(tokens):
        if token.text != "with":
            continue
        _, after = path_at(tokens, at + 1)
        name = path_at(tokens, after + 1)[0] if _is(tokens, after, "as") else None
        if name is not None and name.dotted not in {"true", "false", "null"}:
            yield name


def every_bodies(tokens: Sequence[Token]) -> Iterator[tuple[range, set[str]]]:
    """The body of each ``every``, from its opening bracket on, and the one or two variables that it declares."""
    for at, token in enumerate(tokens):
        if token.text != "every":
            continue
        opening = next(
            (
                after
                for after in range(at, len(tokens))
                if tokens[after].text == "{"
                and tokens[after].depth == token.depth
                and tokens[after - 1].text not in _UNFINISHED
            ),
            None,
        )
        domain = next((after for after in range(at, len(tokens)) if tokens[after].text == "in"), at)
        if opening is not None:
            yield range(opening, closing(tokens, opening)), _names(tokens[at + 1 : domain])


def _negated(tokens: Sequence[Token]) -> Iterator[Name]:
    bodies = [body for body, _ in every_bodies(tokens)]
    for at, token in enumerate(tokens):
        if token.text == "not" and any(at in body for body in bodies):
            yield Name((token.text,), token.line, token.column)


def is_root(tokens: Sequence[Token], at: int) -> bool:
    """Whether a name starts here: no keyword, and no field of another name. ``contains(…)`` is a function."""
    token = tokens[at]
    if token.kind != "name" or (at > 0 and tokens[at - 1].text == "."):
        return False
    called = at + 1 < len(tokens) and tokens[at + 1].text == "(" and not tokens[at + 1].spaced
    return token.text not in _KEYWORDS or (token.text == "contains" and called)


def _bare_body(rule: Sequence[Token]) -> Iterator[Name]:
    every = False
    for before, token in pairwise(rule):
        every = every or token.text == "every"
        if token.text != "{" or token.depth or every:
            continue
        ends_head = before.kind in {"text", "number"} or before.text in {"]", ")", "}", "else", "true", "false"}
        if ends_head or (before.kind == "name" and before.text not in _KEYWORDS):
            yield Name((rule[0].text,), token.line, token.column)
            return


def _lonely(rule: Sequence[Token]) -> Iterator[Name]:
    seen: Counter[str] = Counter()
    for token in rule:
        if token.kind == "text" and token.text.startswith("$"):
            seen.update(re.findall(r"[A-Za-z_]\w*", token.text))
    bound: set[str] = {"_", "input", "data"}
    roots = [at for at in range(len(rule)) if is_root(rule, at)]
    seen.update(rule[at].text for at in roots)
    declaring = False
    for at, token in enumerate(rule):
        declaring = token.text in {"some", "every"} or (declaring and token.text != "in")
        if declaring and token.kind == "name":
            bound.add(token.text)
        if token.text in {":=", "="} and at:
            bound |= _names(rule[_opening(rule, at - 1) : at])
            bound |= set() if token.text == ":=" else {rule[at + 1].text} if at + 1 < len(rule) else set()
        if token.text == "walk" and _is(rule, at + 1, "("):
            bound |= _names(rule[at : closing(rule, at + 1)])
        if token.text == "[" and at + 2 < len(rule) and rule[at + 2].text == "]" and at and not token.spaced:
            bound.add(rule[at + 1].text)  # `things[i]` gives `i` its values.
    bound |= set(parameters_of(rule)) | {rule[0].text}
    if rule[0].text == "default" and len(rule) > 1:
        bound.add(rule[1].text)
    for at in roots:
        token = rule[at]
        _, after = path_at(rule, at)
        called = _is(rule, after, "(") and not rule[after].spaced
        if seen[token.text] == 1 and token.text not in bound and not called:
            yield Name((token.text,), token.line, token.column)


def _lost(rule: Sequence[Token]) -> Iterator[Name]:
    parameters = set(parameters_of(rule))
    for at, token in enumerate(rule):
        if token.text != "|" or not parameters:
            continue
        start = next((back for back in range(at, -1, -1) if rule[back].depth == token.depth - 1), 0)
        if rule[start].text not in {"[", "{"}:
            continue  # A union, not a comprehension.
        end = closing(rule, start)
        for name in sorted((_names(rule[start:at]) & parameters) - _names(rule[at:end])):
            yield Name((name,), token.line, token.column)


def parameters_of(rule: Sequence[Token]) -> list[str]:
    """The names between the brackets of a function's head."""
    _, after = path_at(rule, 0)
    if not _is(rule, after, "(") or rule[after].spaced:
        return []
    return sorted(_names(rule[after : closing(rule, after)]))


def _names(tokens: Sequence[Token]) -> set[str]:
    return {tokens[at].text for at in range(len(tokens)) if is_root(tokens, at)}


def _opening(rule: Sequence[Token], at: int) -> int:
    """The index of the bracket that ``at`` closes; ``at`` itself where it closes none."""
    if rule[at].text not in _CLOSE:
        return at
    return next((back for back in range(at - 1, -1, -1) if rule[back].depth == rule[at].depth), at)


def closing(rule: Sequence[Token], at: int) -> int:
    """The index after the bracket that closes the one at ``at``."""
    for after in range(at + 1, len(rule)):
        if rule[after].text in _CLOSE and rule[after].depth == rule[at].depth:
            return after + 1
    return len(rule)


def _is_escaped(token: Token) -> bool:
    if token.kind != "text":
        return False
    if token.text.endswith("`"):
        return any(sign in token.text for sign in '\\"\n\r\t')
    return re.search(r"\\[u/]", token.text) is not None
