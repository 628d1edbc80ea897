"""Canonical bytes: every value has them, equal values share them, and nothing can pose as something else."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import hashlib
import json
import math
import numbers
import re
import sys
import uuid
from collections import OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from openclaw import canonical as forms
from openclaw import encoding
from openclaw.audit.entry import Draft, body_bytes, entry_bytes
from openclaw.canonical import MAX_SAFE_INTEGER, canonical, digest, fingerprint, plain, printable
from openclaw.encoding import CHUNK, encode, pieces

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


@given(VALUES)
def test_the_native_extension_copies_what_is_json_and_leaves_the_rest(value: object) -> None:
    assert repr(plain(value)) == repr(forms._plain_of(value))
    found = fingerprint(value, small=100)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forms, "_native_plain", lambda _: None)
        patched.setattr(forms, "_native_fingerprint", lambda _: None)
        assert repr(fingerprint(value, small=100)) == repr(found)


@given(VALUES)
def test_what_is_its_own_form_is_known_without_the_form(value: object) -> None:
    known = encoding.own_form(value)
    assert known is None or (plain(value) == value and known == canonical(value))


def test_plain_json_is_its_own_form_and_a_tag_is_not() -> None:
    if encoding.native({}) is None:
        pytest.skip("the native extension is not built: `make native`")
    assert encoding.own_form({"b": [1, None], "a": "x"}) == b'{"a":"x","b":[1,null]}'
    assert encoding.own_form({"a": '{"$int": 1}', "b": "$"}) is not None
    assert encoding.own_form({"$int": "1"}) is encoding.own_form([{"a": 0, "$b": 0}]) is None
    assert encoding.own_form({"a": 2**53}) is None


def test_a_form_is_not_the_value_itself() -> None:
    value: dict[str, Any] = {"rows": [{"n": 1}], "pair": (1, [2])}
    form = plain(value)
    value["rows"][0]["n"] = 2
    value["pair"][1].append(3)
    assert form == {"rows": [{"n": 1}], "pair": [1, [2]]}
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    wide: list[Any] = [[]] * 20_000
    looped: dict[str, Any] = {}
    looped["self"] = looped
    for left in (deep, wide, looped, {"$set": []}, {1: 2}, [b"x"], ["\ud800"], [float("nan")], [2**53]):
        assert plain(left) == forms._plain_of(left)


@given(VALUES)
def test_it_does_so_without_the_native_extension(value: object) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encoding, "native", lambda _: None)
        assert canonical(value) == rfc8785.dumps(plain(value))  # type: ignore[arg-type]


def test_the_native_extension_leaves_what_it_cannot_write() -> None:
    native = encoding.native
    if native({}) is None:
        pytest.skip("the native extension is not built: `make native`")
    assert native({"b": [1, "\u2028", None, True], "a": {}}) == '{"a":{},"b":[1,"\u2028",null,true]}'.encode()
    for left in (1.5, "\ud800", 2**53, {1: 2}, (1,), {"x": [float("nan")]}):
        assert native(left) is None


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


@given(VALUES)
def test_the_pieces_are_the_whole(value: object) -> None:
    form = plain(value)
    assert b"".join(pieces(form)) == encode(form)


@given(
    st.lists(VALUES, max_size=5),
    st.integers(CHUNK - 3, 3 * CHUNK),
    st.sampled_from(["x", "é", "\U0001f600", '"', "\n"]),
)
def test_the_digest_of_a_large_value_is_that_of_its_bytes(values: list[object], length: int, filling: str) -> None:
    for value in (filling * length, [filling * length, *values], {"\ufb33": filling * length, "\U00010000": values}):
        found = fingerprint(value, small=4096)
        assert (found.digest, found.size) == (
            "sha256:" + hashlib.sha256(canonical(value)).hexdigest(),
            len(canonical(value)),
        )
        assert not found.small
        assert found.value == plain(value)


def test_the_digest_of_many_members_is_that_of_their_bytes() -> None:
    value = {"rows": [{"id": number, "name": f"row {number}"} for number in range(20_000)], "b": "y" * CHUNK, "a": 1.5}
    assert digest(value) == "sha256:" + hashlib.sha256(rfc8785.dumps(value)).hexdigest()  # type: ignore[arg-type]


class Hostile:
    """Raises wherever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("not for you")

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")


class ClassRaises:
    @property
    def __class__(self) -> Any:  # as an unbound proxy does
        raise RuntimeError("working outside of a context")


class RudeDict(dict[str, object]):
    def items(self) -> Any:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")


class RudeMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        yield "a"

    def __len__(self) -> int:
        return 1


class Endless(Sequence[int]):
    def __getitem__(self, at: Any) -> Any:
        return 1

    def __len__(self) -> int:
        return sys.maxsize


class RudeModel(BaseModel):
    model_config = {"extra": "allow"}
    note: str = "kept"

    def __getattribute__(self, name: str) -> Any:
        if name == "note":
            raise ValueError("lazily loaded, and gone")
        return super().__getattribute__(name)


@dataclasses.dataclass
class RudeData:
    size: int

    @property
    def area(self) -> int:
        raise ValueError("no")


class RudeText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")

    def encode(self, *_: Any) -> Any:
        raise RuntimeError("no")


class RudeInt(int):
    def __int__(self) -> int:
        raise RuntimeError("no")


class Point(NamedTuple):
    x: int
    y: int


