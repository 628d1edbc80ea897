"""References that go through all members of something, written so that rego-cpp goes through them.

``lower(input.items[_].name) == "x"`` asks for any item of that name. rego-cpp gives ``_`` (or a variable that gets its values
there) its values only where the reference stands by itself; as an argument of a call, inside an array, an object or a set, or
beside ``in``, ``|`` and ``&`` it finds nothing, without a word. It is given ``member_1 := input.items[_].name`` and then
``lower(member_1) == "x"``, which is the same to Rego. In a head there is no statement to put before: that is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from openclaw.policy.rewriting import Rewritten, Span, Writer, statement_end
from openclaw.policy.scan import Name, Token, closing, is_root, parameters_of, path_at, rules_of, tokens_of

_LOSING = frozenset({"in", "|", "&"})
_KNOWN = frozenset({"input", "data", "true", "false", "null"})


@dataclass(slots=True)
class _Statement:
    """Where a statement ends, without and with its modifiers, and the references in it that need a name."""

    ends: Span
    spans: list[Span] = field(default_factory=list[Span])


def with_members_named(text: str, rules: Set[str] = frozenset()) -> tuple[Rewritten, tuple[Name, ...]]:
    """The file as rego-cpp is given it, and the references in heads that cannot be helped. Never fails: see ``scan``.

    ``rules`` are the names of the rules and imports that the file can see: any other name in brackets is a variable.
    """
    tokens = tokens_of(text)
    reading = _Reading(tokens, rules | _KNOWN)
    for start, end in rules_of(tokens):
        reading.rule(start, end)
    lost = tuple(Name((tokens[start].text,), tokens[start].line, tokens[start].column) for start, _ in reading.lost)
    if not any(statement.spans for statement in reading.statements.values()):
        return Rewritten(text, text), lost
    return _Members(text, tokens, reading.statements).rewritten(), lost


class _Members(Writer):
    def __init__(self, original: str, tokens: Sequence[Token], statements: dict[int, _Statement]) -> None:
        super().__init__(original, tokens, "member_")
        self._statements = statements

    def step(self, at: int, end: int, *, flat: bool) -> int:
        found = self._statements.pop(at, None)  # Its own tokens pass here again while it is written.
        if found is None or not found.spans:
            return self.token(at)
        return self.named_first(at, found.ends, found.spans, flat=flat)


class _Reading:
    """Finds the statements of each body, and in each the references that rego-cpp would lose."""

    def __init__(self, tokens: Sequence[Token], known: Set[str]) -> None:
        self._tokens = tokens
        self._known = known
        self._rule: Span = (0, 0)
        self.statements: dict[int, _Statement] = {}
        self.lost: list[Span] = []

    def rule(self, start: int, end: int) -> None:
        """One rule: its head, and the bodies after ``if`` and ``else``."""
        tokens = self._tokens
        self._rule = (start, end)
        head = start
        while head < end:
            stop = next((at for at in range(head, end) if tokens[at].text == "if" and tokens[at].depth == 0), end)
            body = self._body_span(stop + 1, end) if stop < end else (end, end)
            self._head(head, stop)
            if stop < end and tokens[stop + 1 : stop + 2] and tokens[stop + 1].text == "{":
                self._body(*body)
                head = body[1] + 1
            else:
                self._statement(*body)
                head = max(body[1], stop + 1)

    def _body_span(self, start: int, end: int) -> Span:
        if start < end and self._tokens[start].text == "{":
            return start + 1, closing(self._tokens, start) - 1
        return (start, statement_end(self._tokens, start, end, at_modifiers=False)) if start < end else (end, end)

    def _head(self, start: int, end: int) -> None:
        """What the head of a rule or of a comprehension computes: lost where nothing else in the rule has the variable."""
        elsewhere = [*range(self._rule[0], start), *range(end, self._rule[1])]
        named = {self._tokens[at].text for at in elsewhere if is_root(self._tokens, at)} | self._parameters()
        for span in self._references(start, end, inside=False):
            variables = self._variables(*span)
            if "_" in variables or not variables <= named:
                self.lost.append(span)

    def _body(self, start: int, end: int) -> None:
        at = start
        while at < end:
            if self._tokens[at].text == ";":
                at += 1
                continue
            at = max(self._statement(at, end), at + 1)

    def _statement(self, start: int, end: int) -> int:
        if start >= end:
            return end
        tokens = self._tokens
        bare_end = statement_end(tokens, start, end, at_modifiers=True)
        after = statement_end(tokens, start, end, at_modifiers=False)
        statement = self.statements[start] = _Statement((bare_end, after))
        first = tokens[start].text
        declaring = first in {"some", "every"}
        depth = tokens[start].depth
        losing = not declaring and any(
            tokens[at].text in _LOSING and tokens[at].depth == depth for at in range(start, bare_end)
        )
        found = list(self._references(start, bare_end, inside=losing, every=first == "every"))
        # A variable has no values of its own inside a negation.
        statement.spans = [] if first == "not" else found
        return after

    def _references(self, start: int, end: int, *, inside: bool, every: bool = False) -> Iterator[Span]:
        """The outermost references with variables in brackets, where ``inside`` says whether they would be lost."""
        tokens = self._tokens
        at = start
        while at < end:
            token = tokens[at]
            if token.text in "([{":
                after = closing(tokens, at)
                if every and token.text == "{" and tokens[at - 1].text != "in":
                    self._body(at + 1, after - 1)
                else:
                    yield from self._bracketed(at, after)
                at = after
            elif is_root(tokens, at):
                after = self._reference_end(at, end)
                if inside and self._variables(at, after):
                    yield at, after
                else:
                    yield from self._parts(at, after)
                at = max(after, at + 1)
            else:
                at += 1

    def _bracketed(self, at: int, after: int) -> Iterator[Span]:
        """What stands in brackets: arguments, a group, a composite, or a comprehension, which has a body of its own."""
        tokens = self._tokens
        depth = tokens[at].depth + 1
        bar = next((bar for bar in range(at, after) if tokens[bar].text == "|" and tokens[bar].depth == depth), None)
        if bar is None or tokens[at].text == "(":
            yield from self._references(at + 1, after - 1, inside=True)
        else:
            self._head(at + 1, bar)
            self._body(bar + 1, after - 1)

    def _reference_end(self, at: int, end: int) -> int:
        """The index after a reference or a call, with all its fields and brackets; of a call, that of its name."""
        tokens = self._tokens
        _, after = path_at(tokens, at)
        while after < end:
            if tokens[after].text == "[" and not tokens[after].spaced:
                after = closing(tokens, after)
            elif tokens[after].text == "." and after + 1 < end and tokens[after + 1].kind == "name":
                after += 2
            else:
                break
        return after

    def _variables(self, start: int, end: int) -> set[str]:
        """The variables that stand alone in brackets of a reference, and so may get their values there."""
        tokens = self._tokens
        found: set[str] = set()
        at = start + 1
        while at < end:
            if tokens[at].text == "(":  # The arguments of a call in brackets are given, not looked for.
                at = closing(tokens, at)
                continue
            alone = tokens[at - 1].text == "[" and at + 1 < end and tokens[at + 1].text == "]"
            if alone and is_root(tokens, at) and tokens[at].text not in self._known:
                found.add(tokens[at].text)
            at += 1
        return found

    def _parameters(self) -> set[str]:
        return set(parameters_of(self._tokens[self._rule[0] : self._rule[1]]))

    def _parts(self, start: int, end: int) -> Iterator[Span]:
        """What stands in the brackets of a reference that needs no name itself."""
        for at in range(start, end):
            if self._tokens[at].text == "[" and self._tokens[at].depth == self._tokens[start].depth:
                yield from self._references(at + 1, closing(self._tokens, at) - 1, inside=False)


__all__ = ["with_members_named"]
