"""Policies compiled by the native engine for one rule: OPA's reading of them, and the places that people know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from openclaw.policy import members
from openclaw.policy.negation import all_with_operands_first

if TYPE_CHECKING:
    from openclaw._native import NativeError


class Program:
    """Files and data, compiled for the rule ``entry`` (such as ``data.openclaw.decision``). Shared by all threads.

    Every method raises ``openclaw._native.NativeError`` as the extension does; its line and column are those of the file
    as it was given.
    """

    def __init__(self, files: Iterable[tuple[str, str]], data: bytes, entry: str) -> None:
        from openclaw import _native as native

        self._errors = native.NativeError
        first = all_with_operands_first(files)
        self._files = {path: members.with_members_asked(it.text)._replace(before=it) for path, it in first.items()}
        given = [(path, file.text) for path, file in self._files.items()]
        try:
            self._policy = native.Policy.compile(given, data, entry)
        except native.NativeError as error:
            raise self._placed(error) from None

    @property
    def copies(self) -> int:
        """How many copies there are for threads that evaluate at the same time."""
        return self._policy.copies

    def evaluate(self, input_json: bytes, deadline_us: int) -> bytes | None:
        """The rule's value as JSON; None where it is undefined."""
        try:
            return self._policy.evaluate(input_json, deadline_us)
        except self._errors as error:
            raise self._placed(error) from None

    def evaluate_plain(self, document: object, deadline_us: int) -> bytes | None:
        """The same for an input of plain Python objects; an error of kind ``input`` where one in it is not plain."""
        try:
            return self._policy.evaluate_plain(document, deadline_us)
        except self._errors as error:
            raise self._placed(error) from None

    def coverage(self, input_json: bytes, deadline_us: int) -> tuple[bytes | None, bytes]:
        """The rule's value, and the lines that were evaluated for it as regorus' JSON report."""
        try:
            return self._policy.coverage(input_json, deadline_us)
        except self._errors as error:
            raise self._placed(error) from None

    def _placed(self, error: NativeError) -> NativeError:
        """The same error, at its place in the file as it was given."""
        file = self._files.get(error.file)
        if file is not None:
            error.line, error.column = file.place(error.line, _characters(file.text, error.line, error.column))
        return error


def _characters(text: str, line: int, column: int) -> int:
    """A column of regorus, which counts a tab as four, as editors, ``opa`` and all else here count it: as one."""
    lines = text.split("\n")
    if not 0 < line <= len(lines):
        return column
    width = 1
    for at, sign in enumerate(lines[line - 1]):
        if width >= column:
            return at + 1
        width += 4 if sign == "\t" else 1
    return len(lines[line - 1]) + 1 + max(column - width, 0)
