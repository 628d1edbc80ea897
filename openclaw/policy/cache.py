"""Decisions that are given again without asking the engine, where they cannot have changed.

A decision is kept under the revision and the canonical bytes of exactly those parts of the input that the policies read
(``reads``). That is done only for an engine with policies of its own that nobody can change under it, and only where

- the policies are a function of input and data: no time, no chance, no network; and
- they read nothing that is new in every call (``VOLATILE``), such as ``input.now``: then the time would be part of the
  answer, or no answer would ever be found again.

Only an answer of the policies is kept. A failure (an engine that fails, a deadline, an input that no engine takes) is the
failure of one call.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from openclaw.decision import Decision
from openclaw.errors import ConfigurationError
from openclaw.policy.bundle import Bundle
from openclaw.policy.engine import BadInput, PolicyEngine, encode
from openclaw.policy.reads import InputPath, Projection, Reads, dotted, reads_of
from openclaw.policy.results import Results

if TYPE_CHECKING:
    from pydantic import JsonValue

VOLATILE: tuple[InputPath, ...] = (
    ("now",),
    *(("run", part) for part in ("step", "calls", "repeats", "elapsed_s")),
    ("budget",),
    ("tool", "call_id"),
)
"""Parts of an input that differ from call to call. The name of the run and its thread stay for the run."""

ENTRIES_MAX = 10_000
"""Decisions that one engine keeps, unless told otherwise."""

BYTES_MAX = 16 * 1024 * 1024
"""Memory for them: keys and texts, in bytes, roughly."""

KEY_BYTES_MAX = 16 * 1024
"""An input of which more than this is read is decided each time: it is hardly ever the same twice."""

_ENTRY_BYTES, _DUTY_BYTES = 900, 1000
"""What a decision and an obligation take besides their texts: measured, roughly."""

_KEPT = frozenset({"policy", "no_policy"})


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache has done since it was made. ``bypassed``: inputs that no key was made for."""

    hits: int
    misses: int
    bypassed: int
    entries: int
    bytes: int


def cached(engine: PolicyEngine, bundle: Bundle, *, entries_max: int = ENTRIES_MAX) -> PolicyEngine:
    """``engine``, which decides by ``bundle``, with a cache in front of it; itself where decisions cannot be kept."""
    if entries_max <= 0:
        return engine
    reads = reads_of(bundle)
    return engine if hindrances(reads) else CachingEngine(engine, reads, entries_max=entries_max)


def entries_of(cache: bool | int) -> int:
    """The number of decisions to keep that a setting means.

    Raises:
        ConfigurationError: it is below zero.
    """
    if isinstance(cache, bool):
        return ENTRIES_MAX if cache else 0
    if cache < 0:
        raise ConfigurationError(f"a cache of {cache} decisions is none", hint="give a number, or False to keep none")
    return cache


def hindrances(reads: Reads) -> list[str]:
    """Why decisions of policies that read this cannot be kept, each with file, line and column; empty where they can."""
    found = [f"{it.file}:{it.line}:{it.column}: {it.what} is no function of the input" for it in reads.impurities]
    for place in reads.places:
        for path in VOLATILE:
            if all(one == other for one, other in zip(place.path, path, strict=False)):
                where = f"{place.file}:{place.line}:{place.column}"
                found.append(f"{where}: `{place.dotted}` is read, and `{dotted(path)}` is new in every call")
                break
    return found


class CachingEngine:
    """An engine with a cache in front of it. Decides what the engine decides; safe to use from many threads at once.

    Args:
        engine: decides what is not known yet. Its policies may not change; should its revision do so, it decides all.
        reads: what those policies read. They must be pure.
        entries_max: decisions to keep; the one that was not asked for longest goes first.
        bytes_max: bytes to keep.
    """

    def __init__(
        self, engine: PolicyEngine, reads: Reads, *, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        self.engine = engine
        self._revision = engine.revision
        self._key = _key_function(reads)
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._closed = False
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[Decision, int]] = OrderedDict()
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._bypassed = 0

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

    @property
    def stats(self) -> CacheStats:
        """Counters since the start, and what is kept now."""
        with self._lock:
            return CacheStats(self._hits, self._misses, self._bypassed, len(self._kept), self._bytes)

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002 - the contract's own name
        """Decide on one input; never raises."""
        key, known = self._find(input)
        if known is not None:
            return known
        decision = self.engine.evaluate(input)
        self._keep(key, decision)
        return decision

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        """The same decision."""
        key, known = self._find(input)
        if known is not None:
            return known
        decision = await self.engine.aevaluate(input)
        self._keep(key, decision)
        return decision

    def close(self) -> None:
        """Decisions after this are denials."""
        self._closed = True
        with self._lock:
            self._kept.clear()
            self._bytes = 0
        self.engine.close()

    def _find(self, document: Mapping[str, JsonValue]) -> tuple[bytes | None, Decision | None]:
        key = None if self._closed or self.engine.revision != self._revision else self._key(document)
        with self._lock:
            if key is None:
                self._bypassed += 1
                return None, None
            found = self._kept.get(key)
            if found is None:
                self._misses += 1
                return key, None
            self._kept.move_to_end(key)
            self._hits += 1
        return key, found[0]

    def _keep(self, key: bytes | None, decision: Decision) -> None:
        if key is None or self._closed or decision.code not in _KEPT or decision.revision != self._revision:
            return
        size = _size(key, decision)
        with self._lock:
            before = self._kept.pop(key, None)
            self._bytes += size - (before[1] if before else 0)
            self._kept[key] = decision, size
            while len(self._kept) > self._entries_max or self._bytes > self._bytes_max:
                self._bytes -= self._kept.popitem(last=False)[1][1]


def _key_function(reads: Reads) -> Callable[[Mapping[str, JsonValue]], bytes | None]:
    """Makes the key of an input: None where there is none, because the input is refused or too large."""
    canonical = canonical_function(reads.paths)

    def key(document: Mapping[str, JsonValue]) -> bytes | None:
        made = canonical(document)
        return made if made is not None and len(made) <= KEY_BYTES_MAX else None

    return key


def canonical_function(paths: tuple[InputPath, ...]) -> Callable[[Mapping[str, JsonValue]], bytes | None]:
    """Makes the canonical bytes of these parts of an input; None where no engine takes that input."""
    from openclaw.policy import regorus

    if regorus.available():
        from openclaw import _native as native

        return native.Projection([list(path) for path in paths]).canonical
    projection = Projection(paths)

    def canonical(document: Mapping[str, JsonValue]) -> bytes | None:
        try:
            # The whole input is looked at: what no engine takes must be refused, also where nothing reads it.
            whole = cast("JsonValue", json.loads(encode(document)))
            return encode(cast("dict[str, JsonValue]", projection.of(whole)))
        except BadInput:
            return None

    return canonical


def _size(key: bytes, decision: Decision) -> int:
    texts = sum(map(len, decision.reasons)) + sum(map(len, decision.rules))
    duties = sum(_DUTY_BYTES + 2 * len(repr(duty.params)) for duty in decision.obligations)
    return _ENTRY_BYTES + len(key) + 2 * texts + duties