class Scalar:
    """As the scalars of numpy: registered as a number, and no subclass of one."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __int__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        return float(self.value)


class IntScalar(Scalar):
    pass


class RealScalar(Scalar):
    pass


numbers.Integral.register(IntScalar)
numbers.Real.register(RealScalar)


def weird_name() -> object:
    kind = type("Odd", (), {})
    kind.__qualname__ = "Odd\ud800"
    return kind()


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (lambda: Hostile(), {"$object": f"{__name__}.Hostile", "text": "<unprintable: RuntimeError>"}),
        (lambda: ClassRaises(), {"$object": f"{__name__}.ClassRaises", "text": "<unprintable: RuntimeError>"}),
        (lambda: RudeDict(a=1), {"a": 1}),
        (lambda: RudeMapping(), {"$object": f"{__name__}.RudeMapping", "text": "<unprintable: RuntimeError>"}),
        (lambda: RudeModel(), {"$object": f"{__name__}.RudeModel", "fields": {"note": "<unreadable: ValueError>"}}),
        (lambda: RudeData(3), {"$object": f"{__name__}.RudeData", "fields": {"size": 3}}),
        (lambda: RudeText("kept"), "kept"),
        (lambda: RudeInt(7), 7),
        (lambda: IntScalar(2**60), {"$int": str(2**60)}),
        (lambda: RealScalar(0.5), 0.5),
        (lambda: RealScalar(math.nan), {"$float": "NaN"}),
        (lambda: fractions.Fraction(1, 3), {"$object": "fractions.Fraction", "text": "Fraction(1, 3)"}),
        (lambda: 1 + 2j, {"$object": "builtins.complex", "text": "(1+2j)"}),
        (lambda: Point(1, 2), [1, 2]),
        (lambda: deque([1, 2]), [1, 2]),
        (lambda: UserList([1]), [1]),
        (lambda: UserDict({"a": 1}), {"a": 1}),
        (lambda: OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (lambda: defaultdict(list, a=[1]), {"a": [1]}),
        (lambda: range(3), [0, 1, 2]),
        (lambda: RudeModel.model_construct(**{"\ud800": 1}), None),
        (lambda: weird_name(), None),
        (
            lambda: dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=1))),
            {"$time": "0001-01-01T00:00:00+01:00"},
        ),
        (lambda: 10**5000, {"$int": hex(10**5000)}),
        (lambda: {Colour.RED: 1, None: 2, 1.5: 3, (1, 2): 4}, {"$map": [["red", 1], [1.5, 3], [[1, 2], 4], [None, 2]]}),
        (lambda: {"a\ud800": 1}, {"$map": [[{"$text": "Ye2ggA=="}, 1]]}),
    ],
)
def test_what_foreign_code_makes_of_itself_is_recorded(make: Callable[[], object], form: object) -> None:
    value = make()  # pytest itself would ask a parameter for its name
    if form is not None:
        assert plain(value) == form
    assert encode(json.loads(canonical(value))) == canonical(value)


def test_nothing_is_consumed() -> None:
    ticking = (number for number in range(3))
    lines = iter(["a", "b"])
    assert plain({"g": ticking, "i": lines})["g"]["$object"] == "builtins.generator"  # type: ignore
    assert list(ticking) == [0, 1, 2]
    assert list(lines) == ["a", "b"]


def test_addresses_are_left_out() -> None:
    def function() -> None: ...

    for value in (function, (number for number in ()), Hostile, re.compile("a"), test_addresses_are_left_out):
        assert "0x" not in canonical(value).decode().replace(" at 0x…", "")


def test_a_sequence_that_never_ends_is_recorded() -> None:
    assert len(canonical(Endless())) > 1000


def test_a_value_that_is_shared_without_end_takes_linear_time() -> None:
    bomb: object = ["x"]
    for _ in range(100):
        bomb = [bomb, bomb]
    assert b"$deep" in canonical(bomb)


def test_what_lies_too_deep_is_told_apart_by_content() -> None:
    def nested(core: object) -> object:
        for _ in range(10_000):
            core = [core] if len(str(type(core))) % 2 else {"a": core}
        return core

    assert digest(nested(1)) == digest(nested(1))
    assert digest(nested(1)) != digest(nested(2))
    assert digest(nested({"a": 1, "b": 2})) == digest(nested({"b": 2, "a": 1}))
    assert digest(nested(Hostile())) == digest(nested(Hostile()))


def test_a_deep_cycle_ends() -> None:
    loop: list[object] = []
    inner = loop
    for _ in range(500):
        inner.append(inner := [])
    inner.append(loop)
    assert canonical(loop) == canonical(loop)


def test_where_hardly_any_stack_is_left_the_form_is_the_same() -> None:
    nested: object = "core"
    for _ in range(60):
        nested = [nested, RudeData(1)]

    def dig(depth: int) -> bytes:
        return canonical(nested) if depth == 0 else dig(depth - 1)

    frame, depth = sys._getframe(), 0
    while frame := frame.f_back:  # type: ignore[assignment]
        depth += 1
    assert dig(sys.getrecursionlimit() - depth - 70) == canonical(nested)


@pytest.mark.parametrize("text", ["plain", "caf\u00e9", "a\ud800b"])
def test_the_text_of_an_exception_can_be_stored(text: str) -> None:
    assert printable(ValueError(text)).encode()


def test_an_exception_without_a_text_of_its_own_is_named() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise KeyError("x")

    assert printable(Mute()) == "<unprintable: KeyError>"
