"""The engine without a compiler: regopy (rego-cpp), in supervised child processes.

regopy can crash its process, cannot be told to stop, and must not be shared by threads; so each evaluation runs in a
child that one thread at a time talks to, and that is killed and replaced when it crashes or overruns its deadline.

It also takes some things for something else without a word. What is known of that is refused, when the policies are
loaded (``_findings``) or when they are asked (``_misread``).
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Generator, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from pydantic import JsonValue

from openclaw.decision import Decision, DecisionCode
from openclaw.errors import ConfigurationError, Diagnostic, PolicyError
from openclaw.policy.bundle import DECISION_FILE, Bundle
from openclaw.policy.calls import unknown_calls
from openclaw.policy.engine import ENTRY_POINT, BadInput, encode, read_answer
from openclaw.policy.enumeration import with_members_named
from openclaw.policy.negation import with_operands_first
from openclaw.policy.results import Results, reading_of
from openclaw.policy.rewriting import Rewritten
from openclaw.policy.scan import Name, Scan, scan, visible_names

DEADLINE_S = 0.05
"""How long one evaluation may take, in seconds. A call that meets a child on its way up waits for it besides."""

START_S = 10.0
"""How long a child may take to start and compile, and a call may wait for a free child, in seconds."""

CHILDREN = 2
EVALUATIONS_PER_CHILD = 100_000
"""The library keeps about 43 bytes of every evaluation; a child is replaced before that adds up."""

# The engine holds text as JSON writes it: a line feed is a backslash and an `n` to whatever looks inside it …
_SEES_ESCAPES = re.compile(
    r"^(count|contains|startswith|endswith|indexof|indexof_n|substring|split|replace|trim\w*|upper|lower|format_int"
    r"|to_number|(strings|regex|glob|json|yaml|base64|base64url|hex|crypto|urlquery|units|time|semver|uuid|io)\..+)$"
)
# … and text is bytes to some, which know letters and single characters of ASCII only.
_SEES_BYTES = re.compile(
    r"^(upper|lower|indexof|indexof_n|trim|trim_left|trim_right|trim_space|(strings|regex|glob)\..+)$"
)
# Functions that regopy has with another meaning than OPA's: no value or any where OPA has an error (`not max(…)` would be
# true), padding that may be left out, letters as negative numbers, another YAML; the environment of the child.
_HOLLOW = frozenset(
    {"base64.decode", "base64.is_valid", "base64url.decode", "bits.lsh", "graph.reachable_paths", "hex.encode", "max"}
    | {"min", "object.subset", "opa.runtime", "units.parse", "units.parse_bytes", "urlquery.decode", "urlquery.encode"}
    | {"urlquery.encode_object", "yaml.is_valid", "yaml.marshal", "yaml.unmarshal"}
)
# To it, `to_number` reads a text up to where it is no number any more: `1,000` would be 1.
_BEGINS_AS_NUMBER = re.compile(rb'"[ \t]*[+-]?\.?\d[^"]*"')
_NO_HALF_NUMBER = re.compile(
    rb'"(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))"'
)
_BLIND = frozenset({"json.filter", "json.remove", "json.patch", "time.now_ns"})

# Patterns are ECMAScript's. What that reads in another way than RE2 does: empty classes, look-around, back references,
# letters with a backslash beyond those that both have.
_OTHER_PATTERN = re.compile(r"\[\^?\]|\(\?(?!:)|\\(?![dDwWsSbBntrfv])[A-Za-z1-9]|\[[.=]|\{,")

_ERROR = re.compile(r"\(error (?:\d+:)?([^|\n]*)\|(\d+)\|(\d+)\s+\(errormsg \d+:(.*?)\)", re.DOTALL)
_MESSAGE = re.compile(r"\(errormsg \d+:(.*?)\)", re.DOTALL)


class _Loaded(TypedDict):
    version: str
    missing: list[str]
    error: dict[str, str] | None


class _Crashed(Exception):
    """The child is gone, or says what cannot be understood."""


def available() -> bool:
    """Whether regopy is installed and children can be run here."""
    return importlib.util.find_spec("regopy") is not None and os.name == "posix" and bool(sys.executable)


class _Child:
    """One child process. Used by one thread at a time; after any failure it is only good for ``kill``."""

    def __init__(self, loading: bytes) -> None:
        self._socket, theirs = socket.socketpair()
        self._number = 0
        self._loaded: _Loaded | None = None
        self.evaluations = 0
        self._given_up = False
        environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with theirs:
            # -P: the folder of the program, with a `regopy.py` in it, is no place to import from. A session of its own:
            # an interrupt at the terminal is for the parent.
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [sys.executable, "-P", str(Path(__file__).with_name("regopy_child.py")), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,
            )
        self._loading = loading

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._given_up and self._process.poll() is None

    def load(self) -> _Loaded:
        """What the child says of the policies; waits for it the first time."""
        if self._loaded is None:
            self._loaded = cast("_Loaded", json.loads(self._exchange(self._loading, START_S)))
        return self._loaded

    def evaluate(self, encoded: bytes, deadline_s: float) -> bytes:
        """The child's answer to one input.

        Raises:
            TimeoutError: none came within ``deadline_s``.
            _Crashed: the child is gone.
        """
        self.load()
        self.evaluations += 1
        return self._exchange(encoded, deadline_s)

    def _exchange(self, content: bytes, seconds: float) -> bytes:
        self._number = (self._number + 1) % (1 << 32)
        number = self._number.to_bytes(4, "big")
        until = time.monotonic() + seconds
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(len(content).to_bytes(4, "big") + number + content)
            header = self._receive(8, until)
            if header[4:] != number:
                raise _Crashed("it answered another question")
            return self._receive(int.from_bytes(header[:4], "big"), until)
        except TimeoutError:
            self.kill()
            raise
        except (_Crashed, OSError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.1)  # Its own end says more than our signal would.
            self.kill()
            raise _Crashed(f"its process ended ({self._end()})") from error
        except BaseException:  # An interrupt: the answer that is still to come must not be taken for the next one.
            self.kill()
            raise

    def _receive(self, size: int, until: float) -> bytes:
        content = bytearray()
        while len(content) < size:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            part = self._socket.recv(min(size - len(content), 1 << 20))
            if not part:
                raise _Crashed("it closed the connection")
            content += part
        return bytes(content)

    def _end(self) -> str:
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """End the process and leave nothing of it behind. May be called more than once."""
        self._given_up = True
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Give up a child that belongs to another process: this one is its fork."""
        self._given_up = True
        self._socket.close()
        self._process.returncode = 0  # It is no child of ours to wait for.


