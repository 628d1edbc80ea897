"""Why a test rule failed: the first expression of its body that does not hold, with the values on both sides of it.

The body is asked again, statement by statement, by rules that are added to its own file for the occasion. What cannot be
found out this way (a statement that uses a variable from below it) is left out; it changes no result.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias, cast

from openclaw.policy.bundle import Module
from openclaw.policy.program import Program

Tree: TypeAlias = Any
"""A syntax tree of the engine, read from its JSON: it has no schema, and only what is looked up in it is known of it."""

Values: TypeAlias = tuple[tuple[str, str], ...]
"""What is shown of a failure: an expression or a word for it, and its value as JSON."""

VALUE_MAX = 400
"""Characters of one value; longer ones are cut."""

_DEADLINE_US = 5_000_000
_OPERATOR = re.compile(rb":=|==|!=|<=|>=|<|>|=|in\b")
_UNDEFINED = "undefined"


def walk(value: object) -> Tree:
    """``value`` as a tree to look into."""
    return cast("Tree", value)


def values_of_failing(files: list[tuple[str, str]], data: bytes, module: Module, rule: Tree) -> tuple[str, Values]:
    """The statement that does not hold, as ``line N: text``, and its values; empty where that cannot be found out."""
    bodies = rule["bodies"]
    if len(bodies) != 1:
        return "", ()
    source = module.text.encode()
    statements: list[Tree] = list(bodies[0]["query"]["stmts"])
    texts = [_text(source, statement["span"]) for statement in statements]
    asked = "".join(
        f"\nopenclaw_probe contains {at} if {{\n{_lines(texts[: at + 1])}\n}}\n" for at in range(len(texts))
    )
    held = _ask(files, data, module, asked)
    if not isinstance(held, list):
        return "", ()
    first = next((at for at in range(len(texts)) if at not in cast("list[object]", held)), None)
    if first is None:
        return "", ()
    message = f"line {statements[first]['span']['line']} does not hold: {' '.join(texts[first].split())}"
    sides = _sides(source, statements[first])
    if not sides:
        return message, ()
    before = texts[:first]
    modifiers = _modifiers(source, statements[first])
    values: list[tuple[str, str]] = []
    for side in sides:
        if re.fullmatch(r"[-\w.]+|\"[^\"]*\"", side) and (side[0] in '"-' or side[0].isdigit() or side in _CONSTANT):
            continue  # Its value is what is written there.
        body = _lines([*before, f"openclaw_value := {side} {modifiers}"])
        found = _ask(files, data, module, f"\nopenclaw_probe contains openclaw_value if {{\n{body}\n}}\n")
        if isinstance(found, list):
            values.append((" ".join(side.split()), _shown(cast("list[object]", found))))
    return message, tuple(values)


_CONSTANT = frozenset({"true", "false", "null"})


def _ask(files: list[tuple[str, str]], data: bytes, module: Module, more: str) -> object:
    """The value of ``openclaw_probe`` with these rules added; None where they cannot be compiled or evaluated."""
    from openclaw import _native as native

    tree = walk(json.loads(native.parse(module.path, module.text)))[0]["ast"]
    package = _text(module.text.encode(), tree["package"]["refr"][next(iter(tree["package"]["refr"]))]["span"])
    changed = [(path, text + more if path == module.path else text) for path, text in files]
    try:
        answer = Program(changed, data, f"data.{package}.openclaw_probe").evaluate(b"{}", _DEADLINE_US)
    except native.NativeError:
        return None
    return json.loads(answer) if answer is not None else []


def _text(source: bytes, span: Tree) -> str:
    start, end = span["start"], span["end"]
    if source[end : end + 1] in (b'"', b"`"):
        end += 1  # The engine's span of a text ends before its closing quote.
    return source[start:end].decode()


def _lines(texts: list[str]) -> str:
    return "\n".join(f"\t{text}" for text in texts)


def _modifiers(source: bytes, statement: Tree) -> str:
    modifiers = statement.get("with_mods")
    if not modifiers:
        return ""
    return _text(source, {"start": modifiers[0]["span"]["start"], "end": statement["span"]["end"]})


def _sides(source: bytes, statement: Tree) -> list[str]:
    """The expressions in a statement whose values say why it does not hold."""
    kind, literal = next(iter(statement["literal"].items()))
    if kind not in ("Expr", "NotExpr"):
        return []  # `some` and `every` bind names: what they range over is in the statement itself.
    span = literal["expr"]
    inner = next(iter(span.values()))
    whole = literal["span"]
    start, end = whole["start"], whole["end"]
    if kind == "NotExpr":
        return [source[start:end].decode().removeprefix("not").strip()]
    if source[end : end + 1] in (b'"', b"`"):
        end += 1
    place = inner["span"]
    at = start + place["col"] - whole["col"]
    operator = _OPERATOR.match(source, at) if place["line"] == whole["line"] and at > start else None
    if operator is None or operator.end() >= end or next(iter(span)) not in _BINARY:
        return [source[start:end].decode()]
    left, right = source[start:at].decode().strip(), source[operator.end() : end].decode().strip()
    # `x := f(…)` fails where the right side is undefined; the left one has no value of its own.
    return [right] if operator.group() == b":=" else [left, right]


_BINARY = frozenset({"AssignExpr", "BoolExpr", "Membership"})


def _shown(found: list[object]) -> str:
    if not found:
        return _UNDEFINED
    text = " or ".join(json.dumps(value, ensure_ascii=False) for value in found)
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"
