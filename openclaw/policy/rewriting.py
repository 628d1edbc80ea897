"""A Rego file written anew for an engine, token by token, so that what an engine misreads reaches it in other words."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from openclaw.policy.scan import Token

INFIX = frozenset({":=", "=", "in", "==", "!=", "<", ">", "<=", ">=", "|", "&", "+", "-", "*", "/", "%"})
"""Operators: a line that ends or begins with one goes on."""

Span = tuple[int, int]
"""The indices of the first token and of the one after the last."""


class Rewritten(NamedTuple):
    """A file as an engine is given it.

    ``marks`` pair the offset of each token in ``text`` with that in ``original``; ``before`` is what made ``original`` of
    the file that people know, if anything did.
    """

    original: str
    text: str
    marks: tuple[tuple[int, int], ...] = ()
    before: Rewritten | None = None

    def place(self, line: int, column: int) -> tuple[int, int]:
        """Line and column in the file that people know of a place in ``text``; both count from 1, or are 0 and stay so."""
        if self.marks and line:
            line, column = self._place(line, column)
        return self.before.place(line, column) if self.before is not None else (line, column)

    def _place(self, line: int, column: int) -> tuple[int, int]:
        start = 0
        for _ in range(line - 1):
            start = self.text.find("\n", start) + 1
        offset = start + column - 1
        at = max(bisect_right(self.marks, offset, key=lambda mark: mark[0]) - 1, 0)
        after, before = self.marks[at]
        found = before + max(offset - after, 0)
        head = self.original[:found]
        return head.count("\n") + 1, found - head.rfind("\n")


class Writer:
    """Writes a file anew. ``step`` decides what is written; ``flat``: on one line, and without comments.

    The number of each line stays what it was, but for lines inside one statement that is changed.
    """

    def __init__(self, original: str, tokens: Sequence[Token], prefix: str) -> None:
        self.original = original
        self.tokens = tokens
        self.prefix = prefix
        self.parts: list[str] = []
        self.marks: list[tuple[int, int]] = []
        self.length = 0
        self.names = 0

    def rewritten(self) -> Rewritten:
        """The whole file."""
        self.write(0, len(self.tokens))
        self.add(self.original[self.tokens[-1].end :])
        return Rewritten(self.original, "".join(self.parts), tuple(self.marks))

    def step(self, at: int, end: int, *, flat: bool) -> int:
        """Write what stands at ``at``, at most to ``end``; the index after it."""
        return self.token(at)

    def add(self, text: str) -> None:
        """Write what the file does not have."""
        self.parts.append(text)
        self.length += len(text)

    def write(self, start: int, end: int, *, flat: bool = False, gap: bool = True) -> None:
        """The tokens from ``start`` to ``end``, each after its gap; without the first one's where ``gap`` is false."""
        at = start
        while at < end:
            if gap or at > start:
                self.gap(at, flat=flat)
            at = self.step(at, end, flat=flat)

    def token(self, at: int) -> int:
        """One token as it is; the index after it."""
        self.marks.append((self.length, self.tokens[at].start))
        self.add(self.tokens[at].text)
        return at + 1

    def gap(self, at: int, *, flat: bool) -> None:
        """The white space and the comments before a token."""
        token = self.tokens[at]
        before = self.tokens[at - 1].end if at else 0
        self.add((" " if token.spaced or token.first else "") if flat else self.original[before : token.start])

    def named_first(self, at: int, ends: Span, spans: Sequence[Span], *, flat: bool) -> int:
        """The statement at ``at``, with each of ``spans`` given a name in a statement of its own before it.

        ``ends`` are the index after the statement without its ``with`` modifiers, which go along, and with them. A body
        without braces gets some.
        """
        end, after = ends
        bare = at > 0 and self.tokens[at - 1].text == "if"
        self.add("{ " if bare else "")
        names: list[str] = []
        for start, stop in spans:
            names.append(self._fresh())
            self.add(f"{names[-1]} := ")
            self.named(start, stop)
            self.write(end, after, flat=True)
            self.add("; ")
            if not flat:  # Its lines are kept, so that the lines below keep their numbers.
                self.add("\n" * self.original.count("\n", self.tokens[start].start, self.tokens[stop - 1].end))
        done = self.token(at) if not spans or spans[0][0] > at else at
        for (start, stop), name in zip(spans, names, strict=True):
            self.write(done, start, flat=flat)
            if start > at:
                self.gap(start, flat=flat)
            self.marks.append((self.length, self.tokens[start].start))
            self.add(name)
            done = stop
        self.write(done, after, flat=flat)
        self.add(" }" if bare else "")
        return after

    def named(self, start: int, stop: int) -> None:
        """Write what gets a name."""
        self.write(start, stop, flat=True, gap=False)

    def _fresh(self) -> str:
        """A variable that the file does not have."""
        self.names += 1
        name = f"{self.prefix}{self.names}"
        return name if name not in self.original else self._fresh()


def statement_end(tokens: Sequence[Token], at: int, limit: int, *, at_modifiers: bool) -> int:
    """The index after the statement that begins at ``at``, with its ``with`` modifiers or up to them."""
    depth = tokens[at].depth
    for end in range(at + 1, limit):
        token, before = tokens[end], tokens[end - 1]
        if token.depth < depth:
            return end
        if token.depth > depth or token.text in ")]}":
            continue
        goes_on = before.text in INFIX | {"with", "as", "not"} or token.text in INFIX | {"with", "as"}
        if token.text in {";", "else"} or (token.text == "with" and at_modifiers) or (token.first and not goes_on):
            return end
    return limit