class _Pool:
    """Up to ``CHILDREN`` children, all with the same policies."""

    def __init__(self, loading: bytes) -> None:
        self._loading = loading
        self._free: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._all: set[_Child] = set()
        self._lock = threading.Lock()
        self.closed = False

    def start(self) -> _Child:
        """A new child, on its way up.

        Raises:
            _Crashed: it cannot be started.
        """
        try:
            child = _Child(self._loading)
        except OSError as error:
            raise _Crashed(f"its process cannot be started: {error.strerror}") from error
        with self._lock:
            if not self.closed:
                self._all.add(child)
                return child
        child.kill()
        raise _Crashed("the engine is closed")

    @contextlib.contextmanager
    def child(self) -> Generator[_Child]:
        """A child for this thread alone.

        Raises:
            queue.Empty: none becomes free within ``START_S``.
            _Crashed: it cannot be started.
        """
        child = self._free.get(timeout=START_S)
        try:
            if not child.alive:  # Ended by something else, or could not be replaced before.
                child.kill()
                child = self._replaced(child)
            yield child
        finally:
            if child.alive and child.evaluations >= EVALUATIONS_PER_CHILD:
                child.kill()
            if not child.alive:
                # At once, so that it is up when it is needed; where that fails, its next user tries again.
                with contextlib.suppress(_Crashed):
                    child = self._replaced(child)
            self._free.put(child)

    def add(self, child: _Child) -> None:
        """Put a new child among the free ones."""
        self._free.put(child)

    def _replaced(self, child: _Child) -> _Child:
        with self._lock:
            self._all.discard(child)
        return self.start()

    def close(self) -> None:
        """End all children."""
        with self._lock:
            self.closed = True
            children, self._all = self._all, set()
        for child in children:
            child.kill()

    def fork(self) -> None:
        """In a forked process: start anew. The lock may have been held, and the children are the parent's."""
        for child in self._all:
            child.forget()
        closed = self.closed
        self.__init__(self._loading)
        self.closed = closed
        for _ in range(0 if closed else CHILDREN):
            with contextlib.suppress(_Crashed):
                self._free.put(self.start())


