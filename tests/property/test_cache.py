"""With the cache and without it, every decision is the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from openclaw.policy import PolicyEngine, regopy, regorus
from openclaw.policy.bundle import Bundle
from openclaw.policy.cache import CachingEngine, cached
from openclaw.policy.engine import BadInput, encode
from openclaw.policy.library import packages
from openclaw.policy.reads import Projection
from tests.conftest import require
from tests.policy.support import HOW_NATIVE
from tests.support.inputs import Input, inputs

LIBRARY = Path(__file__).parents[2] / "policies"
ROOMY_S = 10.0
CACHEABLE = sorted({package.name for package in packages()} - {"hours", "reserve", "runs"})


@pytest.fixture(scope="module", params=["regorus", "regopy"])
def engines(request: pytest.FixtureRequest) -> Iterator[dict[str, tuple[PolicyEngine, CachingEngine]]]:
    """By package of the library: an engine, and the same with a cache. The caches stay warm from one example to the next."""
    native = request.param == "regorus"
    if native:
        require("native", regorus.available(), HOW_NATIVE)
    made: dict[str, tuple[PolicyEngine, CachingEngine]] = {}
    with contextlib.ExitStack() as stack:
        for name in CACHEABLE if native else ["roles", "untrusted"]:
            bundle = Bundle.read(LIBRARY / name)
            engine: PolicyEngine = (
                regorus.RegorusEngine(bundle, deadline_s=ROOMY_S)
                if native
                else regopy.RegopyEngine(bundle, deadline_s=ROOMY_S)
            )
            stack.enter_context(contextlib.closing(engine))
            kept = cached(engine, bundle, entries_max=20)
            assert isinstance(kept, CachingEngine), name
            made[name] = engine, kept
        yield made


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(inputs(), min_size=1, max_size=4), st.integers(0, 2**32))
def test_the_library_decides_alike(
    engines: dict[str, tuple[PolicyEngine, CachingEngine]], documents: list[Input], order: int
) -> None:
    for plain, kept in engines.values():
        for at in range(2 * len(documents)):
            document = documents[(order + at * 7) % len(documents)]
            assert kept.evaluate(document) == plain.evaluate(document)


def test_it_was_used(engines: dict[str, tuple[PolicyEngine, CachingEngine]]) -> None:
    for plain, kept in engines.values():
        before = kept.stats.hits
        for _ in range(2):
            assert kept.evaluate({"kind": "model"}) == plain.evaluate({"kind": "model"})
        assert kept.stats.hits > before


def test_the_others_are_decided_each_time() -> None:
    require("native", regorus.available(), HOW_NATIVE)
    for name in ["hours", "reserve"]:
        bundle = Bundle.read(LIBRARY / name)
        engine = regorus.RegorusEngine(bundle)
        assert cached(engine, bundle) is engine


# -- keys ----------------------------------------------------------------------------------------------------------------

KEYS = ["a", "b", "tool", "\U0001f600", "\uff61", "é", "\u0000", '"', ""]
paths = st.lists(st.lists(st.sampled_from(KEYS), max_size=3).map(tuple), max_size=4)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**53), 2**53),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(['\u007f\u2028\u0001\b\f\n\r\t"\\/', "\ud800", b"x"]),
)
trees = st.recursive(
    leaves,
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(st.sampled_from(KEYS), below, max_size=4),
        st.dictionaries(st.sampled_from(KEYS) | st.integers(0, 2), below, max_size=2),
    ),
)


@settings(max_examples=300)
@given(paths, st.dictionaries(st.sampled_from(KEYS), trees, max_size=5))
def test_the_native_key_is_the_canonical_form_of_the_projection(
    read: list[Any], document: dict[str, JsonValue]
) -> None:
    require("native", regorus.available(), HOW_NATIVE)
    from openclaw import _native as native

    made = native.Projection([list(path) for path in read]).canonical(document)
    try:
        encode(document)
    except BadInput:
        assert made is None
        return
    if made is None:
        assert has_what_is_not_plain(document)
    else:
        assert made == encode(Projection(read).of(document))  # type: ignore[arg-type]


def has_what_is_not_plain(value: object) -> bool:
    """Floats and keys that are no text, which engines are given by way of the canonical form."""
    if isinstance(value, dict):
        return any(not isinstance(key, str) or has_what_is_not_plain(below) for key, below in value.items())
    return any(map(has_what_is_not_plain, value)) if isinstance(value, list) else isinstance(value, float)
