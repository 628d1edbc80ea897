"""Rego text as tokens, each with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from openclaw.policy.syntax import Fault, Place

KEYWORDS = frozenset(
    {"as", "contains", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package"}
    | {"some", "true", "with"}
)

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\f\v]+|\#[^\n]*|\n)
    | (?P<text>"(?:[^"\\\n]|\\[^\n])*")
    | (?P<raw>`[^`]*`)
    | (?P<template>\$["`])
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    | (?P<mark>:=|==|!=|<=|>=|[-+*/%&|<>=:;,.()\[\]{}])
    """,
    re.VERBOSE,
)


class SyntaxFault(Exception):
    """Text that is no Rego; ``fault`` says where and why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: text, raw, template, name, number, mark, end (of the text) or bad (what is no token).
        spaced: white space or a comment stands before it.
        first: it is the first on its line.
        ended: the line on which it ends.
    """

    kind: str
    text: str
    at: Place
    spaced: bool
    first: bool
    ended: int

    def is_(self, *marks: str) -> bool:
        """Whether it is one of these marks or keywords."""
        return self.text in marks and (self.kind == "mark" or (self.kind == "name" and self.text in KEYWORDS))


def tokens(text: str, start: int = 0, end: int | None = None, line: int = 1, column: int = 1) -> Iterator[Token]:
    """The tokens of ``text`` from ``start`` to ``end``, which stands on ``line`` at ``column``; the last is of kind ``end``.

    What is no token is one of kind ``bad``, so that whoever reads on can say what was expected there.
    """
    end = len(text) if end is None else end
    at, line_start = start, start - (column - 1)
    spaced = first = True
    while at < end:
        match = _TOKEN.match(text, at, end)
        kind, found = (match.lastgroup or "", match.group()) if match else ("bad", _bad(text, at, end))
        if kind == "template":
            found = text[at : _template_end(text, at, end)]
            kind = "template" if len(found) > 2 and found[-1] == found[1] else "bad"
        after = at + len(found)
        lines = found.count("\n")
        if kind != "space":
            yield Token(kind, found, Place(at, after, line, at - line_start + 1), spaced, first, line + lines)
        spaced = kind == "space"
        if lines:
            line += lines
            line_start = at + found.rfind("\n") + 1
        first = (lines > 0 or first) if kind == "space" else False
        at = after
    yield Token("end", "", Place(at, at, line, at - line_start + 1), spaced, first, line)


def _bad(text: str, at: int, end: int) -> str:
    """What is no token, whole: a text that is not closed goes to the end of its line."""
    if text[at] in '"`':
        stop = text.find("\n", at, end)
        return text[at : stop if stop >= 0 else end]
    return text[at]


def _template_end(text: str, at: int, end: int) -> int:
    """The index after a template that begins at ``at``: its quote, with braces and quotes in braces left out."""
    quote, at, depth = text[at + 1], at + 2, 0
    while at < end:
        sign = text[at]
        if not depth and sign == "\\":
            at += 2
            continue
        if depth and sign in '"`':
            close = text.find(sign, at + 1, end)
            at = close + 1 if close >= 0 else end
            continue
        if not depth and sign == quote:
            return at + 1
        depth += (sign == "{") - (sign == "}" and depth > 0)
        if sign == "\n" and quote == '"':
            return at
        at += 1
    return end


def unescaped(token: Token) -> str:
    """The text that a ``text`` or ``raw`` token stands for.

    Raises:
        SyntaxFault: it holds an escape that there is not, or a control character.
    """
    if token.kind == "raw":
        return token.text[1:-1].replace("\r", "")
    try:
        return json.loads(token.text)
    except ValueError as error:
        raise SyntaxFault(
            Fault(token.at.line, token.at.column, "the text holds an escape that there is not", "write `\\\\` for `\\`")
        ) from error