class RegopyEngine:
    """Decides in child processes that run regopy.

    Raises:
        ConfigurationError: regopy is not installed, or children cannot be run here.
        PolicyError: the policies do not compile, or hold what regopy is known to take for something else.
    """

    def __init__(self, bundle: Bundle, *, deadline_s: float = DEADLINE_S) -> None:
        if not available():
            raise ConfigurationError(
                "regopy cannot be used here",
                hint="it needs `pip install regopy`, Linux or macOS, and a Python interpreter that can be started",
            )
        scans = {module.path: scan(module.text) for module in bundle.modules}
        given, lost = _given(bundle)
        findings = [*_findings(bundle, scans), *lost]
        if findings:
            raise PolicyError("the policies cannot be decided by regopy", diagnostics=findings)
        calls = sorted({call.dotted for found in scans.values() for call in found.calls})
        self._looking = _looking(scans)
        self._revision = bundle.revision
        self._results = reading_of(bundle)
        self._deadline_s = deadline_s
        misread = self._misread(bundle.data)
        if misread:
            raise PolicyError(f"regopy cannot use the data files: {misread}")
        loading = {
            "modules": [[path, file.text] for path, file in given.items()],
            "data": bundle.data.decode(),
            "entry": ENTRY_POINT,
            "calls": calls,
        }
        self._pool = _Pool(json.dumps(loading).encode())
        self._finalizer = weakref.finalize(self, self._pool.close)
        try:
            self._name = f"regopy {self._load(bundle, given)}"
        except BaseException:
            self.close()
            raise
        pool = weakref.ref(self._pool)
        os.register_at_fork(after_in_child=lambda: (alive := pool()) and alive.fork())

    def _load(self, bundle: Bundle, given: Mapping[str, Rewritten]) -> str:
        first = self._pool.start()
        try:
            loaded = first.load()
        except TimeoutError as error:
            raise PolicyError(f"regopy did not compile the policies within {START_S:g} s") from error
        except _Crashed as error:
            raise PolicyError(
                f"regopy crashed over the policies: {error}",
                hint="`with input as {…}` and odd escapes in a raw string are known to do this: write "
                "`with input.field as …` and plainer patterns, or install the native engine",
            ) from error
        if loaded["error"] is not None:
            found = _located(loaded["error"], bundle, given)
            raise PolicyError("the policies do not compile", diagnostics=found)
        missing = _HOLLOW.union(loaded["missing"])
        unknown = list(unknown_calls(bundle, lambda name: name not in missing, "regopy"))
        if unknown:
            raise PolicyError("the policies call functions that this engine does not have", diagnostics=unknown)
        self._pool.add(first)
        for _ in range(CHILDREN - 1):
            self._pool.add(self._pool.start())
        return loaded["version"]

    @property
    def name(self) -> str:
        """Engine and version."""
        return self._name

    @property
    def revision(self) -> str:
        """Digest of what is loaded."""
        return self._revision

    @property
    def results(self) -> Results:
        """What the policies say of results."""
        return self._results

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002 - the contract's own name
        """Decide on one input; never raises."""
        try:
            encoded = encode(input)
        except BadInput as error:
            return self._deny(str(error), "bad_input")
        misread = self._misread(encoded)
        if misread:
            return self._deny(misread, "bad_input")
        if self._pool.closed:
            return self._deny("the policy engine is closed", "engine_error")
        try:
            with self._pool.child() as child:
                answer = child.evaluate(encoded, self._deadline_s)
        except queue.Empty:
            return self._deny(f"no engine process was free within {START_S:g} s", "deadline")
        except TimeoutError:
            return self._deny(f"no decision within {self._deadline_s * 1000:g} ms", "deadline")
        except _Crashed as error:
            return self._deny(f"the policy engine crashed: {error}", "engine_crashed")
        return self._read(answer)

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        """The same decision; waits for the child in a thread."""
        return await asyncio.to_thread(self.evaluate, input)

    def close(self) -> None:
        """End the children. Decisions after this are denials."""
        self._finalizer()

    def _misread(self, encoded: bytes) -> str:
        """Why the loaded policies would not see the text in this JSON as it is; empty where they do."""
        signs = "quotes, backslashes and control characters" if b"\\" in encoded else "letters beyond ASCII"
        seer = self._looking.escapes if b"\\" in encoded else "" if encoded.isascii() else self._looking.bytes
        way_out = "install the native engine, or use an OPA server"
        if self._looking.numbers:
            for found in _BEGINS_AS_NUMBER.findall(encoded):
                if not _NO_HALF_NUMBER.fullmatch(found):
                    shown = found[1:-1].decode("utf-8", "replace")[:40]
                    return f"regopy would read `{shown}` as the number that it begins with, in `to_number`: {way_out}"
        if not seer:
            return ""
        return f"regopy misreads {signs} where a policy looks inside text, here with `{seer}`: {way_out}"

    def _read(self, answer: bytes) -> Decision:
        kind, text = answer[:1], answer[1:]
        if kind == b"U":
            return read_answer(None, revision=self._revision, engine=self._name)
        if kind != b"A":
            found = _MESSAGE.findall(text.decode("utf-8", "replace")) or [text.decode("utf-8", "replace")]
            return self._deny(f"the policy failed: {'; '.join(found)}", "engine_error")
        try:
            expressions = json.loads(text)["expressions"]
            (value,) = expressions
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            return self._deny(f"the engine's answer is not JSON: {error}", "malformed")
        if value is None:
            return self._deny("the policy's decision is null", "malformed")
        return read_answer(value, revision=self._revision, engine=self._name)

    def _deny(self, reason: str, code: DecisionCode) -> Decision:
        return Decision.deny(reason, code=code, revision=self._revision, engine=self._name)


