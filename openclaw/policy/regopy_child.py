"""The program of the child process in which regopy evaluates. Run by file name, it imports nothing else of openclaw.

Frames in both directions: four bytes of length and four bytes of number (both big endian), then the content. An answer
has the number of its request. The first request is a JSON object ``{"modules": [[name, text], …], "data": "…",
"entry": "openclaw/decision", "calls": ["name", …]}``, answered by ``{"version": …, "missing": [names that are no
built-in], "error": null | {…}}``. Every further request is one input in canonical JSON, answered by one letter and a
text: ``A`` the answer's JSON, ``U`` undefined, ``E`` an error message.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

HEADER_BYTES = 8

OURS = re.compile(r"g0\.data\.(openclaw_order|openclaw\.(?!policies\.))")
"""Compiled functions of this module and of the combining rules, which put nothing in an order that matters."""

# Calls of these functions in the compiled plan go through this module. The library orders values by their spelling in JSON:
# `"1,000,000" > 1000` and `"a" < "a b"` are false, and max([9, 10]) is 9. Rego orders them by type (null, booleans, numbers,
# text) and then by value. A set has the order in which it was made, and not its own. And sprintf() quotes some of the texts
# among several arguments, but not a single one.
INSTEAD = {
    "concat": "joined",
    "gt": "gt",
    "gte": "gte",
    "lt": "lt",
    "lte": "lte",
    "max": "greatest",
    "min": "least",
    "sort": "sorted",
    "sprintf": "printed",
}
ORDER = r"""package openclaw_order

lt(a, b) := _less(a, b)

gt(a, b) := _less(b, a)

gte(a, b) := _opposite(_less(a, b))

lte(a, b) := _opposite(_less(b, a))

greatest(values) := value if {
	some value in values
	count([1 | some other in values; _less(value, other)]) == 0
}

least(values) := value if {
	some value in values
	count([1 | some other in values; _less(other, value)]) == 0
}

joined(delimiter, values) := concat(delimiter, sorted(values)) if is_set(values)

joined(delimiter, values) := concat(delimiter, values) if not is_set(values)

sorted(values) := [] if count(values) == 0

sorted(values) := [value | some place in all_places; value := _placed(list, places, place)] if {
	count(values) > 0
	list := [value | some value in values]
	all_places := numbers.range(0, count(list) - 1)
	places := [place | some at in all_places; place := count([1 | other := list[before]; _first(other, before, list[at], at)])]
}

_placed(list, places, place) := list[at] if places[at] == place

_first(other, before, value, at) if _less(other, value)

_first(other, before, value, at) if { other == value; before < at }

_less(a, b) := _rank(a) < _rank(b) if _rank(a) != _rank(b)

_less(a, b) := a < b if { _rank(a) == _rank(b); not is_string(a) }

_less(a, b) := _sooner(a, b) if { is_string(a); is_string(b) }

_sooner(a, b) := a != b if startswith(b, a)

_sooner(a, b) := false if { startswith(a, b); a != b }

_sooner(a, b) := a < b if { not startswith(a, b); not startswith(b, a) }

_opposite(x) := true if x == false

_opposite(x) := false if x == true

_rank(x) := 0 if is_null(x)

_rank(x) := 1 if is_boolean(x)

_rank(x) := 2 if is_number(x)

_rank(x) := 3 if is_string(x)

_rank(x) := to_number("arrays, objects and sets are not compared") if {
	not is_null(x)
	not is_boolean(x)
	not is_number(x)
	not is_string(x)
}

printed(format, values) := concat("", parts) if {
	verbs := regex.find_n("%[^a-zA-Z%]*[a-zA-Z%]", format, -1)
	_one_each(count([verb | some verb in verbs; verb != "%%"]), count(values))
	texts := regex.split("%[^a-zA-Z%]*[a-zA-Z%]", format)
	parts := [part | text := texts[at]; part := concat("", [text, _part(verbs, at, values)])]
}

_one_each(verbs, values) := true if verbs == values

_one_each(verbs, values) := to_number("sprintf() has more or fewer values than verbs") if verbs != values

_part(verbs, at, values) := "" if not verbs[at]

_part(verbs, at, values) := "%" if verbs[at] == "%%"

_part(verbs, at, values) := _shown(verbs[at], values[used]) if {
	verbs[at] != "%%"
	used := count([verb | verb := verbs[before]; before < at; verb != "%%"])
}

# The verbs that are the same everywhere; Go says `%!d(string=a)` where one does not fit its value.
_shown(verb, value) := _text(value) if verb == "%v"

_shown(verb, value) := _text(value) if { verb == "%s"; not is_number(value) }

_shown(verb, value) := concat("", ["%!s(", _kind(value), "=", _text(value), ")"]) if { verb == "%s"; is_number(value) }

_shown(verb, value) := _text(value) if { verb == "%d"; _kind(value) == "int64" }

_shown(verb, value) := concat("", ["%!d(", _kind(value), "=", _text(value), ")"]) if { verb == "%d"; _kind(value) != "int64" }

_shown(verb, value) := to_number("sprintf() has verbs here that only the native engine and OPA print") if {
	not verb in {"%v", "%s", "%d"}
}

_kind(value) := "string" if not is_number(value)

_kind(value) := "int64" if { is_number(value); floor(value) == value }

_kind(value) := "float64" if { is_number(value); floor(value) != value }

_text(value) := sprintf("%v", [value]) if not is_number(value)

_text(value) := sprintf("%v", [value]) if { is_number(value); _plain(value, abs(value)) }

_text(value) := to_number("sprintf() prints such a number with an exponent") if {
	is_number(value)
	not _plain(value, abs(value))
}

