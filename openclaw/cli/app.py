"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from openclaw.cli import INTERRUPTED, show
from openclaw.cli.late import LateGroup
from openclaw.cli.options import Globals, GlobalStore


class _Commands(LateGroup):
    """The commands; Ctrl-C ends any of them with one line, after it has put away what it had in hand."""

    def invoke(self, ctx: typer.Context) -> object:  # pyright: ignore[reportIncompatibleMethodOverride] - the same class
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            show.note("interrupted")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="openclaw",
    cls=_Commands,
    help="Review and steer governed agents: their policies, their log, their budgets and their questions to people.",
    epilog="Exit codes: 0 holds, 1 what was checked does not hold, 2 wrong usage or unreadable input.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        show.lines(f"openclaw {importlib.metadata.version('openclaw-governance')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
]


@app.callback()
def openclaw(
    context: typer.Context,
    store: GlobalStore = None,
    version: VersionOption = False,  # noqa: ARG001 - its callback has done the work
) -> None:
    """Review and steer governed agents: their policies, their log, their budgets and their questions to people."""
    context.obj = Globals(store=store)
