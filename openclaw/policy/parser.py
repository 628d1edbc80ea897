"""Rego v1 as OPA parses it, read into the values of ``syntax``, with every fault of a file and not only the first.

This decides nothing: engines parse what they decide by, and a policy is good only once an engine has taken it. It reads
for those who look at policies (``check``, ``explain``), which must say the same with every engine. A test holds it to
OPA's own parser, file by file and over files with random damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from openclaw.policy.cursor import Cursor
from openclaw.policy.lexer import KEYWORDS, SyntaxFault, Token, tokens, unescaped
from openclaw.policy.syntax import (
    Array,
    Body,
    Branch,
    Call,
    Comprehension,
    Every,
    Expr,
    Fault,
    File,
    Import,
    Infix,
    Member,
    Not,
    Object,
    Package,
    Place,
    Ref,
    Rule,
    Scalar,
    Set,
    SomeIn,
    SomeNames,
    Statement,
    Template,
    Term,
    Var,
    With,
    constant,
)

# From the loosest to the tightest; all are read from left to right.
_OPERATORS = (("==", "!=", "<", "<=", ">", ">="), ("|",), ("&",), ("+", "-"), ("*", "/", "%"))
_TIGHTNESS = {operator: level for level, operators in enumerate(_OPERATORS) for operator in operators}
_ANY, _NO_RELATION = 0, 1
_WORDS = {"true": True, "false": False, "null": None}


def parse(text: str) -> File:
    """Read a file. Never fails: what cannot be read is in ``faults``, and reading goes on at the next line that begins a rule."""
    parser = _Parser(text, list(tokens(text)))
    package: Package | None = None
    imports: list[Import] = []
    rules: list[Rule] = []
    faults: list[Fault] = []
    while parser.token.kind != "end":
        began = parser.index
        try:
            if parser.token.is_("package"):
                found = parser.package()
                if package is not None or imports or rules:
                    raise parser.fault_at(found.at, "a file has one package, named before all else", "remove this line")
                package = found
            elif package is None and not faults:
                raise parser.fault(
                    "the file does not begin with its package", "write `package openclaw.policies.<name>`"
                )
            elif parser.token.is_("import"):
                imports.append(parser.import_())
            else:
                rules += parser.rules()
        except SyntaxFault as error:
            faults.append(error.fault)
            parser.skip(began)
    if package is None and not faults:
        faults.append(
            Fault(1, 1, "the file is empty", "write `package openclaw.policies.<name>` and rules, or remove it")
        )
    return File(text, package, tuple(imports), tuple(rules), tuple(faults))


class _Parser(Cursor):
    """Reads tokens from left to right; every method begins at the first token of what it reads, and ends after the last."""

    def __init__(self, text: str, read: list[Token]) -> None:
        super().__init__(read)
        self._text = text
        # What may turn out to be the head of a comprehension is read twice, and only once if it is kept.
        self._read: dict[int, tuple[Term, int]] = {}

    # -- package and imports -------------------------------------------------------------------------------------------

    def package(self) -> Package:
        """``package a.b``."""
        self._next()
        at, path = self._path("the name of the package")
        return Package(at, path)

    def import_(self) -> Import:
        """``import data.a.b`` with or without ``as c``."""
        first = self._next()
        at, path = self._path("`data.…`, `input.…` or `rego.v1`")
        if path[0] not in {"data", "input", "rego", "future"}:
            raise self.fault_at(
                at, f"an import begins with `data` or `input`, not `{path[0]}`", f"write `import data.{path[0]}`"
            )
        name = self._name("a name").text if self._take("as") else path[-1]
        return Import(self._from(first), path, name)

    def _path(self, what: str) -> tuple[Place, tuple[str, ...]]:
        first = self._name(what)
        parts = [first.text]
        while not self.token.spaced and self.token.is_(".", "["):
            if self._next().text == ".":
                if self.token.kind != "name" or self.token.spaced:
                    raise self.unexpected("a name after the dot")
                parts.append(self._next().text)
            else:
                if self.token.kind not in {"text", "raw"}:
                    raise self.unexpected("a text in quotes")
                parts.append(unescaped(self._next()))
                self._expect("]")
        return self._from(first), tuple(parts)

    # -- rules ---------------------------------------------------------------------------------------------------------

    def rules(self) -> list[Rule]:
        """A rule; several where further bodies follow it in braces."""
        first = self.token
        default = self._take("default") is not None
        head_first = self.token
        path, keys, args = self._head()
        member = self._term() if self._take("contains") else None
        value = self._infix() if self.token.is_(":=", "=") and self._next() else None
        head = self._from(head_first)
        kind = "set" if member is not None else "function" if args is not None else "object" if keys else "value"
        if default:
            if value is None:
                raise self.unexpected("`:=` and a value, as in `default allow := false`")
            if not constant(value):
                raise self.fault_at(
                    value.at, "the value of a default is written out: no variables, paths or calls", "write `false`"
                )
            branches = (Branch(head, value, ()),)
            return [Rule(self._from(first), head, path, kind, args or (), keys, None, branches, default=True)]
        if self.token.is_("{"):
            raise self.fault("`if` is missing before the rule's body", "Rego v1 writes `name if { … }`")
        body = self._body() if self._take("if") else ()
        if not body and value is None and member is None and args is None:
            if len(path) == 1 and not keys:
                raise self.unexpected(f"`if`, `:=` or `contains` after `{path[0]}`")
            raise self.unexpected("`if`, `:=` or `contains`")
        chained = bool(body) and kind != "set" and all(isinstance(key, Scalar) for key in keys)
        branches = (Branch(self._from(first), value, body), *(self._else() if chained else ()))
        if self.token.is_("else"):
            raise self.fault("`else` goes with a rule that has one value and a body", "write another rule")
        found = [Rule(self._from(first), head, path, kind, args or (), keys, member, branches)]
        while body and self.token.is_("{"):
            again = self.token
            branches = (Branch(again.at, value, self._block()), *(self._else() if chained else ()))
            found.append(Rule(self._from(again), head, path, kind, args or (), keys, member, branches))
        return found

    def _head(self) -> tuple[tuple[str, ...], tuple[Term, ...], tuple[Term, ...] | None]:
        """The name of a rule, the keys after it, and the parameters of a function."""
        path = [self._name("the name of a rule").text]
        keys: list[Term] = []
        while self.token.is_("[") or (self.token.is_(".") and not self.token.spaced):
            part = self._part()
            if not keys and isinstance(part, Scalar) and isinstance(part.value, str):
                path.append(part.value)
            else:
                keys.append(part)
        args = self._list(")") if self._take("(") else None
        return tuple(path), tuple(keys), args

    def _else(self) -> list[Branch]:
        branches: list[Branch] = []
        while self.token.is_("else"):
            first = self._next()
            value = self._infix() if self.token.is_(":=", "=") and self._next() else None
            if self.token.is_("{"):
                raise self.fault("`if` is missing after `else`", "Rego v1 writes `else := value if { … }`")
            body = self._body() if self._take("if") else ()
            if value is None and not body:
                raise self.unexpected("`:=` or `if` after `else`")
            branches.append(Branch(self._from(first), value, body))
        return branches

    # -- bodies and statements -----------------------------------------------------------------------------------------

    def _body(self) -> Body:
        """What follows ``if``: statements in braces, or one statement, which may begin with a brace of its own."""
        if self.token.is_("{"):
            begin, depth = self.index, self._depth
            try:
                return self._block()
            except SyntaxFault as block:
                ended, self.index, self._depth = self.index, begin, depth
                try:
                    return (self._statement(),)
                except SyntaxFault:
                    self.index = ended
                    raise block from None
        return (self._statement(),)

    def _block(self) -> Body:
        self._deeper()
        opened = self._expect("{")
        body = self._statements("}", opened)
        self._expect("}")
        self._depth -= 1
        return body

    def _statements(self, end: str, opened: Token) -> Body:
        """Statements up to the closing sign, which is not read: each on a line of its own, or with ``;`` between them."""
        found = [self._statement()]
        while not self.token.is_(end):
            if self._take(";"):
                found.append(self._statement())
            elif self.token.kind == "end":
                raise self.fault(
                    f"`{end}` is missing: what is opened in line {opened.at.line} is not closed", f"write `{end}`"
                )
            elif not self.token.first:
                raise self.unexpected(f"a new line, `;` or `{end}`")
            elif self.token.at.column == 1 and opened.at.line < self.token.at.line and self._begins_rule():
                raise self.fault(
                    f"`{end}` is missing before this: what is opened in line {opened.at.line} is not closed",
                    f"write `{end}`",
                )
            else:
                found.append(self._statement())
        return tuple(found)

    def _begins_rule(self) -> bool:
        """Whether a rule seems to begin here; it would be a strange statement."""
        following = self._tokens[self.index + 1] if self.index + 1 < len(self._tokens) else self.token
        return self.token.is_("default") or (self.token.kind == "name" and following.is_("if", "contains"))

    def _statement(self) -> Statement:
        first = self.token
        if self.token.is_("some"):
            what = self._some()
        elif self.token.is_("every"):
            what = self._every()
        elif self._take("not"):
            what = Not(self._expression())
        else:
            what = Expr(self._expression())
        modifiers: list[With] = []
        while self.token.is_("with"):
            start = self._next()
            target = self._term()
            if not isinstance(target, Var | Ref):
                raise self.fault_at(target.at, "`with` replaces a path", "write `with input.path as value`")
            self._expect("as", why="`as` and a value")
            value = self._infix()
            modifiers.append(With(self._from(start), target, value))
        return Statement(self._from(first), what, tuple(modifiers))

    def _expression(self) -> Term:
        """A term, or two with ``:=`` or ``=`` between them."""
        first = self.token
        left = self._infix(pair=True)
        if self.token.is_(":=", "="):
            operator = self._next().text
            right = self._infix()
            return Infix(self._from(first), operator, left, right)
        return left

    def _some(self) -> SomeNames | SomeIn:
        self._next()
        terms = [self._operators(_NO_RELATION)]
        while self._take(","):
            terms.append(self._operators(_NO_RELATION))
        if self.token.is_("in"):
            self._next()
            if len(terms) > 2:
                raise self.fault_at(terms[2].at, "`some … in` has a key and a value, not more", "remove this name")
            collection = self._operators(_ANY)
            return SomeIn(terms[0] if len(terms) == 2 else None, terms[-1], collection)
        names: list[Var] = []
        for term in terms:
            if not isinstance(term, Var):
                raise self.fault_at(
                    term.at, "`some` declares names", "write `some name`, or `some value in collection`"
                )
            names.append(term)
        return SomeNames(tuple(names))

    def _every(self) -> Every:
        self._next()
        key, value = None, self._variable()
        if self._take(","):
            key, value = value, self._variable()
        self._expect("in", why="`in` and what is gone through")
        return Every(key, value, self._operators(_ANY), self._block())

    def _variable(self) -> Var:
        token = self._name("a name")
        return Var(token.at, token.text)

    # -- terms ---------------------------------------------------------------------------------------------------------

    def _infix(self, *, pair: bool = False) -> Term:
        """A term with any operators but assignment. ``pair``: ``key, value in collection`` may stand here."""
        first = self.token
        left = self._operators(_ANY)
        key: Term | None = None
        if pair and self.token.is_(","):
            before = self.index
            self._next()
            key, left = left, self._operators(_ANY)
            if not self.token.is_("in"):
                self.index = before
                raise self.unexpected("a new line, `;`, or the end of the body")
        while self.token.is_("in"):
            self._next()
            collection = self._operators(_ANY)
            key, left = None, Member(self._from(first), key, left, collection)
        return left

    def _operators(self, least: int) -> Term:
        """A term with the operators that are at least as tight as ``least``."""
        first = self.token
        left = self._term()
        while self.token.kind == "mark" and _TIGHTNESS.get(self.token.text, -1) >= least:
            operator = self._next().text
            right = self._operators(_TIGHTNESS[operator] + 1)
            left = Infix(self._from(first), operator, left, right)
        return left

    def _term(self) -> Term:
        """A term without operators outside of brackets."""
        begin, first = self.index, self.token
        if begin in self._read:
            term, self.index = self._read[begin]
            return term
        self._deeper()
        term = self._primary()
        while not self.token.spaced and self.token.is_(".", "[", "("):
            if self.token.is_("("):
                if not isinstance(term, Var | Ref):
                    raise self.fault("only a function by its name can be called", "correct the call")
                self._next()
                args = self._list(")")
                empty = isinstance(term, Var) and term.name == "set" and not args
                term = Set(self._from(first), ()) if empty else Call(self._from(first), term, args)
                continue
            if isinstance(term, Scalar | Template):
                raise self.fault_at(first.at, f"`{first.text}` has no parts", "write a path that begins with a name")
            part = self._part()
            head, parts = (term.head, term.parts) if isinstance(term, Ref) else (term, ())
            term = Ref(self._from(first), head, (*parts, part))
        self._depth -= 1
        self._read[begin] = term, self.index
        return term

    def _part(self) -> Term:
        """``.name`` or ``[term]`` after something."""
        if self._next().text == ".":
            token = self.token
            if token.kind != "name" or token.spaced:
                raise self.unexpected("a name after the dot")
            self._next()
            return Scalar(token.at, token.text)
        part = self._infix()
        self._expect("]")
        return part

    def _primary(self) -> Term:
        token = self.token
        match token.kind:
            case "text" | "raw":
                return Scalar(self._next().at, unescaped(token))
            case "template":
                self._next()
                return Template(token.at, tuple(self._template(token)))
            case "number":
                return Scalar(self._next().at, _number(token.text))
            case "name" if token.text in _WORDS:
                return Scalar(self._next().at, _WORDS[token.text])
            case "name" if token.text not in KEYWORDS or self._calls_contains():
                return Var(self._next().at, token.text)
            case "mark" if token.text == "-":
                return self._negative()
            case "mark" if token.text == "(":
                self._next()
                term = self._infix(pair=True)
                self._expect(")")
                return term
            case "mark" if token.text == "[":
                return self._array()
            case "mark" if token.text == "{":
                return self._braces()
            case _:
                raise self.unexpected("a value")

    def _calls_contains(self) -> bool:
        """``contains(text, part)`` is a function, though its name is a keyword."""
        following = self._tokens[min(self.index + 1, len(self._tokens) - 1)]
        return self.token.text == "contains" and following.is_("(") and not following.spaced

    def _negative(self) -> Term:
        sign = self._next()
        if self.token.kind not in {"number", "name"}:
            raise self.unexpected("a number")
        operand = self._term()
        at = self._from(sign)
        if (
            isinstance(operand, Scalar)
            and isinstance(operand.value, int | float)
            and not isinstance(operand.value, bool)
        ):
            return Scalar(at, -operand.value)
        return Infix(at, "-", Scalar(sign.at, 0), operand)

    def _list(self, end: str) -> tuple[Term, ...]:
        """Terms with commas between them, and the closing sign; a comma may stand after the last."""
        items: list[Term] = []
        while not self._take(end):
            items.append(self._infix())
            if not self._take(","):
                self._expect(end, why=f"`,` or `{end}`")
                break
        return tuple(items)

    def _array(self) -> Term:
        first = self._next()
        found = self._comprehension(first, "array", "]")
        if found is not None:
            return found
        self._take(",")  # OPA lets one stand before the first.
        items = self._list("]")
        return Array(self._from(first), items)

    def _comprehension(self, first: Token, kind: Literal["array", "set"], end: str) -> Term | None:
        """The comprehension that begins here with one term and a bar; None where it is none."""
        before, depth = self.index, self._depth
        if self.token.is_(end, ","):
            return None
        head = self._term()
        if not self.token.is_("|"):
            self.index, self._depth = before, depth
            return None
        self._next()
        body = self._statements(end, first)
        self._expect(end)
        return Comprehension(self._from(first), kind, None, head, body)

    def _braces(self) -> Term:
        """An object, a set, or a comprehension of either."""
        first = self._next()
        if self._take("}"):
            return Object(self._from(first), ())
        found = self._comprehension(first, "set", "}")
        if found is not None:
            return found
        self._take(",")
        item = self._infix()
        if not self.token.is_(":"):
            items = (item, *(self._list("}") if self._take(",") else self._closed("}")))
            return Set(self._from(first), items)
        pairs: list[tuple[Term, Term]] = []
        while True:
            self._expect(":")
            before = self.index
            if not pairs:
                head = self._term()
                if self._take("|"):
                    body = self._statements("}", first)
                    self._expect("}")
                    return Comprehension(self._from(first), "object", item, head, body)
                self.index = before
            pairs.append((item, self._infix()))
            if not self._take(","):
                self._expect("}", why="`,` or `}`")
                break
            if self._take("}"):
                break
            item = self._infix()
        return Object(self._from(first), tuple(pairs))

    def _closed(self, end: str) -> tuple[()]:
        self._expect(end, why=f"`,` or `{end}`")
        return ()

    def _template(self, token: Token) -> Iterator[Term]:
        """The expressions in braces of a template."""
        at, text = token.at, token.text
        position = 2
        while position < len(text) - 1:
            if text[position] == "\\":
                position += 2
                continue
            if text[position] != "{":
                position += 1
                continue
            before = text[: position + 1]
            line = at.line + before.count("\n")
            column = at.column + position + 1 if line == at.line else position - before.rfind("\n") + 1
            inner = _Parser(self._text, list(tokens(self._text, at.start + position + 1, at.end - 1, line, column)))
            yield inner._infix()
            if not inner.token.is_("}"):
                raise inner.unexpected("`}`")
            position = inner.token.at.end - at.start


def _number(text: str) -> int | float:
    value = float(text) if any(sign in text for sign in ".eE") else int(text)
    return int(value) if isinstance(value, float) and value.is_integer() else value
