"""An engine that follows its policies: new ones are checked and tested before they decide, and bad ones never do.

INVARIANT: a call is decided by one engine from its beginning to its end; which one is one reference, read once.
INVARIANT: an engine is closed when it has been replaced and its last call has ended, and not before.
INVARIANT: nothing goes live that was not compiled, whose tests did not pass, or that the listener could not record.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from pydantic import JsonValue

from openclaw.clock import spread
from openclaw.decision import Decision
from openclaw.errors import ConfigurationError, OpenClawError, PolicyError, PolicyUnavailable
from openclaw.policy import open_engine
from openclaw.policy.bundle import Bundle
from openclaw.policy.cache import cached, entries_of
from openclaw.policy.contents import Contents
from openclaw.policy.embedded import open_bundle
from openclaw.policy.engine import PolicyEngine
from openclaw.policy.results import Results
from openclaw.policy.source import Fetched, Source, source_of
from openclaw.policy.spec import BundleFile, BundleServer, Opa, Policies, PolicyFolder

CLOSE_S = 1.0
"""How long ``close`` waits for a look that is going on, in seconds; it changes nothing any more once it has begun."""

FORMER_MAX = 8
"""Former revisions of which it is known what they say of results: a call may have been decided by one a moment ago."""

REASONS_MAX = 20
"""Reasons that are kept of a refusal."""

REASON_MAX = 500
"""Characters of one reason."""

Outcome = Literal["unchanged", "replaced", "refused", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """What a look at the policies came to.

    Attributes:
        outcome: ``replaced``: what was found there decides from now on. ``refused``: it is bad, and what decided goes on.
            ``unavailable``: nothing could be had. ``unchanged``: it is what decides already.
        where: the place that was looked at.
        revision: of what decides from now on.
        engine: that decides from now on.
        previous: the revision that decided before.
        candidate: the revision of what was found; empty where it could not be read.
        named: what its manifest calls it.
        signed: with which key it was signed, in words.
        tests: how many tests it has passed.
        reasons: why it was refused, or could not be had.
    """

    outcome: Outcome
    where: str
    revision: str
    engine: str
    previous: str = ""
    candidate: str = ""
    named: str = ""
    signed: str = ""
    tests: int = 0
    reasons: tuple[str, ...] = ()


class Deciders(Protocol):
    """How policies come to decide: in this process, or on a server."""

    def check(self, bundle: Bundle) -> PolicyEngine | None:
        """The engine with ``bundle``, where it can be had without anything being decided by it yet."""
        ...

    def install(self, bundle: Bundle, checked: PolicyEngine | None) -> PolicyEngine:
        """The engine that decides by ``bundle``."""
        ...

    def put_back(self, engine: PolicyEngine, bundle: Bundle) -> None:
        """After an ``install`` that came to nothing: let ``engine`` decide by ``bundle`` again."""
        ...


class _Embedded:
    """In this process. ``entries_max``: how many decisions are kept where they cannot have changed."""

    def __init__(self, *, entries_max: int) -> None:
        self._entries_max = entries_max

    def check(self, bundle: Bundle) -> PolicyEngine:
        return cached(open_bundle(bundle), bundle, entries_max=self._entries_max)

    def install(self, bundle: Bundle, checked: PolicyEngine | None) -> PolicyEngine:
        return checked or self.check(bundle)

    def put_back(self, engine: PolicyEngine, bundle: Bundle) -> None:
        """It has never stopped."""


class _Server:
    """On an OPA server, which alone knows whether it can compile them, and has one state for all who ask it."""

    def __init__(self, spec: Opa) -> None:
        self._spec = spec

    def check(self, bundle: Bundle) -> None:
        """Only the server can say."""

    def install(self, bundle: Bundle, checked: PolicyEngine | None) -> PolicyEngine:
        from openclaw.policy.opa import OpaEngine

        return OpaEngine(self._spec, bundle)

    def put_back(self, engine: PolicyEngine, bundle: Bundle) -> None:
        from openclaw.policy.opa import OpaEngine

        assert isinstance(engine, OpaEngine)
        engine.put(bundle)


class _Held:
    """An engine, and how many calls it is deciding now."""

    __slots__ = ("_calls", "_lock", "_retired", "bundle", "engine")

    def __init__(self, engine: PolicyEngine, bundle: Bundle) -> None:
        self.engine = engine
        self.bundle = bundle
        self.fork()

    def fork(self) -> None:
        """In a forked process, where no other thread is in the middle of a call."""
        self._lock = threading.Lock()
        self._calls = 0
        self._retired = False

    def enter(self) -> bool:
        """Begin a call; false where the engine is not to be used any more."""
        with self._lock:
            if self._retired:
                return False
            self._calls += 1
            return True

    def leave(self) -> None:
        """End a call."""
        with self._lock:
            self._calls -= 1
            last = self._retired and not self._calls
        if last:
            self.engine.close()

    def retire(self) -> None:
        """No more calls: the engine is closed when those that are going on have ended."""
        with self._lock:
            idle = not self._retired and not self._calls
            self._retired = True
        if idle:
            self.engine.close()


class LivePolicy:
    """A policy engine that can be told to look for changes, and looks by itself where its source says how often.

    Args:
        source: where the policies come from.
        deciders: how they come to decide.
        draw: draws the seconds until the next look; for tests.

    Raises:
        PolicyUnavailable: the policies cannot be had.
        PolicyError: they cannot be used, or their tests do not pass.
        ConfigurationError: there is no engine here that could decide, or run the tests.
    """

    def __init__(self, source: Source, deciders: Deciders, *, draw: Callable[[float, float], float] = spread) -> None:
        self._source = source
        self._deciders = deciders
        self._draw = draw
        self._listener: Callable[[Reload], None] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._trouble = ""
        self._adrift = False
        self._former: dict[str, Results] = {}
        self._new_locks()
        try:
            fetched = source.fetch()
            assert fetched is not None, "INVARIANT: without an etag a source gives what it has"
            contents = fetched.read()
            bundle = Bundle.assemble(contents)
            checked = deciders.check(bundle)
            try:
                self._test(contents, bundle, first=True)
            except BaseException:
                _close(checked)
                raise
            self._held = _Held(deciders.install(bundle, checked), bundle)
        except BaseException:
            source.close()
            raise
        self._seen: str = fetched.identity
        self._etag: str = fetched.etag
        policy = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: (alive := policy()) and alive.fork())

    def _new_locks(self) -> None:
        self._looking = threading.Lock()  # One look at a time.
        self._swapping = threading.Lock()  # Held for a moment only, so that `close` never waits for a look.
        self._stop = threading.Event()

    # -- deciding ------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> PolicyEngine:
        """What decides now. It is closed when another has taken its place: ask it for what it is, and not to decide."""
        return self._held.engine

    @property
    def name(self) -> str:
        """Engine and version of what decides now."""
        return self._held.engine.name

    @property
    def revision(self) -> str:
        """The revision that decides now. A decision names the one that it was made by."""
        return self._held.engine.revision

    @property
    def results(self) -> Results:
        """What the policies that decide now say of results."""
        return self._held.engine.results

    def results_of(self, revision: str) -> Results:
        """What the policies of one revision say of results, so that a decision and its meaning never are of two."""
        held = self._held
        return held.engine.results if held.engine.revision == revision else self._former.get(revision, self.results)

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002 - the contract's own name
        """Decide on one input; never raises."""
        held = self._enter()
        if held is None:
            return self._held.engine.evaluate(input)  # Closed, and says so.
        try:
            return held.engine.evaluate(input)
        finally:
            held.leave()

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        """The same decision, without blocking the event loop."""
        held = self._enter()
        if held is None:
            return await self._held.engine.aevaluate(input)
        try:
            return await held.engine.aevaluate(input)
        finally:
            held.leave()

    def _enter(self) -> _Held | None:
        held = self._held
        while not held.enter():
            if held is self._held:
                return None  # Retired and not replaced.
            held = self._held
        return held

    # -- following -----------------------------------------------------------------------------------------------

    def watch(self, listener: Callable[[Reload], None] | None) -> None:
        """Tell ``listener`` what looks come to: before a replacement, which does not happen if it raises."""
        self._listener = listener

    def start(self) -> None:
        """Begin to look by itself, in one thread, where the source says how often. Starting twice is fine."""
        if self._source.poll_s is None or self._thread is not None or self._closed:
            return
        self._thread = threading.Thread(
            target=_poll_forever, args=(weakref.ref(self), self._stop), name="openclaw-policy", daemon=True
        )
        self._thread.start()

    def reload(self) -> Reload:
        """Look now, also at what was refused before.

        Raises:
            OpenClawError: what it came to could not be recorded, and nothing has changed.
        """
        return self._look(fresh=True)

    def poll(self) -> Reload:
        """Look as the thread does: what has been looked at before is not looked at again."""
        return self._look(fresh=False)

    def wait_s(self) -> float | None:
        """Seconds until the next look; None where nobody looks by himself."""
        return None if self._source.poll_s is None else self._draw(*self._source.poll_s)

    def close(self) -> None:
        """Stop looking, and close the engine when its calls have ended. Decisions after this are denials."""
        with self._swapping:
            self._closed = True
        self._stop.set()
        self._source.close()
        self._held.retire()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSE_S)

    def fork(self) -> None:
        """In a forked process: the parent's thread, locks and connections are not here. Nobody listens yet."""
        if self._closed:
            return
        polled = self._thread is not None
        self._thread = self._listener = None
        self._new_locks()
        self._held.fork()
        self._source.fork()
        if polled:
            self.start()

    # -- looking -------------------------------------------------------------------------------------------------

    def _look(self, *, fresh: bool) -> Reload:
        with self._looking:
            now = self._now("unchanged")
            if self._closed:
                return now
            try:
                fetched = self._fetch("" if fresh or self._adrift else self._etag)
                if fetched is not None and (fresh or self._adrift or fetched.identity != self._seen):
                    now = self._consider(fetched)
            except PolicyUnavailable as error:
                return self._unavailable(error, fresh=fresh)
            if fetched is not None:
                self._seen, self._etag = fetched.identity, fetched.etag
            self._trouble = ""
            return now

    def _fetch(self, etag: str) -> Fetched | None:
        try:
            return self._source.fetch(etag)
        except PolicyUnavailable:
            raise
        except PolicyError as error:
            # What is wrong with it is all that tells this state of it from another.
            return Fetched(str(error), functools.partial(_raise, error))

    def _consider(self, fetched: Fetched) -> Reload:
        """Check what was found, and let it decide if it is good."""
        found = self._now("refused")
        try:
            contents = fetched.read()
            found = replace(found, named=contents.manifest.revision, signed=contents.signed)
            bundle = Bundle.assemble(contents)
            found = replace(found, candidate=bundle.revision)
            if bundle.revision == self._held.bundle.revision and not self._adrift:
                return replace(found, outcome="unchanged")
            checked = self._deciders.check(bundle)
            try:
                found = replace(found, tests=self._test(contents, bundle, first=False))
                engine = self._install(bundle, checked)
            except BaseException:
                _close(checked)
                raise
        except PolicyUnavailable:
            raise
        except (PolicyError, ConfigurationError) as error:
            found = replace(found, reasons=_reasons(error))
            self._tell(found)
            return found
        return self._swap(engine, bundle, found)

    def _test(self, contents: Contents, bundle: Bundle, *, first: bool) -> int:
        """Run the tests that belong to the policies; how many have passed."""
        if not self._source.tests or (first and not self._source.tested_first):
            return 0
        from openclaw.policy.testing import run_tests_in

        return run_tests_in(contents, bundle).require(contents.what).count("pass")

    def _install(self, bundle: Bundle, checked: PolicyEngine | None) -> PolicyEngine:
        try:
            engine = self._deciders.install(bundle, checked)
        except PolicyError as error:
            failed = self._put_back()
            if failed and not isinstance(error, PolicyUnavailable):
                hint = f"nor could the old ones be put back: {failed}"
                raise PolicyError(error.message, diagnostics=error.diagnostics, hint=hint) from error
            raise
        self._adrift = False
        return engine

    def _put_back(self) -> str:
        """Let the old policies decide again; why that failed, or the empty string."""
        try:
            self._deciders.put_back(self._held.engine, self._held.bundle)
        except PolicyError as error:
            self._adrift = True  # The next look must not take what it finds for what decides.
            return str(error)
        self._adrift = False
        return ""

    def _swap(self, engine: PolicyEngine, bundle: Bundle, found: Reload) -> Reload:
        old = self._held
        found = replace(
            found, outcome="replaced", revision=engine.revision, engine=engine.name, previous=old.engine.revision
        )
        try:
            self._tell(found)
        except BaseException:
            engine.close()
            self._put_back()
            raise
        with self._swapping:
            if self._closed:
                engine.close()
                return self._now("unchanged")
            self._former = dict([*self._former.items(), (found.previous, old.engine.results)][-FORMER_MAX:])
            self._held = _Held(engine, bundle)
        old.retire()
        return found

    def _unavailable(self, error: PolicyUnavailable, *, fresh: bool) -> Reload:
        found = replace(self._now("unavailable"), reasons=_reasons(error))
        if fresh or self._trouble != error.message:
            self._tell(found)
        self._trouble = error.message
        return found

    def _tell(self, found: Reload) -> None:
        listener = self._listener
        if listener is not None:
            listener(found)

    def _now(self, outcome: Outcome) -> Reload:
        engine = self._held.engine
        return Reload(outcome=outcome, where=self._source.where, revision=engine.revision, engine=engine.name)


