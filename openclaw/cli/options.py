"""Options that many commands share."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import JsonValue

from openclaw.errors import ConfigurationError

DEFAULT_STORE = "sqlite:///openclaw.db"

_STORE_HELP = f"The database: sqlite:///file.db or postgresql+psycopg://user@host/name. Default: {DEFAULT_STORE}"

GlobalStore = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", envvar="OPENCLAW_STORE", show_default=False, help=_STORE_HELP),
]
# Without the variable: what is said before the command's name would lose against it.
StoreOption = Annotated[str | None, typer.Option("--store", metavar="URL", show_default=False, help=_STORE_HELP)]
InputArgument = Annotated[str, typer.Argument(metavar="[INPUT]", help="File with the input, or - for stdin.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="FILE",
        envvar="OPENCLAW_KEY",
        show_default=False,
        help="The log's signing key. Default: beside the database.",
    ),
]
PlacesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoints",
        metavar="PLACE",
        show_default=False,
        help="Where checkpoints are kept outside: a file, s3://…, witness+https://host#KEY. May be given again."
        " Default: OPENCLAW_CHECKPOINTS, else a file beside the key.",
    ),
]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; recorded.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; recorded.")]
Seq = Annotated[int, typer.Argument(metavar="SEQ", min=1, help="Number of the entry, counted from 1.")]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="SPAN|DATE", show_default=False, help="Only what was decided since: 2h, 7d, 2026-11-23."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@dataclass(slots=True)
class Globals:
    """What was said before the name of the command."""

    store: str | None = None


def store_url(context: typer.Context, told: str | None) -> str:
    """The store that is meant: said after the command, before it, in the environment, or the default."""
    said = context.find_root().obj
    return told or (said.store if isinstance(said, Globals) else None) or DEFAULT_STORE


def read_input(name: str) -> dict[str, JsonValue]:
    """The policy input in a file, or on stdin for ``-``.

    Raises:
        ConfigurationError: it cannot be read, or is no JSON object.
    """
    where = "stdin" if name == "-" else name

    def never(constant: str) -> NoReturn:
        raise ValueError(f"`{constant}` is no JSON number")

    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        document: JsonValue = json.loads(text, parse_constant=never)
    except OSError as error:
        raise ConfigurationError(f"the input `{where}` cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the input `{where}` is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"the input `{where}` is not a JSON object but {type(document).__name__}",
            hint="see `openclaw schema input`",
        )
    return document
