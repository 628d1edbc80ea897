"""Policies on an Open Policy Agent server: put there, so that no call is decided by half of them, or found there.

Everything that is put there is named ``openclaw/…``; other policies of the server are left alone. A small module beside
them says which revision it is and which data belongs to it. It is asked together with the decision, so that an answer
names the policies that have given it, also where another process has just put others there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Protocol, cast
from urllib.parse import quote

import requests
from pydantic import JsonValue

from openclaw.canonical import canonical, digest
from openclaw.errors import Diagnostic, PolicyError
from openclaw.policy.bundle import DECISION_FILE, Bundle, Module, misplaced
from openclaw.policy.calls import way_out
from openclaw.policy.opa_answers import bundle_revisions, fields, refused, server_findings
from openclaw.policy.scan import scan
from openclaw.policy.web import Reply

SERVING = "openclaw/serving"
"""Path of the small module: ``decision`` is the entry point again, ``revision`` says whose."""

SERVING_FILE = f"{SERVING}.rego"

_OURS = "openclaw/"
_OWN = frozenset({DECISION_FILE, SERVING_FILE})

Change = tuple[str, str, bytes | None]
"""Method, name of a policy, and its text."""


class Send(Protocol):
    """One request to the server, for administration."""

    def __call__(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """Its answer."""
        ...


def upload(send: Send, bundle: Bundle, *, url: str) -> None:
    """Put a bundle on the server at ``url``, in the place of what was put there before.

    While that goes on the server has no decision, and calls are denied.

    Raises:
        PolicyError: the server does not take it; then it is left without a decision.
    """
    wanted = {_name(module.path): module.text for module in bundle.modules}
    data = cast("dict[str, JsonValue]", json.loads(bundle.data))
    wanted[SERVING_FILE] = _serving(bundle.revision, sorted(data))
    present = _policies(send, url)
    _refuse_foreign(present, url)
    ours = {name: text for name, text in present.items() if name.startswith(_OURS)}
    if ours == wanted and all(_data(send, key) == value for key, value in data.items()):
        return  # Another worker, or this one before a restart, has done it.
    # Without the combining rules there is no decision, and so no call is decided by half of the policies.
    decision = wanted.pop(DECISION_FILE)
    if DECISION_FILE in ours:
        _change(send, "DELETE", f"/v1/policies/{quote(DECISION_FILE)}", None, bundle)
        del ours[DECISION_FILE]
    before = _data(send, *SERVING.split("/"), "keys")
    for key in before if isinstance(before, list) else []:
        if isinstance(key, str) and key not in data:
            _change(send, "DELETE", f"/v1/data/{quote(key, safe='')}", None, bundle)
    for key, value in data.items():
        _change(send, "PUT", f"/v1/data/{quote(key, safe='')}", canonical(value), bundle)
    deletions: list[Change] = [("DELETE", name, None) for name in ours if name not in wanted]
    additions: list[Change] = [("PUT", name, text.encode()) for name, text in wanted.items() if ours.get(name) != text]
    if _change_all(send, [*additions, *deletions]):
        # Old and new policies do not go together: away with the old ones first.
        _change_all(send, [("DELETE", name, None) for name in ours])
        failed = _change_all(send, [("PUT", name, text.encode()) for name, text in wanted.items()])
        if failed:
            raise _compile_error(failed, bundle)
    _change(send, "PUT", f"/v1/policies/{quote(DECISION_FILE)}", decision.encode(), bundle)


def look_around(send: Send, provenance: Mapping[str, JsonValue], *, url: str) -> tuple[str, list[Module]]:
    """The revision and the policies of what the server at ``url`` has by itself, having made sure that all of it takes part.

    Raises:
        PolicyError: some of it would not, or the server does not show it.
    """
    policies = _policies(send, url)
    findings: list[Diagnostic] = []
    for name, text in policies.items():
        found = scan(text)
        if name == SERVING_FILE or found.package is None or found.package.path == ("openclaw",):
            continue  # The server's own copy of the combining rules.
        findings += misplaced(Module(path=name, shown=name, text=text), found)
    if findings:
        raise PolicyError("the policies on the server cannot be used", diagnostics=findings)
    modules = [Module(path=name, shown=name, text=text) for name, text in policies.items()]
    return bundle_revisions(provenance) or digest(policies), modules


def _name(path: str) -> str:
    """The server's name of a file; one that would take the name of ours gets a name that no author's file has."""
    if path == DECISION_FILE or _OURS + path not in _OWN:
        return path if path == DECISION_FILE else _OURS + path
    return f"{_OURS}.author/{path}"


def _serving(revision: str, keys: list[str]) -> str:
    return (
        f"package {SERVING.replace('/', '.')}\n\n"
        f"revision := {json.dumps(revision)}\n\n"
        f"keys := {json.dumps(keys)}\n\n"
        "decision := data.openclaw.decision\n"
    )


def _policies(send: Send, url: str) -> dict[str, str]:
    """The source of every policy on the server, by its name there."""
    reply = send("GET", "/v1/policies")
    answer = fields(reply)
    found = answer.get("result")
    if reply.status != requests.codes.ok or not isinstance(found, list):
        raise PolicyError(
            f"the policy server `{url}` does not show its policies: {refused(reply, answer)[0]}",
            hint="let this client read /v1/policies",
        )
    policies = cast("list[dict[str, str]]", found)
    return {policy["id"]: policy.get("raw", "") for policy in policies}


def _refuse_foreign(present: Mapping[str, str], url: str) -> None:
    scans = {name: scan(text) for name, text in present.items() if not name.startswith(_OURS)}
    foreign = [
        Diagnostic(name, found.package.line, found.package.column, f"package `{found.package.dotted}` is already there")
        for name, found in scans.items()
        if found.package is not None and found.package.path[:1] == ("openclaw",)
    ]
    if foreign:
        raise PolicyError(
            f"the policy server `{url}` has policies of its own that would take part",
            diagnostics=foreign,
            hint="remove them there, or do not upload",
        )


def _data(send: Send, *path: str) -> JsonValue:
    named = "/".join(quote(part, safe="") for part in path)
    return fields(send("GET", f"/v1/data/{named}")).get("result")


def _change_all(send: Send, changes: Sequence[Change]) -> list[Reply]:
    """Make changes of policies in whatever order the server takes them; gives what it refuses.

    A policy that calls a function of another needs the other to be there first, and to stay as long as itself.
    """
    waiting = list(changes)
    while waiting:
        replies = [send(method, f"/v1/policies/{quote(name)}", text) for method, name, text in waiting]
        again = [reply.status not in {requests.codes.ok, requests.codes.not_found} for reply in replies]
        if all(again):
            return replies
        waiting = [change for change, wait in zip(waiting, again, strict=True) if wait]
    return []


def _change(send: Send, method: str, path: str, body: bytes | None, bundle: Bundle) -> None:
    reply = send(method, path, body)
    if reply.status not in {requests.codes.ok, requests.codes.no_content, requests.codes.not_found}:
        raise _compile_error([reply], bundle)


def _compile_error(replies: Sequence[Reply], bundle: Bundle) -> PolicyError:
    shown = {_name(module.path): module.shown for module in bundle.modules}
    found: list[Diagnostic] = []
    said: list[str] = []
    for reply in replies:
        answer = fields(reply)
        said.append(str(answer.get("message", f"HTTP status {reply.status}")))
        found += [
            Diagnostic(shown.get(one.file, one.file), one.line, one.column, one.message, _hint(one.message))
            for one in server_findings(answer)
        ]
    return PolicyError(
        f"the policy server does not accept the policies: {said[0]}", diagnostics=list(dict.fromkeys(found))
    )


def _hint(message: str) -> str:
    """The way out of what the server says of a function."""
    unknown = re.fullmatch(r"(?:undefined function|deprecated built-in function calls in expression:) (\S+)", message)
    return way_out(unknown[1]) if unknown else ""
