"""Why the policies decided so: the rules that made the decision, told as they are, for everything that Rego has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openclaw.errors import ConfigurationError, PolicyError
from openclaw.policy import regorus
from openclaw.policy.bundle import Bundle
from openclaw.policy.explain import Explanation, explain
from openclaw.policy.library import packages
from openclaw.policy.telling import WAYS_MAX, Told, Way
from tests.conftest import require
from tests.policy.support import HOW_NATIVE, policy, write_folder

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def native() -> None:
    require("native", regorus.available(), HOW_NATIVE)


def tell(folder: Path, rules: str, /, every: bool = False, depth: int = 1, **args: object) -> Explanation:
    write_folder(folder, {"main": policy(rules), "data.json": '{"payments": {"limit": 100, "roles": ["a", "b"]}}'})
    document = {"kind": "tool", "tool": {"name": "pay", "args": args}, "principal": {"roles": ["a", "b"]}}
    return explain(folder, document, every=every, depth=depth)


def only(found: tuple[Told, ...]) -> Told:
    (told,) = found
    return told


def values(told: Told, way: int = 0) -> dict[str, object]:
    """What is shown of every statement: the value, or a list of none or several."""
    return {
        value.name: value.found[0] if len(value.found) == 1 else list(value.found)
        for step in told.ways[way].steps
        for value in step.values
    }


def steps(way: Way) -> list[tuple[int, str, bool]]:
    return [(step.line, step.text, step.holds) for step in way.steps]


def test_the_rule_that_decided_is_told_with_its_place_its_text_and_the_values_of_its_statements(tmp_path: Path) -> None:
    rules = """allow if input.kind == "tool"

deny contains "too much" if {
	input.tool.args.amount > data.payments.limit
	limit := data.payments.limit
	input.tool.args.amount - limit > 100
}"""
    found = tell(tmp_path, rules, amount=250)
    assert found.decision.reasons == ("too much",)
    told = only(found.rules)
    assert (told.name, told.file) == ("data.openclaw.policies.main.deny", str(tmp_path / "main.rego"))
    assert (told.line, told.column, told.holds, told.more) == (5, 1, True, 0)
    assert told.text.startswith('deny contains "too much" if {')
    assert told.text.endswith("}")
    assert told.ways[0].value == ("too much",)
    assert steps(told.ways[0]) == [
        (6, "input.tool.args.amount > data.payments.limit", True),
        (7, "limit := data.payments.limit", True),
        (8, "input.tool.args.amount - limit > 100", True),
    ]
    assert values(told) == {
        "input.tool.args.amount": 250,
        "data.payments.limit": 100,
        "limit": 100,
        "input.tool.args.amount - limit": 150,
    }


def test_several_rules_with_one_reason_are_told_all(tmp_path: Path) -> None:
    rules = 'deny contains "no" if input.tool.args.a\n\ndeny contains "no" if input.tool.args.b\n\ndeny contains "no" if input.c'
    found = tell(tmp_path, rules, a=1, b=2)
    assert [told.line for told in found.rules] == [3, 5]
    assert found.others == ()


def test_a_partial_set_with_computed_reasons_is_told_member_by_member(tmp_path: Path) -> None:
    rules = 'ask contains sprintf("%v is asked", [role]) if {\n\tsome role in data.payments.roles\n\trole != "c"\n}'
    told = only(tell(tmp_path, rules).rules)
    assert sorted(way.value[0] for way in told.ways) == ["a is asked", "b is asked"]
    for at, way in enumerate(told.ways):
        assert values(told, at) == {"role": way.value[0][0], "data.payments.roles": ["a", "b"]}
        assert {value.name: value.found for value in way.values}["role"] == (way.value[0][0],)


def test_more_ways_than_can_be_shown_are_counted(tmp_path: Path) -> None:
    told = only(tell(tmp_path, "deny contains n if some n in numbers.range(1, 20)").rules)
    assert (len(told.ways), told.more) == (WAYS_MAX, 20 - WAYS_MAX)


def test_the_branch_of_an_else_chain_that_decided_is_told(tmp_path: Path) -> None:
    rules = """ask contains "level" if level == "middle"

