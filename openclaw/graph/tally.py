"""The count of a run's tool calls, of equal ones too: what policies see as ``run.calls`` and ``run.repeats``."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

_KINDS_MAX = 10_000
"""Different calls that are told apart; of a run with more, the oldest start anew."""


class Tally:
    """The calls of one run so far. Safe to use from many threads.

    Args:
        earlier: how often each call (``same_call``) was made before in this run, by another process or before a resume.
    """

    def __init__(self, earlier: Mapping[str, int] | None = None) -> None:
        self._lock = threading.Lock()
        self._equal: OrderedDict[str, int] = OrderedDict(earlier or {})
        self._calls = sum(self._equal.values())

    @property
    def calls(self) -> int:
        """The number of calls so far."""
        return self._calls

    def count(self, call: str) -> tuple[int, int]:
        """Count one call; how many calls there were before it, and how many of them were equal to it."""
        with self._lock:
            before, equal = self._calls, self._equal.pop(call, 0)
            self._calls += 1
            self._equal[call] = equal + 1
            while len(self._equal) > _KINDS_MAX:
                self._equal.popitem(last=False)
            return before, equal

    def take_back(self, call: str) -> None:
        """It did not run but waits, or had run before: it counts once."""
        with self._lock:
            self._calls = max(0, self._calls - 1)
            if self._equal.get(call, 0) > 0:
                self._equal[call] -= 1


__all__ = ["Tally"]
