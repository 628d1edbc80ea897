"""Going through tokens: what every reader of a grammar needs, whatever the grammar."""

from __future__ import annotations

from openclaw.policy.lexer import KEYWORDS, SyntaxFault, Token
from openclaw.policy.syntax import Fault, Place

DEPTH_MAX = 80
"""How deep terms and bodies may be nested: far beyond any policy, and below the stack of the interpreter."""


class Cursor:
    """Goes through tokens from left to right, and says what is wrong where it stands."""

    def __init__(self, read: list[Token]) -> None:
        self._tokens = read
        self._depth = 0
        self.index = 0

    @property
    def token(self) -> Token:
        """The token that comes next."""
        return self._tokens[self.index]

    def fault(self, message: str, hint: str = "") -> SyntaxFault:
        """What is wrong with the next token."""
        return self.fault_at(self.token.at, message, hint)

    def fault_at(self, at: Place, message: str, hint: str = "") -> SyntaxFault:
        """What is wrong at a place."""
        return SyntaxFault(Fault(at.line, at.column, message, hint))

    def unexpected(self, expected: str) -> SyntaxFault:
        """The next token is not what there must be."""
        if self.token.kind == "end":
            return self.fault(f"the file ends here: expected {expected}", "write it, or remove what is not finished")
        shown = self.token.text.split("\n", 1)[0]
        if self.token.kind == "bad" and shown[:1] in {'"', "`", "$"}:
            return self.fault(
                "the text is not closed", f"close it with `{shown[:2][-1] if shown[0] == '$' else shown[0]}`"
            )
        return self.fault(f"unexpected `{shown}`: expected {expected}", "correct this, or what stands before it")

    def skip(self, began: int) -> None:
        """Go on at the next line that begins at its first column with a name, after the line at ``began`` at least."""
        self._depth = 0
        self.index = min(max(self.index, began + 1), len(self._tokens) - 1)
        while self.token.kind != "end" and not self._begins_line():
            self.index += 1

    def _begins_line(self) -> bool:
        token = self.token
        word = token.kind == "name" and (token.text not in KEYWORDS or token.is_("package", "import", "default"))
        return word and token.first and token.at.column == 1

    def _from(self, first: Token | Place) -> Place:
        """From the start of ``first`` to the end of the last token that was read."""
        at = first.at if isinstance(first, Token) else first
        return Place(at.start, self._tokens[self.index - 1].at.end, at.line, at.column)

    def _next(self) -> Token:
        token = self.token
        self.index += token.kind != "end"
        return token

    def _take(self, *marks: str) -> Token | None:
        return self._next() if self.token.is_(*marks) else None

    def _expect(self, *marks: str, why: str = "") -> Token:
        if not self.token.is_(*marks):
            raise self.unexpected(why or " or ".join(f"`{mark}`" for mark in marks))
        return self._next()

    def _name(self, what: str) -> Token:
        if self.token.kind != "name" or self.token.text in KEYWORDS:
            raise self.unexpected(what)
        return self._next()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self.fault(f"this is nested more than {DEPTH_MAX} levels deep", "give parts of it names of their own")
