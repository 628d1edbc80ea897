"""The one source of time and of identifiers, so that tests can hold both still."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time and fresh identifiers. ``None`` in place of a clock means: ask the database."""

    def now(self) -> dt.datetime:
        """The present moment, in UTC."""
        ...

    def new_id(self, prefix: str) -> str:
        """A fresh identifier such as ``run-0199d2c4f1a2-8f3a5b1c``."""
        ...


class SystemClock:
    """The machine's clock and its randomness."""

    def now(self) -> dt.datetime:
        """The present moment, in UTC."""
        return dt.datetime.now(dt.UTC)

    def new_id(self, prefix: str) -> str:
        """A fresh identifier: prefix, milliseconds since 1970 and 32 random bits, in hexadecimal."""
        # Milliseconds first: identifiers sort by age, which keeps B-tree inserts at the right edge.
        return f"{prefix}-{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(4)}"


def spread(least: float, most: float) -> float:
    """A moment of the span between two, in seconds, drawn evenly: so that many who wait do not all come at once."""
    return least + (most - least) * secrets.randbelow(1 << 32) / (1 << 32)
