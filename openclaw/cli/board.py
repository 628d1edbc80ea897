"""``openclaw ui``: the command; what it shows is in ``openclaw.cli.ui``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openclaw.cli.books import opened
from openclaw.cli.options import KeyOption, StoreOption
from openclaw.errors import ConfigurationError


def ui(
    context: typer.Context,
    by: Annotated[str, typer.Option("--by", metavar="NAME", envvar="OPENCLAW_BY", help="Who answers; recorded.")] = "",
    policies: Annotated[
        Path | None,
        typer.Option("--policies", metavar="FOLDER|FILE", show_default=False, help="Explain decisions with these."),
    ] = None,
    every: Annotated[float, typer.Option(min=0.2, metavar="SECONDS", help="How often to look again.")] = 2.0,
    key: KeyOption = None,
    store: StoreOption = None,
) -> None:
    """Look at runs, questions, budgets and the log on one screen, and answer questions.

    It reads; only an answer writes.
    """
    try:
        from openclaw.cli.ui.desk import Desk
        from openclaw.cli.ui.screen import Board
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("textual"):
            raise
        raise ConfigurationError(
            "the screen needs textual, which is not installed", hint="pip install 'openclaw-governance[ui]'"
        ) from error
    with opened(context, store, key=key) as books:
        desk = Desk(books, lambda: opened(context, store, write=True, key=key), policies)
        Board(desk, by=by, every=every).run()


__all__ = ["ui"]