def open_live(policies: Policies | PolicyEngine, *, cache: bool | int = True) -> PolicyEngine:
    """The engine that decides by ``policies`` and follows their changes, where it can. ``cache``: as in ``open_engine``.

    An ``Opa`` server without ``policies`` follows its own changes, and an engine of one's own is returned as it is.

    Raises:
        PolicyError, ConfigurationError: as ``open_engine``.
    """
    if isinstance(policies, Opa) and policies.policies is not None:
        return LivePolicy(source_of(policies.policies), _Server(policies))
    if isinstance(policies, str | Path | PolicyFolder | BundleFile | BundleServer):
        return LivePolicy(source_of(policies), _Embedded(entries_max=entries_of(cache)))
    return open_engine(policies)


def _poll_forever(reference: weakref.ref[LivePolicy], stop: threading.Event) -> None:
    # Weakly, so that a policy that was forgotten instead of closed ends its thread too.
    while (policy := reference()) is not None:
        seconds = policy.wait_s()
        del policy
        if stop.wait(seconds):
            return
        if (policy := reference()) is not None:
            # What could not be recorded has changed nothing, and the next look begins anew.
            with contextlib.suppress(OpenClawError):
                policy.poll()
            del policy


def _close(engine: PolicyEngine | None) -> None:
    if engine is not None:
        engine.close()


def _raise(error: PolicyError) -> Contents:
    raise error


def _reasons(error: PolicyError | ConfigurationError) -> tuple[str, ...]:
    """What is wrong, in at most so many lines of at most so many characters."""
    found = error.diagnostics if isinstance(error, PolicyError) else ()
    said = [f"{error.message}; {error.hint}" if error.hint else error.message, *map(str, found)]
    if len(said) > REASONS_MAX:
        said = [*said[: REASONS_MAX - 1], f"and {len(said) - REASONS_MAX + 1} more"]
    return tuple(reason if len(reason) <= REASON_MAX else reason[: REASON_MAX - 1] + "…" for reason in said)


__all__ = ["LivePolicy", "Outcome", "Reload", "open_live"]
