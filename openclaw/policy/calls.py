"""Functions that a policy calls and nobody defines: found when it is loaded, never undefined at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from openclaw.errors import Diagnostic
from openclaw.policy.bundle import Bundle
from openclaw.policy.scan import Name, Scan, scan

_WAYS_OUT = {
    "http.send": "a decision must not depend on the network: give the value as data, or in the arguments",
    "opa.runtime": "give the setting as a data file",
    "io.jwt": "verify the token before the call and pass its claims, or use an OPA server",
    "crypto.x509": "verify the certificate before the call, or use an OPA server",
    "graphql": "use an OPA server",
    "net.": "use the native engine or an OPA server",
    "json.match_schema": "use the native engine or an OPA server",
    "json.verify_schema": "use the native engine or an OPA server",
}


_SYNTAX = frozenset({"set", "print"})  # `set()` is the empty set; print() says something and is otherwise true.


def unknown_calls(bundle: Bundle, has_builtin: Callable[[str], bool], engine: str) -> Iterator[Diagnostic]:
    """Every call in ``bundle`` of a function that is neither a rule of it nor a built-in of ``engine``."""
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
                _way_out(call.dotted, defined),
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


def _way_out(name: str, defined: set[str]) -> str:
    for prefix, way in _WAYS_OUT.items():
        if name.startswith(prefix):
            return way
    import difflib  # Late: only a policy that cannot be used needs it.

    near = difflib.get_close_matches(name, {full.rsplit(".", 1)[-1] for full in defined}, n=1)
    return f"did you mean `{near[0]}`?" if near else "define it, or use an engine that has it"
