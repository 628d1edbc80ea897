"""How far a long command has come: on stderr, on a terminal alone, and gone when it is done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from openclaw.cli import show


@contextlib.contextmanager
def reading(doing: str, size: int) -> Generator[Callable[[int], None] | None]:
    """A bar over the ``size`` entries of a log; what is given hears the number of the entry that has been reached.

    The first number that it hears is where the bar begins, from whichever end. None where nobody looks.
    """
    out = show.messages()
    if not out.is_terminal or not size:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task(doing, total=size)
        begun: list[int] = []

        def seen(seq: int) -> None:
            begun.append(seq) if not begun else None
            progress.update(task, completed=abs(seq - begun[0]))

        yield seen


__all__ = ["reading"]
