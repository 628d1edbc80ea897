"""The engine in this process: regorus, through the native extension."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from openclaw.decision import Decision, DecisionCode
from openclaw.errors import ConfigurationError, Diagnostic, PolicyError
from openclaw.policy.bundle import Bundle
from openclaw.policy.calls import unknown_calls
from openclaw.policy.engine import ENTRY_POINT, BadInput, encode, read_json
from openclaw.policy.program import Program
from openclaw.policy.results import Results, reading_of

if TYPE_CHECKING:
    from pydantic import JsonValue

    from openclaw._native import NativeError

DEADLINE_S = 0.05
"""How long one decision of an embedded engine may take, in seconds."""

# Functions that regorus has, and that do nothing (`not http.send(…)` would be true), something else than OPA's (a patch that
# fails has no value, a cycle is left out of paths), or so much in one step that no deadline can end it.
_HOLLOW = frozenset(
    {"graph.reachable_paths", "http.send", "json.patch", "net.cidr_expand", "opa.runtime", "regex.template_match"}
    | {"trace", "units.parse", "urlquery.decode_object", "urlquery.encode_object", "yaml.is_valid", "yaml.unmarshal"}
)


def available() -> bool:
    """Whether the native extension is installed."""
    try:
        importlib.import_module("openclaw._native")
    except ImportError:  # Absent, or built for another platform.
        return False
    return True


def has_function(name: str) -> bool:
    """Whether the engine has a function of this name that does what OPA's does."""
    from openclaw import _native as native

    return name not in _HOLLOW and native.has_builtin(name)


def require(what: str) -> None:
    """Raise where there is no native engine, in which ``what`` would be: ``coverage needs``.

    Raises:
        ConfigurationError: it is not installed.
    """
    if not available():
        raise ConfigurationError(
            f"{what} the native engine, which is not installed",
            hint="install a Rust compiler and reinstall openclaw-governance; `openclaw doctor` shows the engine",
        )


class RegorusEngine:
    """Decides in this process. Every thread evaluates by itself, without locks and without the GIL.

    Raises:
        ConfigurationError: the native extension is not installed.
        PolicyError: the policies do not compile; the diagnostic names file, line and column.
    """

    def __init__(self, bundle: Bundle, *, deadline_s: float = DEADLINE_S) -> None:
        if not available():
            raise ConfigurationError(
                "the native engine is not installed",
                hint="install a Rust compiler and reinstall openclaw-governance, or use the regopy engine",
            )
        from openclaw import _native as native

        self._errors = native.NativeError
        self._name = f"regorus {native.REGORUS}"
        self._revision = bundle.revision
        self._results = reading_of(bundle)
        self._deadline_us = round(deadline_s * 1_000_000)
        self._closed = False
        files = [(module.path, module.text) for module in bundle.modules]
        try:
            self._policy = Program(files, bundle.data, "data." + ENTRY_POINT.replace("/", "."))
        except native.NativeError as error:
            raise PolicyError("the policies do not compile", diagnostics=[_finding(bundle, error)]) from error
        findings = list(unknown_calls(bundle, has_function, "regorus"))
        if findings:
            raise PolicyError("the policies call functions that this engine does not have", diagnostics=findings)

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

    @property
    def copies(self) -> int:
        """Compiled copies of the policies: one, and up to one a core where threads have decided at the same time."""
        return self._policy.copies

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002 - the contract's own name
        """Decide on one input; never raises."""
        if self._closed:
            return self._deny("the policy engine is closed", "engine_error")
        try:
            answer = self._answer(input)
        except BadInput as error:
            return self._deny(str(error), "bad_input")
        except self._errors as error:
            return self._denied(error)
        return read_json(answer, revision=self._revision, engine=self._name)

    def _answer(self, input: Mapping[str, JsonValue]) -> bytes | None:  # noqa: A002
        try:
            # Nearly every input is of plain objects, and these need no JSON to mean what their JSON means.
            return self._policy.evaluate_plain(input, self._deadline_us)
        except self._errors as error:
            if error.kind != "input":
                raise
        return self._policy.evaluate(encode(input), self._deadline_us)

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        """The same decision, in the calling thread."""
        # A fraction of a millisecond, and never more than the deadline: a thread would cost more than it frees.
        return self.evaluate(input)

    def coverage(self, input: Mapping[str, JsonValue]) -> bytes:  # noqa: A002
        """The lines that deciding on ``input`` covered, as regorus' JSON report.

        Raises:
            PolicyError: the input cannot be decided.
        """
        try:
            return self._policy.coverage(encode(input), self._deadline_us)[1]
        except (BadInput, self._errors) as error:
            raise PolicyError(f"no coverage for this input: {error}") from error

    def close(self) -> None:
        """Decisions after this are denials."""
        self._closed = True

    def _denied(self, failure: NativeError) -> Decision:
        where = f"{failure.file}:{failure.line}:{failure.column}: " if failure.line else ""
        if failure.kind == "deadline":
            return self._deny(f"no decision within {self._deadline_us / 1000:g} ms", "deadline")
        if failure.kind == "input":
            return self._deny(f"the input is not JSON for the engine: {failure}", "bad_input")
        code: DecisionCode = "engine_crashed" if failure.kind == "panic" else "engine_error"
        return self._deny(f"the policy failed: {where}{failure}", code)

    def _deny(self, reason: str, code: DecisionCode) -> Decision:
        return Decision.deny(reason, code=code, revision=self._revision, engine=self._name)


def _finding(bundle: Bundle, error: NativeError) -> Diagnostic:
    """What the engine says of a file, with the way out where there is a known one."""
    message, hint = str(error), ""
    text = next((module.text for module in bundle.modules if module.path == error.file), "")
    line = text.split("\n")[error.line - 1] if error.line else ""
    if line[error.column - 1 :].startswith(('$"', "$`")):
        message = "regorus has no string interpolation"
        hint = 'write `sprintf("… %v …", [value])`, or use an OPA server'
    elif "`if` keyword is required" in message:
        hint = "Rego v1 writes `name if { … }`"
    return Diagnostic(bundle.shown(error.file), error.line, error.column, message, hint)
