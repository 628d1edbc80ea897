"""Asking parts of a policy again: rules that are added to its own files for the occasion, and their values.

What is asked stands in the package and the file of the rule that it is about, so that every name means there what it means
in the rule. Everything is compiled and evaluated as for a decision, by the native engine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from openclaw.policy import regorus
from openclaw.policy.bundle import Bundle

if TYPE_CHECKING:
    from openclaw.policy.program import Program

DEADLINE_US = 5_000_000
"""How long one asking may take, in microseconds: a stop for loops, not a measure of speed."""

NAME = "openclaw_probe"
"""What a rule that asks calls itself; it gets a number of its own."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Something to ask: the file it belongs to, its package, and definitions of the set ``NAME``."""

    module: str
    package: tuple[str, ...]
    rules: str


@dataclass(frozen=True, slots=True)
class Helper:
    """Rules that probes name, in the file to which they belong."""

    module: str
    rules: str


class Prober:
    """Asks the policies of a bundle about one input.

    Raises:
        ConfigurationError: the native engine is not installed.
    """

    def __init__(self, bundle: Bundle, input_json: bytes) -> None:
        regorus.require("policies are explained by")
        self._modules = [(module.path, module.text) for module in bundle.modules]
        self._data = bundle.data
        self._input = input_json

    def ask(self, probes: Sequence[Probe], helpers: Sequence[Helper] = ()) -> list[list[JsonValue] | None]:
        """The members of each probe; None for one that cannot be compiled or evaluated."""
        from openclaw import _native as native

        if not probes:
            return []
        try:
            return self._ask(probes, helpers)
        except native.NativeError:
            if len(probes) == 1:
                return [None]
            # One of them is the reason; the others are to be answered all the same.
            middle = len(probes) // 2
            return [*self.ask(probes[:middle], helpers), *self.ask(probes[middle:], helpers)]

    def _ask(self, probes: Sequence[Probe], helpers: Sequence[Helper]) -> list[list[JsonValue] | None]:
        return answers(compiled(self._modules, self._data, probes, helpers), self._input, len(probes))


def compiled(
    modules: Sequence[tuple[str, str]], data: bytes, probes: Sequence[Probe], helpers: Sequence[Helper] = ()
) -> Program:
    """Policies (``modules``: path and text) with these probes in them, ready to be asked.

    Raises:
        openclaw._native.NativeError: a probe is not Rego where it stands.
    """
    from openclaw.policy.program import Program

    more: dict[str, list[str]] = {}
    fields: list[str] = []
    for number, probe in enumerate(probes):
        name = f"{NAME}_{number}"
        more.setdefault(probe.module, []).append(probe.rules.replace(NAME, name))
        fields.append(f'"{number}": {named(probe.package)}.{name}')
    for helper in helpers:
        more.setdefault(helper.module, []).append(helper.rules)
    files = [(path, "\n".join([text, *more.get(path, ()), ""])) for path, text in modules]
    separator = ",\n"
    asking = f"package openclaw_probes\n\nimport rego.v1\n\nanswers := {{{separator.join(fields)}}}\n"
    return Program([*files, ("openclaw_probes.rego", asking)], data, "data.openclaw_probes.answers")


def answers(program: Program, input_json: bytes, probes: int) -> list[list[JsonValue] | None]:
    """The members of each of the ``probes`` that a program was compiled with, for one input.

    Raises:
        openclaw._native.NativeError: they cannot be evaluated.
    """
    answer = program.evaluate(input_json, DEADLINE_US)
    found = cast("dict[str, list[JsonValue]]", json.loads(answer)) if answer is not None else {}
    return [found.get(str(number)) for number in range(probes)]


def valued(*texts: str) -> str:
    """An array with the value of an expression, empty where it has none. Each text has lines of its own: the engine takes
    no line of more than 1,024 columns."""
    lines = "\n".join(texts)
    return f"[openclaw_value | openclaw_value :=\n{lines}\n]"


def together(texts: Sequence[str]) -> str:
    """An array with one array of these values; empty where one of them has none."""
    lines = ",\n".join(texts)
    return valued(f"[{lines}]")


def named(package: Sequence[str]) -> str:
    """The full name of a package, whatever its parts are."""
    return "data" + "".join(f"[{json.dumps(part)}]" for part in package)
