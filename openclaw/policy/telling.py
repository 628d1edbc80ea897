"""How a rule came out, told statement by statement: which held, with which values, because of which other rules.

The body of a rule is asked again in pieces (``probing``): first how far it holds, then, as far as it does, the values of what
stands in it, in each of the ways in which it holds. What it uses (other rules, functions) is told the same way, one level
after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from pydantic import JsonValue

from openclaw.policy.asking import Asked, Shown, helpers_used, key_text, shown_terms, text_of
from openclaw.policy.probing import NAME, Helper, Probe, Prober, named, together, valued
from openclaw.policy.ruleset import Definition, RulePath, Ruleset
from openclaw.policy.safety import given_by, in_order
from openclaw.policy.scoping import Symbol, name_of, variables
from openclaw.policy.syntax import (
    Branch,
    Not,
    SomeNames,
    Statement,
)

WAYS_MAX = 5
"""In how many ways a rule is told to hold; the others are counted."""

HELPERS_MAX = 8
"""How many definitions of a rule that a statement uses are told."""


@dataclass(frozen=True, slots=True)
class Value:
    """What something in a statement was: none where it is undefined, several where it stands for several."""

    name: str
    found: tuple[JsonValue, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a body, in the order of asking. ``because``: how the rules came out that it uses."""

    line: int
    column: int
    text: str
    holds: bool
    values: tuple[Value, ...] = ()
    because: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which a rule holds, or how far it got: its value, what its head is made of, and its statements.

    ``value`` is empty where the rule does not hold.
    """

    value: tuple[JsonValue, ...]
    values: tuple[Value, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """How one definition of a rule came out.

    Attributes:
        name: of the rule, such as ``data.openclaw.policies.desk.deny``.
        file, line, column: where it begins.
        text: as it is written.
        holds: whether it contributes a value.
        default: it is the value where nothing else is.
        ways: how it holds, ``WAYS_MAX`` at most; where it does not hold, one for each of its
            branches, which ends with the statement that does not.
        more: how many other ways there are.
    """

    name: str
    file: str
    line: int
    column: int
    text: str
    holds: bool
    default: bool
    ways: tuple[Way, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class _Frame:
    """A definition with what is given to it: statements that stand before its body, and the rules that these name."""

    definition: Definition
    prelude: tuple[str, ...] = ()
    helpers: tuple[Helper, ...] = ()
    above: tuple[RulePath, ...] = ()


@dataclass(slots=True)
class _Node:
    """A frame on its way to being told."""

    frame: _Frame
    branches: list[_BranchNode] = field(default_factory=list["_BranchNode"])


@dataclass(slots=True)
class _BranchNode:
    """One branch of it: its statements in order, how many hold, and every way with its values as they were asked for."""

    branch: Branch
    order: tuple[Statement, ...]
    held: int = 0
    asked: Asked = field(default_factory=Asked)
    ways: list[dict[str, list[JsonValue]]] = field(default_factory=list[dict[str, "list[JsonValue]"]])
    below: dict[int, list[tuple[Shown, list[_Node]]]] = field(
        default_factory=dict[int, "list[tuple[Shown, list[_Node]]]"]
    )


class Teller:
    """Tells how definitions came out for one input. ``depth``: how many levels of other rules are told with them."""

    def __init__(self, ruleset: Ruleset, prober: Prober, depth: int) -> None:
        self._ruleset = ruleset
        self._prober = prober
        self._depth = depth
        self._number = 0

    def tell(self, definitions: Sequence[Definition]) -> list[Told]:
        """How each of these came out."""
        nodes = [_Node(_Frame(definition)) for definition in definitions]
        level = nodes
        for depth in range(self._depth + 1):
            self._ask_how_far(level)
            self._ask_values(level)
            if depth == self._depth:
                break
            level = [node for above in level for node in self._uses(above)]
            if not level:
                break
        return [self._told(node, None) for node in nodes]

    # -- asking --------------------------------------------------------------------------------------------------------

    def _ask_how_far(self, nodes: Sequence[_Node]) -> None:
        asked: list[tuple[_Node, _BranchNode]] = []
        for node in nodes:
            definition = node.frame.definition
            scoping, arity = self._ruleset.scoping(definition), partial(self._ruleset.arity, definition)
            for branch in definition.rule.branches if not definition.rule.default else ():
                order = in_order(branch.body, self._parameters(definition), scoping, arity)
                node.branches.append(_BranchNode(branch, order))
                asked.append((node, node.branches[-1]))
        answers = self._prober.ask([self._prefixes(*it) for it in asked], _helpers(nodes))
        unknown = [it for it, answer in zip(asked, answers, strict=True) if answer is None]
        for (_, branch), answer in zip(asked, answers, strict=True):
            held = set(cast("list[int]", answer or []))
            branch.held = next((at for at in range(len(branch.order), -1, -1) if set(range(at + 1)) <= held), -1)
        # What cannot be asked piece by piece can be asked as it is.
        wholes = self._prober.ask([self._whole(*it) for it in unknown], _helpers(nodes))
        for (_, branch), answer in zip(unknown, wholes, strict=True):
            branch.held = len(branch.order) if answer else -1

    def _prefixes(self, node: _Node, branch: _BranchNode) -> Probe:
        """Whether the first statement holds, the first two, and so on."""
        definition, prelude = node.frame.definition, node.frame.prelude
        texts = [text_of(definition.source.file, it) for it in branch.order]
        rules = [f"{NAME} contains {held} if {_body([*prelude, *texts[:held]])}" for held in range(len(texts) + 1)]
        return self._probe(definition, "\n\n".join(rules))

    def _whole(self, node: _Node, branch: _BranchNode) -> Probe:
        definition = node.frame.definition
        texts = [definition.source.file.of(it.at) for it in branch.branch.body]
        return self._probe(definition, f"{NAME} contains 1 if {_body([*node.frame.prelude, *texts])}")

    def _ask_values(self, nodes: Sequence[_Node]) -> None:
        asked = [(node, branch) for node in nodes for branch in node.branches if branch.held >= 0]
        for node, branch in asked:
            self._prepare(node.frame, branch)
        answers = self._answers(asked, nodes)
        unknown = [it for it, answer in zip(asked, answers, strict=True) if answer is None]
        for _, branch in unknown:
            branch.asked = Asked()  # Something of it cannot be asked; the rule is told without values.
        again = iter(self._answers(unknown, nodes))
        for (_, branch), answer in zip(asked, answers, strict=True):
            found = answer if answer is not None else next(again)
            branch.ways = cast("list[dict[str, list[JsonValue]]]", found or [])

    def _answers(
        self, asked: Sequence[tuple[_Node, _BranchNode]], nodes: Sequence[_Node]
    ) -> list[list[JsonValue] | None]:
        probes = [self._probe(node.frame.definition, self._values_rule(node.frame, it)) for node, it in asked]
        return self._prober.ask(probes, _helpers(nodes))

    def _prepare(self, frame: _Frame, branch: _BranchNode) -> None:
        """Note what is to be asked of each statement: what has a value by then, the failing one included."""
        definition = frame.definition
        scoping, arity = self._ruleset.scoping(definition), partial(self._ruleset.arity, definition)
        known = self._parameters(definition)
        for statement in branch.order[: branch.held]:
            known = given_by(statement, known, scoping, arity)
        for at, statement in enumerate(branch.order[: branch.held + 1]):
            failing = at == branch.held
            for shown in shown_terms(definition.source.file, statement, failing=failing):
                if _named(scoping.symbols(shown.term)) <= known:
                    branch.asked.add(at, shown)
            for shown in helpers_used(self._ruleset, definition, statement):
                if all(scoping.symbols(arg) <= known for arg in shown.args):
                    branch.asked.add(at, shown)
        if branch.held == len(branch.order):
            for shown in self._heads(definition, branch.branch):
                branch.asked.add(len(branch.order), shown)

    def _heads(self, definition: Definition, branch: Branch) -> Iterator[Shown]:
        rule, file = definition.rule, definition.source.file
        terms = [*rule.keys, *(() if rule.member is None else (rule.member,))]
        if branch.value is not None:
            terms.append(branch.value)
        for term in terms:
            for shown in shown_terms(file, Statement(term.at, Not(term)), failing=False):
                if not any(var.wildcard for var in variables(shown.term)):
                    yield shown

    def _values_rule(self, frame: _Frame, branch: _BranchNode) -> str:
        definition, file = frame.definition, frame.definition.source.file
        texts = [text_of(file, it) for it in branch.order[: branch.held]]
        value = "[]"
        if branch.held == len(branch.order):
            head = definition.rule.member if definition.rule.member is not None else branch.branch.value
            value = valued(file.of(head.at) if head is not None else "true")
        given = "[openclaw_args]" if frame.prelude else "[]"
        whole = branch.held == len(branch.order)
        keys = together([key_text(file, key) for key in definition.rule.keys]) if whole else "[]"
        fields = [f'"value": {value}', f'"given": {given}', f'"keys": {keys}']
        fields += [f'"{key}": {shown.asking}' for key, shown in branch.asked.by_key()]
        members = ",\n".join(fields)
        return f"{NAME} contains {{{members}}} if {_body([*frame.prelude, *texts])}"

    def _probe(self, definition: Definition, rules: str) -> Probe:
        return Probe(definition.source.module.path, definition.source.package, rules)

    def _parameters(self, definition: Definition) -> set[Symbol]:
        scoping = self._ruleset.scoping(definition)
        return {symbol for arg in definition.rule.args for symbol in scoping.symbols(arg)}

    # -- the rules that are used ---------------------------------------------------------------------------------------

    def _uses(self, node: _Node) -> Iterator[_Node]:
        """The rules that the statements of a node use, each as a node of its own."""
        for branch in node.branches:
            if not branch.ways:
                continue
            for at in range(min(branch.held + 1, len(branch.order))):
                for shown in branch.asked.at(at):
                    if shown.uses:
                        below = [_Node(self._frame(node.frame, branch, shown, it)) for it in shown.uses[:HELPERS_MAX]]
                        below = [it for it in below if it.frame.definition.path not in node.frame.above]
                        branch.below.setdefault(at, []).append((shown, below))
                        yield from below

    def _frame(self, frame: _Frame, branch: _BranchNode, shown: Shown, used: Definition) -> _Frame:
        above = (*frame.above, frame.definition.path)
        if used.rule.kind != "function":
            return _Frame(used, above=above)
        self._number += 1
        name = f"openclaw_args_{self._number}"
        file, package = frame.definition.source.file, frame.definition.source.package
        texts = [text_of(file, it) for it in branch.order[: branch.held]]
        args = ",\n".join(text_of(file, arg) for arg in shown.args)
        rule = f"{name} contains [{args}] if {_body([*frame.prelude, *texts])}"
        helpers = (*frame.helpers, Helper(frame.definition.source.module.path, rule))
        parameters = ",\n".join(used.source.file.of(arg.at) for arg in used.rule.args)
        prelude = (f"some openclaw_args in {named(package)}.{name}", f"[{parameters}] = openclaw_args")
        return _Frame(used, prelude, helpers, above)

    # -- telling -------------------------------------------------------------------------------------------------------

    def _told(self, node: _Node, given: JsonValue | None) -> Told:
        """What has been found out about a node; with ``given``, only for these arguments, or this member."""
        rule, source = node.frame.definition.rule, node.frame.definition.source
        told = partial(
            Told,
            node.frame.definition.name,
            source.module.shown,
            rule.at.line,
            rule.at.column,
            source.file.of(rule.at),
        )
        if rule.default:
            value = rule.branches[0].value
            text = "" if value is None else source.file.of(value.at)
            return told(True, True, (Way((_read(text),), (), ()),))
        for branch in node.branches:
            ways = [way for way in branch.ways if _concerns(node, way, given) and way["value"]]
            if branch.held == len(branch.order) and ways:
                shown = tuple(self._way(node, branch, way) for way in ways[:WAYS_MAX])
                return told(True, False, shown, len(ways) - len(shown))
        tried = [(it, [way for way in it.ways if _concerns(node, way, given)]) for it in node.branches]
        return told(False, False, tuple(self._way(node, branch, ways[0]) for branch, ways in tried if ways))

    def _way(self, node: _Node, branch: _BranchNode, way: dict[str, list[JsonValue]]) -> Way:
        file = node.frame.definition.source.file
        steps: list[Step] = []
        for at, statement in enumerate(branch.order[: branch.held + 1]):
            if isinstance(statement.what, SomeNames):
                continue
            holds = at < branch.held
            values = [Value(shown.name, tuple(way[key])) for key, shown in branch.asked.shown(at)]
            because = [
                told
                for shown, below in branch.below.get(at, ())
                for told in self._because(
                    shown, below, way.get(branch.asked.key(at, shown), []), statement, holds=holds
                )
            ]
            text = file.of(statement.at)
            steps.append(
                Step(statement.at.line, statement.at.column, text, holds, tuple(values), tuple(because[:HELPERS_MAX]))
            )
        heads = tuple(Value(shown.name, tuple(way[key])) for key, shown in branch.asked.shown(len(branch.order)))
        if branch.held == len(branch.order) and not way["value"]:
            steps.append(self._undefined(node.frame.definition, branch.branch, heads))
        return Way(tuple(way["value"]), heads, tuple(steps))

    def _undefined(self, definition: Definition, branch: Branch, values: tuple[Value, ...]) -> Step:
        """The body holds, and what the rule would give has no value."""
        term = definition.rule.member if definition.rule.member is not None else branch.value
        assert term is not None
        return Step(term.at.line, term.at.column, definition.source.file.of(term.at), False, values)

    def _because(
        self, shown: Shown, below: list[_Node], matched: list[JsonValue], statement: Statement, *, holds: bool
    ) -> Iterator[Told]:
        """Those definitions that are the reason for a statement: the ones that hold where it asks them to, else the others."""
        given = matched[0] if matched and shown.matched else None
        told = [self._told(node, given) for node in below]
        negated = isinstance(statement.what, Not)
        holding = [it for it in told if it.holds and not it.default]
        failing = [it for it in told if not it.holds and it.ways]
        if shown.direct and holds != negated:
            yield from holding
        elif shown.direct:
            yield from holding or failing
        else:
            yield from holding or [it for it in told if it.default] or failing


def _body(texts: Sequence[str]) -> str:
    lines = "\n".join(f"\t{text}" for text in texts)
    return f"{{\n{lines or chr(9) + 'true'}\n}}"


def _helpers(nodes: Sequence[_Node]) -> list[Helper]:
    return list(dict.fromkeys(helper for node in nodes for helper in node.frame.helpers))


def _named(symbols: set[Symbol]) -> set[Symbol]:
    """Variables but for ``_``, which is another one each time."""
    return {symbol for symbol in symbols if name_of(symbol) != "_"}


def _concerns(node: _Node, way: dict[str, list[JsonValue]], given: JsonValue | None) -> bool:
    if given is None:
        return True
    if node.frame.prelude:
        return way["given"] == [given]
    if node.frame.definition.rule.keys:
        return way["keys"] in ([], [given])
    return not way["value"] or node.frame.definition.rule.kind != "set" or way["value"] == [given]


def _read(text: str) -> JsonValue:
    """A default's value, which is written out; as text where it is more than JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