@dataclass(frozen=True)
class _Looking:
    """A function of the policies that sees escapes instead of characters, and one that sees bytes; or empty. ``numbers``:
    whether they make numbers of texts.
    """

    escapes: str
    bytes: str
    numbers: bool


def _looking(scans: Mapping[str, Scan]) -> _Looking:
    # The combining rules count sets only.
    authors = [found for path, found in sorted(scans.items()) if path != DECISION_FILE]
    calls = [call.dotted for found in authors for call in found.calls if call.dotted not in _BLIND]
    raw = [name.dotted.split("\n")[0] for found in authors for name in found.escaped]
    escapes = [name for name in calls if _SEES_ESCAPES.match(name)] + raw
    return _Looking(
        next(iter(escapes), ""), next((name for name in calls if _SEES_BYTES.match(name)), ""), "to_number" in calls
    )


def _given(bundle: Bundle) -> tuple[dict[str, Rewritten], list[Diagnostic]]:
    """The files in the words that regopy reads as OPA reads the files themselves, and what cannot be put so."""
    visible = visible_names({module.path: module.text for module in bundle.modules})
    given: dict[str, Rewritten] = {}
    lost: list[Diagnostic] = []
    for module in bundle.modules:
        first = with_operands_first(module.text, visible[module.path])
        second, names = with_members_named(first.text, visible[module.path])
        given[module.path] = second._replace(before=first)
        for name in names:
            line, column = first.place(name.line, name.column)
            message = f"regopy does not go through the members of `{name.dotted}` in a head"
            hint = f"give the member a name in the body: `member := {name.dotted}[…]`"
            lost.append(Diagnostic(module.shown, line, column, message, hint))
    return given, lost


def _findings(bundle: Bundle, scans: Mapping[str, Scan]) -> Iterator[Diagnostic]:
    """What regopy would take for something else: found by comparison with OPA, case by case."""
    visible = visible_names({module.path: module.text for module in bundle.modules})
    for module in bundle.modules:
        found = scans[module.path]
        for name, message, hint in _mistaken(found, visible[module.path]):
            yield Diagnostic(module.shown, name.line, name.column, message, hint)


def _mistaken(found: Scan, visible: Set[str]) -> Iterator[tuple[Name, str, str]]:
    """The same of one file: where, what is wrong, and the way out."""
    for name in found.v0:
        yield name, "`if` is missing before the rule's body", "Rego v1 writes `name if { … }`"
    for name in found.lonely:
        if name.dotted not in visible:
            yield (
                name,
                f"nothing gives `{name.dotted}` a value (to regopy, `not {name.dotted}` would be true)",
                "define it, or correct its spelling",
            )
    for name, pattern in found.patterns:
        if not pattern or _OTHER_PATTERN.search(pattern):
            shown = f"`{pattern}`" if pattern else "this one, which is not written here,"
            yield (
                name,
                f"regopy has patterns of another dialect, and {shown} may mean something else in it",
                "write a plain pattern into the call, or install the native engine, or use an OPA server",
            )
    for name in found.replaced:
        yield (
            name,
            f"where `{name.dotted}` is undefined, regopy goes on with the value that `with` should have replaced",
            "write the value itself after `as`, or install the native engine, or use an OPA server",
        )
    for name in found.negated:
        yield (
            name,
            "to regopy, `not` inside `every` is always true",
            "name the condition in a rule of its own, such as `every path in paths { fine(path) }`",
        )
    for name in found.lost:
        yield (
            name,
            f"regopy loses the parameter `{name.dotted}` before the bar of a comprehension, and the result is empty",
            "give the value a name after the bar: `{value | …; value := …}`",
        )


def _located(error: Mapping[str, str], bundle: Bundle, given: Mapping[str, Rewritten]) -> list[Diagnostic]:
    """The positions in an error of the compiler, which gives byte offsets."""
    found: list[Diagnostic] = []
    for file, offset, _, message in _ERROR.findall(error["message"]):
        line = column = 0
        if file in given:
            before = given[file].text.encode()[: int(offset)].decode(errors="ignore")
            line, column = given[file].place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        found.append(Diagnostic(bundle.shown(file), line, column, message.strip()))
    if found:
        return list(dict.fromkeys(found))
    message = "; ".join(_MESSAGE.findall(error["message"])) or error["message"].splitlines()[0]
    return [Diagnostic(bundle.shown(error["file"]) if error["file"] else "policies", 0, 0, message)]
