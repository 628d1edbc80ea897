"""Variables that nothing gives a value: found where OPA's own compiler finds them."""

from __future__ import annotations

import json
import random
import subprocess
from functools import partial
from pathlib import Path

import pytest

from openclaw.policy.bundle import Module
from openclaw.policy.ruleset import Ruleset, Source
from openclaw.policy.safety import misplaced_declarations, unsafe_variables
from openclaw.policy.syntax import Var, every_term
from tests.policy.test_parser import FILES

WHOLE = """package m

import rego.v1

a if { y := 1; x := y }
b := z if { some z in input.a; every q in input.b { q == z; w := q; w } }
c contains [i, v] if { v := input.a[i]; not input.b[i] }
d(x, [y, z]) := {k: v | some k, v in x; v > y; k != z}
e if { [p, {"a": q}] = input.x; p > q; walk(input, [r, s]); r; s }
f if { t = u; u = input.a[_].b[n]; n > 1; t }
g := [m | m := input.a[_]; m in h]
h := {o | some o; input.p[o]}
j := count([x | some x in input.a; x == y]) if { y := 2; z := [y | y := 3]; z }
k contains v if { some l, v in input.a; l; input.q[l][v] }
m2 if { x := input.x; lower(x, y); y == "a" }
n2 if { some x, y; input.a[x] = y; [y, x][_] == 1 }
p2 := x if { some x in input.a; x > 3 } else := y if { y := 2 } else := 3
q2[x] := y if { some x, y in input.z }
r2[x][y] contains z if { some x in input.a; some y in input.b; z := [x, y] }
"""


def ruleset(text: str) -> Ruleset:
    return Ruleset((Source.of(Module("m.rego", "m.rego", text)),))


def damaged(seed: int) -> str:
    """A policy in which one variable has become another one."""
    chance = random.Random(seed)
    text = WHOLE if seed % 2 else chance.choice(FILES).read_text()
    read = ruleset(text)
    places = [
        term
        for definition in read.definitions
        for term in every_term(definition.rule)
        if isinstance(term, Var) and read.scoping(definition).symbol(term)
    ]
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.at.start] + chance.choice(["zz", "_", chance.choice(places).name]) + text[place.at.end :]


@pytest.mark.parametrize("seed", range(80))
def test_variables_are_unsafe_where_opa_says_so(seed: int, tmp_path: Path, opa_binary: str) -> None:
    path = tmp_path / "m.rego"
    path.write_text(damaged(seed))
    command = [opa_binary, "check", str(path), "--format", "json", "--max-errors", "-1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = json.loads(done.stderr)["errors"] if done.returncode else []
    read = ruleset(path.read_text())
    unsafe = [
        var for it in read.definitions for var in unsafe_variables(it.rule, read.scoping(it), partial(read.arity, it))
    ]
    misplaced = [var for it in read.definitions for var, _ in misplaced_declarations(it.rule, read.scoping(it))]
    if any("undefined function" in it["message"] or it["message"].endswith(" before") for it in errors):
        return  # Then OPA does not look at the variables of bodies.
    above = [it for it in errors if it["message"].endswith((" above", " redeclared"))]
    assert bool(misplaced) == bool(above), errors
    if not above:  # With these OPA looks no further.
        assert bool(unsafe) == any("unsafe" in it["message"] for it in errors), errors
