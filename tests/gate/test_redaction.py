"""What is cut from results: fields by path, texts wherever they stand, and nothing else."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from openclaw.decision import Decision, Effect, Obligation
from openclaw.duties import read_duties
from openclaw.redaction import Redaction

ROWS: JsonValue = {"rows": [{"iban": "DE1", "name": "Eva"}, {"iban": "DE2", "name": "Ann"}], "count": 2}


def fields(*paths: str) -> Redaction:
    return Redaction(paths)


def texts(*pairs: tuple[str, str]) -> Redaction:
    return Redaction(texts=pairs)


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("result.rows.*.iban", {"rows": [{"name": "Eva"}, {"name": "Ann"}], "count": 2}),
        ("result.rows.1.iban", {"rows": [{"iban": "DE1", "name": "Eva"}, {"name": "Ann"}], "count": 2}),
        ("result.rows.0", {"rows": [{"iban": "DE2", "name": "Ann"}], "count": 2}),
        ("result.rows.*", {"rows": [], "count": 2}),
        ("result.rows", {"count": 2}),
        ("result.*.*.iban", {"rows": [{"name": "Eva"}, {"name": "Ann"}], "count": 2}),
        ("result.nothing.iban", ROWS),
        ("result.count.iban", ROWS),
        ("result", "[redacted]"),
    ],
)
def test_fields_are_cut_by_their_path(path: str, left: JsonValue) -> None:
    before = copy.deepcopy(ROWS)
    assert fields(path).cut(ROWS) == left
    assert before == ROWS


def test_a_text_in_the_way_of_a_path_is_cut_since_nobody_knows_what_is_in_it() -> None:
    assert fields("result.rows.*.iban").cut("iban: DE1") == "[redacted]"
    assert fields("result.rows.*.iban").cut({"rows": '[{"iban": "DE1"}]'}) == {"rows": "[redacted]"}
    assert fields("result.rows.*.iban").cut({"rows": ["DE1", {"iban": "DE2", "x": 1}, None, 5, ""]}) == {
        "rows": ["[redacted]", {"x": 1}, None, 5, ""]
    }


def test_texts_are_cut_wherever_they_stand() -> None:
    value: JsonValue = {"a": "key AKIA1 and AKIA1", "AKIA1": [{"b": ["x AKIA1"]}, 5, None]}
    assert texts(("AKIA1", "[key]")).cut(value) == {"a": "key [key] and [key]", "[key]": [{"b": ["x [key]"]}, 5, None]}


def test_texts_that_overlap_go_with_all_that_they_cover() -> None:
    assert texts(("abcd", "[1]"), ("cdef", "[2]")).cut("xabcdefx") == "x[1]x"
    assert texts(("abc", "[1]"), ("abcdef", "[2]")).cut("abcdef abc") == "[2] [1]"
    assert texts(("aa", "-")).cut("aaaaa") == "--a"


@given(
    st.recursive(
        st.none() | st.integers() | st.text("ab ", max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=4), inner, max_size=3),
    ),
    st.lists(st.text("ab ", min_size=1, max_size=4), min_size=1, max_size=4),
)
def test_after_a_cut_no_text_is_left(value: JsonValue, wanted: list[str]) -> None:
    left = json.dumps(texts(*((text, "[-]") for text in wanted)).cut(value))
    # Quotes and separators of the JSON cannot be part of a text of these letters, but a space can stand between members.
    assert not any(text in left for text in wanted if text.strip())


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, 'expected "fields", "texts" or both'),
        ({"fields": ["args.iban"]}, 'expected "fields", a list of paths such as "result.rows.*.iban"'),
        ({"fields": []}, 'expected "fields", a list of paths'),
        ({"texts": [""]}, 'expected "texts", a list of the texts to cut'),
        ({"texts": ["a"], "replacement": ""}, 'expected "replacement", a text that holds none of the texts to cut'),
        ({"texts": ["a"], "replacement": "[a]"}, 'expected "replacement", a text that holds none of the texts to cut'),
        ({"patterns": ["a+"]}, "`patterns` is no parameter of it"),
    ],
)
def test_a_redaction_that_cannot_be_carried_out_is_unmet(params: dict[str, JsonValue], said: str) -> None:
    decision = Decision(effect=Effect.ALLOW, obligations=(Obligation(kind="redact", **params),))  # type: ignore[arg-type]
    assert read_duties(decision).unmet.startswith(f"the obligation `redact` is malformed: {said}")


def test_several_redactions_are_all_carried_out() -> None:
    duties = read_duties(
        Decision(
            effect=Effect.ALLOW,
            obligations=(
                Obligation(kind="redact", fields=["result.a"]),  # type: ignore[call-arg]
                Obligation(kind="redact", texts=["x", "y"], replacement="-"),  # type: ignore[call-arg]
                Obligation(kind="redact", fields=["result.b"], texts=["z"]),  # type: ignore[call-arg]
            ),
        )
    )
    assert duties.redact.cut({"a": 1, "b": 2, "c": "x y z"}) == {"c": "- - [redacted]"}


@pytest.mark.parametrize("kind", ["model", "handoff"])
def test_what_has_no_result_to_cut_from_does_not_meet_it(kind: str) -> None:
    decision = Decision(effect=Effect.ALLOW, obligations=(Obligation(kind="redact", fields=["result"]),))  # type: ignore[call-arg]
    assert "cannot carry out: obligation `redact` on a " in read_duties(decision, kind).unmet
