"""The ways into a tool or a model that a class may have of its own.

The gate sits below all of LangChain's ways in. A class that overrides one of those, and does its work there instead of handing
it on, would walk round the gate; it is refused. One that hands it on, such as one that logs, is left as it is.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator

from openclaw.errors import ConfigurationError

_INTO_ANY = ("invoke", "ainvoke", "stream", "astream", "batch", "abatch", "transform", "atransform")
_TOOL = (*_INTO_ANY, "run", "arun")
_MODEL = (*_INTO_ANY, "generate", "agenerate", "generate_prompt", "agenerate_prompt")


def check_tool(kind: type, name: str) -> None:
    """Raise ConfigurationError if a tool of this class does its work before the gate."""
    _check(kind, f"tool `{name}`", _TOOL, ("_run", "_arun"))


def check_model(kind: type) -> None:
    """Raise ConfigurationError if a model of this class answers before the gate."""
    _check(kind, "model", _MODEL, ("_generate", "_agenerate", "_stream", "_astream"))


def _check(kind: type, what: str, entries: tuple[str, ...], behind: tuple[str, ...]) -> None:
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] == "langchain_core":
            continue
        for entry in entries:
            own = vars(base).get(entry)
            function = inspect.unwrap(own) if callable(own) else None
            if not isinstance(function, types.FunctionType) or {*entries, *behind} & set(_names(function.__code__)):
                continue
            raise ConfigurationError(
                f"{what} of class `{base.__qualname__}` does its work in `{entry}`, before the gate",
                hint=f"put the work into `{behind[0]}`, or let `{entry}` call `super().{entry}(…)`",
            )


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _names(constant)


__all__ = ["check_model", "check_tool"]
