"""What ``some x in y`` means where ``y`` has no members, for the native engine, which fails there.

In OPA a text, a number or a boolean has no members, and the statement does not hold, as with ``y[_]``. regorus takes it for an
error, and a whole decision fails by one argument that is no list. It is given a function around ``y`` that has an empty list
for what has no members.
"""

from __future__ import annotations

from collections.abc import Sequence

from openclaw.policy.rewriting import Rewritten, Writer, statement_end
from openclaw.policy.scan import Token, closing, tokens_of

NAME = "openclaw_members"
"""A built-in of the native extension (native/src/builtins.rs). A rule of this name would be called in its place: no file of an
author may use it (``bundle.misplaced``)."""


def with_members_asked(text: str) -> Rewritten:
    """The same file with the function around every ``y`` that is not written out. Never fails: see ``scan``."""
    if "some" not in text:
        return Rewritten(text, text)
    tokens = tokens_of(text)
    if not any(token.text == "some" for token in tokens):
        return Rewritten(text, text)
    return _Members(text, tokens, "").rewritten()


class _Members(Writer):
    def step(self, at: int, end: int, *, flat: bool) -> int:
        tokens = self.tokens
        if tokens[at].text != "some" or (at and tokens[at - 1].text == "."):
            return self.token(at)
        after = statement_end(tokens, at, end, at_modifiers=True)
        into = next(
            (it for it in range(at + 1, after) if tokens[it].text == "in" and tokens[it].depth == tokens[at].depth),
            None,
        )
        if into is None or into + 1 >= after or _written_out(tokens, into + 1, after):
            return self.token(at)
        self.token(at)
        self.write(at + 1, into + 1, flat=flat)
        self.gap(into + 1, flat=flat)
        self.add(f"{NAME}(")
        self.write(into + 1, after, flat=flat, gap=False)
        self.add(")")
        return after


def _written_out(tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether this is a list, a set, an object or a comprehension, and nothing more."""
    return tokens[start].text in "[{" and closing(tokens, start) == end