default level := "none"

level := "high" if {
	input.tool.args.amount > 1000
} else := "middle" if {
	input.tool.args.amount > 100
}"""
    told = only(tell(tmp_path, rules, amount=150).rules)
    assert values(told) == {"level": "middle"}
    helper = only(told.ways[0].steps[0].because)
    assert (helper.line, helper.default) == (7, False)
    assert helper.ways[0].value == ("middle",)
    assert steps(helper.ways[0]) == [(10, "input.tool.args.amount > 100", True)]


def test_a_default_is_told_where_nothing_else_gave_a_value(tmp_path: Path) -> None:
    rules = (
        'ask contains "level" if level == "none"\n\ndefault level := "none"\n\nlevel := "high" if input.tool.args.high'
    )
    told = only(tell(tmp_path, rules).rules)
    helper = only(told.ways[0].steps[0].because)
    assert (helper.line, helper.default, helper.ways[0].value) == (5, True, ("none",))


def test_functions_are_told_for_the_arguments_that_they_were_given(tmp_path: Path) -> None:
    rules = """deny contains role if {
	some role in data.payments.roles
	bad(role, {"b", "c"})
}

bad(x, listed) if {
	x in listed
	large(x)
}

large(x) := x > "a"
"""
    told = only(tell(tmp_path, rules).rules)
    assert [way.value for way in told.ways] == [("b",)]
    function = only(told.ways[0].steps[1].because)
    assert (function.name.rsplit(".", 1)[-1], function.line) == ("bad", 8)
    assert [(value.name, value.found) for value in function.ways[0].steps[0].values] == [
        ("x", ("b",)),
        ("listed", (["b", "c"],)),
    ]
    assert function.ways[0].steps[1].because == ()
    deeper = only(tell(tmp_path, rules, depth=2).rules).ways[0].steps[1].because[0].ways[0].steps[1].because[0]
    assert (deeper.name.rsplit(".", 1)[-1], deeper.ways[0].value) == ("large", (True,))


def test_every_definition_of_a_function_that_does_not_hold_is_told_for_a_not(tmp_path: Path) -> None:
    rules = """deny contains "no" if not known(input.tool.args.to)

known(to) if to in data.payments.roles

known(to) if startswith(to, "x")
"""
    told = only(tell(tmp_path, rules, to="eve").rules)
    assert [(it.line, it.holds, it.ways[0].steps[-1].holds) for it in told.ways[0].steps[0].because] == [
        (5, False, False),
        (7, False, False),
    ]
    assert values(told) == {"input.tool.args.to": "eve"}


def test_helper_rules_are_told_for_the_member_that_is_meant(tmp_path: Path) -> None:
    rules = """deny contains arg if {
	some arg in given
	input.tool.args[arg] > 5
}

given contains arg if some arg, _ in input.tool.args

limits[name] := limit if some name, limit in input.tool.args

ask contains "b" if limits.b == 9
"""
    told = only(tell(tmp_path, rules, a=1, b=9).rules)
    assert told.ways[0].value == ("b",)
    helper = only(told.ways[0].steps[0].because)
    assert [way.value for way in helper.ways] == [("b",)]
    assert values(told)["input.tool.args[arg]"] == 9
    asked = tell(tmp_path, rules.replace("> 5", "> 50"), a=1, b=9)
    assert [way.value for way in only(asked.rules).ways[0].steps[0].because[0].ways] == [(9,)]


def test_comprehensions_every_and_with_are_told(tmp_path: Path) -> None:
    rules = """ask contains "yes" if {
	count([role | some role in data.payments.roles; role != "a"]) == 1
	every role in data.payments.roles { role != "c" }
	named("b") with data.payments.roles as ["b"]
	not named("a") with data.payments.roles as ["b"]
}

named(x) if x in data.payments.roles

