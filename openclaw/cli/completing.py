"""What the shell proposes for a value: names that the store knows. Quick, and silent whatever is wrong.

Typer completes commands, options and fixed values by itself; these are the values that only a store can tell.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from types import FrameType
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from openclaw.approvals import Approvals
from openclaw.budget import Ledger
from openclaw.cli import books
from openclaw.cli.filters import read_views
from openclaw.cli.options import DEFAULT_STORE
from openclaw.errors import OpenClawError
from openclaw.exceptions import standing
from openclaw.review.fields import NAMES
from openclaw.review.known import NAMES_MAX, names, runs
from openclaw.store import Store

SECONDS = 1.0
"""How long a person waits for a proposal before they go on typing."""


_PLAIN = re.compile(r"[\w./@:+=,%-]+")
"""What a shell takes as it stands: names are of others, and land on a command line."""


class _Context(Protocol):
    params: dict[str, object]
    parent: _Context | None


def _from_store(known: Callable[[Store, str], Iterable[str]]) -> Callable[[_Context, str], Iterator[str]]:
    def complete(context: _Context, beginning: str) -> Iterator[str]:
        store = Store.open(_store_url(context), clock=books.CLOCK, create=False, readonly=True)
        try:
            yield from known(store, beginning)
        finally:
            store.close()

    return complete


def _store_url(context: _Context) -> str:
    at: _Context | None = context
    while at is not None:
        if isinstance(told := at.params.get("store"), str):
            return told
        at = at.parent
    return os.environ.get("OPENCLAW_STORE") or DEFAULT_STORE


def _columns(_context: _Context, beginning: str) -> Iterator[str]:
    before, comma, _ = beginning.rpartition(",")
    taken = set(before.split(","))
    return (f"{before}{comma}{name}" for name in NAMES if name not in taken)


def _views(_context: _Context, _beginning: str) -> Iterator[str]:
    return iter(read_views())


_RUNS = _from_store(runs)
VALUES: dict[str, Callable[[_Context, str], Iterator[str]]] = {
    "run": _RUNS,
    "first": _RUNS,
    "second": _RUNS,
    "agent": _from_store(lambda store, beginning: names(store, "agent", beginning)),
    "workflow": _from_store(lambda store, beginning: names(store, "workflow", beginning)),
    "tool": _from_store(lambda store, beginning: names(store, "tool", beginning)),
    "question": _from_store(lambda store, _: (one.id for one in Approvals(store).list("pending"))),
    "exception": _from_store(lambda store, _: (one.id for one in standing(store))),
    "account": _from_store(lambda store, _: dict.fromkeys(one.account for one in Ledger(store).accounts())),
    "view": _views,
    "name": _views,
    "columns": _columns,
}
"""By the name of the option or argument, in whatever command."""


class _Parameter(Protocol):
    name: str | None
    shell_complete: Callable[..., object]


def add_to(command: object) -> None:
    """Let the options and arguments of a command propose what the store knows."""
    for one in getattr(command, "params", ()):
        parameter: _Parameter = one
        if (values := VALUES.get(parameter.name or "")) is not None:
            parameter.shell_complete = functools.partial(_complete, values)


def _complete(values: Callable[[_Context, str], Iterator[str]], context: _Context, incomplete: str) -> list[object]:
    from typer._click.shell_completion import CompletionItem  # Typer has no public name for what it wants

    found: list[str] = []
    # There may be no database, no rights to it, or no server: then nothing is proposed, and nothing said.
    with contextlib.suppress(OpenClawError, SQLAlchemyError, OSError, UnicodeError), _deadline():
        fitting = (
            value for value in values(context, incomplete) if value.startswith(incomplete) and _PLAIN.fullmatch(value)
        )
        found += itertools.islice(fitting, NAMES_MAX)
    return [CompletionItem(value) for value in found]


@contextlib.contextmanager
def _deadline() -> Generator[None]:
    """``TimeoutError`` where it takes too long, on systems that have alarms."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def late(_: int, __: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


__all__ = ["add_to"]
