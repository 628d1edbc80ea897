"""What policies read: the parts of the input on which their answer can depend, and whether on anything else.

Two inputs that agree on every path read here get the same decision. That holds for whatever an engine accepts, so what
cannot be followed (a computed key, a whole object that is passed on, a template string) counts as read, whole:

    input.tool.args["amount"] > 10      reads input.tool.args.amount
    input.tool.args[name]               reads input.tool.args, everything below it
    walk(input)                         reads input
    import input.tool as t; t.name      reads input.tool.name

A path ends before an index that is no text. Everything else that could change an answer from one call to the next (the
time, chance, the network) is an ``Impurity``: a built-in is pure only where it is on the list here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.calls import defined_names, resolved
from openclaw.policy.guards import Guard, guarded
from openclaw.policy.scan import Name, Scan, Token, scan, tokens_of

if TYPE_CHECKING:
    from pydantic import JsonValue

InputPath = tuple[str, ...]
"""The keys below ``input``: ``("tool", "args", "amount")``. The empty path is the whole input."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# A built-in whose value is decided by its arguments alone. What is not here is taken for impure.
_PURE = frozenset(
    _words("""
        abs all and any ceil concat contains count endswith floor format_int indexof indexof_n intersection is_array
        is_boolean is_null is_number is_object is_set is_string lower max min or print product replace round set sort
        split sprintf startswith substring sum to_number trim trim_left trim_prefix trim_right trim_space trim_suffix
        type_name union upper walk crypto.md5 crypto.sha1 crypto.sha256 json.filter json.is_valid json.marshal
        json.marshal_with_options json.patch json.remove json.unmarshal rego.metadata.chain rego.metadata.rule
        time.add_date time.clock time.date time.diff time.format time.parse_duration_ns time.parse_ns
        time.parse_rfc3339_ns time.weekday uuid.parse
    """)
)
_PURE_FAMILIES = _words("""
    array. base64. base64url. bits. crypto.hmac. glob. graph. graphql. hex. net.cidr_ numbers. object. regex. semver.
    strings. units. urlquery. yaml.
""")
# Called or handed over by name (`with data.f as time.now_ns`), these depend on more than their arguments, or may: a token
# expires, a schema can name another one on the network.
_IMPURE_FAMILIES = _words("""
    http. io.jwt. net.lookup opa. rand. time.now uuid.rfc crypto.x509. crypto.parse providers. json.match_schema
    json.verify_schema
""")
_IMPURE = frozenset({"http.send", "net.lookup_ip_addr", "opa.runtime", "rand.intn", "time.now_ns", "uuid.rfc4122"})
_KEYWORDS = frozenset(
    {"as", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package", "some", "true", "with"}
)
_NUMBER = re.compile(r"\d+(\.\d+)?([eE]\d*)?")
# Where one reader of Rego sees a space or the end of a line and another does not, code could hide.
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")


class Read(NamedTuple):
    """A place that reads the input: ``path`` and everything below it, where all ``guards`` hold."""

    path: InputPath
    file: str
    line: int
    column: int
    guards: tuple[Guard, ...] = ()

    @property
    def dotted(self) -> str:
        """The path as people write it: ``input.tool.args``."""
        return dotted(self.path)


class Impurity(NamedTuple):
    """A place that can change an answer though input and data stay as they are; ``what`` says how, such as ```time.now_ns```."""

    what: str
    file: str
    line: int
    column: int


@dataclass(frozen=True)
class Reads:
    """Everything that the policies of a bundle read, file by file, in the order of the text."""

    places: tuple[Read, ...]
    impurities: tuple[Impurity, ...]

    @property
    def pure(self) -> bool:
        """The decision is a function of the read paths and of nothing else."""
        return not self.impurities

    @cached_property
    def paths(self) -> tuple[InputPath, ...]:
        """What is read, without paths that lie below another, sorted."""
        found: list[InputPath] = []
        for path in sorted({place.path for place in self.places}):
            if not (found and path[: len(found[-1])] == found[-1]):
                found.append(path)
        return tuple(found)

    def where(self, document: Mapping[str, JsonValue], *, known: Collection[InputPath] = ((),)) -> Reads:
        """What is read of inputs that agree with ``document`` on ``known``; what guards ask about counts as read too."""
        places = [place for place in self.places if not any(_fails(guard, document, known) for guard in place.guards)]
        return Reads(tuple(places), self.impurities)

    def touching(self, path: InputPath) -> tuple[InputPath, ...]:
        """The paths read that lie at, below or above ``path``: a change of what stands there can be seen through them."""
        return tuple(read for read in self.paths if all(a == b for a, b in zip(read, path, strict=False)))


def _fails(guard: Guard, document: Mapping[str, JsonValue], known: Collection[InputPath]) -> bool:
    return any(guard.path[: len(path)] == path for path in known) and not guard.holds(document)


def dotted(path: InputPath) -> str:
    """``input.tool.args.amount``; keys that are no names stand in brackets, as in Rego."""
    parts = (f".{key}" if re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII) else f"[{json.dumps(key)}]" for key in path)
    return "input" + "".join(parts)