deny contains "no" if {
	every n, role in data.payments.roles { role == "a" }
}
"""
    found = tell(tmp_path, rules, every=True)
    told = only(found.rules)
    assert [step.holds for step in told.ways[0].steps] == [True] * 4
    assert values(told)['[role | some role in data.payments.roles; role != "a"]'] == ["b"]
    failed = only(found.others)
    assert values(failed) == {"data.payments.roles": ["a", "b"], "role for which it does not hold": "b"}


def test_statements_that_stand_below_what_they_need_are_told_in_the_order_of_asking(tmp_path: Path) -> None:
    told = only(tell(tmp_path, 'deny contains "no" if {\n\tx > 1\n\tx = input.tool.args.amount\n}', amount=2).rules)
    assert [step.line for step in told.ways[0].steps] == [5, 4]


def test_a_wildcard_is_told_by_the_value_that_it_met(tmp_path: Path) -> None:
    rules = """deny contains "no" if {
	input.principal.roles[_] == "b"
	_ := large(input.tool.args[_])
}

large(x) := x if x > 5

ask contains "c" if input.principal.roles[_] == "c"
"""
    found = tell(tmp_path, rules, every=True, a=1, b=9)
    told = only(found.rules)
    assert values(told) == {
        "input.principal.roles[_]": "b",
        "large(input.tool.args[_])": 9,
        "input.tool.args[_]": 9,
    }
    assert only(told.ways[0].steps[1].because).ways[0].value == (9,)
    assert values(only(found.others)) == {"input.principal.roles[_]": ["a", "b"]}


def test_with_all_rules_it_is_told_where_each_of_them_stops(tmp_path: Path) -> None:
    rules = """allow if input.kind == "tool"

deny contains "a" if {
	input.tool.name == "pay"
	input.tool.args.amount > 5
	input.tool.args.nothing
}

deny contains input.tool.args.why if input.kind == "tool"

deny contains "b" if {
	some role in input.principal.roles
	startswith(role, "x")
}

ask contains "c" if helper

