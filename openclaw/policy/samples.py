"""Values to try for an argument: where a rule could change its mind.

They come from the parameter's JSON Schema (``enum``, bounds, ``default``, ``examples``) and from the constants that stand in
the rules which read the argument, and in the data: each number with its neighbours, each text by itself and with something
after it or before it. A schema of which all values are known is ``finite``: then trying is proving.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import JsonValue

from openclaw.policy.agents import Schema
from openclaw.policy.bundle import Bundle, Module
from openclaw.policy.reads import InputPath, Read
from openclaw.policy.scan import Token, rule_tokens

SAMPLES_MAX = 80
"""Values that are tried for one argument."""

FINITE_MAX = 64
"""A schema with more values than this is not tried out."""

DEPTH_MAX = 3
"""Levels of nested parameters that are tried."""

ORDINARY_TEXT = "some text"
ORDINARY_NUMBER = 1


@dataclass(frozen=True, slots=True)
class Absent:
    """The argument is not there."""


ABSENT = Absent()

Value: TypeAlias = "JsonValue | Absent"
"""What an argument can be: a value, or nothing."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Values of one argument, the most ordinary first. ``finite``: there are no others."""

    values: tuple[Value, ...]
    finite: bool


@dataclass(frozen=True, slots=True)
class Constants:
    """What rules compare an argument with, in the order in which it is worth trying."""

    numbers: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
