"""What all engines share: the bytes of an input, and the reading of an answer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from openclaw import encoding
from openclaw.canonical import plain
from openclaw.decision import Decision, Effect
from openclaw.policy import regorus
from openclaw.policy.engine import INPUT_BYTES_MAX, INPUT_DEPTH_MAX, BadInput, encode, read_answer, read_json
from tests.conftest import require
from tests.policy.support import HOW_NATIVE

SAFE = 2**53 - 1
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
documents = st.dictionaries(
    keys, st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=12)
)


@contextlib.contextmanager
def without_the_extension() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encoding, "native", lambda _: None)
        yield


@given(documents)
def test_an_input_is_encoded_as_rfc_8785_says(document: dict[str, object]) -> None:
    assert encode(document) == rfc8785.dumps(document)  # type: ignore[arg-type]
    with without_the_extension():
        assert encode(document) == rfc8785.dumps(document)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [1.0, 1e16, 1e-7, -0.0, 10**15, "1.0", [1.5], {"😀": 1, "\uffff": 2}, "a,1.5", ":123456789012345678", SAFE],
)
def test_the_quick_way_gives_the_same_bytes(value: object) -> None:
    assert encode({"v": value}) == rfc8785.dumps({"v": value})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), 2**64, float("nan"), float("inf"), "\ud800", b"x", {1: 2, "1": 3}, {1, 2}]
)
def test_what_has_no_canonical_form_is_refused_and_its_plain_form_is_not(value: object) -> None:
    with pytest.raises(BadInput):
        encode({"v": value})  # type: ignore[dict-item]
    encode({"v": plain(value)})


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("way", [contextlib.nullcontext, without_the_extension])
def test_depth_is_bounded_and_breadth_is_not(way: Callable[[], AbstractContextManager[None]]) -> None:
    with way():
        encode({"v": nested(INPUT_DEPTH_MAX - 1)})  # type: ignore[dict-item]
        encode({"v": [{} for _ in range(10 * INPUT_DEPTH_MAX)]})
        for levels in (INPUT_DEPTH_MAX, 100_000):
            with pytest.raises(BadInput):
                encode({"v": nested(levels)})  # type: ignore[dict-item]


@pytest.mark.parametrize("way", [contextlib.nullcontext, without_the_extension])
def test_size_is_bounded(way: Callable[[], AbstractContextManager[None]]) -> None:
    with way(), pytest.raises(BadInput, match="at most 16,777,216 are decided on"):
        encode({"v": "x" * INPUT_BYTES_MAX})


def effect_and_code(answer: object) -> tuple[Effect, str]:
    decision = read_answer(answer, revision="r", engine="e")  # type: ignore[arg-type]
    assert decision.revision == "r"
    assert decision.engine == "e"
    return decision.effect, decision.code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, "undefined"),
        (True, "malformed"),
        ("allow", "malformed"),
        ([], "malformed"),
        (["allow"], "malformed"),
        ({}, "malformed"),
        ({"allow": True}, "malformed"),
        ({"effect": True}, "malformed"),
        ({"effect": "permit"}, "malformed"),
        ({"effect": "ALLOW"}, "malformed"),
        ({"effect": None}, "malformed"),
        ({"effect": "allow", "deny": []}, "malformed"),
        ({"effect": "allow", "reasons": "x"}, "malformed"),
        ({"effect": "allow", "reasons": [1]}, "malformed"),
        ({"effect": "allow", "obligations": {}}, "malformed"),
        ({"effect": "allow", "obligations": ["mask"]}, "malformed"),
        ({"effect": "allow", "obligations": [{"fields": []}]}, "malformed"),
        ({"effect": "allow", "obligations": [{"kind": "masc"}]}, "obligation"),
        ({"effect": "allow", "code": "policy"}, "malformed"),
    ],
)
def test_an_allow_with_anything_amiss_is_a_deny(answer: object, code: str) -> None:
    assert effect_and_code(answer) == (Effect.DENY, code)


def test_a_clear_answer_is_that_answer_in_one_order() -> None:
    duties = [{"kind": "mask", "fields": ["b"]}, {"kind": "audit", "level": "full"}]
    one = read_answer({"effect": "ask", "reasons": ["b", "a"], "obligations": duties}, revision="", engine="")
    two = read_answer({"effect": "ask", "reasons": ["a", "b"], "obligations": duties[::-1]}, revision="", engine="")
    assert one == two
    assert one.effect is Effect.ASK
    assert one.reasons == ("a", "b")
    assert one.code == "policy"


def test_no_policy_has_its_own_code() -> None:
    assert effect_and_code({"effect": "deny", "reasons": ["no policy allows this"], "rules": []}) == (
        Effect.DENY,
        "no_policy",
    )
    same_words = {"effect": "deny", "reasons": ["no policy allows this"], "rules": ["policies.main.deny"]}
    assert effect_and_code(same_words) == (Effect.DENY, "policy")


@pytest.mark.parametrize("answer", [b"", b"{", b'{"effect": NaN}', b"[" * 100_000, b"\xff", b"null"])
def test_an_answer_that_is_not_json_is_a_deny(answer: bytes) -> None:
    decision = read_json(answer, revision="", engine="")
    assert (decision.effect, decision.code) == (Effect.DENY, "malformed")


def test_json_of_an_answer_is_read() -> None:
    assert read_json(json.dumps({"effect": "allow"}).encode(), revision="", engine="").allowed
    assert read_json(None, revision="", engine="").code == "undefined"


TEXTS = st.sampled_from(["", "why", "é", "\ud800", "policies.p.deny"]) | st.integers()
DUTIES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["mask", "audit", "é", "masc", 1, None])},
    optional={"cls": st.just("x"), "_fields_set": st.just([]), "kind ": st.none(), "fields": st.just(["a"])},
)
ANSWERS = st.fixed_dictionaries(
    {"effect": st.sampled_from(["allow", "ask", "deny", "ALLOW", None, 1])},
    optional={
        "reasons": st.lists(TEXTS, max_size=3) | st.just("x"),
        "rules": st.lists(TEXTS, max_size=3) | st.none(),
        "obligations": st.lists(DUTIES | st.none(), max_size=2) | st.just({}),
    },
)


@given(ANSWERS)
def test_the_quick_reading_is_that_of_the_model(answer: dict[str, Any]) -> None:
    decision = read_answer(answer, revision="r", engine="e")
    try:
        checked = Decision.model_validate({**answer, "revision": "r", "engine": "e"})
    except ValidationError:
        assert decision.code == "malformed"
        return
    if decision.code == "policy":
        assert Decision.model_validate(decision.model_dump()) == decision
        assert sorted(decision.reasons) == sorted(checked.reasons)
        assert sorted(decision.rules) == sorted(checked.rules)
        assert sorted(map(repr, decision.obligations)) == sorted(map(repr, checked.obligations))
        assert decision.effect is checked.effect
        assert decision.model_fields_set == checked.model_fields_set
    else:
        assert decision.code == "obligation"


def test_the_first_decision_of_a_process_waits_for_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    require("native", regorus.available(), HOW_NATIVE)
    (tmp_path / "p.rego").write_text('package openclaw.policies.p\n\nallow if input.tool.name == "search"\n')
    program = (
        "import sys\n"
        "from openclaw.policy import open_engine\n"
        "engine = open_engine(sys.argv[1])\n"
        "assert engine.evaluate({'tool': {'name': 'search'}}).allowed\n"
        "print(*sys.modules)\n"
        "assert not engine.evaluate({'tool': {'name': 'other'}}).allowed\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    # Validators of pydantic (which look for plugins in all that is installed), YAML, the parser, the cache of a second
    # decision, whatever else policies could be but a folder, HTTP, databases, graphs.
    late = {"pydantic.plugin._loader", "importlib.metadata", "yaml", "openclaw.policy.parser", "requests", "sqlmodel"}
    late |= {"openclaw.policy.cache", "openclaw.policy.reads", "openclaw.policy.spec"}
    assert not imported & {*late, "sqlalchemy", "langgraph", "langchain_core", "rich", "asyncio", "concurrent.futures"}
