"""Masking before anything is stored: masked values become keyed digests, so that equal values can still be matched."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from pydantic import JsonValue

from openclaw.canonical import encode


def keyed_digest(value: JsonValue, key: bytes) -> str:
    """``hmac-sha256:`` and the hex HMAC-SHA-256 of the canonical bytes: numbers and booleans are covered like text."""
    return "hmac-sha256:" + hmac.digest(key, encode(value), "sha256").hex()


def mask(document: dict[str, JsonValue], fields: Iterable[str], key: bytes) -> dict[str, JsonValue]:
    """A copy of ``document`` in which each of ``fields`` is ``{"$masked": "hmac-sha256:…"}``; the original stays as it is.

    Args:
        document: a policy input.
        fields: dotted paths such as ``tool.args.iban``; ``args.iban`` is short for it; ``*`` matches any key or index.
        key: the secret of the digest.

    A path that matches nothing masks nothing: the value is not there to be stored.
    """
    masked: JsonValue = document
    for path in fields:
        steps = path.split(".")
        masked = _masked(masked, ["tool", *steps] if steps[0] == "args" else steps, key)
    assert isinstance(masked, dict)
    return masked


def _masked(value: JsonValue, steps: list[str], key: bytes) -> JsonValue:
    if not steps:
        already = isinstance(value, dict) and value.keys() == {"$masked"}
        return value if already else {"$masked": keyed_digest(value, key)}
    step, *rest = steps
    if isinstance(value, dict):
        return {name: _masked(item, rest, key) if step in ("*", name) else item for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, rest, key) if step in ("*", str(at)) else item for at, item in enumerate(value)]
    return value
