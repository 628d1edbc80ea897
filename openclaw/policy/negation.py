"""What ``not f(x)`` means where ``x`` is undefined, as Open Policy Agent has it, for the engines that read it otherwise.

OPA takes the operands of a negated call out of the negation before it evaluates anything: ``not startswith(input.path,
"/srv/")`` is ``operand := input.path`` and then ``not startswith(operand, "/srv/")``. Where ``input.path`` is undefined the
first of the two does not hold, and so neither does the statement. regorus and rego-cpp evaluate the operands inside, and
the statement holds. They are given what OPA makes of it, so that a policy means the same to all three.

What is taken out (found by comparison with OPA 1.22, case by case): the arguments of a call and both sides of every operator
but ``==`` and ``=``; of these two, a side that is itself a call, a calculation or a composite; and in all of them what stands
in the brackets of a reference. A reference by itself stays inside: ``not input.x`` and ``not input.x == 1`` hold without it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field

from openclaw.policy.scan import Scan, Token, closing, path_at, scan, tokens_of

# From the operators that bind least to those that bind most, as in OPA's grammar.
_LEVELS = (
    frozenset({":=", "="}),
    frozenset({"in"}),
    frozenset({"==", "!=", "<", ">", "<=", ">="}),
    frozenset({"|"}),
    frozenset({"&"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_INFIX: frozenset[str] = frozenset[str]().union(*_LEVELS)
_UNIFYING = frozenset({"==", "=", ":="})
_CONSTANTS = frozenset({"true", "false", "null", "_"})


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file as an engine is given it. ``marks`` pair the offset of each token in ``text`` with that in ``original``."""

    original: str
    text: str
    marks: tuple[tuple[int, int], ...] = ()

    def place(self, line: int, column: int) -> tuple[int, int]:
        """Line and column in the original of a place in ``text``; both count from 1, and stay 0 where they are."""
        if not self.marks or not line:
            return line, column
        start = 0
        for _ in range(line - 1):
            start = self.text.find("\n", start) + 1
        offset = start + column - 1
        at = max(bisect_right(self.marks, offset, key=lambda mark: mark[0]) - 1, 0)
        after, before = self.marks[at]
        found = before + max(offset - after, 0)
        head = self.original[:found]
        return head.count("\n") + 1, found - head.rfind("\n")


def all_with_operands_first(files: Iterable[tuple[str, str]]) -> dict[str, Rewritten]:
    """Every file of a bundle (path, text), rewritten: a package may have its rules in many files."""
    texts = dict(files)
    scans = {path: scan(text) for path, text in texts.items()}
    rules: dict[tuple[str, ...], set[str]] = {}
    for found in scans.values():
        if found.package is not None:
            rules.setdefault(found.package.path, set()).update(rule.path[0] for rule in found.rules)
    return {
        path: with_operands_first(text, {*scans[path].imports, *rules.get(_package(scans[path]), ())})
        for path, text in texts.items()
    }


def _package(found: Scan) -> tuple[str, ...]:
    return found.package.path if found.package is not None else ()


def with_operands_first(text: str, rules: Set[str] = frozenset()) -> Rewritten:
    """The same file with the operands of negated calls before the negation. Never fails: see ``scan``.

    The number of each line stays what it was, but for lines inside one negated expression. ``rules`` are the names that
    may be undefined: of the rules and imports that the file can see. Any other name is a variable, and has a value.
    """
    tokens = tuple(tokens_of(text))
    if not any(token.text == "not" for token in tokens):
        return Rewritten(text, text)
    writer = _Writer(text, tokens, rules)
    writer.write(0, len(tokens))
    writer.add(text[tokens[-1].end :])
    return Rewritten(text, "".join(writer.parts), tuple(writer.marks))


