"""What a policy does not read does not matter: whatever changes there, the real engine decides the same."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path
from typing import Any, cast

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from openclaw.decision import Decision
from openclaw.errors import PolicyError
from openclaw.policy import regopy, regorus
from openclaw.policy.bundle import Bundle, Module, combining_rules
from openclaw.policy.engine import PolicyEngine
from openclaw.policy.reads import InputPath, Projection, reads_of
from tests.conftest import require
from tests.policy.support import HOW_NATIVE
from tests.support.inputs import Input, inputs

KEYS = ("tool", "args", "name", "a b", "é", "input", "x")
ROOMY_S = 10.0

leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "tool", "name", "", "0"])
values = st.recursive(
    leaves, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYS), below, max_size=4)
)
sparse = st.dictionaries(st.sampled_from(KEYS), values, max_size=len(KEYS))


def dense(mark: str, levels: int) -> dict[str, JsonValue]:
    """A value at every path that a reference can name, and no two of them alike."""
    return {key: dense(f"{mark}.{key}", levels - 1) if levels else f"{mark}.{key}" for key in KEYS}


@st.composite
def documents(draw: st.DrawFn, mark: str) -> dict[str, JsonValue]:
    """An input in which nearly everything is there, with a few other things in its place."""
    document = dense(mark, draw(st.integers(0, 2)))
    document |= draw(
        st.sampled_from([{}, {"x": "a"}, {"x": "b"}, {"args": ["a"]}, {"args": {"k": "a"}}, {"kind": "tool", "x": "a"}])
    )
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=3)):
        place = document.get(draw(st.sampled_from(KEYS)))
        (place if isinstance(place, dict) else document)[key] = draw(values)
    return document


@st.composite
def references(draw: st.DrawFn) -> str:
    """A reference to a part of the input, in one of the ways in which it can be written."""
    text = draw(st.sampled_from(["input", "input", "i", "t", "input.tool"]))
    for at, key in enumerate(draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3))):
        escaped = "".join(f"\\u{ord(sign):04x}" for sign in key)
        ways = [f'["{key}"]', f"[`{key}`]", f'["{escaped}"]', f'[ "{key}" ]']
        ways += [f".{key}"] if key.isascii() and " " not in key else []
        computed = ["[k]", "[0]", "[_]"]
        text += draw(st.sampled_from(ways + computed * (at > 0)))
    return text


expressions = st.one_of(
    references(),
    references().map(lambda it: f"[v | some v in {it}]"),
    references().map(lambda it: f"{{v: k2 | some k2, v in {it}}}"),
    references().map(lambda it: f"[[p, v] | walk({it}, [p, v])]"),
    references().map(lambda it: f'object.get({it}, "name", 7)'),
    references().map(lambda it: f"helper({it})"),
    references().map(lambda it: f"type_name({it})"),
    references().map(lambda it: f'{{"input.x": {it}}}'),
    references().map(lambda it: f"[{it}, `input.x\n# {{`]"),
    references().map(lambda it: f"other with input.x as {it}"),
    st.sampled_from(["other", "input", "other with input as {`x`: t.x}"]),
)
conditions = st.one_of(
    st.just("true"),
    st.just("true"),
    references(),
    references().map(lambda it: f"not {it}"),
    references().map(lambda it: f'{it} != "a" # input.name "'),
    references().map(lambda it: f"every v in {it} {{ v != 1 }}"),
    references().map(lambda it: f'"a" in {it}'),
    references().map(lambda it: f"{{y | some y in {it}}} != set() # `"),
)


guards = st.one_of(
    st.just(""),
    st.sampled_from(
        [
            'input.x == "a"',
            '"a" == input.x',
            'input.x in {"a", "b"}',
            'input.tool.x in ["b"];',
            '"a" in input.args',
            'input.kind == "tool"\n\tinput.x == "a"',
            'input.x == "a" # not a guard\n\twith input.y as 1',
            'input.x in {"a" | true}',
        ]
    ),
)


@st.composite
def policies(draw: st.DrawFn) -> Bundle:
    """A bundle of two policies whose reasons show the values that they read."""
    modules = [combining_rules()]
    for name in draw(st.sampled_from([["p"], ["p", "q"]])):
        text = f"package openclaw.policies.{name}\n\nimport rego.v1\nimport input as i\nimport input.tool as t\n\n"
        text += f"helper(x) := x.name\n\nother := {draw(references().filter(lambda it: '_]' not in it and 'k]' not in it))}\n\n"
        for at in range(draw(st.integers(1, 2))):
            shown = draw(expressions)
            loop = "some k in [`name`, `x`]\n\t" if "[k]" in shown else ""
            condition = draw(conditions.filter(lambda it: "[k]" not in it))
            guard = draw(guards)
            text += f"deny contains sprintf(`{at} %v`, [shown]) if {{\n\t{guard}\n\t{condition}\n\t{loop}shown := {shown}\n}}\n\n"
            if draw(st.booleans()):
                more = draw(references().filter(lambda it: "_]" not in it and "k]" not in it))
                text += f"deny contains sprintf(`more %v`, [{more}]) if {{\n\t{guard}\n\ttrue\n}}\n\n"
        modules.append(Module(path=f"{name}.rego", shown=f"{name}.rego", text=text))
    return Bundle.of(modules, {})


def grafted(document: JsonValue, other: JsonValue, paths: tuple[InputPath, ...]) -> JsonValue:
    """``other``, with everything on ``paths`` as it is in ``document``."""
    if () in paths or not isinstance(document, dict):
        return document
    kept = {path[0] for path in paths}
    result = {key: value for key, value in other.items() if key not in kept} if isinstance(other, dict) else {}
    for key in kept & document.keys():
        below = tuple(path[1:] for path in paths if path[0] == key)
        result[key] = grafted(document[key], other.get(key) if isinstance(other, dict) else None, below)
    return result


def said(decision: Decision) -> tuple[Any, ...]:
    return decision.effect, decision.reasons, decision.rules, decision.code


def open_native(bundle: Bundle) -> PolicyEngine:
    require("native", regorus.available(), HOW_NATIVE)
    return regorus.RegorusEngine(bundle, deadline_s=ROOMY_S)


def check(bundle: Bundle, engine: PolicyEngine, document: dict[str, JsonValue], other: dict[str, JsonValue]) -> None:
    found = reads_of(bundle)
    assert found.pure, found.impurities
    changed = cast("dict[str, JsonValue]", grafted(document, other, found.paths))
    here = found.where(document)
    narrow = cast("dict[str, JsonValue]", grafted(document, other, here.paths))
    assert said(engine.evaluate(narrow)) == said(engine.evaluate(document))
    cut = Projection(found.paths)
    assert cut.of(changed) == cut.of(document)
    assert said(engine.evaluate(changed)) == said(engine.evaluate(document))
    assert said(engine.evaluate(cast("dict[str, JsonValue]", cut.of(document)))) == said(engine.evaluate(document))


@settings(max_examples=120)
@given(policies(), st.lists(st.tuples(documents("1"), documents("2") | sparse), min_size=1, max_size=5))
def test_what_is_not_read_does_not_matter_to_regorus(bundle: Bundle, pairs: list[Any]) -> None:
    try:
        engine = open_native(bundle)
    except PolicyError:
        assume(False)
        raise
    for document, other in pairs:
        check(bundle, engine, document, other)


@settings(max_examples=5, suppress_health_check=[HealthCheck.filter_too_much])
@given(policies(), st.lists(st.tuples(documents("1"), documents("2") | sparse), min_size=1, max_size=8))
def test_what_is_not_read_does_not_matter_to_regopy(bundle: Bundle, pairs: list[Any]) -> None:
    try:
        engine = regopy.RegopyEngine(bundle, deadline_s=ROOMY_S)
    except PolicyError:
        assume(False)
        raise
    with contextlib.closing(engine):
        for document, other in pairs:
            check(bundle, engine, document, other)


@cache
def library() -> tuple[Bundle, PolicyEngine]:
    bundle = Bundle.read(Path(__file__).parents[2] / "policies")
    return bundle, open_native(bundle)


@settings(max_examples=60)
@given(inputs(), inputs())
def test_what_the_library_does_not_read_does_not_matter(document: Input, other: Input) -> None:
    check(*library(), document, other)
