"""Masking: before storing, every type, never in place."""

from __future__ import annotations

import copy

import pytest
from pydantic import JsonValue

from openclaw.audit.mask import keyed_digest, mask

KEY = b"k" * 32
DOCUMENT: dict[str, JsonValue] = {
    "kind": "tool",
    "tool": {"name": "pay", "args": {"iban": "DE1", "amount": 5, "urgent": True, "lines": [{"to": "a"}, {"to": "b"}]}},
}


def masked(value: JsonValue) -> JsonValue:
    return {"$masked": keyed_digest(value, KEY)}


@pytest.mark.parametrize("field", ["args.iban", "tool.args.iban"])
def test_a_field_is_replaced_by_its_keyed_digest(field: str) -> None:
    result = mask(DOCUMENT, [field], KEY)
    assert result["tool"] == {**DOCUMENT["tool"], "args": {**DOCUMENT["tool"]["args"], "iban": masked("DE1")}}  # type: ignore


def test_numbers_and_booleans_are_masked_like_text() -> None:
    result = mask(DOCUMENT, ["args.amount", "args.urgent"], KEY)
    assert result["tool"]["args"]["amount"] == masked(5)  # type: ignore
    assert result["tool"]["args"]["urgent"] == masked(True)  # type: ignore


def test_a_star_matches_every_key_and_index() -> None:
    result = mask(DOCUMENT, ["args.lines.*.to"], KEY)
    assert result["tool"]["args"]["lines"] == [{"to": masked("a")}, {"to": masked("b")}]  # type: ignore


def test_the_original_is_untouched_and_masking_twice_is_masking_once() -> None:
    before = copy.deepcopy(DOCUMENT)
    once = mask(DOCUMENT, ["args.iban"], KEY)
    assert mask(once, ["args.iban", "args.nothing.here"], KEY) == once
    assert before == DOCUMENT


def test_equal_values_have_equal_digests_under_one_key_only() -> None:
    assert keyed_digest("DE1", KEY) == keyed_digest("DE1", KEY)
    assert keyed_digest("DE1", KEY) != keyed_digest("DE1", b"other" * 7)
    assert keyed_digest(1, KEY) != keyed_digest("1", KEY)