@dataclass(slots=True)
class _Writer:
    """Writes a file anew, token by token. ``flat``: on one line, and without comments."""

    original: str
    tokens: Sequence[Token]
    rules: Set[str]
    parts: list[str] = field(default_factory=list[str])
    marks: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    length: int = 0
    names: int = 0

    def add(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def write(self, start: int, end: int, *, flat: bool = False, gap: bool = True) -> None:
        """The tokens from ``start`` to ``end``, each after its gap; without the first one's where ``gap`` is false."""
        at = start
        while at < end:
            if gap or at > start:
                self._gap(at, flat=flat)
            at = self._negation(at, end, flat=flat) if self._negates(at) else self._token(at)

    def _token(self, at: int) -> int:
        self.marks.append((self.length, self.tokens[at].start))
        self.add(self.tokens[at].text)
        return at + 1

    def _gap(self, at: int, *, flat: bool) -> None:
        token = self.tokens[at]
        before = self.tokens[at - 1].end if at else 0
        self.add((" " if token.spaced or token.first else "") if flat else self.original[before : token.start])

    def _negates(self, at: int) -> bool:
        return self.tokens[at].text == "not" and (at == 0 or self.tokens[at - 1].text != ".")

    def _negation(self, at: int, limit: int, *, flat: bool) -> int:
        """Write the negated statement at ``at``; the index after it."""
        end = _end(self.tokens, at, limit, at_modifiers=True)
        operands = [span for span in _operands(self.tokens, at + 1, end) if self._may_be_undefined(*span)]
        if not operands:
            return self._token(at)
        after = _end(self.tokens, at, limit, at_modifiers=False)
        bare = at > 0 and self.tokens[at - 1].text == "if"
        self.add("{ " if bare else "")
        names: list[str] = []
        for start, stop in operands:
            names.append(self._fresh())
            self.add(f"{names[-1]} := ")
            self.write(start, stop, flat=True, gap=False)
            self.write(end, after, flat=True)
            self.add("; ")
            if not flat:  # Its lines are kept, so that the lines below keep their numbers.
                self.add("\n" * self.original.count("\n", self.tokens[start].start, self.tokens[stop - 1].end))
        self._token(at)
        done = at + 1
        for (start, stop), name in zip(operands, names, strict=True):
            self.write(done, start, flat=flat)
            self._gap(start, flat=flat)
            self.marks.append((self.length, self.tokens[start].start))
            self.add(name)
            done = stop
        self.write(done, after, flat=flat)
        self.add(" }" if bare else "")
        return after

    def _may_be_undefined(self, start: int, end: int) -> bool:
        """Whether an operand is more than a value that is written out, a pattern with wildcards, or a variable."""
        inner = self.tokens[start:end]
        if len(inner) == 1 and inner[0].kind == "name":
            return inner[0].text in self.rules
        pattern = inner[0].text in "[{" and any(token.text == "_" for token in inner)
        named = any(token.kind == "name" and token.text not in _CONSTANTS for token in inner)
        return not pattern and (named or any(token.text.startswith("$") for token in inner))

    def _fresh(self) -> str:
        """A variable that the file does not have."""
        self.names += 1
        name = f"operand_{self.names}"
        return name if name not in self.original else self._fresh()


Span = tuple[int, int]


def _end(tokens: Sequence[Token], at: int, limit: int, *, at_modifiers: bool) -> int:
    """The index after the statement that ``not`` at ``at`` begins, with its ``with`` modifiers or up to them."""
    depth = tokens[at].depth
    for end in range(at + 1, limit):
        token, before = tokens[end], tokens[end - 1]
        if token.depth < depth:
            return end
        if token.depth > depth or token.text in ")]}":
            continue
        goes_on = before.text in _INFIX | {"with", "as", "not"} or token.text in _INFIX | {"with", "as"}
        if token.text in {";", "else"} or (token.text == "with" and at_modifiers) or (token.first and not goes_on):
            return end
    return limit


def _operands(tokens: Sequence[Token], start: int, end: int) -> Iterator[Span]:
    """What OPA takes out of the negated expression between two tokens, in order."""
    start, end = _without_brackets(tokens, start, end)
    at = _operator(tokens, start, end)
    if at is None:
        yield from _inside_term(tokens, start, end)
    elif tokens[at].text in _UNIFYING:
        yield from _side(tokens, start, at)
        yield from _side(tokens, at + 1, end)
    else:
        yield from _listed(tokens, start, at)
        yield from _listed(tokens, at + 1, end)


def _without_brackets(tokens: Sequence[Token], start: int, end: int) -> Span:
    while end - start > 2 and tokens[start].text == "(" and closing(tokens, start) == end:
        start, end = start + 1, end - 1
    return start, end


def _operator(tokens: Sequence[Token], start: int, end: int) -> int | None:
    """The operator that binds least in an expression, the last of them."""
    if start >= end:
        return None
    depth = tokens[start].depth
    found = [
        at
        for at in range(start + 1, end)
        if tokens[at].depth == depth and tokens[at].text in _INFIX and tokens[at - 1].text not in _INFIX  # no sign
    ]
    for level in _LEVELS:
        for at in reversed(found):
            if tokens[at].text in level:
                return at
    return None


def _inside_term(tokens: Sequence[Token], start: int, end: int) -> Iterator[Span]:
    """What is taken out of a call or a reference by itself."""
    opening = _call(tokens, start, end)
    if opening is None:
        yield from _side(tokens, start, end)
        return
    after = closing(tokens, opening)
    if after == end:
        yield from _listed(tokens, opening + 1, end - 1)
    else:  # f(x).field
        yield start, after
        yield from _in_brackets(tokens, after, end)


def _side(tokens: Sequence[Token], start: int, end: int) -> Iterator[Span]:
    """What is taken out of one side of an equation."""
    start, end = _without_brackets(tokens, start, end)
    if start >= end:
        return
    composite = tokens[start].text in "[{" or tokens[start].text.startswith("$")
    if composite or _operator(tokens, start, end) is not None or _call(tokens, start, end) is not None:
        yield start, end
    else:
        yield from _in_brackets(tokens, start, end)


def _in_brackets(tokens: Sequence[Token], start: int, end: int) -> Iterator[Span]:
    """What stands in the brackets of a reference."""
    if start >= end:
        return
    depth = tokens[start].depth
    for at in range(start, end):
        token = tokens[at]
        if token.text == "[" and token.depth == depth and at and not token.spaced:
            yield from _listed(tokens, at + 1, closing(tokens, at) - 1)


def _call(tokens: Sequence[Token], start: int, end: int) -> int | None:
    """The index of the bracket that opens the arguments, where a call begins at ``start``."""
    name, after = path_at(tokens, start)
    called = name is not None and after < end and tokens[after].text == "(" and not tokens[after].spaced
    return after if called else None


def _listed(tokens: Sequence[Token], start: int, end: int) -> list[Span]:
    """The expressions between the commas of a list."""
    if start >= end:
        return []
    depth = tokens[start].depth
    commas = [at for at in range(start, end) if tokens[at].text == "," and tokens[at].depth == depth]
    spans = zip([start, *(at + 1 for at in commas)], [*commas, end], strict=True)
    return [(left, right) for left, right in spans if left < right]
