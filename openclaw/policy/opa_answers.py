"""What an Open Policy Agent server answers, read: decisions, errors, findings, and the revisions that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, cast

import requests
from pydantic import JsonValue

from openclaw.decision import Decision, DecisionCode
from openclaw.errors import Diagnostic
from openclaw.policy.engine import REMEMBERED_BYTES_MAX, REMEMBERED_MAX, STRICT, read_answer
from openclaw.policy.web import Reply


class Asker(NamedTuple):
    """Who reads an answer."""

    engine: str
    revision: str
    """What is known to be on the server, where the answer does not say."""
    uploaded: bool
    """Whether the policies are ours, which answer with the revision that they are of."""


def decision_of(reply: Reply, asker: Asker) -> tuple[Decision, str]:
    """The decision that a server answers with, and the revision that it holds now."""
    if reply.status != requests.codes.ok or len(reply.body) > REMEMBERED_BYTES_MAX:
        return _decision(reply, asker)
    return _remembered(reply.body, asker)


def _decision(reply: Reply, asker: Asker) -> tuple[Decision, str]:
    engine, revision = asker.engine, asker.revision
    try:
        answer = STRICT.decode(reply.body.decode())
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        reason, code = unexpected(reply)
        return Decision.deny(reason, code=code, revision=revision, engine=engine), revision
    said = cast("dict[str, JsonValue]", answer)
    if reply.status != requests.codes.ok:
        reason, code = refused(reply, said)
        return Decision.deny(reason, code=code, revision=revision, engine=engine), revision
    if not asker.uploaded:
        revision = bundle_revisions(said.get("provenance")) or revision
        return _of_member(said, "result", revision, engine), revision
    result = said.get("result")
    if not isinstance(result, dict):
        return _of_member(said, "result", revision, engine), revision
    named = result.get("revision")
    return _of_member(result, "decision", named if isinstance(named, str) else revision, engine), revision


def _of_member(fields: Mapping[str, JsonValue], key: str, revision: str, engine: str) -> Decision:
    if key in fields and fields[key] is None:
        return Decision.deny("the policy's decision is null", code="malformed", revision=revision, engine=engine)
    return read_answer(fields.get(key), revision=revision, engine=engine)


@lru_cache(REMEMBERED_MAX)
def _remembered(body: bytes, asker: Asker) -> tuple[Decision, str]:
    return _decision(Reply(requests.codes.ok, body), asker)


def fields(reply: Reply) -> dict[str, JsonValue]:
    """The object of an answer; empty where it is none."""
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, JsonValue]", answer) if isinstance(answer, dict) else {}


def unexpected(reply: Reply) -> tuple[str, DecisionCode]:
    """What an answer is that no such server gives."""
    if reply.status in {requests.codes.bad_gateway, requests.codes.service_unavailable, requests.codes.gateway_timeout}:
        return f"the policy server is not there: HTTP status {reply.status}", "unreachable"
    if reply.status == requests.codes.ok:
        return "the policy server's answer is not a JSON object", "malformed"
    return f"the policy server answers with HTTP status {reply.status}", "engine_error"


def refused(reply: Reply, answer: Mapping[str, JsonValue]) -> tuple[str, DecisionCode]:
    """What an error of the server says: ``{"code", "message", "errors": [{"message", "location"}]}``."""
    if "message" not in answer:
        return unexpected(reply)
    said = [str(answer["message"]), *(str(finding) for finding in server_findings(answer))]
    return f"the policy failed: {'; '.join(said)}", "engine_error"


def server_findings(answer: Mapping[str, JsonValue]) -> list[Diagnostic]:
    """The places that an error of the server names."""
    found: list[Diagnostic] = []
    errors = answer.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if not isinstance(error, dict):
            continue
        location = error.get("location")
        place = location if isinstance(location, dict) else {}
        line, column = place.get("row"), place.get("col") or 1  # 0 at the end of the file
        found.append(
            Diagnostic(
                str(place.get("file") or "policies"),
                line if isinstance(line, int) else 0,
                column if isinstance(column, int) else 0,
                str(error.get("message", "")),
            )
        )
    return found


def bundle_revisions(provenance: object) -> str:
    """``name=revision`` of each bundle that the server says it has decided with."""
    bundles = cast("dict[str, JsonValue]", provenance).get("bundles") if isinstance(provenance, dict) else None
    if not isinstance(bundles, dict):
        return ""
    named = {name: about.get("revision") for name, about in bundles.items() if isinstance(about, dict)}
    return ",".join(f"{name}={revision}" for name, revision in sorted(named.items()) if revision)