def reads_of(bundle: Bundle) -> Reads:
    """What the policies of ``bundle`` read. Its tests are not part of it."""
    scans = {module: scan(module.text) for module in bundle.modules}
    defined = defined_names(scans.values())
    places: list[Read] = []
    impurities: list[Impurity] = []
    for module, found in scans.items():
        file = _File(module, found, defined)
        places += file.reads()
        impurities += file.impurities()
    return Reads(tuple(places), tuple(impurities))


class Projection:
    """What is left of an input when everything outside of ``paths`` is taken away.

    Where a path leads into something that is no object, all of that stays: it decides how the path fails. Two inputs have
    equal projections just where they agree on the paths.
    """

    def __init__(self, paths: Iterable[InputPath]) -> None:
        self._tree = _tree(tuple(paths))

    def of(self, document: JsonValue) -> JsonValue:
        """The projection of one input; its parts are those of the input, not copies."""
        return _project(document, self._tree)


_Tree: TypeAlias = "dict[str, _Tree] | None"
"""Paths as nested keys; None where everything below is read."""


def _tree(paths: tuple[InputPath, ...]) -> _Tree:
    if () in paths:
        return None
    return {key: _tree(tuple(path[1:] for path in paths if path[0] == key)) for key in sorted({it[0] for it in paths})}


def _project(value: JsonValue, tree: _Tree) -> JsonValue:
    if tree is None or not isinstance(value, dict):
        return value
    return {key: _project(value[key], below) for key, below in tree.items() if key in value}


