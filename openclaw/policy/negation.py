"""What ``not f(x)`` means where ``x`` is undefined, as Open Policy Agent has it, for the engines that read it otherwise.

OPA takes the operands of a negated call out of the negation before it evaluates anything: ``not startswith(input.path,
"/srv/")`` is ``operand := input.path`` and then ``not startswith(operand, "/srv/")``. Where ``input.path`` is undefined the
first of the two does not hold, and so neither does the statement. regorus and rego-cpp evaluate the operands inside, and
the statement holds. They are given what OPA makes of it, so that a policy means the same to all three.

What is taken out (found by comparison with OPA 1.22, case by case): the arguments of a call and both sides of every operator
but ``==`` and ``=``; of these two, a side that is itself a call, a calculation or a composite; and in all of them what stands
in the brackets of a reference. A reference by itself stays inside: ``not input.x`` and ``not input.x == 1`` hold without it.

One more thing is put before a negation, for regorus: a variable of ``every`` that stands in brackets, as in ``every key in
keys { not table[key] }``. There regorus takes it for one that goes through the whole table, unless another name is in the
brackets, and ``operand := key`` would not be another to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

from openclaw.policy.rewriting import INFIX, Rewritten, Span, Writer, statement_end
from openclaw.policy.scan import Token, closing, every_bodies, path_at, tokens_of, visible_names

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
_UNIFYING = frozenset({"==", "=", ":="})
_CONSTANTS = frozenset({"true", "false", "null", "_"})


def all_with_operands_first(files: Iterable[tuple[str, str]]) -> dict[str, Rewritten]:
    """Every file of a bundle (path, text), rewritten."""
    texts = dict(files)
    visible = visible_names(texts)
    return {path: with_operands_first(text, visible[path]) for path, text in texts.items()}


def with_operands_first(text: str, rules: Set[str] = frozenset()) -> Rewritten:
    """The same file with the operands of negated calls before the negation. Never fails: see ``scan``.

    ``rules`` are the names that
    may be undefined: of the rules and imports that the file can see. Any other name is a variable, and has a value.
    """
    tokens = tokens_of(text)
    if not any(token.text == "not" for token in tokens):
        return Rewritten(text, text)
    return _Negations(text, tokens, rules).rewritten()


class _Negations(Writer):
    def __init__(self, original: str, tokens: Sequence[Token], rules: Set[str]) -> None:
        super().__init__(original, tokens, "operand_")
        self._rules = rules
        self._every = tuple(every_bodies(tokens))

    def step(self, at: int, end: int, *, flat: bool) -> int:
        tokens = self.tokens
        if tokens[at].text != "not" or (at and tokens[at - 1].text == "."):
            return self.token(at)
        bare_end = statement_end(tokens, at, end, at_modifiers=True)
        operands = [span for span in _operands(tokens, at + 1, bare_end) if self._may_be_undefined(*span)]
        if not operands:
            return self.token(at)
        after = statement_end(tokens, at, end, at_modifiers=False)
        return self.named_first(at, (bare_end, after), operands, flat=flat)

    def _may_be_undefined(self, start: int, end: int) -> bool:
        """Whether an operand is more than a value that is written out, a pattern with wildcards, or a variable."""
        inner = self.tokens[start:end]
        if len(inner) == 1 and inner[0].kind == "name":
            return inner[0].text in self._rules or self._is_of_every(start, end)
        pattern = inner[0].text in "[{" and any(token.text == "_" for token in inner)
        named = any(token.kind == "name" and token.text not in _CONSTANTS for token in inner)
        return not pattern and (named or any(token.text.startswith("$") for token in inner))

    def _is_of_every(self, start: int, end: int) -> bool:
        """Whether this is a variable of an ``every`` around it."""
        name = self.tokens[start].text
        return end - start == 1 and any(start in body and name in names for body, names in self._every)

    def named(self, start: int, stop: int) -> None:
        of_every = self._is_of_every(start, stop)
        self.add("[" if of_every else "")
        super().named(start, stop)
        self.add("][0]" if of_every else "")


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
        if tokens[at].depth == depth and tokens[at].text in INFIX and tokens[at - 1].text not in INFIX  # no sign
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
