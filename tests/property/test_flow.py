"""Information flow on inputs that nobody thought of: it never fails, never clears what it must not, and always answers alike."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st

from openclaw import folding
from openclaw.flow import Flow, Source

PROMPT = Source(kind="prompt", name="prompt", trust="trusted")
MAIL = Source(kind="tool", name="read_mail", trust="untrusted")

texts = st.text(max_size=60)
prose = st.lists(st.from_regex(r"[A-Za-z]{1,8}[,.]?", fullmatch=True), max_size=20).map(" ".join)
identifiers = st.from_regex(r"[a-z]{2,8}[0-9]{1,4}[a-z0-9]{2,8}", fullmatch=True)
emails = st.from_regex(r"[a-z]{1,8}[0-9]{0,2}@[a-z]{2,8}\.(com|org|example)", fullmatch=True)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=20) | st.decimals()
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


def seen(prompt: object, mail: object) -> Flow:
    flow = Flow()
    flow.see(PROMPT, prompt)
    flow.see(MAIL, mail)
    return flow


def origin(flow: Flow, value: object) -> Any:
    described: Any = flow.describe({"arg": value})
    return described["args"]["arg"]


@given(trees, trees, st.dictionaries(texts, trees, max_size=3))
def test_any_value_is_described_in_json_and_always_alike(prompt: object, mail: object, args: dict[str, object]) -> None:
    described = json.dumps(seen(prompt, mail).describe(args))
    assert described == json.dumps(seen(prompt, mail).describe(args))
    assert set(args) <= set(json.loads(described)["args"])


@given(prose, prose, identifiers | emails)
def test_what_stands_in_the_prompt_as_a_word_is_trusted(before: str, after: str, value: str) -> None:
    assert origin(seen(f"{before} {value} {after}", "hello"), value)["trust"] == "trusted"


@given(prose, prose, identifiers | emails)
def test_what_only_outsiders_wrote_is_untrusted(before: str, after: str, value: str) -> None:
    found = origin(seen("please go on", f"{before} {value} {after}"), value)
    assert (found["trust"], found["whole"]) == ("untrusted", True)


@given(prose, prose, identifiers | emails)
def test_what_outsiders_wrote_is_found_inside_of_other_text(before: str, after: str, value: str) -> None:
    assume(len(value) >= 6)
    found = origin(seen("please go on", f"see {value}"), f"{before} {value} {after}")
    assert found["trust"] == "untrusted"


@given(identifiers, st.sampled_from([str.upper, quote, lambda text: base64.b64encode(text.encode()).decode()]))
def test_encodings_hide_nothing(value: str, encode: Any) -> None:
    value = f"{value}-{value}"
    assert origin(seen("please go on", value), encode(value))["trust"] == "untrusted"
    assert origin(seen("please go on", encode(value)), value)["trust"] == "untrusted"


@given(identifiers, st.sampled_from("-._@/+%x7"), identifiers)
def test_a_piece_of_a_longer_name_is_never_trusted(value: str, glue: str, rest: str) -> None:
    for name in (f"{value}{glue}{rest}", f"{rest}{glue}{value}"):
        assume(value not in rest)
        assert origin(seen(f"open {name} now", "hello"), value)["trust"] != "trusted"


@given(texts, texts)
def test_untrusted_text_never_makes_a_value_trusted(mail: str, value: str) -> None:
    flow = Flow()
    flow.see(MAIL, mail)
    assert origin(flow, value)["trust"] != "trusted"


@given(texts, texts, texts)
def test_more_untrusted_text_never_makes_a_value_less_untrusted(first: str, second: str, value: str) -> None:
    flow = seen("hello", first)
    before = origin(flow, value)["trust"]
    flow.see(MAIL, second)
    after = origin(flow, value)["trust"]
    assert before == after or (before, after) == ("unknown", "untrusted")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=10**9))
def test_numbers_are_found_as_people_write_them(number: Any) -> None:
    for written in (f"{number:,}", f"{number}", f"{number:,}".translate(str.maketrans(",.", ".,"))):
        assert origin(seen(f"pay {written} today", "hello"), float(number))["trust"] == "trusted"


@given(texts)
def test_folding_twice_is_folding_once(text: str) -> None:
    assume("www." not in text.lower() and "http" not in text.lower())
    once = folding.fold(text)
    assert folding.fold(once) == once or not text.isascii()


@given(texts)
def test_views_begin_with_the_text_and_differ(text: str) -> None:
    found = list(folding.views(text))
    assert found[0] == text
    assert len(found) == len(set(found))
