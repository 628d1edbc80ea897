"""Everything that can be said of a policy folder without asking it: what is wrong, where, and what to do about it.

``check`` reads the files by itself (``parser``), so that it says the same with every engine and without any, names every
finding and not only the first, and then has the folder loaded by the engine that is here, whose word on what it can load
is the last one.

Errors are of these kinds (``Diagnostic.code``):

    syntax            no Rego
    package           a package outside of the contract
    unknown-input     a path of the input that there is not (``openclaw schema input``)
    unknown-rule      a rule or package of this folder that there is not, and that is close to one that there is
    unknown-function  a function that neither this folder nor Rego has, or another number of arguments than it takes
    unsafe-variable   a variable that nothing gives a value
    impossible-value  a comparison with a value that can never come
    unused-package    a helper package that no policy uses
    unused-rule       a rule or function of a policy that no deciding rule uses
    rule-shape        a deciding rule of a shape that decides nothing
    never-holds       a statement that never holds
    obligation        an obligation that the gate would not understand
    folder            a file that cannot be read or used
    engine            what the engine says when it loads the folder

Warnings are of what is legal and does not do what it seems to:

    fraction          arithmetic with fractions, which engines round in different ways
    absent-in-not     a ``not`` that does not hold where a value in it is absent
    mixed-types       a comparison of different types
    never-null        a comparison with null of what is absent, never null
    unused-rule       a rule or function of a helper package that nothing uses
"""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from openclaw.errors import ConfigurationError, Diagnostic, PolicyError
from openclaw.policy.absent import absent_findings
from openclaw.policy.bundle import Bundle, combining_rules
from openclaw.policy.calls import unknown_calls
from openclaw.policy.dead import dead_findings
from openclaw.policy.fractions import fraction_findings
from openclaw.policy.functions import FUNCTIONS, INSTEAD, OPERATORS, REMOVED
from openclaw.policy.inputs import input_findings
from openclaw.policy.obligations import obligation_findings
from openclaw.policy.reached import Reached
from openclaw.policy.ruleset import Definition, Ruleset, Source, dotted, read_modules
from openclaw.policy.safety import misplaced_declarations, unsafe_variables
from openclaw.policy.scoping import variables
from openclaw.policy.shape import input_shape
from openclaw.policy.shapes import Shapes
from openclaw.policy.syntax import Call, Expr, Not, Place, Var, every_term, statements

_COMPILED = frozenset({"syntax", "unsafe-variable", "unknown-function"})
"""What engines find too, one at a time."""


def check(folder: str | Path) -> list[Diagnostic]:
    """What is wrong with a policy folder and its tests, in the order of files and lines.

    Raises:
        PolicyError: there is no such folder, or no policy in it.
    """
    findings: list[Diagnostic] = []
    bundle: Bundle | None = None
    try:
        bundle = Bundle.read(folder)
    except PolicyError as error:
        if not error.diagnostics:
            raise
        findings += (replace(it, code=it.code or "folder") for it in error.diagnostics)
    read = {it.file for it in findings}
    unread: list[Diagnostic] = []
    shipped = combining_rules().text
    modules = read_modules(Path(folder), (".rego",), unread)
    sources = tuple(Source.of(module) for module in modules if module.text != shipped)
    data = None if bundle is None else cast("dict[str, JsonValue]", json.loads(bundle.data))
    own = [finding for source in sources for finding in _syntax(source)]
    if own:
        # What is missing is not known: only what a file says by itself can be judged.
        ruleset = Ruleset(tuple(source for source in sources if not source.file.faults))
        own += [*input_findings(ruleset, Shapes(ruleset)), *obligation_findings(ruleset)]
    else:
        own += _own_findings(Ruleset(sources, data))
    if bundle is not None:
        findings += _engine(bundle, said=any(it.code in _COMPILED for it in own))
    # The engine's words for what has been said already, and for what comes of it, add nothing.
    broken = {it.file for it in own if it.code == "syntax"}
    said = {(it.file, it.line) for it in own if it.severity == "error"}
    findings += (replace(it, code="folder") for it in unread if it.file not in read)
    rest = [it for it in findings if it.file not in broken and (it.file, it.line) not in said]
    unique = dict.fromkeys([*own, *rest])
    return sorted(unique, key=lambda it: (it.file, it.line, it.column, it.severity, it.code))


def _own_findings(ruleset: Ruleset) -> Iterator[Diagnostic]:
    shapes, reached = Shapes(ruleset), Reached(ruleset)
    yield from _functions(ruleset)
    yield from _unsafe(ruleset)
    yield from _declarations(ruleset)
    yield from input_findings(ruleset, shapes)
    yield from dead_findings(ruleset, reached)
    yield from obligation_findings(ruleset)
    yield from absent_findings(ruleset, shapes, reached)
    yield from fraction_findings(ruleset)


def _syntax(source: Source) -> Iterator[Diagnostic]:
    for fault in source.file.faults:
        yield source.finding(Place(0, 0, fault.line, fault.column), fault.message, fault.hint, code="syntax")