_plain(value, size) if { floor(value) == value; size < 9007199254740992 }

_plain(value, size) if { size >= 0.0001; size < 1000000 }

all := [gt(1, 1), gte(1, 1), lt(1, 1), lte(1, 1), greatest([1]), least([1]), sorted([1]), joined("", []), printed("", [])]
"""


def main(descriptor: int) -> None:
    """Serve the parent on the socket with this file descriptor until it closes."""
    # What the engine prints (print() in a policy, its own messages) must reach neither the parent's output nor its errors.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    with socket.socket(fileno=descriptor) as parent:
        request = _receive(parent)
        if request is None:
            return
        number, loading = request
        evaluator, reply = _load(json.loads(loading))
        _send(parent, number, json.dumps(reply).encode())
        while evaluator is not None and (request := _receive(parent)) is not None:
            number, encoded = request
            _send(parent, number, evaluator(encoded))


def _load(request: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    import regopy
    from regopy import rego_shared as rego

    interpreter = regopy.Interpreter()
    interpreter.log_level = regopy.LogLevel.NONE
    # Without it an error of a built-in is undefined, and `not failing(…)` is true.
    interpreter.strict_built_in_errors = True
    reply: dict[str, Any] = {"version": _version(), "missing": [], "error": None}
    place = ""
    try:
        interpreter.add_data_json(request["data"])
        for name, text in request["modules"]:
            place = name
            interpreter.add_module(name, text)
        place = ""
        reply["missing"] = [name for name in request["calls"] if not interpreter.is_builtin(name)]
        interpreter.add_module("openclaw_order.rego", ORDER)
        bundle = interpreter.build(None, [request["entry"], "openclaw_order/all"])
        if not bundle.ok():
            raise regopy.RegoError("the policies do not compile")
        bundle, called = _ordered(interpreter, bundle)
        reply["missing"] += [name for name in called if not interpreter.is_builtin(name) and name != "internal.print"]
    except (regopy.RegoError, ValueError, KeyError, OSError) as error:
        reply["error"] = {"file": place, "message": str(error)}
        return None, reply
    # The library's own wrapper of an answer fails on some errors; below it, each can be told.
    impl: Any = interpreter._impl  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    compiled: Any = bundle._impl  # noqa: SLF001 # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
    entry: str = request["entry"]

    def evaluate(encoded: bytes) -> bytes:
        # Keeps interpreter and bundle alive as long as itself.
        assert interpreter is not None
        assert bundle is not None
        try:
            interpreter.set_input_term(encoded.decode())
            output = rego.rego_bundle_query_entrypoint(impl, compiled, entry)
            if not output:
                return b"E" + rego.rego_get_error(impl).encode()
            try:
                text = rego.rego_output_string(output)
                if not rego.rego_output_ok(output):
                    return b"E" + (_messages(rego, rego.rego_output_node(output)) or "no message").encode()
            finally:
                rego.rego_free_output(output)
        except (regopy.RegoError, ValueError) as error:
            return b"E" + str(error).encode()
        if text == "undefined":
            return b"U"
        # Some errors come as a good output whose text is an error tree.
        return (b"A" if text.startswith('{"expressions":[') else b"E") + text.encode()

    return evaluate, reply


def _ordered(interpreter: Any, bundle: Any) -> tuple[Any, list[str]]:
    """The compiled policies with what goes through our module, and the names of all other built-ins that they call."""
    called: set[str] = set()

    def visit(part: object, *, ours: bool) -> None:
        if isinstance(part, list):
            for item in cast("list[object]", part):
                visit(item, ours=ours)
        elif isinstance(part, dict):
            fields = cast("dict[str, Any]", part)
            if fields.get("type") == "CallStmt":
                call = fields["stmt"]
                if call["func"] in INSTEAD and not ours:
                    call["func"] = f"g0.data.openclaw_order.{INSTEAD[call['func']]}"
                    call["args"] = [{"type": "local", "value": 0}, {"type": "local", "value": 1}, *call["args"]]
                elif not call["func"].startswith("g0."):
                    called.add(call["func"])
            for item in fields.values():
                visit(item, ours=ours)

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bundle"
        interpreter.save_bundle(str(place), bundle)
        path = place / "plan.json"
        plan = json.loads(path.read_text(encoding="utf-8"))
        visit(plan["plans"], ours=False)
        for function in plan["funcs"]["funcs"]:
            visit(function["blocks"], ours=OURS.match(function["name"]) is not None)
        path.write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")
        return interpreter.load_bundle(str(place)), sorted(called)


def _messages(rego: Any, node: Any) -> str:
    """The text of every error message below ``node``."""
    found: list[str] = []
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if rego.rego_node_type(at) == rego.NodeKind.ErrorMessage:
            found.append(rego.rego_node_value(at))
        waiting += [rego.rego_node_get(at, index) for index in range(rego.rego_node_size(at))]
    return "; ".join(dict.fromkeys(found))


def _version() -> str:
    from importlib.metadata import version

    return version("regopy")


def _receive(parent: socket.socket) -> tuple[bytes, bytes] | None:
    """The number and the content of one frame; None where the parent has closed its end."""
    header = _exactly(parent, HEADER_BYTES)
    content = None if header is None else _exactly(parent, int.from_bytes(header[:4], "big"))
    return None if header is None or content is None else (header[4:], content)


def _exactly(parent: socket.socket, size: int) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        part = parent.recv(min(size - len(content), 1 << 20))
        if not part:
            return None
        content += part
    return bytes(content)


def _send(parent: socket.socket, number: bytes, content: bytes) -> None:
    parent.sendall(len(content).to_bytes(4, "big") + number + content)


if __name__ == "__main__":
    main(int(sys.argv[1]))
