"""Canonical bytes: every value has them, equal values share them, and nothing can pose as something else."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import math
import uuid
from pathlib import PurePosixPath

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from openclaw.audit.entry import Draft, body_bytes, entry_bytes
from openclaw.canonical import MAX_SAFE_INTEGER, canonical, digest, encode, plain

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.decimals()
    | st.datetimes(timezones=st.just(dt.UTC))
    | st.uuids()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.dictionaries(st.integers(), inner),
    max_leaves=20,
)


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    amount: int
    note: str = ""


@given(VALUES)
def test_every_value_has_canonical_bytes_that_are_json(value: object) -> None:
    data = canonical(value)
    assert encode(json.loads(data)) == data
    assert canonical(value) == data


@given(VALUES)
def test_the_fast_way_writes_what_the_reference_writes(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(plain(value))  # type: ignore[arg-type]


@given(st.dictionaries(st.text(), st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | st.text() | st.booleans()))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


@given(VALUES, VALUES)
def test_different_forms_are_different_values(left: object, right: object) -> None:
    if plain(left) != plain(right) or json.dumps(plain(left)) != json.dumps(plain(right)):
        same_number = canonical(left) == canonical(right)
        assert not same_number or json.loads(canonical(left)) == json.loads(canonical(right))


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (math.nan, '{"$float":"NaN"}'),
        (-math.inf, '{"$float":"-Infinity"}'),
        (2**53, '{"$int":"9007199254740992"}'),
        (2**53 - 1, "9007199254740991"),
        (-(2**53), '{"$int":"-9007199254740992"}'),
        (1e21, '{"$float":"1e+21"}'),
        (2.0**53, '{"$float":"9007199254740992.0"}'),
        (1e-7, "1e-7"),
        (1.0, "1"),
        (-0.0, "0"),
        (b"hi", '{"$bytes":"aGk="}'),
        (decimal.Decimal("1.10"), '{"$decimal":"1.10"}'),
        ("\ud800", '{"$text":"7aCA"}'),
        (
            dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=1))),
            '{"$time":"2026-01-02T02:04:05Z"}',
        ),
        (dt.date(2026, 1, 2), '{"$time":"2026-01-02"}'),
        ({3, 1, 2}, '{"$set":[1,2,3]}'),
        ({1: "a"}, '{"$map":[[1,"a"]]}'),
        ((1, 2), "[1,2]"),
        (Colour.RED, '"red"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (PurePosixPath("/etc/passwd"), '"/etc/passwd"'),
        (True, "true"),
    ],
)
def test_the_documented_form_of(value: object, form: str) -> None:
    assert canonical(value).decode() == form


def test_objects_are_recorded_by_type_and_state_without_addresses() -> None:
    form = plain(Model(amount=2**60))
    assert form == {
        "$object": f"{__name__}.Model",
        "fields": {"amount": {"$int": "1152921504606846976"}, "note": ""},
    }
    assert canonical(object()) == canonical(object())


def test_a_mapping_cannot_pose_as_a_tag() -> None:
    assert canonical({"$int": "9007199254740992"}) != canonical(2**53)
    assert canonical({"$float": "NaN", "x": 1}) == b'{"$map":[["$float","NaN"],["x",1]]}'


@pytest.mark.parametrize(
    "value", [{"\U00010000": 1, "\ufb33": 2, "a": 3}, [1e-7, 5.0, 0.1, 123456789.125], {"x": "1.0,2e5"}]
)
def test_the_hard_cases_of_rfc8785_come_out_as_the_reference_writes_them(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


def test_a_cycle_ends() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    assert canonical(loop) == b'[1,{"$cycle":1}]'


def test_what_lies_too_deep_is_kept_by_digest() -> None:
    value: list[object] = []
    for _ in range(5000):
        value = [value]
    assert b'"$deep":"sha256:' in canonical(value)


def test_an_object_that_cannot_be_printed_is_recorded_all_the_same() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert b"unprintable: RuntimeError" in canonical(Rude())


def test_a_digest_names_its_algorithm() -> None:
    assert digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@given(
    st.text(st.characters(codec="utf-8")),
    st.text(st.characters(codec="utf-8")),
    st.dictionaries(
        st.text(st.characters(codec="utf-8")), st.integers(-100, 100) | st.floats(allow_nan=False, allow_infinity=False)
    ),
)
def test_the_spliced_bytes_of_an_entry_are_its_rfc8785_bytes(tool: str, call_id: str, body: dict[str, float]) -> None:
    draft = Draft(kind="decision", tool=tool, call_id=call_id, effect="allow", body={**body})
    whole = {**draft.model_dump(), "seq": 12, "at": "2026-11-23T10:00:00.000000Z"}
    assert entry_bytes(12, "2026-11-23T10:00:00.000000Z", draft, body_bytes(draft)) == rfc8785.dumps(whole)
