"""How far a long command has come: on stderr, on a terminal alone, and gone when it is done or interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from openclaw.cli import show

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from openclaw.audit.reading import Seen

Stage = Callable[[str], "Seen | None"]
"""Given what is being done, what shall hear how far that has come; None where nobody looks."""


@contextlib.contextmanager
def stages(*, shown: bool = True) -> Generator[Stage]:
    """A bar for each part of a long command; it appears when the part has begun.

    Args:
        shown: whether there may be a bar at all: none beside what is printed meanwhile on the same terminal.
    """
    out = show.messages()
    if not shown or not out.is_terminal or out.is_dumb_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Stdout is left alone: what is data goes where it was sent, bar or no bar.
    with Progress(*columns, console=out, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        yield lambda doing: _bar(progress, doing)


@contextlib.contextmanager
def reading(doing: str, *, shown: bool = True) -> Generator[Seen | None]:
    """One bar, for a command of one part; see ``stages``."""
    with stages(shown=shown) as stage:
        yield stage(doing)


def _bar(progress: Progress, doing: str) -> Seen:
    tasks: list[TaskID] = []

    def seen(done: int, total: int) -> None:
        if not tasks:
            tasks.append(progress.add_task(doing, total=total))
        progress.update(tasks[0], completed=done, total=total)

    return seen


__all__ = ["Stage", "reading", "stages"]