helper if input.tool.args.amount > 100
"""
    found = tell(tmp_path, rules, every=True, amount=50)
    assert found.decision.allowed
    assert [told.line for told in found.rules] == [3]
    first, undefined, iterated, asked = found.others
    assert [step.holds for step in first.ways[0].steps] == [True, True, False]
    assert first.ways[0].steps[-1].values[0].found == ()
    assert steps(undefined.ways[0])[-1] == (11, "input.tool.args.why", False)
    assert [value.found for value in undefined.ways[0].steps[-1].values] == [()]
    assert [step.holds for step in iterated.ways[0].steps] == [True, False]
    assert only(asked.ways[0].steps[0].because).ways[0].steps[0].holds is False
    assert tell(tmp_path, rules, amount=50).others == ()


def test_where_nothing_allowed_it_the_rules_that_could_have_are_told(tmp_path: Path) -> None:
    rules = (
        'allow if input.tool.name == "look"\n\nallow if input.kind == "model"\n\ndeny contains "x" if input.tool.args.x'
    )
    found = tell(tmp_path, rules)
    assert found.decision.code == "no_policy"
    assert found.rules == ()
    assert [(told.line, told.ways[0].steps[0].holds) for told in found.others] == [(3, False), (5, False)]


def test_rules_of_obligations_are_part_of_it(tmp_path: Path) -> None:
    rules = 'allow if true\n\noblige contains {"kind": "mask", "fields": ["args.a"]} if input.tool.args.a'
    assert [told.line for told in tell(tmp_path, rules, a=1).rules] == [3, 5]
    assert [told.line for told in tell(tmp_path, rules).rules] == [3]


def test_what_cannot_be_decided_has_no_rules(tmp_path: Path) -> None:
    found = tell(tmp_path, "allow if to_number(input.tool.args.x) == 1", x="one")
    assert (found.decision.code, found.rules, found.others) == ("engine_error", (), ())
    found = explain(tmp_path, {"x": 2**60})
    assert (found.decision.code, found.rules) == ("bad_input", ())


def test_names_that_need_quotes_and_strings_that_bite_are_told(tmp_path: Path) -> None:
    hostile = 'a"b\\c\n\u2028]}'
    rules = (
        'deny contains x if {\n\tx := input.tool.args["odd name"]\n\tx != `raw "text"`\n\tdata.odd["pack-age"].f(x)\n}'
    )
    write_folder(tmp_path, {"odd": 'package odd["pack-age"]\n\nf(x) if contains(x, "b")\n'})
    told = only(tell(tmp_path, rules, **{"odd name": hostile}).rules)
    assert told.ways[0].value == (hostile,)
    assert only(told.ways[0].steps[2].because).name == "data.odd.pack-age.f"


def test_a_bundle_can_be_explained_and_a_broken_folder_not(tmp_path: Path) -> None:
    write_folder(tmp_path, {"main": policy('allow if input.kind == "model"')})
    assert len(explain(Bundle.read(tmp_path), {"kind": "model"}).rules) == 1
    write_folder(tmp_path, {"main": policy("allow if {")})
    with pytest.raises(PolicyError):
        explain(tmp_path, {})


def test_without_the_native_engine_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regorus, "available", lambda: False)
    with pytest.raises(ConfigurationError, match="install a Rust compiler"):
        tell(tmp_path, "allow if true")


# -- what is told agrees with what was decided ---------------------------------------------------------------------------


def agrees(found: Explanation) -> None:
    """Every reason comes from a rule that is told, every told rule gives a reason, and every statement of it holds."""
    effect = found.decision.effect.value
    told = [it for it in found.rules if it.name.rsplit(".", 1)[-1] != "oblige"]
    if found.decision.code == "no_policy":
        assert told == []
        assert not any(it.holds for it in found.others if it.name.endswith(".allow"))
        return
    assert {it.name.removeprefix("data.openclaw.") for it in told} == set(found.decision.rules)
    assert all(it.name.endswith(f".{effect}") for it in told)
    for it in told:
        assert it.holds
        assert all(step.holds for way in it.ways for step in way.steps)
    if effect != "allow" and not any(it.more for it in told):
        assert {way.value[0] for it in told for way in it.ways} == set(found.decision.reasons)


def documented() -> dict[str, dict[str, object]]:
    text = (PROJECT / "docs" / "policies.md").read_text()
    sections = re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: json.loads(re.findall(r"```json\n(.*?)```", body, re.DOTALL)[0]) for name, body in sections}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    found: dict[str, Bundle] = {}
    for package in packages():
        folder = tmp_path_factory.mktemp(package.name)
        write_folder(folder, {f"{package.name}/{name}": text for name, text in package.files.items()})
        found[package.name] = Bundle.read(folder)
    return found


@pytest.mark.parametrize("name", sorted(documented()))
def test_every_package_of_the_library_is_explained(name: str, library: dict[str, Bundle]) -> None:
    found = explain(library[name], documented()[name], every=True, depth=2)
    agrees(found)
    assert found.rules


TOOLS = st.sampled_from(["refund", "read_file", "fetch", "run", "query", "send_mail", "list_orders"])
VALUES = st.one_of(
    st.integers(-5, 2000),
    st.sampled_from(
        ["/srv/desk/a", "/srv/../x", "https://a.example/", "rm -rf /", "select 1", "1,000", 'a"b\n', "", None]
    ),
)
ACTIONS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["tool", "handoff", "model"]),
        "tool": st.fixed_dictionaries(
            {
                "name": TOOLS,
                "tags": st.lists(st.sampled_from(["read", "write", "send", "money"]), max_size=2),
                "args": st.dictionaries(
                    st.sampled_from(["amount", "path", "url", "command", "sql", "to", "body"]), VALUES
                ),
            }
        ),
        "principal": st.fixed_dictionaries(
            {"agent": st.sampled_from(["triage", "refunds"]), "roles": st.just(["reader"]), "chain": st.just([])}
        ),
    }
)


@settings(max_examples=40)
@given(st.sampled_from([package.name for package in packages()]), ACTIONS)
def test_what_is_told_agrees_with_what_was_decided(
    library: dict[str, Bundle], name: str, document: dict[str, object]
) -> None:
    found = explain(library[name], document, depth=0)
    if found.decision.code in {"policy", "no_policy"}:
        agrees(found)
    else:
        assert found.rules == ()