def _engine(bundle: Bundle, *, said: bool) -> list[Diagnostic]:
    """What the engine that is here says when it loads the bundle. ``said``: it would only say again what has been said."""
    from openclaw.policy import open_bundle, regorus

    try:
        with contextlib.closing(open_bundle(bundle)):
            return []
    except PolicyError as error:
        found = error.diagnostics or (Diagnostic("policies", 0, 0, error.message, error.hint),)
    except ConfigurationError:
        return []  # No engine is here that could say anything; the rest holds all the same.
    if said:
        found = ()
    if regorus.available():  # An engine stops at the first thing that it does not take.
        found = (*found, *unknown_calls(bundle, regorus.has_function, "regorus"))
    # Of what an engine says in several lines the rest repeats the file.
    return [replace(it, code=it.code or "engine", message=it.message.split("\n")[0]) for it in found]


# -- functions and variables ---------------------------------------------------------------------------------------------


def _functions(ruleset: Ruleset) -> Iterator[Diagnostic]:
    for definition in ruleset.definitions:
        source, rule = definition.source, definition.rule
        if rule.name in OPERATORS or (rule.name in FUNCTIONS and rule.kind == "function"):
            yield source.finding(
                rule.head,
                f"`{rule.name}` is a function of Rego already",
                "give the rule another name",
                code="unknown-function",
            )
        alone = {id(it.what.term) for it, _ in statements(rule) if isinstance(it.what, Expr | Not)}
        for term in every_term(rule):
            if isinstance(term, Call) and dotted(term.function) != "print":
                yield from _call(ruleset, definition, term, alone=id(term) in alone)


def _call(ruleset: Ruleset, definition: Definition, call: Call, *, alone: bool) -> Iterator[Diagnostic]:
    name = dotted(call.function)
    arity = ruleset.arity(definition, call)
    if arity is None:
        hint = _function_hint(ruleset, definition, name)
        yield definition.source.finding(
            call.function.at, f"there is no function `{name}`", hint, code="unknown-function"
        )
    elif len(call.args) not in {arity, arity + alone}:  # One more: the result, as in `lower(text, small)`.
        takes = f"`{name}` takes {'1 argument' if arity == 1 else f'{arity} arguments'}, and is given {len(call.args)}"
        yield definition.source.finding(call.function.at, takes, "correct the call", code="unknown-function")


def _function_hint(ruleset: Ruleset, definition: Definition, name: str) -> str:
    if name in REMOVED:
        return INSTEAD
    last = name.rsplit(".", 1)[-1]
    elsewhere = sorted(
        {
            it.source.package
            for it in ruleset.definitions
            if it.rule.kind == "function" and it.rule.name == last and it.source.package != definition.source.package
        }
    )
    if elsewhere and "." in name and elsewhere[0][-1] == name.split(".", 1)[0]:
        return f"write `import data.{'.'.join(elsewhere[0])}`"
    if elsewhere and "." not in name:
        return f"did you mean `data.{'.'.join(elsewhere[0])}.{name}`?"
    own = {
        it.rule.name
        for it in ruleset.definitions
        if it.rule.kind == "function" and it.source.package == definition.source.package
    }
    others = {
        f"{it.source.package[-1]}.{it.rule.name}": it.name
        for it in ruleset.definitions
        if it.rule.kind == "function" and it.source.package and not it.source.test
    }
    near = difflib.get_close_matches(name, sorted(own | others.keys() | FUNCTIONS.keys()), n=1, cutoff=0.7)
    return f"did you mean `{others.get(near[0], near[0])}`?" if near else "define it, or correct its name"


def _unsafe(ruleset: Ruleset) -> Iterator[Diagnostic]:
    for definition in ruleset.definitions:
        arity = partial(ruleset.arity, definition)
        for var in unsafe_variables(definition.rule, ruleset.scoping(definition), arity):
            if var.wildcard:
                yield definition.source.finding(
                    var.at,
                    "`_` stands for any value here, and nothing says which ones there are",
                    "write `some value in …` before it",
                    code="unsafe-variable",
                )
                continue
            yield definition.source.finding(
                var.at,
                f"nothing gives `{var.name}` a value",
                _variable_hint(ruleset, definition, var),
                code="unsafe-variable",
            )


def _declarations(ruleset: Ruleset) -> Iterator[Diagnostic]:
    for definition in ruleset.definitions:
        for var, above in misplaced_declarations(definition.rule, ruleset.scoping(definition)):
            yield definition.source.finding(
                var.at,
                f"`{var.name}` gets its value here, and has been used or given one in line {above.at.line} already",
                f"move this up, write `{var.name} == …` to compare, or give it another name",
                code="unsafe-variable",
            )


def _variable_hint(ruleset: Ruleset, definition: Definition, var: Var) -> str:
    around = {
        other.name
        for term in every_term(definition.rule)
        for other in variables(term)
        if other.name != var.name and not other.wildcard
    }
    around |= ruleset.names(definition.source.package) | {it.name for it in definition.source.file.imports}
    near = difflib.get_close_matches(var.name, sorted(around), n=1, cutoff=0.7)
    if near:
        return f"did you mean `{near[0]}`?"
    if var.name in input_shape().names:
        return f"did you mean `input.{var.name}`?"
    packages = [package for package in sorted(ruleset.packages) if package[-1] == var.name]
    if packages:
        return f"write `import data.{'.'.join(packages[0])}`"
    if ruleset.data is not None and var.name in ruleset.data:
        return f"did you mean `data.{var.name}`?"
    return f"write `{var.name} := …` or `some {var.name} in …` in this body, or correct its name"
