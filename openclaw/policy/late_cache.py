"""A cache that is made when a second decision is asked for: whoever asks once, as a command does, does not pay for it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from openclaw.decision import Decision
from openclaw.policy.bundle import Bundle
from openclaw.policy.engine import PolicyEngine
from openclaw.policy.results import Results

if TYPE_CHECKING:
    from pydantic import JsonValue


class LateCache:
    """``engine``, which decides by ``bundle``, and from the second decision on ``cache.cached`` of it.

    Safe to use from many threads at once. ``cache`` is True, or the number of decisions to keep.
    """

    def __init__(self, engine: PolicyEngine, bundle: Bundle, *, cache: bool | int) -> None:
        self.engine = engine
        self._bundle = bundle
        self._cache = cache
        self._lock = threading.Lock()
        self._asked = False
        self.made: PolicyEngine | None = None
        """Who decides from the second decision on."""

    @property
    def name(self) -> str:
        """Engine and version."""
        return self.engine.name

    @property
    def revision(self) -> str:
        """Digest of what is loaded."""
        return self.engine.revision

    @property
    def results(self) -> Results:
        """What the policies say of results."""
        return self.engine.results

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002 - the contract's own name
        """Decide on one input; never raises."""
        return (self.made or self._next()).evaluate(input)

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        """The same decision."""
        return await (self.made or self._next()).aevaluate(input)

    def close(self) -> None:
        """Decisions after this are denials."""
        with self._lock:
            closing, self.made = self.made or self.engine, self.engine
        closing.close()

    def _next(self) -> PolicyEngine:
        """Who decides next: the engine itself, once."""
        with self._lock:
            if self.made is None and self._asked:
                from openclaw.policy.cache import cached, entries_of

                self.made = cached(self.engine, self._bundle, entries_max=entries_of(self._cache))
            self._asked = True
            return self.made or self.engine


__all__ = ["LateCache"]
