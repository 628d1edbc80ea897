"""JSON and YAML of policies: read as OPA reads them, and never more than is written."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from openclaw.canonical import canonical
from openclaw.policy.documents import number_text, parse_json
from openclaw.policy.yaml_documents import NODES_MAX, parse_yaml

TEXTS = """\
yes no on off y n true True TRUE false False ~ null Null NULL nUll 0 -0 +1 1 12 -7 0x10
0X10 0B11 0O7 0x_f 0o17 010 -010 08 0b101 1_000
1e3 1E3 1.5 -1.5 .5 5. 1.5e-7 -.5e+3 12:30:00 1:20 2026-11-23 2026-11-23T10:00:00Z = a=b 1a e3 0x 0b2 .inf -.inf .nan
'yes' "1" 1.2.3 123abc . - + 0. 00 1e 1e+ 9007199254740991
"""


@pytest.mark.parametrize("text", TEXTS.split())
def test_a_value_of_yaml_is_what_opa_takes_it_for(opa_binary: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(f"value: {text}\n")
    command = [opa_binary, "eval", "-b", ".", "-f", "raw", "data.value"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    try:
        ours = parse_yaml(f"value: {text}\n")
    except (yaml.YAMLError, ValueError):
        assert done.returncode != 0, done.stdout
        return
    if done.returncode:
        assert text in {".inf", "-.inf", ".nan"}  # No JSON, and refused as data a step later.
        return
    raw = done.stdout.strip()
    assert isinstance(ours, dict)
    wanted = raw if isinstance(ours["value"], str) else json.loads(raw)
    assert canonical(ours["value"]) == canonical(wanted)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in pairwise("abcdefgh")),
        "a: &a {x: 1}\n"
        + "".join(
            f"{name}: &{name} {{<<: [{', '.join(['*' + before] * 50)}]}}\n" for before, name in pairwise("abcdef")
        ),
        "a: &a [*a]\n",
        "a: &a {b: {c: *a}}\n",
    ],
)
def test_yaml_that_grows_while_it_is_read_is_refused(text: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="values, or one that holds itself"):
        parse_yaml(text)


def test_aliases_that_do_not_grow_are_read() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n") == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"x": 1, "y": 2},
    }
    assert NODES_MAX > 100_000


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: {b: 1, c: 2, b: 3}\n", '"a": 1\na: 2\n'])
def test_a_key_that_is_written_twice_is_refused(text: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="an object names the same key twice"):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["{", '{"a": 1, "a": 2}', "NaN", "[Infinity]", "[" * 100_000, "1 2", "'a'", ""])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


def test_yaml_that_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        parse_yaml("[" * 100_000)


def test_numbers_are_remembered_as_they_are_written() -> None:
    value = parse_json("[1.50, 1e400, 12345678901234567890, -0]", literal=True)
    assert isinstance(value, list)
    assert [number_text(number) for number in value] == ["1.50", "1e400", "12345678901234567890", "-0"]
    assert number_text(1.5) is None
