"""Functions that a policy calls and nobody defines: found when it is loaded, never undefined at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set

from openclaw.errors import Diagnostic
from openclaw.policy.bundle import Bundle
from openclaw.policy.scan import Name, Scan, scan

_WAYS_OUT = {
    "http.send": "a decision must not depend on the network: give the value as data, or in the arguments",
    "net.lookup_ip_addr": "a decision must not depend on the network: give the value as data, or in the arguments",
    "opa.runtime": "give the setting as a data file",
    "io.jwt": "verify the token before the call and pass its claims, or use an OPA server",
    "crypto.x509": "verify the certificate before the call, or use an OPA server",
    "net.cidr_expand": "ask `net.cidr_contains(…)` of one address, or use an OPA server",
    "json.patch": "write the changed value out, or use an OPA server",
}

_NATIVE = (
    *("base64.", "base64url.", "bits.", "hex.", "json.", "max", "min", "object.subset"),
    *("net.cidr_contains", "net.cidr_is_valid"),
)
"""Of what regopy lacks, or has with another meaning: how names begin of what the native engine has."""


_SYNTAX = frozenset({"set", "print"})  # `set()` is the empty set; print() says something and is otherwise true.


def unknown_calls(bundle: Bundle, has_builtin: Callable[[str], bool], engine: str) -> Iterator[Diagnostic]:
    """Every call in ``bundle`` of a function that is neither a rule of it nor a built-in of ``engine``, or that it does not
    answer as OPA does in that place."""
    scans = {module: scan(module.text) for module in bundle.modules}
    defined = defined_names(scans.values())
    for module, found in scans.items():
        for call in found.calls:
            if call.dotted in _SYNTAX or resolved(call, found) & defined or has_builtin(call.dotted):
                continue
            yield Diagnostic(
                module.shown,
                call.line,
                call.column,
                f"`{call.dotted}` is no function that {engine} has",
                way_out(call.dotted, defined, engine),
            )
    yield from _valued_walks(bundle, engine)


def _valued_walks(bundle: Bundle, engine: str) -> Iterator[Diagnostic]:
    """Every ``walk(…)`` that stands for a value: ``engine`` gives none there, or one list, where OPA gives pair after pair."""
    for module in bundle.modules:
        if "walk" not in module.text:
            continue
        # Late: hardly any policy walks, and reading it whole takes a while.
        from openclaw.policy.parser import parse
        from openclaw.policy.ruleset import dotted
        from openclaw.policy.syntax import Call, every_term

        for term in (term for rule in parse(module.text).rules for term in every_term(rule)):
            if isinstance(term, Call) and dotted(term.function) == "walk" and len(term.args) == 1:
                yield Diagnostic(
                    module.shown,
                    term.at.line,
                    term.at.column,
                    f"{engine} does not go through what `walk(…)` finds where it stands for a value",
                    "write it as a statement: `walk(value, [path, member])`",
                )


def defined_names(scans: Iterable[Scan]) -> set[str]:
    """The full names of all rules, without ``data``."""
    return {".".join((*found.package.path, *rule.path)) for found in scans if found.package for rule in found.rules}


def resolved(call: Name, found: Scan) -> set[str]:
    """The full names that a call may stand for: of its own package, absolute, or through an import."""
    names: set[str] = set()
    if found.package is not None:
        names.add(".".join((*found.package.path, *call.path)))
    if call.path[0] == "data":
        names.add(".".join(call.path[1:]))
    imported = found.imports.get(call.path[0], ())
    if imported[:1] == ("data",):
        names.add(".".join((*imported[1:], *call.path[1:])))
    return names


def way_out(name: str, defined: Set[str] = frozenset(), engine: str = "") -> str:
    """What to do about a call of a function ``name`` that ``engine`` lacks; empty: an engine that has all of Rego's."""
    # Late: only a policy that cannot be used needs them.
    import difflib

    from openclaw.policy.functions import FUNCTIONS, INSTEAD, REMOVED

    if engine == "regopy" and name in FUNCTIONS and name.startswith(_NATIVE) and name not in _WAYS_OUT:
        return "install the native engine, or use an OPA server"
    for prefix, way in _WAYS_OUT.items():
        if name.startswith(prefix):
            return way
    if name in FUNCTIONS:
        return "use an OPA server, which has it, or write a function of your own"
    if name in REMOVED:
        return INSTEAD
    near = difflib.get_close_matches(name, {*FUNCTIONS, *(full.rsplit(".", 1)[-1] for full in defined)}, n=1)
    return f"did you mean `{near[0]}`?" if near else "define it, or correct its name"
