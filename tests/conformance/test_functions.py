"""Rego's functions over values that they do not expect: what OPA gives, or a refusal; at load, or by each decision.

Each case was another answer once: a value that is undefined, so that ``not f(…)`` allowed what OPA denies; a text or number
that is not OPA's; or so much of it that no deadline could end it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.decision import Decision
from openclaw.errors import PolicyError
from openclaw.policy import PolicyEngine
from openclaw.policy.functions import FUNCTIONS
from tests.conformance.test_engines import Open, open_named
from tests.policy.support import ENGINES, policy, write_folder

__all__ = ["open_named"]

CASES: list[tuple[str, list[JsonValue]]] = [
    ("array.slice", [[1, 2], 0, 1.5]),
    ("array.slice", [[1, 2, 3], 2, 10**20]),
    ("array.slice", [[1, 2, 3], -5, 99]),
    ("array.slice", [[1, 2, 3], 2, 1]),
    ("base64.decode", ["YWI"]),
    ("base64.is_valid", ["abc"]),
    ("base64url.decode", ["-7.5"]),
    ("bits.and", [3, 10**20]),
    ("bits.lsh", [1, -1]),
    ("bits.lsh", [1, 70]),
    ("bits.lsh", [-3, 2]),
    ("bits.negate", [10**20]),
    ("bits.or", [-1, "x"]),
    ("bits.rsh", [-8, 100]),
    ("bits.xor", [6, 3]),
    ("glob.quote_meta", ["a*b?c[d]{e}!f-g"]),
    ("graph.reachable_paths", [{"a": ["a"]}, ["a"]]),
    ("hex.encode", ["Äß"]),
    ("indexof", ["äbc", "c"]),
    ("indexof_n", ["ababa", "aba"]),
    ("indexof_n", ["a" * 40_000, "a" * 20_000]),
    ("json.patch", [{"a": 1}, [{"op": "remove", "path": "b"}]]),
    ("json.patch", [{"a": 1}, [{"op": "no", "path": "a"}]]),
    ("max", ["x"]),
    ("min", [None]),
    ("net.cidr_expand", ["10.0.0.0/31"]),
    ("numbers.range", [3, 1]),
    ("numbers.range", [1, 1.5]),
    ("numbers.range", [0, 10**18]),
    ("numbers.range_step", [10, 1, 3]),
    ("numbers.range_step", [1, 10, 0]),
    ("object.subset", [{"a": 1}, ["a"]]),
    ("object.subset", [{"a": [1, 2], "b": {"c": 3}}, {"a": [2], "b": {"c": 3}}]),
    ("object.subset", [[1, 2, 3], [1, 3]]),
    ("object.subset", [[1], []]),
    ("substring", ["äbcdef", 2, 2]),
    ("substring", ["abc", 1.5, 3]),
    ("substring", ["abc", -1, 2]),
    ("to_number", ["1,000"]),
    ("to_number", [" 7"]),
    ("to_number", ["7.5"]),
    ("units.parse", ["12 MiBx"]),
    ("units.parse_bytes", ["1e3"]),
    ("urlquery.decode", ["%zz"]),
    ("urlquery.decode", ["a+b%20c%C3%A4%0A\nd"]),
    ("urlquery.decode_object", ["a=1&b=%zz"]),
    ("urlquery.encode", ["a b~*ä/é._-!"]),
    ("yaml.is_valid", ["{{.a}}"]),
    ("yaml.marshal", ["x"]),
    ("yaml.unmarshal", ["{{.a}}"]),
]

Lacking = set[str]
Asked = tuple[PolicyEngine, Lacking]


def rules(lacking: Lacking) -> str:
    """For each function: a reason that shows what it gives, and an allow where it gives nothing."""
    text: list[str] = []
    for name in sorted({name for name, _ in CASES} - lacking):
        call = f"{name}({', '.join(f'input.given[{at}]' for at in range(FUNCTIONS[name].arity))})"
        text.append(f'deny contains json.marshal({call}) if input.shown == "{name}"')
        text.append(f'allow if {{\n\tinput.negated == "{name}"\n\tnot {call}\n}}')
    return policy("\n\n".join(text))


@pytest.fixture(scope="module")
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Asked]]:
    """An engine with all functions that it takes, and the names of those that it refuses when it loads them."""
    kept: dict[str, Asked] = {}
    with contextlib.ExitStack() as stack:

        def made(name: str) -> Asked:
            if name not in kept:
                lacking: Lacking = set()
                for attempt in ("all functions", "those that are not refused"):
                    folder: Path = write_folder(tmp_path_factory.mktemp(name), {"main": rules(lacking)})
                    opened = ENGINES[name](folder, lambda: str(request.getfixturevalue("opa_server")), deadline_s=10)
                    try:
                        kept[name] = stack.enter_context(opened), lacking
                        break
                    except PolicyError as error:
                        # All at once, each with its place and a way out.
                        if attempt != "all functions" or not all(it.hint and it.line for it in error.diagnostics):
                            raise
                        lacking = {it.message.split("`")[1] for it in error.diagnostics}
            return kept[name]

        yield made


def answer(decision: Decision) -> tuple[str, tuple[str, ...]] | None:
    """What was decided; None for a refusal."""
    return (decision.effect, decision.reasons) if decision.code in {"policy", "no_policy"} else None


@pytest.mark.parametrize("engine", ["regorus", "regopy"])
@pytest.mark.parametrize(("name", "given"), CASES, ids=[f"{name}-{str(given)[:40]}" for name, given in CASES])
def test_a_function_gives_what_it_gives_to_opa_or_is_refused(
    ask: Callable[[str], Asked], engine: str, name: str, given: list[JsonValue]
) -> None:
    here, lacking = ask(engine)
    if name in lacking:
        return
    for way in ("shown", "negated"):
        found = answer(here.evaluate({way: name, "given": given}))
        assert found is None or found == answer(ask("opa")[0].evaluate({way: name, "given": given}))


WALKS = [
    "walk(input.given, [path, member]); member == 3",
    "walk(input.given, pair); pair[1] == 3",
    "walk(input.given, [_, 3])",
    "[_, member] := walk(input.given); member == 3",
    "some path, member; [path, member] = walk(input.given); member == 3",
    "count([member | [_, member] := walk(input.given)]) == 3",
    "pair := walk(input.given); pair[1] == 3",
    "walk(input.given)[1] == 3",
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("body", WALKS)
def test_what_walk_finds_is_gone_through_or_refused_with_the_way_out(open_named: Open, engine: str, body: str) -> None:
    try:
        decision = open_named(engine, f'deny contains "three" if {{ {body} }}').evaluate({"given": {"a": {"b": 3}}})
    except PolicyError as error:
        (found,) = error.diagnostics
        assert "walk(input.given)" in body
        assert (found.line, "`walk(value, [path, member])`" in found.hint) == (3, True)
        assert engine != "opa"
    else:
        assert decision.reasons == ("three",)


def test_most_functions_are_not_refused(ask: Callable[[str], Asked]) -> None:
    names = {name for name, _ in CASES}
    assert len(ask("regorus")[1]) < len(names) / 3
    assert not ask("opa")[1]
