"""``sprintf`` gives what OPA gives, or is refused: reasons are compared, and a rule may look into such a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from openclaw.policy import PolicyEngine
from tests.policy.support import ENGINES, policy, write_folder

VERBS = """v s d t x X o b c q e f g z ! 5d -5d| 05d +d .3d 5s -5s| 05s .1s .0f .2f 8.2f 08.2f +.1e .3g G #x T p U #v [1]v
"""
VALUES = """
"a"
""
0
1
-3
255
1.5
-0.25
0.1
123456789.5
0.00001
1e21
10000000000000000000
true
null
[1, "a", 1.5]
{"k": [null], "a": {1, "x"}}
set()
"""
# rego-cpp holds text as JSON writes it, and refuses to look into what is written with escapes.
ESCAPED = [r'"é\n\"\u00a0\u200b😀"', r'["é\n\"\u00a0\u200b\u0000"]']
ODD = """
sprintf("%v", [])
sprintf("a", [1, "b"])
sprintf("%v %v", [1])
sprintf("%", [1])
sprintf("%d%%", [50])
sprintf("% d", [3])
sprintf("%v-%v", [x, y])
sprintf("%v %d", ["z", 3])
sprintf("%s %s", [y, ["q", x]])
"""
PLAIN = {'sprintf("%v', 'sprintf("%s', 'sprintf("%d'}


@pytest.mark.parametrize("name", ["regorus", "regopy"])
def test_it_gives_what_opa_gives_or_refuses(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, opa_binary: str
) -> None:
    values = VALUES.split("\n")[1:-1] + ([] if name == "regopy" else ESCAPED)
    calls = [f'sprintf("%{verb}", [{value}])' for verb in VERBS.split() for value in values]
    calls += ODD.split("\n")[1:-1]
    rules = "\n\n".join(
        f'texts[{at}] := text if {{\n\tinput.at == {at}\n\tx := "l"\n\ty := input.y\n\ttext := {call}\n}}'
        for at, call in enumerate(calls)
    )
    text = "allow if true\n\ntexts[-1] := 1 if false\n\noblige contains " + (
        '{"kind": "audit", "level": "full", "text": text} if some text in texts\n\n' + rules
    )
    write_folder(tmp_path, {"p": policy(text, "p")})

    def server() -> str:
        return str(request.getfixturevalue("opa_server"))

    def answers(engine: PolicyEngine) -> list[object]:
        asked = [engine.evaluate({"at": at, "y": "m"}) for at in range(len(calls))]
        return [one.obligations[0].params["text"] if one.obligations else one.code for one in asked]

    found: dict[str, list[object]] = {}
    for engine_name in ("opa", name):
        opened: Callable[..., object] = ENGINES[engine_name]
        with opened(tmp_path, server, deadline_s=10.0) as engine:  # type: ignore[attr-defined]
            found[engine_name] = answers(engine)
    wrong = [
        (call, *both)
        for call, *both in zip(calls, found["opa"], found[name], strict=True)
        if both[1] not in (both[0], "engine_error")
    ]
    assert wrong == []
    plain = [answer for call, answer in zip(calls, found[name], strict=True) if call[:11] in PLAIN]
    assert plain.count("engine_error") <= (len(plain) // 4 if name == "regopy" else 0), plain
