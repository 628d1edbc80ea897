"""Conditions on entries: the expressions of ``--where``. Those of ``--arg`` are ``openclaw.conditions``.

An expression is a small part of Python's own syntax: names of fields, texts, numbers, ``== != < <= > >= in``, ``and or not`` and
parentheses. It is read by Python's parser and judged here: nothing is ever called, and nothing but an entry can be named.
A comparison with what is not there or was masked does not hold, whichever way it is put; nor does an order of unlike values.
"""

from __future__ import annotations

import ast
from typing import cast

from pydantic import JsonValue

from openclaw.audit import Entry
from openclaw.conditions import Operator, compares
from openclaw.errors import ConfigurationError
from openclaw.review import fields

LENGTH_MAX = 2_000
"""Characters of an expression."""

_EXAMPLE = """write, for example, `effect == "deny" and args.amount > 100`"""
_OPERATORS: dict[type[ast.cmpop], Operator] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.In: "in",
    ast.NotIn: "not in",
}


class Expression:
    """An expression of ``--where``, read once and asked of many entries.

    Raises:
        ConfigurationError: it is none, names a field that there is not, or uses more of Python than is meant here.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > LENGTH_MAX:
            raise ConfigurationError(f"the condition has {len(text):,} characters, {LENGTH_MAX:,} at most are read")
        try:
            self._root = ast.parse(text.strip(), mode="eval").body
            self._check(self._root)
        except (SyntaxError, ValueError) as error:
            raise ConfigurationError(f"`{text}` is no condition: {_said(error)}", hint=_EXAMPLE) from error
        except (RecursionError, MemoryError) as error:
            raise ConfigurationError("the condition is nested too deep", hint="write a simpler one") from error

    def holds(self, entry: Entry) -> bool:
        """Whether it holds of an entry."""
        return _truth(self._value(self._root, entry))

    def columns(self) -> dict[str, str]:
        """Columns that must have a certain value wherever it holds, for the database to look them up."""
        parts = [self._root]
        if isinstance(self._root, ast.BoolOp) and isinstance(self._root.op, ast.And):
            parts = self._root.values
        found: dict[str, str] = {}
        for part in parts:
            match part:
                case ast.Compare(left=ast.Name(id=name), ops=[ast.Eq()], comparators=[ast.Constant(value=str(wanted))]):
                    if name in fields.COLUMNS and wanted:
                        found.setdefault(name, wanted)
                case _:
                    pass
        return found

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.BoolOp(values=values):
                for one in values:
                    self._check(one)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._check(operand)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
                pass
            case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in _OPERATORS for op in ops):
                for one in (left, *comparators):
                    self._check(one)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for one in elements:
                    self._check(one)
            case ast.Constant(value=str() | bool() | int() | float()):
                pass
            case ast.Name(id="true" | "false" | "null"):
                pass
            case ast.Name() | ast.Attribute() | ast.Subscript():
                fields.check_name(_path(node))
            case _:
                raise ConfigurationError(
                    f"`{ast.unparse(node)}` may not stand in a condition",
                    hint="it is made of fields, texts, numbers, == != < <= > >= in, and, or, not",
                )

    def _value(self, node: ast.expr, entry: Entry) -> JsonValue:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return all(_truth(self._value(one, entry)) for one in values)
            case ast.BoolOp(values=values):
                return any(_truth(self._value(one, entry)) for one in values)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.UnaryOp(operand=operand):
                return not _truth(self._value(operand, entry))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                values = [self._value(one, entry) for one in (left, *comparators)]
                pairs = zip(ops, values, values[1:], strict=False)
                return all(compares(_OPERATORS[type(op)], one, other) for op, one, other in pairs)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self._value(one, entry) for one in elements]
            case ast.Constant(value=constant):
                return cast("JsonValue", constant)
            case ast.Name(id="true" | "false" | "null" as name):
                return {"true": True, "false": False, "null": None}[name]
            case _:
                return fields.value(entry, _path(node))


def _truth(value: JsonValue) -> bool:
    return bool(value)


def _path(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name):
            return f"{_path(inner)}.{name}"
        case ast.Subscript(value=inner, slice=ast.Constant(value=str(name))) if "." not in name:
            return f"{_path(inner)}.{name}"
        case _:
            raise ConfigurationError(f"`{ast.unparse(node)}` is no field", hint='write args.amount or args["order-id"]')


def _said(error: Exception) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


__all__ = ["Expression"]
