"""Values worth trying: those of the schema, and those around what rules and data name."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from openclaw.policy.agents import ToolSpec
from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.reads import reads_of
from openclaw.policy.samples import ABSENT, Constants, Mine, Samples, samples_of

NOTHING = Constants()


def tried(
    schema: JsonValue, constants: Constants = NOTHING, *, validated: bool = True, optional: bool = False
) -> Samples:
    names = ("a",) if optional else ()
    return samples_of(ToolSpec(name="t", args={"a": schema}, optional=names, validated=validated), "a", constants)


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"enum": ["x", 1, None]}, ["x", 1, None]),
        ({"enum": ["x", "y"], "default": "y"}, ["y", "x"]),
        ({"const": 3}, [3]),
        ({"type": "boolean"}, [False, True]),
        ({"type": "null"}, [None]),
        ({"type": "integer", "minimum": 1, "maximum": 4}, [1, 2, 3, 4]),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 4}, [2, 3]),
        ({"type": ["boolean", "null"]}, [False, True, None]),
        ({"anyOf": [{"type": "boolean"}, {"enum": ["x"]}]}, [False, True, "x"]),
    ],
)
def test_a_finite_parameter_is_tried_out(schema: JsonValue, values: list[JsonValue]) -> None:
    assert tried(schema) == Samples(tuple(values), finite=True)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "string"},
        {"type": "integer"},
        {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        {"type": "number", "minimum": 0, "maximum": 1},
        {"anyOf": [{"type": "boolean"}, True]},
        {"anyOf": [{"type": "boolean"}, {"type": "string"}]},
        {"type": "array", "items": {"type": "boolean"}},
        {"type": "object", "properties": {"b": {"type": "boolean"}}},
        {"$ref": "#/$defs/Missing"},
    ],
)
def test_what_cannot_be_tried_out_is_not_finite(schema: JsonValue) -> None:
    found = tried(schema)
    assert not found.finite
    assert found.values


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/Tree"}},
        "$defs": {"Tree": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Tree"}]}},
    }
    found = samples_of(ToolSpec(name="t", args=schema), "a", NOTHING)
    assert found.values[0] is None
    assert not found.finite


def test_numbers_are_tried_with_their_neighbours_inside_of_the_bounds() -> None:
    values = tried({"type": "integer", "minimum": 0}, Constants(numbers=(100, 2.5))).values
    assert {99, 100, 101, 0, 1} <= set(values)
    assert all(isinstance(it, int) and it >= 0 for it in values)
    assert {99.99, 100, 100.01, 2.5} <= set(tried({"type": "number"}, Constants(numbers=(100, 2.5))).values)


def test_texts_are_tried_with_what_is_around_them() -> None:
    values = tried({"type": "string"}, Constants(texts=("EUR", "/srv/desk", ".example.com"))).values
    assert values[0] == "some a"
    assert {"EUR", "eur", "EURx", "/srv/desk/x", "https://example.com/x", ""} <= set(values)
    fitting = tried(
        {"type": "string", "minLength": 3, "maxLength": 3, "pattern": "^[A-Z]+$"}, Constants(texts=("EUR",))
    )
    assert fitting.values == ("EUR",)


def test_an_argument_that_may_be_left_out_is_left_out() -> None:
    assert ABSENT in tried({"type": "boolean"}, optional=True).values
    assert ABSENT not in tried({"type": "boolean", "default": True}, optional=True).values
    assert ABSENT not in tried({"type": "boolean"}).values


def test_where_nothing_is_validated_anything_may_come() -> None:
    found = tried({"type": "boolean"}, validated=False)
    assert not found.finite
    assert {False, None, ""} <= {it for it in found.values if not isinstance(it, dict | list)}
    assert ABSENT in found.values


def test_nested_parameters_are_varied_one_by_one() -> None:
    schema: JsonValue = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 2}, "b": {"type": "boolean"}},
        "required": ["n"],
    }
    assert tried(schema).values == ({"n": 1, "b": False}, {"n": 2, "b": False}, {"n": 1, "b": True}, {"n": 1})
    assert tried({"type": "array", "items": {"enum": ["x", "y"]}}).values == (["x"], [], ["x", "y"], ["y"])
    assert [] not in tried({"type": "array", "items": {"type": "string"}, "minItems": 1}).values


RULES = """\
package openclaw.policies.p

deny contains "never a reason" if input.tool.args.amount > 500

deny contains "x" if {
	input.tool.args.currency != "EUR"
	input.tool.args.amount < -5
}

limit := 77
"""


def test_constants_beside_the_argument_come_first_then_those_of_the_data() -> None:
    bundle = Bundle.of(
        [Module(path="p.rego", shown="p.rego", text=RULES)], {"limits": {"refund": 900, "other": 1}, "names": ["ann"]}
    )
    found = Mine.of(bundle).near(reads_of(bundle), ("tool", "args", "amount"), "amount", "refund")
    assert found.numbers == (500, 900, -5, 1, 77)
    assert found.texts[:2] == ("EUR", "ann")
    assert "never a reason" not in found.texts