class _File:
    """One file, as tokens, and the names under which the input goes in it."""

    def __init__(self, module: Module, found: Scan, defined: Set[str]) -> None:
        self._name = module.shown
        self._text = module.text
        self._found = found
        self._defined = defined
        self._tokens = tokens_of(module.text)
        self._inputs: dict[str, list[InputPath]] = {"input": [()]}
        self._imported: set[int] = set()
        for at, token in enumerate(self._tokens):
            if token.text == "import" and self._is_root(at):
                self._import(at + 1)

    def reads(self) -> Iterator[Read]:
        for line, column, _ in self._unreadable():
            yield Read((), self._name, line, column)
        parts = tuple(guarded(self._tokens))
        for at, token in enumerate(self._tokens):
            if token.text in self._inputs and at not in self._imported and self._is_root(at):
                keys, _ = self._keys(at)
                guards = max((part.guards for part in parts if at in part.tokens), key=len, default=())
                for base in self._inputs[token.text]:
                    yield Read(base + keys, self._name, token.line, token.column, guards)

    def impurities(self) -> Iterator[Impurity]:
        for line, column, what in self._unreadable():
            yield Impurity(what, self._name, line, column)
        for at, token in enumerate(self._tokens):
            if token.kind != "name" or not self._is_root(at):
                continue
            what = self._replaced(at + 1) if token.text == "with" else self._impure(at)
            if what:
                yield Impurity(what, self._name, token.line, token.column)

    def _unreadable(self) -> Iterator[tuple[int, int, str]]:
        """What could hold code that these tokens do not show."""
        if hidden := _UNSEEN.search(self._text):
            before = self._text[: hidden.start()]
            yield before.count("\n") + 1, len(before) - before.rfind("\n"), "a control character"
        for token in self._tokens:
            if token.kind == "text" and token.text.startswith("$"):
                yield token.line, token.column, "a template string"
            elif token.kind == "number" and not _NUMBER.fullmatch(token.text):
                yield token.line, token.column, f"`{token.text}`"
            elif token.text in {'"', "`"}:
                yield token.line, token.column, "a text without an end"

    def _import(self, at: int) -> None:
        """``import input.tool as t``: from here on, ``t`` is another name for a part of the input."""
        if at >= len(self._tokens) or self._tokens[at].text != "input":
            return
        keys, after = self._keys(at)
        alias = keys[-1] if keys else "input"
        rest = self._tokens[after : after + 2]
        if [token.text for token in rest[:1]] == ["as"] and len(rest) > 1:
            alias = rest[1].text
            self._imported.add(after + 1)
        elif rest and not rest[0].first:
            return  # Not what it looks like: it stays a read of all that it names.
        self._inputs.setdefault(alias, []).append(keys)
        self._imported.add(at)

    def _impure(self, at: int) -> str:
        """How the name at ``at`` makes a decision depend on more than input and data; empty where it does not."""
        token = self._tokens[at]
        if token.text in _KEYWORDS or token.text in self._inputs:
            return ""
        keys, after = self._keys(at)
        call = Name((token.text, *keys), token.line, token.column)
        if call.dotted in _IMPURE:
            return f"`{call.dotted}`"
        if not self._is(after, "("):
            return ""
        known = call.dotted in _PURE or call.dotted.startswith(_PURE_FAMILIES)
        own = not call.dotted.startswith(_IMPURE_FAMILIES) and resolved(call, self._found) & self._defined
        return "" if known or own else f"`{call.dotted}`"

    def _replaced(self, at: int) -> str:
        """The function that a ``with`` replaces, or puts in the place of another."""
        for target in (at, next((it for it in range(at, len(self._tokens)) if self._is(it, "as")), at) + 1):
            if target >= len(self._tokens):
                continue
            token = self._tokens[target]
            keys, _ = self._keys(target)
            name = ".".join((token.text, *keys))
            if target == at and token.text not in self._inputs and token.text != "data":
                return f"`with {name}`"
            if token.kind == "name" and name.startswith(_IMPURE_FAMILIES):
                return f"`{name}`"
        return ""

    def _keys(self, at: int) -> tuple[InputPath, int]:
        """The constant keys after the name at ``at``, as far as they go, and the index after them."""
        keys: list[str] = []
        at += 1
        # What is spaced may be another statement: then the path ends, and more of the input counts as read.
        while at + 1 < len(self._tokens) and not self._tokens[at].spaced:
            mark, key = self._tokens[at], self._tokens[at + 1]
            if mark.text == "." and key.kind == "name" and not key.spaced:
                keys.append(key.text)
                at += 2
            elif mark.text == "[" and self._is(at + 2, "]") and (said := _constant(key)) is not None:
                keys.append(said)
                at += 3
            else:
                break
        return tuple(keys), at

    def _is(self, at: int, text: str) -> bool:
        return at < len(self._tokens) and self._tokens[at].text == text

    def _is_root(self, at: int) -> bool:
        """Whether a name starts here, and is no field of another."""
        token = self._tokens[at]
        return token.kind == "name" and (token.spaced or not self._is(at - 1, ".") or at == 0)


def _constant(token: Token) -> str | None:
    """What a text says; None where it is no text, or readers of it could differ."""
    if token.kind != "text" or token.text.startswith("$") or "\r" in token.text:
        return None
    if token.text.startswith("`"):
        return token.text[1:-1]
    try:
        said = str(json.loads(token.text))
        said.encode()
    except ValueError:  # An escape that is none, or half of a surrogate pair.
        return None
    return said
