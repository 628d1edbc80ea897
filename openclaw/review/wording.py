"""How amounts, times and texts from logs are written for people: the same in tables, pictures and reports.

What is written comes from agents and from the documents that they read: nothing in it moves a cursor, changes a colour or
turns the direction of writing.
"""

from __future__ import annotations

import datetime as dt
import re

UNSAFE = "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufffe\uffff]"
"""Characters (a class of a regular expression) that are shown as escapes."""

_UNSAFE = re.compile(UNSAFE)


def safe(text: str) -> str:
    """``text`` on one line, with control and direction characters as escapes; it may stand in XML 1.0 once that is escaped."""
    return _UNSAFE.sub(lambda found: _escape(found.group()), text)


def _escape(character: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\u{ord(character):04x}")


def shortened(text: str, length: int) -> str:
    """``text``, cut with an ellipsis where it has more than ``length`` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def moment(at: dt.datetime) -> str:
    """``2026-11-23 10:00:00.123Z``: UTC, to the millisecond."""
    utc = at.astimezone(dt.UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def duration(seconds: float) -> str:
    """A span of time in at most two units: ``850 µs``, ``12 ms``, ``1.3 s``, ``2 min 05 s``, ``3 h 20 min``."""
    if seconds < 0.001:
        return f"{round(seconds * 1_000_000)} µs"
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int) -> str:
    """``12,345``."""
    return f"{number:,}"


def usd(microusd: int) -> str:
    """Micro-USD as dollars: ``$1.50``, ``$0.000123``; exact, at least two decimals."""
    sign, whole = "-" if microusd < 0 else "", abs(microusd)
    decimals = f"{whole % 1_000_000:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole // 1_000_000:,}.{decimals}"


def unit_name(unit: str) -> str:
    """What people call a unit of the ledger, and the options of commands: ``usd`` for ``microusd``, ``seconds``."""
    return {"microusd": "usd", "milliseconds": "seconds"}.get(unit, unit)


def amount(unit: str, number: int) -> str:
    """An amount of a unit of the ledger, exact: ``12,345``, ``$1.50``, ``12.5`` seconds of ``12500`` milliseconds."""
    if unit == "microusd":
        return usd(number)
    if unit == "milliseconds":
        sign, whole = "-" if number < 0 else "", abs(number)
        return f"{sign}{whole // 1000:,}.{whole % 1000:03d}".rstrip("0").rstrip(".")
    return count(number)


__all__ = ["UNSAFE", "amount", "count", "duration", "moment", "safe", "shortened", "unit_name", "usd"]
